/* Two stacks in one loop call each other over loopback. */
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

#include <msrpd/timer.h>

#include "base/stats.h"
#include "sip/dialog.h"
#include "sip/page.h"
#include "sip/request.h"
#include "sip/stack.h"

enum { DEADLINE_MS = 10000, TRANSACTION_MS = 1500 };

#define ABSENT ((struct slice){0})

struct world;

/* One user agent: what it does by itself, and what it saw. */
struct side {
	struct world		*world;
	struct sip_settings	settings;
	struct stats		*stats;
	struct sip_stack	*stack;
	struct page		*page;
	char			udp[96], tcp[96];
	struct sip_dialog	*d;
	struct sip_request	*kept;		/* to be answered by the test */
	const char		*answer;	/* SDP to answer a request or offer with */
	int			refuse;		/* or the status to refuse it with */
	bool			keep;		/* or leave it to the test */
	bool			free_in_answer, free_in_established, free_in_offer, free_in_over;
	char			log[2048];
	char			sdp[256];	/* the last one seen */
	char			reason[128];
};

struct world {
	struct event_base	*base;
	struct side		a, b;
};

static void note(struct side *s, const char *format, ...)
{
	size_t used = strlen(s->log);
	va_list args;

	va_start(args, format);
	vsnprintf(s->log + used, sizeof(s->log) - used, format, args);
	va_end(args);
}

static void see_sdp(struct side *s, struct slice sdp)
{
	snprintf(s->sdp, sizeof(s->sdp), "%.*s", SLICE_ARG(sdp));
}

static void let_go(struct side *s)
{
	sip_dialog_free(s->d, ABSENT);
	s->d = NULL;
}

static void on_offer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct side *s = arg;

	see_sdp(s, sdp);
	note(s, "%s ", sdp.p ? "offer" : "ask");
	if (s->free_in_offer)
		let_go(s);
	else if (s->refuse)
		assert_int_equal(sip_dialog_refuse(d, s->refuse, ABSENT, ABSENT), 0);
	else if (!s->keep)
		assert_int_equal(sip_dialog_answer(d, slice_of(s->answer)), 0);
}

static void on_answer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct side *s = arg;

	(void)d;
	see_sdp(s, sdp);
	note(s, "%s ", sdp.p ? "answer" : "no-answer");
	if (s->free_in_answer)
		let_go(s);
}

static void on_established(struct sip_dialog *d, void *arg)
{
	struct side *s = arg;

	(void)d;
	note(s, "established ");
	if (s->free_in_established)
		let_go(s);
}

static void see_failure(struct side *s, const char *what, const struct sip_failure *f)
{
	note(s, "%s:%d%s ", what, f->code, f->from_peer ? "" : "(local)");
	snprintf(s->reason, sizeof(s->reason), "%.*s", SLICE_ARG(f->reason));
}

static void on_failed(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	struct side *s = arg;

	(void)d;
	see_failure(s, "failed", f);
	if (s->free_in_over)
		let_go(s);
}

static void on_refused(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	(void)d;
	see_failure(arg, "refused", f);
}

static void on_idle(struct sip_dialog *d, void *arg)
{
	(void)d;
	note(arg, "idle ");
}

static void on_ended(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	struct side *s = arg;

	(void)d;
	see_failure(s, "ended", f);
	if (s->free_in_over)
		let_go(s);
}

static const struct sip_dialog_handler handler = {
	on_offer, on_answer, on_established, on_failed, on_refused, on_idle, on_ended,
};

static void on_request(struct sip_request *req, void *arg)
{
	struct side *s = arg;
	struct slice sdp, method = sip_request_field(req, SIP_FIELD_METHOD);

	note(s, "%.*s ", SLICE_ARG(method));
	if (s->keep) {
		s->kept = sip_request_ref(req);
		return;
	}
	if (!slice_equal(method, SLICE("INVITE")) || !s->answer) {
		sip_request_reply(req, s->refuse ? s->refuse : 200, ABSENT, ABSENT);
		return;
	}
	assert_int_equal(sip_request_sdp(req, &sdp), 0);
	see_sdp(s, sdp);
	assert_int_equal(sip_dialog_accept(&s->d, req, &handler, s), 0);
	if (s->refuse)
		sip_dialog_refuse(s->d, s->refuse, ABSENT, ABSENT);
	else
		sip_dialog_answer(s->d, slice_of(s->answer));
}

