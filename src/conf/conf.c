/* Chat rooms as main sees them: actions, methods and events. */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>
#include <msrpd/stats.h>

#include "conf/priv.h"

enum { MESSAGE_ID_LEN = 22 };

#define ABSENT ((struct slice){NULL, 0})

/* --- actions --- */

enum { JOIN_ROOM, JOIN_FROM };

static const struct arg_spec join_args[] = {
    [JOIN_ROOM] = {.name = "room", .kind = ARG_TEXT, .required = true},
    [JOIN_FROM] = {.name = "from", .kind = ARG_TEXT},
    {0},
};

/* Who somebody is says the rule, or the From of his request. */
static struct slice sender_of(const struct route_subject *subject, const struct arg *from)
{
	return from->present ? from->text : sip_request_field(subject->request, SIP_FIELD_FROM);
}

static int run_join(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct conf_room *room = conf_room_asked(state, subject->request, args[JOIN_ROOM].text);
	const struct conf_order order = {
	    .what = CONF_JOIN,
	    .from = sender_of(subject, &args[JOIN_FROM]),
	};

	return room ? conf_order_take(room, subject->request, &order) : -ENOENT;
}

static const struct arg_spec message_args[] = {
    {.name = "room", .kind = ARG_TEXT, .required = true},
    {0},
};

static int run_message(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct conf_room *room = conf_room_asked(state, subject->request, args[0].text);
	const struct conf_order order = {.what = CONF_PAGE, .answer = subject->last};

	return room ? conf_order_take(room, subject->request, &order) : -ENOENT;
}

/* What another node answers this one must not. */
static int check_message(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	(void)args;
	if ((place->first && place->last) || !place->env->cluster)
		return 0;
	return reason_set(why, -EINVAL,
	    "in a cluster answers by itself: no send_reply or the like beside it");
}

enum { REFER_ROOM, REFER_FROM, REFER_KICK };

static const char *const no_or_yes[] = {"no", "yes", NULL};

static const struct arg_spec refer_args[] = {
    [REFER_ROOM] = {.name = "room", .kind = ARG_TEXT, .required = true},
    [REFER_FROM] = {.name = "from", .kind = ARG_TEXT},
    [REFER_KICK] = {.name = "kick", .kind = ARG_CHOICE, .choices = no_or_yes},
    {0},
};

static int run_refer(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct sip_request *refer = subject->request;
	bool kick = args[REFER_KICK].present && args[REFER_KICK].number == 1;
	const struct conf_order order = {
	    .what = kick ? CONF_REFER_OUT : CONF_REFER,
	    .from = sender_of(subject, &args[REFER_FROM]),
	};
	struct conf_room *room;

	if (!slice_equal(sip_request_field(refer, SIP_FIELD_METHOD), SLICE("REFER")))
		return -EINVAL;
	room = conf_room_known(state, refer, args[REFER_ROOM].text);
	return room ? conf_order_take(room, refer, &order) : -ENOENT;
}

static const struct action actions[] = {
    {.name = "msg_to_conf",
	.lists = ROUTE_SIP,
	.args = message_args,
	.run = run_message,
	.check = check_message},
    {.name = "msrp_conf_join",
	.lists = ROUTE_SIP,
	.args = join_args,
	.ends_walk = true,
	.answers = true,
	.run = run_join},
    {.name = "msrp_conf_refer",
	.lists = ROUTE_SIP,
	.args = refer_args,
	.ends_walk = true,
	.answers = true,
	.run = run_refer},
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

/* The same if it is this node's. */
static struct conf_room *find_ours(struct conf *conf, struct slice uri, struct reply *out)
{
	struct conf_room *room = find(conf, uri, out);
	char why[96];

	if (!room || conf_room_claim(room))
		return room;
	snprintf(why, sizeof(why),
	    room->owner[0] ? "the room is on node %s"
			   : "%swhose the room is "
			     "is being asked: call again",
	    room->owner);
	reply_error(out, 409, why);
	return NULL;
}

static const struct slice nobody;

/* Is who asks in there?  Operators are everywhere. */
static bool is_theirs(const struct conf_room *room, const struct reply *out)
{
	const struct conf_user *user = room->users;

	while (user && !reply_is_for(out, slice_of(user->uri)))
		user = user->hh.next;
	return user || reply_is_for(out, nobody);
}

static bool is_their_room(const struct param *params, const struct reply *out, void *state)
{
	const struct conf_room *room = conf_room_find(state, params[0].text);

	return room && is_theirs(room, out);
}

static void put_participant(const struct conf_participant *p, struct reply *out)
{
	reply_open_object(out, NULL);
	reply_text(out, "participant", slice_of(p->user->uri));
	reply_text(out, "nickname", slice_of(p->shown));
	reply_text(out, "name", slice_of(p->name));
	reply_text(out, "mode", p->session ? SLICE("msrp") : SLICE("page"));
	/* His sessions are nobody else's business. */
	reply_text(out, "session_id",
	    p->session && reply_is_for(out, slice_of(p->user->uri))
		? slice_of(ua_session_id(p->session))
		: ABSENT);
	reply_close(out);
}

static void put_room(const struct conf_room *room, struct reply *out)
{
	const struct conf_participant *p;

	reply_open_object(out, NULL);
	reply_text(out, "room", slice_of(room->uri));
	reply_text(out, "subject", conf_room_subject(room));
	reply_text(out, "node",
	    room->ours ? cluster_own_name(room->conf->env.cluster)
		       : slice_of(room->owner[0] ? room->owner : NULL));
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

static bool is_all_or_theirs(const struct param *params, const struct reply *out, void *state)
{
	return !params[0].present || is_their_room(params, out, state);
}

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
		if (is_theirs(room, out))
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
		reply_error(out, 400, "not a SIP URI");
	}
}

