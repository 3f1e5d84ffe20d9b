#include "endpoint/auth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "msrp/conn.h"
#include "base/digest.h"
#include "endpoint/endpoint.h"
#include "wire/path.h"
#include "msrp/transaction.h"
#include "wire/write.h"

enum {
	RELAYS_MAX = 8,
	STALE_MAX = 2, /* nonces of one attempt that may be out of date already */
	CNONCE_CHARS = 16,
	EXPIRES_DEFAULT = 1800, /* seconds, of a relay that does not say */
	EXPIRES_MAX = 1000000000,
	REQUEST_MAX = 2 * MSRP_PATH_MAX + 4096,
};

/* One relay of the chain, and what it knows us by. */
struct relay {
	struct slice uri;   /* in auth->relays */
	char *challenge;    /* its last WWW-Authenticate; NULL: none yet */
	char *nextnonce;    /* in place of the challenge's; NULL: none */
	uint32_t nc;        /* uses of the nonce */
	uint64_t expires_s; /* to ask for; 0: as the relay likes */
};

struct endpoint_auth {
	struct msrp_stack *stack;
	const struct endpoint_auth_handler *handler;
	void *arg;
	struct msrp_user user;
	struct msrp_transaction transaction;
	struct timer due; /* the next round */
	struct relay relay[RELAYS_MAX];
	size_t count;
	char *relays, *own_uri;
	char *path; /* granted; NULL: none yet */

	/* a round: each relay, one after another */
	char *next_path; /* granted in this round so far */
	size_t at;
	uint64_t shortest_s;

	/* the relay in hand */
	unsigned stales;
	bool fresh;   /* answered its challenge of just now */
	bool bounded; /* asked for another time after 423 */
	bool proved;  /* rspauth is what to expect */
	struct digest_hash rspauth;
};

static struct endpoint_auth *of_user(struct msrp_user *user)
{
	return (struct endpoint_auth *)((char *)user - offsetof(struct endpoint_auth, user));
}

static struct endpoint_auth *of_transaction(struct msrp_transaction *t)
{
	return (struct endpoint_auth *)((char *)t - offsetof(struct endpoint_auth, transaction));
}

/* Nothing of this runs any more; its owner is told, last. */
static void fail(struct endpoint_auth *auth, int code, struct slice reason, bool from_relay)
{
	log_debug("msrp: AUTH at %.*s: %d %.*s", SLICE_ARG(auth->relay[auth->at].uri), code,
	    SLICE_ARG(reason));
	timer_stop(&auth->due);
	msrp_transaction_stop(&auth->transaction);
	msrp_conn_detach(&auth->user);
	auth->handler->failed(code, reason, from_relay, auth->arg);
}

static void fail_here(struct endpoint_auth *auth, int code, const char *reason)
{
	fail(auth, code, slice_of(reason), false);
}

static bool replace(char **textp, struct slice text)
{
	char *copy = slice_dup(text);

	if (text.p && !copy)
		return false;
	free(*textp);
	*textp = copy;
	return true;
}

/* --- asking --- */

/* What the digest is over: the rightmost To-Path URI, so the relay's (RFC 4976 9.1). */
static int answer_challenge(struct endpoint_auth *auth, struct relay *relay, struct buffer *w)
{
	struct endpoint_credentials credentials = {0};
	struct digest digest;
	struct digest_hash ha1, response;
	char cnonce[CNONCE_CHARS + 1];
	struct digest_secret secret;
	int err = digest_parse_challenge(&digest, slice_of(relay->challenge));

	if (err < 0)
		return err;
	if (!auth->handler->credentials(digest.realm, &credentials, auth->arg))
		return -ENOENT;
	secret = (struct digest_secret){credentials.password, credentials.ha1, {NULL, 0}};
	err =
	    digest_secret_ha1(&secret, digest.algorithm, credentials.username, digest.realm, &ha1);
	if (err < 0)
		return err;
	rand_token(cnonce, CNONCE_CHARS);
	if (relay->nextnonce)
		digest.nonce = slice_of(relay->nextnonce);
	digest.username = credentials.username;
	digest.uri = relay->uri;
	digest.cnonce = slice_of(cnonce);
	digest.nc = ++relay->nc;
	err =
	    digest_response(&digest, digest_hash_slice(&ha1), SLICE("AUTH"), relay->uri, &response);
	if (err == 0)
		err = digest_rspauth(&digest, digest_hash_slice(&ha1), relay->uri, &auth->rspauth);
	explicit_bzero(&ha1, sizeof(ha1));
	if (err < 0)
		return err;
	digest.response = digest_hash_slice(&response);
	auth->proved = true;
	buffer_add(w, SLICE("Authorization: "));
	digest_write_credentials(w, &digest);
	buffer_add(w, SLICE("\r\n"));
	return 0;
}

