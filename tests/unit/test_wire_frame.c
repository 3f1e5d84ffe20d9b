#include "wire/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cut.h"
#include "wire/byte_range.h"
#include "wire/frame_priv.h"
#include "wire/report.h"
#include "wire/write.h"

#define TO    "To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n"
#define FROM  "From-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n"
#define PATHS TO FROM
#define MID   "Message-ID: 12339sdqwer\r\n"
#define END   "-------d93kswow$\r\n"
#define SEND  "MSRP d93kswow SEND\r\n" PATHS MID

enum { MAX_HEAD = 1024 };

static struct guard guard;

static ssize_t parse(struct msrp_frame *f, const char *text)
{
	return msrp_frame_parse(f, guard_copy(&guard, slice_of(text)), MAX_HEAD);
}

static void assert_text(struct slice got, const char *expected)
{
	assert_non_null(got.p);
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.p, expected, got.len);
}

/* --- heads that are well formed --- */

/* RFC 4975 11.1 */
static void parses_a_request(void **state)
{
	const char *head = SEND "Byte-Range: 1-16/16\r\nContent-Type: text/plain\r\n\r\n";
	struct msrp_frame f;

	(void)state;
	assert_int_equal(parse(&f,
			     SEND "Byte-Range: 1-16/16\r\nContent-Type: text/plain\r\n\r\n"
				  "Hi, I'm Alice!\r\n" END),
	    strlen(head));
	assert_int_equal(f.method, MSRP_SEND);
	assert_true(msrp_frame_is_request(&f));
	assert_true(f.has_body);
	assert_text(f.tid, "d93kswow");
	assert_text(f.method_text, "SEND");
	assert_null(f.phrase.p);
	assert_text(f.to_path, "msrp://bob.example.com:8888/9di4eae923wzd;tcp");
	assert_text(f.from_path, "msrp://alicepc.example.com:7777/iau39soe2843z;tcp");
	assert_text(f.to.session_id, "9di4eae923wzd");
	assert_int_equal(f.to.port, 8888);
	assert_null(f.to_rest.p);
	assert_text(f.message_id, "12339sdqwer");
	assert_text(f.byte_range, "1-16/16");
	assert_text(f.content_type, "text/plain");
	assert_text(f.headers, MID "Byte-Range: 1-16/16\r\nContent-Type: text/plain\r\n");
	assert_text(f.head, SEND "Byte-Range: 1-16/16\r\nContent-Type: text/plain\r\n");
	assert_null(f.failure_report.p);
	assert_int_equal(msrp_frame_check(&f, NULL), 0);
	assert_true(msrp_frame_answerable(&f));
}

static void parses_a_response(void **state)
{
	struct msrp_frame f;

	(void)state;
	assert_int_equal(parse(&f, "MSRP d93kswow 200 OK\r\n" PATHS END),
	    strlen("MSRP d93kswow 200 OK\r\n" PATHS));
	assert_int_equal(f.method, MSRP_NO_METHOD);
	assert_false(msrp_frame_is_request(&f));
	assert_false(f.has_body);
	assert_int_equal(f.code, 200);
	assert_text(f.phrase, "OK");
	assert_null(f.method_text.p);
	assert_text(f.headers, "");
	assert_int_equal(msrp_frame_check(&f, NULL), 0);
	assert_false(msrp_frame_answerable(&f));
	/* without a phrase, as some write them */
	assert_true(parse(&f, "MSRP d93kswow 481\r\n" PATHS END) > 0);
	assert_int_equal(f.code, 481);
	assert_null(f.phrase.p);
	assert_true(parse(&f, "MSRP d93kswow 481 \r\n" PATHS END) > 0);
	assert_text(f.phrase, "");
	assert_true(parse(&f, "MSRP d93kswow 481 Pas de s\303\251ance\tici\r\n" PATHS END) > 0);
	assert_int_equal(msrp_frame_check(&f, NULL), 0);
}

