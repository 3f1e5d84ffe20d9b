/* The gateway as main sees it: actions, methods, events and settings. */
#include "gw/gw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/hash.h>
#include <msrpd/stats.h>

#include "gw/priv.h"

enum {
	ANSWER_MS = 30000, /* a MESSAGE has to be answered before SIP gives up */
	GLARE_MS = 2000,   /* our INVITE has to be answered when another met it */
	OWNER_MS = 5000,   /* another node may have given a key back by then */
};

static const struct event_type *const events[] = {
    &gw_session_new,
    &gw_session_end,
    &gw_setup_failed,
    &gw_message_failed,
    NULL,
};

/* --- actions --- */

enum { ANSWER_KEY, ANSWER_TYPES, ANSWER_FROM, ANSWER_TO, ANSWER_RURI, ANSWER_HEADERS };

static const struct arg_spec answer_args[] = {
    [ANSWER_KEY] = {.name = "key", .kind = ARG_TEXT, .required = true},
    [ANSWER_TYPES] = {.name = "content_types",
	.kind = ARG_TEXT,
	.required = true,
	.check = ua_check_types},
    [ANSWER_FROM] = {.name = "from", .kind = ARG_TEXT, .required = true},
    [ANSWER_TO] = {.name = "to", .kind = ARG_TEXT, .required = true},
    [ANSWER_RURI] = {.name = "ruri", .kind = ARG_TEXT, .required = true},
    [ANSWER_HEADERS] = {.name = "headers", .kind = ARG_HEADERS, .choices = sip_own_headers},
    {0},
};

/* A rule that says $fu or $tu means that person, who may have a display name. */
static struct slice with_name(const struct sip_request *request, struct slice uri)
{
	static const struct {
		enum sip_field uri, address;
	} both[] = {
	    {SIP_FIELD_FROM_URI, SIP_FIELD_FROM},
	    {SIP_FIELD_TO_URI, SIP_FIELD_TO},
	};

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		if (slice_equal(sip_request_field(request, both[i].uri), uri))
			return sip_request_field(request, both[i].address);
	return uri;
}

static int run_answer(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct gw_names names = {
	    .from = with_name(subject->request, args[ANSWER_FROM].text),
	    .to = with_name(subject->request, args[ANSWER_TO].text),
	    .ruri = args[ANSWER_RURI].text,
	    .flow = sip_request_flow_to(subject->request, args[ANSWER_RURI].text),
	    .answer_headers = args[ANSWER_HEADERS].text,
	};
	struct buffer passed = {.max = BUFFER_UNBOUNDED};
	int err;

	sip_request_add_passed(subject->request, &passed);
	names.headers = buffer_text(&passed);
	err = passed.err ? passed.err
			 : gw_binding_answer(state, subject->request, args[ANSWER_KEY].text,
			     args[ANSWER_TYPES].text, &names);
	buffer_fini(&passed);
	return err;
}

enum { MESSAGE_KEY, MESSAGE_TYPES, MESSAGE_CONFIRM, MESSAGE_HEADERS };

static const char *const confirm_choices[] = {"accepted", "sent", "delivered", NULL};

static const struct arg_spec message_args[] = {
    [MESSAGE_KEY] = {.name = "key", .kind = ARG_TEXT, .required = true},
    [MESSAGE_TYPES] = {.name = "content_types",
	.kind = ARG_TEXT,
	.required = true,
	.check = ua_check_types},
    [MESSAGE_CONFIRM] = {.name = "confirm", .kind = ARG_CHOICE, .choices = confirm_choices},
    [MESSAGE_HEADERS] = {.name = "headers", .kind = ARG_HEADERS, .choices = sip_own_headers},
    {0},
};

static enum gw_confirm confirm_of(const struct arg *args)
{
	return args[MESSAGE_CONFIRM].present ? (enum gw_confirm)args[MESSAGE_CONFIRM].number
					     : GW_ACCEPTED;
}

void gw_reply(struct sip_request *message, int code)
{
	sip_request_reply(message, code, (struct slice){NULL, 0}, (struct slice){NULL, 0});
}

static int refuse(struct sip_request *message, int code, int err)
{
	gw_reply(message, code);
	return err;
}

static int start_error(struct sip_request *message, int err)
{
	switch (err) {
	case -EINVAL:
		return refuse(message, 400, err);
	case -EDESTADDRREQ:
		sip_request_reply(message, 400, SLICE(PAGE_NO_PROXY), (struct slice){NULL, 0});
		return err;
	case -ENETUNREACH:
	case -ENOBUFS:
		return refuse(message, 503, err);
	default:
		return refuse(message, 500, err);
	}
}

static int take(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	struct gw_binding *b = gw_binding_find(gw, order->key);
	int err;

	if (b && b->theirs && gw_binding_yields(b)) {
		gw_binding_end(b, UA_END_BYE);
		b = NULL;
	}
	if (!b && gw_remote_knows(gw, message, order))
		return 0;
	if (!b && sip_request_hops(message) == 0)
		return refuse(message, 483, -EHOSTUNREACH);
	if (!b && (err = gw_delivery_fits(gw, message)) < 0)
		return refuse(message, 480, err);
	if (!b) {
		err = gw_binding_call(&b, gw, message, order);
		if (err < 0)
			return start_error(message, err);
	}
	err = gw_deliver(b, message, order);
	if (err == 0)
		gw_binding_heard(b, message);
	return err;
}

