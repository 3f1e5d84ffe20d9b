#include "memory.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The linker's --wrap names these (tests/CMakeLists.txt). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);

static unsigned left;
static int failed;

void memory_fail_at(unsigned n)
{
	left = n;
	failed = 0;
}

int memory_has_failed(void)
{
	return failed;
}

static int fails(void)
{
	if (left == 0 || --left > 0)
		return 0;
	failed = 1;
	errno = ENOMEM;
	return 1;
}

void *memory_spared(size_t size)
{
	return __real_malloc(size);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, count, size);
}