static void call_create(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room;
	int err;

	if (params[CREATE_SUBJECT].text.len > CONF_TEXT_MAX
	    || (params[CREATE_MAX].present && params[CREATE_MAX].number < 1)) {
		reply_error(out, 400, "a subject too long, or max_participants below 1");
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
	conf_room_claim(room);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct param_spec room_params[] = {
    {.name = "room", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_end(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room = find_ours(state, params[0].text, out);

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
	struct conf_room *room = find_ours(state, params[0].text, out);
	struct conf_user *user;

	if (!room)
		return;
	user = conf_room_user(room, params[1].text);
	if (!user) {
		reply_error(out, 404, "unknown participant");
		return;
	}
	conf_user_kick(user);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct param_spec invite_params[] = {
    {.name = "room", .kind = PARAM_TEXT, .required = true},
    {.name = "uri", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void invite_error(struct reply *out, int err)
{
	switch (err) {
	case -ENOSPC:
		reply_error(out, 500, "the room is full");
		break;
	case -ENETUNREACH:
		reply_error(out, 500, "no SIP listener can reach it");
		break;
	case -EDESTADDRREQ:
		reply_error(out, 400, "a uri of this scheme needs sip.outbound_proxy");
		break;
	case -EINVAL:
	case -EMSGSIZE:
		reply_error(out, 400, "not a URI");
		break;
	default:
		reply_error(out, 500, "failed");
	}
}

static void call_invite(const struct param *params, struct reply *out, void *state)
{
	struct conf *conf = state;
	struct conf_room *room = find_ours(conf, params[0].text, out);
	struct conf_participant *p;
	int err;

	if (!room)
		return;
	err = conf->env.ua ? conf_invite(room, params[1].text, ABSENT, 0, &p) : -ENETUNREACH;
	if (err < 0) {
		invite_error(out, err);
		return;
	}
	reply_open_object(out, NULL);
	reply_text(out, "session_id", slice_of(ua_session_id(p->session)));
	reply_close(out);
}

enum { SEND_ROOM, SEND_BODY, SEND_MIME, SEND_FROM, SEND_TO, SEND_BASE64 };

static const struct param_spec send_params[] = {
    [SEND_ROOM] = {.name = "room", .kind = PARAM_TEXT, .required = true},
    [SEND_BODY] = {.name = "body", .kind = PARAM_BODY},
    [SEND_MIME] = {.name = "mime", .kind = PARAM_TEXT},
    [SEND_FROM] = {.name = "from", .kind = PARAM_TEXT},
    [SEND_TO] = {.name = "to", .kind = PARAM_TEXT},
    [SEND_BASE64] = {.name = "body_base64", .kind = PARAM_BASE64},
    {0},
};

/* To somebody alone: he has to be there, and to know what that is. */
static bool find_receiver(struct conf_room *room, struct conf_post *post, struct reply *out)
{
	const struct conf_user *user = conf_room_user(room, post->to);
	int status = user ? conf_judge_private(room, user, post->kind) : 404;

	if (status == 404)
		reply_error(out, 404, "unknown participant");
	else if (status)
		reply_error(out, status, "the participant takes no private messages");
	else
		post->to = slice_of(user->uri);
	return status == 0;
}

static void send_out(struct conf_post *post, struct reply *out)
{
	post->room->keep++;
	conf_deliver(post);
	conf_conclude(post);
	post->room->keep--;
	conf_room_review(post->room);
	shared_body_unref(post->body);
	reply_open_object(out, NULL);
	reply_text(out, "message_id", post->message_id);
	reply_close(out);
}

static void call_send(const struct param *params, struct reply *out, void *state)
{
	const struct param *body = &params[params[SEND_BASE64].present ? SEND_BASE64 : SEND_BODY];
	struct conf_room *room = find_ours(state, params[SEND_ROOM].text, out);
	char message_id[MESSAGE_ID_LEN + 1], from[CONF_URI_MAX + 1];
	struct conf_post post = {.room = room, .to = params[SEND_TO].text};
	int err;

	if (!room)
		return;
	if (params[SEND_BODY].present == params[SEND_BASE64].present) {
		reply_error(out, 400, "one of body and body_base64");
		return;
	}
	rand_token(message_id, MESSAGE_ID_LEN);
	post.message_id = slice_of(message_id);
	post.content_type =
	    params[SEND_MIME].present ? params[SEND_MIME].text : SLICE("text/plain;charset=UTF-8");
	if (!slice_is_media_type(post.content_type)) {
		reply_error(out, 400, "mime is not a media type");
		return;
	}
	post.kind = conf_kind_of(post.content_type);
	err = conf_uri_key(from,
	    params[SEND_FROM].present ? params[SEND_FROM].text : slice_of(room->uri));
	post.from_uri = slice_of(from);
	if (post.to.p && !find_receiver(room, &post, out))
		return;
	if (err == 0)
		err = conf_wrap(&post, ABSENT, body->text);
	if (err < 0)
		reply_error(out, err == -EINVAL || err == -EMSGSIZE ? 400 : 500,
		    err == -EINVAL || err == -EMSGSIZE ? "not a URI" : "failed");
	else
		send_out(&post, out);
}

static void put_entry(const struct conf_entry *entry, struct reply *out)
{
	struct cpim c;

	if (cpim_parse(&c, shared_body_bytes(entry->body)) < 0)
		return;
	reply_open_object(out, NULL);
	reply_text(out, "from", cpim_uri(cpim_value(&c, CPIM_CORE, "From")));
	reply_text(out, "datetime", cpim_value(&c, CPIM_CORE, "DateTime"));
	reply_text(out, "message_id", slice_of(entry->message_id));
	reply_text(out, "content_type", slice_of(entry->content_type));
	reply_body(out, "body", c.body);
	reply_close(out);
}

static void call_history(const struct param *params, struct reply *out, void *state)
{
	struct conf_room *room = find(state, params[0].text, out);
	const struct conf_entry *entry;

	if (!room)
		return;
	reply_open_list(out, NULL);
	STAILQ_FOREACH(entry, &room->history.entries, next)
		put_entry(entry, out);
	reply_close(out);
}

static const struct method methods[] = {
    {.name = "msrp_conf_list",
	.params = list_params,
	.access = METHOD_OWNER,
	.is_theirs = is_all_or_theirs,
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
    {.name = "msrp_conf_invite",
	.params = invite_params,
	.call = call_invite,
	.help = "call somebody into a chat room"},
    {.name = "msrp_conf_send",
	.params = send_params,
	.call = call_send,
	.help = "say something in a chat room"},
    {.name = "msrp_conf_history",
	.params = room_params,
	.access = METHOD_OWNER,
	.is_theirs = is_their_room,
	.call = call_history,
	.help = "list what was said in a chat room of late"},
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
    {NUMBER(slow), .help = "Participants dropped because they did not read"},
    {NUMBER(remote), .help = "Requests that went on to the node that has the room"},
    {NUMBER(remote_taken), .help = "INVITEs, MESSAGEs and REFERs that another node has sent on"},
    {NUMBER(yielded), .help = "Rooms that another node has got meanwhile"},
    {NUMBER(persist_longest),
	.help = "Microseconds that conference.persist has taken for a change, at most",
	.gauge = true},
    {0},
};

static void stop(void *state)
{
	struct conf *conf = state;

	if (!conf)
		return;
	conf->stopping = true;
	conf_rooms_free(conf);
	conf_roster_withdraw(conf);
	conf_refer_withdraw(conf);
	conf_orphans_free(conf);
	timer_fini(&conf->yield);
	timer_queue_fini(&conf->silent);
	timer_queue_fini(&conf->slow);
	conf_store_close(conf->store);
	free(conf);
}

static int open_store(struct conf *conf, struct reason *why)
{
	int err;

	if (!conf->settings->persist)
		return 0;
	err = conf_store_open(&conf->store, conf->settings->persist, why);
	if (err == 0 && (err = conf_store_load(conf)) < 0)
		reason_set(why, err, "persist: %s: cannot be read", conf->settings->persist);
	return err;
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
		err = timer_queue_init(&conf->slow, env->base,
		    env->ua ? ua_limits(env->ua).shared_stall_ms : 0, conf_pace_expired, conf);
	if (err == 0)
		err = timer_queue_init(&conf->silent, env->base,
		    ((const struct conf_settings *)settings)->page_timeout_ms, conf_phone_silent,
		    conf);
	if (err == 0)
		err = timer_init(&conf->yield, env->base, conf_rooms_yield, conf);
	if (err == 0)
		err = conf_rooms_configure(conf, settings);
	if (err == 0)
		err = conf_roster_offer(conf);
	if (err == 0)
		err = conf_refer_offer(conf);
	if (err < 0) {
		stop(conf);
		return reason_set(why, err, "%s", strerror(-err));
	}
	err = open_store(conf, why);
	if (err < 0) {
		stop(conf);
		return err;
	}
	*statep = conf;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	struct conf *conf = state;
	int err = conf_rooms_configure(conf, settings);

	timer_queue_set_period(&conf->silent, conf->settings->page_timeout_ms);
	if (conf->env.ua)
		timer_queue_set_period(&conf->slow, ua_limits(conf->env.ua).shared_stall_ms);
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
    .check = conf_settings_check,
    .actions = actions,
    .methods = methods,
    .events = conf_events,
    .start = start,
    .reload = reload,
    .contact = conf_contact,
    .forwarded = conf_forwarded,
    .sessions = sessions,
    .stop = stop,
};
