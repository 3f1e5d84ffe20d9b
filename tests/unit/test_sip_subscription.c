/* Event notification, the notifier's side: RFC 6665. */
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
#include "sip/priv.h"
#include "sip_peer.h"
#include "sip_side.h"

enum { WATCHERS_MAX = 3, QUIET_MS = 150 };

struct world {
	struct event_base *base;
	struct side a;
	struct peer p;
	struct subscription *s; /* the latest */
	unsigned watchers, changes;
	unsigned answered;    /* NOTIFYs, 2xx */
	char notify_via[256]; /* of the last NOTIFY: it may come again */
	int refuse;           /* what subscribe() returns */
	int fail;             /* what body() returns */
	bool stopped;
};

static char realm[] = "example.org", user[] = "gw", password[] = "s3cret";

/* --- a package --- */

static int on_subscribe(struct subscription *s, struct sip_request *request, void **watcherp,
    void *arg)
{
	struct world *w = arg;
	struct slice ruri = sip_request_field(request, SIP_FIELD_RURI);

	side_note(&w->a, "subscribe ");
	assert_true(slice_equal(ruri, slice_of(w->a.udp)) || slice_equal(ruri, slice_of(w->a.tcp)));
	if (w->refuse)
		return w->refuse;
	w->watchers++;
	w->s = s;
	*watcherp = w;
	return 0;
}

static int on_body(struct subscription *s, bool full, char **bodyp, size_t *lenp, void *watcher)
{
	struct world *w = watcher;
	int n;

	(void)s;
	side_note(&w->a, "%s ", full ? "full" : "change");
	if (w->fail)
		return w->fail;
	n = asprintf(bodyp, "<%s n=\"%u\"/>", full ? "whole" : "part", w->changes);
	assert_true(n > 0);
	*lenp = (size_t)n;
	return 0;
}

static void on_ended(struct subscription *s, void *watcher)
{
	struct world *w = watcher;

	if (w->s == s)
		w->s = NULL;
	w->watchers--;
	side_note(&w->a, "ended ");
}

#define PACKAGE                                                                            \
	.event = "weather", .content_type = "application/weather+xml", .min_expires_s = 2, \
	.default_expires_s = 100, .max_expires_s = 200, .subscribe = on_subscribe,         \
	.body = on_body, .ended = on_ended

static const struct event_package weather = {PACKAGE};
static const struct event_package slow_weather = {PACKAGE, .interval_ms = 300};

static const struct event_package tides = {
    .event = "tides",
    .content_type = "text/plain",
    .min_expires_s = 60,
    .default_expires_s = 3600,
    .max_expires_s = 7200,
    .subscribe = on_subscribe,
    .body = on_body,
    .ended = on_ended,
};

/* --- the world --- */

static int set_up_with(void **state, const struct event_package *package)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	assert_non_null(w->base);
	w->a.settings.max_subscriptions = WATCHERS_MAX;
	w->a.credential = (struct sip_credential){realm, user, password, NULL};
	side_open(&w->a, w->base);
	peer_open(&w->p, w->base);
	if (package)
		assert_int_equal(notifier_offer(w->a.notifier, package, w), 0);
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, &weather);
}

static int set_up_slow(void **state)
{
	return set_up_with(state, &slow_weather);
}

