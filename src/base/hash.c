#include <msrpd/hash.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <msrpd/rand.h>

enum { SECRET_SIZE = 16 };

struct hash {
	EVP_MAC_CTX *context;
	unsigned char secret[SECRET_SIZE];
};

int hash_new(struct hash **hashp)
{
	struct hash *hash = calloc(1, sizeof(*hash));
	EVP_MAC *siphash = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
	    OSSL_PARAM_construct_end(),
	};

	if (hash && siphash)
		hash->context = EVP_MAC_CTX_new(siphash);
	EVP_MAC_free(siphash);
	if (!hash || !hash->context || !EVP_MAC_CTX_set_params(hash->context, params)) {
		hash_free(hash);
		return -ENOMEM;
	}
	rand_bytes(hash->secret, sizeof(hash->secret));
	*hashp = hash;
	return 0;
}

void hash_free(struct hash *hash)
{
	if (!hash)
		return;
	EVP_MAC_CTX_free(hash->context);
	explicit_bzero(hash->secret, sizeof(hash->secret));
	free(hash);
}

/* Short texts go in at once, with their lengths before them. */
struct gathered {
	struct hash *hash;
	size_t len;
	unsigned char bytes[256];
	bool failed;
};

static void flush(struct gathered *g)
{
	if (g->len && !EVP_MAC_update(g->hash->context, g->bytes, g->len))
		g->failed = true;
	g->len = 0;
}

static void add(struct gathered *g, const void *p, size_t len)
{
	if (len > sizeof(g->bytes) - g->len)
		flush(g);
	if (len > sizeof(g->bytes)) {
		g->failed |= !EVP_MAC_update(g->hash->context, p, len);
	} else if (len) {
		memcpy(g->bytes + g->len, p, len);
		g->len += len;
	}
}

int hash_texts(struct hash *hash, const struct slice *texts, size_t count, uint64_t *valuep)
{
	int ok = EVP_MAC_init(hash->context, hash->secret, sizeof(hash->secret), NULL);
	struct gathered g = {.hash = hash};

	for (size_t i = 0; ok && i < count; i++) {
		add(&g, &texts[i].len, sizeof(texts[i].len));
		add(&g, texts[i].p, texts[i].len);
	}
	flush(&g);
	ok = ok && !g.failed
	    && EVP_MAC_final(hash->context, (unsigned char *)valuep, NULL, sizeof(*valuep));
	return ok ? 0 : -ENOMEM;
}