/* Unless it has come before, which is no error. */
static int take_once(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	int err;

	if (gw_recent_note(gw, message, order->passes)) {
		++*gw->count.duplicates;
		if (order->last)
			gw_reply(message, 202);
		return 0;
	}
	err = take(gw, message, order);
	if (err < 0)
		gw_recent_forget(gw, message, order->passes);
	return err;
}

static bool is_composing(const struct sip_request *message)
{
	return gw_is_composing(sip_request_field(message, SIP_FIELD_CONTENT_TYPE),
	    sip_request_field(message, SIP_FIELD_BODY));
}

int gw_take(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	return is_composing(message) ? gw_composing_take(gw, message, order)
				     : take_once(gw, message, order);
}

static int check_content(struct sip_request *message)
{
	struct slice method = sip_request_field(message, SIP_FIELD_METHOD);

	if (!slice_equal(method, SLICE("MESSAGE")))
		return refuse(message, 500, -EINVAL); /* the rule takes an INVITE for one */
	if (!sip_request_field(message, SIP_FIELD_BODY).len
	    || !sip_request_field(message, SIP_FIELD_CONTENT_TYPE).len)
		return refuse(message, 400, -EBADMSG);
	return 0;
}

static int run_message(const struct route_subject *subject, const struct arg *args, void *state)
{
	const struct gw_order order = {
	    .key = args[MESSAGE_KEY].text,
	    .invite = {args[MESSAGE_TYPES].text, args[MESSAGE_HEADERS].text},
	    .confirm = confirm_of(args),
	    .last = subject->last,
	};
	struct sip_request *message = subject->request;
	int err = check_content(message);

	return err < 0 ? err : gw_take(state, message, &order);
}

/* What another node answers this one must not. */
static int check_message(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	if (place->env->cluster && !(place->first && place->last))
		return reason_set(why, -EINVAL,
		    "in a cluster answers by itself: no send_reply or the like beside it");
	if (place->last || confirm_of(args) == GW_ACCEPTED)
		return 0;
	return reason_set(why, -EINVAL,
	    "with confirm: %s answers by itself: no send_reply or the like behind it",
	    confirm_choices[confirm_of(args)]);
}

static const struct action actions[] = {
    {.name = "msrp_gw_answer",
	.lists = ROUTE_SIP,
	.args = answer_args,
	.ends_walk = true,
	.answers = true,
	.run = run_answer},
    {.name = "msg_to_msrp",
	.lists = ROUTE_SIP,
	.args = message_args,
	.run = run_message,
	.check = check_message},
    {0},
};

/* --- methods --- */

static void put_binding(const struct gw_binding *b, struct reply *out)
{
	reply_open_object(out, NULL);
	reply_text(out, "key", slice_of(b->key));
	reply_text(out, "msg_side_from", sip_address_uri(b->names->from));
	reply_text(out, "msg_side_to", sip_address_uri(b->names->to));
	reply_text(out, "msg_side_ruri", b->names->ruri);
	reply_text(out, "msrp_ua_session_id",
	    slice_of(b->session ? ua_session_id(b->session) : NULL));
	reply_text(out, "state", b->up ? SLICE("established") : SLICE("setup"));
	reply_number(out, "queued", (int64_t)b->waiting_count);
	reply_number(out, "messages_under_way", (int64_t)b->page_count);
	reply_close(out);
}

static void call_list(const struct param *params, struct reply *out, void *state)
{
	struct gw *gw = state;
	struct gw_binding *b, *next;

	(void)params;
	reply_open_list(out, NULL);
	HASH_ITER(hh, gw->bindings, b, next)
	put_binding(b, out);
	reply_close(out);
}

static const struct param_spec end_params[] = {
    {.name = "key", .kind = PARAM_TEXT, .required = true},
    {0},
};

static void call_end(const struct param *params, struct reply *out, void *state)
{
	struct gw_binding *b = gw_binding_find(state, params[0].text);

	if (!b || !b->session) {
		reply_error(out, 404, "unknown session");
		return;
	}
	gw_binding_end(b, UA_END_BYE);
	reply_text(out, NULL, SLICE("OK"));
}

static const struct method methods[] = {
    {.name = "msrp_gw_list_sessions",
	.also = "msrp_gateway:list_sessions", /* so does OpenSIPS name its module */
	.call = call_list,
	.help = "list the sessions of the gateway"},
    {.name = "msrp_gw_end_session",
	.also = "msrp_gateway:end_session",
	.params = end_params,
	.call = call_end,
	.help = "end a session of the gateway"},
    {0},
};

/* --- the service --- */

