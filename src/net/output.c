/*
 * The output of a stream: urgent messages, and the bulk, in which the ends of messages are known,
 * so that the urgent can go in between.
 */
#include "net/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/log.h"

enum {
	STORED_OUTPUTS = 64,
};

/* --- the output --- */

void outputs_init(struct net *net)
{
	net->outputs = POOL(struct net_output, STORED_OUTPUTS);
}

static struct net_output *new_output(void)
{
	struct net_output *out = calloc(1, sizeof(*out));

	if (out)
		TAILQ_INIT(&out->marks);
	return out;
}

static struct net_output *output_get(struct net_stream *s)
{
	struct net_output *out = s->out;

	if (out)
		return out;
	/* One that was kept is empty, and has its arrays. */
	out = pool_take(&s->protocol->net->outputs);
	if (!out && !(out = new_output()))
		return NULL;
	out->stream = s;
	s->out = out;
	return out;
}

static void output_free(struct net_output *out)
{
	queue_free(&out->urgent);
	queue_free(&out->bulk);
	free(out);
}

void output_drop(struct net_stream *s)
{
	struct net *net = s->protocol->net;
	struct net_output *out = s->out;
	struct net_mark *mark;

	if (!out)
		return;
	while ((mark = TAILQ_FIRST(&out->marks)))
		net_stream_unmark(s, mark);
	timer_queue_stop(&s->protocol->sending, &out->sending);
	s->out = NULL;
	out->held = 0;
	queue_reset(net, &out->urgent);
	queue_reset(net, &out->bulk);
	if (pool_is_full(&net->outputs) || queue_is_large(&out->urgent)
	    || queue_is_large(&out->bulk))
		output_free(out);
	else
		pool_put(&net->outputs, out);
}

void outputs_free(struct net *net)
{
	struct net_output *out;

	while ((out = pool_take(&net->outputs)))
		output_free(out);
}

static size_t output_bytes(const struct net_output *out)
{
	return out->urgent.segments.bytes + out->bulk.segments.bytes + out->held;
}

size_t net_stream_backlog(const struct net_stream *s)
{
	return s->out ? output_bytes(s->out) : 0;
}

/*
 * Memory ran out while a message was being written: what the peer would see makes no sense.  It
 * is closed at the turn's end, since nobody who writes expects to hear of the end from inside.
 */
static void fail(struct net_stream *s)
{
	if (!s->failed)
		log_warn("%s: conn %" PRIu64 ": out of memory for output", s->protocol->name,
		    s->number);
	s->failed = true;
	turn_serve(s);
}

int net_stream_send(struct net_stream *s, struct slice message)
{
	struct net_output *out;

	if (s->state == NET_CLOSED || s->closing)
		return -ENOTCONN;
	out = output_get(s);
	if (s->failed || !out || queue_copy(s->protocol->net, &out->urgent, message) < 0
	    || (s->link.ops->framed && queue_end(&out->urgent) < 0)) {
		fail(s);
		return 0;
	}
	turn_serve(s);
	if (out->urgent.segments.bytes > s->protocol->limits.send_queue)
		stream_pause(s, PAUSED_BY_QUEUE);
	return 0;
}

bool net_stream_ping(struct net_stream *s)
{
	return s->state == NET_OPEN && !s->closing && s->link.ops->ping && s->link.ops->ping(s);
}

void net_stream_copy(struct net_stream *s, struct slice bytes)
{
	struct net_output *out;

	if (s->state == NET_CLOSED)
		return;
	out = output_get(s);
	if (s->failed || !out || queue_copy(s->protocol->net, &out->bulk, bytes) < 0)
		fail(s);
	else
		turn_serve(s);
}

void net_stream_borrow(struct net_stream *s, struct slice bytes)
{
	struct net_block *block = s->protocol->net->feeding;
	struct net_output *out;

	if (s->state == NET_CLOSED)
		return;
	out = output_get(s);
	/*
	 * While a block is given to a handler its bytes stay.  What is not in it, such as the
	 * beginning of an end-line that turned out to be body, is gone before the turn is over.
	 */
	if (block && !net_block_holds(block, bytes.p)) {
		net_stream_copy(s, bytes);
		return;
	}
	if (s->failed || !out || queue_borrow(&out->bulk, bytes, block) < 0)
		fail(s);
	else if (block)
		turn_serve(s);
	else
		turn_serve_now(s);
}

