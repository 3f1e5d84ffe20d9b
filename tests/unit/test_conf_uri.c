/* URIs as names of rooms and participants. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/priv.h"

static void test_keys(void **state)
{
	static const struct {
		const char *uri, *key, *user;
	} cases[] = {
	    {"sip:alice@example.org", "sip:alice@example.org", "alice"},
	    {"SIP:Alice@EXAMPLE.org:5060;transport=tcp?a=b", "sip:Alice@example.org:5060", "Alice"},
	    {"sip:alice:secret@example.org", "sip:alice@example.org", "alice"},
	    {"sip:alice;x@h;y", "sip:alice;x@h", "alice;x"},
	    {"sip:%61lice%40x@h", "sip:alice%40x@h", "alice%40x"},
	    {"sip:a%3bb%2F@h", "sip:a%3Bb%2F@h", "a%3Bb%2F"},
	    {"sip:h;p", "sip:h", NULL},
	    {"sips:a@[2001:DB8::1]:5061", "sips:a@[2001:db8::1]:5061", "a"},
	    {"tel:+1-(512).555;phone-context=x", "tel:+1512555", "+1512555"},
	    {"im:Bob@H", "im:Bob@h", "Bob"},
	    {"urn:service:SOS", "urn:service:sos", NULL},
	};
	char key[CONF_URI_MAX + 1];

	(void)state;
	for (size_t i = 0; i < CONF_COUNT(cases); i++) {
		assert_int_equal(conf_uri_key(key, slice_of(cases[i].uri)), 0);
		assert_string_equal(key, cases[i].key);
		assert_true(slice_equal(conf_uri_user(slice_of(key)), slice_of(cases[i].user)));
	}
}

/* What is called and written to by SIP. */
static void test_rooms(void **state)
{
	char key[CONF_URI_MAX + 1];

	(void)state;
	assert_int_equal(conf_uri_room_key(key, SLICE("SIP:a@H;x")), 0);
	assert_string_equal(key, "sip:a@h");
	assert_int_equal(conf_uri_room_key(key, SLICE("sips:a@h")), 0);
	assert_int_equal(conf_uri_room_key(key, SLICE("tel:+1512555")), -EINVAL);
	assert_int_equal(conf_uri_room_key(key, SLICE("urn:service:sos")), -EINVAL);
	assert_int_equal(conf_uri_room_key(key, SLICE("im:bob@h")), -EINVAL);
	assert_int_equal(conf_uri_room_key(key, SLICE("sip:")), -EINVAL);
}

static void test_refused(void **state)
{
	static const char *const cases[] = {"", "alice", ":x", "sip:", "sip:@h", "sip:a@",
	    "sip:a@;x", "sip:a b@h", "sip:a@h>", "sip:<a@h", "sip:a\r\nb@h", "sip:;x", "sip:?x",
	    "sip:100%@h", "sip:%%34%31@h", "tel:;phone-context=x", "tel:-.()"};
	char key[CONF_URI_MAX + 1], text[CONF_URI_MAX + 2];

	(void)state;
	for (size_t i = 0; i < CONF_COUNT(cases); i++)
		assert_int_equal(conf_uri_key(key, slice_of(cases[i])), -EINVAL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "sip:", 4);
	assert_int_equal(conf_uri_key(key, (struct slice){text, CONF_URI_MAX}), 0);
	assert_int_equal(conf_uri_key(key, (struct slice){text, CONF_URI_MAX + 1}), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_rooms),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
