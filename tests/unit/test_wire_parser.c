#include "wire/parser.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cut.h"
#include "wire/write.h"

enum { MAX_HEAD = 400, LOG_MAX = 32 * 1024 };

/*
 * What a stream said, as text, the same however it was cut: "METHOD tid check" or "CODE tid",
 * "[body]", the flag; "!err tid" where it broke.
 */
struct record {
	struct msrp_parser parser;
	struct buffer log;
	bool in_body;
	size_t body_at; /* where it begins in log */
	bool stop;      /* every handler says -EAGAIN */
	int err;        /* of feed */
	const char *expected, *name;
	char text[LOG_MAX];
};

static void end_body(struct record *r)
{
	if (r->in_body)
		buffer_add_char(&r->log, ']');
	r->in_body = false;
}

static int answer(const struct record *r)
{
	return r->stop ? -EAGAIN : 0;
}

static int on_head(const struct msrp_frame *f, void *arg)
{
	struct record *r = arg;
	int code = msrp_frame_is_request(f) ? msrp_frame_check(f, NULL) : (int)f->code;

	buffer_add(&r->log, f->method_text);
	buffer_add_char(&r->log, ' ');
	buffer_add(&r->log, f->tid);
	buffer_add_char(&r->log, ' ');
	buffer_add_number(&r->log, (uint64_t)code);
	buffer_add(&r->log, f->has_body ? SLICE(" body ") : SLICE(" "));
	return answer(r);
}

/* The CRLF before a body counts. */
static bool may_hold_end_line(struct slice body)
{
	return (body.len >= 7 && memcmp(body.p, "-------", 7) == 0)
	    || memmem(body.p, body.len, "\r\n-------", 9);
}

static int on_body(struct slice piece, void *arg)
{
	struct record *r = arg;

	assert_true(piece.len > 0);
	if (!r->in_body) {
		buffer_add_char(&r->log, '[');
		r->body_at = r->log.len;
	}
	r->in_body = true;
	buffer_add(&r->log, piece);
	if (may_hold_end_line(slice_from(buffer_text(&r->log), r->body_at)))
		assert_true(msrp_parser_saw_hyphens(&r->parser));
	return answer(r);
}

static int on_end(enum msrp_flag flag, void *arg)
{
	struct record *r = arg;

	end_body(r);
	buffer_add_char(&r->log, (char)flag);
	buffer_add_char(&r->log, '\n');
	return answer(r);
}

static void on_broken(const struct msrp_frame *f, int err, void *arg)
{
	struct record *r = arg;

	buffer_add(&r->log, err == -EMSGSIZE ? SLICE("!size ") : SLICE("!bad "));
	buffer_add(&r->log, f->tid);
	if (msrp_frame_answerable(f))
		buffer_add(&r->log, SLICE(" 400"));
	buffer_add_char(&r->log, '\n');
	assert_true(err == -EBADMSG || err == -EMSGSIZE);
}

static const struct msrp_parser_handler handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
};

static void begin(void *arg)
{
	struct record *r = arg;

	msrp_parser_init(&r->parser, MAX_HEAD);
	r->log = BUFFER_ON(r->text);
	r->in_body = false;
	r->err = 0;
}

static void feed(struct slice piece, void *arg)
{
	struct record *r = arg;

	while (r->err == 0 && piece.len) {
		ssize_t n = msrp_parser_feed(&r->parser, piece, &handler, r);

		if (n < 0) {
			r->err = (int)n;
			assert_int_equal(msrp_parser_feed(&r->parser, piece, &handler, r),
			    -EBADMSG);
			return;
		}
		assert_true((size_t)n <= piece.len && (r->stop || (size_t)n == piece.len));
		piece = slice_from(piece, (size_t)n);
	}
}

static void finish(const char *how, void *arg)
{
	struct record *r = arg;

	end_body(r);
	msrp_parser_fini(&r->parser);
	assert_false(r->log.err);
	if (!slice_equal(buffer_text(&r->log), slice_of(r->expected)))
		fail_msg("%s, %s%s:\n%.*s", r->name, how, r->stop ? ", stopping" : "",
		    SLICE_ARG(buffer_text(&r->log)));
}