void net_stream_end(struct net_stream *s, struct slice bytes)
{
	struct net_output *out;

	if (s->state == NET_CLOSED)
		return;
	out = output_get(s);
	if (s->failed || !out || queue_copy(s->protocol->net, &out->bulk, bytes) < 0
	    || queue_end(&out->bulk) < 0)
		fail(s);
	else
		turn_serve(s);
}

bool net_stream_message_has_left(const struct net_stream *s)
{
	return s->out && s->out->bulk.written > s->out->bulk.last_end;
}

void net_stream_want_room(struct net_stream *s)
{
	s->wants_room = true;
	turn_serve(s);
}

void net_stream_hold(struct net_stream *s, size_t bytes)
{
	struct net_output *out = output_get(s);

	if (!out) {
		fail(s);
		return;
	}
	out->held = bytes;
	if (bytes)
		turn_serve(s);
}

size_t net_stream_held(const struct net_stream *s)
{
	return s->out ? s->out->held : 0;
}

/* --- marks --- */

void net_stream_mark(struct net_stream *s, struct net_mark *mark)
{
	struct net_output *out;

	if (s->state == NET_CLOSED)
		return;
	out = output_get(s);
	if (!out) {
		fail(s);
		return;
	}
	mark->offset = out->bulk.queued;
	TAILQ_INSERT_TAIL(&out->marks, mark, entry);
	turn_serve(s);
}

void net_stream_unmark(struct net_stream *s, struct net_mark *mark)
{
	if (!mark->entry.tqe_prev)
		return;
	TAILQ_REMOVE(&s->out->marks, mark, entry);
	mark->entry.tqe_prev = NULL;
}

static void tell_marks(struct net_stream *s)
{
	struct net_mark *mark;

	while (s->out && (mark = TAILQ_FIRST(&s->out->marks))
	    && mark->offset <= s->out->bulk.written) {
		net_stream_unmark(s, mark);
		mark->sent(mark);
	}
}

/* --- writing --- */

/* What may go out next. */
struct plan {
	size_t urgent, bulk;
};

/* The rest of the message that has begun, or all, the urgent first. */
static struct plan plan_bytes(struct net_stream *s)
{
	struct net_output *out = s->out;

	if (!queue_in_message(&out->bulk))
		return (struct plan){out->urgent.segments.bytes, out->bulk.segments.bytes};
	if (out->urgent.segments.bytes == 0)
		return (struct plan){0, out->bulk.segments.bytes};
	if (!queue_first_message(&out->bulk) && s->protocol->handler->interrupt)
		s->protocol->handler->interrupt(s);
	if (s->state == NET_CLOSED || s->failed)
		return (struct plan){0, 0};
	if (!queue_first_message(&out->bulk))
		return (struct plan){0, out->bulk.segments.bytes};
	return (struct plan){0, queue_first_message(&out->bulk)};
}

/* @return how many pieces hold so many bytes, the last of which is cut */
static int cut_pieces(struct iovec *iov, int count, size_t bytes)
{
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len >= bytes) {
			iov[i].iov_len = bytes;
			return i + 1;
		}
		bytes -= iov[i].iov_len;
	}
	return count;
}

