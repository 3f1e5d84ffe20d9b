/* Messages on their way out: their chunks, their order, their sources, what is told of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/budget.h"
#include "loop.h"
#include "msrp_sides.h"

static const struct slice NONE = {NULL, 0};

static bool nothing_queued(void *arg)
{
	struct endpoint_info info;

	endpoint_info(((struct side *)arg)->ep, &info);
	return info.queued_bytes == 0 && info.drained;
}

/* The raw peer binds the session to its connection, and side a is free to send. */
static void raw_bind(struct sides *f)
{
	raw_open(f);
	raw_chunk(f, "bind", "1-0/0", "", '$');
	raw_expect(f, "tidbind 200");
	loop_settle(f->base);
	raw_read(f);
	f->got_len = 0;
}

/* Answer the first request that has come. */
static void raw_answer(struct sides *f, const char *code)
{
	char tid[40] = "", frame[512];

	assert_int_equal(sscanf(f->got, "MSRP %32s SEND", tid), 1);
	snprintf(frame, sizeof(frame),
	    "MSRP %s %s\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n-------%s$\r\n",
	    tid, code, f->a.uri, tid);
	raw_send(f, frame);
}

static void frames_have_their_form(void **state)
{
	static const struct {
		const char *body;
		enum failure_report fr;
		bool sr;
		const char *headers;
	} rows[] = {
	    {"hello", FAILURE_REPORT_YES, false,
		"Byte-Range: 1-5/5\r\nContent-Type: text/plain\r\n\r\nhello\r\n-------"},
	    {"", FAILURE_REPORT_YES, true,
		"Success-Report: yes\r\nByte-Range: 1-0/0\r\nContent-Type: "
		"text/plain\r\n\r\n\r\n-------"},
	    {"x", FAILURE_REPORT_NO, true,
		"Success-Report: yes\r\nFailure-Report: no\r\nByte-Range: 1-1/1\r\n"
		"Content-Type: text/plain\r\n\r\nx\r\n-------"},
	    {"x", FAILURE_REPORT_PARTIAL, false,
		"Failure-Report: partial\r\nByte-Range: 1-1/1\r\nContent-Type: "
		"text/plain\r\n\r\nx\r\n-------"},
	    {NULL, FAILURE_REPORT_YES, false, "Byte-Range: 1-0/0\r\n-------"},
	};
	struct sides *f = *state;
	char want[512];

	raw_bind(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct message_out out = {.content_type = rows[i].body ? SLICE("text/plain") : NONE,
		    .body.bytes = slice_of(rows[i].body),
		    .failure_report = rows[i].fr,
		    .success_report = rows[i].sr};
		char id[MSRP_MESSAGE_ID_SIZE];

		f->got_len = 0;
		assert_int_equal(endpoint_send(f->a.ep, &out, 0, id), 0);
		snprintf(want, sizeof(want),
		    " SEND\r\nTo-Path: msrp://127.0.0.1:9/peer;tcp\r\nFrom-Path: %s\r\nMessage-ID: "
		    "%s\r\n%s",
		    f->a.uri, id, rows[i].headers);
		raw_expect(f, want);
	}
}

static void what_cannot_be_sent_is_refused(void **state)
{
	struct sides *f = *state;
	struct message_out out = {.content_type = SLICE("text/plain\r\nX: y"),
	    .body.bytes = SLICE("x")};
	char *big = calloc(1, 9 << 20);
	struct slice body = {big, 9 << 20};
	int err = 0;

	raw_open(f);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), -EINVAL);
	out.content_type = SLICE("");
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), -EINVAL);
	msrp_stack_budget(f->stack)->max = 64 << 20;
	assert_int_equal(side_send(&f->a, body, FAILURE_REPORT_YES, false, 0), 0);
	assert_int_equal(side_send(&f->a, body, FAILURE_REPORT_YES, false, 0), -ENOBUFS);
	msrp_stack_budget(f->stack)->max = 9 << 20;
	for (int i = 0; i < 100000 && err == 0; i++)
		err = side_send(&f->a, SLICE("small ones are bounded too"), FAILURE_REPORT_NO,
		    false, 0);
	assert_int_equal(err, -ENOBUFS);
	free(big);
}

