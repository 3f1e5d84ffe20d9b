/* A connection's life and its users; its frames are in input.c and flow.c. */
#include "msrp/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/listener.h"

/* --- life --- */

struct msrp_conn *conn_new(struct msrp_stack *stack, const struct msrp_transport *transport)
{
	struct msrp_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	net_stream_init(&conn->stream, &stack->protocol);
	conn->transport = transport;
	flows_init(conn);
	return conn;
}

struct msrp_conn *msrp_conn_ref(struct msrp_conn *conn)
{
	net_stream_ref(&conn->stream);
	return conn;
}

void msrp_conn_unref(struct msrp_conn *conn)
{
	net_stream_unref(&conn->stream);
}

void msrp_conn_close(struct msrp_conn *conn, int err)
{
	net_stream_close(&conn->stream, err);
}

void msrp_conn_close_after_send(struct msrp_conn *conn)
{
	answers_send(conn);
	net_stream_close_after_send(&conn->stream);
}

bool msrp_conn_closed(const struct msrp_conn *conn)
{
	return conn->stream.state == NET_CLOSED;
}

bool msrp_conn_closing(const struct msrp_conn *conn)
{
	return conn->stream.closing || msrp_conn_closed(conn);
}

bool msrp_conn_open(const struct msrp_conn *conn)
{
	return conn->stream.state == NET_OPEN;
}

static struct net_stream *on_accept(void *arg)
{
	struct msrp_listener *listener = arg;
	struct msrp_conn *conn =
	    conn_new(msrp_listener_stack(listener), msrp_listener_transport(listener));

	return conn ? &conn->stream : NULL;
}

static void on_opened(struct net_stream *stream)
{
	struct msrp_conn *conn = conn_of(stream);
	struct msrp_stack *stack = stack_of(conn);
	struct msrp_user *user;

	conn->idle_left_ms = conn->idle_ms;
	/* What comes from outside has to prove that it is for a session. */
	if (!conn->user_count) {
		net_stream_set_life(stream,
		    msrp_conn_accepted(conn) ? &stack->unbound : &stack->idle);
		unused_opened(conn);
	}
	/* A handler may detach any user, the next one as well. */
	conn->next_user = LIST_FIRST(&conn->users);
	while ((user = conn->next_user) && msrp_conn_open(conn)) {
		conn->next_user = LIST_NEXT(user, entry);
		if (user->ops->opened)
			user->ops->opened(user);
	}
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	return input_feed(conn_of(stream), bytes, end);
}

static void on_room(struct net_stream *stream)
{
	flows_run(conn_of(stream));
}

static void on_interrupt(struct net_stream *stream)
{
	flows_interrupt(conn_of(stream));
}

static void tell_users(struct msrp_conn *conn, int err)
{
	struct msrp_user *user;

	while ((user = LIST_FIRST(&conn->users))) {
		msrp_conn_detach(user);
		user->ops->closed(user, err);
	}
}

static void close_notes(struct msrp_conn *conn)
{
	struct msrp_note *note;

	while ((note = SLIST_FIRST(&conn->notes))) {
		SLIST_REMOVE_HEAD(&conn->notes, entry);
		note->closed(note);
	}
}

static void on_cut(struct net_stream *stream)
{
	input_cut(conn_of(stream));
}

static void on_closed(struct net_stream *stream, int err)
{
	struct msrp_conn *conn = conn_of(stream);

	unused_end(conn);
	pool_remove(conn);
	input_abort(conn, err);
	flows_closed(conn, err);
	transactions_lost(conn, err);
	tell_users(conn, err);
	close_notes(conn);
}

static void on_free(struct net_stream *stream)
{
	struct msrp_conn *conn = conn_of(stream);

	input_drop(conn);
	answers_free(conn);
	free(conn);
}

const struct net_handler conn_handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_interrupt,
    .cut = on_cut,
    .closed = on_closed,
    .free = on_free,
};

/* --- what others may know --- */

uint64_t msrp_conn_number(const struct msrp_conn *conn)
{
	return conn->stream.number;
}

const struct msrp_transport *msrp_conn_transport(const struct msrp_conn *conn)
{
	return conn->transport;
}

bool msrp_conn_accepted(const struct msrp_conn *conn)
{
	return conn->stream.accepted;
}

struct msrp_listener *msrp_conn_listener(const struct msrp_conn *conn)
{
	return conn->stream.listener ? conn->stream.listener->arg : NULL;
}

static void write_address(const union addr *addr, char *text, size_t size)
{
	char whole[ADDR_TEXT_SIZE];

	snprintf(text, size, "%s", addr_print(addr, whole));
}

void msrp_conn_peer_text(const struct msrp_conn *conn, char *text, size_t size)
{
	union addr addr;

	net_stream_peer(&conn->stream, &addr);
	write_address(&addr, text, size);
}

void msrp_conn_local_text(const struct msrp_conn *conn, char *text, size_t size)
{
	union addr addr;

	net_stream_local(&conn->stream, &addr);
	write_address(&addr, text, size);
}