static const struct sip_stack_handler stack_handler = {on_request};

/* --- running the loop --- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void turn_once(struct world *w)
{
	event_base_once(w->base, -1, EV_TIMEOUT, on_tick, NULL, &(struct timeval){0, 2000});
	event_base_loop(w->base, EVLOOP_ONCE);
}

static void wait_log(struct side *s, const char *expected)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;

	while (strcmp(s->log, expected) != 0 && timer_now_ms() < deadline)
		turn_once(s->world);
	assert_string_equal(s->log, expected);
}

static uint64_t number(struct side *s, const char *name);

struct lookup {
	const char	*name;
	uint64_t	value;
};

static void look(const struct stats_item *item, void *arg)
{
	struct lookup *l = arg;

	if (strcmp(item->name, l->name) == 0)
		l->value = item->value;
}

static uint64_t number(struct side *s, const char *name)
{
	struct lookup l = {name, UINT64_MAX};

	stats_each(s->stats, look, &l);
	assert_true(l.value != UINT64_MAX);
	return l.value;
}

static void wait_number(struct side *s, const char *name, uint64_t value)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;

	while (number(s, name) != value && timer_now_ms() < deadline)
		turn_once(s->world);
	assert_int_equal(number(s, name), value);
}

/* --- set-up --- */

static void learn_uri(const char *uri, void *arg)
{
	struct side *s = arg;

	snprintf(strstr(uri, "=tcp") ? s->tcp : s->udp, sizeof(s->udp), "%s", uri);
}

static void open_side(struct world *w, struct side *s)
{
	static char *listen[] = {"sip:127.0.0.1:0"};
	struct sip_stack_options options = {.base = w->base, .settings = &s->settings,
	    .handler = &stack_handler, .arg = s};
	const char *why = "";

	s->world = w;
	s->settings.listen = (struct setting_list){listen, 1};
	s->settings.transaction_timeout = TRANSACTION_MS;
	assert_int_equal(stats_new(&s->stats), 0);
	options.stats = s->stats;
	if (sip_stack_new(&s->stack, &options, &why) < 0)
		fail_msg("%s", why);
	sip_stack_each_listener(s->stack, learn_uri, s);
	assert_int_equal(page_new(&s->page, s->stack), 0);
}

static void close_side(struct side *s)
{
	sip_dialog_free(s->d, ABSENT);
	if (s->kept)
		sip_request_unref(s->kept);
	page_free(s->page);
	sip_stack_free(s->stack);
	stats_free(s->stats);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	open_side(w, &w->a);
	open_side(w, &w->b);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	close_side(&w->a);
	close_side(&w->b);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void call(struct world *w, const char *offer)
{
	struct sip_invite invite = {SLICE("sip:alice@a.example"), SLICE("sip:bob@b.example"),
	    slice_of(w->b.udp), slice_of(offer)};

	assert_int_equal(sip_dialog_invite(&w->a.d, w->a.stack, &invite, &handler, &w->a), 0);
	assert_string_equal(w->a.log, "");
}

/* Both established. */
static void establish(struct world *w)
{
	w->b.answer = "answer-b";
	call(w, "offer-a");
	wait_log(&w->a, "answer established ");
	wait_log(&w->b, "INVITE established ");
	w->a.log[0] = w->b.log[0] = '\0';
}

static void test_call_and_bye(void **state)
{
	struct world *w = *state;

	w->b.answer = "answer-b";
	call(w, "offer-a");
	wait_log(&w->a, "answer established ");
	wait_log(&w->b, "INVITE established ");
	assert_string_equal(w->a.sdp, "answer-b");
	assert_string_equal(w->b.sdp, "offer-a");
	sip_dialog_free(w->a.d, SLICE("SIP;cause=200;text=\"done\""));
	w->a.d = NULL;
	wait_log(&w->b, "INVITE established ended:200 ");
	assert_string_equal(w->b.reason, "SIP;cause=200;text=\"done\"");
	wait_number(&w->a, "dialogs", 0);
}

static void test_bye_by_callee(void **state)
{
	struct world *w = *state;

	establish(w);
	let_go(&w->b);
	wait_log(&w->a, "ended:200 ");
	wait_number(&w->b, "dialogs", 0);
}

static void test_crossing_byes(void **state)
{
	struct world *w = *state;

	establish(w);
	let_go(&w->a);
	let_go(&w->b);
	wait_number(&w->a, "dialogs", 0);
	wait_number(&w->b, "dialogs", 0);
	assert_string_equal(w->a.log, "");
}

static void test_late_offer(void **state)
{
	struct world *w = *state;

	w->b.answer = "offer-b";
	w->a.answer = "answer-a";
	call(w, NULL);
	wait_log(&w->a, "offer established ");
	wait_log(&w->b, "INVITE answer established ");
	assert_string_equal(w->a.sdp, "offer-b");
	assert_string_equal(w->b.sdp, "answer-a");
	/* and again inside the dialog, the other way */
	w->a.log[0] = w->b.log[0] = '\0';
	assert_int_equal(sip_dialog_reinvite(w->b.d, ABSENT), 0);
	wait_log(&w->a, "ask answer ");
	wait_log(&w->b, "offer ");
}

/* As soon as the dialog is free for it. */
static void reinvite(struct side *s, const char *sdp)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;
	int err;

	while ((err = sip_dialog_reinvite(s->d, slice_of(sdp))) == -EBUSY && timer_now_ms() < deadline)
		turn_once(s->world);
	assert_int_equal(err, 0);
	s->log[0] = '\0';
}

