#include <msrpd/table.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <msrpd/rand.h>

/* --- the hash is the one that it is said to be --- */

static uint64_t by_openssl(const uint64_t secret[2], const void *key, size_t len)
{
	EVP_MAC *siphash = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(siphash);
	unsigned rounds = 1, last_rounds = 3;
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
	    OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &rounds),
	    OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &last_rounds),
	    OSSL_PARAM_construct_end(),
	};
	unsigned char bytes[8];
	uint64_t value = 0;

	assert_true(EVP_MAC_CTX_set_params(context, params));
	assert_true(EVP_MAC_init(context, (const unsigned char *)secret, 16, NULL));
	assert_true(EVP_MAC_update(context, key, len));
	assert_true(EVP_MAC_final(context, bytes, NULL, sizeof(bytes)));
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(siphash);
	for (int i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

static void test_siphash(void **state)
{
	uint64_t secret[2];
	unsigned char key[80];

	(void)state;
	for (size_t len = 0; len < sizeof(key); len++) {
		/* As bytes they are the same on machines of either order. */
		secret[0] = secret[1] = UINT64_C(0x0101010101010101) * (unsigned char)(len + 3);
		rand_bytes(key, sizeof(key));
		assert_true(table_hash_under(secret, key, len) == by_openssl(secret, key, len));
	}
}

/* --- what has been made to collide --- */

enum {
	KEYS = 256,
	BITS = 0xfff, /* of the fixed hash that they have in common */
};

struct item {
	char key[16];
	UT_hash_handle hh;
};

static unsigned fixed_hash(const char *key)
{
	unsigned value;

	HASH_JEN(key, strlen(key), value);
	return value;
}

static unsigned longest_chain(const struct item *items)
{
	const UT_hash_table *table = items->hh.tbl;
	unsigned longest = 0;

	for (unsigned i = 0; i < table->num_buckets; i++)
		if (table->buckets[i].count > longest)
			longest = table->buckets[i].count;
	return longest;
}

static struct item *add_colliding(struct item *items)
{
	struct item *table = NULL;
	unsigned n = 0;

	for (int i = 0; i < KEYS; i++) {
		do
			snprintf(items[i].key, sizeof(items[i].key), "%u", n++);
		while ((fixed_hash(items[i].key) & BITS) != 0);
		HASH_ADD_STR(table, key, &items[i]);
	}
	return table;
}

static void test_chains_are_short(void **state)
{
	struct item *items = calloc(KEYS, sizeof(*items)), *table = add_colliding(items), *found;

	(void)state;
	assert_int_equal(HASH_COUNT(table), KEYS);
	/* All in one, were it that hash; uthash makes more chains from the eleventh on. */
	assert_in_range(longest_chain(table), 1, 20);
	HASH_FIND_STR(table, items[KEYS / 2].key, found);
	assert_ptr_equal(found, &items[KEYS / 2]);
	HASH_CLEAR(hh, table);
	free(items);
}

static void test_secret(void **state)
{
	static const uint64_t none[2];

	(void)state;
	assert_true(table_hash("key", 3) == table_hash("key", 3));
	assert_true(table_hash("key", 3) != table_hash_under(none, "key", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_siphash),
	    cmocka_unit_test(test_chains_are_short),
	    cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