bool msrp_conn_peer_is(const struct msrp_conn *conn, struct slice host)
{
	return net_stream_peer_is(&conn->stream, host);
}

bool msrp_conn_peer_certified(const struct msrp_conn *conn)
{
	return net_stream_peer_certified(&conn->stream);
}

bool msrp_conn_peer_fingerprint(const struct msrp_conn *conn, struct slice fingerprint)
{
	return net_stream_peer_has_fingerprint(&conn->stream, fingerprint);
}

void msrp_conn_wrong_credentials(struct msrp_conn *conn)
{
	union addr peer;

	net_stream_peer(&conn->stream, &peer);
	net_guard_note_failure(net_guard_of(conn->stream.protocol->net), &peer, true);
}

bool msrp_conn_is_barred(const struct msrp_conn *conn)
{
	union addr peer;

	net_stream_peer(&conn->stream, &peer);
	return net_guard_bars(net_guard_of(conn->stream.protocol->net), &peer);
}

struct msrp_note *msrp_conn_note(const struct msrp_conn *conn,
    void (*closed)(struct msrp_note *note))
{
	struct msrp_note *note;

	SLIST_FOREACH(note, &conn->notes, entry)
		if (note->closed == closed)
			break;
	return note;
}

void msrp_conn_add_note(struct msrp_conn *conn, struct msrp_note *note)
{
	SLIST_INSERT_HEAD(&conn->notes, note, entry);
}

void msrp_conn_remove_note(struct msrp_conn *conn, struct msrp_note *note)
{
	SLIST_REMOVE(&conn->notes, note, msrp_note, entry);
}
uint32_t *msrp_conn_marks(struct msrp_conn *conn)
{
	return &conn->marks;
}

/* --- users --- */

static void keep_idle(struct msrp_conn *conn)
{
	conn->idle_left_ms = conn->idle_ms;
	net_stream_set_life(&conn->stream, &stack_of(conn)->idle);
}

void msrp_conn_keep(struct msrp_conn *conn)
{
	conn->used = true;
	unused_end(conn);
	if (conn->user_count == 0 && msrp_conn_open(conn))
		keep_idle(conn);
}

void msrp_conn_attach(struct msrp_conn *conn, struct msrp_user *user, uint64_t idle_ms)
{
	/* In whole seconds, as long as 32 bits hold. */
	uint64_t whole = (idle_ms + 999) / 1000 * 1000;

	if (whole > UINT32_MAX)
		whole = UINT32_MAX;
	if (whole > conn->idle_ms)
		conn->idle_ms = (uint32_t)whole;
	user->conn = conn;
	LIST_INSERT_HEAD(&conn->users, user, entry);
	conn->user_count++;
	conn->used = true;
	unused_end(conn);
	if (msrp_conn_open(conn))
		net_stream_set_life(&conn->stream, NULL);
}

void msrp_conn_detach(struct msrp_user *user)
{
	struct msrp_conn *conn = user->conn;

	if (!conn)
		return;
	if (conn->next_user == user)
		conn->next_user = LIST_NEXT(user, entry);
	LIST_REMOVE(user, entry);
	user->conn = NULL;
	if (--conn->user_count > 0 || msrp_conn_closed(conn))
		return;
	if (msrp_conn_open(conn))
		keep_idle(conn);
	if (user->ops->for_anybody)
		unused_begin(conn);
}

size_t msrp_conn_users(const struct msrp_conn *conn)
{
	return conn->user_count;
}

bool msrp_conn_used(const struct msrp_conn *conn)
{
	return conn->used;
}

void conn_on_unbound(struct timer_entry *life, void *stack)
{
	(void)stack;
	net_stream_close(net_stream_expired(life), -ETIMEDOUT);
}

/* The queue's period is idle_timeout; a user may have asked for several of them. */
void conn_on_idle(struct timer_entry *life, void *arg)
{
	struct net_stream *stream = net_stream_expired(life);
	struct msrp_conn *conn = conn_of(stream);
	struct msrp_stack *stack = arg;

	if (conn->idle_left_ms > stack->idle.period_ms) {
		conn->idle_left_ms -= (uint32_t)stack->idle.period_ms;
		net_stream_set_life(stream, &stack->idle);
	} else {
		net_stream_close(stream, -ETIMEDOUT);
	}
}

/* --- output --- */

void msrp_conn_send(struct msrp_conn *conn, struct slice frame)
{
	if (net_stream_send(&conn->stream, frame) < 0)
		return;
	(*stack_of(conn)->count.frames_out)++;
	net_tap_message(&conn->stream, NET_OUT, frame, (struct slice){NULL, 0});
}

size_t msrp_conn_backlog(const struct msrp_conn *conn)
{
	return net_stream_backlog(&conn->stream);
}

void msrp_conn_mark(struct msrp_conn *conn, struct net_mark *mark)
{
	net_stream_mark(&conn->stream, mark);
}

void msrp_conn_unmark(struct msrp_conn *conn, struct net_mark *mark)
{
	net_stream_unmark(&conn->stream, mark);
}
