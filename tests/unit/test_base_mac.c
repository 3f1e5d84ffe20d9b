/* HMAC-SHA256: RFC 4231, in one piece and in several, by one secret again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mac.h"

static const char code[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

static void test_once(void **state)
{
	char hex[MAC_HEX_SIZE];

	(void)state;
	assert_int_equal(mac_hex(hex, SLICE("Jefe"), SLICE("what do ya want for nothing?")), 0);
	assert_string_equal(hex, code);
}

static void test_again(void **state)
{
	const struct slice pieces[] = {SLICE("what do ya "), {NULL, 0}, SLICE("want for nothing?")};
	char hex[MAC_HEX_SIZE];
	struct mac *mac;

	(void)state;
	assert_int_equal(mac_new(&mac, SLICE("Jefe")), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mac_make(mac, hex, pieces, 3), 0);
		assert_string_equal(hex, code);
		assert_int_equal(mac_make(mac, hex, pieces, 1), 0);
		assert_string_not_equal(hex, code);
	}
	mac_free(mac);
	mac_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_once),
	    cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
