#include "endpoint/endpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/stats.h>
#include <msrpd/story.h>

#include "base/buffer.h"
#include "base/log.h"
#include "endpoint/receiver.h"
#include "endpoint/sender.h"
#include "endpoint/session.h"
#include "wire/nickname.h"
#include "wire/path.h"

#define NONE ((struct slice){NULL, 0})

struct endpoint {
	struct session session; /* first: it has the references */
	struct receiver in;
	struct sender out;
	char own_uri[];
};

static struct endpoint *of_session(struct session *s)
{
	return (struct endpoint *)s;
}

static void not_due(struct session *s)
{
	if (s->is_due)
		LIST_REMOVE(s, next_due);
	s->is_due = false;
}

/* --- what endpoints share --- */

static void on_silent(struct timer_entry *entry, void *arg)
{
	struct endpoint *ep =
	    (struct endpoint *)((char *)entry - offsetof(struct endpoint, session.silent));

	(void)arg;
	chunker_greet(&ep->out.chunker, chunker_can_send(&ep->out.chunker));
}

static void run_due(void *arg)
{
	struct endpoints *all = arg;
	struct session_list due = LIST_HEAD_INITIALIZER(due);
	struct session *s;

	/* An endpoint that becomes due meanwhile waits for the next round. */
	while ((s = LIST_FIRST(&all->due))) {
		LIST_REMOVE(s, next_due);
		LIST_INSERT_HEAD(&due, s, next_due);
	}
	while ((s = LIST_FIRST(&due))) {
		not_due(s);
		session_ref(s);
		sender_run(&of_session(s)->out);
		receiver_run(&of_session(s)->in);
		session_unref(s);
	}
}

enum { STORED_CHUNKS = 1024 };

#define NUMBER(field) .offset = offsetof(struct endpoint_counters, field)

static const struct stats_row numbers[] = {
    {NUMBER(messages_in), .name = "messages_in", .help = "whole messages received"},
    {NUMBER(messages_out), .name = "messages_out", .help = "messages queued for sending"},
    {NUMBER(reports_in), .name = "reports_in", .help = "REPORTs received"},
    {NUMBER(reports_out), .name = "reports_out", .help = "REPORTs sent"},
    {NUMBER(refused), .name = "messages_refused", .help = "messages answered 413, 415 and so on"},
    {NUMBER(duplicates), .name = "messages_duplicate",
	.help = "chunks of messages delivered before"},
    {NUMBER(partial), .name = "messages_partial",
	.help = "incomplete messages that got no chunk any more"},
    {0},
};

int endpoints_new(struct endpoints **allp, struct msrp_stack *stack, struct stats *stats)
{
	const struct msrp_settings *settings = msrp_stack_settings(stack);
	struct event_base *base = msrp_stack_base(stack);
	struct endpoints *all = calloc(1, sizeof(*all));
	int err = 0;

	if (!all)
		return -ENOMEM;
	all->stack = stack;
	all->chunks = POOL(struct chunk, STORED_CHUNKS);
	LIST_INIT(&all->due);
	err |= timer_queue_init(&all->partial, base, settings->partial_timeout_ms, partial_expired,
	    all);
	err |= timer_queue_init(&all->silent, base, settings->keepalive_ms, on_silent, all);
	err |= timer_init(&all->deferred, base, run_due, all);
	err |= stats_register(stats, "msrp", numbers, &all->count);
	if (err) {
		endpoints_free(all);
		return -ENOMEM;
	}
	*allp = all;
	return 0;
}

void endpoints_free(struct endpoints *all)
{
	if (!all)
		return;
	pool_trim(&all->chunks);
	timer_queue_fini(&all->partial);
	timer_queue_fini(&all->silent);
	timer_fini(&all->deferred);
	free(all);
}

void endpoints_reload(struct endpoints *all)
{
	const struct msrp_settings *settings = msrp_stack_settings(all->stack);

	timer_queue_set_period(&all->partial, settings->partial_timeout_ms);
	timer_queue_set_period(&all->silent, settings->keepalive_ms);
}

/* --- the connection --- */

static void tell_bound(struct endpoint *ep)
{
	struct session *s = &ep->session;

	if (!s->bound_told) {
		s->bound_told = true;
		s->handler->bound(s->arg);
	}
	chunker_kick(&ep->out.chunker);
}

