/* What a stream reads: into a block that all share, and from there to its handler. */
#include "net/priv.h"

#include <errno.h>

/* Bytes that a pause has left, in a block. */
struct net_stash {
	struct net_block *block;
	struct slice bytes;
	bool end;         /* of a message */
	struct slice raw; /* behind them, and not unframed yet */
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

static bool has_rest(const struct net_stash *rest)
{
	return rest->bytes.len || rest->raw.len;
}

/* From its first byte to its last, with what lies between the two parts. */
static struct slice extent_of(const struct net_stash *rest)
{
	const struct slice *first = rest->bytes.len ? &rest->bytes : &rest->raw;
	const struct slice *last = rest->raw.len ? &rest->raw : &rest->bytes;

	return (struct slice){first->p, (size_t)(last->p + last->len - first->p)};
}

static struct net_stash *new_stash(struct net *net, const struct net_stash *rest)
{
	struct net_stash *stash = pool_get(&net->stashes);
	struct slice extent = extent_of(rest);
	struct net_block *copy = NULL;

	if (!stash)
		return NULL;
	*stash = *rest;
	/* Not a block for a few bytes: many may be paused. */
	if (extent.len < KEEP_MIN && rest->block->size == BLOCK_BYTES)
		copy = net_block_copy(extent);
	if (!copy) {
		stash->block->refs++;
		return stash;
	}
	stash->block = copy;
	if (rest->bytes.len)
		stash->bytes.p = copy->data + (rest->bytes.p - extent.p);
	if (rest->raw.len)
		stash->raw.p = copy->data + (rest->raw.p - extent.p);
	return stash;
}

/* A pause in the middle of what was read leaves a rest. */
static int keep_rest(struct net_stream *s, const struct net_stash *rest)
{
	struct net_stash *stash = has_rest(rest) ? new_stash(s->protocol->net, rest) : NULL;

	stash_drop(s);
	s->stash = stash;
	return has_rest(rest) && !stash ? -ENOMEM : 0;
}

/* What fails is told once the stream's last words have left. */
static void give_up(struct net_stream *s, int err)
{
	output_flush(s);
	stream_part(s, err);
}

/* Let the handler have the piece in hand.  @return does it want another one? */
static bool feed_piece(struct net_stream *s, struct net_stash *in)
{
	struct net *net = s->protocol->net;
	ssize_t n;

	net->feeding = in->block;
	n = s->protocol->handler->input(s, in->bytes, in->end);
	net->feeding = NULL;
	if (s->state == NET_CLOSED)
		return false;
	if (n < 0) {
		give_up(s, (int)n);
		return false;
	}
	in->bytes = slice_from(in->bytes, (size_t)n);
	in->end = in->end && in->bytes.len;
	return in->bytes.len == 0;
}

/* The next piece of what was read.  @return as unframe() */
static int next_piece(struct net_stream *s, struct net_stash *in)
{
	int n = in->raw.len ? s->link.ops->unframe(s, &in->raw, &in->bytes, &in->end) : 0;

	if (n > 0)
		*s->protocol->count.bytes_in += in->bytes.len;
	return n;
}

/* Let the handler have what came.  The caller holds a ref.  @return 0, or why no more will come */
static int feed(struct net_stream *s, struct net_stash in)
{
	bool more = true;
	int n = 1;

	s->protocol->net->read_number++;
	in.block->refs++;
	if (in.bytes.len || in.end)
		more = feed_piece(s, &in);
	while (more && s->state == NET_OPEN && !s->paused && !s->closing
	    && (n = next_piece(s, &in)) > 0)
		more = feed_piece(s, &in);
	if (n < 0)
		stash_drop(s);
	else if (s->state == NET_OPEN && keep_rest(s, &in) < 0)
		give_up(s, -ENOMEM);
	net_block_put(s->protocol->net, in.block);
	return n < 0 && s->state == NET_OPEN ? n : 0;
}

/* @return 1: bytes were read and handed on; 0: the peer sends no more; or why there are none */
static int read_some(struct net_stream *s, bool *more)
{
	struct net_block *block = net_block_rx(s->protocol->net);
	size_t share = (size_t)READ_LEAST << s->line.share, room;
	unsigned flags = 0;
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
	if (room > share)
		room = share;
	n = s->link.ops->read(s, p, room, &flags);
	*more = flags & NET_READ_MORE || n == (ssize_t)room;
	if (n < 0)
		return (int)n;
	if (n == 0 && !(flags & NET_READ_END))
		return 0;
	block->used += (size_t)n;
	if (n > READ_LEAST)
		line_took_much(&s->line);
	if (s->link.ops->unframe) {
		n = feed(s, (struct net_stash){.block = block, .raw = {p, (size_t)n}});
		return n < 0 ? (int)n : 1;
	}
	*s->protocol->count.bytes_in += (size_t)n;
	feed(s,
	    (struct net_stash){.block = block,
		.bytes = {p, (size_t)n},
		.end = flags & NET_READ_END});
	return 1;
}

uint64_t net_read_number(const struct net *net)
{
	return net->read_number;
}

/* Its handler has left some of what was read for another turn. */
static bool has_more_to_take(const struct net_stream *s)
{
	return s->stash && !s->closing;
}

void stream_read(struct net_stream *s)
{
	bool more = false;
	int n = 0;

	if (s->stash && !s->paused) {
		n = feed(s, *s->stash);
		if (s->state != NET_OPEN || s->paused)
			return;
		if (n == 0 && has_more_to_take(s)) {
			stream_read_again(s);
			return;
		}
	}
	if (n == 0)
		n = read_some(s, &more);
	if (s->write_wants_read)
		turn_serve(s);
	s->write_wants_read = false;
	if (s->state != NET_OPEN || s->paused)
		return;
	if (n > 0 || n == -EAGAIN) {
		if (more || has_more_to_take(s))
			stream_read_again(s);
		return;
	}
	/* The peer sends no more, or nonsense; what it is owed it may still read. */
	output_flush(s);
	if (n == -EPROTO)
		stream_part(s, n);
	else if (n < 0 || !stream_outlives_input(s))
		net_stream_close(s, n ? n : -ECONNRESET);
}
