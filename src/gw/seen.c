/*
 * Over UDP a MESSAGE is repeated for 32 s until an answer gets through (RFC 3261 17.1.2).
 * SIP absorbs that as long as it remembers the transaction, which may be much shorter
 * (sip.transaction_timeout); what must not be delivered twice is remembered here for less.
 */
#include <stdlib.h>

#include "gw/priv.h"

struct gw_seen {
	UT_hash_handle		hh;
	struct timer_entry	age;
	uint64_t		digest;
};

static uint64_t rotate(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
	v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein 2012) with a secret, so that nobody can make two collide. */
static uint64_t digest_more(const uint64_t secret[2], uint64_t before, struct slice text)
{
	uint64_t v[4] = {
		secret[0] ^ 0x736f6d6570736575,
		secret[1] ^ 0x646f72616e646f6d ^ before,
		secret[0] ^ 0x6c7967656e657261,
		secret[1] ^ 0x7465646279746573,
	};
	uint64_t word = 0;

	for (size_t i = 0; i < text.len; i++) {
		word |= (uint64_t)(unsigned char)text.p[i] << i % 8 * 8;
		if (i % 8 != 7)
			continue;
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
		word = 0;
	}
	word |= (uint64_t)text.len << 56;
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* What is the same in a repetition, and in nothing else (RFC 3261 8.2.2.2). */
static uint64_t digest_of(const struct gw *gw, const struct sip_request *message)
{
	uint64_t d = digest_more(
	    gw->seen_secret, 0, sip_request_field(message, SIP_FIELD_CALL_ID));

	d = digest_more(gw->seen_secret, d, sip_request_header(message, SLICE("CSeq")));
	return digest_more(gw->seen_secret, d, sip_request_header(message, SLICE("From")));
}

static bool may_come_again(const struct sip_request *message)
{
	return slice_equal(sip_request_field(message, SIP_FIELD_PROTO), SLICE("udp"));
}

static struct gw_seen *find(const struct gw *gw, uint64_t digest)
{
	struct gw_seen *seen;

	HASH_FIND(hh, gw->seen, &digest, sizeof(digest), seen);
	return seen;
}

static void forget(struct gw *gw, struct gw_seen *seen)
{
	timer_queue_stop(&gw->seen_ages, &seen->age);
	HASH_DEL(gw->seen, seen);
	free(seen);
}

bool gw_seen(struct gw *gw, const struct sip_request *message)
{
	struct gw_seen *seen;
	uint64_t digest;

	if (!may_come_again(message))
		return false;
	digest = digest_of(gw, message);
	if (find(gw, digest))
		return true;
	seen = calloc(1, sizeof(*seen));
	if (!seen)
		return false;	/* better twice than not at all */
	seen->digest = digest;
	HASH_ADD(hh, gw->seen, digest, sizeof(seen->digest), seen);
	if (!seen->hh.tbl) {
		free(seen);
		return false;
	}
	timer_queue_start(&gw->seen_ages, &seen->age);
	return false;
}

void gw_unsee(struct gw *gw, const struct sip_request *message)
{
	struct gw_seen *seen = may_come_again(message) ? find(gw, digest_of(gw, message)) : NULL;

	if (seen)
		forget(gw, seen);
}

void gw_seen_on_old(struct timer_entry *entry, void *arg)
{
	forget(arg, (struct gw_seen *)((char *)entry - offsetof(struct gw_seen, age)));
}

void gw_seen_free_all(struct gw *gw)
{
	struct gw_seen *seen, *next;

	HASH_ITER(hh, gw->seen, seen, next)
		forget(gw, seen);
}