static void short_messages_keep_their_order(void **state)
{
	struct sides *f = *state;
	size_t len = 100000;
	char *big = malloc(len), text[16];

	memset(big, 'b', len);
	sides_connect(f, true); /* a stream keeps the bytes of the last message only */
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(side_send(&f->a, slice_of(text), FAILURE_REPORT_YES, false, 0), 0);
		if (i == 50)
			assert_int_equal(side_send(&f->a, (struct slice){big, len},
					     FAILURE_REPORT_YES, false, 0),
			    0);
	}
	for (unsigned i = 1, at = 0; i <= 101; i++) {
		sides_wait(f, &f->b.ends, i);
		if (f->b.ends > i)
			i = f->b.ends;
		if (f->b.body_len < 4) {
			unsigned number = (unsigned)atoi(f->b.body);

			assert_true(number >= at);
			at = number;
		}
	}
	free(big);
}

/* A frame that is open while the peer does not read. */
static void open_long_chunk(struct sides *f, const char *big, size_t len)
{
	f->settings.chunk_size = 16 << 20;
	msrp_stack_budget(f->stack)->max = 64 << 20;
	f->settings.transaction_timeout_ms = 10000;
	raw_bind(f);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, false, 0),
	    0);
	raw_expect(f, "Byte-Range: 1-*/");
	loop_settle(f->base);
}

static bool has_end_of_frame(void *arg)
{
	struct sides *f = arg;

	raw_read(f);
	return f->got_len > 3 && memcmp(f->got + f->got_len - 2, "\r\n", 2) == 0
	    && strstr(f->got + f->got_len - 40, "-------");
}

static void a_long_chunk_is_interrupted(void **state)
{
	struct sides *f = *state;
	size_t len = 14 << 20;
	char *big = malloc(len), *end;

	memset(big, 'b', len);
	open_long_chunk(f, big, len);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "tidm1m1 200");
	end = strstr(f->got, "+\r\nMSRP tidm1m1 200");
	assert_non_null(end); /* the frame was ended for it */
	assert_true((size_t)(end - f->got) < len);
	/* and went on behind it */
	raw_expect(f, "$\r\nMSRP ");
	free(big);
}

static void a_refused_chunk_is_ended(void **state)
{
	struct sides *f = *state;
	size_t len = 14 << 20;
	char *big = malloc(len);

	memset(big, 'b', len);
	open_long_chunk(f, big, len);
	raw_answer(f, "413 Too much");
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 413 Too much");
	assert_string_equal(f->a.reported_type, "text/plain");
	loop_until(f->base, has_end_of_frame, f);
	assert_int_equal(f->got[f->got_len - 3], '#');
	assert_true(f->got_len < len);
	assert_int_equal(raw_count(f, " SEND\r\n"), 1);
	loop_until(f->base, nothing_queued, &f->a);
	free(big);
}

/* Many messages of one body hold it once, and until the last of them has left. */
static void a_shared_body_is_held_once(void **state)
{
	enum { COPIES = 3, LEN = 100000 };
	struct sides *f = *state;
	struct budget *budget = msrp_stack_budget(f->stack);
	char *bytes = calloc(1, LEN);
	struct message_out out = {.content_type = SLICE("text/plain")};
	uint64_t before;

	sides_connect(f, false);
	sides_wait(f, &f->b.bound, 1);
	before = *budget->used;
	memset(bytes, 's', LEN);
	assert_int_equal(shared_body_new(&out.body.shared, budget, (struct slice){bytes, LEN}), 0);
	free(bytes);
	out.body.bytes = shared_body_bytes(out.body.shared);
	for (int i = 0; i < COPIES; i++)
		assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	shared_body_unref(out.body.shared);
	assert_in_range(*budget->used - before, LEN, LEN + COPIES * 100);
	sides_wait(f, &f->b.messages, COPIES);
	assert_int_equal(f->b.body_len, LEN);
	assert_int_equal(f->b.body[LEN - 1], 's');
	loop_settle(f->base);
	assert_int_equal(*budget->used, before);

	assert_int_equal(shared_body_new(&out.body.shared, budget, (struct slice){"", SIZE_MAX}),
	    -ENOBUFS);
}

