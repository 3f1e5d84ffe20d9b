/* Dialogs against a scripted peer, which does what another stack of ours would never do. */
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

#include "sip/priv.h"
#include "sip_peer.h"
#include "sip_side.h"

struct world {
	struct event_base *base;
	struct side a;
	struct peer p, q;
};

static char realm[] = "example.org", user[] = "gw", secret[] = "s3cret",
	    ha1[] = "ed6c51fc78c2c5668b0007dbde365d64";

static int open_world(void **state, bool with_ha1)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	assert_non_null(w->base);
	w->a.credential =
	    (struct sip_credential){realm, user, with_ha1 ? NULL : secret, with_ha1 ? ha1 : NULL};
	side_open(&w->a, w->base);
	peer_open(&w->p, w->base);
	peer_open(&w->q, w->base);
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	return open_world(state, false);
}

static int set_up_ha1(void **state)
{
	return open_world(state, true);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	side_close(&w->a);
	peer_close(&w->p);
	peer_close(&w->q);
	event_base_free(w->base);
	free(w);
	return 0;
}

/* We call the peer, and it answers. */
static void establish(struct world *w, const char *headers)
{
	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "offer-a"));
	peer_answer(&w->p, "200 OK", headers, "answer-p");
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer established ");
	w->a.log[0] = '\0';
}

/* The peer calls us. */
static void establish_in(struct world *w, const char *headers)
{
	w->a.answer = "answer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, headers, "offer-p");
	peer_expect(&w->p, "SIP/2.0 200 ");
	peer_ack(&w->p, NULL);
	side_wait_log(&w->a, "INVITE established ");
	w->a.log[0] = '\0';
}

/* --- outgoing INVITE --- */

static void test_no_answer(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	side_wait_log(&w->a, "failed:408(local) ");
	assert_int_equal(side_number(&w->a, "timeouts"), 1);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *status, *log;
	} cases[] = {
	    {"404 Not Found", "failed:404 "},
	    {"408 Request Timeout", "failed:408 "},
	    {"486 Busy Here", "failed:486 "},
	    {"503 Service Unavailable", "failed:503 "},
	    {"604 Nowhere", "failed:604 "},
	    {"699 Odd", "failed:699 "},
	    {"401 Unauthorized", "failed:401 "},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		side_call(&w->a, w->p.uri, "offer-a");
		peer_expect(&w->p, "INVITE ");
		peer_answer(&w->p, cases[i].status, NULL, NULL);
		peer_expect(&w->p, "ACK ");
		side_wait_log(&w->a, cases[i].log);
		side_let_go(&w->a);
		w->a.log[0] = '\0';
	}
	side_wait_number(&w->a, "dialogs", 0);
}

/* Both 2xx of a fork are acknowledged, the second is ended: RFC 3261 13.2.2.4, RFC 4975 8.8 */
static void test_fork(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "200 OK", NULL, "answer-1");
	snprintf(w->p.to_tag, sizeof(w->p.to_tag), "fork-tag");
	peer_answer(&w->p, "200 OK", NULL, "answer-2");
	peer_expect(&w->p, "BYE ");
	assert_true(peer_has(&w->p, "fork-tag"));
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_log(&w->a, "answer established ");
	assert_string_equal(w->a.sdp, "answer-1");
	/* the one that was kept lives */
	peer_expect_none(&w->p, "BYE ", 100);
	side_let_go(&w->a);
	peer_expect(&w->p, "BYE ");
	assert_true(peer_has(&w->p, "peer-tag"));
}

static void test_answer_without_sdp(void **state)
{
	struct world *w = *state;

	w->a.free_in_answer = true;
	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_log(&w->a, "no-answer ");
	side_wait_number(&w->a, "dialogs", 0);
}

static void test_late_offer_without_offer(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, NULL);
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "Content-Length: 0"));
	peer_answer(&w->p, "200 OK", NULL, NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_log(&w->a, "failed:488 ");
}

/* SDP as one part of many, here in the answer */
static void test_multipart_answer(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "200 OK", "Content-Type: multipart/mixed;boundary=b\r\n",
	    "--b\r\nContent-Type: text/xml\r\n\r\n<x/>\r\n--b\r\nContent-Type: "
	    "application/sdp\r\n\r\n"
	    "answer-p\r\n--b--\r\n");
	side_wait_log(&w->a, "answer established ");
	assert_string_equal(w->a.sdp, "answer-p");
}

