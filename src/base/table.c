/*
 * SipHash-1-3 (Aumasson, Bernstein: SipHash: a fast short-input PRF): one round for each word and
 * three at the end, as the hash tables of several languages have it.  uthash is asked for each frame:
 * of a session id this takes 177 instructions, uthash's own hash 174, libsodium's SipHash-2-4 217.
 * test_base_table compares it with OpenSSL's.
 */
#include <msrpd/table.h>

#include <endian.h>
#include <string.h>

#include <msrpd/rand.h>

static uint64_t process_secret[2];

__attribute__((constructor)) static void make_secret(void)
{
	rand_bytes(process_secret, sizeof(process_secret));
}

struct sip {
	uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void mix(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32) + s->d;
	s->c += s->b;
	s->d = rotate(s->d, 21) ^ s->a;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static inline void add(struct sip *s, uint64_t word)
{
	s->d ^= word;
	mix(s);
	s->a ^= word;
}

static inline uint64_t word_at(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

/* Up to seven bytes. */
static inline uint64_t rest_at(const unsigned char *p, size_t len)
{
	uint64_t word = 0;

	while (len)
		word = word << 8 | p[--len];
	return word;
}

uint64_t table_hash_under(const uint64_t secret[2], const void *key, size_t len)
{
	const unsigned char *p = key, *end = p + (len & ~(size_t)7);
	struct sip s = {
	    .a = secret[0] ^ UINT64_C(0x736f6d6570736575),
	    .b = secret[1] ^ UINT64_C(0x646f72616e646f6d),
	    .c = secret[0] ^ UINT64_C(0x6c7967656e657261),
	    .d = secret[1] ^ UINT64_C(0x7465646279746573),
	};

	for (; p < end; p += 8)
		add(&s, word_at(p));
	add(&s, rest_at(p, len & 7) | (uint64_t)len << 56);
	s.c ^= 0xff;
	mix(&s);
	mix(&s);
	mix(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t table_hash(const void *key, size_t len)
{
	return table_hash_under(process_secret, key, len);
}
