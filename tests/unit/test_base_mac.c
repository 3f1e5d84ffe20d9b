/* HMAC-SHA256: RFC 4231; BLAKE2b: as Python's hashlib has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mac.h"

static void test_once(void **state)
{
	char hex[MAC_HEX_SIZE];

	(void)state;
	assert_int_equal(mac_hex(hex, SLICE("Jefe"), SLICE("what do ya want for nothing?")), 0);
	assert_string_equal(hex,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_own(void **state)
{
	const struct slice secret = SLICE("sixteen and more");
	const struct slice pieces[] = {SLICE("what do ya "), {NULL, 0}, SLICE("want for nothing?")};
	const struct slice whole = SLICE("what do ya want for nothing?");
	char hex[MAC_OWN_SIZE];

	(void)state;
	mac_own(hex, secret, pieces, 3);
	assert_string_equal(hex, "430e3ff9852d51829028ac27fc8aeb0b");
	mac_own(hex, secret, &whole, 1);
	assert_string_equal(hex, "430e3ff9852d51829028ac27fc8aeb0b");
	mac_own(hex, secret, pieces, 1);
	assert_string_not_equal(hex, "430e3ff9852d51829028ac27fc8aeb0b");
	mac_own(hex, SLICE("another of that sort"), &whole, 1);
	assert_string_not_equal(hex, "430e3ff9852d51829028ac27fc8aeb0b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_once),
	    cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
