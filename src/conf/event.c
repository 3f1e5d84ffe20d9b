#include "conf/priv.h"

static const struct event_type room_new = {
    .name = "E_MSRP_CONF_NEW",
    .params = (const char *const[]){"room", NULL},
};

static const struct event_type room_end = {
    .name = "E_MSRP_CONF_END",
    .params = (const char *const[]){"room", NULL},
};

static const struct event_type join = {
    .name = "E_MSRP_CONF_JOIN",
    .params = (const char *const[]){"room", "participant", "nickname", "session_id", NULL},
};

static const struct event_type leave = {
    .name = "E_MSRP_CONF_LEAVE",
    .params =
	(const char *const[]){"room", "participant", "nickname", "session_id", "reason", NULL},
};

static const struct event_type nickname = {
    .often = true,
    .name = "E_MSRP_CONF_NICKNAME",
    .params = (const char *const[]){"room", "participant", "nickname", "session_id", NULL},
};

static const struct event_type message = {
    .often = true,
    .name = "E_MSRP_CONF_MESSAGE",
    .params =
	(const char *const[]){"room", "from", "to", "message_id", "content_type", "body", NULL},
};

const struct event_type *const conf_events[] = {
    &room_new,
    &room_end,
    &join,
    &leave,
    &nickname,
    &message,
    NULL,
};

static struct event_param room_param(const struct conf_room *room)
{
	return event_text("room", (struct slice){room->uri, room->uri_len});
}

/* --- whom it concerns: who is in the room --- */

static void each_user(const void *what, void (*fn)(struct slice address, void *arg), void *arg)
{
	const struct conf_room *room = what;

	for (const struct conf_user *user = room->users; user; user = user->hh.next)
		fn((struct slice){user->uri, user->uri_len}, arg);
}

/* Who leaves is not in there any more. */
static void each_of_both(const void *what, void (*fn)(struct slice address, void *arg), void *arg)
{
	const struct conf_participant *p = what;

	fn((struct slice){p->user->uri, p->user->uri_len}, arg);
	each_user(p->room, fn, arg);
}

/* Two of them, or all. */
static void each_reader(const void *what, void (*fn)(struct slice address, void *arg), void *arg)
{
	const struct conf_post *post = what;

	if (!post->to.p) {
		each_user(post->room, fn, arg);
		return;
	}
	fn(post->from_uri, arg);
	fn(post->to, arg);
}

/* --- what is told --- */

void conf_tell_room(const struct conf_room *room, bool is_new)
{
	struct event_param params[] = {room_param(room)};
	struct event_audience audience = {.each = each_user, .what = room};

	event_emit_for(room->conf->env.bus, is_new ? &room_new : &room_end, params,
	    CONF_COUNT(params), &audience);
}

static void tell_participant(const struct conf_participant *p, const struct event_type *type,
    const char *reason)
{
	const struct conf_room *room = p->room;
	struct event_param params[] = {
	    room_param(room),
	    event_text("participant", (struct slice){p->user->uri, p->user->uri_len}),
	    event_text("nickname", slice_of(p->shown)),
	    event_text("session_id", slice_of(p->session ? ua_session_id(p->session) : NULL)),
	    event_text("reason", slice_of(reason)),
	};
	struct event_audience audience = {.each = each_of_both, .what = p};

	params[3].guarded = true; /* it is another's */
	event_emit_for(room->conf->env.bus, type, params, CONF_COUNT(params) - (reason ? 0 : 1),
	    &audience);
}

void conf_tell_join(const struct conf_participant *p)
{
	tell_participant(p, &join, NULL);
}

void conf_tell_leave(const struct conf_participant *p, const char *reason)
{
	tell_participant(p, &leave, reason);
}

void conf_tell_nickname(const struct conf_participant *p)
{
	tell_participant(p, &nickname, NULL);
}

void conf_tell_message(const struct conf_post *post)
{
	const struct conf_room *room = post->room;
	struct event_param params[] = {
	    room_param(room),
	    event_text("from", post->from_uri),
	    event_text("to", post->to.p ? post->to : slice_of(room->uri)),
	    event_text("message_id", post->message_id),
	    event_text("content_type", post->content_type),
	    event_body("body", post->content),
	};

	struct event_audience audience = {.each = each_reader, .what = post};

	if (event_wanted(room->conf->env.bus, &message))
		event_emit_for(room->conf->env.bus, &message, params, CONF_COUNT(params),
		    &audience);
}
