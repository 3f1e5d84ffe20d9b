#include "room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>
#include <msrpd/log.h>
#include <msrpd/rand.h>
#include <msrpd/stats.h>
#include <msrpd/subscription.h>
#include <msrpd/ua.h>

enum { MEMBERS_MAX = 4, WATCHERS_MAX = 4, ID_LEN = 11, NICKNAME_MAX = 64 };

struct member {
	struct room *room;
	struct ua_session *session; /* NULL: nobody */
	char id[ID_LEN + 1];
	char nickname[NICKNAME_MAX + 1];
};

struct room {
	struct service_env env;
	uint64_t *messages;
	struct member members[MEMBERS_MAX];
	struct subscription *watchers[WATCHERS_MAX]; /* NULL: nobody */
};

static const struct event_type joined = {
    .name = "E_ROOM_JOIN",
    .params = (const char *const[]){"member", "tokens", NULL},
};

static const struct event_type *const events[] = {&joined, NULL};

static size_t sessions(const void *state)
{
	const struct room *room = state;
	size_t n = 0;

	for (size_t i = 0; i < MEMBERS_MAX; i++)
		n += room->members[i].session != NULL;
	return n;
}

/* --- who watches --- */

static int on_subscribe(struct subscription *s, struct sip_request *request, void **watcherp,
    void *arg)
{
	struct room *room = arg;

	(void)request;
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (!room->watchers[i]) {
			room->watchers[i] = s;
			*watcherp = room;
			return 0;
		}
	return 486;
}

static int on_body(struct subscription *s, bool full, char **bodyp, size_t *lenp, void *watcher)
{
	int n = asprintf(bodyp, "%s: %zu", full ? "full" : "now", sessions(watcher));

	(void)s;
	*lenp = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -ENOMEM : 0;
}

static void on_watcher_ended(struct subscription *s, void *watcher)
{
	struct room *room = watcher;

	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (room->watchers[i] == s)
			room->watchers[i] = NULL;
}

static const struct event_package package = {
    .event = "room",
    .content_type = "text/plain",
    .min_expires_s = 60,
    .default_expires_s = 3600,
    .max_expires_s = 7200,
    .subscribe = on_subscribe,
    .body = on_body,
    .ended = on_watcher_ended,
};

static void tell_watchers(struct room *room)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (room->watchers[i])
			subscription_changed(room->watchers[i]);
}

/* --- sessions --- */

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct member *m = arg;
	struct event_param params[] = {
	    event_text("member", slice_of(m->id)),
	    event_text("tokens", ua_peer_attribute(s)),
	};

	if (notice->what == UA_ESTABLISHED) {
		event_emit(m->room->env.bus, &joined, params, 2);
		tell_watchers(m->room);
		return;
	}
	log_debug("room: %s is gone", m->id);
	tell_watchers(m->room);
	*m = (struct member){0};
}

static int on_message(struct ua_session *s, const struct message *message, void *arg)
{
	struct room *room = ((struct member *)arg)->room;
	struct message_out out = {.content_type = message->content_type};

	if (shared_body_new(&out.body.shared, room->env.budget, message->body) < 0)
		return 413;
	out.body.bytes = shared_body_bytes(out.body.shared);
	for (size_t i = 0; i < MEMBERS_MAX; i++)
		if (room->members[i].session && room->members[i].session != s)
			ua_send(room->members[i].session, &out, 0, NULL);
	shared_body_unref(out.body.shared);
	++*room->messages;
	return 0;
}

static int on_nickname(struct ua_session *s, struct slice nickname, void *arg)
{
	struct member *me = arg;

	(void)s;
	if (!nickname.p || nickname.len > NICKNAME_MAX)
		return 424;
	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		const struct member *other = &me->room->members[i];

		if (other->session && other != me && nickname.len
		    && slice_equal(nickname, slice_of(other->nickname)))
			return 425;
	}
	memcpy(me->nickname, nickname.p, nickname.len);
	me->nickname[nickname.len] = '\0';
	return 200;
}

static const struct ua_handler handler = {
    .name = "room",
    .notify = on_notify,
    .message = on_message,
    .nickname = on_nickname,
};

/* --- the service --- */

static struct member *free_place(struct room *room)
{
	for (size_t i = 0; i < MEMBERS_MAX; i++)
		if (!room->members[i].session)
			return &room->members[i];
	return NULL;
}

static int run_join(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct room *room = state;
	struct member *m = free_place(room);
	struct ua_offer offer = {
	    .accept_types = SLICE("text/plain"),
	    .handler = &handler,
	    .arg = m,
	    .attributes = SLICE("a=chatroom:nickname\r\n"),
	    .contact = SLICE(";isfocus"),
	    .peer_attribute = "chatroom",
	};

	(void)args;
	if (!m) {
		sip_request_reply(subject->request, 486, SLICE("Busy Here"),
		    (struct slice){NULL, 0});
		return -ENOBUFS;
	}
	m->room = room;
	rand_token(m->id, ID_LEN);
	return ua_answer(room->env.ua, subject->request, &offer, &m->session);
}

static const struct action actions[] = {
    {.name = "room_join", .lists = ROUTE_SIP, .ends_walk = true, .answers = true, .run = run_join},
    {0},
};

static const struct stats_row numbers[] = {
    {.name = "messages", .help = "messages taken", .offset = offsetof(struct room, messages)},
    {0},
};

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct room *room = calloc(1, sizeof(*room));

	(void)settings;
	if (!room || stats_register(env->stats, "room", numbers, room) < 0) {
		free(room);
		return reason_set(why, -ENOMEM, "out of memory");
	}
	room->env = *env;
	if (notifier_offer(env->notifier, &package, room) < 0) {
		free(room);
		return reason_set(why, -ENOMEM, "out of memory");
	}
	*statep = room;
	return 0;
}

static void stop(void *state)
{
	struct room *room = state;

	notifier_withdraw(room->env.notifier, &package);
	free(room);
}

const struct service room_service = {
    .name = "room",
    .actions = actions,
    .events = events,
    .start = start,
    .sessions = sessions,
    .stop = stop,
};
