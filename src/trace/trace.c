/* The command msrp_trace: a trace is on or off, and goes to one file or one collector. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/control.h>
#include <msrpd/log.h>
#include <msrpd/stats.h>

#include "trace/priv.h"

enum {
	RECORD_MAX = 2 * TRACE_PACKET_MAX,
	STOP_MS = 100,  /* a disk that is slower is not waited for */
	EXIT_MS = 2000, /* the same at the end of all */
	NAME_MAX_BYTES = 200,
};

#define COUNT(member) .offset = offsetof(struct trace, count.member)

static const struct stats_row counters[] = {
    {.name = "messages", .help = "messages that a trace has taken", COUNT(messages)},
    {.name = "lost", .help = "messages that a trace has lost", COUNT(lost)},
    {.name = "on", .help = "traces that run now", COUNT(on), .gauge = true},
    {0},
};

void trace_lose(struct trace *trace, unsigned messages)
{
	trace->lost += messages;
	*trace->count.lost += messages;
}

/* What the thread could not write; the first time is worth a line. */
static void note_unwritten(struct trace *trace, unsigned lost, int err)
{
	trace_lose(trace, lost);
	if (lost && !trace->said_error)
		log_warn("trace: %s: %s", trace->target, strerror(-err));
	trace->said_error = trace->said_error || lost;
}

void trace_collect_lost(struct trace *trace)
{
	int err = 0;
	unsigned lost = trace_writer_lost(trace->writer, &err);

	note_unwritten(trace, lost, err);
}

/* --- off --- */

static bool turn_off(struct trace *trace, unsigned wait_ms)
{
	unsigned lost = 0;
	bool whole;
	int err = 0;

	if (!trace->writer)
		return true;
	net_tap_set(trace->net, NULL, NULL);
	whole = trace_writer_stop(trace->writer, wait_ms, &lost, &err);
	trace->writer = NULL;
	note_unwritten(trace, lost, err);
	trace_streams_forget(trace);
	trace_filter_free(trace->filter);
	trace->filter = NULL;
	buffer_fini(&trace->record);
	*trace->count.on = 0;
	log_info("trace: off: %s: %llu messages, %llu lost", trace->target,
	    (unsigned long long)trace->messages, (unsigned long long)trace->lost);
	return whole;
}

static void put_state(const struct trace *trace, struct reply *reply)
{
	reply_open_object(reply, NULL);
	reply_text(reply, "mode", trace->writer ? SLICE("on") : SLICE("off"));
	reply_text(reply, trace->hep ? "hep" : "file", slice_of(trace->target));
	reply_number(reply, "messages", (int64_t)trace->messages);
	reply_number(reply, "lost", (int64_t)trace->lost);
	reply_close(reply);
}

/* --- on --- */

enum { MODE, SESSION_ID, ADDRESS, USER, FILE_NAME, HEP, BODIES };

static const struct param_spec trace_params[] = {
    [MODE] = {.name = "mode", .kind = PARAM_TEXT, .required = true},
    [SESSION_ID] = {.name = "session_id", .kind = PARAM_TEXT},
    [ADDRESS] = {.name = "address", .kind = PARAM_TEXT},
    [USER] = {.name = "user", .kind = PARAM_TEXT},
    [FILE_NAME] = {.name = "file", .kind = PARAM_TEXT},
    [HEP] = {.name = "hep", .kind = PARAM_WORD},
    [BODIES] = {.name = "bodies", .kind = PARAM_NUMBER},
    {0},
};

/* Where it goes. */
struct destination {
	struct slice hep;  /* absent: to a file */
	struct slice file; /* its name; absent: one of our own */
};

static int choose(const struct trace *trace, const struct param *params, struct destination *to,
    struct reason *why)
{
	const struct trace_settings *s = trace->settings;
	bool no_hep = slice_equal(params[HEP].text, SLICE("false"));

	*to = (struct destination){.file = params[FILE_NAME].text};
	if (params[HEP].present && !no_hep) {
		to->hep = slice_equal(params[HEP].text, SLICE("true")) ? slice_of(s->hep)
								       : params[HEP].text;
		if (to->file.p)
			return reason_set(why, -EINVAL, "either file or hep");
		if (!to->hep.p)
			return reason_set(why, -EINVAL, "there is no trace.hep");
	} else if (!to->file.p && !s->directory && !no_hep) {
		to->hep = slice_of(s->hep);
	}
	if (!to->hep.p && !s->directory)
		return reason_set(why, -EINVAL,
		    "there is neither trace.directory nor a place for hep");
	return 0;
}

/* A name in the directory, which may stand in front of it. */
static int make_path(const struct trace *trace, struct slice name, char **pathp, struct reason *why)
{
	const char *directory = trace->settings->directory;
	struct slice prefix = slice_of(directory);
	char own[64], *path;
	time_t now = time(NULL);
	struct tm tm;

	if (!name.p) {
		localtime_r(&now, &tm);
		strftime(own, sizeof(own), "msrpd-%Y%m%d-%H%M%S.pcapng", &tm);
		name = slice_of(own);
	}
	if (name.len > prefix.len && slice_equal(slice_head(name, prefix.len), prefix)
	    && name.p[prefix.len] == '/')
		name = slice_from(name, prefix.len + 1);
	if (name.len == 0 || name.len > NAME_MAX_BYTES || name.p[0] == '.'
	    || memchr(name.p, '/', name.len) || !slice_is_one_line(name))
		return reason_set(why, -EINVAL, "file is not a name in %s", directory);
	if (asprintf(&path, "%s/%.*s", directory, SLICE_ARG(name)) < 0)
		return reason_set(why, -ENOMEM, "out of memory");
	*pathp = path;
	return 0;
}

