#include "forked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ALLOCATIONS_MAX = 5000, AT_ONCE = 8 };

static pid_t start(int (*run)(unsigned n), unsigned n)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		exit(run(n));
	return child;
}

/* @return was there an n-th allocation? */
static bool finish(unsigned n, pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("allocation %u: signal %d", n, WTERMSIG(status));
	status = WEXITSTATUS(status);
	if (status != 0 && status != FORKED_NOT_FAILED)
		fail_msg("allocation %u: exit status %d", n, status);
	return status != FORKED_NOT_FAILED;
}

unsigned forked_each(int (*run)(unsigned n), unsigned step)
{
	unsigned n = 1, failed = 0;
	bool more = true;

	if (getenv("MSRPD_TORTURE"))
		step = 1;
	/* They spend their time waiting, so some at once. */
	for (; more; n += AT_ONCE * step) {
		pid_t children[AT_ONCE];

		assert_true(n < ALLOCATIONS_MAX);
		for (unsigned i = 0; i < AT_ONCE; i++)
			children[i] = start(run, n + i * step);
		for (unsigned i = 0; i < AT_ONCE; i++) {
			more = finish(n + i * step, children[i]);
			failed += more;
		}
	}
	print_message("%u allocations failed in turn\n", failed);
	return failed;
}