static const struct cut_target target = {begin, feed, finish};

static void run(const char *name, struct slice input, const char *expected)
{
	struct record *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->name = name;
	r->expected = expected;
	cut_every_way(input, &target, r);
	r->stop = true;
	cut_every_way(input, &target, r);
	free(r);
}

#define PATHS "To-Path: msrp://b:1/s;tcp\r\nFrom-Path: msrp://a:1/t;tcp\r\n"
#define TEXT  PATHS "Message-ID: abcd\r\nContent-Type: text/plain\r\n\r\n"
#define SEND  "MSRP tid1 SEND\r\n" TEXT

static const struct {
	const char *name;
	struct slice input;
	const char *expected;
} streams[] = {
#define CASE(name, input, expected)                        \
	{                                                  \
		name, {input, sizeof(input) - 1}, expected \
	}
    CASE("nothing", "", ""),
    /* RFC 4975 11.1 */
    CASE("a conversation",
	"MSRP d93kswow SEND\r\n"
	"To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n"
	"From-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n"
	"Message-ID: 12339sdqwer\r\nByte-Range: 1-16/16\r\nContent-Type: text/plain\r\n\r\n"
	"Hi, I'm Alice!\r\n\r\n-------d93kswow$\r\n"
	"MSRP d93kswow 200 OK\r\n"
	"To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n"
	"From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n-------d93kswow$\r\n",
	"SEND d93kswow 0 body [Hi, I'm Alice!\r\n]$\n d93kswow 200 $\n"),
    /* RFC 4975 11.4 */
    CASE("chunks",
	"MSRP d93kswow SEND\r\n" PATHS
	"Message-ID: 12339sdqwer\r\nByte-Range: 1-137/148\r\nContent-Type: message/cpim\r\n\r\n"
	"To: Bob <sip:bob@example.com>\r\nFrom: Alice <sip:alice@example.com>\r\n"
	"DateTime: 2006-05-15T15:02:31-03:00\r\nContent-Type: text/plain\r\n\r\nABCD\r\n"
	"-------d93kswow+\r\n"
	"MSRP op2nc9a SEND\r\n" PATHS
	"Message-ID: 12339sdqwer\r\nByte-Range: 138-148/148\r\nContent-Type: message/cpim\r\n\r\n"
	"1234567890\r\n-------op2nc9a$\r\n",
	"SEND d93kswow 0 body [To: Bob <sip:bob@example.com>\r\nFrom: Alice "
	"<sip:alice@example.com>\r\n"
	"DateTime: 2006-05-15T15:02:31-03:00\r\nContent-Type: text/plain\r\n\r\nABCD]+\n"
	"SEND op2nc9a 0 body [1234567890]$\n"),
    /* RFC 4975 11.6 */
    CASE("a report",
	"MSRP dkei38sd REPORT\r\n" PATHS "Message-ID: 12339sdqwer\r\nByte-Range: "
	"1-106/106\r\nStatus: 000 200 OK\r\n-------dkei38sd$\r\n",
	"REPORT dkei38sd 0 $\n"),
    CASE("flags",
	SEND "a\r\n-------tid1+\r\n" SEND "b\r\n-------tid1#\r\n" SEND "c\r\n-------tid1$\r\n"
	     "MSRP tid2 SEND\r\n" PATHS "Message-ID: abcd\r\n-------tid2+\r\n"
	     "MSRP tid2 SEND\r\n" PATHS "Message-ID: abcd\r\n-------tid2#\r\n",
	"SEND tid1 0 body [a]+\nSEND tid1 0 body [b]#\nSEND tid1 0 body [c]$\n"
	"SEND tid2 0 +\nSEND tid2 0 #\n"),
    CASE("longest transaction id",
	"MSRP 0123456789012345678901234567890. SEND\r\n" TEXT
	"x\r\n-------0123456789012345678901234567890.$\n\r\n-------0123456789012345678901234567890."
	"$\r\n",
	"SEND 0123456789012345678901234567890. 0 body "
	"[x\r\n-------0123456789012345678901234567890.$\n]$\n"),
    CASE("empty lines between frames",
	"\r\n\r\n\r\n" SEND "a\r\n-------tid1$\r\n\r\n\r\nMSRP tid2 200\r\n" PATHS
	"-------tid2$\r\n\r\n",
	"SEND tid1 0 body [a]$\n tid2 200 $\n"),
    CASE("empty body", SEND "\r\n-------tid1$\r\n", "SEND tid1 0 body $\n"),
    CASE("empty body without its CRLF", SEND "-------tid1$\r\n", "SEND tid1 0 body $\n"),
    CASE("body of a CRLF", SEND "\r\n\r\n-------tid1$\r\n", "SEND tid1 0 body [\r\n]$\n"),
    CASE("body of a CR", SEND "\r\r\n-------tid1$\r\n", "SEND tid1 0 body [\r]$\n"),
    CASE("body that begins like an end-line", SEND "-------tid1\r\n-------tid1$\r\n",
	"SEND tid1 0 body [-------tid1]$\n"),
    CASE("unfinished frame", SEND "abc\r\n-------tid1$", "SEND tid1 0 body [abc]"),
    CASE("unfinished head", "MSRP tid1 SEND\r\n" PATHS, ""),
    /* what is no end-line */
    CASE("other dashes",
	SEND "a\r\n-------zzzz$\r\nb\r\n-------\r\n------tid1$\r\n--------tid1$\r\n-------tid2$\r\n"
	     "-------tid$\r\n-------tid11$\r\n-------TID1$\r\n-------tid1\r\n-------tid1$\r\n",
	"SEND tid1 0 body [a\r\n-------zzzz$\r\nb\r\n-------\r\n------tid1$\r\n--------tid1$\r\n"
	"-------tid2$\r\n-------tid$\r\n-------tid11$\r\n-------TID1$\r\n-------tid1]$\n"),
    CASE("almost end-lines",
	SEND
	"-------tid1$x\r\n-------tid1!\r\n-------tid1$$\r\n-------tid1$ \r\n-------tid1$\n"
	"\n-------tid1$\r\nx-------tid1$\r\n\r-------tid1$\r\n-------tid1$\r\r\n-------tid1+\r\n",
	"SEND tid1 0 body [-------tid1$x\r\n-------tid1!\r\n-------tid1$$\r\n-------tid1$ \r\n"
	"-------tid1$\n\n-------tid1$\r\nx-------tid1$\r\n\r-------tid1$\r\n-------tid1$\r]+\n"),
    CASE("CRs in front of an end-line", SEND "\r\r\n\r\r\r\n-------tid1$\r\n",
	"SEND tid1 0 body [\r\r\n\r\r]$\n"),
    CASE("hyphens in front of an end-line", SEND "---------------\r\n-------tid1$\r\n",
	"SEND tid1 0 body [---------------]$\n"),
    CASE("end-lines all over",
	SEND
	"\r\n-------tid\r\n-------ti\r\n-------t\r\n-------\r\n------\r\n-\r\n\r\n-------tid1$\r\n",
	"SEND tid1 0 body "
	"[\r\n-------tid\r\n-------ti\r\n-------t\r\n-------\r\n------\r\n-\r\n]$\n"),
    /* wrong in itself: the stream goes on */
    CASE("bad requests",
	"MSRP tid1 SEND\r\n" PATHS "-------tid1$\r\n"
	"MSRP tid2 SEND\r\n" PATHS "Message-ID: abcd\r\nMessage-ID: abcd\r\n-------tid2$\r\n"
	"MSRP tid3 SEND\r\nFrom-Path: x\r\n\r\nabc\r\n-------tid3$\r\n"
	"MSRP tid4 SEND\r\n" PATHS "Message-ID: abcd\nX: y\r\n-------tid4$\r\n"
	"MSRP tid5 FOO\r\n" PATHS "-------tid5$\r\n",
	"SEND tid1 400 $\nSEND tid2 400 $\nSEND tid3 400 body [abc]$\nSEND tid4 400 $\nFOO tid5 0 "
	"$\n"),
    /* broken: it does not */
    CASE("HTTP", "GET / HTTP/1.1\r\n\r\n", "!bad \n"),
    CASE("TLS", "\x16\x03\x01\x02", "!bad \n"),
    CASE("lone CR between frames", "\r\n\rMSRP", "!bad \n"),
    CASE("LF between frames", "\nMSRP", "!bad \n"),
    CASE("text behind a frame", SEND "a\r\n-------tid1$\r\nMSRQ", "SEND tid1 0 body [a]$\n!bad \n"),
    CASE("bad transaction id", "MSRP abc SEND\r\n" PATHS, "!bad \n"),
    CASE("bad start line", "MSRP tid1 SEND x\r\n" PATHS "-------tid1$\r\nMSRP", "!bad tid1 400\n"),
    CASE("bad start line of a response", "MSRP tid1 20 OK\r\n" PATHS "-------tid1$\r\n",
	"!bad tid1\n"),
    CASE("LF alone", "MSRP tid1 SEND\nTo-Path: x\nFrom-Path: y\n-------tid1$\n", "!bad tid1 400\n"),
    CASE("blank line without CR", "MSRP tid1 SEND\r\n" PATHS "\nbody", "!bad tid1 400\n"),
#undef CASE
};

