/* User and domain of SIP URIs: RFC 3261 19.1, RFC 3966 for tel:. */
#include <msrpd/buffer.h>
#include <msrpd/sip_uri.h>

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

/* RFC 3261 19.1.4, its examples first. */
static void test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
	    {"sip:%61lice@atlanta.com;transport=TCP", "sip:%61lice@AtLanTa.CoM;Transport=tcp",
		true},
	    {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
	    {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
	    {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
	    {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
		"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
	    {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
	    {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
	    {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
	    {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
	    {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
	    {"sip:bob@biloxi.com", "sips:bob@biloxi.com", false},
	    {"sip:bob@biloxi.com", "sip:biloxi.com", false},
	    {"sip:bob@biloxi.com;maddr=192.0.2.1", "sip:bob@biloxi.com", false},
	    {"sip:bob@biloxi.com;ob", "sip:bob@biloxi.com;OB", true},
	    {"sip:bob@[2001:DB8::1]:5060", "sip:bob@[2001:db8::1]:5060", true},
	    {"sip:bob;x@biloxi.com", "sip:bob;y@biloxi.com", false},
	    {"sip:bob@h;x=1;x=2", "sip:bob@h;x=1;x=2", true}, /* RFC 3261 19.1.1: it is none */
	    {"sip:bob@h;x=1;x=2", "sip:bob@h;x=2;x=1", false},
	    {"", "", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct slice a = slice_of(pairs[i].a), b = slice_of(pairs[i].b);

		if (sip_uri_same(a, b) != pairs[i].same || sip_uri_same(b, a) != pairs[i].same)
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
	}
}

/* RFC 5630 5.3 */
static void test_plain(void **state)
{
	static const struct {
		const char *uri, *plain, *dialled;
	} uris[] = {
	    {"sips:a@h", "sip:a@h", "sip:a@h;transport=tls"},
	    {"SIPS:a;transport=x@h:5061;x=y", "sip:a;transport=x@h:5061;x=y",
		"sip:a;transport=x@h:5061;x=y;transport=tls"},
	    {"sips:a@h;Transport=tcp;x=y", "sip:a@h;Transport=tcp;x=y",
		"sip:a@h;Transport=tls;x=y"},
	    {"sips:[::1]:9;transport=tls", "sip:[::1]:9;transport=tls",
		"sip:[::1]:9;transport=tls"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		char text[2][64];
		struct buffer plain = BUFFER_ON(text[0]), dialled = BUFFER_ON(text[1]);

		sip_uri_write_plain(&plain, slice_of(uris[i].uri), false);
		sip_uri_write_plain(&dialled, slice_of(uris[i].uri), true);
		if (!slice_equal(buffer_text(&plain), slice_of(uris[i].plain))
		    || !slice_equal(buffer_text(&dialled), slice_of(uris[i].dialled)))
			fail_msg("%s", uris[i].uri);
	}
}

static void test_address_param(void **state)
{
	static const struct {
		const char *address, *name, *value;
	} params[] = {
	    {"<sip:a@h>;expires=60", "expires", "60"},
	    {"<sip:a@h;expires=5>;EXPIRES = 60 ;q=0.5", "Expires", "60"},
	    {"<sip:a@h;expires=5>", "expires", NULL},
	    {"sip:a@h;expires=5", "expires", NULL},
	    {"\"<x>;q=1\" <sip:a@h>;q=0.2", "q", "0.2"},
	    {"<sip:a@h>;+sip.instance=\"<urn:uuid:1;q=3>\";reg-id=1", "+sip.instance",
		"<urn:uuid:1;q=3>"},
	    {"<sip:a@h>;+sip.instance=\"<urn:uuid:1;q=3>\";reg-id=1", "reg-id", "1"},
	    {"<sip:a@h>;+sip.instance=\"<urn:uuid:1;q=3>\";reg-id=1", "q", NULL},
	    {"<sip:a@h>;x=\"a\\\"b\";y", "x", "a\\\"b"},
	    {"<sip:a@h>;x=\"a\\\"b\";y", "y", ""},
	    {"<sip:a@h>;x=\"open", "x", "open"},
	    {"<sip:a@h>;;=;x", "x", ""},
	    {"<sip:a@h>;x=", "x", ""},
	    {"*", "expires", NULL},
	    {"", "expires", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		assert_slice(
		    sip_address_param(slice_of(params[i].address), slice_of(params[i].name)),
		    params[i].value, params[i].address);
}

static void test_param_cut(void **state)
{
	struct slice rest = sip_address_params(SLICE("<sip:a@h;x>;Q=1 ;+g.a=\"<x;y>\";ob; ;z")),
		     name, text;
	static const char *const params[][2] = {{"Q", ";Q=1 "}, {"+g.a", ";+g.a=\"<x;y>\""},
	    {"ob", ";ob"}, {"", "; "}, {"z", ";z"}};

	(void)state;
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		assert_true(sip_param_cut(&rest, &name, &text));
		assert_slice(name, params[i][0], params[i][1]);
		assert_slice(text, params[i][1], params[i][1]);
	}
	assert_false(sip_param_cut(&rest, &name, &text));
	rest = sip_address_params(SLICE("sip:a@h;x"));
	assert_false(sip_param_cut(&rest, &name, &text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_address_param),
	    cmocka_unit_test(test_param_cut),
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
