#include "wire/uri.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cut.h"
#include "base/buffer.h"

static struct guard guard;

static ssize_t parse(struct msrp_uri *uri, const char *text)
{
	return msrp_uri_parse(uri, guard_copy(&guard, slice_of(text)));
}

static void expect(struct slice got, const char *expected)
{
	if (!expected) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.p, expected, got.len);
}

static const struct {
	const char *text;
	bool secure;
	const char *userinfo, *host;
	uint16_t port;
	const char *session_id, *transport, *params;
} good[] = {
    /* RFC 4975 6 and 9 */
    {"msrp://atlanta.example.com:7654/jshA7weztas;tcp", false, NULL, "atlanta.example.com", 7654,
	"jshA7weztas", "tcp", NULL},
    {"msrps://alice@intra.example.com;tcp", true, "alice", "intra.example.com", 0, NULL, "tcp",
	NULL},
    {"msrp://host:1;tcp", false, NULL, "host", 1, NULL, "tcp", NULL},
    {"msrp://host:65535;tcp", false, NULL, "host", 65535, NULL, "tcp", NULL},
    {"MSRPS://Host:02855/S;TCP", true, NULL, "Host", 2855, "S", "TCP", NULL},
    {"msrp://h;ws", false, NULL, "h", 0, NULL, "ws", NULL},
    /* base64 in a session id: the first slash begins it, the first semicolon ends it */
    {"msrp://h:1/a/b+c=/d==;tcp", false, NULL, "h", 1, "a/b+c=/d==", "tcp", NULL},
    {"msrp://h:1//;tcp", false, NULL, "h", 1, "/", "tcp", NULL},
    {"msrp://h:1/A-._~9;tcp", false, NULL, "h", 1, "A-._~9", "tcp", NULL},
    {"msrp://[2001:db8::1]:2855/s;tcp", false, NULL, "2001:db8::1", 2855, "s", "tcp", NULL},
    {"msrp://[::ffff:192.0.2.1];tcp", false, NULL, "::ffff:192.0.2.1", 0, NULL, "tcp", NULL},
    {"msrp://192.0.2.1:2855/s;tcp", false, NULL, "192.0.2.1", 2855, "s", "tcp", NULL},
    /* RFC 4975 9: further parameters are kept */
    {"msrp://h:1/s;tcp;x=y;z", false, NULL, "h", 1, "s", "tcp", "x=y;z"},
    {"msrp://h:1/s;tcp;%7e!#$&'*+.^_`{|}~=1", false, NULL, "h", 1, "s", "tcp",
	"%7e!#$&'*+.^_`{|}~=1"},
    /* userinfo may hold what elsewhere ends the authority */
    {"msrp://a;b:c=d%20(x),y@h:1/s;tcp", false, "a;b:c=d%20(x),y", "h", 1, "s", "tcp", NULL},
    {"msrp://@h;tcp", false, "", "h", 0, NULL, "tcp", NULL},
};

static void parses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct msrp_uri uri;

		assert_int_equal(parse(&uri, good[i].text), strlen(good[i].text));
		assert_int_equal(uri.secure, good[i].secure);
		assert_int_equal(uri.port, good[i].port);
		expect(uri.userinfo, good[i].userinfo);
		expect(uri.host, good[i].host);
		expect(uri.session_id, good[i].session_id);
		expect(uri.transport, good[i].transport);
		expect(uri.params, good[i].params);
	}
}

