/* src/edge/reply.c: RFC 3261 8.2.6, 8.2.7, 20.43; RFC 5626 11 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/reply.h"

static const struct edge_bounds usual = {.max_message_size = 4096,
    .max_header_size = 1024,
    .max_headers = 8};

#define REQUEST(method)                                           \
	method " sip:bob@example.org SIP/2.0\r\n"                 \
	       "v: SIP/2.0/TCP a;branch=1,\r\n SIP/2.0/TCP b\r\n" \
	       "f: <sip:alice@example.org>;tag=1\r\n"             \
	       "Via: SIP/2.0/TCP c\r\n"                           \
	       "t: <sip:bob@example.org>\r\n"                     \
	       "i: one@example.org\r\n"                           \
	       "CSeq: 1\r\n " method "\r\n"
#define RESPONSE(line, tag, more)                          \
	"SIP/2.0 " line "\r\n"                             \
	"Via: SIP/2.0/TCP a;branch=1,   SIP/2.0/TCP b\r\n" \
	"Via: SIP/2.0/TCP c\r\n"                           \
	"From: <sip:alice@example.org>;tag=1\r\n"          \
	"To: <sip:bob@example.org>" tag "\r\n"             \
	"Call-ID: one@example.org\r\n"                     \
	"CSeq: 1   INVITE\r\n" more "Content-Length: 0\r\n\r\n"

static int scan(struct edge_head *h, const char *text)
{
	*h = (struct edge_head){0};
	return edge_head_scan(h, slice_of(text), &usual);
}

static void assert_reply(const char *request, const struct edge_reply *reply, const char *expected)
{
	char text[2048];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h;

	scan(&h, request);
	assert_true(edge_reply_possible(&h));
	edge_reply_write(&w, &h, reply);
	assert_int_equal(w.err, 0);
	if (!slice_equal(buffer_text(&w), slice_of(expected)))
		fail_msg("%.*s", SLICE_ARG(buffer_text(&w)));
	assert_int_equal(scan(&h, expected), 0);
	assert_int_equal(h.status, 0);
}

static void test_replies(void **state)
{
	(void)state;
	assert_reply(REQUEST("INVITE") "\r\n",
	    &(struct edge_reply){.code = 430, .to_tag = SLICE("x")},
	    RESPONSE("430 Flow Failed", ";tag=x", ""));
	assert_reply(REQUEST("INVITE") "\r\n",
	    &(struct edge_reply){.code = 503, .why = "no way", .agent = SLICE("example.org")},
	    RESPONSE("503 Service Unavailable", "", "Warning: 399 example.org \"no way\"\r\n"));
	assert_reply(REQUEST("INVITE") "\r\n",
	    &(struct edge_reply){.code = 200, .phrase = SLICE("So"), .lines = SLICE("X: y\r\n")},
	    RESPONSE("200 So", "", "X: y\r\n"));
	/* Of one that was refused at its end. */
	assert_reply(REQUEST("INVITE") "a:\r\na:\r\na:\r\n", &(struct edge_reply){.code = 400},
	    RESPONSE("400 Bad Request", "", ""));
}

static void test_to_has_a_tag(void **state)
{
	char text[1024];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h;

	(void)state;
	scan(&h,
	    "BYE sip:a SIP/2.0\r\nv: SIP/2.0/TCP a\r\nf: sip:a\r\nt: sip:b;tag=2\r\ni: x\r\n"
	    "CSeq: 2 BYE\r\n\r\n");
	edge_reply_write(&w, &h, &(struct edge_reply){.code = 481, .to_tag = SLICE("x")});
	buffer_add_char(&w, '\0');
	assert_non_null(strstr(text, "SIP/2.0 481 "));
	assert_non_null(strstr(text, "To: sip:b;tag=2\r\n"));
}

static void test_not_possible(void **state)
{
	static const char *const heads[] = {
	    "",
	    REQUEST("ACK") "\r\n",
	    "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n",
	    RESPONSE("200 OK", "", ""),
	    "GET / HTTP/1.1\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct edge_head h;

		scan(&h, heads[i]);
		assert_false(edge_reply_possible(&h));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_to_has_a_tag),
	    cmocka_unit_test(test_not_possible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
