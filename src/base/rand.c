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

uint64_t rand_u64(void)
{
	uint64_t value;

	rand_bytes(&value, sizeof(value));
	return value;
}

void rand_token(char *p, size_t n)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	/* Ten digits of that base at a time, out of numbers below the last multiple of 62^10. */
	enum { BASE = sizeof(alphabet) - 1, DIGITS = 10 };
	static const uint64_t bound = 21 * UINT64_C(839299365868340224);
	uint64_t value = 0;

	for (size_t i = 0, left = 0; i < n; i++, left--) {
		if (left == 0) {
			do
				value = rand_u64();
			while (value >= bound);
			left = DIGITS;
		}
		p[i] = alphabet[value % BASE];
		value /= BASE;
	}
	p[n] = '\0';
}