static void knows_the_methods(void **state)
{
	static const struct {
		const char *name;
		enum msrp_method method;
	} methods[] = {
	    {"SEND", MSRP_SEND},
	    {"REPORT", MSRP_REPORT},
	    {"AUTH", MSRP_AUTH},
	    {"NICKNAME", MSRP_NICKNAME},
	    {"FOO", MSRP_OTHER},
	    {"send", MSRP_OTHER},
	    {"SENDX", MSRP_OTHER},
	    {"SEN", MSRP_OTHER},
	    {"X_Y-9", MSRP_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		char text[256];
		struct buffer w = BUFFER_ON(text);
		struct msrp_frame f;

		msrp_write_request_line(&w, SLICE("d93kswow"), slice_of(methods[i].name));
		buffer_add(&w, SLICE(PATHS END));
		assert_true(msrp_frame_parse(&f, buffer_text(&w), MAX_HEAD) > 0);
		assert_int_equal(f.method, methods[i].method);
		assert_text(f.method_text, methods[i].name);
	}
}

static void knows_the_headers(void **state)
{
	struct msrp_frame f;

	(void)state;
	/* names in any case, blanks around values, UTF-8 and nothing at all as values */
	assert_true(
	    parse(&f,
		"MSRP d93kswow REPORT\r\n"
		"to-path:msrp://a:1/s;tcp msrp://b:2/t;tcp\r\nFROM-PATH:\t msrp://c:3/u;tcp \t\r\n"
		"MESSAGE-ID:  abcd\r\nbyte-Range: 1-2/*\r\nSuccess-report: yes\r\nFailure-Report: "
		"no\r\n"
		"Status: 000 200 OK\r\nExpires: 1\r\nMin-Expires: 2\r\nMax-Expires: 3\r\n"
		"Use-Path: u\r\nAuthorization: a\r\nWWW-Authenticate: w\r\nAuthentication-Info: "
		"i\r\n"
		"Use-Nickname: \"\303\244\"\r\nX-Empty:\r\nX-Empty: \r\nX-a!#$%&'*+.^_`{|}~: a: "
		"b\r\n"
		"Content-Type: text/plain;a=\"\\\"\\\\\"\r\n\r\n")
	    > 0);
	assert_null(f.fault);
	assert_text(f.to_path, "msrp://a:1/s;tcp msrp://b:2/t;tcp");
	assert_text(f.to.session_id, "s");
	assert_text(f.to_rest, "msrp://b:2/t;tcp");
	assert_text(f.from_path, "msrp://c:3/u;tcp");
	assert_text(f.message_id, "abcd");
	assert_text(f.byte_range, "1-2/*");
	assert_text(f.success_report, "yes");
	assert_text(f.failure_report, "no");
	assert_text(f.status, "000 200 OK");
	assert_text(f.expires, "1");
	assert_text(f.min_expires, "2");
	assert_text(f.max_expires, "3");
	assert_text(f.use_path, "u");
	assert_text(f.authorization, "a");
	assert_text(f.www_authenticate, "w");
	assert_text(f.authentication_info, "i");
	assert_text(f.use_nickname, "\"\303\244\"");
	assert_text(f.content_type, "text/plain;a=\"\\\"\\\\\"");
	assert_int_equal(msrp_frame_check(&f, NULL), 0);
}

/* --- not whole, too large, broken --- */

static void waits_for_the_whole_head(void **state)
{
	static const char *const heads[] = {
	    SEND "Content-Type: text/plain\r\n\r\n",
	    SEND END,
	    "MSRP d93kswow 200 OK\r\n" PATHS END,
	    /* something else's end-line is no end-line, and neither is one without a flag */
	    SEND
	    "-------d93kswo$\r\n-------d93kswow\r\n-------d93kswow!\r\n-------d93kswowx$\r\n" END,
	    /* broken, but its transaction id is known: refused when it is whole */
	    "MSRP d93kswow SEND x\r\n" PATHS END,
	    "MSRP d93kswow SEND\n" PATHS "\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct slice whole = slice_of(heads[i]);
		struct msrp_frame f;

		for (size_t n = 0; n < whole.len; n++)
			assert_int_equal(msrp_frame_parse(&f,
					     guard_copy(&guard, slice_head(whole, n)), MAX_HEAD),
			    -EAGAIN);
		assert_int_not_equal(msrp_frame_parse(&f, guard_copy(&guard, whole), MAX_HEAD),
		    -EAGAIN);
	}
}

static void bounds_the_head(void **state)
{
	static const struct {
		const char *head;
		const char *rest;
	} heads[] = {
	    {SEND "Content-Type: text/plain\r\n\r\n", "body"},
	    {SEND, END},
	};
	struct msrp_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		size_t len = strlen(heads[i].head);
		char text[512];
		struct buffer w = BUFFER_ON(text);

		buffer_add(&w, slice_of(heads[i].head));
		buffer_add(&w, slice_of(heads[i].rest));
		assert_int_equal(msrp_frame_parse(&f, buffer_text(&w), len), len);
		assert_int_equal(msrp_frame_parse(&f, buffer_text(&w), len - 1), -EMSGSIZE);
		assert_text(f.tid, "d93kswow");
		assert_true(msrp_frame_answerable(&f));
	}
	/* bytes that never become a line, and lines that never become a head */
	assert_int_equal(
	    msrp_frame_parse(&f, SLICE("MSRP d93kswow SENDSENDSENDSENDSENDSENDSENDSEND"), 2),
	    -EMSGSIZE);
	assert_int_equal(msrp_frame_parse(&f, SLICE(SEND "X: y\r\nX: y\r\nX: y\r\n"), 100),
	    -EMSGSIZE);
}

