/* Keys of tickets that several processes make of one secret: which, when, and for how long. */
#include "net/ticket_share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { START = 494000 * TICKET_PERIOD_S }; /* of some period */

static struct ticket_share made(const char *secret, const char *context, uint64_t now_s)
{
	struct ticket_share share;

	assert_int_equal(ticket_share_init(&share, slice_of(secret), slice_of(context)), 0);
	assert_int_equal(ticket_share_turn(&share, now_s), 0);
	return share;
}

static bool takes(struct ticket_share *share, uint64_t now_s, const struct ticket_key *key)
{
	const struct ticket_key *found;

	assert_int_equal(ticket_share_turn(share, now_s), 0);
	found = ticket_share_find(share, key->name);
	assert_true(!found || memcmp(found, key, sizeof(*key)) == 0);
	return found;
}

static bool same(struct ticket_share a, struct ticket_share b)
{
	return memcmp(&a.keys[TICKET_NOW], &b.keys[TICKET_NOW], sizeof(a.keys[0])) == 0;
}

/* Each by itself, at any time of the hour; no other has them. */
static void who_has_the_secret_has_the_keys(void **state)
{
	struct ticket_share one = made("secret", "certificate", START);

	(void)state;
	assert_true(same(one, made("secret", "certificate", START)));
	assert_true(same(one, made("secret", "certificate", START + TICKET_PERIOD_S - 1)));
	assert_false(same(one, made("secret", "certificate", START + TICKET_PERIOD_S)));
	assert_false(same(one, made("secreu", "certificate", START)));
	assert_false(same(one, made("secret", "certificatf", START)));
}

/* All parts of all keys are different, and of no part is another one made. */
static void keys_have_nothing_in_common(void **state)
{
	struct ticket_share share = made("secret", "certificate", START);
	const unsigned char *parts[3 * TICKET_PERIODS];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < TICKET_PERIODS; i++) {
		parts[n++] = share.keys[i].name;
		parts[n++] = share.keys[i].cipher;
		parts[n++] = share.keys[i].mac;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(parts[i], parts[j], TICKET_NAME_BYTES);
}

/* A ticket is good for the hour of its making and the next one, and a little before by other clocks. */
static void keys_change_by_the_hour(void **state)
{
	static const struct {
		int hours;
		bool takes;
	} cases[] = {{-2, false}, {-1, true}, {0, true}, {1, true}, {2, false}, {3, false},
	    {-1, true}, {0, true}};
	struct ticket_key key = made("secret", "certificate", START + 5).keys[TICKET_NOW];
	struct ticket_share other = made("secret", "certificate", START);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t then = START + (uint64_t)(cases[i].hours * TICKET_PERIOD_S);

		assert_int_equal(takes(&other, then, &key), cases[i].takes);
		assert_int_equal(takes(&other, then + TICKET_PERIOD_S - 1, &key), cases[i].takes);
	}
}

/* Of two nodes one is in the next hour already. */
static void clocks_may_differ(void **state)
{
	struct ticket_share early = made("secret", "certificate", START - 1);
	struct ticket_share late = made("secret", "certificate", START);

	(void)state;
	assert_false(same(early, late));
	assert_true(takes(&early, START - 1, &late.keys[TICKET_NOW]));
	assert_true(takes(&late, START, &early.keys[TICKET_NOW]));
}

/* Nothing of an hour that is over is in memory, nor anything before the first turn. */
static void old_keys_are_gone(void **state)
{
	static const struct ticket_key none;
	struct ticket_share share = made("secret", "certificate", START);
	struct ticket_key old = share.keys[TICKET_NOW];

	(void)state;
	assert_int_equal(ticket_share_turn(&share, START + 2 * TICKET_PERIOD_S), 0);
	assert_null(memmem(&share, sizeof(share), old.cipher, sizeof(old.cipher)));
	assert_null(memmem(&share, sizeof(share), old.mac, sizeof(old.mac)));
	assert_int_equal(ticket_share_init(&share, SLICE("secret"), SLICE("certificate")), 0);
	assert_null(ticket_share_find(&share, none.name));
	assert_int_equal(ticket_share_turn(&share, 0), 0);
	assert_non_null(ticket_share_find(&share, share.keys[TICKET_NOW].name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_has_the_secret_has_the_keys),
	    cmocka_unit_test(keys_have_nothing_in_common),
	    cmocka_unit_test(keys_change_by_the_hour),
	    cmocka_unit_test(clocks_may_differ),
	    cmocka_unit_test(old_keys_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