/* The AUTH for the relay in hand. @return 0 or negative errno */
static int ask(struct endpoint_auth *auth)
{
	struct relay *relay = &auth->relay[auth->at];
	char text[REQUEST_MAX], path[MSRP_PATH_MAX];
	struct buffer w = BUFFER_ON(text), p = BUFFER_ON(path);
	struct slice tid;
	int err = msrp_transaction_start(&auth->transaction, auth->user.conn);

	if (err < 0)
		return err;
	tid = slice_of(auth->transaction.tid);
	auth->proved = false;
	msrp_path_write_joined(&p, slice_of(auth->next_path), relay->uri);
	msrp_write_request_line(&w, tid, SLICE("AUTH"));
	msrp_write_paths(&w, buffer_text(&p), slice_of(auth->own_uri));
	if (relay->expires_s) {
		buffer_add(&w, SLICE("Expires: "));
		buffer_add_number(&w, relay->expires_s);
		buffer_add(&w, SLICE("\r\n"));
	}
	if (relay->challenge)
		err = answer_challenge(auth, relay, &w);
	msrp_write_end_line(&w, tid, MSRP_COMPLETE, false);
	if (err == 0 && (w.err || p.err))
		err = -EMSGSIZE;
	if (err < 0) {
		msrp_transaction_stop(&auth->transaction);
		return err;
	}
	msrp_transaction_sent(&auth->transaction);
	/* Last: without memory for it the connection closes, and that is told. */
	msrp_conn_send(auth->user.conn, buffer_text(&w));
	return 0;
}

static int begin_relay(struct endpoint_auth *auth, size_t at)
{
	auth->at = at;
	auth->stales = 0;
	auth->fresh = auth->bounded = false;
	return ask(auth);
}

static int begin_round(struct endpoint_auth *auth)
{
	free(auth->next_path);
	auth->next_path = NULL;
	auth->shortest_s = EXPIRES_MAX;
	return begin_relay(auth, 0);
}

static void on_due(void *arg)
{
	struct endpoint_auth *auth = arg;

	if (begin_round(auth) < 0)
		fail_here(auth, 503, "cannot ask the relay");
}

/* --- answers --- */

static void ask_again(struct endpoint_auth *auth, const struct msrp_frame *response)
{
	int err = ask(auth);

	if (err == -ENOENT)
		fail(auth, (int)response->code, SLICE("no credentials for that realm"), true);
	else if (err < 0)
		fail_here(auth, 503, strerror(-err));
}

/*
 * A second 401 for what answered the challenge at once means that we are not who we say: no
 * third attempt.  Credentials from an earlier nonce, or a stale one, get another.
 */
static void on_unauthorized(struct endpoint_auth *auth, const struct msrp_frame *response)
{
	struct relay *relay = &auth->relay[auth->at];
	struct digest digest;

	/* RFC 4976 9.1: qop is always auth. */
	if (digest_parse_challenge(&digest, response->www_authenticate) < 0 || digest.without_qop) {
		fail(auth, 401, SLICE("a challenge that MSRP does not use"), true);
		return;
	}
	if (auth->fresh && (!digest.stale || auth->stales++ >= STALE_MAX)) {
		fail(auth, 401, response->phrase, true);
		return;
	}
	auth->fresh = true;
	relay->nc = 0;
	if (!replace(&relay->challenge, response->www_authenticate)
	    || !replace(&relay->nextnonce, (struct slice){NULL, 0})) {
		fail_here(auth, 503, strerror(ENOMEM));
		return;
	}
	ask_again(auth, response);
}