static void note_bound(const struct session *s, const struct msrp_conn *conn)
{
	const struct story of = {.session_id = msrp_target_id(&s->target),
	    .stack = "msrp",
	    .conn = msrp_conn_number(conn)};
	char peer[64];

	msrp_conn_peer_text(conn, peer, sizeof(peer));
	story_note(LOG_LEVEL_DEBUG, &of, "msrp: session %.*s: on conn %" PRIu64 ", %s %s by %s",
	    SLICE_ARG(msrp_target_id(&s->target)), of.conn,
	    msrp_conn_accepted(conn) ? "opened by" : "to", peer,
	    msrp_conn_transport(conn)->secure ? "TLS" : "TCP");
}

static void attach(struct endpoint *ep, struct msrp_conn *conn, uint64_t idle_ms)
{
	struct session *s = &ep->session;

	msrp_conn_attach(conn, &s->user, idle_ms);
	msrp_flow_attach(&ep->out.chunker.flow, conn);
	s->connections++;
	s->speaks_first = s->confirmed = s->bound_told = false;
	session_active(s);
	note_bound(s, conn);
}

/* Off its connection, with no byte of a message lent to it any more. */
static void leave(struct endpoint *ep)
{
	struct session *s = &ep->session;

	sender_leave(&ep->out);
	s->connections++;
	timer_queue_stop(&s->all->silent, &s->silent);
	msrp_flow_detach(&ep->out.chunker.flow);
	receiver_leave(&ep->in, s->user.conn);
	msrp_conn_detach(&s->user);
}

/* The peer's connection in place of ours: see bind_to(). */
static void move_to_second(struct endpoint *ep)
{
	struct session *s = &ep->session;
	struct msrp_conn *conn = s->second.conn;

	msrp_conn_detach(&s->second);
	attach(ep, conn, 0);
	session_confirm(s);
	s->bound_told = true;
	chunker_kick(&ep->out.chunker);
}

static struct endpoint *of_user(struct msrp_user *user)
{
	return (struct endpoint *)((char *)user - offsetof(struct endpoint, session.user));
}

static void on_closed(struct msrp_user *user, int err)
{
	struct endpoint *ep = of_user(user);
	struct session *s = session_ref(&ep->session);

	leave(ep);
	sender_rewind(&ep->out, err);
	if (s->handler && s->second.conn && !s->relayed)
		move_to_second(ep);
	else if (s->handler && !s->user.conn)
		s->handler->lost(err, s->arg);
	session_unref(s);
}

static void on_opened(struct msrp_user *user)
{
	struct endpoint *ep = of_user(user);
	struct session *s = session_ref(&ep->session);

	tell_bound(ep);
	session_unref(s);
}

static const struct msrp_user_ops user_ops = {
    .closed = on_closed,
    .opened = on_opened,
    .for_anybody = true,
};

static void on_second_closed(struct msrp_user *user, int err)
{
	(void)user; /* the session goes on on the connection that it has */
	(void)err;
}

static const struct msrp_user_ops second_ops = {.closed = on_second_closed, .for_anybody = true};

static void on_refused(struct session *s, int code)
{
	struct endpoint *ep = of_session(s);

	if (code == 506 && s->second.conn && !s->relayed) {
		leave(ep);
		sender_rewind(&ep->out, 0);
		if (s->handler && s->second.conn)
			move_to_second(ep);
		return;
	}
	if (s->handler->refused)
		s->handler->refused(code, s->arg);
}

/* --- requests --- */

static void answer(struct msrp_conn *conn, int code, struct slice phrase)
{
	msrp_conn_reply(conn, code, phrase, NONE);
}

/*
 * RFC 4975 5.4: a session lives on one connection, that of the first request.  When both sides
 * connect, each sees the other's connection while nothing has come back on its own: that second
 * one is heard as well, and becomes the session's when the peer gives the first one up.
 *
 * Some relays deliver over a connection that they open to our own URI, although ours is there: it
 * is heard, and what we send goes by ours, which has the grant.
 *
 * @return may the request go on?
 */
