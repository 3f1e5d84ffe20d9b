/* The service as main sees it: action, methods, events and settings. */
#include "anchor/anchor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/flow.h>
#include <msrpd/stats.h>

#include "anchor/priv.h"

static const struct event_type *const events[] = {&anchor_event_new, &anchor_event_end, NULL};

/* --- the action --- */

enum { ARG_RURI, ARG_FROM, ARG_TO, ARG_PROXY };

static const struct arg_spec args_of_anchor[] = {
    [ARG_RURI] = {.name = "ruri", .kind = ARG_TEXT, .required = true},
    [ARG_FROM] = {.name = "from", .kind = ARG_TEXT},
    [ARG_TO] = {.name = "to", .kind = ARG_TEXT},
    [ARG_PROXY] = {.name = "outbound_proxy", .kind = ARG_TEXT},
    {0},
};

static struct slice text_of(const struct arg *arg)
{
	return arg->present && arg->text.len ? arg->text : NOTHING;
}

static int run_anchor(const struct route_subject *subject, const struct arg *args, void *state)
{
	const struct anchor_call call = {
	    .ruri = args[ARG_RURI].text,
	    .from_uri = text_of(&args[ARG_FROM]),
	    .to_uri = text_of(&args[ARG_TO]),
	    .node = text_of(&args[ARG_PROXY]),
	    .flow = sip_request_flow_to(subject->request, args[ARG_RURI].text),
	};

	return anchor_call(state, subject->request, &call);
}

static const struct action actions[] = {
    {.name = "msrp_anchor",
	.lists = ROUTE_SIP,
	.args = args_of_anchor,
	.ends_walk = true,
	.answers = true,
	.run = run_anchor},
    {0},
};

/* --- methods --- */

static void put_leg(const struct anchor_leg *leg, const char *key, struct reply *out)
{
	reply_open_object(out, key);
	reply_text(out, "session_id", leg_id(leg));
	reply_text(out, "call_id", sip_dialog_call_id(leg->dialog));
	reply_text(out, "peer_path", leg->peer.path);
	reply_bool(out, "connected", leg->user.conn != NULL);
	reply_number(out, "messages", (int64_t)leg->traffic.messages);
	reply_number(out, "bytes", (int64_t)leg->traffic.bytes);
	reply_close(out);
}

static void put_anchor(const struct anchor *a, struct reply *out)
{
	reply_open_object(out, NULL);
	reply_text(out, "id", slice_of(a->id));
	reply_text(out, "state", a->established ? SLICE("established") : SLICE("setup"));
	reply_text(out, "from_uri", sip_address_uri(a->second.from_uri));
	reply_text(out, "to_uri", sip_address_uri(a->second.to_uri));
	reply_text(out, "ruri", a->second.ruri);
	put_leg(a->legs[CALLER], "caller", out);
	put_leg(a->legs[CALLEE], "callee", out);
	reply_close(out);
}

static void call_list(const struct param *params, struct reply *out, void *state)
{
	struct anchors *all = state;
	struct anchor *a, *next;

	(void)params;
	reply_open_list(out, NULL);
	HASH_ITER(hh, all->table, a, next)
	put_anchor(a, out);
	reply_close(out);
}

