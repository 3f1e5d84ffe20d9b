/* The methods that msrpd has whatever services run in it. */
#include "ctl/priv.h"

#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/stats.h"
#include "base/story.h"
#include "ctl/rpc.h"
#include "event/bus.h"

/* The events that a call names, all of them if it names none.  0: answered with an error. */
static uint64_t event_mask(const struct event_bus *bus, const struct param *names,
    struct reply *reply)
{
	uint64_t mask = 0;

	if (!names->present)
		return EVENT_ALL;
	for (size_t i = 0; i < names->count; i++) {
		const struct event_type *type = event_bus_find(bus, names->texts[i]);
		char why[128];

		if (!type) {
			snprintf(why, sizeof(why), "unknown event %.*s",
			    SLICE_ARG(names->texts[i]));
			reply_error(reply, RPC_INVALID_PARAMS, why);
			return 0;
		}
		mask |= event_bus_bit(bus, type);
	}
	if (!mask)
		reply_error(reply, RPC_INVALID_PARAMS, "names is an empty list");
	return mask;
}

static void change_events(const struct param *params, struct reply *reply, void *state, bool wanted)
{
	const struct rpc_caller *caller = json_reply_caller(reply);
	uint64_t mask = event_mask(ctl_server_daemon(state)->bus, &params[0], reply);

	if (!mask)
		return;
	if (!caller->want) {
		reply_error(reply, 400, "events need a connection that stays: a WebSocket");
		return;
	}
	caller->want(mask, wanted, caller->arg);
	reply_text(reply, NULL, SLICE("OK"));
}

static void event_subscribe(const struct param *params, struct reply *reply, void *state)
{
	change_events(params, reply, state, true);
}

static void event_unsubscribe(const struct param *params, struct reply *reply, void *state)
{
	change_events(params, reply, state, false);
}

struct wanted_stats {
	struct reply *reply;
	struct slice group; /* absent: all */
};

static void add_stats_item(const struct stats_item *item, void *arg)
{
	const struct wanted_stats *wanted = arg;
	char name[128];

	if (wanted->group.p && !slice_equal(wanted->group, slice_of(item->group)))
		return;
	if (item->times) {
		snprintf(name, sizeof(name), "%s:%s_count", item->group, item->name);
		reply_number(wanted->reply, name, (int64_t)item->times->count);
		snprintf(name, sizeof(name), "%s:%s_ms", item->group, item->name);
		reply_number(wanted->reply, name, (int64_t)item->times->sum_ms);
		return;
	}
	snprintf(name, sizeof(name), "%s:%s", item->group, item->name);
	reply_number(wanted->reply, name, (int64_t)item->value);
}

static void get_statistics(const struct param *params, struct reply *reply, void *state)
{
	const struct stats *stats = ctl_server_daemon(state)->stats;
	struct wanted_stats wanted = {.reply = reply};

	if (params[0].present)
		wanted.group = params[0].text;
	if (params[0].present && !stats_has_group(stats, params[0].text)) {
		reply_error(reply, 404, "unknown group of statistics");
		return;
	}
	reply_open_object(reply, NULL);
	stats_each(stats, add_stats_item, &wanted);
	reply_close(reply);
}

static void status(const struct param *params, struct reply *reply, void *state)
{
	const struct ctl_daemon *daemon = ctl_server_daemon(state);

	(void)params;
	reply_open_object(reply, NULL);
	daemon->status(reply, daemon->arg);
	reply_close(reply);
}

static void reload(const struct param *params, struct reply *reply, void *state)
{
	const struct ctl_daemon *daemon = ctl_server_daemon(state);

	(void)params;
	daemon->reload(reply, daemon->arg);
}

static void log_level(const struct param *params, struct reply *reply, void *state)
{
	enum log_level level;

	(void)state;
	if (params[0].present) {
		if (log_level_parse(params[0].text, &level) < 0) {
			reply_error(reply, 400, "level is none of error, warn, info, debug");
			return;
		}
		log_set_level(level);
	}
	reply_text(reply, NULL, slice_of(log_level_name(log_threshold)));
}

