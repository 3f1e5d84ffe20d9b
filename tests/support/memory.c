#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <regex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static atomic_uint left; /* threads allocate, too */
static atomic_bool failed;

void memory_fail_at(unsigned n)
{
	failed = false;
	left = n;
}

int memory_has_failed(void)
{
	return failed;
}

static bool fails(void)
{
	unsigned n = left;

	while (n > 0 && !atomic_compare_exchange_weak(&left, &n, n - 1))
		continue;
	if (n != 1)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

/* The linker's --wrap names these (tests/CMakeLists.txt). */
#define WRAP(type, name, params, args, failure)                  \
	type __real_##name params;                               \
	type __wrap_##name params;                               \
	type __wrap_##name params                                \
	{                                                        \
		return fails() ? (failure) : __real_##name args; \
	}

/* clang-format off */
WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(void *, realloc, (void *p, size_t size), (p, size), NULL)
WRAP(void *, reallocarray, (void *p, size_t count, size_t size), (p, count, size), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(ssize_t, getline, (char **linep, size_t *sizep, FILE *file), (linep, sizep, file), -1)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
WRAP(DIR *, opendir, (const char *path), (path), NULL)
WRAP(int, regcomp, (regex_t *regex, const char *text, int flags), (regex, text, flags), REG_ESPACE)
WRAP(int, getifaddrs, (struct ifaddrs **allp), (allp), -1)
WRAP(int, getaddrinfo,
    (const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **foundp),
    (host, port, hints, foundp), EAI_MEMORY)
/* clang-format on */

/* What it leaves in *textp then is for nobody. */
static int format(char **textp, const char *text, va_list args)
{
	*textp = (char *)(uintptr_t)-1;
	return fails() ? -1 : vasprintf(textp, text, args);
}

int __wrap_asprintf(char **textp, const char *text, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **textp, const char *text, ...)
{
	va_list args;
	int n;

	va_start(args, text);
	n = format(textp, text, args);
	va_end(args);
	return n;
}

/* What _FORTIFY_SOURCE makes of it. */
int __wrap___asprintf_chk(char **textp, int flag, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **textp, int flag, const char *text, ...)
{
	va_list args;
	int n;

	(void)flag;
	va_start(args, text);
	n = format(textp, text, args);
	va_end(args);
	return n;
}

void *memory_spared(size_t size)
{
	return __real_malloc(size);
}