enum { PIECE = 20000, PIECES = 5 };

static const char piece_bytes[PIECE];

static void add_piece(const struct message_out *out)
{
	assert_int_equal(shared_body_append(out->body.shared, (struct slice){piece_bytes, PIECE}),
	    0);
}

static bool has_some(void *arg)
{
	return ((struct side *)arg)->body_len > 0;
}

/* What a body has leaves before it is whole. */
static void a_body_grows_while_it_is_sent(void **state)
{
	struct sides *f = *state;
	struct budget *budget = msrp_stack_budget(f->stack);
	struct message_out out = {.content_type = SLICE("text/plain")};
	uint64_t before;

	sides_connect(f, true);
	sides_wait(f, &f->b.bound, 1);
	before = *budget->used;
	assert_int_equal(shared_body_open(&out.body.shared, budget, UINT64_MAX, 1 << 20), 0);
	out.body.bytes = shared_body_bytes(out.body.shared);
	for (int i = 0; i < 2; i++)
		assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	assert_int_equal(endpoint_backlog(f->a.ep), 0);
	add_piece(&out);
	assert_int_equal(endpoint_backlog(f->a.ep), 2 * PIECE);
	endpoint_want_room(f->a.ep, 10);
	loop_until(f->base, has_some, &f->b);
	assert_int_equal(f->b.ends, 0);
	for (int i = 1; i < PIECES; i++)
		add_piece(&out);
	shared_body_close(out.body.shared, 0);
	shared_body_unref(out.body.shared);
	sides_wait(f, &f->b.ends, 2);
	assert_int_equal(f->b.end_err, 0);
	assert_int_equal(f->a.room, 1);
	assert_int_equal(endpoint_backlog(f->a.ep), 0);
	loop_settle(f->base);
	assert_int_equal(*budget->used, before);
}

/* One that will never be whole, or is more than the peer takes, ends with "#". */
static void a_body_that_fails_is_aborted(void **state)
{
	struct sides *f = *state;
	struct budget *budget = msrp_stack_budget(f->stack);
	struct message_out out = {.content_type = SLICE("text/plain")};

	sides_connect(f, true);
	sides_wait(f, &f->b.bound, 1);
	for (unsigned too_long = 0; too_long < 2; too_long++) {
		assert_int_equal(shared_body_open(&out.body.shared, budget, UINT64_MAX, 1 << 20),
		    0);
		out.body.bytes = shared_body_bytes(out.body.shared);
		out.body.max_bytes = too_long ? PIECE + 1 : 0;
		assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
		add_piece(&out);
		sides_wait(f, &f->b.begins, too_long + 1);
		if (too_long)
			add_piece(&out);
		shared_body_close(out.body.shared, too_long ? 0 : -ECONNRESET);
		shared_body_unref(out.body.shared);
		sides_wait(f, &f->b.ends, too_long + 1);
		assert_int_equal(f->b.end_err, -ECANCELED);
		loop_until(f->base, nothing_queued, &f->a);
	}
}

static void a_connection_that_stands_still_owes_408(void **state)
{
	struct sides *f = *state;
	size_t len = 14 << 20;
	char *big = calloc(1, len);

	sides_fini(f);
	assert_int_equal(sides_init(f), 0);
	f->settings.send_timeout_ms = 200;
	assert_int_equal(msrp_stack_reload(f->stack, &f->settings, &(struct reason){""}), 0);
	memset(big, 'b', len);
	open_long_chunk(f, big, len);
	sides_wait(f, &f->a.lost, 1);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 408");
	free(big);
}

static void partial_and_no_hold_nothing_when_sent(void **state)
{
	struct sides *f = *state;

	f->settings.transaction_timeout_ms = 10000;
	raw_bind(f);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_PARTIAL, false, 0), 0);
	raw_expect(f, "hello");
	loop_until(f->base, nothing_queued, &f->a);
	/* an error is told nevertheless */
	raw_answer(f, "400");
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 400");
	assert_string_equal(f->a.range, "1-5/5");
	assert_string_equal(f->a.reported_id, f->a.id);
}

