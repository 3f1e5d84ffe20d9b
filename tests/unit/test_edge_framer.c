/* src/edge/framer.c: RFC 3261 7.5, 18.3; RFC 5626 4.4.1; RFC 7118 5 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "cut.h"
#include "edge/framer.h"

static const struct edge_bounds usual = {.max_message_size = 4096,
    .max_header_size = 512,
    .max_headers = 32};

#define HEAD(method)                                            \
	method " sip:bob@example.org SIP/2.0\r\n"               \
	       "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\n" \
	       "From: <sip:alice@example.org>;tag=1\r\n"        \
	       "To: <sip:bob@example.org>\r\n"                  \
	       "Call-ID: one@example.org\r\n"                   \
	       "CSeq: 1 " method "\r\n"
#define MESSAGE(extra, body) HEAD("MESSAGE") extra "\r\n" body
#define HELLO                MESSAGE("Content-Length: 5\r\n", "hello")
#define PING                 "\r\n\r\n"

/* --- what comes out of a stream --- */

struct stream {
	struct edge_framer framer;
	const struct edge_bounds *bounds;
	struct buffer log;
	bool pinged;
};

static void log_message(struct stream *s, const struct edge_message *m)
{
	assert_memory_equal(m->body.p, m->head.p + m->head.len, m->body.len);
	buffer_add(&s->log, edge_head_method(&m->head));
	buffer_add_char(&s->log, '(');
	for (size_t i = 0; i < m->body.len; i++)
		buffer_add_char(&s->log, m->body.p[i] ? m->body.p[i] : '0');
	buffer_add(&s->log, SLICE(") "));
}

static void log_fault(struct stream *s, const struct edge_message *m)
{
	buffer_add_number(&s->log, m->head.status);
	buffer_add_char(&s->log, ' ');
	buffer_add(&s->log, slice_of(m->head.why));
}

/* Pings in a row are one, however they come. */
static void log_event(struct stream *s, enum edge_framed what, const struct edge_message *m)
{
	if (what == EDGE_PING && !s->pinged)
		buffer_add(&s->log, SLICE("ping "));
	s->pinged = what == EDGE_PING;
	if (what == EDGE_MESSAGE)
		log_message(s, m);
	if (what == EDGE_FAULTY)
		buffer_add_char(&s->log, '(');
	if (what == EDGE_FAULTY || what == EDGE_BROKEN)
		log_fault(s, m);
	if (what == EDGE_FAULTY)
		buffer_add(&s->log, SLICE(") "));
}

static void give(struct stream *s, struct slice piece, bool end)
{
	struct edge_message m;
	enum edge_framed what;

	while ((what = edge_framer_next(&s->framer, &piece, end, s->bounds, &m)) != EDGE_MORE)
		log_event(s, what, &m);
	assert_int_equal(piece.len, 0);
}

static void begin(void *arg)
{
	struct stream *s = arg;

	s->framer = (struct edge_framer){.framed = s->framer.framed};
	s->log.max = BUFFER_UNBOUNDED;
	s->log.len = 0;
	s->pinged = false;
}

static void on_piece(struct slice piece, void *arg)
{
	give(arg, piece, false);
}

static void finish(struct stream *s)
{
	edge_framer_fini(&s->framer);
	buffer_fini(&s->log);
}

static void assert_log(struct stream *s, const char *expected, const char *how)
{
	struct slice log = buffer_text(&s->log);

	if (!slice_equal(log, slice_of(expected)))
		fail_msg("%s: \"%.*s\", not \"%s\"", how, SLICE_ARG(log), expected);
}

struct expectation {
	struct stream stream;
	const char *log;
};

static void end(const char *how, void *arg)
{
	struct expectation *e = arg;

	assert_log(&e->stream, e->log, how);
	edge_framer_fini(&e->stream.framer);
}

/* However it is cut. */
static void assert_stream(struct slice input, const struct edge_bounds *bounds, const char *log)
{
	static const struct cut_target target = {begin, on_piece, end};
	struct expectation e = {.stream.bounds = bounds, .log = log};

	cut_every_way(input, &target, &e);
	buffer_fini(&e.stream.log);
}

/* --- streams of bytes --- */