static void refuses_what_is_no_frame(void **state)
{
	static const char *const bad[] = {
	    "x",
	    "msrp d93kswow SEND\r\n",
	    "MSRP\r",
	    "GET / HTTP/1.1\r\n",
	    "\r\n",
	    "\n",
	    "MSRPd",
	    "-------d93kswow$\r\n",
	    " MSRP",
	    "\x16\x03\x01",
	    /* RFC 4975 9: a transaction id has 4 to 32 characters */
	    "MSRP \r\n",
	    "MSRP abc SEND\r\n",
	    "MSRP  d93kswow SEND\r\n",
	    "MSRP\td93kswow SEND\r\n",
	    "MSRP 012345678901234567890123456789012 SEND\r\n",
	    "MSRP a@bcd SEND\r\n",
	    "MSRP -bcd SEND\r\n",
	    "MSRP abcd\tSEND\r\n",
	    "MSRP abcd\303\244 SEND\r\n",
	    "MSRP x 20 OK\r\n",
	    "MSRP abcd\\ SEND\r\n",
	    /* lines ended by CR alone hide where the frame ends */
	    "MSRP d93kswow 200 OK\rTo-Path: msrp://a:1/s;tcp\r\n",
	    "MSRP d93kswow SEND\rTo-Path: msrp://a:1/s;tcp\r\n",
	    "MSRP d93kswow 200 OK\r\r\n",
	    "MSRP d93kswow 200 OK\r-------d93kswow$\rMSRP d93kswow 200 OK\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct msrp_frame f;

		if (parse(&f, bad[i]) != -EBADMSG)
			fail_msg("not refused: %s", bad[i]);
		assert_false(msrp_frame_answerable(&f));
	}
	assert_true(msrp_is_ident(SLICE("a.-+%=Z9"), MSRP_TID_MAX));
	assert_true(msrp_is_ident(SLICE("01234567890123456789012345678901"), MSRP_TID_MAX));
}

