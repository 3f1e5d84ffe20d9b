/*
 * Objects of one size that come and go all the time: those that are done with are kept for the
 * next, up to a bound.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)   ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#endif

struct pool_link {
	struct pool_link *next;
};

struct pool {
	struct pool_link *kept;
	size_t size; /* of an object, a pointer's at least */
	unsigned count, max;
};

/** A pool for objects of a type that keeps so many of them. */
#define POOL(type, most) ((struct pool){.size = sizeof(type), .max = (most)})

/**
 * A kept object, or NULL if there is none.  It is as it was when it was put, but for a pointer's
 * size at its front.
 */
static inline void *pool_take(struct pool *pool)
{
	struct pool_link *object = pool->kept;

	if (!object)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(object, pool->size);
	pool->kept = object->next;
	pool->count--;
	return object;
}

/** A kept object or a new one, with anything in it; NULL when memory is out. */
static inline void *pool_get(struct pool *pool)
{
	void *object = pool_take(pool);

	return object ? object : malloc(pool->size);
}

/** Would an object that is put be freed? */
static inline bool pool_is_full(const struct pool *pool)
{
	return pool->count >= pool->max;
}

/** Keep or free an object from malloc().  The sanitizer guards it while it is kept. */
static inline void pool_put(struct pool *pool, void *object)
{
	struct pool_link *link = object;

	if (pool_is_full(pool)) {
		free(object);
		return;
	}
	link->next = pool->kept;
	pool->kept = link;
	pool->count++;
	ASAN_POISON_MEMORY_REGION(link, pool->size);
}

/** Free what is kept; the pool stays usable. */
static inline void pool_trim(struct pool *pool)
{
	for (void *object; (object = pool_take(pool));)
		free(object);
}
