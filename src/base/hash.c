#include <msrpd/hash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium/crypto_shorthash.h>

#include <msrpd/rand.h>

enum { BLOCK = 512 };

struct hash {
	unsigned char secret[crypto_shorthash_KEYBYTES];
};

/* Texts with their lengths before them, in blocks: each begins with the value of the one before. */
struct gathered {
	const struct hash *hash;
	size_t len;
	unsigned char bytes[BLOCK];
};

int hash_new(struct hash **hashp)
{
	struct hash *hash = calloc(1, sizeof(*hash));

	if (!hash)
		return -ENOMEM;
	rand_bytes(hash->secret, sizeof(hash->secret));
	*hashp = hash;
	return 0;
}

void hash_free(struct hash *hash)
{
	if (!hash)
		return;
	explicit_bzero(hash->secret, sizeof(hash->secret));
	free(hash);
}

static void flush(struct gathered *g)
{
	unsigned char value[crypto_shorthash_BYTES];

	crypto_shorthash(value, g->bytes, g->len, g->hash->secret);
	memcpy(g->bytes, value, sizeof(value));
	g->len = sizeof(value);
}

static void add(struct gathered *g, const void *p, size_t len)
{
	const unsigned char *from = p;

	while (len) {
		size_t n = len < BLOCK - g->len ? len : BLOCK - g->len;

		memcpy(g->bytes + g->len, from, n);
		g->len += n;
		from += n;
		len -= n;
		if (g->len == BLOCK)
			flush(g);
	}
}

uint64_t hash_texts(const struct hash *hash, const struct slice *texts, size_t count)
{
	struct gathered g;
	uint64_t value;

	g.hash = hash;
	g.len = crypto_shorthash_BYTES;
	memset(g.bytes, 0, g.len);
	for (size_t i = 0; i < count; i++) {
		add(&g, &texts[i].len, sizeof(texts[i].len));
		add(&g, texts[i].p, texts[i].len);
	}
	flush(&g);
	memcpy(&value, g.bytes, sizeof(value));
	return value;
}
