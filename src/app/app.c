#include "app/app.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/told.h>
#include <msrpd/ua.h>

struct app {
	struct event_bus *bus;
	struct ua *ua;
};

/* --- events --- */

static const struct event_type session_new = {
    .name = "E_MSRP_SESSION_NEW",
    .params = (const char *const[]){"from_uri", "to_uri", "ruri", "session_id", "content_types",
	"headers", "parts", NULL},
};

static const struct event_type session_end = {
    .name = "E_MSRP_SESSION_END",
    .params = (const char *const[]){"session_id", "reason", NULL},
};

static const struct event_type session_failed = {
    .name = "E_MSRP_SESSION_FAILED",
    .params = (const char *const[]){"session_id", "code", "reason", NULL},
};

static const struct event_type message_received = {
    .often = true,
    .name = "E_MSRP_MSG_RECEIVED",
    .params = (const char *const[]){"session_id", "message_id", "content_type", "body", "in_dialog",
	"headers", NULL},
};

static const struct event_type report_received = {
    .often = true,
    .name = "E_MSRP_REPORT_RECEIVED",
    .params = (const char *const[]){"session_id", "message_id", "status", "byte_range",
	"content_type", "body", NULL},
};

static const struct event_type *const events[] = {
    &session_new,
    &session_end,
    &session_failed,
    &message_received,
    &report_received,
    NULL,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct event_param id_param(const struct ua_session *s)
{
	return event_text("session_id", slice_of(ua_session_id(s)));
}

/* Who of our users it is: who calls, or who is called. */
static struct slice owner(const struct ua_session_info *info)
{
	return info->uac ? info->from_uri : info->to_uri;
}

static void emit(struct app *app, const struct ua_session *s, const struct event_type *type,
    const struct event_param *params, size_t count)
{
	struct ua_session_info info;
	struct slice address;
	struct event_audience audience;

	ua_session_info(s, &info);
	address = owner(&info);
	audience = event_audience_of(&address);
	event_emit_for(app->bus, type, params, count, &audience);
}

static void tell_new(struct app *app, struct ua_session *s, const struct ua_notice *notice)
{
	struct ua_session_info info;

	ua_session_info(s, &info);

	struct event_param params[] = {
	    event_text("from_uri", info.from_uri),
	    event_text("to_uri", info.to_uri),
	    event_text("ruri", info.ruri),
	    id_param(s),
	    event_text("content_types", notice->accept_types),
	    event_null("headers"),
	    event_null("parts"),
	};
	size_t count = COUNT(params) - 2;
	struct told told;

	if (notice->invite)
		count = told_add(params, count, told_headers(&told, notice->invite));
	if (notice->invite)
		count = told_add(params, count, told_parts(&told, notice->invite));
	emit(app, s, &session_new, params, count);
}

static void tell_end(struct app *app, struct ua_session *s, const struct ua_notice *notice)
{
	struct event_param params[] = {
	    id_param(s),
	    event_text("reason", slice_of(ua_end_name(notice->end))),
	};

	emit(app, s, &session_end, params, COUNT(params));
}

static void tell_failed(struct app *app, struct ua_session *s, const struct ua_notice *notice)
{
	struct ua_session_info info;
	struct event_param params[] = {
	    id_param(s),
	    event_number("code", notice->code),
	    event_text("reason", notice->reason.p ? notice->reason : SLICE("")),
	};

	ua_session_info(s, &info);
	/* Of an INVITE that never became a session the caller knows best. */
	if (info.uac)
		emit(app, s, &session_failed, params, COUNT(params));
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	switch (notice->what) {
	case UA_ESTABLISHED:
		tell_new(arg, s, notice);
		break;
	case UA_TERMINATED:
		if (notice->end == UA_END_STOPPED) /* which ends all, this socket too */
			break;
		ua_give_up_messages(s);
		tell_end(arg, s, notice);
		break;
	case UA_FAILED:
		tell_failed(arg, s, notice);
		break;
	}
}

static int on_message(struct ua_session *s, const struct message *m, void *arg)
{
	struct app *app = arg;
	struct event_param params[] = {
	    id_param(s),
	    event_text("message_id", m->message_id),
	    event_text("content_type", m->content_type),
	    event_body("body", m->body),
	    event_true("in_dialog"),
	    event_null("headers"),
	};
	size_t count = COUNT(params) - (m->request ? 1 : 2);
	struct told told;

	if (!event_wanted(app->bus, &message_received))
		return 0;
	if (m->request)
		count = told_add(params, count, told_headers(&told, m->request));
	emit(app, s, &message_received, params, count);
	return 0;
}

enum {
	STATUS_SIZE = 1024, /* a longer phrase is cut */
	POSITION_SIZE = 21,
	RANGE_SIZE = 3 * POSITION_SIZE,
};

/* As in the Status header: RFC 4975 7.1.2. */
static struct slice status_text(char text[STATUS_SIZE], const struct message_report *r)
{
	int n = snprintf(text, STATUS_SIZE, "%03u %03d%s%.*s", r->namespace, r->code,
	    r->phrase.len ? " " : "", SLICE_ARG(slice_head(r->phrase, STATUS_SIZE - 16)));

	return (struct slice){text, (size_t)n};
}

static void print_position(char text[POSITION_SIZE], uint64_t position)
{
	if (position == BYTE_RANGE_UNKNOWN)
		snprintf(text, POSITION_SIZE, "*");
	else
		snprintf(text, POSITION_SIZE, "%" PRIu64, position);
}

/* As in the Byte-Range header; absent if the report does not say. */
static struct slice range_text(char text[RANGE_SIZE], const struct byte_range *range)
{
	char end[POSITION_SIZE], total[POSITION_SIZE];
	int n;

	if (range->start == 0)
		return (struct slice){NULL, 0};
	print_position(end, range->end);
	print_position(total, range->total);
	n = snprintf(text, RANGE_SIZE, "%" PRIu64 "-%s/%s", range->start, end, total);
	return (struct slice){text, (size_t)n};
}

static void on_report(struct ua_session *s, const struct message_report *r, void *arg)
{
	struct app *app = arg;
	char status[STATUS_SIZE], range[RANGE_SIZE];
	struct event_param params[] = {
	    id_param(s),
	    event_text("message_id", r->message_id),
	    event_text("status", status_text(status, r)),
	    event_text("byte_range", range_text(range, &r->range)),
	    event_text("content_type", r->body_type),
	    event_body("body", r->body),
	};

	/* Most have no body, and then say nothing of one. */
	emit(app, s, &report_received, params, COUNT(params) - (r->body_type.p ? 0 : 2));
}

static const struct ua_handler handler = {
    .name = "msrp_ua",
    .notify = on_notify,
    .message = on_message,
    .report = on_report,
    .carries = true,
};

/* --- the action --- */

static const struct arg_spec answer_args[] = {
    {.name = "content_types", .kind = ARG_TEXT, .required = true, .check = ua_check_types},
    {.name = "headers", .kind = ARG_HEADERS, .choices = sip_own_headers},
    {0},
};

static int run_answer(const struct route_subject *subject, const struct arg *args, void *arg)
{
	struct app *app = arg;
	struct ua_offer offer = {
	    .accept_types = args[0].text,
	    .headers = args[1].text,
	    .handler = &handler,
	    .arg = app,
	};

	return ua_answer(app->ua, subject->request, &offer, NULL);
}

static const struct action actions[] = {
    {.name = "msrp_ua_answer",
	.lists = ROUTE_SIP,
	.args = answer_args,
	.ends_walk = true,
	.answers = true,
	.run = run_answer},
    {0},
};

/* --- methods --- */

/* Sessions of other services answer to these: who else ended them would leave them behind. */
static struct ua_session *find_own(struct app *app, struct slice session_id, struct reply *reply)
{
	struct ua_session *s = app->ua ? ua_find(app->ua, session_id) : NULL;
	struct ua_session_info info;

	if (!s) {
		reply_error(reply, 404, "unknown session");
		return NULL;
	}
	ua_session_info(s, &info);
	if (info.handler == handler.name)
		return s;
	reply_error(reply, 400, "the session belongs to another service");
	return NULL;
}

/* Of other services' sessions a user knows nothing. */
static bool is_own(const struct app *app, struct slice session_id, const struct reply *reply)
{
	const struct ua_session *s = app->ua ? ua_find(app->ua, session_id) : NULL;
	struct ua_session_info info;

	if (!s)
		return false;
	ua_session_info(s, &info);
	return reply_is_for(reply, owner(&info)) && info.handler == handler.name;
}

static bool is_own_session(const struct param *params, const struct reply *reply, void *arg)
{
	return is_own(arg, params[0].text, reply);
}

static const struct param_spec start_params[] = {
    {.name = "content_types", .kind = PARAM_TEXT, .required = true},
    {.name = "from_uri", .kind = PARAM_TEXT, .required = true},
    {.name = "to_uri", .kind = PARAM_TEXT, .required = true},
    {.name = "ruri", .kind = PARAM_TEXT, .required = true},
    {.name = "headers", .kind = PARAM_HEADERS},
    {0},
};

/* Headers could say that he is somebody else (RFC 3325). */
static bool speaks_for_himself(const struct param *params, const struct reply *reply, void *arg)
{
	const struct slice nobody = {NULL, 0};

	(void)arg;
	return reply_is_for(reply, nobody)
	    || (!params[4].present && reply_is_for(reply, params[1].text));
}

static void start_error(struct reply *reply, int err)
{
	switch (err) {
	case -EINVAL:
		reply_error(reply, 400, "not a list of types, or a URI that is none");
		break;
	case -EDESTADDRREQ:
		reply_error(reply, 400, "a ruri of this scheme needs sip.outbound_proxy");
		break;
	case -ENETUNREACH:
		reply_error(reply, 500, "no SIP listener can reach it");
		break;
	case -ENOBUFS:
		reply_error(reply, 500, "too many requests under way to that destination");
		break;
	default:
		reply_error(reply, 500, "failed");
	}
}

static void call_start(const struct param *params, struct reply *reply, void *arg)
{
	struct app *app = arg;
	struct ua_offer offer = {
	    .accept_types = params[0].text,
	    .headers = params[4].text,
	    .handler = &handler,
	    .arg = app,
	};
	struct ua_session *s;
	int err = -ENETUNREACH;

	if (!sip_headers_are_free(offer.headers)) {
		reply_error(reply, 400, "headers that are none, or not for applications to write");
		return;
	}

	if (app->ua)
		err = ua_start(app->ua, &offer, params[1].text, params[2].text, params[3].text, &s);
	if (err < 0) {
		start_error(reply, err);
		return;
	}
	reply_open_object(reply, NULL);
	reply_text(reply, "session_id", slice_of(ua_session_id(s)));
	reply_close(reply);
}

enum { SEND_SESSION, SEND_MIME, SEND_BODY, SEND_SUCCESS, SEND_FAILURE, SEND_BASE64 };

static const struct param_spec send_params[] = {
    [SEND_SESSION] = {.name = "session_id", .kind = PARAM_TEXT, .required = true},
    [SEND_MIME] = {.name = "mime", .kind = PARAM_TEXT},
    [SEND_BODY] = {.name = "body", .kind = PARAM_BODY},
    [SEND_SUCCESS] = {.name = "success_report", .kind = PARAM_TEXT},
    [SEND_FAILURE] = {.name = "failure_report", .kind = PARAM_TEXT},
    [SEND_BASE64] = {.name = "body_base64", .kind = PARAM_BASE64},
    {0},
};

/* Is a yes/no/partial one of these words, or absent, which is the first? */
static bool read_word(const struct param *param, const char *const *words, int *indexp)
{
	*indexp = 0;
	if (!param->present)
		return true;
	for (int i = 0; words[i]; i++) {
		if (slice_equal_nocase(param->text, slice_of(words[i]))) {
			*indexp = i;
			return true;
		}
	}
	return false;
}

static const char *read_message(const struct param *params, struct message_out *message)
{
	static const char *const success[] = {"no", "yes", NULL};
	static const char *const failure[] = {
	    [FAILURE_REPORT_YES] = "yes",
	    [FAILURE_REPORT_NO] = "no",
	    [FAILURE_REPORT_PARTIAL] = "partial",
	    NULL,
	};
	const struct param *body = &params[params[SEND_BASE64].present ? SEND_BASE64 : SEND_BODY];
	int success_word, failure_word;

	if (params[SEND_BODY].present && params[SEND_BASE64].present)
		return "body and body_base64 at once";
	if (!read_word(&params[SEND_SUCCESS], success, &success_word))
		return "success_report is not yes or no";
	if (!read_word(&params[SEND_FAILURE], failure, &failure_word))
		return "failure_report is not yes, no or partial";
	*message = (struct message_out){
	    .failure_report = (enum failure_report)failure_word,
	    .success_report = success_word == 1,
	};
	if (params[SEND_MIME].present && body->present) {
		message->content_type = params[SEND_MIME].text;
		message->body.bytes = body->text;
	}
	return NULL;
}

static void send_error(struct reply *reply, int err)
{
	switch (err) {
	case -EINVAL:
		reply_error(reply, 400, "mime is not a media type");
		break;
	case -EMSGSIZE:
		reply_error(reply, 413, "larger than the peer's max-size");
		break;
	case -EPROTOTYPE:
		reply_error(reply, 415, "a type that the peer does not accept");
		break;
	case -ENOBUFS:
		reply_error(reply, 500, "too much is queued");
		break;
	case -EPERM:
		reply_error(reply, 500, "the peer does not receive now");
		break;
	case -EPIPE:
		reply_error(reply, 500, "the session is ending");
		break;
	default:
		reply_error(reply, 500, "failed");
	}
}

static void call_send(const struct param *params, struct reply *reply, void *arg)
{
	struct ua_session *s = find_own(arg, params[SEND_SESSION].text, reply);
	char message_id[UA_MESSAGE_ID_SIZE];
	struct message_out message;
	const char *fault;
	int err;

	if (!s)
		return;
	fault = read_message(params, &message);
	if (fault) {
		reply_error(reply, 400, fault);
		return;
	}
	err = ua_send(s, &message, 0, message_id);
	if (err < 0) {
		send_error(reply, err);
		return;
	}
	reply_open_object(reply, NULL);
	reply_text(reply, "message_id", slice_of(message_id));
	reply_close(reply);
}

static void list_one(struct ua_session *s, void *arg)
{
	struct reply *reply = arg;
	struct ua_session_info info;

	ua_session_info(s, &info);
	if (!reply_is_for(reply, owner(&info)))
		return;
	reply_open_object(reply, NULL);
	reply_text(reply, "session_id", slice_of(ua_session_id(s)));
	reply_text(reply, "type", info.uac ? SLICE("uac") : SLICE("uas"));
	reply_text(reply, "handler", slice_of(info.handler));
	reply_text(reply, "state", slice_of(info.state));
	reply_text(reply, "from_uri", info.from_uri);
	reply_text(reply, "to_uri", info.to_uri);
	reply_text(reply, "ruri", info.ruri);
	reply_text(reply, "peer_path", info.peer_path);
	if (info.lifetime_s == UINT64_MAX)
		reply_null(reply, "lifetime");
	else
		reply_number(reply, "lifetime", (int64_t)info.lifetime_s);
	reply_number(reply, "queued_bytes", (int64_t)info.queued_bytes);
	reply_number(reply, "messages_in", (int64_t)info.messages_in);
	reply_number(reply, "messages_out", (int64_t)info.messages_out);
	reply_close(reply);
}

static void call_list(const struct param *params, struct reply *reply, void *arg)
{
	struct app *app = arg;

	(void)params;
	reply_open_list(reply, NULL);
	if (app->ua)
		ua_each(app->ua, list_one, reply);
	reply_close(reply);
}

static const struct param_spec end_params[] = {
    {.name = "session_id", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_end(const struct param *params, struct reply *reply, void *arg)
{
	struct app *app = arg;
	struct ua_session *s = app->ua ? ua_find(app->ua, params[0].text) : NULL;

	/* A file's session is its service's, which lets others end it. */
	if (!s || ua_cancel(s) < 0) {
		s = find_own(app, params[0].text, reply);
		if (!s)
			return;
		ua_end(s);
	}
	reply_text(reply, NULL, SLICE("OK"));
}

static const struct method methods[] = {
    {.name = "msrp_ua_start_session",
	.params = start_params,
	.access = METHOD_SPEAKER,
	.is_theirs = speaks_for_himself,
	.call = call_start,
	.help = "call a peer by INVITE"},
    {.name = "msrp_ua_send_message",
	.params = send_params,
	.access = METHOD_OWNER,
	.is_theirs = is_own_session,
	.call = call_send,
	.help = "send a message on a session"},
    {.name = "msrp_ua_list_sessions",
	.access = METHOD_USER,
	.call = call_list,
	.help = "list the sessions"},
    {.name = "msrp_ua_end_session",
	.params = end_params,
	.access = METHOD_OWNER,
	.is_theirs = is_own_session,
	.call = call_end,
	.help = "end a session"},
    {0},
};

/* --- the service --- */

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct app *app = malloc(sizeof(*app));

	(void)settings;
	if (!app)
		return reason_set(why, -ENOMEM, "out of memory");
	*app = (struct app){.bus = env->bus, .ua = env->ua};
	*statep = app;
	return 0;
}

static void count_one(struct ua_session *s, void *arg)
{
	size_t *n = arg;

	(void)s;
	++*n;
}

static void stop(void *state)
{
	free(state);
}

/* All of the UA's, as in msrp_ua_list_sessions. */
static size_t sessions(const void *state)
{
	const struct app *app = state;
	size_t n = 0;

	if (app->ua)
		ua_each(app->ua, count_one, &n);
	return n;
}

const struct service app_service = {
    .name = "ua",
    .actions = actions,
    .methods = methods,
    .events = events,
    .start = start,
    .sessions = sessions,
    .stop = stop,
};
