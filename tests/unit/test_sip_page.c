/* MESSAGE, both ways: RFC 3428. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "loop.h"
#include "sip_peer.h"
#include "sip_side.h"

struct world {
	struct event_base *base;
	struct side a, b;
	struct peer p;
	unsigned done; /* results that came */
	unsigned asked;
	int code; /* the last one */
	bool from_peer, stopped;
	char reason[64];
};

static char realm[] = "example.org", user[] = "gw",
	    ha1[] = "ed6c51fc78c2c5668b0007dbde365d64"; /* MD5 of gw:example.org:s3cret */

static int set_up_with(void **state, uint64_t transaction_timeout)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	assert_non_null(w->base);
	w->a.settings.transaction_timeout = transaction_timeout;
	w->a.credential = (struct sip_credential){realm, user, NULL, ha1};
	side_open(&w->a, w->base);
	side_open(&w->b, w->base);
	peer_open(&w->p, w->base);
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, SIDE_TRANSACTION_MS);
}

/* Where much is under way at once, and the machine may be slow. */
static int set_up_patient(void **state)
{
	return set_up_with(state, LOOP_DEADLINE_MS);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	side_close(&w->a);
	side_close(&w->b);
	peer_close(&w->p);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void on_result(const struct page_result *r, void *arg)
{
	struct world *w = arg;

	w->done++;
	w->code = r->code;
	w->from_peer = r->from_peer;
	snprintf(w->reason, sizeof(w->reason), "%.*s", SLICE_ARG(r->reason));
}

static struct page_message message_to(const char *ruri, const char *body)
{
	return (struct page_message){
	    .ruri = slice_of(ruri),
	    .from_uri = SLICE("sip:alice@a.example"),
	    .to_uri = SLICE("sip:bob@b.example"),
	    .content_type = SLICE("text/plain;charset=utf-8"),
	    .body = slice_of(body),
	};
}

static int send_text(struct world *w, const char *ruri, const char *body)
{
	struct page_message m = message_to(ruri, body);

	return page_send(w->a.page, &m, on_result, w);
}

static bool is_done(void *arg)
{
	return ((struct world *)arg)->done > 0;
}

static void wait_result(struct world *w, int code, bool from_peer)
{
	loop_until(w->base, is_done, w);
	assert_int_equal(w->code, code);
	assert_int_equal(w->from_peer, from_peer);
	assert_int_equal(w->done, 1);
	w->done = 0;
}

/* --- in --- */

static void assert_field(struct side *s, enum sip_field field, const char *expected)
{
	struct slice value = sip_request_field(s->kept, field);

	if (!expected) {
		assert_null(value.p);
		return;
	}
	if (!slice_equal(value, slice_of(expected)))
		fail_msg("field %d is \"%.*s\"", (int)field, SLICE_ARG(value));
}

static void assert_header(struct side *s, const char *name, const char *expected)
{
	struct slice value = sip_request_header(s->kept, slice_of(name));

	if (!expected) {
		assert_null(value.p);
		return;
	}
	if (!slice_equal(value, slice_of(expected)))
		fail_msg("%s is \"%.*s\"", name, SLICE_ARG(value));
}

static void test_fields(void **state)
{
	struct world *w = *state;
	char port[8];

	w->b.keep = true;
	peer_begin(&w->p, "MESSAGE", w->b.udp,
	    "Content-Type: text/plain; charset=\"utf-8\"\r\ns: hello you\r\nX-Foo:  bar \r\n"
	    "X-Foo: second\r\nX-Empty:\r\nUser-Agent: test/1\r\nm: \"A\" "
	    "<sip:c@h:1;x=y?h=v>;q=1\r\n",
	    "h\tello");
	side_wait_log(&w->b, "MESSAGE ");
	assert_field(&w->b, SIP_FIELD_METHOD, "MESSAGE");
	assert_field(&w->b, SIP_FIELD_RURI, w->b.udp);
	assert_field(&w->b, SIP_FIELD_FROM_URI, "sip:peer@p.example");
	assert_field(&w->b, SIP_FIELD_TO_URI, "sip:msrpd@m.example");
	assert_field(&w->b, SIP_FIELD_SOURCE_ADDRESS, "127.0.0.1");
	snprintf(port, sizeof(port), "%.*s", (int)strcspn(w->p.uri + 14, ";"), w->p.uri + 14);
	assert_field(&w->b, SIP_FIELD_SOURCE_PORT, port);
	assert_field(&w->b, SIP_FIELD_PROTO, "udp");
	assert_field(&w->b, SIP_FIELD_CONTACT, "sip:c@h:1;x=y");
	assert_field(&w->b, SIP_FIELD_CONTENT_TYPE, "text/plain;charset=\"utf-8\"");
	assert_field(&w->b, SIP_FIELD_USER_AGENT, "test/1");
	assert_field(&w->b, SIP_FIELD_BODY, "h\tello");
	assert_int_equal(strncmp(sip_request_field(w->b.kept, SIP_FIELD_CALL_ID).p, "begin-", 6),
	    0);
	assert_header(&w->b, "Subject", "hello you");
	assert_header(&w->b, "subject", "hello you");
	assert_header(&w->b, "S", "hello you");
	assert_header(&w->b, "x-foo", "bar");
	assert_header(&w->b, "X-Empty", "");
	assert_header(&w->b, "X-Bar", NULL);
	assert_header(&w->b, "", NULL);
	assert_header(&w->b, "Max-Forwards", "70");
	assert_int_equal(sip_request_reply(w->b.kept, 99, ABSENT, ABSENT), -EINVAL);
	assert_int_equal(sip_request_reply(w->b.kept, 202, SLICE("Fine by me"),
			     SLICE("X-A: 1\r\nWarning: 399 h \"x\"\r\n")),
	    0);
	assert_int_equal(sip_request_reply(w->b.kept, 200, ABSENT, ABSENT), -EEXIST);
	peer_expect(&w->p, "SIP/2.0 202 Fine by me\r\n");
	assert_true(peer_has(&w->p, "X-A: 1\r\n") && peer_has(&w->p, "Warning: 399 h \"x\"\r\n"));
	assert_false(peer_has(&w->p, "Contact:"));
	/* still there for who looks later */
	assert_field(&w->b, SIP_FIELD_BODY, "h\tello");
}

/*
 * A Contact or Record-Route of another scheme than SIP's never reaches Sofia, which recurses until
 * its stack is full when it cannot send to where a dialog leads.  A MESSAGE makes no dialog, so
 * here it harms nobody.
 */
static void test_foreign_schemes(void **state)
{
	static const char *const uris[] = {"mailto:a@h", "urn:service:x"};
	struct world *w = *state;
	char headers[128];

	w->b.keep = true;
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		snprintf(headers, sizeof(headers), "Contact: <%s>\r\nRecord-Route: <%s>\r\n",
		    uris[i], uris[i]);
		peer_begin(&w->p, "MESSAGE", w->b.udp, headers, NULL);
		side_wait_log(&w->b, "MESSAGE ");
		assert_field(&w->b, SIP_FIELD_CONTACT, "sip:unusable.invalid");
		assert_header(&w->b, "Contact", "<sip:unusable.invalid>");
		assert_header(&w->b, "Record-Route", "<sip:unusable.invalid>");
		sip_request_unref(w->b.kept);
		w->b.kept = NULL;
		w->b.log[0] = '\0';
	}
}