static const char *const bad[] = {
    "",
    "m",
    "msrp",
    "msrp:",
    "msrp:/",
    "msrp://",
    "msrpx://h;tcp",
    "sip:h;tcp",
    "http://h;tcp",
    " msrp://h;tcp",
    "msrp ://h;tcp",
    /* no transport */
    "msrp://h",
    "msrp://h:1",
    "msrp://h:1/s",
    "msrp://h:1/s;",
    "msrp://h:1/s;;tcp",
    "msrp://h:1/s;=",
    /* no host */
    "msrp://;tcp",
    "msrp://:1;tcp",
    "msrp:///s;tcp",
    "msrp://a@;tcp",
    "msrp://a@:1/s;tcp",
    /* ports */
    "msrp://h:;tcp",
    "msrp://h:0;tcp",
    "msrp://h:65536;tcp",
    "msrp://h:99999;tcp",
    "msrp://h:100000;tcp",
    "msrp://h:4294967297;tcp",
    "msrp://h:18446744073709551617;tcp",
    "msrp://h:-1;tcp",
    "msrp://h:1x;tcp",
    "msrp://h: 1;tcp",
    "msrp://h:1:2;tcp",
    /* addresses */
    "msrp://[::1;tcp",
    "msrp://[];tcp",
    "msrp://[:::1]:1;tcp",
    "msrp://[1.2.3.4]:1;tcp",
    "msrp://[::1%25lo]:1;tcp",
    "msrp://[v1.x]:1;tcp",
    "msrp://::1:1;tcp",
    "msrp://[::1]x;tcp",
    "msrp://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:1;tcp",
    /* session ids */
    "msrp://h:1/;tcp",
    "msrp://h:1/a b;tcp",
    "msrp://h:1/a:b;tcp",
    "msrp://h:1/a%20;tcp",
    "msrp://h:1/\303\244;tcp",
    "msrp://h:1/a@b;tcp",
    /* parameters */
    "msrp://h:1/s;tcp;",
    "msrp://h:1/s;tcp;=x",
    "msrp://h:1/s;tcp;x=",
    "msrp://h:1/s;tcp;x=;y",
    /* hosts */
    "msrp://\303\244;tcp",
    "msrp://h\\;tcp",
    "msrp://h%41;tcp",
    "msrp://a@b@c;tcp",
};

static void refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct msrp_uri uri = {.port = 4711};

		if (parse(&uri, bad[i]) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(uri.port, 4711);
	}
}

static void refuses_nul(void **state)
{
	struct msrp_uri uri;

	(void)state;
	assert_int_equal(msrp_uri_parse(&uri, SLICE("msrp://[::1\0]:1;tcp")), -EBADMSG);
	assert_int_equal(msrp_uri_parse(&uri, SLICE("msrp://h\0:1;tcp")), -EBADMSG);
	assert_int_equal(msrp_uri_parse(&uri, (struct slice){NULL, 0}), -EBADMSG);
}

/* Every beginning of a good URI is parsed up to an unreadable page, or refused before it. */
static void survives_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (size_t n = 0; n < strlen(good[i].text); n++) {
			struct slice text = {good[i].text, n};
			struct msrp_uri uri;
			ssize_t got = msrp_uri_parse(&uri, guard_copy(&guard, text));

			assert_true(got == -EBADMSG || (got > 0 && got <= (ssize_t)n));
		}
}

static void stops_behind_the_uri(void **state)
{
	static const char *const behind[] = {" msrp://b;tcp", ",", "\r\n", "\"", ">", "/", "\t"};
	struct msrp_uri uri;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "msrp://a:1/s;tcp%s", behind[i]);
		assert_int_equal(parse(&uri, text), 16);
		expect(uri.transport, "tcp");
	}
}