static void refuses_broken_start_lines(void **state)
{
	static const struct {
		const char *line;
		bool answerable;
	} lines[] = {
	    {"MSRP d93kswow\r\n", true},
	    {"MSRP d93kswow \r\n", true},
	    {"MSRP d93kswow  SEND\r\n", true},
	    {"MSRP d93kswow SEND \r\n", true},
	    {"MSRP d93kswow SEND x\r\n", true},
	    {"MSRP d93kswow SE(ND\r\n", true},
	    {"MSRP d93kswow SEND\n", true},
	    {"MSRP d93kswow \"SEND\"\r\n", true},
	    /* REPORTs are never answered */
	    {"MSRP d93kswow REPORT x\r\n", false},
	    /* a response, so it seems: those are not answered */
	    {"MSRP d93kswow 20 OK\r\n", false},
	    {"MSRP d93kswow 2000 OK\r\n", false},
	    {"MSRP d93kswow 200\tOK\r\n", false},
	    {"MSRP d93kswow 200 OK\n", false},
	    {"MSRP d93kswow 2SEND\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[512];
		struct buffer w = BUFFER_ON(text);
		struct msrp_frame f;

		buffer_add(&w, slice_of(lines[i].line));
		buffer_add(&w, SLICE(PATHS MID END));
		assert_int_equal(msrp_frame_parse(&f, buffer_text(&w), MAX_HEAD), -EBADMSG);
		assert_text(f.tid, "d93kswow");
		assert_text(f.to.session_id, "9di4eae923wzd");
		if (msrp_frame_answerable(&f) != lines[i].answerable)
			fail_msg("%s", lines[i].line);
	}
}

static void refuses_ends_without_cr_or_lf(void **state)
{
	static const char *const bad[] = {
	    SEND "\n",
	    SEND "-------d93kswow$\n",
	    SEND "\n\r\n",
	    SEND "\rbody\r\n" END,
	    SEND "-------d93kswow$\rMSRP abcd SEND\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct msrp_frame f;

		assert_int_equal(parse(&f, bad[i]), -EBADMSG);
		assert_true(msrp_frame_answerable(&f));
	}
}

/* --- well framed, but wrong --- */

#define REPORT "MSRP d93kswow REPORT\r\n" PATHS
#define AUTH   "MSRP d93kswow AUTH\r\n"

#define LONGEST_ID                                                         \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	struct slice text;
	const char *why; /* NULL: nothing is wrong */
} judged[] = {
#define CASE(text, why)                       \
	{                                     \
		{text, sizeof(text) - 1}, why \
	}
    CASE(SEND END, NULL),
    CASE(SEND "Byte-Range: 1-0/0\r\n-------d93kswow+\r\n", NULL),
    CASE(SEND "-------d93kswow#\r\n", NULL),
    CASE(AUTH PATHS END, NULL),
    CASE("MSRP d93kswow FOO\r\n" PATHS END, NULL),
    CASE(SEND "X-Foo: 1\r\nX-Foo: 2\r\n" END, NULL),
    CASE(SEND "Failure-Report: PARTIAL\r\nSuccess-Report: Yes\r\n" END, NULL),
    /* the blank line of a body that is none */
    CASE(SEND "Byte-Range: 1-0/0\r\n\r\n", NULL),
    CASE(AUTH PATHS "\r\n", NULL),
    /* paths */
    CASE("MSRP d93kswow SEND\r\n" MID END, "To-Path and From-Path do not come first"),
    CASE("MSRP d93kswow SEND\r\n" FROM TO MID END, "To-Path and From-Path do not come first"),
    CASE("MSRP d93kswow SEND\r\n" MID TO FROM END, "To-Path and From-Path do not come first"),
    CASE("MSRP d93kswow SEND\r\n" TO MID FROM END, "To-Path and From-Path do not come first"),
    CASE("MSRP d93kswow SEND\r\n" TO END, "no From-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\n" END, "no To-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\nTo-Path: msrp://h:1/s\r\n" FROM MID END, "no To-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\nTo-Path:\r\n" FROM MID END, "no To-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\nTo-Path: msrp://h:1/s;tcp  msrp://h:1/s;tcp\r\n" FROM MID END,
	"no To-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\nTo-Path: msrp://h:1/s;tcp x\r\n" FROM MID END,
	"no To-Path or a bad one"),
    CASE("MSRP d93kswow SEND\r\n" TO "From-Path: msrp://h:1/s;tcp sip:x\r\n" MID END,
	"no From-Path or a bad one"),
    CASE("MSRP d93kswow 200 OK\r\n" TO "From-Path: x\r\n" END, "no From-Path or a bad one"),
    /* twice */
    CASE(SEND MID END, "header given twice"),
    CASE(SEND TO END, "header given twice"),
    CASE(SEND "Byte-Range: 1-1/1\r\nbyte-range: 1-1/1\r\n" END, "header given twice"),
    CASE(SEND "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n", "header given twice"),
    CASE(SEND "Content-Type:\r\nContent-Type: a/b\r\n\r\n", "header given twice"),
    /* lines */
    CASE(SEND " folded\r\n" END, "line that is no header"),
    CASE(SEND "\tfolded: x\r\n" END, "line that is no header"),
    CASE(SEND "X\r\n" END, "line that is no header"),
    CASE(SEND ": x\r\n" END, "line that is no header"),
    CASE(SEND "X : x\r\n" END, "line that is no header"),
    CASE(SEND "1X: x\r\n" END, "line that is no header"),
    CASE(SEND "X\303\244: x\r\n" END, "line that is no header"),
    CASE(SEND "-------zzzzzzzz$\r\n" END, "line that is no header"),
    CASE(SEND "X: a\nY: b\r\n" END, "line ended by a bare LF"),
    CASE(SEND "Byte-Range: 1-1/1\n" END, "line ended by a bare LF"),
    CASE(SEND "X: a\rb\r\n" END, "character that is no text"),
    CASE(SEND "X: a\r\r\n" END, "character that is no text"),
    CASE(SEND "X: a\0b\r\n" END, "character that is no text"),
    CASE(SEND "X: a\x1b[2J\r\n" END, "character that is no text"),
    CASE(SEND "X: \x7f\r\n" END, "character that is no text"),
    CASE(SEND "X: \xff\r\n" END, "character that is no text"),
    CASE(SEND "X: \303\r\n" END, "character that is no text"),
    CASE("MSRP d93kswow 200 O\0K\r\n" PATHS END, "character that is no text"),
    /* values */
    CASE("MSRP d93kswow SEND\r\n" PATHS END, "no Message-ID"),
    CASE("MSRP d93kswow SEND\r\n" PATHS "Message-ID:\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow SEND\r\n" PATHS "Message-ID: abc\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow SEND\r\n" PATHS "Message-ID: ab@d\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow SEND\r\n" PATHS "Message-ID: " LONGEST_ID "x\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow REPORT\r\n" PATHS "Message-ID: " LONGEST_ID "x\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow AUTH\r\n" PATHS "Message-ID: " LONGEST_ID "x\r\n" END, "bad Message-ID"),
    CASE("MSRP d93kswow SEND\r\n" PATHS "Message-ID: " LONGEST_ID "\r\n" END, NULL),
    CASE("MSRP d93kswow REPORT\r\n" PATHS "Message-ID: " LONGEST_ID "\r\nByte-Range: 1-1/1\r\n"
	 "Status: 000 200\r\n" END,
	NULL),
    CASE("MSRP d93kswow AUTH\r\n" PATHS "Message-ID: " LONGEST_ID "\r\n" END, NULL),
    CASE(SEND "Byte-Range: 0-5/5\r\n" END, "bad Byte-Range"),
    CASE(SEND "Failure-Report: maybe\r\n" END, "bad Failure-Report"),
    CASE(SEND "Failure-Report:\r\n" END, "bad Failure-Report"),
    CASE(SEND "Success-Report: partial\r\n" END, "bad Success-Report"),
    CASE(SEND "\r\n", "body without Content-Type"),
    CASE(SEND "Content-Type:\r\n\r\n", "body without Content-Type"),
    CASE(SEND "Byte-Range: 1-1/1\r\n\r\n", "body without Content-Type"),
    CASE(REPORT "Status: 000 200 OK\r\n" END, "no Message-ID"),
    CASE(REPORT MID "Status: 000 200 OK\r\n" END, NULL),
    CASE(REPORT MID "Status: 000 200 OK\r\n\r\n", NULL),
    CASE(REPORT MID END, "no Status or a bad one"),
    CASE(REPORT MID "Status: 200 OK\r\n" END, "no Status or a bad one"),
    CASE(AUTH PATHS "Expires: 0\r\n" END, NULL),
    CASE(AUTH PATHS "Expires: 99999999999999999999\r\n" END, NULL),
    CASE(AUTH PATHS "Expires: soon\r\n" END, "bad Expires"),
    CASE(AUTH PATHS "Expires: -1\r\n" END, "bad Expires"),
    CASE(AUTH PATHS "Expires:\r\n" END, "bad Expires"),
#undef CASE
};