static void test_no_content(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	peer_begin(&w->p, "MESSAGE", w->b.udp, NULL, NULL);
	side_wait_log(&w->b, "MESSAGE ");
	assert_field(&w->b, SIP_FIELD_BODY, NULL);
	assert_field(&w->b, SIP_FIELD_CONTENT_TYPE, NULL);
	assert_field(&w->b, SIP_FIELD_CONTACT, NULL);
	assert_field(&w->b, SIP_FIELD_USER_AGENT, NULL);
	/* nobody answers it: 500 */
	sip_request_unref(w->b.kept);
	w->b.kept = NULL;
	peer_expect(&w->p, "SIP/2.0 500 ");
}

/* Nothing for the request, for its repetitions, or when its time is over; but 100 for an INVITE. */
static void test_dropped(void **state)
{
	static const char *const methods[] = {"MESSAGE", "INVITE"};
	struct world *w = *state;
	char text[1024], log[64];

	w->b.keep = true;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const char *m = methods[i];
		int n = snprintf(text, sizeof(text),
		    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK-drop-%s\r\n"
		    "From: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\nCall-ID: drop-%s\r\nCSeq: 1 %s\r\n"
		    "Contact: <%s>\r\nContent-Length: 0\r\n\r\n",
		    m, w->b.udp, w->p.uri + strlen("sip:"), m, m, m, w->p.uri);

		w->b.log[0] = '\0';
		snprintf(log, sizeof(log), "%s ", m);
		peer_send(&w->p, w->b.udp, text, (size_t)n);
		side_wait_log(&w->b, log);
		assert_int_equal(sip_request_drop(w->b.kept), 0);
		assert_true(sip_request_answered(w->b.kept));
		assert_int_equal(sip_request_drop(w->b.kept), -EEXIST);
		assert_int_equal(sip_request_reply(w->b.kept, 200, ABSENT, ABSENT), -EEXIST);
		sip_request_unref(w->b.kept);
		w->b.kept = NULL;
		for (int again = 0; again < 3; again++) {
			if (strcmp(m, "INVITE") == 0)
				peer_expect(&w->p, "SIP/2.0 100 ");
			peer_expect_none(&w->p, "SIP/2.0 ", 300);
			if (again < 2)
				peer_send(&w->p, w->b.udp, text, (size_t)n);
		}
		peer_expect_none(&w->p, "SIP/2.0 ", 2 * SIDE_TRANSACTION_MS);
		assert_string_equal(w->b.log, log);
	}
	/* those still held when the stack goes are not answered either */
	w->b.log[0] = '\0';
	peer_begin(&w->p, "INVITE", w->b.udp, NULL, NULL);
	side_wait_log(&w->b, "INVITE ");
	sip_request_drop(w->b.kept);
	sip_request_unref(w->b.kept);
	w->b.kept = NULL;
	peer_expect(&w->p, "SIP/2.0 100 ");
	side_close(&w->b);
	memset(&w->b, 0, sizeof(w->b));
	side_open(&w->b, w->base);
	peer_expect_none(&w->p, "SIP/2.0 ", 300);
}

