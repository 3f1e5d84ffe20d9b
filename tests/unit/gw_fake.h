/*
 * The gateway with nobody around it: a UA, a page and SIP requests that do what the test
 * says and note what they are told.  Included by the tests of src/gw, and by each once: these
 * functions take the place of those of src/ua and src/sip.
 */
#pragma once

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

#include <msrpd/told.h>

#include "base/stats.h"
#include "event/bus.h"
#include "gw/gw.h"
#include "gw/priv.h"

#define ABSENT ((struct slice){NULL, 0})

enum { FAKES_MAX = 32, FIELDS = SIP_FIELD_BODY + 1 };

struct sip_request {
	unsigned refs;
	struct slice fields[FIELDS];
	struct slice cseq;
	int code, answers;
	char headers[512];
};

struct ua_session {
	char id[16];
	bool gone, wrapped;
	const char *accepts;
	const struct ua_handler *handler;
	void *arg;
	int send_result;
	unsigned sent; /* messages */
	char last_body[512], last_type[64], last_id[UA_MESSAGE_ID_SIZE];
	bool last_success_report;
	int report_code;
	unsigned reports;
	char report_phrase[64];
};

struct world {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct event_subscriber subscriber;
	struct gw_settings settings;
	struct gw *gw;
	struct ua_session sessions[FAKES_MAX];
	size_t session_count;
	int start_result, answer_result;
	int page_result;
	struct {
		void (*done)(const struct page_result *result, void *arg);
		void *arg;
		char body[256], ruri[64], headers[256];
	} pages[FAKES_MAX]; /* under way */
	size_t page_count;
	char events[1024]; /* "NAME reason;" */
};

static struct world *the_world; /* what fakes without an argument work on */

/* --- requests --- */

struct sip_request *sip_request_ref(struct sip_request *req)
{
	req->refs++;
	return req;
}

void sip_request_unref(struct sip_request *req)
{
	assert_true(req->refs > 0);
	req->refs--;
}

struct sip_flow *sip_request_flow_to(const struct sip_request *req, struct slice uri)
{
	(void)req;
	(void)uri;
	return NULL;
}

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	/* nobody has a display name */
	if (field == SIP_FIELD_FROM)
		field = SIP_FIELD_FROM_URI;
	if (field == SIP_FIELD_TO)
		field = SIP_FIELD_TO_URI;
	return req->fields[field];
}

struct slice sip_address_uri(struct slice address)
{
	return address;
}

struct slice sip_address_name(struct slice address)
{
	(void)address;
	return ABSENT;
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal_nocase(name, SLICE("CSeq")) ? req->cseq : ABSENT;
}

int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers)
{
	(void)reason;
	assert_true(req->refs > 0);
	if (req->code)
		return -EEXIST;
	req->code = code;
	req->answers++;
	snprintf(req->headers, sizeof(req->headers), "%.*s", SLICE_ARG(headers));
	return 0;
}

bool sip_request_answered(const struct sip_request *req)
{
	return req->code != 0;
}

static void request_init(struct sip_request *req, const char *method, const char *from,
    const char *to, const char *type, const char *body)
{
	*req = (struct sip_request){.refs = 1, .cseq = SLICE("1 MESSAGE")};
	req->fields[SIP_FIELD_METHOD] = slice_of(method);
	req->fields[SIP_FIELD_FROM_URI] = slice_of(from);
	req->fields[SIP_FIELD_TO_URI] = req->fields[SIP_FIELD_RURI] = slice_of(to);
	req->fields[SIP_FIELD_CONTENT_TYPE] = slice_of(type);
	req->fields[SIP_FIELD_BODY] = slice_of(body);
	req->fields[SIP_FIELD_PROTO] = SLICE("tcp");
	req->fields[SIP_FIELD_CALL_ID] = SLICE("a call");
}

/* --- the UA --- */

const char *ua_end_name(enum ua_end end)
{
	return end == UA_END_BYE ? "bye" : end == UA_END_EXPIRED ? "expired" : "failed";
}

static struct ua_session *session_new(const struct ua_offer *offer)
{
	struct world *w = the_world;
	struct ua_session *s;

	assert_true(w->session_count < FAKES_MAX);
	s = &w->sessions[w->session_count];
	*s = (struct ua_session){
	    .handler = offer->handler,
	    .arg = offer->arg,
	    .accepts = "text/plain",
	};
	snprintf(s->id, sizeof(s->id), "s%zu", w->session_count++);
	return s;
}