static void reads_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		run(streams[i].name, streams[i].input, streams[i].expected);
}

/* RFC 4975 9: a body of all 256 values, NULs too, which the table's strings cannot tell. */
static void carries_any_octet(void **state)
{
	struct record *r = calloc(1, sizeof(*r));
	char input[1024];
	struct buffer w = BUFFER_ON(input);
	size_t start;

	(void)state;
	assert_non_null(r);
	buffer_add(&w, SLICE(SEND));
	start = w.len;
	for (int c = 0; c < 256; c++)
		buffer_add_char(&w, (char)c);
	buffer_add(&w, SLICE("\r\n-------tid1$\r\n"));
	for (size_t cut = 0; cut < w.len; cut++) {
		begin(r);
		feed((struct slice){input, cut}, r);
		feed(slice_from(buffer_text(&w), cut), r);
		assert_int_equal(r->log.len, strlen("SEND tid1 0 body [") + 256 + strlen("]$\n"));
		assert_memory_equal(r->text + strlen("SEND tid1 0 body ["), input + start, 256);
		msrp_parser_fini(&r->parser);
	}
	free(r);
}

/* Bodies of letters that end-lines are made of, against the plainest of searches. */
static void finds_what_a_plain_search_finds(void **state)
{
	static const char *const words[] = {"\r", "\n", "\r\n", "-", "-------", "tid1", "$",
	    "-------tid1", "\r\n-------", "x", "------", "\r\n-------tid1$", "$\r"};
	static const char end_line[] = "\r\n-------tid1$\r\n";
	struct record *r = calloc(1, sizeof(*r));
	unsigned seed = 4975;
	char input[1024], expected[1024];

	(void)state;
	assert_non_null(r);
	r->expected = expected;
	r->name = "random body";
	for (int round = 0; round < 3000; round++) {
		struct buffer w = BUFFER_ON(input), v = BUFFER_ON(expected);
		const char *end, *body = input + strlen(SEND);

		buffer_add(&w, round % 2 ? SLICE(SEND ".") : SLICE(SEND));
		for (int i = 0; i < 20; i++) {
			seed = seed * 1103515245 + 12345;
			buffer_add(&w,
			    slice_of(words[(seed >> 16) % (sizeof(words) / sizeof(words[0]))]));
		}
		buffer_add(&w, SLICE(".\r\n-------tid1$\r\n"));
		end = memmem(input, w.len, end_line, sizeof(end_line) - 1);
		w.len = (size_t)(end - input) + sizeof(end_line) - 1;
		buffer_add(&v, SLICE("SEND tid1 0 body "));
		if (end > body) { /* the blank line's CRLF may be the end-line's */
			buffer_add_char(&v, '[');
			buffer_add(&v, (struct slice){body, (size_t)(end - body)});
			buffer_add_char(&v, ']');
		}
		buffer_add(&v, SLICE("$\n"));
		expected[v.len] = '\0';
		begin(r);
		feed(buffer_text(&w), r);
		finish("whole", r);
		begin(r);
		for (size_t at = 0, n; at < w.len; at += n) {
			seed = seed * 1103515245 + 12345;
			n = 1 + (seed >> 16) % 40;
			feed(slice_head(slice_from(buffer_text(&w), at), n), r);
			n = n < w.len - at ? n : w.len - at;
		}
		finish("in pieces", r);
	}
	free(r);
}

