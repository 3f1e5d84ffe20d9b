#include <msrpd/table.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void test_same_key_same_hash(void **state)
{
	(void)state;
	assert_true(table_hash("key", 3) == table_hash("key", 3));
	assert_true(table_hash("key", 3) != table_hash("kez", 3));
	assert_true(table_hash("key", 3) != table_hash("key", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chains_are_short),
	    cmocka_unit_test(test_same_key_same_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