static void judges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
		struct slice text = guard_copy(&guard, judged[i].text);
		const char *why = "?", *expected = judged[i].why;
		struct msrp_frame f;

		if (msrp_frame_parse(&f, text, MAX_HEAD) <= 0)
			fail_msg("not parsed: %.*s", SLICE_ARG(text));
		assert_int_equal(msrp_frame_check(&f, &why), expected ? 400 : 0);
		if ((why != NULL) != (expected != NULL) || (why && strcmp(why, expected) != 0))
			fail_msg("%s: %.*s", why, SLICE_ARG(text));
	}
}

static void answers_only_to_clean_paths(void **state)
{
	static const struct {
		struct slice text;
		bool answerable;
	} cases[] = {
#define CASE(text, yes) {{text, sizeof(text) - 1}, yes}
	    CASE("MSRP d93kswow SEND\r\nTo-Path: x\r\nFrom-Path: y\r\n" END, true),
	    CASE("MSRP d93kswow SEND\r\nTo-Path: x\r\nFrom-Path:\r\n" END, false),
	    CASE("MSRP d93kswow SEND\r\nTo-Path: x\r\n" END, false),
	    CASE("MSRP d93kswow SEND\r\nTo-Path: x\rX: y\r\nFrom-Path: y\r\n" END, false),
	    CASE("MSRP d93kswow SEND\r\nTo-Path: x\r\nFrom-Path: y\0\r\n" END, false),
	    CASE(REPORT MID END, false),
	    CASE("MSRP d93kswow 200 OK\r\n" PATHS END, false),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msrp_frame f;

		assert_true(msrp_frame_parse(&f, cases[i].text, MAX_HEAD) > 0);
		assert_int_equal(msrp_frame_answerable(&f), cases[i].answerable);
	}
}

/* --- values --- */

static void parses_byte_ranges(void **state)
{
	static const struct {
		const char *text;
		uint64_t start, end, total;
	} good_ranges[] = {
	    {"1-16/16", 1, 16, 16},
	    {"1-0/0", 1, 0, 0},
	    {"1-*/*", 1, BYTE_RANGE_UNKNOWN, BYTE_RANGE_UNKNOWN},
	    {"138-148/148", 138, 148, 148},
	    {"5-4/4", 5, 4, 4},
	    {"1-10/5", 1, 10, 5}, /* RFC 4975 7.3.1: the payload counts */
	    {"2147483648-*/2147483648", 2147483648, BYTE_RANGE_UNKNOWN, 2147483648},
	    {"1-9223372036854775807/9223372036854775807", 1, INT64_MAX, INT64_MAX},
	};
	static const char *const bad_ranges[] = {
	    "",
	    "-",
	    "/",
	    "-/",
	    "1",
	    "1-",
	    "1-2",
	    "1-2/",
	    "1/2-3",
	    "0-5/5",
	    "0-0/0",
	    "0-*/*",
	    "x-5/5",
	    "1-x/5",
	    "1-5/x",
	    "-1-5/5",
	    "1--5/5",
	    "1-5/-5",
	    "+1-5/5",
	    " 1-5/5",
	    "1 -5/5",
	    "1-5/5 ",
	    "1-5/5/5",
	    "*-5/5",
	    "1-**/5",
	    "1-5*/5",
	    "3-1/5",
	    "7-*/5",
	    "7-9/5",
	    "1.0-5/5",
	    "9223372036854775808-*/*",
	    "18446744073709551616-*/*",
	    "1-18446744073709551615/5",
	    "1-5/18446744073709551615",
	    "1-5/99999999999999999999999",
	    "2147483648-5/5",
	};
	struct byte_range range;

	(void)state;
	for (size_t i = 0; i < sizeof(good_ranges) / sizeof(good_ranges[0]); i++) {
		char text[64];
		struct buffer w = BUFFER_ON(text);
		struct slice value = guard_copy(&guard, slice_of(good_ranges[i].text));

		assert_int_equal(msrp_byte_range_parse(&range, value), 0);
		assert_int_equal(range.start, good_ranges[i].start);
		assert_int_equal(range.end, good_ranges[i].end);
		assert_int_equal(range.total, good_ranges[i].total);
		msrp_byte_range_write(&w, &range);
		assert_text(buffer_text(&w), good_ranges[i].text);
	}
	for (size_t i = 0; i < sizeof(bad_ranges) / sizeof(bad_ranges[0]); i++)
		if (msrp_byte_range_parse(&range, guard_copy(&guard, slice_of(bad_ranges[i])))
		    != -EBADMSG)
			fail_msg("taken: %s", bad_ranges[i]);
	assert_int_equal(msrp_byte_range_parse(&range, (struct slice){NULL, 0}), -EBADMSG);
}

