#include <msrpd/rand.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { POOL_SIZE = 4096 };

/* One system call serves many identifiers; what was handed out is wiped. */
static struct {
	unsigned char bytes[POOL_SIZE];
	size_t left;
} pool;

static void from_system(unsigned char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void rand_bytes(void *p, size_t len)
{
	if (len > sizeof(pool.bytes)) {
		from_system(p, len);
		return;
	}
	if (len > pool.left) {
		from_system(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
	}
	pool.left -= len;
	memcpy(p, pool.bytes + pool.left, len);
	explicit_bzero(pool.bytes + pool.left, len);
}

void rand_token(char *p, size_t n)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char bytes[32];
	size_t filled = 0;

	while (filled < n) {
		/* One in 32 is thrown away, so this is mostly enough. */
		size_t want = n - filled + 2 < sizeof(bytes) ? n - filled + 2 : sizeof(bytes);

		rand_bytes(bytes, want);
		for (size_t i = 0; i < want && filled < n; i++) {
			unsigned index = bytes[i] & 63;

			/* 62 and 63 are thrown away: a remainder would favour some letters. */
			if (index < sizeof(alphabet) - 1)
				p[filled++] = alphabet[index];
		}
	}
	p[n] = '\0';
	explicit_bzero(bytes, sizeof(bytes));
}

uint64_t rand_u64(void)
{
	uint64_t value;

	rand_bytes(&value, sizeof(value));
	return value;
}