static int set_up_nothing(void **state)
{
	return set_up_with(state, NULL);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	side_close(&w->a);
	peer_close(&w->p);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void expect_log(struct world *w, const char *expected)
{
	side_wait_log(&w->a, expected);
	w->a.log[0] = '\0';
}

static void expect_text(const struct peer *p, const char *text)
{
	if (!peer_has(p, text))
		fail_msg("no \"%s\" in:\n%s", text, p->got);
}

static void subscribe(struct world *w, const char *headers)
{
	peer_begin(&w->p, "SUBSCRIBE", w->a.udp, headers, NULL);
}

static void expect_refused(struct world *w, const char *headers, const char *status)
{
	char beginning[64];

	subscribe(w, headers);
	snprintf(beginning, sizeof(beginning), "SIP/2.0 %s", status);
	peer_expect(&w->p, "SIP/2.0 ");
	assert_int_equal(strncmp(w->p.got, beginning, strlen(beginning)), 0);
	assert_int_equal(side_number(&w->a, "subscriptions"), 0);
}

/* The 200; that Sofia may take a second off is of RFC 6665 4.2.1.1. */
static void expect_taken(struct world *w, unsigned long expires_s)
{
	const char *expires;
	unsigned long said;

	peer_expect(&w->p, "SIP/2.0 200 ");
	expires = strstr(w->p.got, "\r\nExpires: ");
	assert_non_null(expires);
	said = strtoul(expires + 11, NULL, 10);
	assert_true(said == expires_s || said + 1 == expires_s);
	expect_text(&w->p, "\r\nContact: <sip:127.0.0.1:");
	peer_keep_dialog(&w->p);
}

static bool is_repeated(struct world *w)
{
	const char *via = strstr(w->p.got, "\r\nVia: ");
	size_t len = strcspn(via + 2, "\r");

	if (strncmp(w->notify_via, via + 2, len) == 0)
		return true;
	snprintf(w->notify_via, sizeof(w->notify_via), "%.*s", (int)len, via + 2);
	return false;
}

static void expect_notify(struct world *w, const char *state, const char *body)
{
	do
		peer_expect(&w->p, "NOTIFY sip:127.0.0.1:");
	while (is_repeated(w));
	expect_text(&w->p, "\r\nSubscription-State: ");
	expect_text(&w->p, state);
	expect_text(&w->p, "\r\nMax-Forwards: ");
	expect_text(&w->p, "\r\nContact: <sip:127.0.0.1:");
	if (body)
		expect_text(&w->p, "\r\nContent-Type: application/weather+xml\r\n");
	else
		expect_text(&w->p, "\r\nContent-Length: 0\r\n");
	expect_text(&w->p, body ? body : "\r\n\r\n");
}

static void answer(struct world *w, const char *status)
{
	peer_answer(&w->p, status, NULL, NULL);
	w->answered += status[0] == '2';
}

static void settle(struct world *w)
{
	side_wait_number(&w->a, "replies_in_2xx", w->answered);
}

/* Nothing happens on our side, whatever is repeated. */
static void expect_quiet(struct world *w)
{
	uint64_t sent = side_number(&w->a, "notifies_out");

	peer_expect_none(&w->p, "nothing", QUIET_MS);
	assert_string_equal(w->a.log, "");
	assert_int_equal(side_number(&w->a, "notifies_out"), sent);
}

/* A subscription whose first NOTIFY is answered. */
static void begin(struct world *w)
{
	subscribe(w, "Event: weather\r\n");
	expect_taken(w, 100);
	expect_notify(w, "active;expires=", "<whole n=\"0\"/>");
	expect_text(&w->p, "\r\nEvent: weather\r\n");
	answer(w, "200 OK");
	expect_log(w, "subscribe full ");
	settle(w);
}

static void change(struct world *w)
{
	w->changes++;
	subscription_changed(w->s);
	assert_string_equal(w->a.log, "");
}

static void expect_over(struct world *w)
{
	side_wait_number(&w->a, "subscriptions", 0);
	assert_int_equal(w->watchers, 0);
	peer_expect_none(&w->p, "NOTIFY", QUIET_MS);
	assert_string_equal(w->a.log, "");
}

/* --- what is refused --- */

static void test_nothing_offered(void **state)
{
	struct world *w = *state;

	expect_refused(w, "Event: weather\r\n", "405 ");
	assert_int_equal(notifier_offer(w->a.notifier, &weather, w), 0);
	assert_int_equal(notifier_offer(w->a.notifier, &slow_weather, w), -EEXIST);
	begin(w);
	notifier_withdraw(w->a.notifier, &slow_weather); /* not the one */
	notifier_withdraw(w->a.notifier, &weather);
	w->watchers = 0;
	expect_notify(w, "terminated;reason=deactivated\r\n", NULL);
	answer(w, "200 OK");
	expect_over(w);
	notifier_withdraw(w->a.notifier, &weather);
	expect_refused(w, "Event: weather\r\n", "405 ");
}

/* RFC 6665 4.2.1.1, 4.2.3, 4.4.4 */
static void test_refused(void **state)
{
	static const struct {
		const char *headers, *status, *header;
	} cases[] = {
	    {"Event: presence\r\n", "489 ", "\r\nAllow-Events: tides, weather\r\n"},
	    {"Event: weather.winfo\r\n", "489 ", "\r\nAllow-Events: tides, weather\r\n"},
	    {"", "489 ", "\r\nAllow-Events: tides, weather\r\n"},
	    {"Event: weather\r\nExpires: 1\r\n", "423 ", "\r\nMin-Expires: 2\r\n"},
	    {"Event: tides\r\nExpires: 59\r\n", "423 ", "\r\nMin-Expires: 60\r\n"},
	    {"Event: weather\r\nAccept: text/plain, application/weather\r\n", "406 ", ""},
	    {"Event: weather\r\nAccept: application/weather+xml;q=0, text/*\r\n", "406 ", ""},
	    {"Event: weather\r\nAccept:\r\n", "406 ", ""},
	    {"Event: weather\r\nRequire: eventlist\r\n", "420 ", "\r\nUnsupported: eventlist\r\n"},
	};
	struct world *w = *state;
	char long_id[512];

	assert_int_equal(notifier_offer(w->a.notifier, &tides, w), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expect_refused(w, cases[i].headers, cases[i].status);
		expect_text(&w->p, cases[i].header);
	}
	snprintf(long_id, sizeof(long_id), "Event: weather;id=%0300d\r\n", 7);
	expect_refused(w, long_id, "400 ");
	assert_string_equal(w->a.log, "");
	w->refuse = 404;
	expect_refused(w, "Event: weather\r\n", "404 ");
	expect_log(w, "subscribe ");
	peer_expect_none(&w->p, "NOTIFY", QUIET_MS);
	/* and without a place to send NOTIFYs to */
	expect_refused(w, "Event: weather\r\nContact: <tel:1>\r\n", "400 ");
}

static void test_too_many(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WATCHERS_MAX; i++)
		begin(w);
	subscribe(w, "Event: weather\r\n");
	peer_expect(&w->p, "SIP/2.0 503 ");
	expect_text(&w->p, "\r\nRetry-After: ");
	assert_int_equal(side_number(&w->a, "subscriptions"), WATCHERS_MAX);
	assert_int_equal(side_number(&w->a, "subscribes_in"), WATCHERS_MAX + 1);
	subscription_end(w->s, SUBSCRIPTION_REJECTED, ABSENT);
	w->watchers--;
	expect_notify(w, "terminated;reason=rejected\r\n", NULL);
	answer(w, "200 OK");
	side_wait_number(&w->a, "subscriptions", WATCHERS_MAX - 1);
	begin(w);
}

