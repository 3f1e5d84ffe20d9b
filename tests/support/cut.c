#include "cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_init(struct guard *guard, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (size + page) / page * page;

	guard->size = room + page;
	guard->base =
	    mmap(NULL, guard->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard->base == MAP_FAILED || mprotect(guard->base + room, page, PROT_NONE) < 0)
		abort();
	guard->end = guard->base + room;
}

void guard_fini(struct guard *guard)
{
	munmap(guard->base, guard->size);
}

struct slice guard_copy(struct guard *guard, struct slice bytes)
{
	char *p = guard->end - bytes.len;

	if (bytes.len > (size_t)(guard->end - guard->base))
		abort();
	if (bytes.len)
		memcpy(p, bytes.p, bytes.len);
	return (struct slice){p, bytes.len};
}

struct run {
	struct guard guard;
	const struct cut_target *target;
	void *arg;
};

static void give(struct run *run, struct slice piece)
{
	if (piece.len)
		run->target->piece(guard_copy(&run->guard, piece), run->arg);
}

static void in_two(struct run *run, struct slice input, size_t at)
{
	char how[32];

	snprintf(how, sizeof(how), "cut at %zu", at);
	run->target->begin(run->arg);
	give(run, slice_head(input, at));
	give(run, slice_from(input, at));
	run->target->end(at == 0 ? "whole" : how, run->arg);
}

static void byte_by_byte(struct run *run, struct slice input)
{
	run->target->begin(run->arg);
	for (size_t i = 0; i < input.len; i++)
		give(run, slice_head(slice_from(input, i), 1));
	run->target->end("byte by byte", run->arg);
}

void cut_every_way(struct slice input, const struct cut_target *target, void *arg)
{
	struct run run = {.target = target, .arg = arg};

	guard_init(&run.guard, input.len);
	for (size_t at = 0; at < input.len || at == 0; at++)
		in_two(&run, input, at);
	byte_by_byte(&run, input);
	guard_fini(&run.guard);
}