static void parses_reports_wanted(void **state)
{
	struct slice none = {NULL, 0};
	enum failure_report failure;
	bool success;

	(void)state;
	/* RFC 4975 7.1.1: what absence means */
	assert_int_equal(msrp_failure_report_parse(none, &failure), 0);
	assert_int_equal(failure, FAILURE_REPORT_YES);
	assert_int_equal(msrp_success_report_parse(none, &success), 0);
	assert_false(success);
	assert_int_equal(msrp_failure_report_parse(SLICE("yes"), &failure), 0);
	assert_int_equal(failure, FAILURE_REPORT_YES);
	assert_int_equal(msrp_failure_report_parse(SLICE("No"), &failure), 0);
	assert_int_equal(failure, FAILURE_REPORT_NO);
	assert_int_equal(msrp_failure_report_parse(SLICE("partial"), &failure), 0);
	assert_int_equal(failure, FAILURE_REPORT_PARTIAL);
	assert_int_equal(msrp_failure_report_parse(SLICE("ye"), &failure), -EBADMSG);
	assert_int_equal(msrp_failure_report_parse(SLICE(""), &failure), -EBADMSG);
	assert_int_equal(msrp_success_report_parse(SLICE("YES"), &success), 0);
	assert_true(success);
	assert_int_equal(msrp_success_report_parse(SLICE("no"), &success), 0);
	assert_false(success);
	assert_int_equal(msrp_success_report_parse(SLICE("partial"), &success), -EBADMSG);
}

static void parses_status(void **state)
{
	static const char *const bad_values[] = {
	    "",
	    "000",
	    "000 ",
	    "200 OK",
	    "000 20",
	    "000 2000",
	    "00 200",
	    "0000 200",
	    "000  200",
	    "000\t200",
	    "x00 200",
	    "000 2x0",
	    " 000 200",
	};
	struct msrp_status status;

	(void)state;
	assert_int_equal(msrp_status_parse(&status, SLICE("000 200 OK then")), 0);
	assert_int_equal(status.namespace, 0);
	assert_int_equal(status.code, 200);
	assert_text(status.comment, "OK then");
	assert_int_equal(msrp_status_parse(&status, SLICE("001 481")), 0);
	assert_int_equal(status.namespace, 1);
	assert_int_equal(status.code, 481);
	assert_null(status.comment.p);
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
		if (msrp_status_parse(&status, guard_copy(&guard, slice_of(bad_values[i])))
		    != -EBADMSG)
			fail_msg("taken: %s", bad_values[i]);
}

/* --- writing --- */

