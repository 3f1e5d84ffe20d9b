/* What rules and services read of a request: its fields and headers, as they came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/buffer.h>
#include <msrpd/flow.h>
#include <msrpd/sip_uri.h>

#include "sip/request_priv.h"
#include "sip_peer.h"
#include "sip_side.h"

struct world {
	struct event_base *base;
	struct side side;
	struct peer peer;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	assert_non_null(w->base);
	peer_open(&w->peer, w->base);
	w->side.keep = true;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	side_close(&w->side);
	peer_close(&w->peer);
	event_base_free(w->base);
	free(w);
	return 0;
}

/* @return the request, which is to be answered */
static struct sip_request *ask(struct world *w, const char *method, const char *uri,
    const char *headers, const char *body)
{
	char log[32];

	w->side.log[0] = '\0';
	snprintf(log, sizeof(log), "%s ", method);
	peer_begin(&w->peer, method, uri ? uri : w->side.udp, headers, body);
	side_wait_log(&w->side, log);
	return w->side.kept;
}

static void answer(struct world *w)
{
	assert_int_equal(sip_request_reply(w->side.kept, 200, ABSENT, ABSENT), 0);
	peer_expect(&w->peer, "SIP/2.0 200 ");
}

static void expect(struct slice got, const char *text)
{
	if (text ? !got.p || !slice_equal(got, slice_of(text)) : got.p != NULL)
		fail_msg("%s: %.*s", text ? text : "nothing", SLICE_ARG(got));
}

static void expect_field(const struct sip_request *req, enum sip_field field, const char *text)
{
	expect(sip_request_field(req, field), text);
}

static void expect_header(const struct sip_request *req, const char *name, const char *text)
{
	expect(sip_request_header(req, slice_of(name)), text);
}

/* --- cases --- */

static void test_fields(void **state)
{
	struct world *w = *state;
	struct sip_request *req;

	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL,
	    "Content-Type: text/plain ; charset=utf-8\r\nUser-Agent: phone/1\r\n", "hello");
	expect_field(req, SIP_FIELD_METHOD, "MESSAGE");
	expect_field(req, SIP_FIELD_RURI, w->side.udp);
	expect_field(req, SIP_FIELD_FROM, "sip:peer@p.example");
	expect_field(req, SIP_FIELD_FROM_URI, "sip:peer@p.example");
	expect_field(req, SIP_FIELD_TO_URI, "sip:msrpd@m.example");
	expect_field(req, SIP_FIELD_CSEQ, "101");
	expect_field(req, SIP_FIELD_USER_AGENT, "phone/1");
	expect_field(req, SIP_FIELD_CONTENT_TYPE, "text/plain;charset=utf-8");
	expect_field(req, SIP_FIELD_BODY, "hello");
	expect_field(req, SIP_FIELD_PROTO, "udp");
	expect_field(req, SIP_FIELD_SOURCE_ADDRESS, "127.0.0.1");
	expect_field(req, SIP_FIELD_CONTACT, NULL);
	expect_field(req, SIP_FIELD_AUTH_USER, NULL);
	assert_int_equal(sip_request_authorized(req, SLICE("alice"), SLICE("example.org")), 0);
	expect_field(req, SIP_FIELD_AUTH_USER, "alice");
	expect_field(req, SIP_FIELD_AUTH_REALM, "example.org");
	assert_int_equal(sip_request_authorized(req, SLICE("bob"), SLICE("b.example")), 0);
	expect_field(req, SIP_FIELD_AUTH_USER, "bob");
	answer(w);
}

static void test_target(void **state)
{
	struct world *w = *state;
	struct sip_place place = {.uri = SLICE("sip:b%6fb@h;x=y?a=b")};
	struct sip_request *req;

	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL, NULL, NULL);
	assert_int_equal(sip_request_set_target(req, &place), 0);
	expect_field(req, SIP_FIELD_RURI, "sip:bob@h;x=y");
	place.uri = SLICE("nowhere");
	assert_true(sip_request_set_target(req, &place) < 0);
	expect_field(req, SIP_FIELD_RURI, "sip:bob@h;x=y");
	answer(w);
}

/* Of users an escape stays that means something, as it was written. */
static void test_escapes(void **state)
{
	struct world *w = *state;
	struct sip_request *req;
	char uri[256];

	side_open(&w->side, w->base);
	snprintf(uri, sizeof(uri), "sip:%%61%%3bb@%s", strchr(w->side.udp, ':') + 1);
	req = ask(w, "MESSAGE", uri,
	    "Referred-By: <sip:%72%2fx@r.example>;cid=1\r\n"
	    "Contact: <sip:c%40d@[::1]:5070;ob?a=b>;q=0.5\r\n",
	    NULL);
	assert_true(
	    slice_starts_nocase(sip_request_field(req, SIP_FIELD_RURI), SLICE("sip:a%3Bb@")));
	expect_header(req, "Referred-By", "<sip:r%2Fx@r.example>;cid=1");
	expect(sip_request_contact(req, 0), "<sip:c%40d@[::1]:5070;ob>;q=0.5");
	expect(sip_request_contact(req, 1), NULL);
	answer(w);
}

