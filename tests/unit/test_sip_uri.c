/* URIs and addresses that rules, commands and the config bring, and header lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "sip/priv.h"

struct text_case {
	const char *text, *clean; /* NULL: it is refused */
};

static void check(char *(*make)(struct slice text), const struct text_case *c)
{
	char *copy = slice_dup(slice_of(c->text)), *clean = make(slice_of(copy));

	if (c->clean ? !clean || strcmp(clean, c->clean) != 0 : clean != NULL)
		fail_msg("%s: %s", c->text, clean ? clean : "refused");
	free(clean);
	free(copy);
}

#define CHECK(make, cases)                                              \
	for (size_t i = 0; i < sizeof(cases) / sizeof((cases)[0]); i++) \
	check(make, &(cases)[i])

static void test_uris(void **state)
{
	static const struct text_case cases[] = {
	    {"sip:alice@h", "sip:alice@h"},
	    {"sips:alice:pw@h:5061;transport=tcp", "sips:alice:pw@h:5061;transport=tcp"},
	    {"im:alice@h", "im:alice@h"},
	    {"pres:alice@h", "pres:alice@h"},
	    {"tel:+1212", "tel:+1212"},
	    {"urn:service:sos", "urn:service:sos"},
	    {"sip:alice@h;a=b?Subject=x", "sip:alice@h;a=b"},
	    /* RFC 3261 19.1.4 */
	    {"sip:%61l%69ce%2fx@h", "sip:alice%2Fx@h"},
	    /* No escape is made that was not written. */
	    {"urn:service:%%39a", "urn:service:%%39a"},
	    {"urn:service:%3%39a", "urn:service:%3%39a"},
	    {"urn:service:%2f%39a", "urn:service:%2F9a"},
	    {"urn:service:a%", "urn:service:a%"},
	    {"urn:service:", NULL},
	    {"urn:isbn:1", NULL},
	    {"sip:", NULL},
	    {"sip:alice@", NULL},
	    {"tel:", NULL},
	    {"http://h/", NULL},
	    {"alice", NULL},
	    {"sip:al ice@h", NULL},
	    {"sip:alice@h>", NULL},
	    {"sip:\"alice\"@h", NULL},
	    {"sip:alice\x7f@h", NULL},
	    {"", NULL},
	};

	(void)state;
	CHECK(sip_uri_clean, cases);
}

static void test_addresses(void **state)
{
	static const struct text_case cases[] = {
	    {"sip:alice@h", "<sip:alice@h>"},
	    {" <sip:alice@h> ", "<sip:alice@h>"},
	    {"Alice <sip:alice@h>", "\"Alice\" <sip:alice@h>"},
	    {"\"Alice\" <sip:%61lice@h>", "\"Alice\" <sip:alice@h>"},
	    {"\"A \\\" > <\" <sip:alice@h>", "\"A \\\" > <\" <sip:alice@h>"},
	    {"gr\xc3\xbc\xc3\x9f e <sip:alice@h>", "\"gr\xc3\xbc\xc3\x9f e\" <sip:alice@h>"},
	    {"Alice <sip:alice@h>;tag=x", NULL},
	    {"\xff <sip:alice@h>", NULL},
	    {"Al\"ice <sip:alice@h>", NULL},
	    {"Al\\ice <sip:alice@h>", NULL},
	    {"\"Alice\\\x01\" <sip:alice@h>", NULL},
	    {"Al\x01ice <sip:alice@h>", NULL},
	    {"\"Alice <sip:alice@h>", NULL},
	    {"Alice <alice>", NULL},
	};
	char longest[SIP_URI_MAX + 32];

	(void)state;
	CHECK(sip_address_clean, cases);
	memset(longest, 'x', sizeof(longest));
	strcpy(longest + SIP_URI_MAX + 1, " <sip:alice@h>");
	check(sip_address_clean, &(struct text_case){longest, NULL});
}

