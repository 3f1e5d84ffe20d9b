/*
 * The turn of the loop: streams that were written to in it are served at its end, and the memory
 * of the turn is used again.
 */
#include "net/priv.h"

#include <errno.h>

enum {
	ROUNDS_A_TURN = 8, /* in which a stream's owner may write more before others are served */
	LATER_NS = 128 * 1000,
};

/* --- serving --- */

static bool flush_stream(struct net_stream *s)
{
	int err = s->failed ? -ENOMEM : 0;

	if (err == 0 && s->state == NET_OPEN)
		err = output_flush(s);
	if (err == 0 && s->state == NET_OPEN && net_stream_backlog(s) == 0) {
		if (!s->closing)
			return s->wants_room;
		stream_part(s, -ECONNRESET);
	}
	if (err == 0 && s->state != NET_CLOSED)
		err = output_settle(s);
	if (err < 0)
		net_stream_close(s, err);
	return false;
}

/*
 * One stream's share of a turn: write, let its owner write more, write that.
 * @return true if it wants another turn
 */
static bool serve_stream(struct net_stream *s)
{
	for (int round = 0; flush_stream(s); round++) {
		if (round == ROUNDS_A_TURN)
			return true;
		s->wants_room = false;
		s->protocol->handler->room(s);
	}
	/* Whoever was told that its bytes have left may have written more. */
	return s->state == NET_OPEN && net_stream_backlog(s) && !output_waits(s);
}

/* What it writes for itself while it is served does not make it dirty. */
static void serve_one(struct net_stream *s)
{
	bool again = serve_stream(s);

	s->dirty = false;
	if (again)
		turn_serve(s);
}

static bool settle_all(struct net *net)
{
	struct net_stream *s;

	TAILQ_FOREACH(s, &net->dirty, dirty_entry) {
		if (s->state != NET_CLOSED && output_settle(s) < 0) {
			net_stream_close(s, -ENOMEM);
			return false;
		}
	}
	return true;
}

/* Who hears of a stream's end may write on one that was settled before: from the start then. */
static void settle_dirty(struct net *net)
{
	while (!settle_all(net))
		;
}

/* --- the turn's end --- */

/* event_active() would call it before the sockets have had their turn, but cannot fail. */
void turn_call_soon(struct event *event)
{
	static const struct timeval now = {0, 0};

	if (evtimer_add(event, &now) < 0)
		event_active(event, EV_TIMEOUT, 0);
}

static void put(struct net_stream *s, bool later)
{
	struct net *net = s->protocol->net;

	if (later && TAILQ_EMPTY(&net->later))
		net->later_since = net->line.now;
	s->dirty = true;
	s->later = later;
	TAILQ_INSERT_TAIL(later ? &net->later : &net->dirty, s, dirty_entry);
}

static void take(struct net_stream *s)
{
	struct net *net = s->protocol->net;

	TAILQ_REMOVE(s->later ? &net->later : &net->dirty, s, dirty_entry);
	s->later = false;
}

static void serve(struct net_stream *s, bool later)
{
	struct net *net = s->protocol->net;

	if (s->state == NET_CLOSED || (s->dirty && (later || !s->later)))
		return;
	if (s->dirty)
		take(s);
	else
		net_stream_ref(s);
	put(s, later);
	/* What becomes dirty in a turn and is not served in it makes the turn set itself again. */
	if (!later && !net->ending && !net->line.running)
		event_active(net->end, EV_TIMEOUT, 0);
}

void turn_serve(struct net_stream *s)
{
	const struct net *net = s->protocol->net;

	serve(s, net->line.patient && !net->ending && !s->protocol->prompt);
}

void turn_serve_now(struct net_stream *s)
{
	serve(s, false);
}

/*
 * What is made dirty by others meanwhile is served as well, once; who comes up a second time gets
 * on with the next turn, so that this ends.
 */
