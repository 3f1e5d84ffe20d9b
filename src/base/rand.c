#include <msrpd/rand.h>

#include <errno.h>
#include <stdbool.h>
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

enum { BASE = 62, DIGITS = 10 }; /* so many of them are in a number of 64 bits */

/*
 * A number is a fraction, whose digits in that base come out at its upper end.  What is left behind
 * n of them is below 2^64 mod 62^n for those numbers that are one too many for their digits.
 *
 * @return false: it is one of these
 */
static bool put_digits(char *p, size_t n, uint64_t fraction)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	uint64_t many = 1;

	for (size_t i = 0; i < n; i++) {
		unsigned __int128 product = (unsigned __int128)fraction * BASE;

		p[i] = alphabet[(size_t)(product >> 64)];
		fraction = (uint64_t)product;
		many *= BASE;
	}
	/* No remainder is as large as what it is one of, which spares a division mostly. */
	return fraction >= many || fraction >= -many % many;
}

void rand_token(char *p, size_t n)
{
	for (size_t i = 0; i < n; i += DIGITS) {
		size_t digits = n - i < DIGITS ? n - i : DIGITS;

		while (!put_digits(p + i, digits, rand_u64()))
			;
	}
	p[n] = '\0';
}