/* RFC 4975 7.2 and 11.1: to the previous hop only when it answers a SEND. */
static void writes_responses(void **state)
{
	static const struct {
		const char *method, *to_path;
	} cases[] = {
	    {"SEND", "msrp://b:2/t;tcp"},
	    {"AUTH", "msrp://b:2/t;tcp msrp://c:3/u;tcp"},
	    {"FOO", "msrp://b:2/t;tcp msrp://c:3/u;tcp"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512], answer[512];
		struct buffer w = BUFFER_ON(text), v = BUFFER_ON(answer);
		struct msrp_frame f, response;

		msrp_write_request_line(&w, SLICE("abcd"), slice_of(cases[i].method));
		msrp_write_paths(&w, SLICE("msrp://a:1/s;tcp msrp://z:9/z;tcp"),
		    SLICE("msrp://b:2/t;tcp msrp://c:3/u;tcp"));
		msrp_write_end_line(&w, SLICE("abcd"), MSRP_COMPLETE, false);
		assert_true(msrp_frame_parse(&f, buffer_text(&w), MAX_HEAD) > 0);
		msrp_write_response_head(&v, &f, 481, SLICE("Gone"));
		msrp_write_end_line(&v, f.tid, MSRP_COMPLETE, false);
		assert_true(msrp_frame_parse(&response, buffer_text(&v), MAX_HEAD) > 0);
		assert_text(response.tid, "abcd");
		assert_int_equal(response.code, 481);
		assert_text(response.phrase, "Gone");
		assert_text(response.to_path, cases[i].to_path);
		assert_text(response.from_path, "msrp://a:1/s;tcp");
	}
}

static void writes_response_lines(void **state)
{
	static const struct {
		unsigned code;
		struct slice phrase;
		const char *line;
	} cases[] = {
	    {481, SLICE("Gone"), "MSRP abcd 481 Gone\r\n"},
	    /* one of ours where there is none */
	    {481, {NULL, 0}, "MSRP abcd 481 No Such Session\r\n"},
	    {200, SLICE(""), "MSRP abcd 200 OK\r\n"},
	    {299, {NULL, 0}, "MSRP abcd 299 OK\r\n"},
	    {5, {NULL, 0}, "MSRP abcd 005 OK\r\n"},
	    {999, {NULL, 0}, "MSRP abcd 999 Failed\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct buffer w = BUFFER_ON(text);

		msrp_write_response_line(&w, SLICE("abcd"), cases[i].code, cases[i].phrase);
		assert_text(buffer_text(&w), cases[i].line);
	}
}

/* RFC 4975 11.6, Figure 17 */
static void writes_reports(void **state)
{
	struct msrp_report_text report = {
	    .tid = SLICE("dkei38sd"),
	    .to_path = SLICE("msrp://alicepc.example.com:7777/iau39soe2843z;tcp"),
	    .from_path = SLICE("msrp://bob.example.com:8888/9di4eae923wzd;tcp"),
	    .message_id = SLICE("12339sdqwer"),
	    .range = {1, 106, 106},
	    .code = 200,
	    .comment = SLICE("OK"),
	};
	char text[512];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	msrp_write_report(&w, &report);
	assert_text(buffer_text(&w),
	    "MSRP dkei38sd REPORT\r\n"
	    "To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n"
	    "From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n"
	    "Message-ID: 12339sdqwer\r\nByte-Range: 1-106/106\r\nStatus: 000 200 OK\r\n"
	    "-------dkei38sd$\r\n");
	w.len = 0;
	report.comment = SLICE("");
	report.code = 408;
	msrp_write_report(&w, &report);
	assert_non_null(memmem(text, w.len, "\nStatus: 000 408\r\n----", 22));
}

static void assert_forwarded(const char *headers, bool open_end, const char *expected)
{
	char text[1024], forwarded[1024];
	struct buffer w = BUFFER_ON(text), v = BUFFER_ON(forwarded);
	struct msrp_frame f;

	msrp_write_request_line(&w, SLICE("abcd"), SLICE("SEND"));
	msrp_write_paths(&w, SLICE("msrp://r:1/s;tcp;x msrp://b:2/t;tcp msrp://d:4/v;tcp"),
	    SLICE("msrp://c:3/u;tcp"));
	buffer_add(&w, slice_of(headers));
	msrp_write_blank_line(&w);
	assert_int_equal(msrp_frame_parse(&f, buffer_text(&w), MAX_HEAD), w.len);
	msrp_write_forwarded_headers(&v, &f, open_end);
	assert_text(buffer_text(&v), expected);
}

/* RFC 4976 6.4.1: byte for byte, in order, but for the range. */
static void writes_forwarded_frames(void **state)
{
	static const char headers[] =
	    "message-id:abcd\r\nX-B: 2 : \r\nX-B:1\r\nX-\303\244:\r\n"
	    "Content-Disposition: a;b=\"\\\"\"\r\nContent-Type:  x/y ;z\r\n";

	(void)state;
	assert_forwarded("", false, "");
	assert_forwarded(headers, false, headers);
	assert_forwarded("X: 1\r\nByte-Range:\t1-*/* \r\nY: 2\r\n", false,
	    "X: 1\r\nByte-Range:\t1-*/* \r\nY: 2\r\n");
	assert_forwarded("X: 1\r\nByte-Range:\t7-8/9 \r\nY: 2\r\n", true,
	    "X: 1\r\nByte-Range:\t7-*/9 \r\nY: 2\r\n");
	assert_forwarded("Byte-Range: 7-100/*\r\n", true, "Byte-Range: 7-*/*\r\n");
}

/* What was found out about the same paths before is found again, and about others anew. */
static void goes_by_the_frame_before(void **state)
{
	static const char *const paths[] = {
	    "To-Path: msrp://a:1/x;tcp msrp://b:2/y;tcp\r\nFrom-Path: msrp://c:3/z;tcp\r\n",
	    "To-Path: msrp://a:1/x;tcp msrp://b:2/Y;tcp\r\nFrom-Path: msrp://c:3/z;tcp\r\n",
	    "To-Path: msrp://a:1/x;tcp msrp://b:2/y;tcp\r\nFrom-Path: msrp://c:3/Z;tcp\r\n",
	    "To-Path: msrp://a:1/x;tcp msrp://b:2\r\nFrom-Path: msrp://c:3/z;tcp\r\n",
	    "To-Path: msrp://a:1/x;tcp\r\nFrom-Path: nobody\r\n",
	    "To-Path: a\r\nFrom-Path: msrp://c:3/z;tcp\r\n",
	};
	enum { COUNT = sizeof(paths) / sizeof(*paths) };
	char texts[COUNT][256];
	struct msrp_frame f, alone, before;
	struct msrp_frame_pair pair = {.request = &before};
	const char *why, *why_alone;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		snprintf(texts[i], sizeof(texts[i]),
		    "MSRP abcd SEND\r\n%sMessage-ID: abcd\r\n-------abcd$\r\n", paths[i]);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < COUNT; k++) {
			assert_true(msrp_frame_parse(&before, slice_of(texts[i]), MAX_HEAD) > 0);
			assert_true(msrp_frame_parse(&alone, slice_of(texts[k]), MAX_HEAD) > 0);
			assert_true(
			    msrp_frame_parse_next(&f, slice_of(texts[k]), MAX_HEAD, &pair) > 0);
			assert_int_equal(f.same_paths, i == k && before.path_lines.len);
			assert_int_equal(msrp_frame_check(&f, &why),
			    msrp_frame_check(&alone, &why_alone));
			assert_ptr_equal(why, why_alone);
			assert_true(slice_equal(f.to.host, alone.to.host));
			assert_true(slice_equal(f.to.session_id, alone.to.session_id));
			assert_int_equal(f.to.port, alone.to.port);
			assert_true(slice_equal(f.to_rest, alone.to_rest));
			assert_int_equal(f.good_paths, alone.good_paths);
		}
}

