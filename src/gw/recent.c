/*
 * Over UDP a MESSAGE is repeated for 32 s until an answer gets through (RFC 3261 17.1.2).
 * SIP absorbs that as long as it remembers the transaction, which may be much shorter
 * (sip.transaction_timeout); what must not be delivered twice is remembered here for less.
 */
#include <errno.h>
#include <stdlib.h>

#include <msrpd/hash.h>

#include "gw/priv.h"

/* There may be many of them, so they are kept as bare digests in open addressing. */
enum { RECENT_MS = 32000, SIZE_MIN = 64 };
enum { SLOT_FREE, SLOT_GONE, DIGEST_MIN }; /* what is in a slot if it is no digest */

/*
 * Of what is the same in a repetition, and in nothing else (RFC 3261 8.2.2.2).  Keyed, so that
 * nobody can make two of them collide.
 */
static uint64_t digest_of(const struct gw *gw, const struct sip_request *message)
{
	const struct slice texts[] = {
	    sip_request_field(message, SIP_FIELD_CALL_ID),
	    sip_request_field(message, SIP_FIELD_CSEQ),
	    sip_request_field(message, SIP_FIELD_METHOD),
	    sip_request_field(message, SIP_FIELD_FROM_URI),
	    sip_request_field(message, SIP_FIELD_FROM_TAG),
	};
	uint64_t digest = hash_texts(gw->hash, texts, sizeof(texts) / sizeof(texts[0]));

	return digest < DIGEST_MIN ? DIGEST_MIN : digest;
}

static bool may_come_again(const struct sip_request *message)
{
	return slice_equal(sip_request_field(message, SIP_FIELD_PROTO), SLICE("udp"));
}

/* --- one generation --- */

/* The digest's slot, or the free one where it would be; there is always one. */
static uint64_t *slot_of(const struct gw_recent *g, uint64_t digest)
{
	size_t i = digest & (g->size - 1);

	while (g->slots[i] != digest && g->slots[i] != SLOT_FREE)
		i = (i + 1) & (g->size - 1);
	return &g->slots[i];
}

static bool has(const struct gw_recent *g, uint64_t digest)
{
	return g->size && *slot_of(g, digest) == digest;
}

static int grow(struct gw_recent *g)
{
	struct gw_recent bigger = {.size = g->size ? 2 * g->size : SIZE_MIN};

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

static int add(struct gw_recent *g, uint64_t digest)
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

void gw_recent_on_turn(void *arg)
{
	struct gw *gw = arg;

	free(gw->recent[1].slots);
	gw->recent[1] = gw->recent[0];
	gw->recent[0] = (struct gw_recent){0};
	if (gw->recent[1].used)
		timer_start(&gw->recent_turn, RECENT_MS);
}

bool gw_recent_note(struct gw *gw, const struct sip_request *message, unsigned passes)
{
	uint64_t digest;

	if (!passes && !may_come_again(message))
		return false;
	digest = digest_of(gw, message);
	if (has(&gw->recent[0], digest) || has(&gw->recent[1], digest))
		return true;
	/* Without memory it may be delivered twice, which is better than not at all. */
	if (add(&gw->recent[0], digest) == 0 && !timer_running(&gw->recent_turn))
		timer_start(&gw->recent_turn, RECENT_MS);
	return false;
}

void gw_recent_forget(struct gw *gw, const struct sip_request *message, unsigned passes)
{
	uint64_t digest;

	if (!passes && !may_come_again(message))
		return;
	digest = digest_of(gw, message);
	for (size_t i = 0; i < 2; i++)
		if (has(&gw->recent[i], digest))
			*slot_of(&gw->recent[i], digest) = SLOT_GONE;
}

void gw_recent_free(struct gw *gw)
{
	free(gw->recent[0].slots);
	free(gw->recent[1].slots);
	timer_fini(&gw->recent_turn);
	hash_free(gw->hash);
}
