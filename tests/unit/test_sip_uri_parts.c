/* User and domain of SIP URIs: RFC 3261 19.1, RFC 3966 for tel:. */
#include "sip/uri_parts.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const struct {
	const char *uri, *user, *domain; /* NULL: absent */
} cases[] = {
    {"sip:alice@atlanta.example", "alice", "atlanta.example"},
    {"sips:alice:secret@atlanta.example:5061;transport=tls", "alice", "atlanta.example"},
    {"SIP:alice;day=tuesday@atlanta.example?subject=x", "alice;day=tuesday", "atlanta.example"},
    {"sip:alice%3Bx:secret@atlanta.example", "alice%3Bx", "atlanta.example"},
    {"sip:+1-212-555-1212:1234@gateway.example;user=phone", "+1-212-555-1212", "gateway.example"},
    {"sip:atlanta.example", NULL, "atlanta.example"},
    {"sip:192.0.2.4:5060", NULL, "192.0.2.4"},
    {"sip:bob@[2001:db8::1]:5060;lr", "bob", "[2001:db8::1]"},
    {"sip:[2001:db8::1]", NULL, "[2001:db8::1]"},
    {"sip:[2001:db8::1", NULL, NULL},
    {"im:carol@chicago.example", "carol", "chicago.example"},
    {"tel:+12125551212;phone-context=x", "+12125551212", NULL},
    {"TEL:911", "911", NULL},
    {"tel:+1;x=a@h", "+1", NULL},
    {"urn:service:sos", NULL, NULL},
    {"URN:service:sos.fire@h", NULL, NULL},
    {"pres:carol@chicago.example", "carol", "chicago.example"},
    {"sip:@host", NULL, "host"},
    {"sip:user@", "user", NULL},
    {"sip:", NULL, NULL},
    {"nothing", NULL, NULL},
    {"", NULL, NULL},
};

static void assert_slice(struct slice got, const char *want, const char *uri)
{
	if (!want && got.p)
		fail_msg("%s: wanted nothing, got %.*s", uri, SLICE_ARG(got));
	if (want && (!got.p || !slice_equal(got, slice_of(want))))
		fail_msg("%s: wanted %s, got %.*s", uri, want, SLICE_ARG(got));
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_slice(sip_uri_user(slice_of(cases[i].uri)), cases[i].user, cases[i].uri);
		assert_slice(sip_uri_domain(slice_of(cases[i].uri)), cases[i].domain, cases[i].uri);
	}
}

static void test_absent(void **state)
{
	struct slice absent = {NULL, 0};

	(void)state;
	assert_null(sip_uri_user(absent).p);
	assert_null(sip_uri_domain(absent).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
