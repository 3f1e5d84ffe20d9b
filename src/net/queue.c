/* Messages that wait to be written: their bytes, and where they end. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_piece(struct net *net, struct net_queue *q, struct slice piece)
{
	struct net_block *block;
	char *p = net_block_text(net, piece.len, &block);

	if (!p)
		return -ENOMEM;
	memcpy(p, piece.p, piece.len);
	return segments_add(&q->segments, (struct slice){p, piece.len}, block);
}

int queue_copy(struct net *net, struct net_queue *q, struct slice bytes)
{
	int err = 0;

	q->queued += bytes.len;
	for (; bytes.len > READ_MIN && err == 0; bytes = slice_from(bytes, READ_MIN))
		err = copy_piece(net, q, slice_head(bytes, READ_MIN));
	return err < 0 || bytes.len == 0 ? err : copy_piece(net, q, bytes);
}

int queue_borrow(struct net_queue *q, struct slice bytes, struct net_block *owner)
{
	q->queued += bytes.len;
	while (bytes.len) {
		struct slice part = slice_head(bytes, SEGMENT_MAX);

		if (segments_add(&q->segments, part, owner) < 0)
			return -ENOMEM;
		bytes = slice_from(bytes, part.len);
	}
	return 0;
}

int queue_end(struct net_queue *q)
{
	uint32_t cap;
	uint64_t *ends;

	q->last_end = q->queued;
	/* Moved by more than half, each end costs a move of one other at most. */
	if (q->first_end > q->end_cap / 2) {
		memmove(q->ends, q->ends + q->first_end, q->end_count * sizeof(*ends));
		q->first_end = 0;
	}
	if (q->first_end + q->end_count == q->end_cap) {
		cap = q->end_cap ? q->end_cap * 2 : 32;
		ends = realloc(q->ends, cap * sizeof(*ends));
		if (!ends)
			return -ENOMEM;
		q->ends = ends;
		q->end_cap = cap;
	}
	q->ends[q->first_end + q->end_count++] = q->queued;
	return 0;
}

int queue_ends(const struct net_queue *q, size_t bytes, size_t before, size_t *to, int room)
{
	int n = 0;

	for (uint32_t i = 0; i < q->end_count && n < room; i++) {
		size_t end = (size_t)(q->ends[q->first_end + i] - q->written);

		if (end > bytes)
			break;
		to[n++] = before + end;
	}
	return n;
}

void queue_consume(struct net *net, struct net_queue *q, size_t n)
{
	if (n == 0)
		return;
	segments_consume(net, &q->segments, n);
	q->written += n;
	while (q->end_count && q->ends[q->first_end] <= q->written) {
		q->boundary = q->ends[q->first_end++];
		q->end_count--;
	}
	if (q->end_count == 0)
		q->first_end = 0;
}

void queue_reset(struct net *net, struct net_queue *q)
{
	struct segments *s = &q->segments;

	segments_drop(net, s);
	*q = (struct net_queue){.segments = {.items = s->items, .cap = s->cap},
	    .ends = q->ends,
	    .end_cap = q->end_cap};
}

bool queue_is_large(const struct net_queue *q)
{
	return q->segments.cap > 4 * NET_IOV_MAX || q->end_cap > 4 * NET_IOV_MAX;
}

void queue_free(struct net_queue *q)
{
	free(q->segments.items);
	free(q->ends);
}