/* What could end the answer's head early is refused. */
static void test_reply_headers_refused(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	peer_begin(&w->p, "MESSAGE", w->b.udp, NULL, NULL);
	side_wait_log(&w->b, "MESSAGE ");
	assert_int_equal(sip_request_reply(w->b.kept, 200, ABSENT, SLICE("X: 1\r\n\r\nbody")),
	    -EINVAL);
	assert_int_equal(sip_request_reply(w->b.kept, 200, SLICE("O\r\nX: 1"), ABSENT), 0);
	peer_expect(&w->p, "SIP/2.0 200 OK\r\n");
}

static void test_retransmission(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	peer_begin(&w->p, "MESSAGE", w->b.udp, NULL, NULL);
	side_wait_log(&w->b, "MESSAGE ");
	w->p.cseq--;
	peer_begin(&w->p, "MESSAGE", w->b.udp, NULL, NULL);
	peer_expect_none(&w->p, "SIP/2.0 ", 50);
	sip_request_reply(w->b.kept, 200, ABSENT, ABSENT);
	peer_expect(&w->p, "SIP/2.0 200 ");
	w->p.cseq--;
	peer_begin(&w->p, "MESSAGE", w->b.udp, NULL, NULL);
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_string_equal(w->b.log, "MESSAGE ");
}

/* --- out --- */

static void test_send(void **state)
{
	static const char body[] = "a\0b\r\n\r\nc\xff";
	struct world *w = *state;
	struct page_message m = message_to(w->b.udp, NULL);

	m.body = (struct slice){body, sizeof(body) - 1};
	m.headers = SLICE("X-One: 1\r\nSubject: two\r\n");
	w->b.keep = true;
	assert_int_equal(page_send(w->a.page, &m, on_result, w), 0);
	side_wait_log(&w->b, "MESSAGE ");
	assert_field(&w->b, SIP_FIELD_RURI, w->b.udp);
	assert_field(&w->b, SIP_FIELD_FROM_URI, "sip:alice@a.example");
	assert_field(&w->b, SIP_FIELD_TO_URI, "sip:bob@b.example");
	assert_field(&w->b, SIP_FIELD_CONTENT_TYPE, "text/plain;charset=utf-8");
	assert_field(&w->b, SIP_FIELD_CONTACT, NULL); /* RFC 3428 section 4 */
	assert_header(&w->b, "X-One", "1");
	assert_header(&w->b, "Subject", "two");
	assert_true(slice_equal(sip_request_field(w->b.kept, SIP_FIELD_BODY), m.body));
	assert_int_equal(w->done, 0);
	sip_request_reply(w->b.kept, 202, SLICE("Later"), ABSENT);
	wait_result(w, 202, true);
	assert_string_equal(w->reason, "Later");
}

