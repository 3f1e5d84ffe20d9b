/*
 * Chat rooms with nobody around them: a UA, a page, subscriptions and SIP requests that do what the
 * test says and note what they are told.  Included by the tests of src/conf, and by each once: these
 * functions take the place of those of src/ua and src/sip.
 */
#pragma once

#include <msrpd/subscription.h>

#include "base/budget.h"
#include "conf/conf.h"
#include "conf/priv.h"
#include "service_fake.h"

#define LOBBY "sip:lobby@im.example.org"
#define ALICE "sip:alice@im.example.org"
#define BOB   "sip:bob@im.example.org"
#define PHONE "sip:phone@im.example.org"

#ifndef FAKES_MAX
#define FAKES_MAX 16
#endif

enum { TEXT_MAX = 4096 };

struct sip_request {
	struct slice fields[FIELDS];
	struct slice privacy, refer_to, referred_by;
	struct sip_flow *flow;
	bool no_hops; /* Max-Forwards: 0 */
	int code, answers;
};

struct ua_session {
	char id[16];
	bool gone;
	const struct ua_handler *handler;
	void *arg;
	const char *tokens;  /* of its a=chatroom */
	const char *accepts; /* the one wrapped type that it takes; NULL: any */
	int send_result;
	uint64_t backlog, low; /* low: what ua_want_room() asks for; UINT64_MAX: nothing */
	unsigned sent, reports;
	char last[TEXT_MAX]; /* message */
	void *resumed;       /* stream */
	int report_code;
	char report_body[TEXT_MAX];
};

struct subscription {
	void *watcher;
	bool changed, ends, ended;
	char last[512];
};

struct world {
	WORLD;
	uint64_t used;
	struct budget budget;
	struct conf_settings settings;
	struct conf_room_settings room;
	struct conf *conf;
	struct ua_session sessions[FAKES_MAX];
	size_t session_count;
	const struct event_package *package;
	void *package_arg;
	struct subscription subscription;
	struct sip_flow *flow; /* that MESSAGEs come over; NULL: none */
	const struct event_package *refer_package;
	struct subscription referral; /* by the last REFER */
	int refer_result;
	char offered[128];     /* headers of the last session */
	char events[TEXT_MAX]; /* "JOIN participant nickname reason;" */
};

static struct world *the_world; /* what fakes without an argument work on */

/* --- requests --- */

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	return req->fields[field == SIP_FIELD_FROM ? SIP_FIELD_FROM_URI : field];
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal_nocase(name, SLICE("Privacy"))    ? req->privacy
	    : slice_equal_nocase(name, SLICE("Refer-To"))    ? req->refer_to
	    : slice_equal_nocase(name, SLICE("Referred-By")) ? req->referred_by
							     : ABSENT;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	return index ? ABSENT : sip_request_header(req, name);
}

bool sip_request_is_damaged(const struct sip_request *req, struct slice name)
{
	(void)req;
	(void)name;
	return false;
}

void sip_flow_note_caller(struct sip_flow **callerp, const struct sip_request *req)
{
	*callerp = *callerp ? *callerp : req->flow;
}

void sip_flow_unref(struct sip_flow *flow)
{
	(void)flow;
}

unsigned sip_request_hops(const struct sip_request *req)
{
	return req->no_hops ? 0 : 70;
}

bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri,
    const struct setting_list *names)
{
	(void)req;
	(void)names;
	return slice_starts_nocase(uri, SLICE("sip:lobby@192.0.2.1"));
}

int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers)
{
	(void)reason;
	(void)headers;
	req->answers++;
	if (req->code)
		return -EEXIST;
	req->code = code;
	return 0;
}

struct sip_request *sip_request_ref(struct sip_request *req)
{
	return req;
}

void sip_request_unref(struct sip_request *req)
{
	(void)req;
}

int sip_request_authorize(struct sip_request *req, struct slice realm,
    const struct sip_digests *digests)
{
	(void)realm;
	(void)digests;
	if (req->fields[SIP_FIELD_AUTH_USER].p)
		return 0;
	sip_request_reply(req, 401, ABSENT, ABSENT);
	return -EACCES;
}