static int judge_all(struct slice content_type, uint64_t total, void *arg)
{
	(void)content_type;
	(void)arg;
	return total > 3 ? 413 : 0;
}

static void what_the_peer_would_not_take_is_dropped(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	assert_int_equal(side_send(&f->a, SLICE("much"), FAILURE_REPORT_YES, false, 0), 0);
	assert_int_equal(side_send(&f->a, SLICE("few"), FAILURE_REPORT_YES, false, 0), 0);
	endpoint_filter(f->a.ep, judge_all, NULL);
	assert_int_equal(f->a.reports, 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 413");
	raw_chunk(f, "bind", "1-0/0", "", '$');
	raw_expect(f, "few");
	assert_null(strstr(f->got, "much"));
}

static int pull_rest(void *arg, size_t want, struct slice *piece)
{
	struct slice *rest = arg;

	*piece = slice_head(*rest, want);
	*rest = slice_from(*rest, piece->len);
	return 0;
}

/* @return how many chunks of what was read begin inside a character */
static unsigned count_cut_characters(const struct sides *f)
{
	unsigned n = 0;

	for (const char *p = f->got; (p = strstr(p, "\r\n\r\n")); p += 4)
		n += ((unsigned char)p[4] & 0xc0) == 0x80;
	return n;
}

static void send_in_chunks(struct sides *f, struct slice type, struct slice body, bool source)
{
	struct slice rest = body;
	struct message_out out = {.content_type = type,
	    .body.bytes = body,
	    .failure_report = FAILURE_REPORT_NO};

	if (source)
		out.body =
		    (struct message_body){.total = body.len, .pull = pull_rest, .arg = &rest};
	f->got_len = 0;
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	raw_expect(f, "$\r\n");
	assert_true(raw_count(f, " SEND\r\n") >= 2);
}

/* There are peers that decode each chunk by itself. */
static void texts_are_cut_between_characters(void **state)
{
	static const struct {
		const char *type, *character;
		bool cut;
	} rows[] = {
	    {"text/plain", "\303\244", false}, {"text/plain;charset=UTF-8", "\342\202\254", false},
	    {"TEXT/html", "\360\237\230\200", false}, {"application/x", "\303\244", true},
	    {"text/plain", "\204", true}, /* no UTF-8 */
	};
	struct sides *f = *state;
	char *body = malloc(70000);

	raw_bind(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t width = strlen(rows[i].character), len = 1;

		body[0] = 'x';
		for (; len + width < 70000; len += width)
			memcpy(body + len, rows[i].character, width);
		for (int source = 0; source < 2; source++) {
			send_in_chunks(f, slice_of(rows[i].type), (struct slice){body, len},
			    source);
			assert_int_equal(count_cut_characters(f) > 0, rows[i].cut);
		}
	}
	free(body);
}

static void reports_are_told_as_they_come(void **state)
{
	static const struct {
		const char *status, *range;
		int code;
	} rows[] = {
	    {"000 200 OK", "1-2/5", 200},
	    {"000 200", "3-5/5", 200},
	    {"000 404 Not there", "1-5/5", 404},
	    {"001 481", "1-5/5", 481},
	    {"000 200", "", 200},
	};
	struct sides *f = *state;
	unsigned told = 0;

	raw_bind(f);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_NO, true, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char frame[512];

		snprintf(frame, sizeof(frame),
		    "MSRP rep12345 REPORT\r\nTo-Path: %s\r\nFrom-Path: "
		    "msrp://127.0.0.1:9/peer;tcp\r\n"
		    "Message-ID: %s\r\n%s%s%sStatus: %s\r\n-------rep12345$\r\n",
		    f->a.uri, f->a.id, *rows[i].range ? "Byte-Range: " : "", rows[i].range,
		    *rows[i].range ? "\r\n" : "", rows[i].status);
		raw_send(f, frame);
		sides_wait(f, &f->a.reports, ++told);
		assert_string_equal(f->a.status, rows[i].status);
		assert_string_equal(f->a.range, rows[i].range);
		assert_string_equal(f->a.reported_id, f->a.id);
		assert_int_equal(f->a.code, rows[i].code);
	}
}