static void test_provisional(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "100 Trying", NULL, NULL);
	peer_answer(&w->p, "180 Ringing", NULL, NULL);
	peer_answer(&w->p, "183 Session Progress", NULL, "early-answer");
	/* beyond the transaction's time: a phone may ring for long */
	peer_expect_none(&w->p, "CANCEL ", 2 * SIDE_TRANSACTION_MS);
	assert_string_equal(w->a.log, "");
	peer_answer(&w->p, "200 OK", NULL, "answer-p");
	side_wait_log(&w->a, "answer established ");
	assert_string_equal(w->a.sdp, "answer-p");
}

static void test_cancel(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	side_let_go(&w->a);
	/* RFC 3261 9.1: not before something was heard */
	peer_expect_none(&w->p, "CANCEL ", 100);
	peer_answer(&w->p, "180 Ringing", NULL, NULL);
	peer_expect(&w->p, "CANCEL ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_number(&w->a, "dialogs", 0);
	assert_string_equal(w->a.log, "");
}

/* The 200 is faster than our CANCEL: it is acknowledged and ended. */
static void test_cancel_too_late(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	side_let_go(&w->a);
	peer_answer(&w->p, "200 OK", NULL, "answer-p");
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_number(&w->a, "dialogs", 0);
	assert_string_equal(w->a.log, "");
}

/* --- redirects --- */

static void test_redirects(void **state)
{
	static const char *const codes[] = {"300 Choices", "301 Moved", "302 Moved",
	    "305 Use Proxy", "380 Other"};
	struct world *w = *state;
	char contact[256];

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(contact, sizeof(contact), "Contact: <%s?Subject=evil>\r\n", w->q.uri);
		side_call(&w->a, w->p.uri, "offer-a");
		peer_expect(&w->p, "INVITE ");
		peer_answer(&w->p, codes[i], contact, NULL);
		peer_expect(&w->p, "ACK ");
		peer_expect(&w->q, "INVITE ");
		assert_true(peer_has(&w->q, "offer-a"));
		assert_false(peer_has(&w->q, "evil"));
		peer_answer(&w->q, "200 OK", NULL, "answer-q");
		side_wait_log(&w->a, "answer established ");
		side_let_go(&w->a);
		peer_expect(&w->q, "BYE ");
		peer_answer(&w->q, "200 OK", NULL, NULL);
		side_wait_number(&w->a, "dialogs", 0);
		w->a.log[0] = '\0';
	}
}

static void test_redirect_to_several(void **state)
{
	struct world *w = *state;
	char contact[256];

	snprintf(contact, sizeof(contact),
	    "Contact: <%s>, <mailto:x@y>, <sip:127.0.0.1:9;transport=tcp>\r\n"
	    "Contact: <%s>\r\n",
	    w->p.uri, w->q.uri);
	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "302 Moved", contact, NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "404 Not Found", NULL, NULL);
	/* nobody at the second, so the third */
	peer_expect(&w->q, "INVITE ");
	peer_answer(&w->q, "200 OK", NULL, "answer-q");
	side_wait_log(&w->a, "answer established ");
}

static void test_redirect_loop(void **state)
{
	struct world *w = *state;
	char contact[128];
	int invites = 0;

	snprintf(contact, sizeof(contact), "Contact: <%s>\r\n", w->p.uri);
	side_call(&w->a, w->p.uri, "offer-a");
	while (w->a.log[0] == '\0') {
		peer_expect(&w->p, "INVITE ");
		invites++;
		peer_answer(&w->p, invites % 2 ? "301 Moved" : "302 Moved", contact, NULL);
		peer_expect(&w->p, "ACK ");
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		assert_true(invites <= 6);
	}
	assert_string_equal(w->a.log, invites % 2 ? "failed:301 " : "failed:302 ");
	assert_int_equal(invites, 6); /* and five targets */
}

/* --- challenges --- */

#define CHALLENGE(header, more) \
	header ": Digest realm=\"example.org\", nonce=\"n1\", qop=\"auth\"" more "\r\n"

static unsigned long cseq(const struct peer *p)
{
	return strtoul(strstr(p->got, "CSeq: ") + 6, NULL, 10);
}