static void test_contacts(void **state)
{
	struct world *w = *state;
	struct sip_request *req;

	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL,
	    "Contact: \"x\" <sip:a@h>, <tel:+1>\r\nm: sip:b@h;expires=5\r\n", NULL);
	expect(sip_request_contact(req, 0), "<sip:a@h>");
	expect(sip_request_contact(req, 1), "<>"); /* such a URI would lead nowhere */
	expect(sip_request_contact(req, 2), "<sip:b@h>;expires=5");
	expect(sip_request_contact(req, 3), NULL);
	answer(w);
	req = ask(w, "MESSAGE", NULL, "Contact: *\r\n", NULL);
	expect(sip_request_contact(req, 0), "*");
	answer(w);
}

static void test_headers(void **state)
{
	char *passed[] = {"X-Case", "Priority", "X-None"};
	struct world *w = *state;
	char text[256];
	struct buffer lines = BUFFER_ON(text);
	struct sip_request *req;

	w->side.settings.pass_headers = (struct setting_list){passed, 3};
	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL,
	    "X-Case: 1\r\nSupported: a\r\nPriority: urgent\r\nk: b\r\nx-case:  two \r\n", NULL);
	expect_header(req, "x-CASE", "1");
	expect(sip_request_header_at(req, SLICE("X-Case"), 1), "two");
	expect(sip_request_header_at(req, SLICE("X-Case"), 2), NULL);
	expect_header(req, "supported", "a, b");
	expect_header(req, "k", "a, b");
	expect_header(req, "", NULL);
	expect_header(req, "Subject", NULL);
	/* The sender's own, and not the one that we put on top. */
	assert_true(slice_starts_nocase(sip_request_header(req, SLICE("Via")),
	    SLICE("SIP/2.0/UDP 127.0.0.1:")));
	expect(sip_request_header_at(req, SLICE("Via"), 1), NULL);
	sip_request_add_passed(req, &lines);
	expect(buffer_text(&lines), "X-Case: 1\r\nX-Case: two\r\nPriority: urgent\r\n");
	answer(w);
}

static void test_damaged(void **state)
{
	struct world *w = *state;
	struct sip_request *req;

	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL, "Refer-To: <sip:\r\nPriority: x\r\n", NULL);
	assert_true(sip_request_is_damaged(req, SLICE("refer-to")));
	assert_false(sip_request_is_damaged(req, SLICE("Priority")));
	expect_header(req, "Refer-To", NULL);
	answer(w);
}

/* Some write a semicolon behind it. */
static void test_lenience(void **state)
{
	struct world *w = *state;
	struct sip_request *req;

	side_open(&w->side, w->base);
	req = ask(w, "MESSAGE", NULL, "Content-Type: text/plain; \r\n", "hello");
	expect_field(req, SIP_FIELD_CONTENT_TYPE, "text/plain");
	answer(w);
}

/* RFC 5031; and a caller who has a name. */
static void test_service_urn(void **state)
{
	static const char format[] =
	    "MESSAGE urn:service:sos SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-urn\r\n"
	    "From: Alice <sip:alice@h>;tag=1\r\nTo: \"Help\" <urn:service:sos>\r\n"
	    "Call-ID: urn\r\nCSeq: 7 MESSAGE\r\nContent-Length: 0\r\n\r\n";
	struct world *w = *state;
	char text[1024];
	int len;

	side_open(&w->side, w->base);
	len = snprintf(text, sizeof(text), format, w->peer.uri + 4);
	peer_send(&w->peer, w->side.udp, text, (size_t)len);
	side_wait_log(&w->side, "MESSAGE ");
	expect_field(w->side.kept, SIP_FIELD_RURI, "urn:service:sos");
	expect_field(w->side.kept, SIP_FIELD_FROM, "Alice <sip:alice@h>");
	expect_field(w->side.kept, SIP_FIELD_FROM_URI, "sip:alice@h");
	expect_field(w->side.kept, SIP_FIELD_TO, "\"Help\" <urn:service:sos>");
	expect_field(w->side.kept, SIP_FIELD_CSEQ, "7");
	answer(w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_fields),
	    TEST(test_target),
	    TEST(test_escapes),
	    TEST(test_contacts),
	    TEST(test_headers),
	    TEST(test_damaged),
	    TEST(test_lenience),
	    TEST(test_service_urn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
