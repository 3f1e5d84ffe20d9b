/*
 * What waits to be written on a connection: urgent frames, and the stream of
 * bodies ("bulk"), in which the ends of frames are known, so that the urgent
 * can go in between.
 */
#include "msrp/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/log.h"

enum {
	IOV_MAX_USED = 128,
	TLS_RECORD = 16 * 1024, /* RFC 8446 5.1: plaintext of one record */
	STORED_OUTPUTS = 64,
	PIECE_MAX = 1 << 30, /* bytes of one segment */
};

/* --- segments --- */

static struct segment *segment_at(const struct segments *q, uint32_t i)
{
	return &q->items[q->first + i];
}

static int segments_reserve(struct segments *q)
{
	uint32_t cap = q->cap ? q->cap * 2 : 16;
	struct segment *items;

	if (q->first + q->count < q->cap)
		return 0;
	if (q->first > q->cap / 2) {
		memmove(q->items, q->items + q->first, q->count * sizeof(*items));
		q->first = 0;
		return 0;
	}
	items = realloc(q->items, cap * sizeof(*items));
	if (!items)
		return -ENOMEM;
	q->items = items;
	q->cap = cap;
	return 0;
}

static int segments_add(struct segments *q, struct slice bytes, void *owner)
{
	struct segment *last;

	if (q->count > q->settled) {
		last = segment_at(q, q->count - 1);
		if (last->p + last->len == bytes.p && last->owner == owner
		    && last->len + bytes.len <= PIECE_MAX) {
			last->len += (uint32_t)bytes.len;
			q->bytes += bytes.len;
			return 0;
		}
	}
	if (segments_reserve(q) < 0)
		return -ENOMEM;
	*segment_at(q, q->count++) = (struct segment){.p = bytes.p,
	    .len = (uint32_t)bytes.len,
	    .kind = SEGMENT_TURN,
	    .owner = owner};
	q->bytes += bytes.len;
	q->borrows = q->borrows || !owner;
	return 0;
}

static void segment_release(struct msrp_stack *stack, struct segment *s)
{
	if (s->kind == SEGMENT_BLOCK)
		msrp_block_put(stack, s->owner);
	else if (s->kind == SEGMENT_HEAP)
		free(s->owner);
}

static void segments_consume(struct msrp_stack *stack, struct segments *q, size_t n)
{
	q->bytes -= n;
	while (n) {
		struct segment *s = segment_at(q, 0);

		if (n < s->len) {
			s->p += n;
			s->len -= (uint32_t)n;
			return;
		}
		n -= s->len;
		segment_release(stack, s);
		q->first++;
		q->count--;
		if (q->settled)
			q->settled--;
	}
	if (q->count == 0) {
		q->first = 0;
		q->borrows = false;
	}
}

static void segments_drop(struct msrp_stack *stack, struct segments *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		segment_release(stack, segment_at(q, i));
	q->first = q->count = q->settled = 0;
	q->bytes = 0;
	q->borrows = false;
}

/* Gather up to limit bytes of q into iov. */
static int segments_iov(const struct segments *q, size_t limit, struct iovec *iov, int room)
{
	int n = 0;

	for (uint32_t i = 0; i < q->count && n < room && limit; i++) {
		const struct segment *s = segment_at(q, i);
		size_t len = s->len < limit ? s->len : limit;

		iov[n++] = (struct iovec){(void *)(uintptr_t)s->p, len};
		limit -= len;
	}
	return n;
}

/* How much of each block waits in this queue: a stream of chunks comes in pieces. */
static void sum_blocks(struct segments *q)
{
	for (uint32_t i = q->settled; i < q->count; i++)
		if (segment_at(q, i)->owner)
			((struct msrp_block *)segment_at(q, i)->owner)->waiting = 0;
	for (uint32_t i = q->settled; i < q->count; i++)
		if (segment_at(q, i)->owner)
			((struct msrp_block *)segment_at(q, i)->owner)->waiting +=
			    segment_at(q, i)->len;
}

/* A large part of a block stays where it is; its block is kept. */
static bool keeps_block(const struct segment *s)
{
	return s->owner && ((const struct msrp_block *)s->owner)->waiting >= KEEP_MIN;
}

/* Copy the run of segments from i on that are too small to keep a block into one piece. */
static int settle_run(struct segments *q, uint32_t *ip, uint32_t *outp)
{
	uint32_t i = *ip, end = i;
	size_t total = 0, at = 0;
	char *copy;

	while (end < q->count && !keeps_block(segment_at(q, end)) && total <= BLOCK_BYTES)
		total += segment_at(q, end++)->len;
	copy = malloc(total);
	if (!copy)
		return -ENOMEM;
	for (; i < end; i++) {
		memcpy(copy + at, segment_at(q, i)->p, segment_at(q, i)->len);
		at += segment_at(q, i)->len;
	}
	*segment_at(q, (*outp)++) = (struct segment){.p = copy,
	    .len = (uint32_t)total,
	    .kind = SEGMENT_HEAP,
	    .owner = copy};
	*ip = end;
	return 0;
}

