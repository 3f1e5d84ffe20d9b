/*
 * Memory that runs out when a test wants it to.  Only in tests whose name ends in _memory,
 * and only for allocations of our own code, by malloc() or by what else of libc allocates: those of
 * shared libraries are left alone.
 */
#pragma once

#include <stddef.h>

/** Let the n-th allocation from now on fail, and no other; 0: none. */
void memory_fail_at(unsigned n);

/** Has it failed? */
int memory_has_failed(void);

/** As malloc(), but not one of those that fail. */
void *memory_spared(size_t size);
