/* The service: its tables, its directory, its time. */
#include "files/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/stats.h>
#include <msrpd/story.h>

#include "files/priv.h"

enum { SCAN_MS = 60000 };

/* --- what peers add to sessions --- */

static int on_offered(struct ua_session *carrier, const struct ua_file *file,
    struct ua_offer *offer, void *arg)
{
	struct files *files = arg;
	const struct ua_files *settings = ua_files(files->ua);
	const struct receive_rule rule = {
	    .content_types = slice_of(settings->accept_in_session),
	    .max_size = settings->max_size,
	};
	const struct story of = {.session_id = slice_of(ua_session_id(carrier))};
	struct ua_session_info info;
	const char *reason = "ua.files.accept_in_session takes none";
	struct transfer *t;
	int code = 488;

	ua_session_info(carrier, &info);
	if (settings->accept_in_session)
		code = receive_begin(&t, files, file, info.uac ? info.to_uri : info.from_uri, &rule,
		    offer, &reason);
	if (code)
		story_refuse(&of, code, "files: session %s: a file refused: %s",
		    ua_session_id(carrier), reason);
	return code ? -EPROTO : 0;
}

static void on_made(struct ua_session *s, const struct ua_offer *offer)
{
	if (s)
		receive_set_session(offer->arg, s);
	else
		receive_forget(offer->arg);
}

/* --- the action --- */

static const struct arg_spec accept_args[] = {
    {.name = "content_types", .kind = ARG_TEXT, .check = ua_check_types},
    {.name = "max_size", .kind = ARG_NUMBER},
    {0},
};

static int check_accept(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	(void)place;
	return args[1].present && args[1].number < 0
	    ? reason_set(why, -EINVAL, "max_size is less than nothing")
	    : 0;
}

static int refuse(struct sip_request *request, int code, const char *reason)
{
	const struct story of = {.call_id = sip_request_field(request, SIP_FIELD_CALL_ID)};
	struct slice phrase = code == 480 ? SLICE("Temporarily Unavailable")
	    : code == 500                 ? SLICE("Server Internal Error")
					  : SLICE("Not Acceptable Here");

	/* No code: the answer's has a line of its own. */
	story_refuse(&of, 0, "files: a file refused: %s", reason);
	sip_request_reply(request, code, phrase, (struct slice){NULL, 0});
	return -EPROTO;
}

static int run_accept(const struct route_subject *subject, const struct arg *args, void *arg)
{
	struct files *files = arg;
	struct sip_request *request = subject->request;
	struct receive_rule rule;
	struct ua_offer offer = {0};
	const char *reason;
	struct ua_session *s;
	struct transfer *t;
	struct ua_file file;
	int code, err;

	if (!files || !files->worker)
		return refuse(request, 500, "ua.files is not in the configuration");
	rule.content_types = args[0].present ? args[0].text : SLICE("*");
	rule.max_size = ua_files(files->ua)->max_size;
	if (args[1].present && (uint64_t)args[1].number < rule.max_size)
		rule.max_size = (uint64_t)args[1].number;
	if (ua_file_of(request, &file) < 0)
		return refuse(request, 488, "the offer has no stream for a file");
	code = receive_begin(&t, files, &file, sip_request_field(request, SIP_FIELD_FROM_URI),
	    &rule, &offer, &reason);
	if (code)
		return refuse(request, code, reason);
	err = ua_answer(files->ua, request, &offer, &s);
	if (err < 0)
		receive_forget(t);
	else
		receive_set_session(t, s);
	return err;
}

static const struct action actions[] = {
    {.name = "msrp_file_accept",
	.lists = ROUTE_SIP,
	.args = accept_args,
	.ends_walk = true,
	.answers = true,
	.run = run_accept,
	.check = check_accept},
    {0},
};

/* --- methods --- */

enum { SEND_SESSION, SEND_FROM, SEND_TO, SEND_RURI, SEND_PATH, SEND_MIME, SEND_NAME };

static const struct param_spec send_params[] = {
    [SEND_SESSION] = {.name = "session_id", .kind = PARAM_TEXT},
    [SEND_FROM] = {.name = "from_uri", .kind = PARAM_TEXT},
    [SEND_TO] = {.name = "to_uri", .kind = PARAM_TEXT},
    [SEND_RURI] = {.name = "ruri", .kind = PARAM_TEXT},
    [SEND_PATH] = {.name = "path", .kind = PARAM_TEXT, .required = true},
    [SEND_MIME] = {.name = "mime", .kind = PARAM_TEXT},
    [SEND_NAME] = {.name = "name", .kind = PARAM_TEXT},
    {0},
};

