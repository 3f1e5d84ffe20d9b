/* The relay as a whole: its life, and what happens to each frame that reaches it. */
#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/digest.h"
#include "forward/collector.h"
#include "forward/forward.h"
#include "forward/request.h"
#include "relay/auth.h"
#include "relay/hop.h"
#include "relay/node.h"
#include "relay/peer.h"
#include "relay/tables.h"
#include "wire/path.h"

static struct relay *of_forwarder(struct forwarder *fw)
{
	return OWNER(struct relay, forwarder, fw);
}

/* --- a request --- */

static int pass_by(struct arrival *a, const struct hop *hop)
{
	const struct incoming in = {
	    .conn = a->conn,
	    .frame = a->frame,
	    .whole = a->whole,
	    .flag = a->flag,
	    .body = a->body,
	    .close_sent = a->close_sent,
	};
	struct forwarder *fw = &a->relay->forwarder;
	const char *phrase = "";
	int code = a->frame->method == MSRP_SEND ? forward_send(fw, &in, hop, &phrase)
						 : request_forward(fw, &in, hop, &phrase);

	if (code <= 0)
		return code;
	arrival_reply(a, code, slice_of(phrase), NOTHING);
	return 0;
}

static int pass(struct arrival *a)
{
	const char *phrase = "";
	struct hop hop;
	int code = hop_find(a, &hop, &phrase);

	if (code) {
		arrival_refuse(a, code, slice_of(phrase));
		return 0;
	}
	peer_was_right(a->conn);
	return pass_by(a, &hop);
}

/* A connection on which nothing has been right yet is closed. */
static int foreign(struct arrival *a)
{
	(*a->relay->count.foreign)++;
	if (!peer_has_been_right(a->conn)) {
		story_often("relay: conn %" PRIu64
			    ": closed: its first To-Path URI is not of this relay",
		    msrp_conn_number(a->conn));
		return -EPROTO;
	}
	arrival_reply(a, 481, SLICE("Not this relay"), NOTHING);
	return 0;
}

/* RFC 4976 5.1: the AUTH for a relay beyond may name this one by host, not by the granted URI. */
static int pass_auth_on(struct arrival *a)
{
	a->grant = grants_find(a->relay->grants, a->conn, a->frame->from_path);
	if (!a->grant) {
		arrival_refuse(a, 403, SLICE("Authenticate here first"));
		return 0;
	}
	a->own = grant_uri(a->grant);
	return pass(a);
}

/* Is it for a grant of another node, or does it come back from there? */
static bool is_between_nodes(const struct arrival *a)
{
	const struct msrp_frame *f = a->frame;

	return node_has(a->relay, &f->to)
	    || node_back(a->relay, a->conn, msrp_path_first(f->from_path),
		msrp_path_first(f->to_path));
}

static int relay_frame(struct arrival *a)
{
	const struct msrp_frame *f = a->frame;
	bool last = !f->to_rest.p, auth = f->method == MSRP_AUTH;
	struct msrp_uri host;

	if (!a->grant && f->method != MSRP_AUTH && is_between_nodes(a))
		return pass(a);
	if (!a->grant && !relay_owns(a->relay, &f->to, &host))
		return foreign(a);
	if (!a->grant && (f->to.session_id.p || !auth)) {
		arrival_refuse(a, 481, SLICE("No such session"));
		return 0;
	}
	if (!a->grant && !last)
		return pass_auth_on(a);
	if (!auth || !last)
		return pass(a);
	auth_request(a);
	return 0;
}

/* The rules' business, not a grant's: nothing else keeps the connection from bind_timeout. */
static int forward_frame(struct arrival *a)
{
	int result = pass(a);

	if ((result == 0 || result == -EAGAIN) && peer_has_been_right(a->conn))
		msrp_conn_keep(a->conn);
	return result;
}

/* A frame of which all is here that its rules ask for. */
static int handle(struct arrival *a)
{
	int result = 0;

	a->verdict = arrival_judge(a);
	if (a->verdict == VERDICT_RELAY)
		result = relay_frame(a);
	else if (a->verdict == VERDICT_FORWARD)
		result = forward_frame(a);
	arrival_fini(a);
	return result;
}

static int on_collected(struct forwarder *fw, const struct collected *c)
{
	struct relay *relay = of_forwarder(fw);

	return handle(&(struct arrival){
	    .relay = relay,
	    .conn = c->in.conn,
	    .frame = c->in.frame,
	    .grant = grant_of_uri(relay, &c->in.frame->to), /* it may be gone by now */
	    .whole = true,
	    .flag = c->in.flag,
	    .body = c->in.body,
	    .raw = c->raw,
	});
}

