/*
 * The turn of the loop: streams that were written to in it are served at its end, and the memory
 * of the turn is used again.
 */
#include "net/priv.h"

#include <errno.h>

enum { ROUNDS_A_TURN = 8 }; /* in which a stream's owner may write more before others are served */

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
static void serve_dirty(struct net_stream *s)
{
	bool again = serve_stream(s);

	s->dirty = false;
	if (again)
		turn_serve(s);
}

static bool settle_all(struct net *net)
{
	struct net_stream *s;

	STAILQ_FOREACH(s, &net->dirty, dirty_entry) {
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

void turn_serve(struct net_stream *s)
{
	struct net *net = s->protocol->net;

	if (s->dirty || s->state == NET_CLOSED)
		return;
	s->dirty = true;
	net_stream_ref(s);
	STAILQ_INSERT_TAIL(&net->dirty, s, dirty_entry);
	/* What becomes dirty in a turn and is not served in it makes the turn set itself again. */
	if (!net->ending)
		event_active(net->end, EV_TIMEOUT, 0);
}

void turn_run(struct net *net)
{
	struct net_stream *s, *first_again = NULL;

	/*
	 * What is made dirty by others meanwhile is served as well, once; who comes up a second
	 * time gets on with the next turn, so that this ends.
	 */
	net->ending = true;
	net->turn++;
	while ((s = STAILQ_FIRST(&net->dirty)) && s != first_again) {
		STAILQ_REMOVE_HEAD(&net->dirty, dirty_entry);
		if (s->turn == net->turn) {
			s->dirty = false;
			turn_serve(s);
			/* One that was closed meanwhile does not come up a third time. */
			if (!first_again && s->dirty)
				first_again = s;
		} else {
			s->turn = net->turn;
			serve_dirty(s);
		}
		net_stream_unref(s);
	}
	settle_dirty(net);
	net_blocks_recycle(net);
	net->ending = false;
	if (!STAILQ_EMPTY(&net->dirty))
		turn_call_soon(net->end);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	turn_run(arg);
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

void stream_read_again(struct net_stream *s)
{
	if (s->line.waits || s->state == NET_CLOSED)
		return;
	s->line.run = on_line;
	s->line.most = READ_MOST;
	net_stream_ref(s);
	line_join(&s->protocol->net->line, &s->line);
	stream_update_reading(s);
}

/* Who has little to say has its answer before who has much is read. */
static void before_line(void *arg)
{
	struct net *net = arg;

	if (!STAILQ_EMPTY(&net->dirty))
		turn_run(net);
}

/* --- life --- */

int turns_init(struct net *net)
{
	STAILQ_INIT(&net->dirty);
	net->end = evtimer_new(net->base, on_end, net);
	return net->end ? line_init(&net->line, net->base, before_line, net) : -ENOMEM;
}

void turns_fini(struct net *net)
{
	if (net->end)
		event_free(net->end);
	line_fini(&net->line);
}

void turn_forget(struct net *net, const struct net_protocol *protocol)
{
	struct line_entry *e, *after;
	struct net_stream *s, *next;

	for (s = STAILQ_FIRST(&net->dirty); s; s = next) {
		next = STAILQ_NEXT(s, dirty_entry);
		if (s->protocol != protocol)
			continue;
		STAILQ_REMOVE(&net->dirty, s, net_stream, dirty_entry);
		net_stream_unref(s);
	}
	for (e = STAILQ_FIRST(&net->line.entries); e; e = after) {
		after = STAILQ_NEXT(e, next);
		if (e->run != on_line || stream_in_line(e)->protocol != protocol)
			continue;
		line_leave(&net->line, e);
		net_stream_unref(stream_in_line(e));
	}
}