static void test_send_without_content(void **state)
{
	struct world *w = *state;
	struct page_message m = {.ruri = slice_of(w->b.udp),
	    .from_uri = SLICE("sip:a@a"),
	    .to_uri = SLICE("sip:b@b")};

	w->b.keep = true;
	assert_int_equal(page_send(w->a.page, &m, NULL, NULL), 0);
	side_wait_log(&w->b, "MESSAGE ");
	assert_field(&w->b, SIP_FIELD_BODY, NULL);
	assert_field(&w->b, SIP_FIELD_CONTENT_TYPE, NULL);
	sip_request_reply(w->b.kept, 200, ABSENT, ABSENT);
	side_wait_number(&w->a, "replies_in_2xx", 1);
}

static void test_results(void **state)
{
	static const int codes[] = {200, 202, 404, 480, 500, 603};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		w->b.refuse = codes[i];
		assert_int_equal(send_text(w, w->b.udp, "hello"), 0);
		wait_result(w, codes[i], true);
	}
	assert_int_equal(send_text(w, "sip:127.0.0.1:9;transport=tcp", "hello"), 0);
	wait_result(w, 503, false);
	assert_int_equal(send_text(w, "sip:127.0.0.1:9;transport=udp", "hello"), 0);
	wait_result(w, 503, false);
	/* a proxy's own 408 and 503 are answers */
	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	peer_expect(&w->p, "MESSAGE ");
	peer_answer(&w->p, "408 Request Timeout", NULL, NULL);
	wait_result(w, 408, true);
	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	peer_expect(&w->p, "MESSAGE ");
	peer_answer(&w->p, "503 Busy", "Retry-After: 1\r\n", NULL);
	wait_result(w, 503, true);
	/* silence is none */
	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	wait_result(w, 408, false);
}

static void test_not_sendable(void **state)
{
	static const char *const uris[] = {"", "bob", "sip:", "mailto:x@y", "sip:bob@h>\r\nX: y",
	    "sip:bob@h x", "<sip:bob@h>", "tel:", "sip:b@h\"", "im:bob@", "im:", "http://h/",
	    "urn:service:", "urn:isbn:0"};
	static const char *const for_proxies[] = {"tel:+1", "im:bob@h", "pres:bob@h",
	    "urn:service:sos"};
	struct world *w = *state;
	struct page_message m;

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++)
		if (send_text(w, uris[i], "hello") != -EINVAL)
			fail_msg("%s", uris[i]);
	for (size_t i = 0; i < sizeof(for_proxies) / sizeof(for_proxies[0]); i++)
		if (send_text(w, for_proxies[i], "hello") != -EDESTADDRREQ)
			fail_msg("%s", for_proxies[i]);
	m = message_to(w->b.udp, "hello");
	m.headers = SLICE("X: 1\r\n\r\nX: 2\r\n");
	assert_int_equal(page_send(w->a.page, &m, on_result, w), -EINVAL);
	m = message_to(w->b.udp, "hello");
	m.from_uri = SLICE("sip:a@h>;tag=x");
	assert_int_equal(page_send(w->a.page, &m, on_result, w), -EINVAL);
	assert_int_equal(send_text(w, "sip:[::1]:5060", "hello"), -ENETUNREACH);
	loop_settle(w->base);
	assert_int_equal(w->done, 0);
}