/* --- the way of a subscription --- */

static void test_accepted_types(void **state)
{
	static const char *const accepts[] = {
	    "*/*",
	    "text/plain, application/*;q=0.5",
	    "Application/Weather+XML",
	};
	struct world *w = *state;
	char headers[128];

	for (size_t i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++) {
		snprintf(headers, sizeof(headers), "Event: weather\r\nAccept: %s\r\n", accepts[i]);
		subscribe(w, headers);
		expect_taken(w, 100);
		expect_notify(w, "active;expires=", "<whole n=\"0\"/>");
		answer(w, "200 OK");
		settle(w);
	}
}

static void test_changes(void **state)
{
	struct world *w = *state;

	begin(w);
	change(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"2\"/>");
	expect_log(w, "change ");
	/* one under way at a time, whatever happens meanwhile */
	change(w);
	change(w);
	expect_quiet(w);
	answer(w, "200 OK");
	expect_notify(w, "active;expires=", "<part n=\"4\"/>");
	answer(w, "202 Accepted");
	expect_log(w, "change ");
	settle(w);
	expect_quiet(w);
	/* a body that cannot be made */
	w->fail = -ENOMEM;
	change(w);
	expect_notify(w, "active;expires=", NULL);
	answer(w, "200 OK");
}

static void test_interval(void **state)
{
	struct world *w = *state;

	begin(w);
	change(w);
	expect_quiet(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"2\"/>");
	answer(w, "200 OK");
	expect_log(w, "change ");
	settle(w);
	/* a refresh need not wait */
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\n", NULL);
	expect_taken(w, 100);
	expect_notify(w, "active;expires=", "<whole n=\"2\"/>");
	answer(w, "200 OK");
}