static size_t bytes_of(const struct iovec *iov, int count)
{
	size_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/*
 * Where messages end in these pieces of the plan.  Where they are not all of it, only whole ones
 * are written, so that none is in more fragments than it has to be.
 * @return how many of the pieces are written
 */
static int find_ends(const struct net_output *out, const struct plan *plan, struct iovec *iov,
    int count, struct net_ends *ends)
{
	size_t bytes = bytes_of(iov, count);

	ends->count = queue_ends(&out->urgent, plan->urgent, 0, ends->at, NET_ENDS_MAX);
	ends->count += queue_ends(&out->bulk, plan->bulk, plan->urgent, ends->at + ends->count,
	    NET_ENDS_MAX - ends->count);
	while (ends->count && ends->at[ends->count - 1] > bytes)
		ends->count--;
	if (ends->count && (ends->count == NET_ENDS_MAX || bytes < plan->urgent + plan->bulk))
		count = cut_pieces(iov, count, ends->at[ends->count - 1]);
	return count;
}

/* @return 1: go on, 0: the socket is full, or -errno */
static int write_plan(struct net_stream *s, const struct plan *plan)
{
	struct net *net = s->protocol->net;
	struct net_output *out = s->out;
	struct iovec iov[NET_IOV_MAX];
	struct net_ends ends;
	int count = segments_iov(&out->urgent.segments, plan->urgent, iov, NET_IOV_MAX);
	size_t urgent;
	ssize_t n;

	/* The bulk behind urgent messages only if all of those are in. */
	if (count < NET_IOV_MAX)
		count +=
		    segments_iov(&out->bulk.segments, plan->bulk, iov + count, NET_IOV_MAX - count);
	if (s->link.ops->framed)
		count = find_ends(out, plan, iov, count, &ends);
	n = s->link.ops->writev(s, iov, count, s->link.ops->framed ? &ends : NULL);
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	urgent = (size_t)n < plan->urgent ? (size_t)n : plan->urgent;
	*s->protocol->count.bytes_out += (size_t)n;
	queue_consume(net, &out->urgent, urgent);
	queue_consume(net, &out->bulk, (size_t)n - urgent);
	return out->held == 0;
}

/* @return as write_plan() */
static int write_held(struct net_stream *s)
{
	ssize_t n = s->link.ops->writev(s, NULL, 0, NULL);

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	return 1;
}

static int write_once(struct net_stream *s)
{
	struct plan plan;

	if (s->out->held)
		return write_held(s);
	plan = plan_bytes(s);
	if (plan.urgent + plan.bulk == 0)
		return 0;
	return write_plan(s, &plan);
}

/* What is left waits, and not longer than send_timeout without a byte taken. */
static int wait_for_room(struct net_stream *s, size_t before)
{
	struct timer_queue *sending = &s->protocol->sending;
	size_t left = output_bytes(s->out);

	if (left == 0) {
		timer_queue_stop(sending, &s->out->sending);
		return 0;
	}
	if (!timer_entry_running(&s->out->sending) || left < before)
		timer_queue_start(sending, &s->out->sending);
	return s->write_wants_read ? 0 : net_stream_want_write(s);
}

void output_on_timeout(struct timer_entry *entry, void *protocol)
{
	struct net_output *out =
	    (struct net_output *)(void *)((char *)entry - offsetof(struct net_output, sending));
	struct net_stream *s = out->stream;

	(void)protocol;
	story_refuse(&(struct story){.stack = s->protocol->name, .conn = s->number}, ETIMEDOUT,
	    "%s: conn %" PRIu64 ": takes no bytes, closed", s->protocol->name, s->number);
	net_stream_close(s, -ETIMEDOUT);
}

bool output_waits(const struct net_stream *s)
{
	return s->write_wants_read || (s->ev_write && event_pending(s->ev_write, EV_WRITE, NULL));
}

int output_flush(struct net_stream *s)
{
	size_t before;
	int status = 1;

	if (!s->out)
		return s->failed ? -ENOMEM : 0;
	before = output_bytes(s->out);
	while (status > 0 && s->state == NET_OPEN && !s->failed && output_bytes(s->out))
		status = write_once(s);
	if (s->state != NET_OPEN)
		return 0;
	if (s->failed)
		return -ENOMEM;
	if (status < 0 || (status = wait_for_room(s, before)) < 0)
		return status;
	if (s->out->urgent.segments.bytes <= s->protocol->limits.send_queue / 2)
		stream_unpause(s, PAUSED_BY_QUEUE);
	tell_marks(s);
	if (s->out && output_bytes(s->out) == 0 && !queue_in_message(&s->out->bulk)
	    && TAILQ_EMPTY(&s->out->marks))
		output_drop(s);
	return s->failed ? -ENOMEM : 0;
}

int output_settle(struct net_stream *s)
{
	if (!s->out)
		return 0;
	if (segments_settle(&s->out->urgent.segments) < 0)
		return -ENOMEM;
	return segments_settle(&s->out->bulk.segments);
}

void net_stream_keep(struct net_stream *s)
{
	/* Blocks stay until the turn's end, and most of what lies in them leaves by then. */
	if (s->out && s->out->bulk.segments.borrows && segments_settle(&s->out->bulk.segments) < 0)
		fail(s);
}
