/* Chat rooms as main sees them: actions, methods and events. */
#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/stats.h>

#include "conf/priv.h"

#define ABSENT ((struct slice){NULL, 0})

/* --- actions --- */

enum { JOIN_ROOM, JOIN_FROM };

static const struct arg_spec join_args[] = {
    [JOIN_ROOM] = {.name = "room", .kind = ARG_TEXT, .required = true},
    [JOIN_FROM] = {.name = "from", .kind = ARG_TEXT},
    {0},
};

static int refuse(struct conf *conf, struct sip_request *request, int code)
{
	++*conf->count.refused_joins;
	sip_request_reply(request, code, ABSENT, ABSENT);
	return -ENOENT;
}

/* The room of that name, which an INVITE may make.  @return NULL: it is answered */
static struct conf_room *enter(struct conf *conf, struct sip_request *invite, struct slice uri)
{
	struct conf_room *room = conf_room_find(conf, uri);
	int err;

	if (room)
		return room;
	if (!conf->settings->create) {
		refuse(conf, invite, 404);
		return NULL;
	}
	err = conf_room_new(&room, conf, uri);
	if (err < 0) {
		refuse(conf, invite, err == -ENOSPC ? 486 : err == -ENOMEM ? 500 : 404);
		return NULL;
	}
	return room;
}

static int run_join(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct conf *conf = state;
	struct conf_room *room = enter(conf, subject->request, args[JOIN_ROOM].text);
	struct slice from = args[JOIN_FROM].present
	    ? args[JOIN_FROM].text
	    : sip_request_field(subject->request, SIP_FIELD_FROM);

	return room ? conf_join(room, subject->request, from) : -ENOENT;
}

static const struct action actions[] = {
    {.name = "msrp_conf_join",
	.lists = ROUTE_SIP,
	.args = join_args,
	.ends_walk = true,
	.answers = true,
	.run = run_join},
    {0},
};

/* --- methods --- */

static struct conf_room *find(struct conf *conf, struct slice uri, struct reply *out)
{
	struct conf_room *room = conf_room_find(conf, uri);

	if (!room)
		reply_error(out, 404, "unknown room");
	return room;
}

static void put_participant(const struct conf_participant *p, struct reply *out)
{
	reply_open_object(out, NULL);
	reply_text(out, "participant", slice_of(p->user->uri));
	reply_text(out, "name", slice_of(p->name));
	reply_text(out, "session_id", slice_of(ua_session_id(p->session)));
	reply_close(out);
}

static void put_room(const struct conf_room *room, struct reply *out)
{
	const struct conf_participant *p;

	reply_open_object(out, NULL);
	reply_text(out, "room", slice_of(room->uri));
	reply_text(out, "subject", conf_room_subject(room));
	reply_open_list(out, "participants");
	TAILQ_FOREACH(p, &room->participants, next)
		put_participant(p, out);
	reply_close(out);
	reply_close(out);
}

static const struct param_spec list_params[] = {
    {.name = "room", .kind = PARAM_TEXT},
    {0},
};

static void call_list(const struct param *params, struct reply *out, void *state)
{
	struct conf *conf = state;
	struct conf_room *only = NULL;

	if (params[0].present && !(only = find(conf, params[0].text, out)))
		return;
	reply_open_list(out, NULL);
	if (only)
		put_room(only, out);
	for (struct conf_room *room = only ? NULL : conf->rooms; room; room = room->hh.next)
		put_room(room, out);
	reply_close(out);
}

enum { CREATE_ROOM, CREATE_SUBJECT, CREATE_MAX };

static const struct param_spec create_params[] = {
    [CREATE_ROOM] = {.name = "room", .kind = PARAM_TEXT, .required = true},
    [CREATE_SUBJECT] = {.name = "subject", .kind = PARAM_TEXT},
    [CREATE_MAX] = {.name = "max_participants", .kind = PARAM_NUMBER},
    {0},
};

static void create_error(struct reply *out, int err)
{
	switch (err) {
	case -EEXIST:
		reply_error(out, 400, "there is such a room");
		break;
	case -ENOSPC:
		reply_error(out, 500, "conference.max_rooms reached");
		break;
	case -ENOMEM:
		reply_error(out, 500, "failed");
		break;
	default:
		reply_error(out, 400, "not a URI");
	}
}