/* RFC 6665 4.2.1.4 */
static void test_refreshed(void **state)
{
	struct world *w = *state;

	begin(w);
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\nExpires: 7000\r\n", NULL);
	expect_taken(w, 200);
	expect_notify(w, "active;expires=200\r\n", "<whole n=\"0\"/>");
	answer(w, "200 OK");
	expect_log(w, "full ");
	settle(w);
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\nExpires: 1\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 423 ");
	expect_text(&w->p, "\r\nMin-Expires: 2\r\n");
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\nAccept: text/plain\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 406 ");
	/* it is what it was before these */
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	answer(w, "200 OK");
	expect_log(w, "change ");
	settle(w);
	/* while a NOTIFY is under way: the state follows it */
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"2\"/>");
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\n", NULL);
	expect_taken(w, 100);
	answer(w, "200 OK");
	expect_notify(w, "active;expires=", "<whole n=\"2\"/>");
	answer(w, "200 OK");
	expect_log(w, "change full ");
	settle(w);
	expect_quiet(w);
}

static void test_expired(void **state)
{
	struct world *w = *state;

	subscribe(w, "Event: weather;id=7a\r\nExpires: 2\r\n");
	expect_taken(w, 2);
	expect_notify(w, "active;expires=2\r\n", "<whole n=\"0\"/>");
	expect_text(&w->p, "\r\nEvent: weather;id=7a\r\n");
	answer(w, "200 OK");
	settle(w);
	expect_notify(w, "terminated;reason=timeout\r\n", "<whole n=\"0\"/>");
	expect_text(&w->p, "\r\nEvent: weather;id=7a\r\n");
	expect_log(w, "subscribe full full ended ");
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather;id=7a\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 481 ");
	answer(w, "200 OK");
	expect_over(w);
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather;id=7a\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 481 ");
}