/* @param grant  whose URI comes first in its To-Path, or NULL */
static int take(struct relay *relay, struct msrp_conn *conn, const struct msrp_frame *frame,
    struct grant *grant)
{
	struct arrival a = {.relay = relay, .conn = conn, .frame = frame, .grant = grant};

	(*relay->count.requests[frame->method])++;
	peer_meet(relay, conn);
	return arrival_needs_whole(&a)
	    ? collector_take(&relay->forwarder, conn, frame, on_collected)
	    : handle(&a);
}

static int on_grant_request(struct grant *grant, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	return take(grant->relay, conn, frame, grant);
}

static int on_fallback(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg)
{
	return node_greets(arg, conn, frame) ? 0 : take(arg, conn, frame, NULL);
}

/* --- what passes --- */

static bool on_response(struct forwarder *fw, struct msrp_conn *dest, const struct msrp_frame *f)
{
	relay_count_response(of_forwarder(fw), f->code);
	return arrival_accepts_response(of_forwarder(fw), dest, f);
}

static void on_replied(struct forwarder *fw, unsigned code)
{
	relay_count_reply(of_forwarder(fw), code);
}

/* RFC 4976 6.3: wrong credentials for a relay beyond this one count as well. */
static void on_answered(struct forwarder *fw, struct msrp_conn *source, bool credentials,
    const struct msrp_frame *f)
{
	struct digest challenge;

	if (!credentials || f->code != 401)
		return;
	if (f->www_authenticate.p && digest_parse_challenge(&challenge, f->www_authenticate) == 0
	    && challenge.stale)
		return;
	peer_failed(of_forwarder(fw), source);
}

static const struct forwarder_ops forwarder_ops = {
    .response = on_response,
    .replied = on_replied,
    .answered = on_answered,
};

/* --- life --- */

static void on_cleanup(void *arg)
{
	struct relay *relay = arg;

	forwarder_trim(&relay->forwarder);
	timer_start(&relay->cleanup, relay->settings->cleanup_interval_ms);
}

static int start_parts(struct relay *relay, struct stats *stats)
{
	const struct relay_settings *s = relay->settings;
	struct event_base *base = msrp_stack_base(relay->stack);
	int err = relay_parse_own(&relay->own, &relay->own_count, s);

	if (err == 0)
		err =
		    forwarder_init(&relay->forwarder, relay->stack, &forwarder_ops, stats, "relay");
	if (err == 0)
		err = timer_init(&relay->cleanup, base, on_cleanup, relay);
	if (err == 0)
		err = grants_new(&relay->grants, relay, on_grant_request);
	return err;
}

static void stop(void *state)
{
	struct relay *relay = state;

	if (!relay)
		return;
	msrp_stack_set_fallback(relay->stack, NULL, NULL);
	grants_free(relay->grants);
	forwarder_fini(&relay->forwarder);
	nodes_fini(relay);
	peers_fini(relay);
	timer_fini(&relay->cleanup);
	free(relay->own);
	free(relay);
}

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	const struct relay_settings *s = settings;
	struct relay *relay;
	int err;

	if (!s->enabled)
		return 0;
	reason_set(why, -ENOMEM, "out of memory");
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	relay->stack = env->msrp;
	relay->settings = s;
	relay->auth = env->auth;
	relay->cluster = env->cluster;
	relay->routes = env->routes;
	err = relay_counters_init(relay, env->stats);
	if (err == 0)
		err = start_parts(relay, env->stats);
	if (err < 0) {
		stop(relay);
		return err;
	}
	timer_start(&relay->cleanup, s->cleanup_interval_ms);
	msrp_stack_set_fallback(env->msrp, on_fallback, relay);
	*statep = relay;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	const struct relay_settings *s = settings;
	struct relay *relay = state;
	struct msrp_uri *own;
	size_t own_count;
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	err = relay_parse_own(&own, &own_count, s);
	if (err < 0)
		return err;
	free(relay->own);
	relay->own = own;
	relay->own_count = own_count;
	relay->settings = s;
	forwarder_reload(&relay->forwarder);
	timer_start(&relay->cleanup, s->cleanup_interval_ms);
	return 0;
}

static size_t sessions(const void *state)
{
	const struct relay *relay = state;

	return grants_count(relay->grants);
}

const struct service relay_service = {
    .name = "relay",
    .section = "relay",
    .settings = relay_settings_rows,
    .settings_size = sizeof(struct relay_settings),
    .check = relay_settings_check,
    .variables = relay_variables,
    .transforms = relay_transforms,
    .actions = relay_actions,
    .methods = relay_methods,
    .start = start,
    .reload = reload,
    .sessions = sessions,
    .stop = stop,
};
