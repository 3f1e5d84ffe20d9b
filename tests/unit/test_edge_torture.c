/*
 * The torture messages of RFC 4475, rebuilt in tests/torture/: what the framer makes of each on a
 * stream.  What it lets pass, Sofia-SIP reads as the edge does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cut.h"
#include "edge/framer.h"
#include "sofia_view.h"

enum { TEXT_MAX = 8192 };

static const struct edge_bounds usual = {.max_message_size = 65536,
    .max_header_size = 8192,
    .max_headers = 128};

struct torture {
	const char *section, *name;
	unsigned status; /* 0: it passes */
};

/* Sofia-SIP knows no method with "+" or "`", as intmeth's has them. */
static const struct torture valid[] = {
    {"3.1.1.1", "wsinv", 0},
    {"3.1.1.2", "intmeth", 501},
    {"3.1.1.3", "esc01", 0},
    {"3.1.1.4", "escnull", 0},
    {"3.1.1.5", "esc02", 0},
    {"3.1.1.6", "lwsdisp", 0},
    {"3.1.1.7", "longreq", 0},
    {"3.1.1.9", "semiuri", 0},
    {"3.1.1.10", "transports", 0},
    {"3.1.1.11", "mpart01", 0},
    {"3.1.1.12", "unreason", 0},
    {"3.1.1.13", "noreason", 0},
};

static const struct torture invalid[] = {
    {"3.1.2.1", "badinv01", 400},
    {"3.1.2.3", "ncl", 400},
    {"3.1.2.3", "five", 400},
    {"3.1.2.4", "scalar02", 400},
    {"3.1.2.5", "scalarlg", 400},
    {"3.1.2.6", "quotbal", 400},
    {"3.1.2.7", "ltgtruri", 400},
    {"3.1.2.8", "lwsruri", 400},
    {"3.1.2.9", "lwsstart", 400},
    {"3.1.2.10", "trws", 400},
    {"3.1.2.11", "escruri", 400},
    {"3.1.2.12", "baddate", 0},
    {"3.1.2.13", "regbadct", 0},
    {"3.1.2.14", "badaspec", 400},
    {"3.1.2.15", "baddn", 400},
    {"3.1.2.16", "badvers", 505},
    {"3.1.2.17", "mismatch01", 400},
    {"3.1.2.18", "mismatch02", 400},
    {"3.1.2.19", "bigcode", 400},
};

/* For transactions and applications, which come behind the edge: 3.2 to 3.4. */
static const struct torture further[] = {
    {"3.2.1", "badbranch", 0},
    {"3.3.1", "insuf", 400},
    {"3.3.2", "unkscm", 416},
    {"3.3.3", "novelsc", 416},
    {"3.3.4", "unksm2", 0},
    {"3.3.5", "bext01", 0},
    {"3.3.6", "invut", 0},
    {"3.3.7", "regaut01", 0},
    {"3.3.8", "multi01", 400},
    {"3.3.9", "mcl01", 400},
    {"3.3.10", "bcast", 0},
    {"3.3.11", "zeromf", 0},
    {"3.3.12", "cparam01", 0},
    {"3.3.13", "cparam02", 0},
    {"3.3.14", "regescrt", 0},
    {"3.3.15", "sdp01", 0},
    {"3.4.1", "inv2543", 400},
};

/* @return of text, which has room for TEXT_MAX bytes */
static struct slice load(const char *name, char *text)
{
	char path[64];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), "tests/torture/%s.sip", name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	len = fread(text, 1, TEXT_MAX, f);
	assert_in_range(len, 1, TEXT_MAX - 1);
	fclose(f);
	return (struct slice){text, len};
}

static struct slice body_of(struct slice message)
{
	const char *end = memmem(message.p, message.len, "\r\n\r\n", 4);

	assert_non_null(end);
	return slice_from(message, (size_t)(end + 4 - message.p));
}

/* --- what comes of one --- */

struct outcome {
	struct edge_framer framer;
	const struct torture *torture;
	struct slice text;
	unsigned messages, status;
};