/* With the password, and with its hash alone */
static void test_challenge(void **state)
{
	struct world *w = *state;
	unsigned long first;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	first = cseq(&w->p);
	peer_answer(&w->p, "407 Proxy Authentication Required", CHALLENGE("Proxy-Authenticate", ""),
	    NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "Proxy-Authorization: Digest"));
	assert_int_equal(cseq(&w->p), first + 1); /* RFC 3261 22.2 */
	assert_true(peer_digest_ok(&w->p, "MD5", secret));
	assert_true(peer_has(&w->p, "offer-a"));
	peer_answer(&w->p, "401 Unauthorized",
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n2\", stale=true, "
	    "qop=\"auth\"\r\n",
	    NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "nonce=\"n2\""));
	peer_answer(&w->p, "200 OK", NULL, "answer-p");
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer established ");
	/* the BYE too may be challenged */
	side_let_go(&w->a);
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "407 Proxy Authentication Required",
	    "Proxy-Authenticate: Digest realm=\"example.org\", nonce=\"n3\", stale=true, "
	    "qop=\"auth\"\r\n",
	    NULL);
	peer_expect(&w->p, "BYE ");
	assert_true(peer_has(&w->p, "nonce=\"n3\""));
	assert_true(peer_digest_ok(&w->p, "MD5", secret));
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_number(&w->a, "dialogs", 0);
}

static void test_challenge_sha256(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "401 Unauthorized",
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", qop=\"auth-int,auth\", "
	    "algorithm=SHA-256, opaque=\"\"\r\n"
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", qop=\"auth\"\r\n",
	    NULL);
	peer_expect(&w->p, "ACK ");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "algorithm=SHA-256"));
	assert_true(peer_digest_ok(&w->p, "SHA256", secret));
	peer_answer(&w->p, "200 OK", NULL, "answer-p");
	side_wait_log(&w->a, "answer established ");
	/* in the dialog as well, unasked, and again when the nonce is too old */
	side_reinvite(&w->a, "offer-a2");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "nc=00000002"));
	assert_true(peer_digest_ok(&w->p, "SHA256", secret));
	peer_answer(&w->p, "401 Unauthorized",
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n2\", qop=\"auth\", "
	    "algorithm=SHA-256\r\n",
	    NULL);
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "nonce=\"n2\""));
	assert_true(peer_has(&w->p, "offer-a2"));
	peer_answer(&w->p, "200 OK", NULL, "answer-p2");
	side_wait_log(&w->a, "answer ");
}

/* RFC 4028 7.2 */
static void test_session_interval_too_small(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	for (int i = 0; i < 2; i++) {
		peer_expect(&w->p, "INVITE ");
		assert_int_equal(peer_has(&w->p, "Session-Expires: 7200"), i);
		peer_answer(&w->p, "422 Session Interval Too Small", "Min-SE: 7200\r\n", NULL);
		peer_expect(&w->p, "ACK ");
	}
	side_wait_log(&w->a, "failed:422 ");
}

static void test_wrong_password(void **state)
{
	struct world *w = *state;

	side_call(&w->a, w->p.uri, "offer-a");
	for (int i = 0; i < 2; i++) {
		peer_expect(&w->p, "INVITE ");
		peer_answer(&w->p, "401 Unauthorized", CHALLENGE("WWW-Authenticate", ""), NULL);
		peer_expect(&w->p, "ACK ");
	}
	side_wait_log(&w->a, "failed:401 ");
	side_let_go(&w->a);
	peer_expect_none(&w->p, "INVITE ", 100);
}

static void test_challenges_we_cannot_answer(void **state)
{
	static const char *const challenges[] = {
	    "WWW-Authenticate: Digest realm=\"other.org\", nonce=\"n\", qop=\"auth\"\r\n",
	    ("WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", algorithm=MD5-sess, "
	     "qop=\"auth\"\r\n"),
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", qop=\"auth-int\"\r\n",
	    "WWW-Authenticate: Basic realm=\"example.org\"\r\n",
	    "WWW-Authenticate: Digest realm=\"example.org\"\r\n",
	    "",
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++) {
		side_call(&w->a, w->p.uri, "offer-a");
		peer_expect(&w->p, "INVITE ");
		peer_answer(&w->p, "401 Unauthorized", challenges[i], NULL);
		side_wait_log(&w->a, "failed:401 ");
		side_let_go(&w->a);
		w->a.log[0] = '\0';
	}
	side_wait_number(&w->a, "dialogs", 0);
}

/* --- within a dialog that we began --- */