static void test_reinvite(void **state)
{
	struct world *w = *state;

	establish(w);
	w->b.answer = "answer-b2";
	assert_int_equal(sip_dialog_reinvite(w->a.d, SLICE("offer-a2")), 0);
	wait_log(&w->a, "answer ");
	assert_string_equal(w->a.sdp, "answer-b2");
	assert_string_equal(w->b.sdp, "offer-a2");
	w->a.answer = "answer-a4";
	assert_int_equal(sip_dialog_reinvite(w->b.d, SLICE("offer-b4")), -EBUSY);	/* the ACK is under way */
	wait_log(&w->b, "offer idle ");
	assert_int_equal(sip_dialog_reinvite(w->b.d, SLICE("offer-b4")), 0);
	wait_log(&w->b, "offer idle answer ");
	assert_string_equal(w->b.sdp, "answer-a4");
	/* refused, the dialog lives on */
	w->b.refuse = 488;
	reinvite(&w->a, "offer-a5");
	wait_log(&w->a, "refused:488 ");
	w->b.refuse = 0;
	reinvite(&w->a, "offer-a6");
	wait_log(&w->a, "answer ");
}

static void test_glare(void **state)
{
	struct world *w = *state;

	establish(w);
	w->a.answer = "answer-a";
	assert_int_equal(sip_dialog_reinvite(w->a.d, SLICE("offer-a2")), 0);
	assert_int_equal(sip_dialog_reinvite(w->b.d, SLICE("offer-b2")), 0);
	/* the callee's turn comes first: RFC 3261 14.1 */
	wait_log(&w->b, "idle ");
	assert_int_equal(sip_dialog_reinvite(w->b.d, SLICE("offer-b2")), 0);
	wait_log(&w->b, "idle answer ");
	wait_log(&w->a, "offer idle ");
	assert_int_equal(sip_dialog_reinvite(w->a.d, SLICE("offer-a2")), 0);
	wait_log(&w->a, "offer idle answer ");
}

static void test_cancel(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	call(w, "offer-a");
	wait_log(&w->b, "INVITE ");
	assert_int_equal(sip_dialog_accept(&w->b.d, w->b.kept, &handler, &w->b), 0);
	assert_int_equal(sip_dialog_progress(w->b.d, 180, ABSENT), 0);
	let_go(&w->a);
	wait_log(&w->b, "INVITE failed:487 ");
	assert_int_equal(sip_dialog_answer(w->b.d, SLICE("answer-b")), -EPROTO);
	wait_number(&w->a, "dialogs", 0);
	assert_string_equal(w->a.log, "");
}