static int segments_settle(struct segments *q)
{
	uint32_t out = q->settled;

	sum_blocks(q);
	for (uint32_t i = q->settled; i < q->count;) {
		struct segment *s = segment_at(q, i);

		if (keeps_block(s)) {
			((struct msrp_block *)s->owner)->refs++;
			s->kind = SEGMENT_BLOCK;
			*segment_at(q, out++) = *s;
			i++;
		} else if (settle_run(q, &i, &out) < 0) {
			/* What was not settled dies with the turn; the connection is closed. */
			q->count = q->settled = out;
			return -ENOMEM;
		}
	}
	q->count = q->settled = out;
	q->borrows = false;
	return 0;
}

/* --- the output --- */

struct msrp_output *output_get(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_output *out = conn->out;

	if (out)
		return out;
	out = stack->free_outputs;
	if (out) {
		stack->free_outputs = out->next;
		stack->free_output_count--;
	} else {
		out = calloc(1, sizeof(*out));
		if (!out)
			return NULL;
	}
	out->last_mark = &out->marks;
	conn->out = out;
	return out;
}

void output_free(struct msrp_output *out)
{
	free(out->urgent.items);
	free(out->bulk.items);
	free(out->ends);
	free(out->record);
	free(out);
}

/* Arrays that a queue once needed are not worth storing. */
static bool is_large(const struct msrp_output *out)
{
	return out->urgent.cap > 4 * IOV_MAX_USED || out->bulk.cap > 4 * IOV_MAX_USED
	    || out->end_cap > 4 * IOV_MAX_USED;
}

void output_drop(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_output *out = conn->out;
	struct msrp_output fresh = {.next = stack->free_outputs};

	if (!out)
		return;
	while (out->marks)
		msrp_conn_unmark(conn, out->marks);
	conn->out = NULL;
	segments_drop(stack, &out->urgent);
	segments_drop(stack, &out->bulk);
	free(out->record);
	out->record = NULL;
	if (stack->free_output_count >= STORED_OUTPUTS || is_large(out)) {
		output_free(out);
		return;
	}
	fresh.urgent = out->urgent;
	fresh.bulk = out->bulk;
	fresh.ends = out->ends;
	fresh.end_cap = out->end_cap;
	*out = fresh;
	stack->free_outputs = out;
	stack->free_output_count++;
}

static size_t output_bytes(const struct msrp_output *out)
{
	return out->urgent.bytes + out->bulk.bytes + out->record_len;
}

size_t output_backlog(const struct msrp_conn *conn)
{
	return conn->out ? output_bytes(conn->out) : 0;
}

/*
 * Memory ran out while a frame was being written: what the peer would see makes no sense.  It is
 * closed at the turn's end, since nobody who writes expects to hear of the end from inside.
 */
void output_fail(struct msrp_conn *conn)
{
	if (!conn->failed)
		log_warn("msrp: conn %" PRIu64 ": out of memory for output", conn->number);
	conn->failed = true;
	msrp_conn_dirty(conn);
}

static bool add_copy(struct msrp_conn *conn, struct segments *q, struct slice bytes)
{
	while (bytes.len) {
		struct slice part = slice_head(bytes, READ_MIN);
		struct msrp_block *block;
		char *p = msrp_stack_text(conn->stack, part.len, &block);

		if (!p)
			return false;
		memcpy(p, part.p, part.len);
		if (segments_add(q, (struct slice){p, part.len}, block) < 0)
			return false;
		bytes = slice_from(bytes, part.len);
	}
	return true;
}

void output_urgent(struct msrp_conn *conn, struct slice frame)
{
	struct msrp_output *out = output_get(conn);

	if (conn->failed || !out || !add_copy(conn, &out->urgent, frame)) {
		output_fail(conn);
		return;
	}
	msrp_conn_dirty(conn);
	if (out->urgent.bytes > conn->stack->settings->send_queue)
		msrp_conn_pause(conn, PAUSED_BY_QUEUE);
}

void output_copy(struct msrp_conn *conn, struct slice bytes)
{
	struct msrp_output *out = output_get(conn);

	if (conn->failed || !out || !add_copy(conn, &out->bulk, bytes)) {
		output_fail(conn);
		return;
	}
	out->queued += bytes.len;
	msrp_conn_dirty(conn);
}

