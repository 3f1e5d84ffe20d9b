#include "endpoint/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "base/stats.h"
#include "wire/nickname.h"
#include "wire/path.h"

#define NONE ((struct slice){NULL, 0})

static void not_due(struct endpoint *ep)
{
	if (!ep->due_prevp)
		return;
	*ep->due_prevp = ep->next_due;
	if (ep->next_due)
		ep->next_due->due_prevp = ep->due_prevp;
	ep->due_prevp = NULL;
}

/* --- what endpoints share --- */

static void on_silent(struct timer_entry *entry, void *arg)
{
	struct endpoint *ep =
	    (struct endpoint *)((char *)entry - offsetof(struct endpoint, silent));

	(void)arg;
	ep->out.greet = endpoint_can_send(ep);
	chunker_kick(ep);
}

static void run_due(void *arg)
{
	struct endpoints *all = arg;
	struct endpoint *ep, *due = all->due;

	/* An endpoint that becomes due meanwhile waits for the next round. */
	all->due = NULL;
	if (due)
		due->due_prevp = &due;
	while ((ep = due)) {
		not_due(ep);
		endpoint_ref(ep);
		sender_run(ep);
		receiver_run(ep);
		endpoint_unref(ep);
	}
}

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
	chunker_free_store(all);
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

void endpoint_due(struct endpoint *ep)
{
	struct endpoints *all = ep->all;

	if (ep->due_prevp || !ep->handler)
		return;
	ep->next_due = all->due;
	ep->due_prevp = &all->due;
	if (ep->next_due)
		ep->next_due->due_prevp = &ep->next_due;
	all->due = ep;
	timer_start(&all->deferred, 0);
}

/* --- life --- */

void endpoint_unref(struct endpoint *ep)
{
	if (--ep->refs)
		return;
	free(ep->to_path);
	free(ep);
}

bool endpoint_can_send(const struct endpoint *ep)
{
	/* RFC 6135 4.5: behind a relay the passive side connects too, and waits. */
	return ep->handler && ep->started && ep->to_path && ep->out.flow.conn
	    && (ep->speaks_first || ep->confirmed);
}

size_t endpoint_chunk_size(const struct endpoint *ep)
{
	return (size_t)(ep->chunk_size ? ep->chunk_size
				       : msrp_stack_settings(ep->all->stack)->chunk_size);
}

void endpoint_active(struct endpoint *ep)
{
	if (ep->all->silent.period_ms && ep->handler && ep->user.conn)
		timer_queue_start(&ep->all->silent, &ep->silent);
}

static void tell_bound(struct endpoint *ep)
{
	if (!ep->bound_told) {
		ep->bound_told = true;
		ep->handler->bound(ep->arg);
	}
	chunker_kick(ep);
}

static void attach(struct endpoint *ep, struct msrp_conn *conn, uint64_t idle_ms)
{
	msrp_conn_attach(conn, &ep->user, idle_ms);
	msrp_flow_attach(&ep->out.flow, conn);
	ep->connections++;
	ep->speaks_first = ep->confirmed = ep->bound_told = false;
	endpoint_active(ep);
}

/* Off its connection, with no byte of a message lent to it any more. */
static void leave(struct endpoint *ep)
{
	sender_leave(ep);
	ep->connections++;
	timer_queue_stop(&ep->all->silent, &ep->silent);
	msrp_flow_detach(&ep->out.flow);
	receiver_leave(ep, ep->user.conn);
	msrp_conn_detach(&ep->user);
}

/* The peer's connection in place of ours: see bind_to(). */
static void move_to_second(struct endpoint *ep)
{
	struct msrp_conn *conn = ep->second.conn;

	msrp_conn_detach(&ep->second);
	attach(ep, conn, 0);
	ep->confirmed = true;
	ep->bound_told = true;
	chunker_kick(ep);
}

static struct endpoint *of_user(struct msrp_user *user)
{
	return (struct endpoint *)((char *)user - offsetof(struct endpoint, user));
}