static void silence_is_broken(void **state)
{
	struct sides *f = *state;

	sides_fini(f);
	assert_int_equal(sides_init(f), 0);
	f->settings.keepalive_ms = 50;
	endpoints_reload(f->all);
	raw_bind(f);
	raw_expect(f, "Byte-Range: 1-0/0\r\n-------");
}

static void behind_a_relay_the_passive_side_waits(void **state)
{
	struct sides *f = *state;
	struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = f->port};

	assert_int_equal(sides_open_one(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false), 0);
	assert_int_equal(sides_open_one(f, &f->b, "sidebbbbbbbbbbbbbbbbbbb", false), 0);
	assert_int_equal(endpoint_set_path(f->a.ep, NONE, slice_of(f->b.uri)), 0);
	assert_int_equal(endpoint_set_path(f->b.ep, NONE, slice_of(f->a.uri)), 0);
	endpoint_start(f->a.ep);
	endpoint_start(f->b.ep);
	assert_int_equal(endpoint_connect(f->a.ep, &to, false, 0), 0);
	assert_int_equal(side_send(&f->a, SLICE("later"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->a.bound, 1);
	loop_settle(f->base);
	assert_int_equal(f->b.bound, 0);
}

static void long_messages_are_chunked_and_joined(void **state)
{
	struct sides *f = *state;
	size_t len = 200000;
	char *big = malloc(len);

	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 7 + i / 251);
	sides_connect(f, false);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0),
	    0);
	/* a short one does not wait for it */
	assert_int_equal(side_send(&f->a, SLICE("short"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "short");
	sides_wait(f, &f->b.messages, 2);
	assert_int_equal(f->b.body_len, len);
	assert_memory_equal(f->b.body, big, len);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-200000/200000");
	free(big);
}

static void silence_is_408_and_loss_is_481(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 408");
	assert_string_equal(f->a.range, "1-5/5");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_PARTIAL, false, 0), 0);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_NO, false, 0), 0);
	sides_wait(f, &f->a.drained, 2);
	assert_int_equal(f->a.reports, 1);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	close(f->fd);
	f->fd = -1;
	sides_wait(f, &f->a.lost, 1);
	assert_int_equal(f->a.reports, 1);
	endpoint_give_up(f->a.ep);
	assert_int_equal(f->a.reports, 2);
	assert_string_equal(f->a.status, "000 481");
}

static void what_was_not_answered_is_sent_again_on_the_next_connection(void **state)
{
	struct sides *f = *state;
	char id[64];

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	snprintf(id, sizeof(id), "Message-ID: %s\r\n", f->a.id);
	raw_expect(f, id);
	close(f->fd);
	sides_wait(f, &f->a.lost, 1);
	raw_connect(f);
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	raw_expect(f, id);
	raw_expect(f, "hello");
}

/* --- sources --- */

struct source {
	struct side *side;
	size_t left, given;
	unsigned dones;
	bool stall, fail;
	char bytes[40000];
};

static int pull(void *arg, size_t want, struct slice *piece)
{
	struct source *s = arg;

	if (s->fail)
		return -EIO;
	if (s->stall)
		return -EAGAIN;
	if (want > s->left)
		want = s->left;
	if (want > sizeof(s->bytes))
		want = sizeof(s->bytes);
	memset(s->bytes, 'a' + (int)(s->given / 1000 % 26), sizeof(s->bytes));
	*piece = (struct slice){s->bytes, want};
	s->left -= want;
	s->given += want;
	return 0;
}

static void source_done(void *arg)
{
	((struct source *)arg)->dones++;
}

static void sources_are_asked_as_bytes_can_leave(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .success_report = true,
	    .body = {.total = UINT64_MAX, .pull = pull, .done = source_done, .arg = s}};
	char id[MSRP_MESSAGE_ID_SIZE];

	s->left = 100000;
	s->stall = true;
	sides_connect(f, true);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, id), 0);
	sides_wait(f, &f->b.bound, 1);
	assert_int_equal(f->b.begins, 0);
	s->stall = false;
	endpoint_ready(f->a.ep, slice_of(id));
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, 100000);
	assert_int_equal(s->dones, 1);
	sides_wait(f, &f->a.reports, 1);
	free(s);
}