static void writes_end_lines(void **state)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	msrp_write_end_line(&w, SLICE("abcd"), MSRP_COMPLETE, false);
	msrp_write_end_line(&w, SLICE("abcd"), MSRP_MORE, true);
	msrp_write_end_line(&w, SLICE("abcd"), MSRP_ABORTED, true);
	assert_text(buffer_text(&w), "-------abcd$\r\n\r\n-------abcd+\r\n\r\n-------abcd#\r\n");
}

static void writes_within_bounds(void **state)
{
	struct msrp_report_text report = {
	    .tid = SLICE("abcd"),
	    .to_path = SLICE("t"),
	    .from_path = SLICE("f"),
	    .message_id = SLICE("efgh"),
	    .range = {1, 2, UINT64_MAX - 1},
	    .code = 200,
	};
	char text[256];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	msrp_write_report(&w, &report);
	assert_int_equal(buffer_result(&w), w.len);
	for (size_t cap = 0; cap < w.len; cap++) {
		struct buffer v = {.p = guard.end - cap, .cap = cap};

		msrp_write_report(&v, &report);
		assert_int_equal(buffer_result(&v), -EMSGSIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses_a_request),
	    cmocka_unit_test(parses_a_response),
	    cmocka_unit_test(knows_the_methods),
	    cmocka_unit_test(knows_the_headers),
	    cmocka_unit_test(waits_for_the_whole_head),
	    cmocka_unit_test(bounds_the_head),
	    cmocka_unit_test(refuses_what_is_no_frame),
	    cmocka_unit_test(refuses_broken_start_lines),
	    cmocka_unit_test(refuses_ends_without_cr_or_lf),
	    cmocka_unit_test(judges),
	    cmocka_unit_test(answers_only_to_clean_paths),
	    cmocka_unit_test(parses_byte_ranges),
	    cmocka_unit_test(parses_reports_wanted),
	    cmocka_unit_test(parses_status),
	    cmocka_unit_test(writes_responses),
	    cmocka_unit_test(writes_response_lines),
	    cmocka_unit_test(writes_reports),
	    cmocka_unit_test(writes_forwarded_frames),
	    cmocka_unit_test(goes_by_the_frame_before),
	    cmocka_unit_test(writes_end_lines),
	    cmocka_unit_test(writes_within_bounds),
	};
	int failed;

	guard_init(&guard, 4096);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_fini(&guard);
	return failed;
}