/* 423: another time than we asked for (RFC 4976 6.3); once. */
static void on_out_of_bounds(struct endpoint_auth *auth, const struct msrp_frame *response)
{
	struct relay *relay = &auth->relay[auth->at];
	struct slice min = response->min_expires, max = response->max_expires;
	uint64_t expires_s = 0;

	if (auth->bounded || slice_to_u64(min.p ? min : max, EXPIRES_MAX, &expires_s) < 0
	    || expires_s == 0) {
		fail(auth, 423, response->phrase, true);
		return;
	}
	auth->bounded = true;
	relay->expires_s = expires_s;
	ask_again(auth, response);
}

/*
 * The relay proves that it knows the password as well.  Some relays leave Authentication-Info
 * out, or write one that cannot be read (OpenSIPS 4.1); TLS has proved their identity then.
 */
static bool check_info(struct endpoint_auth *auth, const struct msrp_frame *response)
{
	struct relay *relay = &auth->relay[auth->at];
	struct digest digest;

	if (!auth->proved || !response->authentication_info.p)
		return true;
	if (digest_parse_info(&digest, response->authentication_info) < 0) {
		log_info("msrp: AUTH at %.*s: malformed Authentication-Info: counts as absent",
		    SLICE_ARG(relay->uri));
		return true;
	}
	if (!digest_matches(&auth->rspauth, digest.rspauth))
		return false;
	if (digest.nextnonce.len && replace(&relay->nextnonce, digest.nextnonce))
		relay->nc = 0;
	return true;
}

/* Use-Path is the whole list (RFC 4976 5.1), yet some relays give their own URI alone. */
static int take_path(struct endpoint_auth *auth, struct slice use_path)
{
	char text[MSRP_PATH_MAX];
	struct buffer w = BUFFER_ON(text);
	struct slice before = slice_of(auth->next_path);

	if (msrp_path_count(use_path) < 0)
		return -EBADMSG;
	if (before.len && use_path.len > before.len && memcmp(use_path.p, before.p, before.len) == 0
	    && use_path.p[before.len] == ' ')
		before = (struct slice){NULL, 0};
	msrp_path_write_joined(&w, before, use_path);
	if (w.err)
		return -EMSGSIZE;
	return replace(&auth->next_path, buffer_text(&w)) ? 0 : -ENOMEM;
}

static void finish_round(struct endpoint_auth *auth)
{
	bool same = auth->path && strcmp(auth->path, auth->next_path) == 0;

	timer_start(&auth->due, auth->shortest_s * 1000 / 5 * 4);
	if (same)
		return;
	free(auth->path);
	auth->path = auth->next_path;
	auth->next_path = NULL;
	log_debug("msrp: AUTH at %s: granted %s", auth->relays, auth->path);
	auth->handler->granted(auth->arg);
}

static void on_granted(struct endpoint_auth *auth, const struct msrp_frame *response)
{
	uint64_t expires_s = EXPIRES_DEFAULT;

	if (!check_info(auth, response)) {
		fail(auth, 403, SLICE("wrong rspauth: the relay does not know the password"),
		    false);
		return;
	}
	if (response->expires.p && slice_to_u64(response->expires, EXPIRES_MAX, &expires_s) < 0)
		expires_s = EXPIRES_DEFAULT;
	if (take_path(auth, response->use_path) < 0) {
		fail(auth, 503, SLICE("no Use-Path in the relay's answer"), true);
		return;
	}
	if (expires_s == 0)
		expires_s = 1; /* it cannot mean that; and a refresh must not follow at once */
	if (expires_s < auth->shortest_s)
		auth->shortest_s = expires_s;
	if (auth->at + 1 == auth->count)
		finish_round(auth);
	else if (begin_relay(auth, auth->at + 1) < 0)
		fail_here(auth, 503, "cannot ask the next relay");
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct endpoint_auth *auth = of_transaction(t);

	switch (response->code) {
	case 200:
		on_granted(auth, response);
		break;
	case 401:
		on_unauthorized(auth, response);
		break;
	case 423:
		on_out_of_bounds(auth, response);
		break;
	default:
		fail(auth, (int)response->code, response->phrase, true);
	}
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	fail_here(of_transaction(t), 408, "no answer to AUTH");
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)t; /* the user of the same connection is told */
	(void)err;
}