static void on_closed(struct msrp_user *user, int err)
{
	struct endpoint *ep = endpoint_ref(of_user(user));

	leave(ep);
	sender_rewind(ep, err);
	if (ep->handler && ep->second.conn && !ep->relayed)
		move_to_second(ep);
	else if (ep->handler && !ep->user.conn)
		ep->handler->lost(err, ep->arg);
	endpoint_unref(ep);
}

static void on_opened(struct msrp_user *user)
{
	struct endpoint *ep = endpoint_ref(of_user(user));

	tell_bound(ep);
	endpoint_unref(ep);
}

static const struct msrp_user_ops user_ops = {on_closed, on_opened};

static void on_second_closed(struct msrp_user *user, int err)
{
	(void)user; /* the session goes on on the connection that it has */
	(void)err;
}

static const struct msrp_user_ops second_ops = {.closed = on_second_closed};

void endpoint_refused(struct endpoint *ep, int code)
{
	if (code == 506 && ep->second.conn && !ep->relayed) {
		leave(ep);
		sender_rewind(ep, 0);
		if (ep->handler && ep->second.conn)
			move_to_second(ep);
		return;
	}
	if (ep->handler->refused)
		ep->handler->refused(code, ep->arg);
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
 * Some relays deliver over a connection that they open to our own URI, although ours is there: it is
 * heard, and what we send goes by ours, which has the grant.
 *
 * @return may the request go on?
 */
static bool bind_to(struct endpoint *ep, struct msrp_conn *conn)
{
	if (ep->user.conn == conn || ep->second.conn == conn)
		return true;
	if (ep->user.conn && ((ep->confirmed && !ep->relayed) || ep->second.conn)) {
		log_debug("msrp: session %.*s: 506: bound to another connection",
		    SLICE_ARG(ep->target.uri.session_id));
		answer(conn, 506, SLICE("Bound to another connection"));
		return false;
	}
	if (ep->user.conn && msrp_conn_open(ep->user.conn)) {
		msrp_conn_attach(conn, &ep->second, 0);
		return true;
	}
	if (ep->user.conn) {
		leave(ep);
		sender_rewind(ep, 0);
	}
	if (!ep->handler)
		return false;
	attach(ep, conn, 0);
	return true;
}

/* What comes of it the service says; the endpoint may be gone by then. */
static void take_nickname(struct endpoint *ep, struct msrp_conn *conn, struct slice value)
{
	char text[MSRP_NICKNAME_MAX];
	ssize_t n = msrp_nickname_parse(text, value);
	struct slice nickname = {n < 0 ? NULL : text, n < 0 ? 0 : (size_t)n};

	answer(conn, ep->handler->nickname(nickname, ep->arg), NONE);
}

static int take_request(struct endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	switch (frame->method) {
	case MSRP_SEND:
		return receiver_take_send(ep, conn, frame);
	case MSRP_REPORT:
		sender_report_received(ep, frame);
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
static bool may_bring(const struct endpoint *ep, const struct msrp_conn *conn)
{
	return !msrp_conn_accepted(conn)
	    || msrp_conn_transport(conn)->secure == ep->target.uri.secure;
}

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct endpoint *ep =
	    (struct endpoint *)((char *)target - offsetof(struct endpoint, target));
	int err = 0;

	/* RFC 4975 7.3: a path that goes on behind us is none of ours. */
	if (!may_bring(ep, conn) || msrp_path_rest(frame->to_path).p) {
		answer(conn, 481, SLICE("No such session"));
		return 0;
	}
	endpoint_ref(ep);
	if (bind_to(ep, conn)) {
		endpoint_active(ep);
		if (ep->user.conn == conn || ep->relayed) {
			ep->confirmed = true;
			tell_bound(ep);
		}
		if (ep->handler && (ep->user.conn == conn || ep->second.conn == conn))
			err = take_request(ep, conn, frame);
	}
	endpoint_unref(ep);
	return err;
}

static const struct msrp_target_ops target_ops = {.request = on_request, .bridges = true};

/* --- the public functions --- */

int endpoint_new(struct endpoint **epp, struct endpoints *all,
    const struct endpoint_options *options)
{
	struct slice own = options->own_uri;
	struct endpoint *ep;
	int err;

	if (own.len > MSRP_PATH_MAX)
		return -EINVAL;
	ep = calloc(1, sizeof(*ep) + own.len + 1);
	if (!ep)
		return -ENOMEM;
	memcpy(ep->own_uri, own.p, own.len);
	ep->refs = 1;
	ep->all = all;
	ep->handler = options->handler;
	ep->arg = options->arg;
	ep->stream = options->stream;
	ep->max_queued_bytes = options->max_queued_bytes;
	ep->chunk_size = options->chunk_size;
	ep->user.ops = &user_ops;
	ep->second.ops = &second_ops;
	ep->target.ops = &target_ops;
	sender_init(ep);
	receiver_init(ep);
	rand_token(ep->prefix, sizeof(ep->prefix) - 1);
	err = -EINVAL;
	if (msrp_uri_parse(&ep->target.uri, slice_of(ep->own_uri)) == (ssize_t)own.len)
		err = msrp_target_bind(all->stack, &ep->target);
	if (err < 0) {
		free(ep);
		return err;
	}
	*epp = ep;
	return 0;
}

void endpoint_free(struct endpoint *ep)
{
	if (!ep)
		return;
	ep->handler = NULL;
	not_due(ep);
	msrp_target_unbind(ep->all->stack, &ep->target);
	leave(ep);
	receiver_leave(ep, ep->second.conn);
	msrp_conn_detach(&ep->second);
	sender_fini(ep);
	receiver_fini(ep);
	endpoint_unref(ep);
}

int endpoint_set_path(struct endpoint *ep, struct slice relays, struct slice peer)
{
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
	free(ep->to_path);
	ep->to_path = path;
	ep->relayed = relays.len > 0;
	return 0;
}

int endpoint_connect(struct endpoint *ep, const struct msrp_destination *to, bool greet,
    uint64_t idle_ms)
{
	struct msrp_conn *conn;
	int err = msrp_pool_get(ep->all->stack, to, &conn);

	if (err < 0)
		return err;
	if (ep->user.conn != conn) {
		endpoint_unbind(ep);
		attach(ep, conn, idle_ms);
	}
	ep->speaks_first = ep->out.greet = greet;
	chunker_kick(ep);
	return 0;
}

void endpoint_start(struct endpoint *ep)
{
	ep->started = true;
	chunker_kick(ep);
}

void endpoint_unbind(struct endpoint *ep)
{
	if (ep->second.conn) {
		receiver_leave(ep, ep->second.conn);
		msrp_conn_detach(&ep->second);
	}
	if (!ep->user.conn)
		return;
	leave(ep);
	sender_rewind(ep, 0);
}

bool endpoint_bound(const struct endpoint *ep)
{
	return ep->user.conn && msrp_conn_open(ep->user.conn);
}

struct msrp_conn *endpoint_conn(const struct endpoint *ep)
{
	return ep->user.conn;
}

void endpoint_sift(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	sender_sift(ep, judge, arg);
}

int endpoint_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id)
{
	return sender_send(ep, message, flags, message_id);
}

void endpoint_ready(struct endpoint *ep, struct slice message_id)
{
	sender_ready(ep, message_id);
}

void endpoint_resume(struct endpoint *ep, void *stream)
{
	receiver_resume(ep, stream);
}

int endpoint_report(struct endpoint *ep, struct slice message_id, int code, struct slice phrase)
{
	return receiver_report(ep, message_id, code, phrase);
}

void endpoint_give_up(struct endpoint *ep)
{
	endpoint_ref(ep);
	sender_give_up(ep);
	receiver_give_up(ep);
	endpoint_unref(ep);
}

void endpoint_info(const struct endpoint *ep, struct endpoint_info *info)
{
	*info = (struct endpoint_info){
	    .queued_bytes = ep->out.bytes,
	    .messages_in = ep->in.messages,
	    .messages_out = ep->out.messages,
	    .drained = sender_drained(&ep->out),
	};
}
