#include "auth/nonce.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <msrpd/hex.h>
#include <msrpd/rand.h>

enum {
	KEY_BYTES = 32,
	BODY_BYTES = 16, /* time and number */
	ADDRESS_MAX = 64,
	CODE_BYTES = 16, /* of the HMAC */
	NONCE_BYTES = BODY_BYTES + CODE_BYTES,
	RING = 65536,
	WINDOW = 32, /* counts behind the highest that may still come, each once */
	OTHERS = 8192,
	OTHERS_LIFE_MS = 30 * 1000,
	CLOCKS_APART_MS = 2 * 1000, /* of two nodes, at most */
};

_Static_assert(NONCE_LEN == 2 * NONCE_BYTES, "a nonce is written in hex");

/* The time is the world's, and the number begins with the process: other nodes are to read them. */
struct body {
	uint64_t made_ms, number;
};

/* The counts that came with a nonce. */
struct counts {
	uint32_t highest; /* 0: none yet */
	uint32_t used;    /* bit n: highest - n was */
};

/* The same of one that another node has made. */
struct other {
	struct body body;
	struct counts counts;
};

struct nonces {
	unsigned char key[KEY_BYTES];
	uint64_t expire_ms;
	uint32_t process;
	uint32_t made;            /* the number of the latest */
	struct counts ring[RING]; /* by number; what is not touched takes no memory */
	struct other others[OTHERS];
};

static uint64_t world_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int nonces_new(struct nonces **noncesp, uint64_t expire_ms)
{
	struct nonces *nonces = calloc(1, sizeof(*nonces));

	if (!nonces)
		return -ENOMEM;
	rand_bytes(nonces->key, sizeof(nonces->key));
	rand_bytes(&nonces->process, sizeof(nonces->process));
	nonces->expire_ms = expire_ms;
	*noncesp = nonces;
	return 0;
}

void nonces_free(struct nonces *nonces)
{
	if (!nonces)
		return;
	explicit_bzero(nonces->key, sizeof(nonces->key));
	free(nonces);
}

void nonces_set_expire(struct nonces *nonces, uint64_t expire_ms)
{
	nonces->expire_ms = expire_ms;
}

int nonces_share(struct nonces *nonces, struct slice secret)
{
	static const char use[] = "nonces";
	size_t len = 0;

	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.p, secret.len,
		   (const unsigned char *)use, sizeof(use), nonces->key, sizeof(nonces->key), &len)
	    ? 0
	    : -ENOMEM;
}

/* @return false: OpenSSL had no memory */
static bool make_code(const struct nonces *nonces, const struct body *body, struct slice address,
    unsigned char code[CODE_BYTES])
{
	unsigned char text[BODY_BYTES + ADDRESS_MAX], hash[EVP_MAX_MD_SIZE];
	size_t len = 0;

	assert(address.len <= ADDRESS_MAX);
	memcpy(text, body, sizeof(*body));
	if (address.len)
		memcpy(text + sizeof(*body), address.p, address.len);
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, nonces->key, sizeof(nonces->key), text,
		sizeof(*body) + address.len, hash, sizeof(hash), &len)
	    || len < CODE_BYTES)
		return false;
	memcpy(code, hash, CODE_BYTES);
	return true;
}

void nonces_make(struct nonces *nonces, struct slice address, char nonce[NONCE_LEN + 1])
{
	struct body body = {world_ms(), (uint64_t)nonces->process << 32 | ++nonces->made};
	unsigned char bytes[NONCE_BYTES];

	nonces->ring[nonces->made % RING] = (struct counts){0, 0};
	memcpy(bytes, &body, sizeof(body));
	/* Without a code it is one that nobody can use: what comes with it is stale. */
	if (!make_code(nonces, &body, address, bytes + BODY_BYTES))
		rand_bytes(bytes + BODY_BYTES, CODE_BYTES);
	hex_write(nonce, bytes, sizeof(bytes));
}

static uint64_t age_ms(const struct body *body)
{
	uint64_t now = world_ms();

	return body->made_ms > now && body->made_ms - now <= CLOCKS_APART_MS ? 0
									     : now - body->made_ms;
}

/* Has it been made with our key, for that address, and is it young enough? */
static bool nonce_valid(const struct nonces *nonces, struct slice nonce, struct slice address,
    struct body *body)
{
	unsigned char bytes[NONCE_BYTES], code[CODE_BYTES];

	if (!hex_read(bytes, sizeof(bytes), nonce))
		return false;
	memcpy(body, bytes, sizeof(*body));
	return make_code(nonces, body, address, code)
	    && CRYPTO_memcmp(code, bytes + BODY_BYTES, CODE_BYTES) == 0
	    && age_ms(body) < nonces->expire_ms;
}

/* @return NULL: the ring has passed by, or there is no room for those of others */
static struct counts *find_counts(struct nonces *nonces, const struct body *body)
{
	uint32_t number = (uint32_t)body->number;
	struct other *other = &nonces->others[(body->number >> 32 ^ number) % OTHERS];

	if (body->number >> 32 == nonces->process)
		return nonces->made - number < RING ? &nonces->ring[number % RING] : NULL;
	if (age_ms(body) >= OTHERS_LIFE_MS)
		return NULL;
	if (other->body.number == body->number)
		return &other->counts;
	if (other->body.made_ms && age_ms(&other->body) < OTHERS_LIFE_MS)
		return NULL;
	*other = (struct other){.body = *body};
	return &other->counts;
}

/* Counts may overtake each other, as far as the window goes; none counts twice. */
static enum nonce_state use_count(struct counts *counts, uint32_t nc)
{
	uint32_t behind;

	if (nc > counts->highest) {
		uint32_t ahead = nc - counts->highest;

		counts->used = ahead < WINDOW ? counts->used << ahead | 1 : 1;
		counts->highest = nc;
		return NONCE_FRESH;
	}
	behind = counts->highest - nc;
	if (nc == 0 || behind >= WINDOW || counts->used & UINT32_C(1) << behind)
		return NONCE_STALE;
	counts->used |= UINT32_C(1) << behind;
	return NONCE_FRESH;
}

bool nonces_know(const struct nonces *nonces, struct slice nonce, struct slice address)
{
	struct body body;

	return nonce_valid(nonces, nonce, address, &body);
}

enum nonce_state nonces_use(struct nonces *nonces, struct slice nonce, struct slice address,
    uint32_t nc)
{
	struct counts *counts = NULL;
	struct body body;

	if (nonce_valid(nonces, nonce, address, &body))
		counts = find_counts(nonces, &body);
	return counts ? use_count(counts, nc) : NONCE_STALE;
}
