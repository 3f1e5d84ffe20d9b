#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

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

int segments_add(struct segments *q, struct slice bytes, struct net_block *owner)
{
	struct segment *last;

	if (q->count > q->settled) {
		last = segment_at(q, q->count - 1);
		if (last->p + last->len == bytes.p && last->owner == owner
		    && last->len + bytes.len <= SEGMENT_MAX) {
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

static void segment_release(struct net *net, struct segment *s)
{
	if (s->kind == SEGMENT_BLOCK)
		net_block_put(net, s->owner);
	else if (s->kind == SEGMENT_HEAP)
		free(s->owner);
}

void segments_consume(struct net *net, struct segments *q, size_t n)
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
		segment_release(net, s);
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

void segments_drop(struct net *net, struct segments *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		segment_release(net, segment_at(q, i));
	q->first = q->count = q->settled = 0;
	q->bytes = 0;
	q->borrows = false;
}

int segments_iov(const struct segments *q, size_t limit, struct iovec *iov, int room)
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
			((struct net_block *)segment_at(q, i)->owner)->waiting = 0;
	for (uint32_t i = q->settled; i < q->count; i++)
		if (segment_at(q, i)->owner)
			((struct net_block *)segment_at(q, i)->owner)->waiting +=
			    segment_at(q, i)->len;
}

/* A large part of a block stays where it is; its block is kept. */
static bool keeps_block(const struct segment *s)
{
	return s->owner && ((const struct net_block *)s->owner)->waiting >= KEEP_MIN;
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

int segments_settle(struct segments *q)
{
	uint32_t out = q->settled;

	sum_blocks(q);
	for (uint32_t i = q->settled; i < q->count;) {
		struct segment *s = segment_at(q, i);

		if (keeps_block(s)) {
			((struct net_block *)s->owner)->refs++;
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
