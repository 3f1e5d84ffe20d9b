#include "ua_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "base/stats.h"
#include "loop.h"
#include "numbers.h"
#include "sip_side.h"
#include "msrp/listener.h"
#include "net/net.h"
#include "settings.h"
#include "sip/notifier.h"
#include "sip/request.h"

enum { QUIET_MS = 150, SIP_MS = 1500, SUBSCRIPTIONS = 16 };

static void note(struct host *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct host *h, const char *format, ...)
{
	size_t used = strlen(h->log);
	va_list args;

	va_start(args, format);
	vsnprintf(h->log + used, sizeof(h->log) - used, format, args);
	va_end(args);
}

static void end_if(struct host *h, struct ua_session *s, const char *where)
{
	if (!h->end_in || strcmp(h->end_in, where) != 0)
		return;
	ua_end(s);
	h->s = NULL;
}

/* --- the handler --- */

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct host *h = arg;

	if (notice->what == UA_ESTABLISHED) {
		h->s = s;
		note(h, "new:%.*s ", SLICE_ARG(notice->accept_types));
		end_if(h, s, "new");
		return;
	}
	/* Gone already: what is ended again, or found, is not there. */
	assert_null(ua_find(h->ua, slice_of(ua_session_id(s))));
	ua_end(s);
	if (notice->what == UA_FAILED)
		note(h, "failed:%d%s ", notice->code, notice->from_peer ? "" : "(local)");
	else
		note(h, "end:%s ", ua_end_name(notice->end));
	if (h->s == s)
		h->s = NULL;
}

static int on_message(struct ua_session *s, const struct message *m, void *arg)
{
	struct host *h = arg;

	note(h, "msg:%.*s:%.*s ", SLICE_ARG(m->content_type), SLICE_ARG(m->body));
	end_if(h, s, "msg");
	return h->verdict;
}

static int on_begin(struct ua_session *s, const struct message *m, void **streamp, void *arg)
{
	struct host *h = arg;

	(void)s;
	note(h, "begin:%.*s ", SLICE_ARG(m->content_type));
	h->streamed = 0;
	*streamp = h;
	return h->verdict;
}

static int on_piece(struct ua_session *s, void *stream, struct slice piece, void *arg)
{
	struct host *h = arg;

	(void)s;
	assert_ptr_equal(stream, h);
	h->streamed += piece.len;
	return 0;
}

static int on_end(struct ua_session *s, void *stream, int err, void *arg)
{
	struct host *h = arg;

	assert_ptr_equal(stream, h);
	note(h, "whole:%d:%zu ", err, h->streamed);
	end_if(h, s, "msg");
	return 0;
}

static void on_report(struct ua_session *s, const struct message_report *r, void *arg)
{
	struct host *h = arg;

	note(h, "report:%03u %03d:%u-%u/%u ", r->namespace, r->code, (unsigned)r->range.start,
	    (unsigned)r->range.end, (unsigned)r->range.total);
	end_if(h, s, "report");
}

static int on_nickname(struct ua_session *s, struct slice nickname, void *arg)
{
	struct host *h = arg;

	note(h, "nickname:%.*s ", SLICE_ARG(nickname));
	end_if(h, s, "nickname");
	return 425;
}

static const struct ua_handler whole = {
    .name = "whole",
    .notify = on_notify,
    .message = on_message,
    .nickname = on_nickname,
    .report = on_report,
};

static const struct ua_handler stream = {
    .name = "stream",
    .notify = on_notify,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_end,
    .report = on_report,
};

static struct ua_offer offer_of(struct host *h, const char *types)
{
	return (struct ua_offer){
	    .accept_types = slice_of(types),
	    .handler = h->streams ? &stream : &whole,
	    .arg = h,
	    .attributes = slice_of(h->attributes),
	    .peer_attribute = h->peer_attribute,
	};
}

static void on_request(struct sip_request *req, void *arg)
{
	struct host *h = arg;
	struct ua_offer offer = offer_of(h, h->accepts);
	struct route_subject subject = {.request = req};
	const struct arg none[4] = {0}; /* of those that may be left out */

	if (h->service)
		h->service->actions[0].run(&subject, none, h->service_state);
	else if (!h->accepts)
		sip_request_reply(req, 404, SLICE("Not Found"), (struct slice){NULL, 0});
	else if (ua_answer(h->ua, req, &offer, &h->s) < 0)
		note(h, "refused ");
}

static const struct sip_stack_handler sip_handler = {
    .request = on_request,
};

/* --- life --- */

static void learn_uri(const char *uri, void *arg)
{
	struct host *h = arg;

	if (!strstr(uri, "=tcp"))
		snprintf(h->uri, sizeof(h->uri), "%s", uri);
}

static void read_presets(void *settings, const struct setting *rows)
{
	struct tree_fault *nowhere = NULL;

	assert_int_equal(settings_read(settings, rows, NULL, nowhere), 0);
}

