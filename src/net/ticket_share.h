/*
 * Keys of session tickets that several processes have, each by itself: made of a secret that all of
 * them know and of the time, in periods of an hour.  The clocks of two may differ.
 */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

enum {
	TICKET_NAME_BYTES = 16,
	TICKET_KEY_BYTES = 32,
	TICKET_PERIOD_S = 3600,
};

struct ticket_key {
	unsigned char name[TICKET_NAME_BYTES], cipher[TICKET_KEY_BYTES], mac[TICKET_KEY_BYTES];
};

enum { TICKET_BEFORE, TICKET_NOW, TICKET_NEXT, TICKET_PERIODS };

/** Zeroed: none.  Whoever ends it wipes it. */
struct ticket_share {
	unsigned char root[TICKET_KEY_BYTES];
	uint64_t period; /* of the key at TICKET_NOW; 0: there are no keys yet */
	/* TICKET_NOW makes tickets, and each opens them. */
	struct ticket_key keys[TICKET_PERIODS];
};

/**
 * @param context  what all of them must have in common beside the secret for their keys to be the
 *                 same
 * @return 0 or -ENOMEM
 */
int ticket_share_init(struct ticket_share *share, struct slice secret, struct slice context);

/**
 * Have the keys for this time of the world; those of other periods are overwritten.
 * @return 0; -ENOMEM: there are none, until it is called again
 */
int ticket_share_turn(struct ticket_share *share, uint64_t now_s);

/** NULL: none of that name. */
const struct ticket_key *ticket_share_find(const struct ticket_share *share,
    const unsigned char name[TICKET_NAME_BYTES]);