static const char *what_failed(int err, const char *step)
{
	if (strcmp(step, "session") != 0)
		return err == -ENODATA ? "an empty file, which MSRP cannot bring"
		    : err == -EINVAL   ? "not a regular file"
		    : err == -ENOBUFS  ? "msrp.max_memory is reached"
				       : strerror(-err);
	switch (err) {
	case -EINVAL:
		return "a URI that is none";
	case -EDESTADDRREQ:
		return "a ruri of this scheme needs sip.outbound_proxy";
	case -EPROTO:
		return "the session belongs to another service";
	case -ENOBUFS:
		return "too much is under way there";
	case -EPIPE:
		return "the session is ending";
	case -ENETUNREACH:
		return "no SIP listener can reach it";
	default:
		return strerror(-err);
	}
}

static const char *bad_order(const struct param *params)
{
	bool uris =
	    params[SEND_FROM].present && params[SEND_TO].present && params[SEND_RURI].present;
	bool any =
	    params[SEND_FROM].present || params[SEND_TO].present || params[SEND_RURI].present;

	if (params[SEND_SESSION].present ? any : !uris)
		return "wants either session_id, or from_uri, to_uri and ruri";
	if (params[SEND_MIME].present && !ua_type_in(SLICE("*"), params[SEND_MIME].text))
		return "mime is not a media type";
	if (params[SEND_NAME].present
	    && (params[SEND_NAME].text.len == 0 || params[SEND_NAME].text.len > 255))
		return "name has no or more than 255 bytes";
	return NULL;
}

static void call_send(const struct param *params, struct reply *reply, void *arg)
{
	struct files *files = arg;
	struct send_order order = {
	    .from_uri = params[SEND_FROM].text,
	    .to_uri = params[SEND_TO].text,
	    .ruri = params[SEND_RURI].text,
	    .type = params[SEND_MIME].text,
	    .name = params[SEND_NAME].text,
	};
	struct source source;
	const char *fault = bad_order(params), *step;
	struct transfer *t;
	int err;

	if (!files || !files->worker) {
		reply_error(reply, 500, "ua.files is not in the configuration");
		return;
	}
	if (!fault)
		fault = source_find(&source, params[SEND_PATH].text, ua_files(files->ua));
	if (fault) {
		reply_error(reply, 400, fault);
		return;
	}
	if (params[SEND_SESSION].present) {
		order.carrier = ua_find(files->ua, params[SEND_SESSION].text);
		if (!order.carrier) {
			reply_error(reply, 404, "unknown session");
			return;
		}
	}
	order.source = &source;
	err = send_begin(files, &order, &t, &step);
	if (err < 0) {
		reply_error(reply,
		    err == -ENOMEM || err == -ENOBUFS || err == -ENETUNREACH ? 500 : 400,
		    what_failed(err, step));
		return;
	}
	reply_open_object(reply, NULL);
	reply_text(reply, "session_id", slice_of(t->session_id));
	reply_number(reply, "size", (int64_t)t->size);
	reply_close(reply);
}

static void call_list(const struct param *params, struct reply *reply, void *arg)
{
	struct files *files = arg;
	struct transfer *t;

	(void)params;
	reply_open_list(reply, NULL);
	for (t = files ? TAILQ_FIRST(&files->all) : NULL; t; t = TAILQ_NEXT(t, next)) {
		if (t->over || !t->session_id)
			continue;
		reply_open_object(reply, NULL);
		reply_text(reply, "session_id", slice_of(t->session_id));
		reply_text(reply, "direction", t->out ? SLICE("out") : SLICE("in"));
		reply_text(reply, "name", slice_of(t->name));
		reply_text(reply, "type", slice_of(t->type));
		if (t->size == UINT64_MAX)
			reply_null(reply, "size");
		else
			reply_number(reply, "size", (int64_t)t->size);
		reply_number(reply, "bytes", (int64_t)(t->offset + t->moved));
		reply_close(reply);
	}
	reply_close(reply);
}

static const struct method methods[] = {
    {.name = "msrp_ua_send_file",
	.params = send_params,
	.call = call_send,
	.help = "send a file from disk, in a session or in one of its own"},
    {.name = "msrp_ua_list_files", .call = call_list, .help = "list files that are under way"},
    {0},
};