static void test_hops(void **state)
{
	static const struct {
		const char *uri, *host, *port;
		unsigned transports;
	} cases[] = {
	    {"sip:h", "h", "", SIP_UDP | SIP_TCP},
	    {"sip:a@h:5070", "h", "5070", SIP_UDP | SIP_TCP},
	    {"sip:[::1]:5060;transport=UDP", "::1", "5060", SIP_UDP},
	    {"sip:h;transport=tcp;maddr=192.0.2.1", "192.0.2.1", "", SIP_TCP},
	    {"sip:h;transport=tls", "h", "", SIP_TLS},
	    {"sips:h", "h", "", SIP_TLS},
	    {"sips:h;transport=tcp", "h", "", SIP_TLS},
	    {"sip:h;transport=ws", "h", "", SIP_WS},
	    {"sips:h;transport=ws", "h", "", SIP_WSS},
	    {"sip:h;transport=wss", "h", "", SIP_WSS},
	    {"sip:h;transport=sctp", "h", "", 0},
	};
	struct sip_hop hop;
	char longest[SIP_URI_MAX + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(sip_uri_hop(cases[i].uri, &hop), 0);
		assert_string_equal(hop.host, cases[i].host);
		assert_string_equal(hop.port, cases[i].port);
		assert_int_equal(hop.transports, cases[i].transports);
	}
	assert_int_equal(sip_uri_hop("tel:+1", &hop), -EINVAL);
	assert_int_equal(sip_uri_hop("sip:", &hop), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "sip:", 4);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(sip_uri_hop(longest, &hop), -EINVAL);
	/* A host of any length is cut: it is none that there is. */
	longest[SIP_URI_MAX] = '\0';
	assert_int_equal(sip_uri_hop(longest, &hop), 0);
	assert_int_equal(strlen(hop.host), sizeof(hop.host) - 1);
}

static void test_listeners(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
	    {"sip:127.0.0.1:5060;transport=udp", 0},
	    {"sip:127.0.0.1:*", 0},
	    {"sip:127.0.0.1:65536", -EINVAL},
	    {"sip:127.0.0.1;transport=sctp", -EINVAL},
	    {"tel:+1", -EINVAL},
	    {"127.0.0.1", -EINVAL},
	};
	struct sip_hop hop;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sip_listener_parse(cases[i].text, &hop) != cases[i].err)
			fail_msg("%s", cases[i].text);
}

/* What rules and commands may add to a message. */
static void test_header_lines(void **state)
{
	static const struct {
		const char *lines;
		bool free;
	} cases[] = {
	    {"", true},
	    {"X-A: b\r\n", true},
	    {"X-A: b\r\nPriority: urgent\r\n", true},
	    {"X-A:\r\n", true},
	    {"X-A: b", false},
	    {"X-A: b\n", false},
	    {"X-A: b\r\n\r\n", false},
	    {"X-A: b\r\rc\r\n", false},
	    {"X-A b\r\n", false},
	    {": b\r\n", false},
	    {"X A: b\r\n", false},
	    {"Via: SIP/2.0/UDP h\r\n", false},
	    {"v: SIP/2.0/UDP h\r\n", false},
	    {"content-Type: text/plain\r\n", false},
	};
	char *lines;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sip_headers_are_free(slice_of(cases[i].lines)) != cases[i].free)
			fail_msg("%s", cases[i].lines);
	assert_false(sip_headers_are_free(SLICE("X-A: b\0c\r\n")));
	lines = sip_header_lines(SLICE("X-A: b\r\n"));
	assert_string_equal(lines, "X-A: b\r\n");
	free(lines);
	assert_null(sip_header_lines(SLICE("X-A: b\r\n\r\nbody")));
	assert_null(sip_header_lines(SLICE("\nX-A: b\r\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_uris),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_hops),
	    cmocka_unit_test(test_listeners),
	    cmocka_unit_test(test_header_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