static void begin(void *arg)
{
	struct outcome *o = arg;

	*o = (struct outcome){.torture = o->torture, .text = o->text};
}

static void check_message(const struct outcome *o, const struct edge_message *m)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h = {0};
	const char *differs;

	assert_true(slice_equal(m->body, body_of(o->text)));
	edge_head_write(&w, &m->head, &(struct edge_change){.drop_via = false});
	assert_int_equal(edge_head_scan(&h, buffer_text(&w), &usual), 0);
	buffer_add(&w, m->body);
	assert_int_equal(w.err, 0);
	differs = sofia_differs(buffer_text(&w), &h);
	if (differs)
		fail_msg("%s: Sofia-SIP sees another %s", o->torture->name, differs);
}

static void piece(struct slice bytes, void *arg)
{
	struct outcome *o = arg;
	struct edge_message m;
	enum edge_framed what;

	while ((what = edge_framer_next(&o->framer, &bytes, false, &usual, &m)) != EDGE_MORE) {
		if (what == EDGE_MESSAGE) {
			o->messages++;
			check_message(o, &m);
		} else if (what == EDGE_FAULTY || what == EDGE_BROKEN) {
			o->status = m.head.status;
		}
	}
}

static void end(const char *how, void *arg)
{
	struct outcome *o = arg;
	const struct torture *t = o->torture;

	if (o->status != t->status || o->messages != (t->status ? 0 : 1))
		fail_msg("%s %s: %u, %u messages, %s", t->section, t->name, o->status, o->messages,
		    how);
	edge_framer_fini(&o->framer);
}

static void run(const struct torture *all, size_t count)
{
	static const struct cut_target target = {begin, piece, end};

	for (size_t i = 0; i < count; i++) {
		char text[TEXT_MAX];
		struct outcome o = {.torture = &all[i], .text = load(all[i].name, text)};

		cut_every_way(o.text, &target, &o);
	}
}

#define RUN(all) run(all, sizeof(all) / sizeof((all)[0]))

static void test_valid(void **state)
{
	(void)state;
	RUN(valid);
}

static void test_invalid(void **state)
{
	(void)state;
	RUN(invalid);
}

static void test_further(void **state)
{
	(void)state;
	RUN(further);
}

/* 3.1.1.8, extra octets behind a message: the next one on a stream, nothing in a datagram. */
static void test_dblreq(void **state)
{
	char text[TEXT_MAX];
	struct slice request = load("dblreq", text);
	struct edge_framer framer = {.framed = true};
	struct slice bytes = request;
	struct edge_message m;

	(void)state;
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MESSAGE);
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MORE);
	assert_true(edge_framer_idle(&framer));
	framer.framed = false;
	bytes = request;
	assert_int_equal(edge_framer_next(&framer, &bytes, false, &usual, &m), EDGE_MESSAGE);
	assert_true(slice_equal(edge_head_method(&m.head), SLICE("REGISTER")));
	assert_int_equal(edge_framer_next(&framer, &bytes, false, &usual, &m), EDGE_MESSAGE);
	assert_true(slice_equal(edge_head_method(&m.head), SLICE("INVITE")));
	assert_int_equal(edge_framer_next(&framer, &bytes, false, &usual, &m), EDGE_MORE);
	edge_framer_fini(&framer);
}

/* 3.1.2.2: on a stream one waits for the rest. */
static void test_clerr(void **state)
{
	char text[TEXT_MAX];
	struct slice request = load("clerr", text);
	struct edge_framer framer = {.framed = true};
	struct slice bytes = request;
	struct edge_message m;

	(void)state;
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_FAULTY);
	assert_int_equal(m.head.status, 400);
	framer = (struct edge_framer){.framed = false};
	bytes = request;
	assert_int_equal(edge_framer_next(&framer, &bytes, false, &usual, &m), EDGE_MORE);
	assert_false(edge_framer_idle(&framer));
	edge_framer_fini(&framer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_dblreq),
	    cmocka_unit_test(test_invalid),
	    cmocka_unit_test(test_clerr),
	    cmocka_unit_test(test_further),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
