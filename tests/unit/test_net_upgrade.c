/* The request that makes a WebSocket: RFC 6455 section 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <msrpd/setting.h>

#include "base/buffer.h"
#include "net/upgrade.h"

#define GET   "GET /chat HTTP/1.1\r\n"
#define HOST  "Host: server.example.com\r\n"
#define UP    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13   "Sec-WebSocket-Version: 13\r\n"
#define PROTO "Sec-WebSocket-Protocol: msrp\r\n"
#define REST  UP KEY V13 PROTO

static char *origin_texts[] = {"https://chat.example.org", "http://[2001:db8::1]:8080"};
static char *any_text[] = {"*"};
static const struct setting_list origins = {origin_texts, 2}, any = {any_text, 1}, none = {NULL, 0};

static unsigned status_of(const char *head, const struct setting_list *list, char *text,
    size_t size)
{
	struct upgrade_terms terms = {.subprotocol = SLICE("msrp"), .origins = list};
	struct buffer w = {.p = text, .cap = size};
	unsigned status = upgrade_answer(slice_of(head), &terms, &w);

	assert_int_equal(w.err, 0);
	text[w.len] = '\0';
	assert_memory_equal(text, "HTTP/1.1 ", 9);
	assert_string_equal(text + w.len - 4, "\r\n\r\n");
	return status;
}

static void the_example_of_the_rfc_is_answered(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(status_of(GET HOST UP KEY "Origin: https://chat.example.org\r\n"
						   "Sec-WebSocket-Protocol: chat, msrp\r\n" V13
						   "\r\n",
			     &origins, text, sizeof(text)),
	    101);
	assert_string_equal(text,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	    "Sec-WebSocket-Protocol: msrp\r\n\r\n");
}

static void each_request_has_its_status(void **state)
{
	static const struct {
		const char *head;
		unsigned status;
	} cases[] = {
	    {GET HOST REST "\r\n", 101},
	    {"GET https://a.example/x?y HTTP/1.1\r\n" HOST REST "\r\n", 101},
	    /* names and tokens in any case, lists in several lines, other headers */
	    {GET "HOST:a\r\nupgrade: h2c, WebSocket\r\nCONNECTION: keep-alive\r\n"
		 "connection: UPGRADE\r\nX-Other:\t1\t\r\n" KEY V13
		 "sec-websocket-protocol: a\r\nsec-websocket-protocol: b ,MSRP\r\n\r\n",
		101},
	    {GET HOST REST "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101},
	    {GET HOST REST "Content-Length: 0\r\n\r\n", 101},
	    {GET HOST REST "Origin: https://chat.example.org\r\n\r\n", 101},
	    {GET HOST REST "Origin: HTTP://[2001:DB8::1]:8080\r\n\r\n", 101},
	    {GET HOST REST "Origin: https://chat.example.org.evil.example\r\n\r\n", 403},
	    {GET HOST REST "Origin: http://chat.example.org\r\n\r\n", 403},
	    {GET HOST REST "Origin: null\r\n\r\n", 403},
	    {GET HOST REST "Origin:\r\n\r\n", 403},
	    {GET HOST REST "Origin: a\r\nOrigin: https://chat.example.org\r\n\r\n", 400},
	    {GET REST "\r\n", 400},
	    {GET "Host:\r\n" REST "\r\n", 400},
	    {GET HOST HOST REST "\r\n", 400},
	    {GET HOST UP KEY V13 "\r\n", 400},
	    {GET HOST UP KEY V13 "Sec-WebSocket-Protocol: sip, msrps\r\n\r\n", 400},
	    {GET HOST KEY V13 PROTO "Upgrade: websocket\r\n\r\n", 400},
	    {GET HOST KEY V13 PROTO "Connection: Upgrade\r\n\r\n", 400},
	    {GET HOST UP V13 PROTO "\r\n", 400},
	    {GET HOST UP KEY KEY V13 PROTO "\r\n", 400},
	    {GET HOST UP V13 PROTO "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n", 400},
	    {GET HOST UP V13 PROTO "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n", 400},
	    {GET HOST UP V13 PROTO "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ*=\r\n\r\n", 400},
	    {GET HOST UP V13 PROTO "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2 jZQ==\r\n\r\n", 400},
	    {GET HOST UP KEY PROTO "\r\n", 400},
	    {GET HOST UP KEY PROTO "Sec-WebSocket-Version: 8\r\n\r\n", 426},
	    {GET HOST UP KEY PROTO "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426},
	    {"POST / HTTP/1.1\r\n" HOST REST "\r\n", 405},
	    {"GET / HTTP/1.0\r\n" HOST REST "\r\n", 505},
	    {"GET / HTTP/2.0\r\n" HOST REST "\r\n", 505},
	    {"GET / WS/1\r\n" HOST REST "\r\n", 400},
	    {"GET /\r\n" HOST REST "\r\n", 400},
	    {"GET  HTTP/1.1\r\n" HOST REST "\r\n", 400},
	    {"G(T / HTTP/1.1\r\n" HOST REST "\r\n", 400},
	    {"GET / HTTP/1.1 x\r\n" HOST REST "\r\n", 505},
	    {GET HOST REST "Content-Length: 5\r\n\r\n", 400},
	    {GET HOST REST "Transfer-Encoding: chunked\r\n\r\n", 400},
	    {GET HOST REST "X: a\r\n b\r\n\r\n", 400},
	    {GET HOST REST "X : a\r\n\r\n", 400},
	    {GET HOST REST "X\r\n\r\n", 400},
	    {GET HOST REST ": a\r\n\r\n", 400},
	    {GET HOST REST "X: a\x01\r\n\r\n", 400},
	    {GET HOST REST "X: a\rb\r\n\r\n", 400},
	    {GET HOST "X: a\n" REST "\r\n", 400},
	    {"\r\n\r\n", 400},
	    {"MSRP 49fi SEND\r\n\r\n", 400},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned status = status_of(cases[i].head, &origins, text, sizeof(text));

		if (status != cases[i].status)
			fail_msg("%u, not %u: %s", status, cases[i].status, cases[i].head);
	}
}

static void a_wrong_version_is_told_the_right_one(void **state)
{
	char text[512];

	(void)state;
	status_of(GET HOST UP KEY PROTO "Sec-WebSocket-Version: 8\r\n\r\n", NULL, text,
	    sizeof(text));
	assert_non_null(strstr(text, "\r\nSec-WebSocket-Version: 13\r\n"));
}

static void a_list_may_be_empty_or_have_a_star_or_not_be_there(void **state)
{
	const char *page = GET HOST REST "Origin: https://anywhere.example\r\n\r\n";
	const char *program = GET HOST REST "\r\n";
	char text[512];

	(void)state;
	assert_int_equal(status_of(page, &none, text, sizeof(text)), 403);
	assert_int_equal(status_of(program, &none, text, sizeof(text)), 101);
	assert_int_equal(status_of(page, NULL, text, sizeof(text)), 101);
	assert_int_equal(status_of(page, &any, text, sizeof(text)), 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_example_of_the_rfc_is_answered),
	    cmocka_unit_test(each_request_has_its_status),
	    cmocka_unit_test(a_wrong_version_is_told_the_right_one),
	    cmocka_unit_test(a_list_may_be_empty_or_have_a_star_or_not_be_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