static void test_update(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	w->a.answer = "answer-a";
	peer_request(&w->p, "UPDATE", 0, NULL, "offer-p");
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_true(peer_has(&w->p, "answer-a"));
	assert_true(peer_has(&w->p, "Contact: "));
	side_wait_log(&w->a, "offer ");
	assert_string_equal(w->a.sdp, "offer-p");
	/* without an offer it is a refresh, and no business of the owner's */
	peer_request(&w->p, "UPDATE", 0, NULL, NULL);
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_true(peer_has(&w->p, "Content-Length: 0"));
	w->a.refuse = 488;
	peer_request(&w->p, "UPDATE", 0, NULL, "offer-p2");
	peer_expect(&w->p, "SIP/2.0 488 ");
	side_wait_log(&w->a, "offer offer ");
	peer_request(&w->p, "UPDATE", 0, "Content-Type: text/plain\r\n", "hello");
	peer_expect(&w->p, "SIP/2.0 415 ");
	peer_request(&w->p, "INFO", 0, "Content-Type: text/plain\r\n", "hello");
	peer_expect(&w->p, "SIP/2.0 405 ");
}

#define WITHOUT_UPDATE "Allow: INVITE, ACK, BYE\r\nSession-Expires: "

/* RFC 4028: our offer waits for the answer to a refresh, which is none to it. */
static void test_own_refresh(void **state)
{
	struct world *w = *state;

	nua_set_params(w->a.stack->nua, NUTAG_MIN_SE(1), TAG_END());
	establish(w, WITHOUT_UPDATE "2;refresher=uac\r\n");
	peer_expect(&w->p, "INVITE ");
	assert_int_equal(sip_dialog_reinvite(w->a.d, SLICE("offer-a2")), -EBUSY);
	peer_answer(&w->p, "200 OK", WITHOUT_UPDATE "2;refresher=uac\r\n", "answer-p");
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer idle ");
	assert_string_equal(w->a.sdp, "answer-p");
	/* A refusal ends it as well. */
	peer_expect(&w->p, "INVITE ");
	assert_int_equal(sip_dialog_reinvite(w->a.d, SLICE("offer-a2")), -EBUSY);
	peer_answer(&w->p, "403 Forbidden", NULL, NULL);
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer idle idle ");
	side_reinvite(&w->a, "offer-a2");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "offer-a2"));
	peer_answer(&w->p, "200 OK", NULL, "answer-p2");
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer ");
	assert_string_equal(w->a.sdp, "answer-p2");
}

static void test_reinvite_answers(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	side_reinvite(&w->a, "offer-a2");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "403 Forbidden", NULL, NULL);
	side_wait_log(&w->a, "refused:403 ");
	side_reinvite(&w->a, "offer-a3");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "offer-a3"));
	peer_answer(&w->p, "491 Request Pending", NULL, NULL);
	/* 2.1 to 4 seconds: RFC 3261 14.1 */
	side_wait_log(&w->a, "idle ");
	side_reinvite(&w->a, "offer-a4");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "200 OK", NULL, "answer-p4");
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "answer ");
	assert_string_equal(w->a.sdp, "answer-p4");
	side_reinvite(&w->a, "offer-a5");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "481 Gone", NULL, NULL);
	peer_expect(&w->p, "ACK ");
	side_wait_log(&w->a, "ended:408(local) ");
	side_let_go(&w->a);
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_number(&w->a, "dialogs", 0);
}

static void test_reinvite_lost(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	side_reinvite(&w->a, "offer-a2");
	side_wait_log(&w->a, "ended:408(local) ");
	side_let_go(&w->a);
}

static void test_bye_with_open_reinvite(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	side_reinvite(&w->a, "offer-a2");
	peer_expect(&w->p, "INVITE ");
	peer_answer(&w->p, "180 Ringing", NULL, NULL);
	side_let_go(&w->a);
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	side_wait_number(&w->a, "dialogs", 0);
}

static void test_bye_unanswered(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	side_let_go(&w->a);
	side_wait_number(&w->a, "dialogs", 0);
}

static void test_message_in_dialog(void **state)
{
	struct world *w = *state;

	establish(w, NULL);
	peer_request(&w->p, "MESSAGE", 0, "Content-Type: text/plain\r\n", "hello");
	peer_expect(&w->p, "SIP/2.0 200 ");
	side_wait_log(&w->a, "MESSAGE ");
	/* answered when the dialog is no more: nothing happens, and nothing breaks */
	w->a.keep = true;
	peer_request(&w->p, "MESSAGE", 0, "Content-Type: text/plain\r\n", "hello");
	side_wait_log(&w->a, "MESSAGE MESSAGE ");
	peer_request(&w->p, "BYE", 0, NULL, NULL);
	side_wait_log(&w->a, "MESSAGE MESSAGE ended:200 ");
	side_let_go(&w->a);
	assert_int_equal(sip_request_reply(w->a.kept, 202, ABSENT, ABSENT), 0);
}