static void on_sweep(void *arg)
{
	struct gw *gw = arg;

	timer_start(&gw->sweep, gw->settings->cleanup_interval_ms);
	gw_binding_sweep(gw); /* which may want it sooner */
}

#define NUMBER(field) .name = #field, .offset = offsetof(struct gw_counters, field)
#define ENDED(end)    offsetof(struct gw_counters, ended[end])

static const struct stats_row numbers[] = {
    {NUMBER(sessions), .help = "gateway sessions now", .gauge = true},
    {NUMBER(setups), .help = "sessions begun from either side"},
    {NUMBER(setups_failed), .help = "sessions that could not be set up"},
    {.name = "ended_bye", .help = "sessions ended by either side", .offset = ENDED(UA_END_BYE)},
    {.name = "ended_expired",
	.help = "sessions ended by a time-out",
	.offset = ENDED(UA_END_EXPIRED)},
    {.name = "ended_absent",
	.help = "sessions whose client did not connect in time",
	.offset = ENDED(UA_END_ABSENT)},
    {.name = "ended_failed",
	.help = "sessions that lost their connection",
	.offset = ENDED(UA_END_FAILED)},
    {NUMBER(to_msrp), .help = "MESSAGEs that the MSRP peer has confirmed"},
    {NUMBER(to_msrp_failed), .help = "MESSAGEs that did not reach the MSRP peer"},
    {NUMBER(to_sip), .help = "MSRP messages answered 2xx as MESSAGEs"},
    {NUMBER(to_sip_failed), .help = "MSRP messages that failed as MESSAGEs"},
    {NUMBER(delivery_to_msrp), .help = "from a MESSAGE to the MSRP peer's confirmation",
	.times = true},
    {NUMBER(delivery_to_sip), .help = "from an MSRP message to the MESSAGE's 2xx", .times = true},
    {NUMBER(remote), .help = "MESSAGEs sent on to the node that has their key"},
    {NUMBER(remote_taken), .help = "MESSAGEs that other nodes sent on"},
    {NUMBER(yielded), .help = "sessions whose key another node has got meanwhile"},
    {NUMBER(refused_type), .help = "MESSAGEs of a type that the peer refuses"},
    {NUMBER(refused_full), .help = "messages refused because too many waited"},
    {NUMBER(duplicates), .help = "MESSAGEs that came again"},
    {NUMBER(iscomposing_dropped), .help = "indications of typing dropped"},
    {0},
};

static int set_up(struct gw *gw)
{
	struct event_base *base = gw->env.base;
	int err = stats_register(gw->env.stats, "gw", numbers, &gw->count);

	if (err == 0)
		err = hash_new(&gw->hash);
	if (err == 0)
		err = timer_init(&gw->sweep, base, on_sweep, gw);
	if (err == 0)
		err = timer_init(&gw->recent_turn, base, gw_recent_on_turn, gw);
	if (err == 0)
		err = timer_queue_init(&gw->timeout, base, ANSWER_MS, gw_delivery_on_timeout, gw);
	if (err == 0)
		err = timer_queue_init(&gw->in_dialog_timeout, base, ANSWER_MS, gw_page_on_timeout,
		    gw);
	if (err == 0)
		err = timer_queue_init(&gw->glare, base, GLARE_MS, gw_binding_on_glare, gw);
	if (err == 0)
		err = timer_queue_init(&gw->owner_expiry, base, OWNER_MS, gw_owner_on_expiry, gw);
	return err;
}

static void stop(void *state)
{
	struct gw *gw = state;

	if (!gw)
		return;
	gw_binding_drop_all(gw);
	gw_composing_free(gw);
	gw_queue_free_all(gw);
	gw_recent_free(gw);
	gw_owners_free(gw);
	timer_queue_fini(&gw->owner_expiry);
	timer_queue_fini(&gw->glare);
	timer_queue_fini(&gw->in_dialog_timeout);
	timer_queue_fini(&gw->timeout);
	timer_fini(&gw->sweep);
	free(gw);
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	struct gw *gw = calloc(1, sizeof(*gw));
	int err;

	if (!gw)
		return reason_set(why, -ENOMEM, "out of memory");
	gw->env = *env;
	gw->settings = settings;
	err = set_up(gw);
	if (err < 0) {
		stop(gw);
		return reason_set(why, err, "%s", strerror(-err));
	}
	timer_start(&gw->sweep, gw->settings->cleanup_interval_ms);
	*statep = gw;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	struct gw *gw = state;

	(void)why;
	gw->settings = settings;
	timer_start(&gw->sweep, gw->settings->cleanup_interval_ms);
	return 0;
}

static size_t sessions(const void *state)
{
	const struct gw *gw = state;

	return HASH_COUNT(gw->bindings);
}

const struct service gw_service = {
    .name = "gw",
    .section = "gateway",
    .settings = gw_settings_rows,
    .settings_size = sizeof(struct gw_settings),
    .actions = actions,
    .methods = methods,
    .events = events,
    .forwarded = gw_remote_take,
    .start = start,
    .reload = reload,
    .sessions = sessions,
    .stop = stop,
};