static bool add_borrowed(struct segments *q, struct slice bytes, struct msrp_block *owner)
{
	while (bytes.len) {
		struct slice part = slice_head(bytes, PIECE_MAX);

		if (segments_add(q, part, owner) < 0)
			return false;
		bytes = slice_from(bytes, part.len);
	}
	return true;
}

void output_borrow(struct msrp_conn *conn, struct slice bytes)
{
	struct msrp_output *out = output_get(conn);
	struct msrp_block *block = conn->stack->feeding;

	/*
	 * While a block is parsed its bytes stay.  What is not in it, such as the beginning of an
	 * end-line that turned out to be body, is gone before the turn is over.
	 */
	if (block && (bytes.p < block->data || bytes.p >= block->data + block->size)) {
		output_copy(conn, bytes);
		return;
	}
	if (conn->failed || !out || !add_borrowed(&out->bulk, bytes, block)) {
		output_fail(conn);
		return;
	}
	out->queued += bytes.len;
	msrp_conn_dirty(conn);
}

void output_frame_end(struct msrp_conn *conn)
{
	struct msrp_output *out = conn->out;
	uint32_t cap;
	uint64_t *ends;

	if (!out || conn->failed)
		return;
	if (out->first_end + out->end_count == out->end_cap && out->first_end) {
		memmove(out->ends, out->ends + out->first_end, out->end_count * sizeof(*ends));
		out->first_end = 0;
	}
	if (out->end_count == out->end_cap) {
		cap = out->end_cap ? out->end_cap * 2 : 32;
		ends = realloc(out->ends, cap * sizeof(*ends));
		if (!ends) {
			output_fail(conn);
			return;
		}
		out->ends = ends;
		out->end_cap = cap;
	}
	out->ends[out->first_end + out->end_count++] = out->queued;
	(*conn->stack->count.frames_out)++;
}

/* --- writing --- */

/* Whole frames are behind us up to out->written. */
static void note_boundary(struct msrp_output *out)
{
	while (out->end_count && out->ends[out->first_end] <= out->written) {
		out->boundary = out->ends[out->first_end++];
		out->end_count--;
	}
	if (out->end_count == 0)
		out->first_end = 0;
}

static bool in_frame(const struct msrp_output *out)
{
	return out->written > out->boundary;
}

/* What may go out next: the rest of the frame that has begun, or all, the urgent first. */
struct plan {
	size_t urgent, bulk;
};

static struct plan plan_write(struct msrp_conn *conn)
{
	struct msrp_output *out = conn->out;

	if (!in_frame(out))
		return (struct plan){out->urgent.bytes, out->bulk.bytes};
	if (out->urgent.bytes == 0)
		return (struct plan){0, out->bulk.bytes};
	if (out->end_count == 0 && out->open)
		out->open->ops->interrupt(out->open);
	if (conn->state == CONN_CLOSED || conn->failed)
		return (struct plan){0, 0};
	if (out->end_count == 0)
		return (struct plan){0, out->bulk.bytes};
	return (struct plan){0, (size_t)(out->ends[out->first_end] - out->written)};
}

static void consumed(struct msrp_conn *conn, const struct plan *plan, size_t n)
{
	struct msrp_output *out = conn->out;
	size_t urgent = n < plan->urgent ? n : plan->urgent;

	*conn->stack->count.bytes_out += n;
	segments_consume(conn->stack, &out->urgent, urgent);
	segments_consume(conn->stack, &out->bulk, n - urgent);
	out->written += n - urgent;
	note_boundary(out);
}

/* @return 1: go on, 0: the socket is full, or -errno */
static int write_plain(struct msrp_conn *conn, const struct plan *plan)
{
	struct iovec iov[IOV_MAX_USED];
	struct msghdr msg = {.msg_iov = iov};
	int n = segments_iov(&conn->out->urgent, plan->urgent, iov, IOV_MAX_USED);
	ssize_t sent;

	/* Bodies behind urgent frames only if all of those are in. */
	if (n < IOV_MAX_USED)
		n += segments_iov(&conn->out->bulk, plan->bulk, iov + n, IOV_MAX_USED - n);
	msg.msg_iovlen = (size_t)n;
	do
		sent = sendmsg(conn->fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	consumed(conn, plan, (size_t)sent);
	return 1;
}

static int tls_write(struct msrp_conn *conn, const char *p, size_t len)
{
	int n;

	ERR_clear_error();
	n = SSL_write(conn->ssl, p, (int)len);
	if (n > 0)
		return n;
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		/* The peer began a key update and has not ended it: room to write will not help. */
		conn->write_wants_read = true;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -ECONNRESET;
	default:
		return -ECONNRESET;
	}
}