int ua_start(struct ua *ua, const struct ua_offer *offer, struct slice from_uri,
    struct slice to_uri, struct slice ruri, struct ua_session **sp)
{
	(void)ua;
	(void)from_uri;
	(void)to_uri;
	(void)ruri;
	if (the_world->start_result < 0)
		return the_world->start_result;
	*sp = session_new(offer);
	return 0;
}

int ua_answer(struct ua *ua, struct sip_request *invite, const struct ua_offer *offer,
    struct ua_session **sp)
{
	(void)ua;
	if (the_world->answer_result < 0) {
		sip_request_reply(invite, 488, ABSENT, ABSENT);
		return the_world->answer_result;
	}
	*sp = session_new(offer);
	sip_request_reply(invite, 200, ABSENT, ABSENT);
	return 0;
}

const char *ua_session_id(const struct ua_session *s)
{
	return s->id;
}

void ua_end(struct ua_session *s)
{
	assert_false(s->gone);
	s->gone = true;
}

int ua_send(struct ua_session *s, const struct message_out *message, unsigned flags,
    char *message_id)
{
	(void)flags;
	assert_false(s->gone);
	if (s->send_result < 0)
		return s->send_result;
	snprintf(s->last_id, sizeof(s->last_id), "m%u", s->sent++);
	snprintf(s->last_body, sizeof(s->last_body), "%.*s", SLICE_ARG(message->body.bytes));
	snprintf(s->last_type, sizeof(s->last_type), "%.*s", SLICE_ARG(message->content_type));
	s->last_success_report = message->success_report;
	if (message_id)
		memcpy(message_id, s->last_id, sizeof(s->last_id));
	return 0;
}

bool ua_accepts(const struct ua_session *s, struct slice content_type)
{
	struct slice rest = slice_of(s->accepts), type;

	while (slice_cut(&rest, ' ', &type))
		if (slice_equal(type, content_type))
			return true;
	return false;
}

bool ua_accepts_wrapped(const struct ua_session *s, struct slice content_type)
{
	(void)content_type;
	return s->wrapped;
}

int ua_send_report(struct ua_session *s, struct slice message_id, const struct report_out *report)
{
	(void)message_id;
	assert_false(s->gone);
	s->report_code = report->code;
	s->reports++;
	snprintf(s->report_phrase, sizeof(s->report_phrase), "%.*s", SLICE_ARG(report->phrase));
	return 0;
}

static inline void session_up(struct ua_session *s)
{
	struct ua_notice notice = {.what = UA_ESTABLISHED, .accept_types = slice_of(s->accepts)};

	s->handler->notify(s, &notice, s->arg);
}

static inline void session_fail(struct ua_session *s, int code, bool from_peer)
{
	struct ua_notice notice = {.what = UA_FAILED,
	    .code = code,
	    .reason = SLICE("No"),
	    .from_peer = from_peer};

	s->gone = true;
	s->handler->notify(s, &notice, s->arg);
}

static inline void session_terminate(struct ua_session *s, enum ua_end end)
{
	struct ua_notice notice = {.what = UA_TERMINATED, .end = end};

	s->gone = true;
	s->handler->notify(s, &notice, s->arg);
}

static inline void session_report(struct ua_session *s, const char *id, int code,
    enum report_source source)
{
	struct message_report report = {
	    .message_id = slice_of(id),
	    .code = code,
	    .source = source,
	};

	s->handler->report(s, &report, s->arg);
}

static inline int session_message(struct ua_session *s, const char *id, const char *type,
    const char *body)
{
	struct message m = {.message_id = slice_of(id),
	    .content_type = slice_of(type),
	    .body = slice_of(body),
	    .total = body ? strlen(body) : 0};

	return s->handler->message(s, &m, s->arg);
}

/* The same by a MESSAGE in the dialog. */
static inline int session_message_in_dialog(struct ua_session *s, struct sip_request *req)
{
	struct message m = {.message_id = SLICE(""),
	    .content_type = req->fields[SIP_FIELD_CONTENT_TYPE],
	    .body = req->fields[SIP_FIELD_BODY],
	    .total = req->fields[SIP_FIELD_BODY].len,
	    .failure_report = FAILURE_REPORT_NO,
	    .request = req};

	return s->handler->message(s, &m, s->arg);
}

void ua_reply(struct sip_request *message, int result)
{
	int code = result == 0 ? 200 : result == UA_REPORT_LATER ? 202 : result;

	sip_request_reply(message, code, ABSENT, ABSENT);
}

/* --- the page --- */

const char *const sip_own_headers[] = {NULL};

char *sip_request_passed_lines(const struct sip_request *req)
{
	(void)req;
	return NULL;
}

struct event_param told_headers(struct told *told, const struct sip_request *req)
{
	(void)told;
	(void)req;
	return event_null("headers");
}

