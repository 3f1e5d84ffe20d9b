#include "endpoint/delivered.h"

#include <stdlib.h>

enum { FIRST_CAP = 8, NOBODY = UINT16_MAX };

static uint16_t *head_of(const struct delivered *d, uint64_t hash)
{
	return &d->heads[(hash ^ hash >> 32) % d->cap];
}

bool delivered_has(const struct delivered *d, uint64_t hash)
{
	if (d->cap == 0)
		return false;
	for (unsigned at = *head_of(d, hash); at != NOBODY; at = d->next[at])
		if (d->hashes[at] == hash)
			return true;
	return false;
}

static int allocate(struct delivered *d, unsigned cap)
{
	uint64_t *hashes =
	    malloc(cap * (sizeof(*d->hashes) + sizeof(*d->heads) + sizeof(*d->next)));

	if (!hashes)
		return -1;
	*d = (struct delivered){.hashes = hashes, .cap = cap};
	d->heads = (uint16_t *)(hashes + cap);
	d->next = d->heads + cap;
	for (unsigned i = 0; i < cap; i++)
		d->heads[i] = NOBODY;
	return 0;
}

static void append(struct delivered *d, uint64_t hash)
{
	unsigned at = (d->oldest + d->count++) % d->cap;
	uint16_t *head = head_of(d, hash);

	d->hashes[at] = hash;
	d->next[at] = *head;
	*head = (uint16_t)at;
}

static void drop_oldest(struct delivered *d)
{
	uint16_t *link = head_of(d, d->hashes[d->oldest]);

	while (*link != d->oldest)
		link = &d->next[*link];
	*link = d->next[d->oldest];
	d->oldest = (d->oldest + 1) % d->cap;
	d->count--;
}

static void grow(struct delivered *d)
{
	struct delivered grown;

	if (allocate(&grown, d->cap ? 2 * d->cap : FIRST_CAP) < 0)
		return;
	for (unsigned i = 0; i < d->count; i++)
		append(&grown, d->hashes[(d->oldest + i) % d->cap]);
	delivered_fini(d);
	*d = grown;
}

void delivered_add(struct delivered *d, uint64_t hash)
{
	if (d->count == d->cap && d->cap < DELIVERED_MAX)
		grow(d);
	if (d->cap == 0)
		return;
	if (d->count == d->cap)
		drop_oldest(d);
	append(d, hash);
}

void delivered_fini(struct delivered *d)
{
	free(d->hashes);
	*d = (struct delivered){0};
}