static const struct {
	const char *input, *log;
} streams[] = {
    {HELLO, "MESSAGE(hello) "},
    {HELLO HELLO, "MESSAGE(hello) MESSAGE(hello) "},
    {MESSAGE("l: 0\r\n", ""), "MESSAGE() "},
    {MESSAGE("L : 3\r\n", "a\r\n") HELLO, "MESSAGE(a\r\n) MESSAGE(hello) "},
    {MESSAGE("Content-Length:\r\n 5\r\n", "hello"), "MESSAGE(hello) "},
    {MESSAGE("Content-Length: 005 \r\n", "hello"), "MESSAGE(hello) "},
    /* keep-alive: RFC 5626 4.4.1 */
    {PING, "ping "},
    {"\r\n", ""},
    {"\r\n" HELLO "\r\n" HELLO, "MESSAGE(hello) MESSAGE(hello) "},
    {PING PING HELLO PING, "ping MESSAGE(hello) ping "},
    /* what is no SIP */
    {"\rx", "400 CR without LF"},
    {"\n", "400 LF without CR"},
    {" " HELLO, "400 no start line of SIP"},
    {"GET / HTTP/1.1\r\nHost: a\r\n", "400 no start line of SIP"},
    {HELLO "x\r\n\r\n" HELLO, "MESSAGE(hello) 400 no start line of SIP"},
    /* Content-Length */
    {MESSAGE("", "hello"), "400 no Content-Length"},
    {MESSAGE("Content-Length: 5\r\nl: 5\r\n", "hello"), "400 a header field twice"},
    {MESSAGE("Content-Length: -1\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length: +1\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length: 1 1\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length: 1,1\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length: 0x1\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length:\r\n", ""), "400 bad Content-Length"},
    {MESSAGE("Content-Length: 4294967296\r\n", ""), "513 message too large"},
    {MESSAGE("Content-Length: 18446744073709551617\r\n", ""), "513 message too large"},
    {MESSAGE("Content-Length: 4096\r\n", ""), "513 message too large"},
    {MESSAGE("Content_Length: 5\r\n", "hello"), "400 no Content-Length"},
    /* lines that others might end elsewhere */
    {MESSAGE("Subject: a\nContent-Length: 5\r\n", ""), "400 LF without CR"},
    {MESSAGE("Subject: a\rContent-Length: 5\r\n", ""), "400 CR without LF"},
    {MESSAGE("Subject: a\r\r\nl: 5\r\n", "hello"), "400 CR without LF"},
    {MESSAGE("Subject: a\n\r\nl: 5\r\n", "hello"), "400 LF without CR"},
    {MESSAGE("Subject: a\nL\t: 6\r\nl: 5\r\n", "hello"), "400 LF without CR"},
    {MESSAGE("Subject: a\n\nb\r\nl: 5\r\n", "hello"), "400 LF without CR"},
    {MESSAGE("\rSubject: a\r\nl: 5\r\n", "hello"), "400 CR without LF"},
    {MESSAGE("l: 5\nSubject: a\r\n", "hello"), "400 LF without CR"},
    /* faults of a message whose end is known all the same */
    {MESSAGE("To: b\r\nno name\r\nl: 5\r\n", "hello") HELLO,
	"(400 a header field twice) MESSAGE(hello) "},
    {HELLO MESSAGE("no name\r\nl: 5\r\n", "hello") HELLO PING,
	"MESSAGE(hello) (400 a header field without a name) MESSAGE(hello) ping "},
    {MESSAGE(": x\r\nl: 0\r\n", "") HELLO, "(400 a header field without a name) MESSAGE(hello) "},
    {MESSAGE("Sub(ject: x\r\nl: 0\r\n", "") MESSAGE("To: b\r\nl: 1\r\n", "x") HELLO,
	"(400 a header field without a name) (400 a header field twice) MESSAGE(hello) "},
    {MESSAGE("Subject: a\nb: c\r\nl: 5\r\n", "hello") HELLO, "(400 LF without CR) MESSAGE(hello) "},
    {MESSAGE("Subject: a\rb\r\n c\r\nl: 5\r\n", "hello") HELLO,
	"(400 CR without LF) MESSAGE(hello) "},
    {MESSAGE("To: b\r\n", "hello"), "400 a header field twice"},
    {MESSAGE("To: b\r\nl: 5\r\nl: 5\r\n", "hello"), "400 a header field twice"},
    {MESSAGE("To: b\r\nl: 4096\r\n", ""), "400 a header field twice"},
};

static void test_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		assert_stream(slice_of(streams[i].input), &usual, streams[i].log);
}

