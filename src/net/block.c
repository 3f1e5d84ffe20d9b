#include "net/priv.h"

#include <stdlib.h>
#include <string.h>

enum { STORED_BLOCKS = 32 }; /* 8 MiB: a stream that backs up takes and leaves them all the time */

void net_blocks_init(struct net *net)
{
	net->blocks =
	    (struct pool){.size = sizeof(struct net_block) + BLOCK_BYTES, .max = STORED_BLOCKS};
}

static struct net_block *init_block(struct net_block *block, size_t size, size_t used)
{
	if (!block)
		return NULL;
	block->refs = 1;
	block->retired = false;
	block->used = used;
	block->size = size;
	return block;
}

struct net_block *net_block_copy(struct slice bytes)
{
	struct net_block *block =
	    init_block(malloc(sizeof(*block) + bytes.len), bytes.len, bytes.len);

	if (block)
		memcpy(block->data, bytes.p, bytes.len);
	return block;
}

void net_block_put(struct net *net, struct net_block *block)
{
	if (--block->refs || block->retired)
		return;
	block->retired = true;
	SLIST_INSERT_HEAD(&net->retired, block, entry);
}

/* Begin anew in a block that nobody else holds bytes of. */
static void rewind_block(struct net *net, struct net_block **blockp)
{
	if (!*blockp)
		return;
	if ((*blockp)->refs == 1) {
		(*blockp)->used = 0;
		return;
	}
	net_block_put(net, *blockp);
	*blockp = NULL;
}

static void free_retired(struct net *net)
{
	struct net_block *block;

	while ((block = SLIST_FIRST(&net->retired))) {
		SLIST_REMOVE_HEAD(&net->retired, entry);
		block->retired = false;
		if (block->refs) /* what lies there was taken into keeping since */
			continue;
		if (block->size < BLOCK_BYTES)
			free(block);
		else
			pool_put(&net->blocks, block);
	}
}

void net_blocks_recycle(struct net *net)
{
	rewind_block(net, &net->text);
	rewind_block(net, &net->rx);
	free_retired(net);
}

static bool has_room(const struct net_block *block, size_t room)
{
	return block && BLOCK_BYTES - block->used >= room;
}

/* The block in hand is full, if there is one. */
static struct net_block *next_block(struct net *net, struct net_block **blockp)
{
	if (*blockp)
		net_block_put(net, *blockp);
	*blockp = init_block(pool_get(&net->blocks), BLOCK_BYTES, 0);
	return *blockp;
}

struct net_block *net_block_rx(struct net *net)
{
	/* A block full of bytes is passed on before the next one: while the caches hold it. */
	if (!SLIST_EMPTY(&net->retired))
		turn_run(net);
	return has_room(net->rx, READ_MIN) ? net->rx : next_block(net, &net->rx);
}

char *net_block_text(struct net *net, size_t len, struct net_block **blockp)
{
	struct net_block *block = net->text;
	char *p;

	if (len > BLOCK_BYTES)
		return NULL;
	if (!has_room(block, len) && !(block = next_block(net, &net->text)))
		return NULL;
	p = block->data + block->used;
	block->used += len;
	*blockp = block;
	return p;
}

struct slice net_pin(struct net *net, struct slice bytes)
{
	struct net_block *text;
	char *p;

	if (net_block_holds(net->feeding, bytes.p))
		return bytes;
	p = net_block_text(net, bytes.len, &text);
	if (p)
		memcpy(p, bytes.p, bytes.len);
	return (struct slice){p, bytes.len};
}

void net_blocks_free(struct net *net)
{
	free_retired(net);
	if (net->rx)
		net_block_put(net, net->rx);
	if (net->text)
		net_block_put(net, net->text);
	free_retired(net);
	pool_trim(&net->blocks);
}
