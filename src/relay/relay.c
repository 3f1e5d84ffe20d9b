/* The relay as a whole: its life, and what happens to each frame that reaches it. */
#include "relay/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/stats.h"

/* --- counting --- */

static const unsigned counted_codes[] = {200, 400, 401, 403, 408, 413, 415, 423, 481, 501, 506};

static size_t code_index(unsigned code)
{
	size_t i = 0;

	while (i < CODES_COUNTED - 1 && counted_codes[i] != code)
		i++;
	return i;
}

void relay_count_reply(struct relay *relay, unsigned code)
{
	(*relay->count.replies[code_index(code)])++;
}

void relay_count_response(struct relay *relay, unsigned code)
{
	(*relay->count.responses[code_index(code)])++;
}

static bool count_codes(struct relay *relay, struct stats *stats)
{
	static const char *const replies[CODES_COUNTED] = {"replies_200", "replies_400",
	    "replies_401", "replies_403", "replies_408", "replies_413", "replies_415",
	    "replies_423", "replies_481", "replies_501", "replies_506", "replies_other"};
	static const char *const responses[CODES_COUNTED] = {"responses_200", "responses_400",
	    "responses_401", "responses_403", "responses_408", "responses_413", "responses_415",
	    "responses_423", "responses_481", "responses_501", "responses_506", "responses_other"};
	bool ok = true;

	for (size_t i = 0; i < CODES_COUNTED; i++) {
		relay->count.replies[i] =
		    stats_counter(stats, "relay", replies[i], "answers of this relay, by code");
		relay->count.responses[i] =
		    stats_counter(stats, "relay", responses[i], "answers of next hops, by code");
		ok = ok && relay->count.replies[i] && relay->count.responses[i];
	}
	return ok;
}

static bool count_methods(struct relay *relay, struct stats *stats)
{
	static const char *const names[] = {
	    [MSRP_SEND] = "requests_send",
	    [MSRP_REPORT] = "requests_report",
	    [MSRP_AUTH] = "requests_auth",
	    [MSRP_NICKNAME] = "requests_nickname",
	    [MSRP_OTHER] = "requests_other",
	};
	bool ok = true;

	for (size_t i = MSRP_SEND; i <= MSRP_OTHER; i++) {
		relay->count.requests[i] =
		    stats_counter(stats, "relay", names[i], "requests received, by method");
		ok = ok && relay->count.requests[i];
	}
	return ok;
}

static int count_with(struct relay *relay, struct stats *stats)
{
	struct relay_counters *c = &relay->count;
	bool ok = count_methods(relay, stats) && count_codes(relay, stats);

#define COUNTER(field, help) ok = (c->field = stats_counter(stats, "relay", #field, help)) && ok
	COUNTER(granted, "URIs granted");
	COUNTER(refreshed, "grants extended by a further AUTH");
	COUNTER(expired, "grants that reached their expiry");
	COUNTER(auth_failures, "AUTHs with wrong credentials");
	COUNTER(foreign, "frames for other hosts");
	COUNTER(messages, "messages passed on to their last chunk");
	COUNTER(body_bytes, "bytes of message bodies passed on");
	COUNTER(reports, "failure REPORTs of this relay");
	COUNTER(split, "chunks split because others needed the connection");
	COUNTER(broken_off, "chunks ended with # half-way");
#undef COUNTER
	c->sessions = stats_gauge(stats, "relay", "sessions", "granted URIs that are alive");
	return ok && c->sessions ? 0 : -ENOMEM;
}

/* --- who we are --- */

/* Slices of own borrow the settings. */
static int read_own(struct msrp_uri **ownp, size_t *countp, const struct relay_settings *settings)
{
	char *const *texts = settings->my_uri.items;
	struct msrp_uri *own = calloc(settings->my_uri.count + 1, sizeof(*own));

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < settings->my_uri.count; i++) {
		if (msrp_uri_parse(&own[i], slice_of(texts[i])) < 0) {
			free(own);
			return -EINVAL;
		}
		if (!own[i].port)
			own[i].port = MSRP_DEFAULT_PORT;
	}
	*ownp = own;
	*countp = settings->my_uri.count;
	return 0;
}

static struct msrp_uri listener_name(const struct msrp_listener *listener)
{
	const struct msrp_transport *transport = msrp_listener_transport(listener);

	return (struct msrp_uri){
	    .secure = transport->secure,
	    .host = msrp_listener_host(listener),
	    .port = msrp_listener_port(listener),
	    .transport = transport->name,
	};
}