static void serve_dirty(struct net *net)
{
	struct net_stream *s, *first_again = NULL;

	net->turn++;
	while ((s = TAILQ_FIRST(&net->dirty)) && s != first_again) {
		take(s);
		if (s->turn == net->turn) {
			s->dirty = false;
			turn_serve(s);
			/* One that was closed meanwhile does not come up a third time. */
			if (!first_again && s->dirty)
				first_again = s;
		} else {
			s->turn = net->turn;
			serve_one(s);
		}
		net_stream_unref(s);
	}
}

/* @param all  those as well that may wait; then the memory of the turn is free again */
static void end_turn(struct net *net, bool all)
{
	struct net_stream *s;

	net->ending = true;
	if (all) {
		TAILQ_FOREACH(s, &net->later, dirty_entry)
			s->later = false;
		TAILQ_CONCAT(&net->dirty, &net->later, dirty_entry);
	}
	serve_dirty(net);
	if (all) {
		settle_dirty(net);
		net_blocks_recycle(net);
	}
	net->ending = false;
	if (!TAILQ_EMPTY(&net->dirty))
		turn_call_soon(net->end);
}

void turn_run(struct net *net)
{
	end_turn(net, true);
}

/*
 * Those who have much to say have it sent in fewer pieces, and their bytes stay where they are
 * meanwhile.
 */
static bool others_may_wait(const struct net *net)
{
	return !TAILQ_EMPTY(&net->later) && !line_is_empty(&net->line)
	    && net->line.now - net->later_since < LATER_NS;
}

static void on_served(void *arg)
{
	struct net *net = arg;

	if (!TAILQ_EMPTY(&net->dirty) || !TAILQ_EMPTY(&net->later))
		end_turn(net, !others_may_wait(net));
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	on_served(arg);
}

/* --- reading again --- */

static struct net_stream *stream_in_line(struct line_entry *entry)
{
	return (struct net_stream *)(void *)((char *)entry - offsetof(struct net_stream, line));
}

static void on_line(struct line_entry *entry)
{
	struct net_stream *s = stream_in_line(entry);

	stream_readable(s);
	net_stream_unref(s);
}

static void join_line(struct net_stream *s, void (*join)(struct line *line, struct line_entry *e))
{
	s->line.run = on_line;
	s->line.most = s->protocol->frugal ? READ_MOST_FRUGAL : READ_MOST;
	net_stream_ref(s);
	join(&s->protocol->net->line, &s->line);
}

void stream_read_again(struct net_stream *s)
{
	if (s->line.waits || s->state == NET_CLOSED)
		return;
	join_line(s, line_join);
	stream_update_reading(s);
}

/* Most are served before the loop looks at their sockets again; who is not is not watched. */
void stream_read_ready(struct net_stream *s)
{
	if (s->line.waits)
		stream_update_reading(s);
	else
		join_line(s, line_ready);
}

/* --- life --- */

int turns_init(struct net *net)
{
	TAILQ_INIT(&net->dirty);
	TAILQ_INIT(&net->later);
	net->end = evtimer_new(net->base, on_end, net);
	return net->end ? line_init(&net->line, net->base, on_served, net) : -ENOMEM;
}

void turns_fini(struct net *net)
{
	if (net->end)
		event_free(net->end);
	line_fini(&net->line);
}

static void forget_waiting(struct line_entry *e, void *protocol)
{
	struct net_stream *s = stream_in_line(e);

	if (e->run != on_line || s->protocol != protocol)
		return;
	line_leave(&s->protocol->net->line, e);
	net_stream_unref(s);
}

static void forget_dirty(struct streams *streams, const struct net_protocol *protocol)
{
	struct net_stream *s, *next;

	for (s = TAILQ_FIRST(streams); s; s = next) {
		next = TAILQ_NEXT(s, dirty_entry);
		if (s->protocol != protocol)
			continue;
		take(s);
		net_stream_unref(s);
	}
}

void turn_forget(struct net *net, struct net_protocol *protocol)
{
	forget_dirty(&net->dirty, protocol);
	forget_dirty(&net->later, protocol);
	line_visit(&net->line, forget_waiting, protocol);
}