static bool bind_to(struct endpoint *ep, struct msrp_conn *conn)
{
	struct session *s = &ep->session;

	if (s->user.conn == conn || s->second.conn == conn)
		return true;
	if (s->user.conn && ((s->confirmed && !s->relayed) || s->second.conn)) {
		log_debug("msrp: session %.*s: 506: bound to another connection",
		    SLICE_ARG(msrp_target_id(&s->target)));
		answer(conn, 506, SLICE("Bound to another connection"));
		return false;
	}
	if (s->user.conn && msrp_conn_open(s->user.conn)) {
		msrp_conn_attach(conn, &s->second, 0);
		return true;
	}
	if (s->user.conn) {
		leave(ep);
		sender_rewind(&ep->out, 0);
	}
	if (!s->handler)
		return false;
	attach(ep, conn, 0);
	return true;
}

/* What comes of it the service says; the endpoint may be gone by then. */
static void take_nickname(struct endpoint *ep, struct msrp_conn *conn, struct slice value)
{
	struct session *s = &ep->session;
	char text[MSRP_NICKNAME_MAX];
	ssize_t n = msrp_nickname_parse(text, value);
	struct slice nickname = {n < 0 ? NULL : text, n < 0 ? 0 : (size_t)n};

	answer(conn, s->handler->nickname(nickname, s->arg), NONE);
}

static int take_request(struct endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	switch (frame->method) {
	case MSRP_SEND:
		return receiver_take_send(&ep->in, conn, frame);
	case MSRP_REPORT:
		sender_take_report(&ep->out, conn);
		return 0;
	case MSRP_NICKNAME:
		take_nickname(ep, conn, frame->use_nickname);
		return 0;
	default:
		answer(conn, 501, SLICE("Method not understood"));
		return 0;
	}
}

/*
 * What is meant for TLS is not to be had without, nor the reverse (RFC 4975 5.4, 6).  A connection
 * that we opened leads to our relay or our peer, whose URI has said how: what it brings is ours
 * whatever the scheme of our own URI.
 */
static bool may_bring(const struct msrp_conn *conn, const struct msrp_frame *frame)
{
	return !msrp_conn_accepted(conn) || msrp_conn_transport(conn)->secure == frame->to.secure;
}

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct endpoint *ep =
	    (struct endpoint *)((char *)target - offsetof(struct endpoint, session.target));
	struct session *s = &ep->session;
	int err = 0;

	/* RFC 4975 7.3: a path that goes on behind us is none of ours. */
	if (!may_bring(conn, frame) || msrp_path_rest(frame->to_path).p) {
		answer(conn, 481, SLICE("No such session"));
		return 0;
	}
	session_ref(s);
	if (bind_to(ep, conn)) {
		session_active(s);
		if (s->user.conn == conn || s->relayed) {
			session_confirm(s);
			tell_bound(ep);
		}
		if (s->handler && (s->user.conn == conn || s->second.conn == conn))
			err = take_request(ep, conn, frame);
	}
	session_unref(s);
	return err;
}

static const struct msrp_target_ops target_ops = {.request = on_request, .bridges = true};

/* --- the public functions --- */

int endpoint_new(struct endpoint **epp, struct endpoints *all,
    const struct endpoint_options *options)
{
	struct slice own = options->own_uri;
	struct endpoint *ep;
	struct session *s;
	int err;

	if (own.len > MSRP_PATH_MAX)
		return -EINVAL;
	ep = calloc(1, sizeof(*ep) + own.len + 1);
	if (!ep)
		return -ENOMEM;
	memcpy(ep->own_uri, own.p, own.len);
	s = &ep->session;
	s->own_uri = ep->own_uri;
	s->refs = 1;
	s->all = all;
	s->handler = options->handler;
	s->arg = options->arg;
	s->stream = options->stream;
	s->bounded = options->bounded || !options->stream;
	s->max_queued_bytes = options->max_queued_bytes;
	s->chunk_size = options->chunk_size;
	s->user.ops = &user_ops;
	s->second.ops = &second_ops;
	s->target.ops = &target_ops;
	sender_init(&ep->out, s, on_refused);
	receiver_init(&ep->in, s);
	s->target.uri = (struct slice){ep->own_uri, own.len};
	err = msrp_target_bind(all->stack, &s->target);
	if (err < 0) {
		free(ep);
		return err;
	}
	*epp = ep;
	return 0;
}