/* A listener's address is as good a name for an AUTH, but the grant is called by my_uri. */
static bool named_by_listener(const struct relay *relay, const struct msrp_uri *uri,
    struct msrp_uri *hostp)
{
	struct msrp_listener *listener;

	for (size_t i = 0; (listener = msrp_listener_at(relay->stack, i)); i++) {
		if (!msrp_listener_is(listener, uri))
			continue;
		*hostp = listener_name(listener);
		for (size_t k = relay->own_count; k-- > 0;)
			if (relay->own[k].secure == hostp->secure
			    && relay->own[k].port == hostp->port)
				*hostp = relay->own[k];
		return true;
	}
	return false;
}

bool relay_owns(const struct relay *relay, const struct msrp_uri *uri, struct msrp_uri *hostp)
{
	for (size_t i = 0; i < relay->own_count; i++) {
		struct msrp_uri asked = *uri;

		if (!asked.port)
			asked.port = relay->own[i].port;
		if (!msrp_uri_same_server(&asked, &relay->own[i]))
			continue;
		*hostp = relay->own[i];
		return true;
	}
	return named_by_listener(relay, uri, hostp);
}

/* --- answers --- */

void arrival_reply(struct arrival *a, int code, struct slice phrase, struct slice headers)
{
	if (!a->frame || a->frame->method != MSRP_REPORT)
		relay_count_reply(a->relay, (unsigned)code);
	msrp_conn_reply(a->conn, code, phrase, headers);
}

void arrival_refuse(struct arrival *a, int code, struct slice phrase)
{
	struct peer *peer = peer_of(a->relay, a->conn);

	log_debug("relay: conn %" PRIu64 ": %d %.*s", msrp_conn_number(a->conn), code,
	    SLICE_ARG(phrase));
	arrival_reply(a, code, phrase, NOTHING);
	/* RFC 4976 6.1: several requests in vain, and none that was right */
	if (peer && !peer->valid && msrp_conn_users(a->conn) == 0)
		peer_failed(peer);
}

/* --- a request --- */

static int pass(struct arrival *a)
{
	const char *phrase = "";
	struct peer *peer;
	struct hop hop;
	int code = hop_find(a, &hop, &phrase);

	if (code) {
		arrival_refuse(a, code, slice_of(phrase));
		return 0;
	}
	peer = peer_of(a->relay, a->conn);
	if (peer)
		peer->valid = true;
	return a->frame->method == MSRP_SEND ? stream_pass(a, &hop) : errand_pass(a, &hop);
}

/* Who has not yet done anything right has nothing to say here. */
static int foreign(struct arrival *a)
{
	const struct peer *peer = peer_find(a->conn);

	(*a->relay->count.foreign)++;
	if (msrp_conn_users(a->conn) == 0 && !(peer && peer->valid)) {
		log_info("relay: conn %" PRIu64 ": closed: its first To-Path URI is not ours",
		    msrp_conn_number(a->conn));
		return -EPROTO;
	}
	arrival_reply(a, 481, SLICE("Not this relay"), NOTHING);
	return 0;
}

/* RFC 4976 5.1 allows it: the AUTH for a relay beyond names us by host, not by what we granted. */
static int pass_auth_on(struct arrival *a)
{
	struct peer *peer = peer_of(a->relay, a->conn);

	a->grant = peer ? grants_find(a->relay->grants, peer, a->frame->from_path) : NULL;
	if (!a->grant) {
		arrival_refuse(a, 403, SLICE("Authenticate here first"));
		return 0;
	}
	a->own = grant_uri(a->grant);
	return pass(a);
}

static int relay_frame(struct arrival *a)
{
	const struct msrp_frame *f = a->frame;
	bool last = !f->to_rest.p, auth = f->method == MSRP_AUTH;
	struct msrp_uri host;

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
	struct peer *peer = peer_of(a->relay, a->conn);

	if (peer && !peer->user.conn) {
		msrp_conn_attach(a->conn, &peer->user, 0);
		msrp_conn_detach(&peer->user);
	}
	return pass(a);
}

static enum verdict ask_rules(struct arrival *a)
{
	const struct route_list *list = a->relay->routes->msrp;
	struct route_subject subject = {.frame = a};
	unsigned outcome;

	if (!list || route_list_empty(list))
		return VERDICT_RELAY;
	outcome = route_run(list, &subject);
	if (!(outcome & ROUTE_HELD))
		return VERDICT_RELAY;
	if (outcome & ROUTE_DROPPED)
		return VERDICT_DROPPED;
	return outcome & ROUTE_FAILED ? VERDICT_ANSWERED : a->verdict;
}

