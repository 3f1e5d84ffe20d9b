#include "web/token.h"

#include "base/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct slice secret = {"0123456789abcdef", 16};

/* @return whether it is taken at that time, and for whom */
static bool check(const char *token, uint64_t now, char user[TOKEN_USER_MAX + 1])
{
	uint64_t expiry;
	char *copy = strdup(token); /* whoever reads past its end is caught */
	bool good = token_check((struct slice){copy, strlen(token)}, secret, now, user, &expiry);

	free(copy);
	return good;
}

static void test_made_and_checked(void **state)
{
	static const char *const users[] = {"alice", "a", "gr\xc3\xbc\xc3\x9f e.x", "616c"};
	char token[TOKEN_SIZE], user[TOKEN_USER_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		assert_true(token_is_user(slice_of(users[i])));
		assert_int_equal(token_make(token, secret, slice_of(users[i]), 1000), 0);
		assert_true(check(token, 999, user));
		assert_string_equal(user, users[i]);
		assert_false(check(token, 1000, user));
	}
}

static void test_longest(void **state)
{
	char token[TOKEN_SIZE], user[TOKEN_USER_MAX + 1], name[TOKEN_USER_MAX + 2];

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_false(token_is_user((struct slice){name, TOKEN_USER_MAX + 1}));
	assert_true(token_is_user((struct slice){name, TOKEN_USER_MAX}));
	assert_int_equal(
	    token_make(token, secret, (struct slice){name, TOKEN_USER_MAX}, UINT64_MAX), 0);
	assert_true(check(token, 1, user));
	assert_int_equal(strlen(user), TOKEN_USER_MAX);
}

static void test_names_that_are_none(void **state)
{
	(void)state;
	assert_false(token_is_user(SLICE("")));
	assert_false(token_is_user(SLICE("a\nb")));
	assert_false(token_is_user(SLICE("a\0b")));
	assert_false(token_is_user(SLICE("\xff")));
}

/* Each octet counts, and each that is missing or too much. */
static void test_changed(void **state)
{
	char token[TOKEN_SIZE], changed[TOKEN_SIZE + 1], user[TOKEN_USER_MAX + 1];
	size_t len;

	(void)state;
	assert_int_equal(token_make(token, secret, SLICE("alice"), 1000), 0);
	len = strlen(token);
	for (size_t i = 0; i < len; i++) {
		memcpy(changed, token, len + 1);
		changed[i] = (char)(changed[i] ^ 1);
		assert_false(check(changed, 1, user));
		changed[i] = '\0';
		assert_false(check(changed, 1, user));
		assert_false(check(token + i + 1, 1, user));
	}
	snprintf(changed, sizeof(changed), "%s0", token);
	assert_false(check(changed, 1, user));
	assert_false(
	    token_check(slice_of(token), SLICE("another secret of 16"), 1, user, &(uint64_t){0}));
}

/* @return whether it is taken, rightly signed */
static bool check_signed(const char *text)
{
	char token[2 * TOKEN_SIZE], user[TOKEN_USER_MAX + 1], code[MAC_HEX_SIZE];

	snprintf(token, sizeof(token), "msrpd token %s", text);
	assert_int_equal(mac_hex(code, secret, slice_of(token)), 0);
	snprintf(token, sizeof(token), "%s.%s", text, code);
	return check(token, 1, user);
}

/* Other programs have the secret, too: what they sign is for somebody with a name. */
static void test_signed_by_others(void **state)
{
	char longest[2 * TOKEN_USER_MAX + sizeof(".2")];

	(void)state;
	assert_true(check_signed("616c696365.2"));
	assert_true(check_signed("616C696365.02"));
	assert_false(check_signed("616c0a65.2"));
	assert_false(check_signed("616c006365.2"));
	assert_false(check_signed("ff.2"));
	assert_false(check_signed(".2"));
	assert_false(check_signed("616.2"));
	assert_false(check_signed("616z.2"));
	assert_false(check_signed("61.1"));
	assert_false(check_signed("61."));
	assert_false(check_signed("61.18446744073709551616"));
	assert_false(check_signed("61"));
	memset(longest, '6', sizeof(longest));
	strcpy(longest + 2 * TOKEN_USER_MAX, ".2");
	assert_true(check_signed(longest));
	strcpy(longest + 2 * TOKEN_USER_MAX - 1, "66.");
	assert_false(check_signed(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_made_and_checked),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_names_that_are_none),
	    cmocka_unit_test(test_changed),
	    cmocka_unit_test(test_signed_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