static void call_create(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room;
	int err;

	if (params[CREATE_SUBJECT].text.len > CONF_TEXT_MAX || params[CREATE_MAX].number < 0) {
		reply_error(out, 400, "a subject too long, or max_participants below 0");
		return;
	}
	err = conf_room_new(&room, state, params[CREATE_ROOM].text);
	if (err < 0) {
		create_error(out, err);
		return;
	}
	room->lasting = true;
	room->subject = slice_dup(params[CREATE_SUBJECT].text);
	room->max_participants = (uint64_t)params[CREATE_MAX].number;
	conf_room_announce(room);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct param_spec room_params[] = {
    {.name = "room", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_end(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room = find(state, params[0].text, out);

	if (!room)
		return;
	conf_room_end(room);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct param_spec kick_params[] = {
    {.name = "room", .kind = PARAM_TEXT, .required = true},
    {.name = "participant", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_kick(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room = find(state, params[0].text, out);
	struct conf_user *user;
	size_t devices = 0;
	struct conf_participant *p, *next;

	if (!room)
		return;
	user = conf_room_user(room, params[1].text);
	if (!user) {
		reply_error(out, 404, "unknown participant");
		return;
	}
	/* The user goes with the last device, and the room may. */
	LIST_FOREACH(p, &user->devices, device)
		devices++;
	for (p = LIST_FIRST(&user->devices); devices--; p = next) {
		next = LIST_NEXT(p, device);
		conf_participant_end(p, "kicked");
	}
	reply_text(out, NULL, SLICE("OK"));
}

static const struct method methods[] = {
    {.name = "msrp_conf_list",
	.params = list_params,
	.call = call_list,
	.help = "list the chat rooms and who is in them"},
    {.name = "msrp_conf_create",
	.params = create_params,
	.call = call_create,
	.help = "make a chat room"},
    {.name = "msrp_conf_end", .params = room_params, .call = call_end, .help = "end a chat room"},
    {.name = "msrp_conf_kick",
	.params = kick_params,
	.call = call_kick,
	.help = "remove somebody from a chat room"},
    {0},
};

/* --- the service --- */

#define NUMBER(field) .name = #field, .offset = offsetof(struct conf_counters, field)

static const struct stats_row numbers[] = {
    {NUMBER(rooms), .help = "Chat rooms now", .gauge = true},
    {NUMBER(participants), .help = "Sessions in chat rooms now", .gauge = true},
    {NUMBER(joins), .help = "Sessions that have joined"},
    {NUMBER(refused_joins), .help = "Requests to join that were refused"},
    {NUMBER(messages), .help = "Messages taken for a whole room"},
    {NUMBER(private_messages), .help = "Messages taken for one participant"},
    {NUMBER(copies), .help = "Copies of messages sent to participants"},
    {NUMBER(skipped), .help = "Copies that a participant could not take"},
    {NUMBER(refused), .help = "Messages refused"},
    {0},
};

static void stop(void *state)
{
	struct conf *conf = state;

	if (!conf)
		return;
	conf_rooms_free(conf);
	free(conf);
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	int err = -ENOMEM;

	if (conf) {
		conf->env = *env;
		err = stats_register(env->stats, "conf", numbers, &conf->count);
	}
	if (err == 0)
		err = conf_rooms_configure(conf, settings);
	if (err < 0) {
		stop(conf);
		return reason_set(why, err, "%s", strerror(-err));
	}
	*statep = conf;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	int err = conf_rooms_configure(state, settings);

	return err < 0 ? reason_set(why, err, "%s", strerror(-err)) : 0;
}

static size_t sessions(const void *state)
{
	const struct conf *conf = state;

	return (size_t)*conf->count.participants;
}

const struct service conf_service = {
    .name = "conf",
    .section = "conference",
    .settings = conf_settings_rows,
    .settings_size = sizeof(struct conf_settings),
    .actions = actions,
    .methods = methods,
    .events = conf_events,
    .start = start,
    .reload = reload,
    .sessions = sessions,
    .stop = stop,
};