void endpoint_free(struct endpoint *ep)
{
	struct session *s;

	if (!ep)
		return;
	s = &ep->session;
	s->handler = NULL;
	not_due(s);
	msrp_target_unbind(s->all->stack, &s->target);
	leave(ep);
	receiver_leave(&ep->in, s->second.conn);
	msrp_conn_detach(&s->second);
	sender_fini(&ep->out);
	receiver_fini(&ep->in);
	session_unref(s);
}

int endpoint_set_path(struct endpoint *ep, struct slice relays, struct slice peer)
{
	struct session *s = &ep->session;
	char text[MSRP_PATH_MAX + 1];
	struct buffer w = {.p = text, .cap = MSRP_PATH_MAX};
	char *path;

	msrp_path_write_joined(&w, relays, peer);
	if (w.err)
		return -EMSGSIZE;
	if (msrp_path_count(buffer_text(&w)) < 0)
		return -EINVAL;
	path = slice_dup(buffer_text(&w));
	if (!path)
		return -ENOMEM;
	s->heard &= s->to_path && strcmp(s->to_path, path) == 0;
	free(s->to_path);
	s->to_path = path;
	s->relayed = relays.len > 0;
	return 0;
}

int endpoint_connect(struct endpoint *ep, const struct msrp_destination *to, bool greet,
    uint64_t idle_ms)
{
	struct session *s = &ep->session;
	struct msrp_conn *conn;
	int err = msrp_pool_get(s->all->stack, to, &conn);

	if (err < 0)
		return err;
	if (s->user.conn != conn) {
		endpoint_unbind(ep);
		attach(ep, conn, idle_ms);
	}
	s->speaks_first = greet;
	chunker_greet(&ep->out.chunker, greet);
	return 0;
}

void endpoint_start(struct endpoint *ep)
{
	struct session *s = &ep->session;

	s->started = true;
	chunker_kick(&ep->out.chunker);
}

void endpoint_unbind(struct endpoint *ep)
{
	struct session *s = &ep->session;

	if (s->second.conn) {
		receiver_leave(&ep->in, s->second.conn);
		msrp_conn_detach(&s->second);
	}
	if (!s->user.conn)
		return;
	leave(ep);
	sender_rewind(&ep->out, 0);
}

bool endpoint_bound(const struct endpoint *ep)
{
	const struct session *s = &ep->session;

	return s->user.conn && msrp_conn_open(s->user.conn);
}

bool endpoint_heard(const struct endpoint *ep)
{
	return ep->session.heard;
}

struct msrp_conn *endpoint_conn(const struct endpoint *ep)
{
	const struct session *s = &ep->session;

	return s->user.conn;
}

void endpoint_filter(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	sender_filter(&ep->out, judge, arg);
}

int endpoint_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id)
{
	return sender_send(&ep->out, message, flags, message_id);
}

void endpoint_ready(struct endpoint *ep, struct slice message_id)
{
	sender_ready(&ep->out, message_id);
}

void endpoint_resume(struct endpoint *ep, void *stream)
{
	receiver_resume(&ep->in, stream);
}

int endpoint_report(struct endpoint *ep, struct slice message_id, const struct report_out *report)
{
	return receiver_report(&ep->in, message_id, report);
}

void endpoint_give_up(struct endpoint *ep)
{
	struct session *s = session_ref(&ep->session);

	sender_give_up(&ep->out);
	receiver_give_up(&ep->in);
	session_unref(s);
}

uint64_t endpoint_backlog(const struct endpoint *ep)
{
	return ep->out.chunker.messages.unsent;
}

void endpoint_want_room(struct endpoint *ep, uint64_t low)
{
	ep->out.chunker.wants_room = true;
	ep->out.chunker.low = low;
}

void endpoint_info(const struct endpoint *ep, struct endpoint_info *info)
{
	*info = (struct endpoint_info){
	    .queued_bytes = ep->out.chunker.messages.bytes,
	    .messages_in = ep->in.messages,
	    .messages_out = ep->out.messages,
	    .drained = chunker_drained(&ep->out.chunker),
	    .written = chunker_written(&ep->out.chunker),
	};
}
