/*
 * Nonces of challenges.  A nonce carries the time of its making, a serial number
 * and a code over both by a key of ours: making one costs no memory.  Only those
 * that right credentials have used are kept, as long as they live, with the counts
 * that came with them.
 */
#include "relay/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/rand.h"

enum {
	KEY_BYTES	= 32,
	BODY_BYTES	= 16,	/* time and serial */
	CODE_BYTES	= 16,	/* of the HMAC */
	NONCE_BYTES	= BODY_BYTES + CODE_BYTES,
	USED_MAX	= 65536,	/* nonces remembered; an older one is stale then */
	WINDOW		= 64,	/* counts behind the highest that may still come, each once */
};

_Static_assert(NONCE_LEN == 2 * NONCE_BYTES, "a nonce is written in hex");

struct body {
	uint64_t	made_ms, serial;
};

/* A nonce that has been used. */
struct used {
	struct timer_entry	timer;
	UT_hash_handle		hh;
	struct body		body;
	uint32_t		highest;
	uint64_t		seen;	/* bit n: highest - n */
};

struct nonces {
	unsigned char		key[KEY_BYTES];
	uint64_t		expire_ms;
	uint64_t		floor_ms;	/* what was made before is stale */
	struct timer_queue	expiry;
	struct used		*used;
};

static void forget(struct nonces *nonces, struct used *used)
{
	timer_queue_stop(&nonces->expiry, &used->timer);
	HASH_DEL(nonces->used, used);
	free(used);
}

static void on_expired(struct timer_entry *entry, void *arg)
{
	forget(arg, OWNER(struct used, timer, entry));
}

int nonces_new(struct nonces **noncesp, struct event_base *base, uint64_t expire_ms)
{
	struct nonces *nonces = calloc(1, sizeof(*nonces));
	int err;

	if (!nonces)
		return -ENOMEM;
	err = timer_queue_init(&nonces->expiry, base, expire_ms, on_expired, nonces);
	if (err < 0) {
		free(nonces);
		return err;
	}
	rand_bytes(nonces->key, sizeof(nonces->key));
	nonces->expire_ms = expire_ms;
	*noncesp = nonces;
	return 0;
}

void nonces_free(struct nonces *nonces)
{
	if (!nonces)
		return;
	while (nonces->used)
		forget(nonces, nonces->used);
	timer_queue_fini(&nonces->expiry);
	explicit_bzero(nonces->key, sizeof(nonces->key));
	free(nonces);
}

void nonces_set_expire(struct nonces *nonces, uint64_t expire_ms)
{
	nonces->expire_ms = expire_ms;
	timer_queue_set_period(&nonces->expiry, expire_ms);
}

/* @return false: OpenSSL had no memory */
static bool make_code(const struct nonces *nonces, const struct body *body,
    unsigned char code[CODE_BYTES])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	size_t len = 0;

	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, nonces->key, sizeof(nonces->key),
		(const unsigned char *)body, sizeof(*body), hash, sizeof(hash), &len)
	    || len < CODE_BYTES)
		return false;
	memcpy(code, hash, CODE_BYTES);
	return true;
}

static void to_hex(char *text, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		*text++ = digits[p[i] >> 4];
		*text++ = digits[p[i] & 15];
	}
	*text = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(unsigned char *bytes, size_t len, struct slice text)
{
	if (text.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

void nonces_make(struct nonces *nonces, char nonce[NONCE_LEN + 1])
{
	struct body body = {timer_now_ms(), rand_u64()};
	unsigned char bytes[NONCE_BYTES];

	memcpy(bytes, &body, sizeof(body));
	/* Without a code it is one that nobody can use: the AUTH that comes with it is stale. */
	if (!make_code(nonces, &body, bytes + BODY_BYTES))
		rand_bytes(bytes + BODY_BYTES, CODE_BYTES);
	to_hex(nonce, bytes, sizeof(bytes));
}

/* Is it ours, and young enough? */
static bool nonce_valid(const struct nonces *nonces, struct slice nonce, struct body *body)
{
	unsigned char bytes[NONCE_BYTES], code[CODE_BYTES];
	uint64_t now = timer_now_ms();

	if (!from_hex(bytes, sizeof(bytes), nonce))
		return false;
	memcpy(body, bytes, sizeof(*body));
	if (!make_code(nonces, body, code)
	    || CRYPTO_memcmp(code, bytes + BODY_BYTES, CODE_BYTES) != 0)
		return false;
	return body->made_ms >= nonces->floor_ms && now - body->made_ms < nonces->expire_ms;
}

/* Bounded: the oldest goes, and whatever was made before it is taken for used up. */
static void make_room(struct nonces *nonces)
{
	struct used *oldest = nonces->used;	/* uthash keeps the order of insertion */

	if (HASH_COUNT(nonces->used) < USED_MAX)
		return;
	if (oldest->body.made_ms >= nonces->floor_ms)
		nonces->floor_ms = oldest->body.made_ms + 1;
	forget(nonces, oldest);
}

static enum nonce_state first_use(struct nonces *nonces, const struct body *body, uint32_t nc)
{
	struct used *used;

	make_room(nonces);
	used = calloc(1, sizeof(*used));
	if (!used)
		return NONCE_STALE;
	used->body = *body;
	used->highest = nc;
	used->seen = 1;
	HASH_ADD(hh, nonces->used, body, sizeof(used->body), used);
	timer_queue_start(&nonces->expiry, &used->timer);
	return NONCE_FRESH;
}

/* Counts may overtake each other, as far as the window goes; none counts twice. */
static enum nonce_state use_count(struct used *used, uint32_t nc)
{
	uint32_t behind;

	if (nc > used->highest) {
		uint32_t ahead = nc - used->highest;

		used->seen = ahead < WINDOW ? used->seen << ahead | 1 : 1;
		used->highest = nc;
		return NONCE_FRESH;
	}
	behind = used->highest - nc;
	if (behind >= WINDOW || used->seen & UINT64_C(1) << behind)
		return NONCE_STALE;
	used->seen |= UINT64_C(1) << behind;
	return NONCE_FRESH;
}

enum nonce_state nonces_use(struct nonces *nonces, struct slice nonce, uint32_t nc)
{
	struct body body;
	struct used *used;

	if (!nonce_valid(nonces, nonce, &body))
		return NONCE_STALE;
	HASH_FIND(hh, nonces->used, &body, sizeof(body), used);
	return used ? use_count(used, nc) : first_use(nonces, &body, nc);
}
