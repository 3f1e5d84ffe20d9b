#include "net/ticket_share.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { HASH_BYTES = 32 };

static bool mac_of(unsigned char mac[HASH_BYTES], struct slice key, const void *text, size_t len)
{
	size_t n = 0;

	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p, key.len, text, len, mac,
		   HASH_BYTES, &n)
	    && n == HASH_BYTES;
}

int ticket_share_init(struct ticket_share *share, struct slice secret, struct slice context)
{
	static const char use[] = "tickets of TLS";
	unsigned char inner[HASH_BYTES];
	bool done;

	*share = (struct ticket_share){.period = 0};
	done = mac_of(inner, secret, use, sizeof(use))
	    && mac_of(share->root, (struct slice){(const char *)inner, sizeof(inner)}, context.p,
		context.len);
	OPENSSL_cleanse(inner, sizeof(inner));
	return done ? 0 : -ENOMEM;
}

/* One of the parts of a period's key. */
static bool derive(const struct ticket_share *share, uint64_t period, char part,
    unsigned char out[HASH_BYTES])
{
	unsigned char text[sizeof(period) + 1];

	for (size_t i = 0; i < sizeof(period); i++)
		text[i] = (unsigned char)(period >> (8 * i));
	text[sizeof(period)] = (unsigned char)part;
	return mac_of(out, (struct slice){(const char *)share->root, sizeof(share->root)}, text,
	    sizeof(text));
}

static bool make_key(const struct ticket_share *share, uint64_t period, struct ticket_key *key)
{
	unsigned char name[HASH_BYTES];
	bool made = derive(share, period, 'n', name) && derive(share, period, 'c', key->cipher)
	    && derive(share, period, 'm', key->mac);

	if (made)
		memcpy(key->name, name, sizeof(key->name));
	return made;
}

int ticket_share_turn(struct ticket_share *share, uint64_t now_s)
{
	uint64_t period = now_s / TICKET_PERIOD_S + 1; /* never 0 */
	bool made = true;

	if (period == share->period)
		return 0;
	for (unsigned i = 0; i < TICKET_PERIODS; i++)
		made = made && make_key(share, period + i - TICKET_NOW, &share->keys[i]);
	if (!made)
		OPENSSL_cleanse(share->keys, sizeof(share->keys));
	share->period = made ? period : 0;
	return made ? 0 : -ENOMEM;
}

const struct ticket_key *ticket_share_find(const struct ticket_share *share,
    const unsigned char name[TICKET_NAME_BYTES])
{
	if (share->period)
		for (unsigned i = 0; i < TICKET_PERIODS; i++)
			if (memcmp(name, share->keys[i].name, TICKET_NAME_BYTES) == 0)
				return &share->keys[i];
	return NULL;
}