static void request_init(struct sip_request *req, const char *method, const char *from,
    const char *body)
{
	*req = (struct sip_request){.code = 0};
	req->fields[SIP_FIELD_METHOD] = slice_of(method);
	req->fields[SIP_FIELD_FROM_URI] = slice_of(from);
	req->fields[SIP_FIELD_RURI] = SLICE(LOBBY);
	req->fields[SIP_FIELD_CONTENT_TYPE] = SLICE("text/plain");
	req->fields[SIP_FIELD_BODY] = slice_of(body);
	req->fields[SIP_FIELD_CALL_ID] = SLICE("call");
}

/* --- the UA --- */

const char *ua_end_name(enum ua_end end)
{
	return end == UA_END_BYE ? "bye" : "failed";
}

static struct ua_session *session_new(const struct ua_offer *offer)
{
	struct world *w = the_world;
	struct ua_session *s;

	assert_true(w->session_count < FAKES_MAX);
	s = &w->sessions[w->session_count];
	*s = (struct ua_session){.handler = offer->handler,
	    .arg = offer->arg,
	    .low = UINT64_MAX,
	    .tokens = "nickname private-messages"};
	snprintf(s->id, sizeof(s->id), "s%zu", w->session_count++);
	snprintf(w->offered, sizeof(w->offered), "%.*s", SLICE_ARG(offer->headers));
	return s;
}

#include "service_fake_ua.h"

int ua_send(struct ua_session *s, const struct message_out *message, unsigned flags,
    char *message_id)
{
	(void)flags;
	(void)message_id;
	assert_false(s->gone);
	assert_true(slice_equal(message->content_type, SLICE("message/cpim")));
	if (s->send_result < 0)
		return s->send_result;
	s->sent++;
	snprintf(s->last, sizeof(s->last), "%.*s", SLICE_ARG(message->body.bytes));
	return 0;
}

bool ua_accepts_wrapped(const struct ua_session *s, struct slice content_type)
{
	return !s->accepts || slice_equal(content_type, slice_of(s->accepts));
}

struct slice ua_peer_attribute(const struct ua_session *s)
{
	return slice_of(s->tokens);
}

uint64_t ua_backlog(const struct ua_session *s)
{
	assert_false(s->gone);
	return s->backlog;
}

void ua_want_room(struct ua_session *s, uint64_t low)
{
	s->low = low;
}

void ua_message_resume(struct ua_session *s, void *stream)
{
	assert_false(s->gone);
	s->resumed = stream;
}

int ua_send_report(struct ua_session *s, struct slice message_id, const struct report_out *report)
{
	(void)message_id;
	s->reports++;
	s->report_code = report->code;
	snprintf(s->report_body, sizeof(s->report_body), "%.*s", SLICE_ARG(report->body));
	return 0;
}

struct ua_limits ua_limits(const struct ua *ua)
{
	(void)ua;
	return (struct ua_limits){.max_message_size = 100000,
	    .chunk_size = 32768,
	    .send_queue = 1000,
	    .shared_stall_ms = 50};
}

/* --- subscriptions --- */

void notifier_ask_again(struct notifier *notifier, struct sip_request *request)
{
	void *watcher;

	(void)notifier;
	sip_request_reply(request,
	    the_world->package->subscribe(&the_world->subscription, request, &watcher,
		the_world->package_arg)
		? 404
		: 200,
	    ABSENT, ABSENT);
	the_world->subscription.watcher = watcher;
}

int notifier_offer(struct notifier *notifier, const struct event_package *package, void *arg)
{
	(void)notifier;
	if (strcmp(package->event, "refer") == 0) {
		the_world->refer_package = package;
		return 0;
	}
	the_world->package = package;
	the_world->package_arg = arg;
	return 0;
}

int notifier_refer(struct notifier *notifier, struct sip_request *refer,
    const struct event_package *package, void *watcher, struct subscription **sp)
{
	(void)notifier;
	assert_ptr_equal(package, the_world->refer_package);
	*sp = NULL;
	if (the_world->refer_result == -ENOBUFS)
		sip_request_reply(refer, 503, ABSENT, ABSENT);
	if (the_world->refer_result < 0)
		return the_world->refer_result;
	the_world->referral = (struct subscription){.watcher = watcher};
	*sp = &the_world->referral;
	return sip_request_reply(refer, 202, ABSENT, ABSENT);
}