/* --- limits --- */

static struct slice head_of(char *text, size_t size, size_t len, const char *end)
{
	struct buffer w = {.p = text, .cap = size};

	buffer_add(&w,
	    SLICE("MSRP tid1 SEND\r\n" PATHS "Message-ID: abcd\r\nContent-Type: a/b\r\nX: "));
	while (w.len < len - 2)
		buffer_add_char(&w, 'x');
	buffer_add(&w, SLICE("\r\n"));
	buffer_add(&w, slice_of(end));
	return buffer_text(&w);
}

static void bounds_heads(void **state)
{
	char text[1024];

	(void)state;
	run("largest head", head_of(text, sizeof(text), MAX_HEAD, "-------tid1$\r\n"),
	    "SEND tid1 0 $\n");
	run("largest head with body",
	    head_of(text, sizeof(text), MAX_HEAD - 2, "\r\nabc\r\n-------tid1$\r\n"),
	    "SEND tid1 0 body [abc]$\n");
	run("head one too large", head_of(text, sizeof(text), MAX_HEAD + 1, "-------tid1$\r\n"),
	    "!size tid1 400\n");
	run("head one too large with body", head_of(text, sizeof(text), MAX_HEAD - 1, "\r\nabc"),
	    "!size tid1 400\n");
	run("head without end", head_of(text, sizeof(text), 900, ""), "!size tid1 400\n");
	memset(text, 'x', sizeof(text));
	memcpy(text, "MSRP tid1 SEND", 14);
	run("start line without end", (struct slice){text, 900}, "!size \n");
}