static void a_source_that_fails_aborts_its_message(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body = {.total = 500000, .pull = pull, .done = source_done, .arg = s}};

	s->left = 40000;
	sides_connect(f, true);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.end_err, -ECANCELED);
	assert_int_equal(s->dones, 1);
	free(s);
}

/* Gives crumbs, and stops now and then. */
static int pull_crumbs(void *arg, size_t want, struct slice *piece)
{
	struct source *s = arg;

	if (s->stall && s->given % 7000 == 6900) {
		s->given += 100; /* 100 bytes that never were: the next call goes on */
		return -EAGAIN;
	}
	if (want > 100)
		want = 100;
	if (want > s->left)
		want = s->left;
	memset(s->bytes, 'c', want);
	*piece = (struct slice){s->bytes, want};
	s->left -= want;
	s->given += want;
	return 0;
}

static void crumbs_make_whole_chunks(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .failure_report = FAILURE_REPORT_NO,
	    .body = {.total = UINT64_MAX, .pull = pull_crumbs, .done = source_done, .arg = s}};

	s->left = 65536; /* ends with a chunk: the last one is not empty */
	raw_bind(f);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	raw_expect(f, "$\r\n");
	assert_int_equal(raw_count(f, " SEND\r\n"), 2);
	assert_non_null(strstr(f->got, "Byte-Range: 1-*/*\r\n"));
	assert_non_null(strstr(f->got, "Byte-Range: 32769-*/65536\r\n"));
	assert_int_equal(s->dones, 1);
	free(s);
}

static void a_starved_source_holds_nobody_up(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body = {.total = 20000, .pull = pull_crumbs, .done = source_done, .arg = s}};
	char id[MSRP_MESSAGE_ID_SIZE];

	s->left = 20000;
	s->stall = true;
	sides_connect(f, false);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, id), 0);
	assert_int_equal(side_send(&f->a, SLICE("short"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "short");
	for (int i = 0; i < 10 && f->b.messages < 2; i++) {
		endpoint_ready(f->a.ep, slice_of(id));
		loop_settle(f->base);
	}
	assert_int_equal(f->b.messages, 2);
	assert_int_equal(f->b.body_len, 20000);
	free(s);
}

static void a_source_that_ends_early_aborts_its_message(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body = {.total = 90000, .pull = pull_crumbs, .done = source_done, .arg = s}};

	s->left = 70000;
	raw_bind(f);
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	raw_expect(f, "#\r\n");
	assert_int_equal(s->dones, 1);
	free(s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(long_messages_are_chunked_and_joined),
	    CASE(silence_is_408_and_loss_is_481),
	    CASE(what_was_not_answered_is_sent_again_on_the_next_connection),
	    CASE(frames_have_their_form),
	    CASE(what_cannot_be_sent_is_refused),
	    CASE(short_messages_keep_their_order),
	    CASE(a_long_chunk_is_interrupted),
	    CASE(a_refused_chunk_is_ended),
	    CASE(a_shared_body_is_held_once),
	    CASE(a_body_grows_while_it_is_sent),
	    CASE(a_body_that_fails_is_aborted),
	    CASE(a_connection_that_stands_still_owes_408),
	    CASE(partial_and_no_hold_nothing_when_sent),
	    CASE(what_the_peer_would_not_take_is_dropped),
	    CASE(texts_are_cut_between_characters),
	    CASE(reports_are_told_as_they_come),
	    CASE(silence_is_broken),
	    CASE(behind_a_relay_the_passive_side_waits),
	    CASE(sources_are_asked_as_bytes_can_leave),
	    CASE(a_source_that_fails_aborts_its_message),
	    CASE(crumbs_make_whole_chunks),
	    CASE(a_starved_source_holds_nobody_up),
	    CASE(a_source_that_ends_early_aborts_its_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