void notifier_withdraw(struct notifier *notifier, const struct event_package *package)
{
	(void)notifier;
	if (the_world->package == package)
		the_world->package = NULL;
}

bool subscription_ends(const struct subscription *s)
{
	return s->ends;
}

void subscription_changed(struct subscription *s)
{
	s->changed = true;
}

void subscription_end(struct subscription *s, enum subscription_end reason, struct slice body)
{
	(void)reason;
	snprintf(s->last, sizeof(s->last), "%.*s", SLICE_ARG(body));
	s->ended = true;
}

/* The desk watches the lobby, with credentials of that user.  @return the status */
static inline int watch_as(struct world *w, const char *user)
{
	struct sip_request request;
	int status;

	request_init(&request, "SUBSCRIBE", "sip:desk@im.example.org", NULL);
	request.fields[SIP_FIELD_AUTH_USER] = slice_of(user);
	w->subscription = (struct subscription){.watcher = NULL};
	status = w->package->subscribe(&w->subscription, &request, &w->subscription.watcher,
	    w->package_arg);
	return status < 0 ? request.code : status;
}

static inline int watch(struct world *w)
{
	return watch_as(w, NULL);
}

/* The next document, to be freed; NULL: no memory. */
static inline char *document(struct world *w, bool full)
{
	char *body = NULL;
	size_t len;

	w->subscription.changed = false;
	w->package->body(&w->subscription, full, &body, &len, w->subscription.watcher);
	return body;
}

static inline void unwatch(struct world *w)
{
	w->package->ended(&w->subscription, w->subscription.watcher);
}

/* --- participants --- */

/* @param number  the third argument; negative: there is none */
static int run_action_with(struct world *w, const char *name, struct sip_request *request,
    int number)
{
	const struct action *action = conf_service.actions;
	struct route_subject subject = {.request = request, .last = true};
	struct arg args[4] = {{.present = true, .text = SLICE(LOBBY)},
	    [2] = {.present = number >= 0, .number = number}};

	while (strcmp(action->name, name) != 0)
		action++;
	return action->run(&subject, args, w->conf);
}

static int run_action(struct world *w, const char *name, struct sip_request *request)
{
	return run_action_with(w, name, request, -1);
}

/* An INVITE to the lobby.  @return the session; NULL: it was refused, with *codep */
static inline struct ua_session *invite(struct world *w, const char *from, const char *privacy,
    int *codep)
{
	struct sip_request request;
	size_t before = w->session_count;

	request_init(&request, "INVITE", from, NULL);
	request.privacy = slice_of(privacy);
	run_action(w, "msrp_conf_join", &request);
	assert_int_equal(request.answers, 1);
	*codep = request.code;
	return w->session_count > before ? &w->sessions[before] : NULL;
}

static inline void session_up(struct ua_session *s)
{
	s->handler->notify(s, &(struct ua_notice){.what = UA_ESTABLISHED}, s->arg);
}

static inline struct ua_session *join(struct world *w, const char *from)
{
	int code;
	struct ua_session *s = invite(w, from, NULL, &code);

	assert_non_null(s);
	session_up(s);
	return s;
}

static inline void leave(struct ua_session *s)
{
	s->gone = true;
	s->handler->notify(s, &(struct ua_notice){.what = UA_TERMINATED, .end = UA_END_BYE},
	    s->arg);
}

static inline const char *nickname_of(const struct ua_session *s)
{
	return ((const struct conf_participant *)s->arg)->shown;
}

static inline int ask_nickname(struct ua_session *s, const char *name)
{
	return s->handler->nickname(s, slice_of(name), s->arg);
}