static void test_nul(void **state)
{
	static const char head[] = MESSAGE("Subject: a\0b\r\nContent-Length: 0\r\n", "");
	static const char body[] = MESSAGE("Content-Length: 3\r\n", "a\0b");

	(void)state;
	assert_stream((struct slice){head, sizeof(head) - 1}, &usual, "(400 NUL) ");
	assert_stream((struct slice){body, sizeof(body) - 1}, &usual, "MESSAGE(a0b) ");
}

/* --- bounds --- */

static void add_repeated(struct buffer *b, const char *text, size_t times)
{
	while (times--)
		buffer_add(b, slice_of(text));
}

/* @param times  of part between the head and the end */
static void assert_bound(const char *part, size_t times, const char *behind,
    const struct edge_bounds *bounds, const char *log)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	buffer_add(&b, SLICE(HEAD("MESSAGE")));
	add_repeated(&b, part, times);
	buffer_add(&b, slice_of(behind));
	assert_stream(buffer_text(&b), bounds, log);
	buffer_fini(&b);
}

static void test_max_headers(void **state)
{
	(void)state;
	assert_bound("a:b\r\n", 32 - 6, "l: 0\r\n\r\n", &usual, "MESSAGE() ");
	assert_bound("a:b\r\n", 33 - 6, "l: 0\r\n\r\n", &usual, "400 too many header fields");
	/* Folded ones are one. */
	assert_bound("a:b\r\n c\r\n", 32 - 6, "l: 0\r\n\r\n", &usual, "MESSAGE() ");
}

static void test_max_header_size(void **state)
{
	(void)state;
	assert_bound("a: ", 1, "l: 0\r\nl: 0\r\n\r\n", &usual, "MESSAGE() ");
	assert_bound("Subject:", 64, "\r\nl: 0\r\n\r\n", &usual, "MESSAGE() ");
	assert_bound("Subject:", 64, "x\r\nl: 0\r\n\r\n", &usual, "400 a header field too long");
	assert_bound("Subject:", 1000, "", &usual, "400 a header field too long");
	/* What is folded counts. */
	assert_bound("a:b", 1, "\r\n b\r\n b\r\n b\r\nl: 0\r\n\r\n",
	    &(struct edge_bounds){4096, 64, 32}, "MESSAGE() ");
	assert_bound("a:\r\n", 1,
	    "        \r\n        \r\n        \r\n        \r\n        \r\n        ",
	    &(struct edge_bounds){4096, 48, 32}, "400 a header field too long");
}

static void test_max_message_size(void **state)
{
	static const struct edge_bounds tight = {sizeof(HELLO) - 1, 512, 32};
	static const struct edge_bounds tighter = {sizeof(HELLO) - 2, 512, 32};
	static const struct edge_bounds head_only = {100, 512, 32};

	(void)state;
	assert_stream(SLICE(HELLO HELLO), &tight, "MESSAGE(hello) MESSAGE(hello) ");
	/* Told before the body comes. */
	assert_stream(SLICE(MESSAGE("Content-Length: 5\r\n", "")), &tighter,
	    "513 message too large");
	assert_stream(SLICE(HELLO), &head_only, "513 message too large");
}

static void test_start_line_bound(void **state)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	(void)state;
	add_repeated(&b, "x", 1000);
	assert_stream(buffer_text(&b), &usual, "400 start line too long");
	buffer_fini(&b);
}

/* --- where messages lie --- */

static void test_places(void **state)
{
	struct stream s = {.bounds = &usual};
	struct slice input = SLICE(HELLO HELLO "MESS"), rest = input;
	struct edge_message m;

	(void)state;
	assert_int_equal(edge_framer_next(&s.framer, &rest, false, &usual, &m), EDGE_MESSAGE);
	assert_ptr_equal(m.head.p, input.p);
	assert_int_equal(edge_framer_next(&s.framer, &rest, false, &usual, &m), EDGE_MESSAGE);
	assert_ptr_equal(m.head.p, input.p + sizeof(HELLO) - 1);
	assert_false(m.kept);
	assert_null(s.framer.partial);
	assert_true(edge_framer_idle(&s.framer));
	assert_int_equal(edge_framer_next(&s.framer, &rest, false, &usual, &m), EDGE_MORE);
	assert_false(edge_framer_idle(&s.framer));
	rest = slice_from(SLICE(HELLO HELLO), 4);
	assert_int_equal(edge_framer_next(&s.framer, &rest, false, &usual, &m), EDGE_MESSAGE);
	assert_true(m.kept);
	assert_int_equal(rest.len, sizeof(HELLO) - 1);
	assert_true(edge_framer_idle(&s.framer));
	assert_int_equal(edge_framer_next(&s.framer, &rest, false, &usual, &m), EDGE_MESSAGE);
	assert_false(m.kept);
	assert_null(s.framer.partial);
}