static int open_file(struct trace *trace, struct slice name, struct reason *why)
{
	char begin[512];
	struct buffer w = BUFFER_ON(begin);
	struct trace_writer_options options = {.queue = trace->settings->queue,
	    .max_file = trace->settings->max_file,
	    .files = (unsigned)trace->settings->files};
	int err = make_path(trace, name, &trace->target, why);

	if (err < 0)
		return err;
	trace_pcapng_begin(&w);
	options.path = trace->target;
	options.begin = buffer_text(&w);
	return trace_writer_new(&trace->writer, &options, why);
}

static int open_hep(struct trace *trace, struct slice place, struct reason *why)
{
	struct trace_writer_options options = {.queue = trace->settings->queue};

	if (trace_hep_parse(place, &options.host, &options.port) < 0)
		return reason_set(why, -EINVAL, "hep is not HOST:PORT");
	trace->target = slice_dup(place);
	if (!trace->target)
		return reason_set(why, -ENOMEM, "out of memory");
	return trace_writer_new(&trace->writer, &options, why);
}

/* Calls may be older than the trace. */
static void on_session(struct ua_session *s, void *arg)
{
	struct ua_session_info info;

	ua_session_info(s, &info);
	trace_filter_know(arg, slice_of(ua_session_id(s)), &info);
}

static int turn_on(struct trace *trace, const struct param *params, const struct destination *to,
    struct reason *why)
{
	const struct trace_filter_options filter = {
	    .session_id = params[SESSION_ID].text,
	    .user = params[USER].text,
	    .address = params[ADDRESS].text,
	};
	int err = trace_filter_new(&trace->filter, &filter, why);

	if (err < 0)
		return err;
	if (trace->ua)
		ua_each(trace->ua, on_session, trace->filter);
	free(trace->target);
	trace->target = NULL;
	trace->hep = to->hep.p;
	trace->messages = trace->lost = 0;
	trace->said_error = false;
	trace->bodies = params[BODIES].present ? (uint64_t)params[BODIES].number : UINT64_MAX;
	trace->record.max = RECORD_MAX;
	err = trace->hep ? open_hep(trace, to->hep, why) : open_file(trace, to->file, why);
	if (err < 0) {
		trace_filter_free(trace->filter);
		trace->filter = NULL;
		return err;
	}
	*trace->count.on = 1;
	net_tap_set(trace->net, &trace_tap_ops, trace);
	log_info("trace: on: %s", trace->target);
	return 0;
}

static void refuse(struct reply *reply, int err, const struct reason *why)
{
	reply_error(reply, err == -EINVAL || err == -EEXIST ? 400 : 500, why->text);
}

/* A trace that runs is ended by one that can be begun, and by no other. */
static void on_trace(const struct param *params, struct reply *reply, void *state)
{
	struct trace *trace = state;
	struct destination to;
	struct reason why;
	int err = 0;

	if (params[BODIES].present && params[BODIES].number < 0)
		err = reason_set(&why, -EINVAL, "bodies is less than 0");
	else if (slice_equal(params[MODE].text, SLICE("on")))
		err = choose(trace, params, &to, &why);
	else if (!slice_equal(params[MODE].text, SLICE("off")))
		err = reason_set(&why, -EINVAL, "mode is neither on nor off");
	if (err == 0) {
		turn_off(trace, STOP_MS);
		if (slice_equal(params[MODE].text, SLICE("on")))
			err = turn_on(trace, params, &to, &why);
	}
	if (err < 0)
		refuse(reply, err, &why);
	else
		put_state(trace, reply);
}

/* --- the service --- */

static void stop(void *state)
{
	struct trace *trace = state;

	if (!trace)
		return;
	turn_off(trace, EXIT_MS);
	free(trace->target);
	free(trace);
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	reason_set(why, -ENOMEM, "out of memory");
	if (!trace)
		return -ENOMEM;
	trace->settings = settings;
	trace->net = env->net;
	trace->ua = env->ua;
	if (stats_register(env->stats, "trace", counters, trace) < 0) {
		free(trace);
		return -ENOMEM;
	}
	*statep = trace;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	struct trace *trace = state;

	(void)why;
	trace->settings = settings;
	return 0;
}

static const struct method methods[] = {
    {.name = "msrp_trace",
	.params = trace_params,
	.call = on_trace,
	.help = "write down what goes over the wire, to a file or a collector"},
    {0},
};

const struct service trace_service = {
    .name = "trace",
    .section = "trace",
    .settings = trace_settings_rows,
    .settings_size = sizeof(struct trace_settings),
    .methods = methods,
    .start = start,
    .reload = reload,
    .stop = stop,
};
