/*
 * Over UDP a MESSAGE is repeated for 32 s until an answer gets through (RFC 3261 17.1.2).
 * SIP absorbs that as long as it remembers the transaction, which may be much shorter
 * (sip.transaction_timeout); what must not be delivered twice is remembered here for less.
 */
#include <errno.h>
#include <stdlib.h>

#include "gw/priv.h"

/* There may be many of them, so they are kept as bare digests in open addressing. */
enum { SEEN_MS = 32000, SIZE_MIN = 64 };
enum { SLOT_FREE, SLOT_GONE, DIGEST_MIN }; /* what is in a slot if it is no digest */

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
	uint64_t d = digest_more(gw->seen_secret, 0, sip_request_field(message, SIP_FIELD_CALL_ID));

	d = digest_more(gw->seen_secret, d, sip_request_header(message, SLICE("CSeq")));
	d = digest_more(gw->seen_secret, d, sip_request_header(message, SLICE("From")));
	return d < DIGEST_MIN ? DIGEST_MIN : d;
}

static bool may_come_again(const struct sip_request *message)
{
	return slice_equal(sip_request_field(message, SIP_FIELD_PROTO), SLICE("udp"));
}

/* --- one generation --- */

/* The digest's slot, or the free one where it would be; there is always one. */
static uint64_t *slot_of(const struct gw_seen *g, uint64_t digest)
{
	size_t i = digest & (g->size - 1);

	while (g->slots[i] != digest && g->slots[i] != SLOT_FREE)
		i = (i + 1) & (g->size - 1);
	return &g->slots[i];
}

static bool has(const struct gw_seen *g, uint64_t digest)
{
	return g->size && *slot_of(g, digest) == digest;
}

static int grow(struct gw_seen *g)
{
	struct gw_seen bigger = {.size = g->size ? 2 * g->size : SIZE_MIN};

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < g->size; i++) {
		if (g->slots[i] < DIGEST_MIN)
			continue;
		*slot_of(&bigger, g->slots[i]) = g->slots[i];
		bigger.used++;
	}
	free(g->slots);
	*g = bigger;
	return 0;
}

static int add(struct gw_seen *g, uint64_t digest)
{
	/* Three quarters full at most, or the ways through it become long. */
	if (4 * (g->used + 1) > 3 * g->size) {
		int err = grow(g);

		if (err < 0)
			return err;
	}
	*slot_of(g, digest) = digest;
	g->used++;
	return 0;
}

/* --- two: one that fills, and the one before --- */

void gw_seen_on_turn(void *arg)
{
	struct gw *gw = arg;

	free(gw->seen[1].slots);
	gw->seen[1] = gw->seen[0];
	gw->seen[0] = (struct gw_seen){0};
	if (gw->seen[1].used)
		timer_start(&gw->seen_turn, SEEN_MS);
}

bool gw_seen(struct gw *gw, const struct sip_request *message)
{
	uint64_t digest;

	if (!may_come_again(message))
		return false;
	digest = digest_of(gw, message);
	if (has(&gw->seen[0], digest) || has(&gw->seen[1], digest))
		return true;
	/* Without memory it may be delivered twice, which is better than not at all. */
	if (add(&gw->seen[0], digest) == 0 && !timer_running(&gw->seen_turn))
		timer_start(&gw->seen_turn, SEEN_MS);
	return false;
}

void gw_unsee(struct gw *gw, const struct sip_request *message)
{
	uint64_t digest;

	if (!may_come_again(message))
		return;
	digest = digest_of(gw, message);
	for (size_t i = 0; i < 2; i++)
		if (has(&gw->seen[i], digest))
			*slot_of(&gw->seen[i], digest) = SLOT_GONE;
}

void gw_seen_free_all(struct gw *gw)
{
	free(gw->seen[0].slots);
	free(gw->seen[1].slots);
	timer_fini(&gw->seen_turn);
}