static void arrival_fini(struct arrival *a)
{
	for (size_t i = 0; i < sizeof(a->texts) / sizeof(a->texts[0]); i++)
		free(a->texts[i]);
}

int relay_handle(struct arrival *a)
{
	int result = 0;

	a->verdict = ask_rules(a);
	if (a->verdict == VERDICT_RELAY)
		result = relay_frame(a);
	else if (a->verdict == VERDICT_FORWARD)
		result = forward_frame(a);
	arrival_fini(a);
	return result;
}

/* Does a rule want the body, or has the frame to be sent in one piece? */
static bool wanted_whole(struct arrival *a)
{
	const struct route_list *list = a->relay->routes->msrp;
	struct route_subject subject = {.frame = a};

	if (a->frame->method != MSRP_SEND && a->frame->has_body)
		return true;
	return list && route_list_waits(list, &subject);
}

int relay_request(struct relay *relay, struct msrp_conn *conn, const struct msrp_frame *frame,
    struct grant *grant)
{
	struct arrival a = {.relay = relay, .conn = conn, .frame = frame, .grant = grant};

	(*relay->count.requests[frame->method])++;
	return wanted_whole(&a) ? held_take(&a) : relay_handle(&a);
}

bool relay_accepts_response(struct relay *relay, struct msrp_conn *conn,
    const struct msrp_frame *response)
{
	struct arrival a = {.relay = relay, .conn = conn, .frame = response};
	enum verdict verdict = ask_rules(&a);

	arrival_fini(&a);
	return verdict != VERDICT_DROPPED;
}

static int on_grant_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct grant *grant = OWNER(struct grant, target, target);

	return relay_request(grant->relay, conn, frame, grant);
}

const struct msrp_target_ops grant_ops = {.request = on_grant_request, .bridges = true};

static int on_fallback(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg)
{
	return relay_request(arg, conn, frame, NULL);
}

/* --- life --- */

static void on_cleanup(void *arg)
{
	struct relay *relay = arg;

	streams_trim(relay);
	legs_trim(relay);
	timer_start(&relay->cleanup, relay->settings->cleanup_interval_ms);
}

static int start_parts(struct relay *relay, struct reason *why)
{
	const struct relay_settings *s = relay->settings;
	struct event_base *base = msrp_stack_base(relay->stack);
	int err = users_new(&relay->users, s, why);

	if (err == 0)
		err = read_own(&relay->own, &relay->own_count, s);
	if (err == 0)
		err = nonces_new(&relay->nonces, s->nonce_expire_ms);
	if (err == 0)
		err = timer_queue_init(&relay->stalls, base,
		    msrp_stack_settings(relay->stack)->shared_stall_ms, stream_stalled, relay);
	if (err == 0)
		err = timer_init(&relay->cleanup, base, on_cleanup, relay);
	if (err == 0)
		err = grants_new(&relay->grants, relay, (unsigned)s->hash_size);
	return err;
}

static void stop(void *state)
{
	struct relay *relay = state;

	if (!relay)
		return;
	msrp_stack_set_fallback(relay->stack, NULL, NULL);
	while (relay->held)
		held_free(relay->held);
	grants_free(relay->grants);
	while (relay->streams)
		stream_free(relay->streams);
	while (relay->legs)
		leg_free(relay->legs);
	while (relay->errands)
		errand_free(relay->errands);
	while (relay->peers)
		peer_free(relay->peers);
	streams_trim(relay);
	legs_trim(relay);
	timer_fini(&relay->cleanup);
	timer_queue_fini(&relay->stalls);
	nonces_free(relay->nonces);
	users_free(relay->users);
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
	relay->routes = env->routes;
	err = count_with(relay, env->stats);
	if (err == 0)
		err = start_parts(relay, why);
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
	struct users *users = NULL;
	struct msrp_uri *own;
	size_t own_count;
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	err = users_new(&users, s, why);
	if (err == 0)
		err = read_own(&own, &own_count, s);
	if (err < 0) {
		users_free(users);
		return err;
	}
	users_free(relay->users);
	free(relay->own);
	relay->users = users;
	relay->own = own;
	relay->own_count = own_count;
	relay->settings = s;
	nonces_set_expire(relay->nonces, s->nonce_expire_ms);
	timer_queue_set_period(&relay->stalls, msrp_stack_settings(relay->stack)->shared_stall_ms);
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
