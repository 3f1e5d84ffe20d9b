/* src/edge/framer.c when memory is out: the message is refused, 503. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/framer.h"
#include "memory.h"

static const struct edge_bounds usual = {.max_message_size = 65536,
    .max_header_size = 8192,
    .max_headers = 128};

static const char head[] = "MESSAGE sip:bob@example.org SIP/2.0\r\n"
			   "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\n"
			   "From: <sip:alice@example.org>;tag=1\r\n"
			   "To: <sip:bob@example.org>\r\n"
			   "Call-ID: one@example.org\r\n"
			   "CSeq: 1 MESSAGE\r\n"
			   "Content-Length: 3000\r\n\r\n";

/* @return what came of a message that is fed in two pieces while the n-th allocation fails */
static enum edge_framed run(unsigned n, size_t cut, struct edge_message *m)
{
	static char text[sizeof(head) - 1 + 3000];
	struct edge_framer framer = {.framed = false};
	struct slice all = {text, sizeof(text)}, piece = slice_head(all, cut);
	enum edge_framed what;

	memcpy(text, head, sizeof(head) - 1);
	memory_fail_at(n);
	what = edge_framer_next(&framer, &piece, false, &usual, m);
	piece = slice_from(all, cut);
	if (what == EDGE_MORE)
		what = edge_framer_next(&framer, &piece, false, &usual, m);
	memory_fail_at(0);
	edge_framer_fini(&framer);
	return what;
}

static void test_each_allocation(void **state)
{
	static const size_t cuts[] = {20, sizeof(head) + 10, 2000};
	struct edge_message m;

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		unsigned n = 1;

		for (; run(n, cuts[i], &m) != EDGE_MESSAGE; n++)
			assert_int_equal(m.head.status, 503);
		assert_true(n > 1);
		assert_int_equal(m.body.len, 3000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
