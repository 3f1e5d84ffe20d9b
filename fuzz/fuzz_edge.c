/*
 * Streams of SIP.  However a stream is cut, the same messages come of it; a head that was changed
 * is read again as what it was changed to; and Sofia-SIP sees in each message what the edge saw.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "edge/framer.h"
#include "edge/reply.h"
#include "edge/stun.h"
#include "sofia_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, LOG_MAX = 4 * INPUT_MAX, TEXT_MAX = 4 * INPUT_MAX };

static const struct edge_bounds bounds = {.max_message_size = 2048,
    .max_header_size = 512,
    .max_headers = 24};
/* For what was changed. */
static const struct edge_bounds wide = {.max_message_size = TEXT_MAX,
    .max_header_size = TEXT_MAX,
    .max_headers = 128};

struct record {
	struct buffer log;
	bool pinged;
	char text[LOG_MAX];
};

static struct record whole, pieces;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* --- heads --- */

static struct edge_head scan(struct slice text)
{
	struct edge_head h = {0};

	must(edge_head_scan(&h, text, &wide) == 0);
	must(h.len == text.len && h.status == 0);
	return h;
}

/* @return the head as it is written, and read again */
static struct edge_head change(struct buffer *w, const struct edge_head *head,
    const struct edge_change *c)
{
	w->len = 0;
	edge_head_write(w, head, c);
	must(!w->err);
	return scan(buffer_text(w));
}

static void check_unchanged(const struct edge_head *head)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);

	change(&w, head, &(struct edge_change){.drop_via = false});
	must(w.len == head->len);
	must(head->folded || slice_equal(buffer_text(&w), edge_head_text(head)));
}

/* What is pushed is on top, and goes again without a trace. */
static void check_pushed(const struct edge_head *head)
{
	static const struct slice ours = SLICE("SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKours");
	char text[TEXT_MAX], twice[TEXT_MAX], plain[TEXT_MAX];
	struct buffer w = BUFFER_ON(text), v = BUFFER_ON(twice), u = BUFFER_ON(plain);
	struct edge_change push = {.push_via = ours, .push_record_route = SLICE("<sip:t@h;lr>")};
	struct edge_head h = change(&w, head, &push);

	must(slice_equal(edge_head_top(&h, EDGE_VIA), ours));
	must(slice_equal(edge_head_top(&h, EDGE_RECORD_ROUTE), push.push_record_route));
	change(&u, head, &(struct edge_change){.drop_via = false});
	change(&v, &h, &(struct edge_change){.drop_via = true, .drop_record_route = true});
	must(slice_equal(buffer_text(&u), buffer_text(&v)));
}

static void check_received(const struct edge_head *head)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_change c = {.via_received = SLICE("192.0.2.1"), .via_rport = 9};
	struct edge_head h = change(&w, head, &c);
	struct edge_via before, after;

	must(edge_head_via(head, &before) == 0 && edge_head_via(&h, &after) == 0);
	must(slice_equal(after.received, c.via_received));
	must(before.wants_rport == after.wants_rport);
	must(slice_equal(before.branch, after.branch) && before.port == after.port);
	must(!after.wants_rport
	    || slice_equal(edge_value_param(after.value, SLICE("rport")), SLICE("9")));
}

static void check_rewritten(const struct edge_head *head)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_change c = {.via_transport = SLICE("WSS"),
	    .via_sent_by = SLICE("[::1]:9"),
	    .via_branch = SLICE("z9hG4bKx"),
	    .append_record_route = SLICE("<sip:t@h>")};
	struct edge_head h = change(&w, head, &c);
	struct edge_via via;

	must(edge_head_via(&h, &via) == 0 && via.port == 9 && slice_equal(via.host, SLICE("::1")));
	must(slice_equal(via.transport, c.via_transport) && slice_equal(via.branch, c.via_branch));
}

static void check_routes(const struct edge_head *head)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h = change(&w, head, &(struct edge_change){.drop_routes = 1});
	bool routed = edge_head_has(head, EDGE_ROUTE);

	must(!head->folded
		? slice_equal(edge_head_next_hop(head, routed), edge_head_next_hop(&h, 0))
		: 1);
}