static void test_given_up(void **state)
{
	struct world *w = *state;

	begin(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\nExpires: 0\r\n", NULL);
	expect_taken(w, 0);
	assert_int_equal(w->watchers, 1);
	answer(w, "200 OK");
	expect_notify(w, "terminated;reason=timeout\r\n", "<whole n=\"1\"/>");
	expect_log(w, "change full ended ");
	answer(w, "200 OK");
	expect_over(w);
}

/* RFC 6665 4.4.3 */
static void test_fetched(void **state)
{
	struct world *w = *state;

	subscribe(w, "Event: weather\r\nExpires: 0\r\n");
	expect_taken(w, 0);
	expect_notify(w, "terminated;reason=timeout\r\n", "<whole n=\"0\"/>");
	expect_log(w, "subscribe full ended ");
	answer(w, "200 OK");
	expect_over(w);
}

static void test_ended_by_us(void **state)
{
	struct world *w = *state;

	begin(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	subscription_end(w->s, SUBSCRIPTION_NORESOURCE, SLICE("<gone/>"));
	w->watchers--;
	expect_log(w, "change ");
	answer(w, "200 OK");
	expect_notify(w, "terminated;reason=noresource\r\n", "<gone/>");
	answer(w, "200 OK");
	expect_over(w);
	assert_string_equal(w->a.log, "");
}

/* A dialog that goes by way of a proxy. */
static void test_routes(void **state)
{
	struct world *w = *state;
	char headers[256], route[128];
	int n = (int)strcspn(w->p.uri, ";");

	snprintf(headers, sizeof(headers),
	    "Event: weather\r\nRecord-Route: <%.*s;lr;x=1>\r\nContact: <sip:me@192.0.2.1>\r\n", n,
	    w->p.uri);
	subscribe(w, headers);
	peer_expect(&w->p, "SIP/2.0 200 ");
	peer_expect(&w->p, "NOTIFY sip:me@192.0.2.1");
	snprintf(route, sizeof(route), "\r\nRoute: <%.*s;lr;x=1>\r\n", n, w->p.uri);
	expect_text(&w->p, route);
}

/* --- what the peer answers --- */

/* RFC 6665 4.2.2: these end it, and no further NOTIFY follows. */
static void test_notify_refused(void **state)
{
	static const char *const fatal[] = {"404 N", "405 N", "408 N", "410 N", "416 N", "480 N",
	    "481 N", "482 N", "483 N", "484 N", "485 N", "489 N", "501 N", "502 N", "604 N"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		w->changes = 0;
		begin(w);
		change(w);
		expect_notify(w, "active;expires=", "<part n=");
		answer(w, fatal[i]);
		expect_log(w, "change ended ");
		expect_over(w);
	}
}

/* Others say nothing of the subscription, but the peer has missed something. */
static void test_notify_lost(void **state)
{
	static const char *const passing[] = {"500 N", "400 N", "503 N", "302 N", "600 N"};
	struct world *w = *state;

	begin(w);
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		unsigned class = (unsigned)(passing[i][0] - '0');
		char name[32];

		change(w);
		expect_notify(w, "active;expires=", "<part n=");
		expect_log(w, "change ");
		snprintf(name, sizeof(name), "replies_in_%uxx", class);
		answer(w, passing[i]);
		side_wait_number(&w->a, name, passing[i][0] == '5' && i > 0 ? 2 : 1);
		expect_quiet(w);
		change(w);
		expect_notify(w, "active;expires=", "<whole n=");
		answer(w, "200 OK");
		expect_log(w, "full ");
		settle(w);
	}
}

/* RFC 6665 4.2.2: timer F */
static void test_notify_not_answered(void **state)
{
	struct world *w = *state;

	subscribe(w, "Event: weather\r\n");
	expect_taken(w, 100);
	expect_log(w, "subscribe full ");
	change(w);
	expect_log(w, "ended ");
	assert_int_equal(side_number(&w->a, "timeouts"), 1);
	side_wait_number(&w->a, "subscriptions", 0);
}

static void test_notify_challenged(void **state)
{
	static const char challenge[] =
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n1\", algorithm=SHA-256\r\n";
	struct world *w = *state;

	begin(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	peer_answer(&w->p, "401 Unauthorized", challenge, NULL);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	assert_true(peer_digest_ok(&w->p, "SHA256", "s3cret"));
	expect_log(w, "change ");
	/* it was right: but not twice in a row */
	peer_answer(&w->p, "401 Unauthorized", challenge, NULL);
	side_wait_number(&w->a, "replies_in_4xx", 2);
	expect_quiet(w);
	/* the last one as well, and by a proxy */
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\nExpires: 0\r\n", NULL);
	expect_taken(w, 0);
	expect_notify(w, "terminated;reason=timeout\r\n", "<whole n=\"1\"/>");
	peer_answer(&w->p, "407 Proxy",
	    "Proxy-Authenticate: Digest realm=\"example.org\", nonce=\"n2\"\r\n", NULL);
	expect_notify(w, "terminated;reason=timeout\r\n", "<whole n=\"1\"/>");
	assert_true(peer_has(&w->p, "\r\nProxy-Authorization: "));
	expect_log(w, "full ended ");
	answer(w, "200 OK");
	expect_over(w);
}

/* --- one dialog, one purpose: RFC 6665 4.5.2 --- */

static void test_dialog_is_not_shared(void **state)
{
	static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n";
	struct world *w = *state;

	begin(w);
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather;id=2\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 405 Dialog Sharing");
	peer_request(&w->p, "MESSAGE", 0, "Content-Type: text/plain\r\n", "hello");
	peer_expect(&w->p, "SIP/2.0 405 ");
	peer_request(&w->p, "INVITE", 0, NULL, sdp);
	peer_expect(&w->p, "SIP/2.0 405 ");
	peer_request(&w->p, "REFER", 0, "Refer-To: <sip:x@y>\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 405 ");
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	answer(w, "200 OK");
	expect_log(w, "change ");
	settle(w);
	subscription_end(w->s, SUBSCRIPTION_NORESOURCE, ABSENT);
	w->watchers--;
	expect_notify(w, "terminated;reason=noresource\r\n", NULL);
	answer(w, "200 OK");
	expect_over(w);
}

static void test_not_within_a_session(void **state)
{
	static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n";
	struct world *w = *state;

	w->a.answer = sdp;
	peer_begin(&w->p, "INVITE", w->a.udp, NULL, sdp);
	peer_expect(&w->p, "SIP/2.0 200 ");
	peer_ack(&w->p, NULL);
	expect_log(w, "INVITE established ");
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 405 Dialog Sharing");
	peer_request(&w->p, "REFER", 0, "Refer-To: <sip:x@y>\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 405 Dialog Sharing");
	assert_int_equal(side_number(&w->a, "subscriptions"), 0);
	/* the session is as it was, and ends by BYE alone */
	side_let_go(&w->a);
	peer_expect_none(&w->p, "NOTIFY", QUIET_MS);
	peer_request(&w->p, "SUBSCRIBE", 0, "Event: weather\r\n", NULL);
	peer_expect(&w->p, "SIP/2.0 481 ");
	assert_int_equal(strncmp(w->p.request, "BYE ", 4), 0);
	answer(w, "200 OK");
	side_wait_number(&w->a, "dialogs", 0);
	peer_expect_none(&w->p, "NOTIFY", QUIET_MS);
}

/* --- the end of all --- */

static void on_stopped(void *arg)
{
	((struct world *)arg)->stopped = true;
}

static bool is_stopped(void *arg)
{
	return ((struct world *)arg)->stopped;
}

static void test_stopped(void **state)
{
	struct world *w = *state;

	begin(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	expect_log(w, "change ");
	sip_stack_stop(w->a.stack, on_stopped, w);
	assert_string_equal(w->a.log, "");
	subscribe(w, "Event: weather\r\n");
	peer_expect(&w->p, "SIP/2.0 503 ");
	assert_false(w->stopped);
	answer(w, "200 OK");
	expect_notify(w, "terminated;reason=probation\r\n", "<whole n=\"1\"/>");
	expect_log(w, "full ended ");
	assert_false(w->stopped);
	answer(w, "200 OK");
	loop_until(w->base, is_stopped, w);
	assert_int_equal(side_number(&w->a, "subscriptions"), 0);
}

/* Freed as they are: with a NOTIFY under way, with none, with the last one. */
static void test_freed(void **state)
{
	struct world *w = *state;

	begin(w);
	begin(w);
	change(w);
	expect_notify(w, "active;expires=", "<part n=\"1\"/>");
	subscribe(w, "Event: weather\r\nExpires: 0\r\n");
	expect_taken(w, 0);
	assert_int_equal(side_number(&w->a, "subscriptions"), 3);
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_WITH(name, with) cmocka_unit_test_setup_teardown(name, with, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_WITH(test_nothing_offered, set_up_nothing),
	    TEST(test_refused),
	    TEST(test_too_many),
	    TEST(test_accepted_types),
	    TEST(test_changes),
	    TEST_WITH(test_interval, set_up_slow),
	    TEST(test_refreshed),
	    TEST(test_expired),
	    TEST(test_given_up),
	    TEST(test_fetched),
	    TEST(test_ended_by_us),
	    TEST(test_routes),
	    TEST(test_notify_refused),
	    TEST(test_notify_lost),
	    TEST(test_notify_not_answered),
	    TEST(test_notify_challenged),
	    TEST(test_dialog_is_not_shared),
	    TEST(test_not_within_a_session),
	    TEST(test_stopped),
	    TEST(test_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
