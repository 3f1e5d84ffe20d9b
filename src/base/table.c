/* SipHash-2-4 by libsodium: of a session id it takes little more than uthash's own. */
#include <msrpd/table.h>

#include <sodium/crypto_shorthash.h>

#include <msrpd/rand.h>

static unsigned char secret[crypto_shorthash_KEYBYTES];

__attribute__((constructor)) static void make_secret(void)
{
	rand_bytes(secret, sizeof(secret));
}

uint64_t table_hash(const void *key, size_t len)
{
	uint64_t value;

	crypto_shorthash((unsigned char *)&value, key, len, secret);
	return value;
}