/* May who is answered call it at all? */
static bool is_open(const struct method *method, const struct reply *reply)
{
	return method->access != METHOD_OPERATOR || !json_reply_caller(reply)->owns;
}

static void add_name(const struct method *method, void *arg)
{
	if (is_open(method, arg))
		reply_text(arg, NULL, slice_of(method->name));
}

static void which(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	reply_open_list(reply, NULL);
	rpc_each_method(ctl_server_rpc(state), add_name, reply);
	reply_close(reply);
}

static void add_help(const struct method *method, void *arg)
{
	char params[256] = "";
	size_t len = 0;

	if (!is_open(method, arg))
		return;
	for (const struct param_spec *p = method->params; p && p->name && len < sizeof(params); p++)
		len += (size_t)snprintf(params + len, sizeof(params) - len, "%s%s%s",
		    len ? " " : "", p->name, p->required ? "" : "?");
	reply_open_object(arg, NULL);
	reply_text(arg, "command", slice_of(method->name));
	reply_text(arg, "params", slice_of(params));
	reply_text(arg, "help", slice_of(method->help));
	reply_close(arg);
}

static void help(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	reply_open_list(reply, NULL);
	rpc_each_method(ctl_server_rpc(state), add_help, reply);
	reply_close(reply);
}

static void add_line(const struct story_line *line, void *arg)
{
	time_t second = (time_t)(line->when_ms / 1000);
	char when[48];
	struct tm tm;
	size_t n;

	gmtime_r(&second, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03uZ", (unsigned)(line->when_ms % 1000));
	reply_open_object(arg, NULL);
	reply_text(arg, "time", slice_of(when));
	reply_text(arg, "level", slice_of(log_level_name(line->level)));
	reply_text(arg, "line", line->text);
	reply_close(arg);
}

static void why(const struct param *params, struct reply *reply, void *state)
{
	(void)state;
	reply_open_list(reply, NULL);
	if (story_tell(params[0].text, add_line, reply) > 0)
		reply_close(reply);
	else
		reply_error(reply, 404, "nothing is known of it, or not any more (log.memory)");
}

static const struct param_spec why_params[] = {
    {.name = "id", .kind = PARAM_TEXT, .required = true},
    {0},
};
static const struct param_spec names_params[] = {
    {.name = "names", .kind = PARAM_TEXTS},
    {0},
};
static const struct param_spec group_params[] = {
    {.name = "group", .kind = PARAM_TEXT},
    {0},
};
static const struct param_spec level_params[] = {
    {.name = "level", .kind = PARAM_TEXT},
    {0},
};

const struct method ctl_methods[] = {
    {.name = "event_subscribe",
	.params = names_params,
	.access = METHOD_USER,
	.call = event_subscribe,
	.help = "send these events (all) on this connection"},
    {.name = "event_unsubscribe",
	.params = names_params,
	.access = METHOD_USER,
	.call = event_unsubscribe,
	.help = "send these events (all) no more"},
    {.name = "get_statistics",
	.params = group_params,
	.call = get_statistics,
	.help = "counters and gauges, of one group or all"},
    {.name = "status", .call = status, .help = "version, listeners, number of sessions"},
    {.name = "reload", .call = reload, .help = "read the config again, as SIGHUP does"},
    {.name = "log_level",
	.params = level_params,
	.call = log_level,
	.help = "show or change what is logged"},
    {.name = "why",
	.params = why_params,
	.call = why,
	.help = "the story of a session, by its id, Call-ID or key"},
    {.name = "which", .access = METHOD_USER, .call = which, .help = "list the commands"},
    {.name = "help",
	.access = METHOD_USER,
	.call = help,
	.help = "list the commands with their parameters; ? marks what may be left out"},
    {0},
};