static void test_cancel_before_accept(void **state)
{
	struct world *w = *state;
	struct sip_dialog *d;

	w->b.keep = true;
	call(w, "offer-a");
	wait_log(&w->b, "INVITE ");
	let_go(&w->a);
	wait_number(&w->a, "dialogs", 0);
	assert_true(sip_request_answered(w->b.kept));
	assert_int_equal(sip_dialog_accept(&d, w->b.kept, &handler, &w->b), -EPIPE);
	assert_int_equal(sip_request_reply(w->b.kept, 200, ABSENT, ABSENT), -EEXIST);
}

static void test_cancel_at_once(void **state)
{
	struct world *w = *state;

	w->b.answer = "answer-b";
	call(w, "offer-a");
	let_go(&w->a);
	wait_number(&w->a, "dialogs", 0);
	assert_string_equal(w->a.log, "");
}

static void test_refused(void **state)
{
	static const int codes[] = {404, 486, 488, 503, 603};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct world *w = *state;
		char expected[32];

		w->b.log[0] = w->a.log[0] = '\0';
		w->b.answer = i % 2 ? "answer-b" : NULL;	/* by a dialog, or without one */
		w->b.refuse = codes[i];
		call(w, "offer-a");
		snprintf(expected, sizeof(expected), "failed:%d ", codes[i]);
		wait_log(&w->a, expected);
		let_go(&w->a);
		let_go(&w->b);
	}
}

static void test_callee_gives_up(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	call(w, "offer-a");
	wait_log(&w->b, "INVITE ");
	assert_int_equal(sip_dialog_accept(&w->b.d, w->b.kept, &handler, &w->b), 0);
	let_go(&w->b);
	wait_log(&w->a, "failed:480 ");
}

static void test_dropped_request(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	call(w, "offer-a");
	wait_log(&w->b, "INVITE ");
	sip_request_unref(w->b.kept);
	w->b.kept = NULL;
	wait_log(&w->a, "failed:500 ");
}

static void test_nobody_there(void **state)
{
	struct world *w = *state;

	snprintf(w->b.udp, sizeof(w->b.udp), "sip:127.0.0.1:9;transport=udp");
	call(w, "offer-a");
	wait_log(&w->a, "failed:503(local) ");
	let_go(&w->a);
	w->a.log[0] = '\0';
	snprintf(w->b.udp, sizeof(w->b.udp), "sip:127.0.0.1:9;transport=tcp");
	call(w, "offer-a");
	wait_log(&w->a, "failed:503(local) ");
}

static void test_freed_in_handlers(void **state)
{
	struct world *w = *state;

	w->b.answer = "answer-b";
	w->a.free_in_answer = true;
	call(w, "offer-a");
	wait_log(&w->a, "answer ");
	wait_log(&w->b, "INVITE established ended:200 ");
	let_go(&w->b);
	wait_number(&w->a, "dialogs", 0);
	w->a.log[0] = w->b.log[0] = '\0';

	w->a.free_in_answer = false;
	w->b.free_in_established = w->a.free_in_over = true;
	call(w, "offer-a");
	wait_log(&w->a, "answer established ended:200 ");
	wait_number(&w->b, "dialogs", 0);
	w->a.log[0] = w->b.log[0] = '\0';

	w->b.free_in_established = false;
	w->a.free_in_offer = true;
	call(w, NULL);
	wait_log(&w->a, "offer ");
	wait_log(&w->b, "INVITE no-answer established ended:200 ");
	let_go(&w->b);
	wait_number(&w->a, "dialogs", 0);
}

static void test_free_before_ack(void **state)
{
	struct world *w = *state;

	w->b.keep = true;
	call(w, "offer-a");
	wait_log(&w->b, "INVITE ");
	assert_int_equal(sip_dialog_accept(&w->b.d, w->b.kept, &handler, &w->b), 0);
	assert_int_equal(sip_dialog_answer(w->b.d, SLICE("answer-b")), 0);
	let_go(&w->b);
	wait_log(&w->a, "answer established ended:200 ");
	wait_number(&w->b, "dialogs", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call_and_bye, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bye_by_callee, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crossing_byes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late_offer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reinvite, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_glare, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_before_accept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_callee_gives_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dropped_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freed_in_handlers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_free_before_ack, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