static const struct msrp_transaction_ops transaction_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

static void on_closed(struct msrp_user *user, int err)
{
	fail_here(of_user(user), 503, err == -EPROTO ? "TLS handshake failed" : strerror(-err));
}

static const struct msrp_user_ops user_ops = {.closed = on_closed};

/* --- life --- */

static int split_relays(struct endpoint_auth *auth)
{
	struct slice rest = slice_of(auth->relays);
	struct msrp_uri uri;
	int more = 0;

	for (;;) {
		struct slice before = rest;

		more = msrp_path_next(&rest, &uri);
		if (more <= 0)
			return more < 0 || auth->count == 0 ? -EINVAL : 0;
		if (auth->count == RELAYS_MAX)
			return -EINVAL;
		auth->relay[auth->count++].uri = msrp_path_first(before);
	}
}

static int start(struct endpoint_auth *auth, const struct endpoint_auth_options *options)
{
	struct msrp_destination to;
	struct msrp_conn *conn;
	struct msrp_uri own;
	int err;

	auth->relays = slice_dup(options->relays);
	auth->own_uri = slice_dup(options->own_uri);
	if (!auth->relays || !auth->own_uri)
		return -ENOMEM;
	if (split_relays(auth) < 0
	    || msrp_uri_parse(&own, options->own_uri) != (ssize_t)options->own_uri.len)
		return -EINVAL;
	err = timer_init(&auth->due, msrp_stack_base(auth->stack), on_due, auth);
	if (err < 0)
		return err;
	endpoint_auth_destination(auth, &to);
	to.from = options->from;
	err = msrp_pool_get(auth->stack, &to, &conn);
	if (err < 0)
		return err;
	msrp_conn_attach(conn, &auth->user, options->idle_ms);
	timer_start(&auth->due, 0);
	return 0;
}

int endpoint_auth_new(struct endpoint_auth **authp, struct msrp_stack *stack,
    const struct endpoint_auth_options *options)
{
	struct endpoint_auth *auth = calloc(1, sizeof(*auth));
	int err;

	if (!auth)
		return -ENOMEM;
	auth->stack = stack;
	auth->handler = options->handler;
	auth->arg = options->arg;
	auth->user.ops = &user_ops;
	auth->transaction.ops = &transaction_ops;
	err = start(auth, options);
	if (err < 0) {
		endpoint_auth_free(auth);
		return err;
	}
	*authp = auth;
	return 0;
}

void endpoint_auth_free(struct endpoint_auth *auth)
{
	if (!auth)
		return;
	msrp_transaction_stop(&auth->transaction);
	msrp_conn_detach(&auth->user);
	timer_fini(&auth->due);
	for (size_t i = 0; i < auth->count; i++) {
		free(auth->relay[i].challenge);
		free(auth->relay[i].nextnonce);
	}
	free(auth->relays);
	free(auth->own_uri);
	free(auth->path);
	free(auth->next_path);
	free(auth);
}

struct slice endpoint_auth_path(const struct endpoint_auth *auth)
{
	return slice_of(auth->path);
}

void endpoint_auth_destination(const struct endpoint_auth *auth, struct msrp_destination *to)
{
	struct slice rest = slice_of(auth->relays);
	struct msrp_uri uri = {0};

	msrp_path_next(&rest, &uri);
	*to = (struct msrp_destination){
	    .secure = uri.secure,
	    .transport = uri.transport,
	    .host = uri.host,
	    .port = uri.port ? uri.port : MSRP_DEFAULT_PORT,
	};
}