static void frees_heads(void **state)
{
	struct record *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	begin(r);
	assert_true(msrp_parser_idle(&r->parser));
	feed(SLICE("\r"), r);
	assert_false(msrp_parser_idle(&r->parser));
	feed(SLICE("\n"), r);
	assert_true(msrp_parser_idle(&r->parser));
	feed(SLICE("MSRP ti"), r);
	assert_non_null(r->parser.buf);
	assert_false(msrp_parser_idle(&r->parser));
	feed(SLICE("d1 SEND\r\n" TEXT), r);
	assert_false(msrp_parser_idle(&r->parser));
	feed(SLICE("abc\r"), r);
	assert_null(r->parser.buf);
	feed(SLICE("\n-------tid1$\r\n"), r);
	assert_true(msrp_parser_idle(&r->parser));
	/* whole at once: never any memory */
	feed(SLICE(SEND "abc\r\n-------tid1$\r\n"), r);
	assert_null(r->parser.buf);
	msrp_parser_fini(&r->parser);
	assert_true(sizeof(r->parser) <= 64);
	free(r);
}

/* RFC 4975 7.1: bodies of requests other than SEND have 10240 bytes at most. */
static void bounds_other_bodies(void **state)
{
	static const struct {
		const char *method;
		size_t len;
		int err;
	} cases[] = {
	    {"SEND", MSRP_OTHER_BODY_MAX + 1, 0},
	    {"REPORT", MSRP_OTHER_BODY_MAX, 0},
	    {"REPORT", MSRP_OTHER_BODY_MAX + 1, -EMSGSIZE},
	    {"FOO", MSRP_OTHER_BODY_MAX + 1, -EMSGSIZE},
	    {"200", MSRP_OTHER_BODY_MAX + 1, -EMSGSIZE},
	};
	struct record *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece <= cases[i].len; piece = piece * 7 + 1) {
			char head[256], *body = malloc(piece);
			struct buffer w = BUFFER_ON(head);
			size_t left = cases[i].len;

			assert_non_null(body);
			memset(body, 'x', piece);
			begin(r);
			msrp_write_request_line(&w, SLICE("tid1"), slice_of(cases[i].method));
			buffer_add(&w, SLICE(TEXT));
			feed(buffer_text(&w), r);
			for (; left; left -= left < piece ? left : piece)
				feed(slice_head((struct slice){body, piece}, left), r);
			feed(SLICE("\r\n-------tid1$\r\n"), r);
			assert_int_equal(r->err, cases[i].err);
			msrp_parser_fini(&r->parser);
			free(body);
		}
	free(r);
}

