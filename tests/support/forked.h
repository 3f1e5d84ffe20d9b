/* Whole conversations while the n-th allocation fails, each in a process of its own. */
#pragma once

enum { FORKED_NOT_FAILED = 42 }; /* there is no n-th allocation */

/**
 * Run child(1), child(1 + step), … , some at once, until it gives FORKED_NOT_FAILED; anything else but
 * 0 fails the test.  In the long form (scripts/torture memory) step is 1.
 *
 * @return how many allocations have failed in turn
 */
unsigned forked_each(int (*child)(unsigned n), unsigned step);
