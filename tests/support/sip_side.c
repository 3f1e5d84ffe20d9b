#include "sip_side.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "base/stats.h"
#include "net/net.h"
#include "loop.h"
#include "numbers.h"

void side_note(struct side *s, const char *format, ...)
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

void side_let_go(struct side *s)
{
	sip_dialog_free(s->d, ABSENT);
	s->d = NULL;
}

/* --- handlers --- */

static void on_offer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct side *s = arg;

	see_sdp(s, sdp);
	side_note(s, "%s ", sdp.p ? "offer" : "ask");
	if (s->free_in_offer)
		side_let_go(s);
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
	side_note(s, "%s ", sdp.p ? "answer" : "no-answer");
	if (s->free_in_answer)
		side_let_go(s);
}

static void on_established(struct sip_dialog *d, void *arg)
{
	struct side *s = arg;

	(void)d;
	side_note(s, "established ");
	if (s->free_in_established)
		side_let_go(s);
}

static void see_failure(struct side *s, const char *what, const struct sip_failure *f)
{
	side_note(s, "%s:%d%s ", what, f->code, f->from_peer ? "" : "(local)");
	snprintf(s->reason, sizeof(s->reason), "%.*s", SLICE_ARG(f->why.p ? f->why : f->reason));
}

static void on_failed(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	struct side *s = arg;

	(void)d;
	see_failure(s, "failed", f);
	if (s->free_in_over)
		side_let_go(s);
}

static void on_refused(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	(void)d;
	see_failure(arg, "refused", f);
}

static void on_idle(struct sip_dialog *d, void *arg)
{
	(void)d;
	side_note(arg, "idle ");
}

static void on_request(struct sip_request *req, void *arg);

static void on_message(struct sip_dialog *d, struct sip_request *req, void *arg)
{
	(void)d;
	on_request(req, arg);
}

static void on_ended(struct sip_dialog *d, const struct sip_failure *f, void *arg)
{
	struct side *s = arg;

	(void)d;
	see_failure(s, "ended", f);
	if (s->free_in_over)
		side_let_go(s);
}

static const struct sip_dialog_handler dialog_handler = {
    .offer = on_offer,
    .answer = on_answer,
    .established = on_established,
    .failed = on_failed,
    .refused = on_refused,
    .idle = on_idle,
    .message = on_message,
    .ended = on_ended,
};

static void on_request(struct sip_request *req, void *arg)
{
	struct side *s = arg;
	struct slice sdp, method = sip_request_field(req, SIP_FIELD_METHOD);

	side_note(s, "%.*s ", SLICE_ARG(method));
	if (s->keep) {
		if (s->kept)
			sip_request_unref(s->kept);
		s->kept = sip_request_ref(req);
		return;
	}
	if (!slice_equal(method, SLICE("INVITE")) || !s->answer) {
		sip_request_reply(req, s->refuse ? s->refuse : 200, ABSENT, ABSENT);
		return;
	}
	if (sip_request_sdp(req, &sdp) < 0)
		return;
	see_sdp(s, sdp);
	assert_int_equal(sip_dialog_accept(&s->d, req, &dialog_handler, s), 0);
	assert_int_equal(sip_dialog_set_contact(s->d, slice_of(s->contact)), 0);
	if (s->refuse)
		sip_dialog_refuse(s->d, s->refuse, ABSENT, ABSENT);
	else
		sip_dialog_answer(s->d, slice_of(s->answer));
}

static const struct sip_stack_handler stack_handler = {
    .request = on_request,
};

/* --- waiting --- */

struct wish {
	struct side *side;
	const char *text;
	uint64_t value;
};

static bool has_log(void *arg)
{
	const struct wish *w = arg;

	return strcmp(w->side->log, w->text) == 0;
}

void side_wait_log(struct side *s, const char *expected)
{
	struct wish wish = {s, expected, 0};
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	/* not loop_until(): what is there instead says more */
	while (!has_log(&wish) && timer_now_ms() < deadline) {
		event_base_loopexit(s->base, &(struct timeval){0, 20000});
		event_base_loop(s->base, EVLOOP_ONCE);
	}
	assert_string_equal(s->log, expected);
}