/* --- handlers --- */

struct obstinate {
	int calls, fail_at;
	int broken;
};

static int count_or_fail(struct obstinate *o)
{
	return o->calls++ == o->fail_at ? -ECONNRESET : 0;
}

static int head_or_fail(const struct msrp_frame *f, void *arg)
{
	(void)f;
	return count_or_fail(arg);
}

static int body_or_fail(struct slice piece, void *arg)
{
	(void)piece;
	return count_or_fail(arg);
}

static int end_or_fail(enum msrp_flag flag, void *arg)
{
	(void)flag;
	return count_or_fail(arg);
}

static void note_broken(const struct msrp_frame *f, int err, void *arg)
{
	struct obstinate *o = arg;

	(void)f;
	(void)err;
	o->broken++;
}

static void returns_what_handlers_say(void **state)
{
	static const struct msrp_parser_handler failing = {head_or_fail, body_or_fail, end_or_fail,
	    note_broken, NULL};
	struct slice input = SLICE(SEND "abc\r\n-------tid1$\r\n" SEND "abc\r\n-------tid1$\r\n");

	(void)state;
	for (int fail_at = 0; fail_at <= 6; fail_at++) {
		struct obstinate o = {.fail_at = fail_at};
		struct msrp_parser parser;

		msrp_parser_init(&parser, MAX_HEAD);
		assert_int_equal(msrp_parser_feed(&parser, input, &failing, &o),
		    fail_at < 6 ? -ECONNRESET : (ssize_t)input.len);
		assert_int_equal(o.calls, fail_at < 6 ? fail_at + 1 : 6);
		assert_int_equal(o.broken, 0);
		msrp_parser_fini(&parser);
	}
}

/* A head that came in pieces can be looked at until its frame ends or more is fed. */
struct keeper {
	struct msrp_frame frame;
	int ends;
};

static int keep_head(const struct msrp_frame *f, void *arg)
{
	struct keeper *k = arg;

	k->frame = *f;
	return 0;
}

static int stop_in_body(struct slice piece, void *arg)
{
	struct keeper *k = arg;

	(void)piece;
	assert_true(slice_equal(k->frame.message_id, SLICE("abcd")));
	return -EAGAIN;
}

static int look_at_end(enum msrp_flag flag, void *arg)
{
	struct keeper *k = arg;

	(void)flag;
	k->ends++;
	return 0;
}

static void keeps_the_head_for_a_while(void **state)
{
	static const struct msrp_parser_handler keeping = {keep_head, stop_in_body, look_at_end,
	    note_broken, NULL};
	struct slice input = SLICE(SEND "abc\r\n-------tid1$\r\n");
	struct keeper k = {0};
	struct msrp_parser parser;
	ssize_t n;

	(void)state;
	msrp_parser_init(&parser, MAX_HEAD);
	assert_int_equal(msrp_parser_feed(&parser, slice_head(input, 20), &keeping, &k), 20);
	n = msrp_parser_feed(&parser, slice_from(input, 20), &keeping, &k);
	assert_int_equal(20 + n, strlen(SEND) + 3 + strlen("\r\n-------tid1$\r"));
	assert_true(slice_equal(k.frame.message_id, SLICE("abcd")));
	assert_int_equal(msrp_parser_feed(&parser, slice_from(input, 20 + (size_t)n), &keeping, &k),
	    1);
	assert_int_equal(k.ends, 1);
	assert_null(parser.buf);
	msrp_parser_fini(&parser);
}

/* Who looks at a frame that is not whole. */
struct watcher {
	const struct msrp_frame *frame;
	unsigned cuts;
	int err; /* what it says then */
};