/* SSL_write() wants to see the same bytes again, whatever became urgent meanwhile. */
static int keep_record(struct msrp_output *out, const char *p, size_t len)
{
	out->record = malloc(len);
	if (!out->record)
		return -ENOMEM;
	memcpy(out->record, p, len);
	out->record_len = len;
	return 0;
}

static int write_tls(struct msrp_conn *conn, const struct plan *plan)
{
	struct msrp_output *out = conn->out;
	struct iovec iov[IOV_MAX_USED];
	char record[TLS_RECORD];
	size_t len = 0;
	int count = segments_iov(&out->urgent, plan->urgent, iov, IOV_MAX_USED), n;

	if (count < IOV_MAX_USED)
		count += segments_iov(&out->bulk, plan->bulk, iov + count, IOV_MAX_USED - count);
	for (int i = 0; i < count && len < sizeof(record); i++) {
		size_t part = iov[i].iov_len;

		if (part > sizeof(record) - len)
			part = sizeof(record) - len;
		memcpy(record + len, iov[i].iov_base, part);
		len += part;
	}
	n = tls_write(conn, record, len);
	if (n < 0)
		return n;
	if (n == 0 && keep_record(out, record, len) < 0)
		return -ENOMEM;
	consumed(conn, plan, n ? (size_t)n : len);
	return n > 0;
}

/* @return as write_plain() */
static int write_record(struct msrp_conn *conn)
{
	struct msrp_output *out = conn->out;
	int n = tls_write(conn, out->record, out->record_len);

	if (n <= 0)
		return n;
	out->record_len -= (size_t)n;
	memmove(out->record, out->record + n, out->record_len);
	if (out->record_len == 0) {
		free(out->record);
		out->record = NULL;
	}
	return 1;
}

static int write_once(struct msrp_conn *conn)
{
	struct plan plan;

	if (conn->out->record_len)
		return write_record(conn);
	plan = plan_write(conn);
	if (plan.urgent + plan.bulk == 0)
		return 0;
	return conn->ssl ? write_tls(conn, &plan) : write_plain(conn, &plan);
}

static void tell_marks(struct msrp_conn *conn)
{
	while (conn->out && conn->out->marks && conn->out->marks->offset <= conn->out->written) {
		struct msrp_mark *mark = conn->out->marks;

		msrp_conn_unmark(conn, mark);
		mark->sent(mark);
	}
}

/* What is left waits, and not longer than send_timeout without a byte taken. */
static int wait_for_room(struct msrp_conn *conn, size_t before)
{
	struct timer_queue *sending = &conn->stack->sending;
	size_t left = output_bytes(conn->out);

	if (left == 0) {
		timer_queue_stop(sending, &conn->send);
		return 0;
	}
	if (!timer_entry_running(&conn->send) || left < before)
		timer_queue_start(sending, &conn->send);
	return conn->write_wants_read ? 0 : msrp_conn_want_write(conn);
}

bool output_waits(const struct msrp_conn *conn)
{
	return conn->write_wants_read
	    || (conn->ev_write && event_pending(conn->ev_write, EV_WRITE, NULL));
}

int output_flush(struct msrp_conn *conn)
{
	size_t before;
	int status = 1;

	if (!conn->out)
		return conn->failed ? -ENOMEM : 0;
	before = output_bytes(conn->out);
	while (status > 0 && conn->state == CONN_OPEN && !conn->failed && output_bytes(conn->out))
		status = write_once(conn);
	if (conn->state != CONN_OPEN)
		return 0;
	if (conn->failed)
		return -ENOMEM;
	if (status < 0 || (status = wait_for_room(conn, before)) < 0)
		return status;
	if (conn->out->urgent.bytes <= conn->stack->settings->send_queue / 2)
		msrp_conn_unpause(conn, PAUSED_BY_QUEUE);
	tell_marks(conn);
	if (conn->out && output_bytes(conn->out) == 0 && !conn->out->open && !conn->out->marks)
		output_drop(conn);
	return conn->failed ? -ENOMEM : 0;
}

int output_settle(struct msrp_conn *conn)
{
	if (!conn->out)
		return 0;
	if (segments_settle(&conn->out->urgent) < 0)
		return -ENOMEM;
	return segments_settle(&conn->out->bulk);
}

int output_settle_borrowed(struct msrp_conn *conn)
{
	/* Blocks stay as they are until the turn's end, and most of what lies in them leaves by then. */
	return conn->out && conn->out->bulk.borrows ? segments_settle(&conn->out->bulk) : 0;
}