/* --- time --- */

static void on_idle(struct timer_entry *entry, void *arg)
{
	struct transfer *t = (struct transfer *)((char *)entry - offsetof(struct transfer, idle));

	(void)arg;
	if (t->out)
		send_timeout(t, false);
	else
		receive_timeout(t, false);
}

static void on_unconfirmed(struct timer_entry *entry, void *arg)
{
	struct transfer *t =
	    (struct transfer *)((char *)entry - offsetof(struct transfer, confirm));

	(void)arg;
	if (t->out)
		send_timeout(t, true);
	else
		receive_timeout(t, true);
}

static void work_scan(struct job *job)
{
	struct files *files = (struct files *)((char *)job - offsetof(struct files, scan_job));

	files->scan_err = store_scan(files->store.fd, &files->scanned);
}

/* Somebody may have taken files away. */
static void on_scanned(struct job *job)
{
	struct files *files = (struct files *)((char *)job - offsetof(struct files, scan_job));

	files->scanning = false;
	if (files->scan_err == 0 && files->begun == files->begun_before)
		files->store.used = files->scanned;
}

static void on_scan_due(void *arg)
{
	struct files *files = arg;

	timer_start(&files->scan, SCAN_MS);
	if (files->scanning || !TAILQ_EMPTY(&files->all))
		return;
	files->scanning = true;
	files->begun_before = files->begun;
	files->scan_job.work = work_scan;
	files->scan_job.done = on_scanned;
	worker_put(files->worker, &files->scan_job);
}

/* --- the service --- */

static const struct event_type *const events[] = {
    &files_received,
    &files_sent,
    &files_failed,
    &files_progress,
    NULL,
};

#define NUMBER(field) .name = #field, .offset = offsetof(struct files_counters, field)

static const struct stats_row numbers[] = {
    {NUMBER(sent), .help = "Files sent"},
    {NUMBER(received), .help = "Files received"},
    {NUMBER(failed), .help = "Files that were not sent or received"},
    {NUMBER(under_way), .help = "Files under way at this moment", .gauge = true},
    {NUMBER(bytes_in), .help = "Bytes of files received"},
    {NUMBER(bytes_out), .help = "Bytes of files sent"},
    {0},
};

static void stop(void *state)
{
	struct files *files = state;

	if (!files)
		return;
	if (files->ua)
		ua_set_taker(files->ua, NULL);
	worker_free(files->worker);
	timer_fini(&files->scan);
	timer_queue_fini(&files->idle);
	timer_queue_fini(&files->confirm);
	store_close(&files->store);
	free(files);
}

static int set_up(struct files *files, const struct service_env *env)
{
	const struct ua_files *settings = ua_files(env->ua);
	int err = timer_init(&files->scan, env->base, on_scan_due, files);

	if (err == 0)
		err = timer_queue_init(&files->idle, env->base, settings->idle_timeout_ms, on_idle,
		    files);
	if (err == 0)
		err =
		    timer_queue_init(&files->confirm, env->base, CONFIRM_MS, on_unconfirmed, files);
	if (err == 0)
		err = stats_register(env->stats, "files", numbers, &files->count);
	if (err == 0)
		err = worker_new(&files->worker, env->base, TASKS);
	return err;
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct files *files;
	int err;

	(void)settings;
	if (!env->ua || !ua_files(env->ua)->present)
		return 0;
	files = calloc(1, sizeof(*files));
	if (!files)
		return reason_set(why, -ENOMEM, "out of memory");
	files->bus = env->bus;
	files->budget = env->budget;
	files->ua = env->ua;
	files->store.fd = -1;
	TAILQ_INIT(&files->all);
	err = store_open(&files->store, ua_files(env->ua)->directory, why);
	if (err == 0) {
		err = set_up(files, env);
		if (err < 0)
			reason_set(why, err, "out of memory");
	}
	if (err < 0) {
		stop(files);
		return err;
	}
	files->taker = (struct ua_taker){.offered = on_offered, .made = on_made, .arg = files};
	ua_set_taker(env->ua, &files->taker);
	timer_start(&files->scan, SCAN_MS);
	*statep = files;
	return 0;
}

static size_t sessions(const void *state)
{
	const struct files *files = state;

	return (size_t)*files->count.under_way;
}

const struct service files_service = {
    .name = "files",
    .actions = actions,
    .methods = methods,
    .events = events,
    .start = start,
    .sessions = sessions,
    .stop = stop,
};