uint64_t side_number(struct side *s, const char *name)
{
	return number_of(s->stats, "sip", name);
}

static bool has_number(void *arg)
{
	const struct wish *w = arg;

	return side_number(w->side, w->text) == w->value;
}

void side_wait_number(struct side *s, const char *name, uint64_t value)
{
	struct wish wish = {s, name, value};

	loop_until(s->base, has_number, &wish);
}

/* --- life --- */

static void learn_uri(const char *uri, void *arg)
{
	struct side *s = arg;

	snprintf(strstr(uri, "=tcp") ? s->tcp : s->udp, sizeof(s->udp), "%s", uri);
}

void side_set_edge(struct edge_settings *s)
{
	if (s->max_connections)
		return;
	s->max_message_size = 65536;
	s->max_headers = 128;
	s->max_header_size = 8192;
	s->message_timeout_ms = 10000;
	s->idle_timeout_ms = 600000;
	s->max_connections = 1000;
	s->transaction_memory = 16 << 20;
}

void side_open(struct side *s, struct event_base *base)
{
	static char *listen[] = {"sip:127.0.0.1:0"};
	struct sip_stack_options options = {.settings = &s->settings,
	    .credentials = &s->credential,
	    .credential_count = s->credential.realm ? 1 : 0,
	    .handler = &stack_handler,
	    .arg = s};
	struct reason why = {""};

	s->base = base;
	if (!s->settings.listen.count)
		s->settings.listen = (struct setting_list){listen, 1};
	if (!s->settings.transaction_timeout)
		s->settings.transaction_timeout = SIDE_TRANSACTION_MS;
	side_set_edge(&s->settings.edge);
	assert_int_equal(stats_new(&s->stats), 0);
	assert_int_equal(net_new(&s->net, base), 0);
	options.stats = s->stats;
	options.net = s->net;
	if (sip_stack_new(&s->stack, &options, &why) < 0)
		fail_msg("%s", why.text);
	sip_stack_each_listener(s->stack, learn_uri, s);
	assert_int_equal(page_new(&s->page, s->stack), 0);
	assert_int_equal(notifier_new(&s->notifier, s->stack), 0);
}

void side_reload(struct side *s, const struct sip_settings *settings)
{
	struct reason why = {""};

	if (sip_stack_reload(s->stack, settings, NULL, 0, &why) < 0)
		fail_msg("%s", why.text);
}

void side_close(struct side *s)
{
	sip_dialog_free(s->d, ABSENT);
	if (s->kept)
		sip_request_unref(s->kept);
	notifier_free(s->notifier);
	page_free(s->page);
	sip_stack_free(s->stack);
	net_free(s->net);
	stats_free(s->stats);
}

/* --- acting --- */

void side_call(struct side *s, const char *ruri, const char *offer)
{
	struct sip_invite invite = {
	    .from_uri = SLICE("sip:alice@a.example"),
	    .to_uri = SLICE("sip:bob@b.example"),
	    .ruri = slice_of(ruri),
	    .sdp = slice_of(offer),
	    .contact = slice_of(s->contact),
	};
	size_t before = strlen(s->log);

	assert_int_equal(sip_dialog_invite(&s->d, s->stack, &invite, &dialog_handler, s), 0);
	assert_int_equal(strlen(s->log), before); /* no handler from inside the call */
}

int side_accept(struct side *s)
{
	return sip_dialog_accept(&s->d, s->kept, &dialog_handler, s);
}

static bool try_reinvite(void *arg)
{
	const struct wish *w = arg;
	int err = sip_dialog_reinvite(w->side->d, slice_of(w->text));

	assert_true(err == 0 || err == -EBUSY);
	return err == 0;
}

void side_reinvite(struct side *s, const char *sdp)
{
	struct wish wish = {s, sdp, 0};

	loop_until(s->base, try_reinvite, &wish);
	s->log[0] = '\0';
}