static void open_msrp(struct host *h)
{
	struct reason why = {""};

	assert_int_equal(net_new(&h->net, h->base), 0);
	read_presets(&h->msrp_settings, msrp_settings_rows);
	h->listen.uri = (char *)"msrp://127.0.0.1:0;tcp";
	h->msrp_settings.listen = (struct setting_list){&h->listen, 1};
	if (msrp_stack_new(&h->msrp, h->net, &h->msrp_settings, h->stats, &why) < 0
	    || msrp_listeners_open(h->msrp, &why) < 0)
		fail_msg("%s", why.text);
}

static void open_sip(struct host *h)
{
	static char *listen[] = {(char *)"sip:127.0.0.1:0"};
	struct sip_stack_options options = {.net = h->net,
	    .stats = h->stats,
	    .settings = &h->sip_settings,
	    .handler = &sip_handler,
	    .arg = h};
	struct reason why = {""};

	side_set_edge(&h->sip_settings.edge);
	h->sip_settings.listen = (struct setting_list){listen, 1};
	if (h->sip_settings.transaction_timeout == 0)
		h->sip_settings.transaction_timeout = SIP_MS;
	h->sip_settings.max_subscriptions = SUBSCRIPTIONS;
	if (sip_stack_new(&h->sip, &options, &why) < 0)
		fail_msg("%s", why.text);
	sip_stack_each_listener(h->sip, learn_uri, h);
	assert_int_equal(notifier_new(&h->notifier, h->sip), 0);
}

void host_open(struct host *h, struct event_base *base)
{
	struct ua_settings set = h->ua_settings;
	struct ua_env env = {.base = base};
	struct reason why = {""};

	h->base = base;
	assert_int_equal(stats_new(&h->stats), 0);
	open_msrp(h);
	open_sip(h);
	read_presets(&h->ua_settings, ua_settings_rows);
	if (set.max_duration_ms)
		h->ua_settings.max_duration_ms = set.max_duration_ms;
	if (set.cleanup_interval_ms)
		h->ua_settings.cleanup_interval_ms = set.cleanup_interval_ms;
	if (set.reconnect_grace_ms)
		h->ua_settings.reconnect_grace_ms = set.reconnect_grace_ms;
	if (set.max_queued_bytes)
		h->ua_settings.max_queued_bytes = set.max_queued_bytes;
	env.stats = h->stats;
	env.msrp = h->msrp;
	env.sip = h->sip;
	env.settings = &h->ua_settings;
	if (ua_new(&h->ua, &env, &why) < 0)
		fail_msg("%s", why.text);
}

void host_close(struct host *h)
{
	ua_halt(h->ua);
	ua_free(h->ua);
	notifier_free(h->notifier);
	sip_stack_free(h->sip);
	msrp_stack_free(h->msrp);
	net_free(h->net);
	stats_free(h->stats);
	settings_clear(&h->ua_settings, ua_settings_rows);
	h->msrp_settings.listen = (struct setting_list){NULL, 0};
	settings_clear(&h->msrp_settings, msrp_settings_rows);
}

/* --- acting --- */

int host_call(struct host *h, const struct host *to, const char *types)
{
	struct ua_offer offer = offer_of(h, types);
	size_t before = strlen(h->log);
	int err = ua_start(h->ua, &offer, SLICE("sip:alice@a.example"), SLICE("sip:bob@b.example"),
	    slice_of(to->uri), &h->s);

	assert_int_equal(strlen(h->log), before); /* no handler from inside the call */
	if (err == 0)
		snprintf(h->id, sizeof(h->id), "%s", ua_session_id(h->s));
	return err;
}

void host_connect(struct host *h, struct host *to, const char *types)
{
	char expected[512];

	assert_int_equal(host_call(h, to, types), 0);
	snprintf(expected, sizeof(expected), "new:%s ", to->accepts);
	host_wait(h, expected);
	snprintf(expected, sizeof(expected), "new:%s ", types);
	host_wait(to, expected);
}

int host_send(struct host *h, const char *type, const char *text, char *message_id)
{
	struct message_out message = {
	    .content_type = slice_of(type),
	    .body = {.bytes = slice_of(text)},
	    .success_report = true,
	};

	return ua_send(h->s, &message, 0, message_id);
}

void host_wait(struct host *h, const char *expected)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (strcmp(h->log, expected) != 0 && timer_now_ms() < deadline) {
		event_base_loopexit(h->base, &(struct timeval){0, 10000});
		event_base_loop(h->base, EVLOOP_ONCE);
	}
	assert_string_equal(h->log, expected);
	h->log[0] = '\0';
}

void host_wait_either(struct host *h, const char *one, const char *other)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (
	    strcmp(h->log, one) != 0 && strcmp(h->log, other) != 0 && timer_now_ms() < deadline) {
		event_base_loopexit(h->base, &(struct timeval){0, 10000});
		event_base_loop(h->base, EVLOOP_ONCE);
	}
	if (strcmp(h->log, other) != 0)
		assert_string_equal(h->log, one);
	h->log[0] = '\0';
}

void host_quiet(struct host *h)
{
	uint64_t end = timer_now_ms() + QUIET_MS;

	while (timer_now_ms() < end) {
		event_base_loopexit(h->base, &(struct timeval){0, 10000});
		event_base_loop(h->base, EVLOOP_ONCE);
	}
}

uint64_t host_number(const struct host *h, const char *group, const char *name)
{
	return number_of(h->stats, group, name);
}