static int watch_head(const struct msrp_frame *f, void *arg)
{
	((struct watcher *)arg)->frame = f;
	return 0;
}

static int pass_over(struct slice piece, void *arg)
{
	(void)piece;
	(void)arg;
	return 0;
}

static int forget(enum msrp_flag flag, void *arg)
{
	(void)flag;
	((struct watcher *)arg)->frame = NULL;
	return 0;
}

static int on_cut(void *arg)
{
	struct watcher *w = arg;

	assert_true(slice_equal(w->frame->message_id, SLICE("abcd")));
	w->cuts++;
	return w->err;
}

static void tells_of_a_frame_that_is_cut(void **state)
{
	static const struct msrp_parser_handler watching = {watch_head, pass_over, forget,
	    note_broken, on_cut};
	struct slice input = SLICE(SEND "abc\r\n-------tid1$\r\n");
	struct watcher w = {0};
	struct msrp_parser parser;

	(void)state;
	msrp_parser_init(&parser, MAX_HEAD);
	msrp_parser_feed(&parser, slice_head(input, 20), &watching, &w);
	assert_int_equal(w.cuts, 0); /* there is no frame yet */
	msrp_parser_feed(&parser, slice_from(input, 20), &watching, &w);
	assert_int_equal(w.cuts, 0);
	msrp_parser_feed(&parser, slice_head(input, strlen(SEND) + 1), &watching, &w);
	assert_int_equal(w.cuts, 1);
	w.err = -ENOMEM;
	msrp_parser_feed(&parser, slice_from(input, strlen(SEND) + 1), &watching, &w);
	assert_int_equal(w.cuts, 1);
	assert_int_equal(msrp_parser_feed(&parser, slice_head(input, input.len - 1), &watching, &w),
	    -ENOMEM);
	assert_int_equal(w.cuts, 2);
	msrp_parser_fini(&parser);
}

static int pass_head(const struct msrp_frame *f, void *arg)
{
	(void)f;
	(void)arg;
	return 0;
}

static int pass_end(enum msrp_flag flag, void *arg)
{
	(void)flag;
	(void)arg;
	return 0;
}

static void is_told_all(const struct msrp_frame *f, int err, void *arg)
{
	(void)f;
	(void)err;
	assert_int_equal(msrp_parser_kept(arg).len, 0);
}

/* Until it is whole, or the handler is told that it is none. */
static void has_what_came_of_a_head(void **state)
{
	static const struct msrp_parser_handler passing = {pass_head, pass_over, pass_end,
	    is_told_all, NULL};
	struct slice input = SLICE(SEND "abc\r\n-------tid1$\r\n");
	size_t head_len = strlen(SEND);
	struct msrp_parser p;

	(void)state;
	msrp_parser_init(&p, MAX_HEAD);
	assert_int_equal(msrp_parser_kept(&p).len, 0);
	for (size_t at = 0; at < input.len; at++) {
		size_t len = at + 1 < head_len ? at + 1 : 0;

		assert_int_equal(
		    msrp_parser_feed(&p, slice_head(slice_from(input, at), 1), &passing, &p), 1);
		assert_true(slice_equal(msrp_parser_kept(&p), slice_head(input, len)));
	}
	msrp_parser_feed(&p, SLICE("MSR"), &passing, &p);
	assert_true(slice_equal(msrp_parser_kept(&p), SLICE("MSR")));
	assert_int_equal(msrp_parser_feed(&p, SLICE("X"), &passing, &p), -EBADMSG);
	assert_int_equal(msrp_parser_kept(&p).len, 0);
	msrp_parser_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_streams),
	    cmocka_unit_test(carries_any_octet),
	    cmocka_unit_test(finds_what_a_plain_search_finds),
	    cmocka_unit_test(bounds_heads),
	    cmocka_unit_test(frees_heads),
	    cmocka_unit_test(bounds_other_bodies),
	    cmocka_unit_test(returns_what_handlers_say),
	    cmocka_unit_test(keeps_the_head_for_a_while),
	    cmocka_unit_test(tells_of_a_frame_that_is_cut),
	    cmocka_unit_test(has_what_came_of_a_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