/* RFC 3428 8: above 1300 bytes never over UDP */
static void test_large(void **state)
{
	struct world *w = *state;
	char body[2000], either[96];
	struct page_message m;

	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	w->b.keep = true;
	snprintf(either, sizeof(either), "%.*s", (int)strcspn(w->b.udp, ";"), w->b.udp);
	assert_int_equal(send_text(w, either, body), 0);
	side_wait_log(&w->b, "MESSAGE ");
	assert_field(&w->b, SIP_FIELD_PROTO, "tcp");
	sip_request_reply(w->b.kept, 200, ABSENT, ABSENT);
	wait_result(w, 200, true);
	assert_int_equal(send_text(w, either, "short"), 0);
	side_wait_log(&w->b, "MESSAGE MESSAGE ");
	assert_field(&w->b, SIP_FIELD_PROTO, "udp");
	sip_request_reply(w->b.kept, 200, ABSENT, ABSENT);
	wait_result(w, 200, true);
	assert_int_equal(send_text(w, w->b.udp, body), -EMSGSIZE);
	/* somebody who has UDP alone does not get it that way */
	snprintf(either, sizeof(either), "%.*s", (int)strcspn(w->p.uri, ";"), w->p.uri);
	assert_int_equal(send_text(w, either, body), 0);
	peer_expect_none(&w->p, "MESSAGE ", 200);
	wait_result(w, 413, false);
	m = message_to(either, body);
	m.large = PAGE_LARGE_UDP;
	assert_int_equal(page_send(w->a.page, &m, on_result, w), 0);
	peer_expect(&w->p, "MESSAGE ");
	assert_true(peer_has(&w->p, body));
	peer_answer(&w->p, "200 OK", NULL, NULL);
	wait_result(w, 200, true);
	m = message_to(w->b.tcp, body);
	m.large = PAGE_LARGE_REFUSE;
	assert_int_equal(page_send(w->a.page, &m, on_result, w), -EMSGSIZE);
}

/* Every size around the limit: what goes over UDP has 1300 bytes at most. */
static void test_limit(void **state)
{
	struct world *w = *state;
	char body[1300], ruri[64];

	memset(body, 'x', sizeof(body));
	snprintf(ruri, sizeof(ruri), "%s", w->p.uri);
	for (size_t len = 600; len < sizeof(body); len += 10) {
		struct page_message m = message_to(ruri, NULL);

		m.body = (struct slice){body, len};
		m.large = PAGE_LARGE_REFUSE;
		if (page_send(w->a.page, &m, on_result, w) == -EMSGSIZE) {
			assert_true(len > 700); /* and it is not wildly too careful */
			break;
		}
		peer_expect(&w->p, "MESSAGE ");
		assert_true(strlen(w->p.got) <= 1300);
		peer_answer(&w->p, "200 OK", NULL, NULL);
		wait_result(w, 200, true);
	}
}

static void test_challenge(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	peer_expect(&w->p, "MESSAGE ");
	peer_answer(&w->p, "401 Unauthorized",
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", opaque=\"o\"\r\n", NULL);
	peer_expect(&w->p, "MESSAGE ");
	assert_true(peer_has(&w->p, "CSeq: 2 MESSAGE\r\n"));
	assert_true(peer_has(&w->p, "hello"));
	assert_true(peer_has(&w->p, "opaque=\"o\""));
	assert_true(peer_digest_ok(&w->p, "MD5", "s3cret"));
	peer_answer(&w->p, "200 OK", NULL, NULL);
	wait_result(w, 200, true);
	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	for (int i = 0; i < 2; i++) {
		peer_expect(&w->p, "MESSAGE ");
		peer_answer(&w->p, "407 Proxy Authentication Required",
		    "Proxy-Authenticate: Digest realm=\"example.org\", nonce=\"n\"\r\n", NULL);
	}
	wait_result(w, 407, true);
}

static void test_redirect(void **state)
{
	struct world *w = *state;
	char contact[128];

	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	peer_expect(&w->p, "MESSAGE ");
	snprintf(contact, sizeof(contact), "Contact: <%s>\r\n", w->b.udp);
	peer_answer(&w->p, "302 Moved", contact, NULL);
	side_wait_log(&w->b, "MESSAGE ");
	wait_result(w, 200, true);
}

/* --- who is registered --- */