static const struct param_spec end_params[] = {
    {.name = "id", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_end(const struct param *params, struct reply *out, void *state)
{
	struct anchor *a = anchor_find(state, params[0].text);

	if (!a) {
		reply_error(out, 404, "no such session");
		return;
	}
	anchor_finish(a, ANCHOR_ENDED, NOTHING);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct method methods[] = {
    {.name = "msrp_anchor_list", .call = call_list, .help = "list anchored sessions"},
    {.name = "msrp_anchor_end",
	.params = end_params,
	.call = call_end,
	.help = "end an anchored session"},
    {0},
};

/* --- the service --- */

#define NUMBER(field) .name = #field, .offset = offsetof(struct anchor_counters, field)
#define ENDED(end)    offsetof(struct anchor_counters, ended[end])

static const struct stats_row numbers[] = {
    {NUMBER(sessions), .help = "anchored sessions now", .gauge = true},
    {NUMBER(started), .help = "INVITEs that a second one was sent for"},
    {NUMBER(refused), .help = "INVITEs that none could be sent for"},
    {NUMBER(established), .help = "sessions established between both sides"},
    {NUMBER(failed), .help = "sessions that were not: refused, cancelled, no answer"},
    {.name = "ended_bye", .help = "sessions ended by either side", .offset = ENDED(ANCHOR_BYE)},
    {.name = "ended_ended", .help = "sessions ended by an operator", .offset = ENDED(ANCHOR_ENDED)},
    {.name = "ended_expired",
	.help = "sessions ended by max_duration",
	.offset = ENDED(ANCHOR_EXPIRED)},
    {.name = "ended_failed",
	.help = "sessions that lost a connection or a dialog",
	.offset = ENDED(ANCHOR_FAILED)},
    {.name = "ended_stopped",
	.help = "sessions ended because msrpd stops",
	.offset = ENDED(ANCHOR_STOPPED)},
    {NUMBER(lost), .help = "connections lost within sessions"},
    {NUMBER(reconnected), .help = "connections that were there again in time"},
    {0},
};

static const struct forwarder_ops forwarder_ops = {0};

static int set_up(struct anchors *all)
{
	const struct anchor_settings *s = all->settings;
	struct event_base *base = all->env.base;
	int err = stats_register(all->env.stats, "anchor", numbers, &all->count);

	if (err == 0)
		err = timer_queue_init(&all->ringing, base, s->ring_timeout_ms, anchor_on_ringing,
		    all);
	if (err == 0)
		err = timer_queue_init(&all->duration, base, s->max_duration_ms, anchor_on_duration,
		    all);
	if (err == 0)
		err = timer_queue_init(&all->grace, base, s->reconnect_grace_ms, leg_on_grace, all);
	if (err == 0)
		err = timer_queue_init(&all->retry, base, ANCHOR_RETRY_MS, leg_on_retry, all);
	if (err == 0)
		err = forwarder_init(&all->forwarder, all->env.msrp, &forwarder_ops, all->env.stats,
		    "anchor");
	return err;
}

static void quit(void *state)
{
	struct anchors *all = state;

	while (all->table) {
		call_give_up(all->table->legs[CALLER], 503, SLICE("Shutting Down"));
		anchor_finish(all->table, ANCHOR_STOPPED, NOTHING);
	}
}

static void stop(void *state)
{
	struct anchors *all = state;

	if (!all)
		return;
	quit(all);
	forwarder_fini(&all->forwarder);
	timer_queue_fini(&all->ringing);
	timer_queue_fini(&all->duration);
	timer_queue_fini(&all->grace);
	timer_queue_fini(&all->retry);
	free(all);
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct anchors *all;
	int err;

	if (!env->sip)
		return 0;
	all = calloc(1, sizeof(*all));
	if (!all)
		return reason_set(why, -ENOMEM, "out of memory");
	all->env = *env;
	all->settings = settings;
	all->locals = ua_locals(env->ua);
	err = set_up(all);
	if (err < 0) {
		stop(all);
		return reason_set(why, err, "%s", strerror(-err));
	}
	*statep = all;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	const struct anchor_settings *s = settings;
	struct anchors *all = state;

	(void)why;
	all->settings = s;
	timer_queue_set_period(&all->ringing, s->ring_timeout_ms);
	timer_queue_set_period(&all->duration, s->max_duration_ms);
	timer_queue_set_period(&all->grace, s->reconnect_grace_ms);
	if (!s->reconnect_grace_ms)
		leg_end_grace(all);
	forwarder_reload(&all->forwarder);
	return 0;
}

static size_t sessions(const void *state)
{
	const struct anchors *all = state;

	return HASH_COUNT(all->table);
}

const struct service anchor_service = {
    .name = "anchor",
    .section = "anchor",
    .settings = anchor_settings_rows,
    .settings_size = sizeof(struct anchor_settings),
    .actions = actions,
    .methods = methods,
    .events = events,
    .start = start,
    .reload = reload,
    .sessions = sessions,
    .quit = quit,
    .stop = stop,
};