static void check_reply(const struct edge_head *head)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_reply reply = {.code = 400, .why = "why", .to_tag = SLICE("x")};
	struct edge_head h = {0};

	if (!edge_reply_possible(head))
		return;
	edge_reply_write(&w, head, &reply);
	must(!w.err && edge_head_scan(&h, buffer_text(&w), &wide) == 0 && h.len == w.len);
	must(h.code == 400 && h.content_length == 0 && edge_head_has(&h, EDGE_CONTENT_LENGTH));
	must(head->status || h.status == 0);
}

/* As it is passed on. */
static void check_sofia(const struct edge_message *m)
{
	char text[TEXT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct edge_change c = {.push_via = SLICE("SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKours"),
	    .add_content_length = true,
	    .content_length = m->body.len};
	struct edge_head h = change(&w, &m->head, &c);
	const char *differs;

	buffer_add(&w, m->body);
	must(!w.err);
	differs = sofia_differs(buffer_text(&w), &h);
	if (differs)
		fprintf(stderr, "Sofia-SIP sees another %s\n", differs);
	must(!differs);
}

static void check_message(const struct edge_message *m)
{
	check_unchanged(&m->head);
	check_pushed(&m->head);
	check_received(&m->head);
	check_rewritten(&m->head);
	check_routes(&m->head);
	check_reply(&m->head);
	check_sofia(m);
}

/* --- streams --- */

static void note(struct record *r, enum edge_framed what, const struct edge_message *m)
{
	if (what == EDGE_PING && !r->pinged)
		buffer_add(&r->log, SLICE("ping "));
	r->pinged = what == EDGE_PING;
	if (what == EDGE_MESSAGE) {
		buffer_add(&r->log, edge_head_text(&m->head));
		buffer_add(&r->log, m->body);
		buffer_add_char(&r->log, '|');
	} else if (what == EDGE_FAULTY || what == EDGE_BROKEN) {
		must(m->head.status && m->head.why);
		buffer_add_number(&r->log, m->head.status);
		buffer_add(&r->log, slice_of(m->head.why));
	}
}

static void feed(struct edge_framer *framer, struct slice bytes, bool end, struct record *r)
{
	struct edge_message m;
	enum edge_framed what;

	while ((what = edge_framer_next(framer, &bytes, end, &bounds, &m)) != EDGE_MORE) {
		note(r, what, &m);
		if (r == &whole && what == EDGE_MESSAGE)
			check_message(&m);
		if (r == &whole && (what == EDGE_FAULTY || what == EDGE_BROKEN))
			check_reply(&m.head);
	}
	must(bytes.len == 0);
}

/* In memory of just its size, so that a sanitizer sees a read past its end. */
static void feed_copy(struct edge_framer *framer, struct slice piece, bool end, struct record *r)
{
	char *copy = malloc(piece.len);

	must(copy != NULL);
	memcpy(copy, piece.p, piece.len);
	feed(framer, (struct slice){copy, piece.len}, end, r);
	free(copy);
}

static void run(struct record *r, struct slice input, size_t step, bool framed)
{
	struct edge_framer framer = {.framed = framed};

	r->log = BUFFER_ON(r->text);
	r->pinged = false;
	while (input.len) {
		struct slice piece = slice_head(input, step);

		input = slice_from(input, piece.len);
		feed_copy(&framer, piece, input.len == 0, r);
	}
	edge_framer_fini(&framer);
	must(!r->log.err);
}

/* The first byte says whether the rest is one message of a framed transport. */
/* --- STUN --- */

/* Nobody is sent much more than he has sent. */
static void answer_stun(struct slice input)
{
	unsigned char answer[STUN_ANSWER_SIZE];
	union addr from;
	size_t len;

	must(addr_parse(&from, SLICE("192.0.2.1:3478")) == 0);
	len = stun_answer(answer, &from, input);
	must(len == 0 || (len == 32 && input.len >= 20));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 2, 3, 7, 16, 43, 64, 1000};
	struct slice input = {(const char *)data + 1, size - 1};
	bool framed;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	answer_stun(input);
	framed = data[0] == 'F';
	run(&whole, input, input.len, framed);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		run(&pieces, input, steps[i], framed);
		must(slice_equal(buffer_text(&whole.log), buffer_text(&pieces.log)));
	}
	return 0;
}