int page_check(struct page *page, const struct page_message *message)
{
	(void)page;
	(void)message;
	return 0;
}

int page_send(struct page *page, const struct page_message *message,
    void (*done)(const struct page_result *result, void *arg), void *arg)
{
	struct world *w = the_world;

	(void)page;
	if (w->page_result < 0)
		return w->page_result;
	assert_true(w->page_count < FAKES_MAX);
	w->pages[w->page_count].done = done;
	w->pages[w->page_count].arg = arg;
	snprintf(w->pages[w->page_count].body, sizeof(w->pages[0].body), "%.*s",
	    SLICE_ARG(message->body));
	snprintf(w->pages[w->page_count].ruri, sizeof(w->pages[0].ruri), "%.*s",
	    SLICE_ARG(message->ruri));
	snprintf(w->pages[w->page_count].headers, sizeof(w->pages[0].headers), "%.*s",
	    SLICE_ARG(message->headers));
	w->page_count++;
	return 0;
}

/* The oldest MESSAGE under way is answered; code 0: nobody does. */
static inline void page_answer(struct world *w, int code)
{
	struct page_result result = {code ? code : 408, SLICE("Phrase"), code != 0};
	void (*done)(const struct page_result *, void *) = w->pages[0].done;
	void *arg = w->pages[0].arg;

	assert_true(w->page_count > 0);
	w->page_count--;
	memmove(w->pages, w->pages + 1, w->page_count * sizeof(w->pages[0]));
	done(&result, arg);
}

/* --- the service --- */

static void on_fake_event(const struct event_notice *event, void *arg)
{
	struct world *w = arg;
	const struct event_param *why = event_find_param(event, SLICE("reason"));
	size_t n = strlen(w->events);

	snprintf(w->events + n, sizeof(w->events) - n, "%s %.*s;",
	    event->type->name + strlen("E_MSRP_GW_"), why ? (int)why->text.len : 0,
	    why && why->text.p ? why->text.p : "");
}

/* @return 0 or what the service's start() said */
static int world_start(struct world *w)
{
	struct service_env env = {0};
	struct reason why;
	void *state;
	int err;

	env.base = w->base;
	env.bus = w->bus;
	env.stats = w->stats;
	env.ua = (struct ua *)w; /* only handed on */
	env.page = (struct page *)w;
	err = gw_service.start(&env, &w->settings, &state, &why);
	w->gw = err < 0 ? NULL : state;
	return err;
}

static int world_open(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	the_world = w;
	w->base = event_base_new();
	assert_int_equal(stats_new(&w->stats), 0);
	assert_int_equal(event_bus_new(&w->bus), 0);
	assert_int_equal(event_bus_add_types(w->bus, gw_service.events), 0);
	w->subscriber = (struct event_subscriber){.mask = EVENT_ALL, .fn = on_fake_event, .arg = w};
	event_bus_subscribe(w->bus, &w->subscriber);
	w->settings = (struct gw_settings){
	    .session_timeout_ms = 0,
	    .max_queued = 3,
	    .max_queued_bytes = 1000,
	    .cleanup_interval_ms = 60000,
	    .hash_size = 10,
	};
	*state = w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	gw_service.stop(w->gw);
	event_bus_unsubscribe(&w->subscriber);
	event_bus_free(w->bus);
	stats_free(w->stats);
	event_base_free(w->base);
	libevent_global_shutdown();
	free(w);
	return 0;
}

/* An action of a rule, as the rules engine would call it; texts in the order of the table. */
static int run_action(struct world *w, const char *name, struct sip_request *request,
    const char *const *texts, int confirm)
{
	const struct action *action = gw_service.actions;
	struct route_subject subject = {.request = request, .last = true};
	struct arg args[8] = {{0}};

	while (strcmp(action->name, name) != 0)
		action++;
	for (size_t i = 0; texts[i]; i++)
		args[i] = (struct arg){.present = true, .text = slice_of(texts[i])};
	if (confirm >= 0)
		args[2] = (struct arg){.present = true, .number = confirm};
	return action->run(&subject, args, w->gw);
}

#define PHONE  "sip:phone@a"
#define CLIENT "sip:client@b"

static int put_message(struct world *w, struct sip_request *request, int confirm)
{
	return run_action(w, "msg_to_msrp", request,
	    (const char *const[]){"key", "text/plain", NULL}, confirm);
}

static int put_invite(struct world *w, struct sip_request *request)
{
	return run_action(w, "msrp_gw_answer", request,
	    (const char *const[]){"key", "text/plain", CLIENT, PHONE, PHONE, NULL}, -1);
}