/* A message's beginning.  @return the status; 0: *streamp is to be given the rest */
static inline int begin_text(struct ua_session *s, const char *text, size_t total, void **streamp)
{
	struct message m = {.message_id = SLICE("id"),
	    .content_type = SLICE("message/cpim"),
	    .total = total};
	int status = s->handler->begin(s, &m, streamp, s->arg);

	if (status == 0)
		status = s->handler->piece(s, *streamp, slice_of(text), s->arg);
	if (status && status != -EAGAIN && *streamp)
		s->handler->end(s, *streamp, -EMSGSIZE, s->arg);
	return status == -EAGAIN ? 0 : status;
}

/* @return the status of the answer or the report; 0: it was taken; UA_REPORT_LATER */
static inline int say_text(struct ua_session *s, const char *text)
{
	void *stream = NULL;
	int status = begin_text(s, text, strlen(text), &stream);

	return status ? status : s->handler->end(s, stream, 0, s->arg);
}

static inline int say(struct ua_session *s, const char *from, const char *to, const char *words)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text),
	    "From: <%s>\r\nTo: <%s>\r\n\r\nContent-Type: text/plain\r\n\r\n%s", from, to, words);
	return say_text(s, text);
}

/* A MESSAGE to the lobby.  @return the status of its answer */
static inline int write_page(struct world *w, const char *from, const char *words,
    const char *privacy)
{
	struct sip_request request;

	request_init(&request, "MESSAGE", from, words);
	request.privacy = slice_of(privacy);
	request.flow = w->flow;
	run_action(w, "msg_to_conf", &request);
	assert_int_equal(request.answers, 1);
	return request.code;
}

/* --- the service --- */

static struct slice param_text(const struct event_notice *event, const char *name)
{
	const struct event_param *param = event_find_param(event, slice_of(name));

	return param && param->text.p ? param->text : SLICE("-");
}

static void on_fake_event(const struct event_notice *event, void *arg)
{
	struct world *w = arg;
	size_t n = strlen(w->events);

	snprintf(w->events + n, sizeof(w->events) - n, "%s %.*s %.*s %.*s;",
	    event->type->name + strlen("E_MSRP_CONF_"), SLICE_ARG(param_text(event, "participant")),
	    SLICE_ARG(param_text(event, "nickname")), SLICE_ARG(param_text(event, "reason")));
}

/* @return 0 or what the service's start() said */
static int world_start(struct world *w)
{
	struct service_env env = ground_env(w);
	struct reason why;
	void *state;
	int err;

	env.budget = &w->budget;
	env.notifier = (struct notifier *)w;
	err = conf_service.start(&env, &w->settings, &state, &why);
	w->conf = err < 0 ? NULL : state;
	return err;
}

static inline void world_stop(struct world *w)
{
	conf_service.stop(w->conf);
	w->conf = NULL;
	w->session_count = w->page_count = 0;
	w->events[0] = '\0';
}

static int world_open(void **state)
{
	struct world *w = ground_new(&conf_service, on_fake_event);

	w->budget = (struct budget){.max = 1 << 20, .used = &w->used};
	w->settings = (struct conf_settings){
	    .rooms = {&w->room, 1},
	    .nicknames = true,
	    .private_messages = true,
	    .max_rooms = 10,
	    .max_participants = 10,
	    .history = 3,
	    .history_bytes = 2000,
	    .page_timeout_ms = 60000,
	};
	w->room.uri = (char *)(uintptr_t)LOBBY;
	*state = w;
	return 0;
}

static inline int world_begin(void **state)
{
	world_open(state);
	return world_start(*state);
}

static int world_close(void **state)
{
	struct world *w = *state;

	conf_service.stop(w->conf);
	assert_int_equal(w->used, 0); /* nothing of the budget is lost */
	ground_free(w);
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_begin, world_close)

static inline struct conf_room *lobby(struct world *w)
{
	return conf_room_find(w->conf, SLICE(LOBBY));
}

/* Turn the loop until the condition holds; the test fails after a while. */
static inline void world_wait(struct world *w, bool (*condition)(struct world *w))
{
	for (int i = 0; i < 20000 && !condition(w); i++) {
		event_base_loopexit(w->base, &(struct timeval){0, 1000});
		event_base_loop(w->base, EVLOOP_ONCE);
	}
	assert_true(condition(w));
}
