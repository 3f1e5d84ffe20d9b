/*
 * The gateway with nobody around it: a UA, a page and SIP requests that do what the test
 * says and note what they are told.  Included by the tests of src/gw, and by each once: these
 * functions take the place of those of src/ua and src/sip.
 */
#pragma once

#include <msrpd/told.h>

#include "base/budget.h"
#include "gw/gw.h"
#include "gw/priv.h"
#include "service_fake.h"

enum { FAKES_MAX = 32 };

struct sip_request {
	unsigned refs;
	struct slice fields[FIELDS];
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
	WORLD;
	struct gw_settings settings;
	struct budget budget;
	uint64_t used; /* of it */
	struct gw *gw;
	struct ua_session sessions[FAKES_MAX];
	size_t session_count;
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

unsigned sip_request_hops(const struct sip_request *req)
{
	(void)req;
	return 70;
}

struct sip_flow *sip_request_flow_to(const struct sip_request *req, struct slice uri)
{
	(void)req;
	(void)uri;
	return NULL;
}

struct sip_flow *sip_request_own_flow(const struct sip_request *req)
{
	(void)req;
	return NULL;
}

void sip_flow_note_caller(struct sip_flow **callerp, const struct sip_request *req)
{
	(void)callerp;
	(void)req;
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
	(void)req;
	(void)name;
	return ABSENT;
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

static void request_init(struct sip_request *req, const char *method, const char *from,
    const char *to, const char *type, const char *body)
{
	*req = (struct sip_request){.refs = 1};
	req->fields[SIP_FIELD_METHOD] = slice_of(method);
	req->fields[SIP_FIELD_FROM_URI] = slice_of(from);
	req->fields[SIP_FIELD_TO_URI] = req->fields[SIP_FIELD_RURI] = slice_of(to);
	req->fields[SIP_FIELD_CONTENT_TYPE] = slice_of(type);
	req->fields[SIP_FIELD_BODY] = slice_of(body);
	req->fields[SIP_FIELD_PROTO] = SLICE("tcp");
	req->fields[SIP_FIELD_CALL_ID] = SLICE("a call");
	req->fields[SIP_FIELD_CSEQ] = SLICE("1");
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

#include "service_fake_ua.h"

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

void sip_request_add_passed(const struct sip_request *req, struct buffer *lines)
{
	(void)req;
	(void)lines;
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
	struct service_env env = ground_env(w);
	struct reason why;
	void *state;
	int err;

	env.budget = &w->budget;
	err = gw_service.start(&env, &w->settings, &state, &why);
	w->gw = err < 0 ? NULL : state;
	return err;
}

static int world_open(void **state)
{
	struct world *w = ground_new(&gw_service, on_fake_event);

	w->budget = (struct budget){.max = 1 << 20, .used = &w->used};
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
	assert_int_equal(w->used, 0); /* nothing of the budget is lost */
	ground_free(w);
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