/* --- framed transports: RFC 7118 5 --- */

static void assert_framed(struct slice message, const char *log)
{
	for (size_t cut = 0; cut <= message.len; cut++) {
		struct stream s = {.framer.framed = true, .bounds = &usual};
		struct guard guard;

		begin(&s);
		guard_init(&guard, message.len);
		if (cut)
			give(&s, guard_copy(&guard, slice_head(message, cut)), false);
		give(&s, guard_copy(&guard, slice_from(message, cut)), true);
		assert_log(&s, log, "framed");
		guard_fini(&guard);
		finish(&s);
	}
}

static void test_framed(void **state)
{
	(void)state;
	assert_framed(SLICE(HELLO), "MESSAGE(hello) ");
	assert_framed(SLICE(MESSAGE("", "hello")), "MESSAGE(hello) ");
	assert_framed(SLICE(MESSAGE("", "")), "MESSAGE() ");
	/* RFC 3261 18.3: what is behind the body is none of it, and no message either. */
	assert_framed(SLICE(HELLO "behind"), "MESSAGE(hello) ");
	assert_framed(SLICE(HELLO HELLO), "MESSAGE(hello) ");
	assert_framed(SLICE(PING), "ping ");
	assert_framed(SLICE("\r\n"), "");
	assert_framed(SLICE(MESSAGE("l: 6\r\n", "hello")),
	    "(400 Content-Length beyond the end of the message) ");
	assert_framed(SLICE(MESSAGE("l: x\r\n", "hello")), "(400 bad Content-Length) ");
	assert_framed(SLICE(MESSAGE("l: 4096\r\n", "hello")), "(513 message too large) ");
	assert_framed(SLICE(HEAD("MESSAGE")), "(400 a head without an end) ");
	assert_framed(SLICE("\r"), "(400 CR without LF) ");
	assert_framed(SLICE("GET / HTTP/1.1\r\n\r\n" HELLO), "(400 no start line of SIP) ");
}

/* What comes of a message before its end is known to be none is dropped through its end. */
static void test_framed_next(void **state)
{
	struct stream s = {.framer.framed = true, .bounds = &usual};

	(void)state;
	begin(&s);
	give(&s, SLICE("GET / HTTP/1.1\r\nH"), false);
	assert_false(edge_framer_idle(&s.framer));
	give(&s, SLICE(HELLO), false);
	give(&s, SLICE(HELLO), true);
	assert_true(edge_framer_idle(&s.framer));
	give(&s, SLICE("\r"), true);
	give(&s, SLICE(HELLO), true);
	assert_log(&s, "(400 no start line of SIP) (400 CR without LF) MESSAGE(hello) ", "framed");
	finish(&s);
}

/* What is too slow is told once. */
static void test_give_up(void **state)
{
	struct stream s = {.framer.framed = true, .bounds = &usual};
	struct edge_message m;

	(void)state;
	begin(&s);
	give(&s, SLICE("MESS"), false);
	give(&s, SLICE("AGE\r\n x"), false);
	edge_framer_give_up(&s.framer, 408, "too slow", &m);
	assert_int_equal(m.head.status, 408);
	assert_int_equal(m.head.len, 0);
	finish(&s);
}

static void test_framed_bound(void **state)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	(void)state;
	buffer_add(&b, SLICE(MESSAGE("", "")));
	while (b.len < usual.max_message_size)
		buffer_add_char(&b, 'x');
	buffer_add_char(&b, 'x');
	assert_framed(buffer_text(&b), "513 message too large");
	buffer_fini(&b);
}

/* --- what is broken stays so --- */

static void test_after_broken(void **state)
{
	struct stream s = {.bounds = &usual};

	(void)state;
	begin(&s);
	give(&s, SLICE("\n" HELLO), false);
	give(&s, SLICE(HELLO), false);
	assert_log(&s, "400 LF without CR", "broken");
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_max_headers),
	    cmocka_unit_test(test_max_header_size),
	    cmocka_unit_test(test_max_message_size),
	    cmocka_unit_test(test_start_line_bound),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_framed),
	    cmocka_unit_test(test_framed_next),
	    cmocka_unit_test(test_give_up),
	    cmocka_unit_test(test_framed_bound),
	    cmocka_unit_test(test_after_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