static int find_bob(struct sip_place *place, struct slice uri, struct page_waiter *waiter,
    void *arg)
{
	struct world *w = arg;

	(void)waiter;
	w->asked++;
	if (!slice_equal(uri, SLICE("sip:bob@b.example")))
		return 0;
	*place = (struct sip_place){slice_of(w->b.tcp), NULL, {NULL, 0}};
	return 1;
}

static void test_finder(void **state)
{
	struct world *w = *state;
	char elsewhere[128];

	page_set_finder(w->a.page, find_bob, w);
	assert_int_equal(send_text(w, "sip:bob@b.example", "hello"), 0);
	wait_result(w, 200, true);
	side_wait_log(&w->b, "MESSAGE ");
	assert_int_equal(w->asked, 1);

	/* Nobody is there: it goes where the URI leads. */
	assert_int_equal(send_text(w, "sip:carol@127.0.0.1", "hello"), 0);
	assert_int_equal(w->asked, 2);
	loop_until(w->base, is_done, w);
	w->done = 0;

	/* A port is somebody's own. */
	snprintf(elsewhere, sizeof(elsewhere), "%s", w->b.udp);
	assert_int_equal(send_text(w, elsewhere, "hello"), 0);
	wait_result(w, 200, true);
	assert_int_equal(w->asked, 2);

	page_set_finder(w->a.page, NULL, NULL);
	assert_int_equal(send_text(w, w->b.udp, "hello"), 0);
	wait_result(w, 200, true);
}

/* --- many --- */

static bool all_done(void *arg)
{
	struct world *w = arg;

	return side_number(&w->b, "messages_in") == 3000 && w->done == 3000;
}

static void test_burst(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3000; i++)
		assert_int_equal(send_text(w, w->b.tcp, "hello"), 0);
	assert_int_equal(side_number(&w->a, "requests_waiting"), 3000 - 800);
	loop_until(w->base, all_done, w);
	assert_int_equal(side_number(&w->a, "replies_in_2xx"), 3000);
	assert_int_equal(side_number(&w->a, "requests_waiting"), 0);
}

static void test_bounds(void **state)
{
	struct world *w = *state;
	int sent = 0, err;

	while ((err = send_text(w, w->p.uri, "hello")) == 0)
		sent++;
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(sent, 800 + 4096);
	/* another destination does not suffer */
	assert_int_equal(send_text(w, w->b.udp, "hello"), 0);
	wait_result(w, 200, true);
}

/* --- stopping --- */

static void on_stopped(void *arg)
{
	((struct world *)arg)->stopped = true;
}

static bool is_stopped(void *arg)
{
	return ((struct world *)arg)->stopped;
}

static void test_stop(void **state)
{
	struct world *w = *state;

	/* what is under way is waited for */
	assert_int_equal(send_text(w, w->p.uri, "hello"), 0);
	peer_expect(&w->p, "MESSAGE ");
	sip_stack_stop(w->a.stack, on_stopped, w);
	peer_begin(&w->p, "MESSAGE", w->a.udp, NULL, NULL);
	peer_expect(&w->p, "SIP/2.0 503 ");
	assert_false(w->stopped);
	peer_expect(&w->p, "MESSAGE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	loop_until(w->base, is_stopped, w);
	assert_int_equal(w->done, 1);
	assert_string_equal(w->a.log, "");
}

static void on_stopped_free(void *arg)
{
	struct world *w = arg;

	sip_stack_free(w->a.stack);
	w->a.stack = NULL;
	w->stopped = true;
}

static void test_stop_under_load(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2000; i++)
		assert_int_equal(send_text(w, i % 2 ? w->b.tcp : w->b.udp, "hello"), 0);
	side_call(&w->a, w->b.udp, "offer");
	loop_settle(w->base);
	notifier_free(w->a.notifier);
	w->a.notifier = NULL;
	page_free(w->a.page);
	w->a.page = NULL;
	side_let_go(&w->a);
	sip_stack_stop(w->a.stack, on_stopped_free, w);
	loop_until(w->base, is_stopped, w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_foreign_schemes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_content, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_dropped, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reply_headers_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_retransmission, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_send, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_send_without_content, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_not_sendable, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_challenge, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_redirect, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_finder, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_burst, set_up_patient, tear_down),
	    cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_stop_under_load, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