/* --- within a dialog that the peer began --- */

static void test_ack_never_comes(void **state)
{
	struct world *w = *state;

	w->a.answer = "answer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, NULL, "offer-p");
	peer_expect(&w->p, "SIP/2.0 200 ");
	side_wait_log(&w->a, "INVITE failed:408(local) ");
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
}

static void test_late_offer_in(void **state)
{
	struct world *w = *state;

	w->a.answer = "offer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, NULL, NULL);
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_true(peer_has(&w->p, "offer-a"));
	peer_ack(&w->p, "answer-p");
	side_wait_log(&w->a, "INVITE answer established ");
	assert_string_equal(w->a.sdp, "answer-p");
}

static void test_multipart_offer(void **state)
{
	struct world *w = *state;

	w->a.answer = "answer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, "Content-Type: multipart/mixed; boundary=\"b\"\r\n",
	    "--b\r\nContent-Type: application/sdp\r\n\r\noffer-p\r\n--b\r\nContent-Type: "
	    "text/xml\r\n\r\n<x/>"
	    "\r\n--b--\r\n");
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_string_equal(w->a.sdp, "offer-p");
	peer_ack(&w->p, NULL);
	side_wait_log(&w->a, "INVITE established ");
}

/*
 * Contact and Record-Route that lead nowhere: nothing can be sent there, and nothing comes of it.
 * The first is what our parsers write in the place of a URI that Sofia could not send to (see
 * test_sip_page.c); with such a URI itself it recurses until its stack is full.
 */
static void test_no_way_back(void **state)
{
	static const char *const uris[] = {"sip:unusable.invalid", "sip:a@unusable.invalid"};
	struct world *w = *state;
	char headers[128], text[2048];
	int n;

	w->a.answer = "answer-a";
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		snprintf(headers, sizeof(headers), "Record-Route: <%s>\r\n", uris[i]);
		peer_begin(&w->p, "INVITE", w->a.udp, headers, "offer-p");
		peer_expect(&w->p, "SIP/2.0 400 Bad Contact or Record-Route\r\n");
		snprintf(headers, sizeof(headers), "Contact: <%s>\r\n", uris[i]);
		side_call(&w->a, w->p.uri, "offer-a");
		peer_expect(&w->p, "INVITE ");
		peer_answer(&w->p, "200 OK", headers, "answer-p");
		side_wait_log(&w->a, "answer established ");
		side_let_go(&w->a);
		side_wait_number(&w->a, "dialogs", 0);
		w->a.log[0] = '\0';
		/* a good one at first, then an UPDATE takes the dialog elsewhere */
		establish_in(w, NULL);
		n = snprintf(text, sizeof(text),
		    "UPDATE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-away-%zu\r\n"
		    "From: %s\r\nTo: %s\r\n%sCSeq: %u UPDATE\r\n%sContent-Length: 0\r\n\r\n",
		    w->p.remote, w->p.uri + strlen("sip:"), i, w->p.ours, w->p.theirs, w->p.call_id,
		    ++w->p.cseq, headers);
		peer_send(&w->p, w->p.remote, text, (size_t)n);
		peer_expect(&w->p, "SIP/2.0 200 ");
		side_let_go(&w->a);
		side_wait_number(&w->a, "dialogs", 0);
		w->a.log[0] = '\0';
	}
}

static void test_reason_of_bye(void **state)
{
	struct world *w = *state;

	establish_in(w, NULL);
	peer_request(&w->p, "BYE", 0, "Reason: SIP;cause=480;text=\"Gone\"\r\n", NULL);
	side_wait_log(&w->a, "ended:200 ");
	assert_string_equal(w->a.reason, "SIP;cause=480;text=\"Gone\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_no_answer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_fork, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_answer_without_sdp, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_late_offer_without_offer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_multipart_answer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_provisional, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cancel_too_late, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_redirects, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_redirect_to_several, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_redirect_loop, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_challenge, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_challenge, set_up_ha1, tear_down),
	    cmocka_unit_test_setup_teardown(test_challenge_sha256, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_session_interval_too_small, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_wrong_password, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_challenges_we_cannot_answer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_update, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_own_refresh, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reinvite_answers, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reinvite_lost, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_bye_with_open_reinvite, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_bye_unanswered, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_message_in_dialog, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_ack_never_comes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_late_offer_in, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_multipart_offer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_way_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reason_of_bye, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