static const struct {
	const char *a, *b;
	bool equal, same_server;
} pairs[] = {
    /* RFC 4975 6.1 */
    {"msrp://h:1/s;tcp", "msrp://h:1/s;tcp", true, true},
    {"msrp://h:1/s;tcp", "MSRP://H:1/s;TCP", true, true},
    {"msrp://h:1/s;tcp", "msrps://h:1/s;tcp", false, false},
    {"msrp://h:1/s;tcp", "msrp://g:1/s;tcp", false, false},
    {"msrp://h:1/s;tcp", "msrp://h:2/s;tcp", false, false},
    {"msrp://h:2855/s;tcp", "msrp://h/s;tcp", false, false},
    {"msrp://h:1/s;tcp", "msrp://h:1/S;tcp", false, true},
    {"msrp://h:1/s;tcp", "msrp://h:1;tcp", false, true},
    {"msrp://h:1;tcp", "msrp://h:1;tcp", true, true},
    {"msrp://h:1/s;tcp", "msrp://h:1/s;ws", false, false},
    {"msrp://a@h:1/s;tcp", "msrp://b@h:1/s;tcp", true, true},
    {"msrp://a@h:1/s;tcp", "msrp://h:1/s;tcp", true, true},
    {"msrp://h:1/s;tcp;x", "msrp://h:1/s;tcp", true, true},
    {"msrp://[::1]:1/s;tcp", "msrp://[0:0:0:0:0:0:0:1]:1/s;tcp", true, true},
    {"msrp://[2001:DB8::A]:1/s;tcp", "msrp://[2001:db8:0::a]:1/s;tcp", true, true},
    {"msrp://[::1]:1/s;tcp", "msrp://[::2]:1/s;tcp", false, false},
    {"msrp://[::ffff:1.2.3.4]:1/s;tcp", "msrp://1.2.3.4:1/s;tcp", false, false},
};

static void compares(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct msrp_uri a, b;

		assert_true(msrp_uri_parse(&a, slice_of(pairs[i].a)) > 0);
		assert_true(msrp_uri_parse(&b, slice_of(pairs[i].b)) > 0);
		assert_int_equal(msrp_uri_equal(&a, &b), pairs[i].equal);
		assert_int_equal(msrp_uri_equal(&b, &a), pairs[i].equal);
		assert_int_equal(msrp_uri_same_server(&a, &b), pairs[i].same_server);
	}
}

static void tells_addresses_from_names(void **state)
{
	static const struct {
		const char *uri;
		bool address;
	} hosts[] = {
	    {"msrp://192.0.2.1;tcp", true},
	    {"msrp://[::1];tcp", true},
	    {"msrp://example.org;tcp", false},
	    {"msrp://1.2.3;tcp", false},
	    {"msrp://1.2.3.4.example;tcp", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct msrp_uri uri;

		assert_true(msrp_uri_parse(&uri, slice_of(hosts[i].uri)) > 0);
		assert_int_equal(msrp_uri_is_address(&uri), hosts[i].address);
	}
	assert_false(msrp_uri_is_address(&(struct msrp_uri){0}));
}

static void writes_what_it_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct msrp_uri uri, again;
		char text[128], twice[128];
		struct buffer w = BUFFER_ON(text), v = BUFFER_ON(twice);

		assert_true(msrp_uri_parse(&uri, slice_of(good[i].text)) > 0);
		msrp_uri_write(&w, &uri);
		assert_int_equal(msrp_uri_parse(&again, buffer_text(&w)), w.len);
		assert_true(msrp_uri_equal(&uri, &again));
		msrp_uri_write(&v, &again);
		assert_true(slice_equal(buffer_text(&w), buffer_text(&v)));
		/* Only the scheme's case and leading zeros of a port are not kept. */
		if (good[i].text[0] == 'm')
			assert_true(slice_equal(buffer_text(&w), slice_of(good[i].text)));
	}
}

static void writes_within_bounds(void **state)
{
	struct slice text = SLICE("msrps://a@[::1]:2855/s;tcp;x=y");
	struct msrp_uri uri;

	(void)state;
	assert_int_equal(msrp_uri_parse(&uri, text), text.len);
	for (size_t cap = 0; cap <= text.len; cap++) {
		struct buffer w = {.p = guard.end - cap, .cap = cap};

		msrp_uri_write(&w, &uri);
		assert_int_equal(buffer_result(&w), cap < text.len ? -EMSGSIZE : (int)cap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(refuses_nul),
	    cmocka_unit_test(survives_truncation),
	    cmocka_unit_test(stops_behind_the_uri),
	    cmocka_unit_test(compares),
	    cmocka_unit_test(tells_addresses_from_names),
	    cmocka_unit_test(writes_what_it_parsed),
	    cmocka_unit_test(writes_within_bounds),
	};
	int failed;

	guard_init(&guard, 4096);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_fini(&guard);
	return failed;
}
