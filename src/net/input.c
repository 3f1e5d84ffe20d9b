/* What a stream reads: into a block that all share, and from there to its handler. */
#include "net/priv.h"

#include <errno.h>

/* Bytes that a pause has left, in a block. */
struct net_stash {
	struct net_block *block;
	struct slice bytes;
	bool end; /* of a message */
};

enum { STORED_STASHES = 64 };

void stashes_init(struct net *net)
{
	net->stashes = POOL(struct net_stash, STORED_STASHES);
}

void stashes_free(struct net *net)
{
	pool_trim(&net->stashes);
}

void stash_drop(struct net_stream *s)
{
	struct net *net = s->protocol->net;

	if (!s->stash)
		return;
	net_block_put(net, s->stash->block);
	pool_put(&net->stashes, s->stash);
	s->stash = NULL;
}

static struct net_stash *new_stash(struct net *net, struct slice bytes, struct net_block *block,
    bool end)
{
	struct net_stash *stash = pool_get(&net->stashes);
	struct net_block *copy = NULL;

	if (!stash)
		return NULL;
	/* Not a block for a few bytes: many may be paused. */
	if (bytes.len < KEEP_MIN && block->size == BLOCK_BYTES)
		copy = net_block_copy(bytes);
	if (copy) {
		block = copy;
		bytes.p = copy->data;
	} else {
		block->refs++;
	}
	*stash = (struct net_stash){block, bytes, end};
	return stash;
}

/* A pause in the middle of what was read leaves a rest. */
static int keep_rest(struct net_stream *s, struct slice rest, struct net_block *block, bool end)
{
	struct net_stash *stash = rest.len ? new_stash(s->protocol->net, rest, block, end) : NULL;

	stash_drop(s);
	s->stash = stash;
	return rest.len && !stash ? -ENOMEM : 0;
}

/* Let the handler have what came.  The caller holds a ref. */
static void feed(struct net_stream *s, struct slice bytes, struct net_block *block, bool end)
{
	struct net *net = s->protocol->net;
	ssize_t n;

	net->feeding = block;
	n = s->protocol->handler->input(s, bytes, end);
	net->feeding = NULL;
	if (s->state == NET_CLOSED)
		return;
	if (n >= 0 && keep_rest(s, slice_from(bytes, (size_t)n), block, end) < 0)
		n = -ENOMEM;
	if (n < 0) {
		output_flush(s);
		stream_part(s, (int)n);
	}
}

/* @return 1: bytes were read and handed on; 0: the peer sends no more; or why there are none */
static int read_some(struct net_stream *s, bool *more)
{
	struct net_block *block = net_block_rx(s->protocol->net);
	unsigned flags = 0;
	size_t room;
	char *p;
	ssize_t n;

	*more = false;
	if (!block)
		return -ENOMEM;
	/* To get the block a turn may have been made: what it paused reads on by itself. */
	if (s->state != NET_OPEN || s->paused || s->closing)
		return -EAGAIN;
	p = block->data + block->used;
	room = BLOCK_BYTES - block->used;
	if (room > READ_MAX)
		room = READ_MAX;
	n = s->link.ops->read(s, p, room, &flags);
	*more = flags & NET_READ_MORE;
	if (n < 0)
		return (int)n;
	if (n == 0 && !(flags & NET_READ_END))
		return 0;
	block->used += (size_t)n;
	*s->protocol->count.bytes_in += (size_t)n;
	feed(s, (struct slice){p, (size_t)n}, block, flags & NET_READ_END);
	return 1;
}

void stream_read(struct net_stream *s)
{
	bool more;
	int n;

	if (s->stash && !s->paused) {
		feed(s, s->stash->bytes, s->stash->block, s->stash->end);
		if (s->state != NET_OPEN || s->paused)
			return;
	}
	n = read_some(s, &more);
	if (s->write_wants_read)
		turn_serve(s);
	s->write_wants_read = false;
	if (s->state != NET_OPEN || s->paused)
		return;
	if (n > 0 || n == -EAGAIN) {
		if (more)
			stream_read_again(s);
		return;
	}
	/* The peer sends no more, or nonsense; what it is owed it may still read. */
	output_flush(s);
	if (n == -EPROTO)
		stream_part(s, n);
	else
		net_stream_close(s, n ? n : -ECONNRESET);
}
