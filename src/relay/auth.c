#include "relay/auth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "auth/auth.h"
#include "base/log.h"
#include "relay/grant.h"
#include "relay/peer.h"
#include "wire/path.h"

enum {
	HEADERS_MAX = 2048,       /* of an answer, beside its Use-Path */
	EXPIRES_MAX = 1000000000, /* seconds; more is more than any limit */
};

/* An AUTH being judged. */
struct auth_attempt {
	struct arrival *a;
	struct msrp_uri host; /* how this relay is named in the grant */
	struct slice uri;     /* the rightmost To-Path URI, which the digest is over */
	struct slice realm;
	struct digest digest; /* of the credentials */
	struct digest_hash rspauth;
	bool by_identity; /* vouched for by a certificate */
};

/* --- refusals --- */

static struct auth_terms terms_of(const struct auth_attempt *auth)
{
	return (struct auth_terms){
	    .realm = auth->realm,
	    .algorithm = (enum digest_algorithm)auth->a->relay->settings->auth_algorithm,
	    .method = SLICE("AUTH"),
	    .uri = auth->uri,
	};
}

static void challenge(struct auth_attempt *auth, bool stale)
{
	struct auth_terms terms = terms_of(auth);
	char text[HEADERS_MAX];
	struct buffer w = BUFFER_ON(text);

	buffer_add(&w, SLICE("WWW-Authenticate: "));
	auth_write_challenge(auth->a->relay->auth, &terms, stale, &w);
	buffer_add(&w, SLICE("\r\n"));
	if (w.err) /* a realm beyond all measure, out of the To-Path */
		arrival_refuse(auth->a, 400, SLICE("Bad Request"));
	else
		arrival_reply(auth->a, 401, SLICE("Unauthorized"), buffer_text(&w));
}

/* The answer does not tell what was wrong. */
static void refuse_credentials(struct auth_attempt *auth)
{
	struct arrival *a = auth->a;

	(*a->relay->count.auth_failures)++;
	msrp_conn_wrong_credentials(a->conn);
	story_refuse(&(struct story){.stack = "msrp", .conn = msrp_conn_number(a->conn)}, 401,
	    "relay: conn %" PRIu64 ": wrong credentials of \"%.*s\"", msrp_conn_number(a->conn),
	    SLICE_ARG(auth->digest.username));
	challenge(auth, false);
	peer_failed(a->relay, a->conn);
}

static void refuse_interval(struct auth_attempt *auth, struct slice header, uint64_t limit_ms)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);

	buffer_add(&w, header);
	buffer_add_number(&w, limit_ms / 1000);
	buffer_add(&w, SLICE("\r\n"));
	arrival_reply(auth->a, 423, SLICE("Interval Out-of-Bounds"), buffer_text(&w));
}

/* --- credentials --- */

/*
 * The user's secret by routes.msrp_auth, absent where no rule holds.
 *
 * @return false: a rule says that nothing is answered
 */
static bool ask_rules(struct auth_attempt *auth, const struct digest_secret **secretp)
{
	struct arrival *a = auth->a;
	unsigned outcome = arrival_run(a, a->relay->routes->msrp_auth);

	*secretp = outcome & ROUTE_HELD ? &a->secret : NULL;
	return !(outcome & ROUTE_DROPPED);
}

/* @return whether the AUTH may go on; otherwise it has been answered */
static bool authenticate(struct auth_attempt *auth)
{
	struct arrival *a = auth->a;
	struct auth_terms terms = terms_of(auth);

	if (!a->frame->authorization.p) {
		challenge(auth, false);
		return false;
	}
	if (msrp_conn_is_barred(a->conn)) {
		arrival_refuse(a, 403, SLICE("Too many wrong credentials"));
		return false;
	}
	if (digest_parse_credentials(&auth->digest, a->frame->authorization) < 0) {
		auth->digest.username = NOTHING;
		refuse_credentials(auth);
		return false;
	}
	if (!ask_rules(auth, &terms.secret))
		return false;
	switch (auth_check(a->relay->auth, &auth->digest, &terms, &auth->rspauth)) {
	case AUTH_WRONG:
		refuse_credentials(auth);
		return false;
	case AUTH_STALE:
		challenge(auth, true);
		return false;
	case AUTH_RIGHT:
		break;
	}
	return true;
}

/*
 * RFC 4976 6.3: a relay shows a certificate with the host of the first From-Path URI.  One
 * that brings somebody else's AUTH under another name may not; an endpoint's certificate
 * counts for nothing (9.2).
 *
 * @return whether the AUTH may go on
 */
static bool identify(struct auth_attempt *auth)
{
	struct arrival *a = auth->a;
	struct msrp_uri from;

	if (!msrp_conn_peer_certified(a->conn) || msrp_uri_parse(&from, a->frame->from_path) < 0)
		return true;
	auth->by_identity = peer_is(a->conn, from.host);
	if (auth->by_identity || msrp_path_count(a->frame->from_path) < 2)
		return true;
	arrival_refuse(a, 403, SLICE("Certificate is for another host"));
	return false;
}

/* --- the grant --- */

static bool find_lifetime(struct auth_attempt *auth, uint64_t *lifetime_ms)
{
	const struct relay_settings *s = auth->a->relay->settings;
	struct slice text = slice_trim(auth->a->frame->expires);
	uint64_t seconds = s->auth_expires_ms / 1000;

	/* A number it is: msrp_frame_check(). */
	if (text.p && slice_to_u64(text, EXPIRES_MAX, &seconds) < 0)
		seconds = EXPIRES_MAX;
	*lifetime_ms = seconds * 1000;
	if (*lifetime_ms < s->auth_min_expires_ms)
		refuse_interval(auth, SLICE("Min-Expires: "), s->auth_min_expires_ms);
	else if (*lifetime_ms > s->auth_max_expires_ms)
		refuse_interval(auth, SLICE("Max-Expires: "), s->auth_max_expires_ms);
	else
		return true;
	return false;
}

/* One granted before, to be refreshed: named by its URI, or by the same From-Path. */
static struct grant *granted_before(const struct auth_attempt *auth)
{
	struct arrival *a = auth->a;

	if (a->grant)
		return a->grant;
	return grants_find(a->relay->grants, auth->by_identity ? NULL : a->conn,
	    a->frame->from_path);
}

static int make_grant(struct auth_attempt *auth, uint64_t lifetime_ms, struct grant **grantp)
{
	struct arrival *a = auth->a;
	struct grant_terms terms = {
	    .conn = auth->by_identity ? NULL : a->conn,
	    .host = auth->host,
	    .user = auth->digest.username,
	    .from_path = a->frame->from_path,
	    .lifetime_ms = lifetime_ms,
	};
	int err =
	    msrp_conn_closed(a->conn) ? -ENOTCONN : grant_new(grantp, a->relay->grants, &terms);

	if (err < 0)
		return err;
	(*a->relay->count.granted)++;
	log_debug("relay: conn %" PRIu64 ": \"%.*s\" granted %.*s", msrp_conn_number(a->conn),
	    SLICE_ARG(terms.user), SLICE_ARG(grant_uri(*grantp)));
	return 0;
}

/* RFC 4976 5.1: Use-Path is the way from the client, through the relays before this one. */
static void write_use_path(struct buffer *w, const struct auth_attempt *auth,
    const struct grant *grant)
{
	struct slice path = auth->a->frame->from_path, last = msrp_path_last(path);

	buffer_add(w, SLICE("Use-Path: "));
	if (last.p > path.p) {
		path.len = (size_t)(last.p - path.p) - 1;
		msrp_path_write_reversed(w, path);
		buffer_add_char(w, ' ');
	}
	buffer_add(w, grant_uri(grant));
	buffer_add(w, SLICE("\r\n"));
}

static void write_info(struct buffer *w, struct auth_attempt *auth)
{
	struct digest info = {
	    .algorithm = auth->digest.algorithm,
	    .cnonce = auth->digest.cnonce,
	    .nc = auth->digest.nc,
	    .rspauth = digest_hash_slice(&auth->rspauth),
	};

	if (auth->by_identity)
		return;
	buffer_add(w, SLICE("Authentication-Info: "));
	digest_write_info(w, &info);
	buffer_add(w, SLICE("\r\n"));
}

static void answer(struct auth_attempt *auth, const struct grant *grant, uint64_t lifetime_ms)
{
	struct arrival *a = auth->a;
	size_t cap =
	    HEADERS_MAX + grant_uri(grant).len + a->frame->from_path.len + auth->digest.cnonce.len;
	struct buffer w = {.p = malloc(cap), .cap = cap};

	if (!w.p) {
		arrival_reply(a, 408, SLICE("Out of memory"), NOTHING);
		return;
	}
	write_use_path(&w, auth, grant);
	buffer_add(&w, SLICE("Expires: "));
	buffer_add_number(&w, lifetime_ms / 1000);
	buffer_add(&w, SLICE("\r\n"));
	write_info(&w, auth);
	arrival_reply(a, w.err ? 400 : 200, w.err ? SLICE("Bad Request") : SLICE("OK"),
	    w.err ? NOTHING : buffer_text(&w));
	free(w.p);
}

static void refuse_grant(struct auth_attempt *auth, int err)
{
	switch (err) {
	case -EMSGSIZE:
		arrival_refuse(auth->a, 400, SLICE("From-Path is too long"));
		break;
	case -EDQUOT:
		arrival_refuse(auth->a, 403, SLICE("Too many sessions of this user"));
		break;
	default:
		arrival_reply(auth->a, 408, SLICE("Out of resources"), NOTHING);
	}
}

static void give(struct auth_attempt *auth)
{
	struct arrival *a = auth->a;
	struct grant *grant = granted_before(auth);
	uint64_t lifetime_ms;
	int err = 0;

	if (!find_lifetime(auth, &lifetime_ms))
		return;
	if (grant) {
		grant_extend(grant, lifetime_ms);
		(*a->relay->count.refreshed)++;
	} else {
		err = make_grant(auth, lifetime_ms, &grant);
	}
	if (err < 0) {
		refuse_grant(auth, err);
		return;
	}
	peer_was_right(a->conn);
	if (auth->by_identity)
		grant_heard(grant, a->conn);
	answer(auth, grant, lifetime_ms);
}

void auth_request(struct arrival *a)
{
	struct auth_attempt auth = {.a = a, .uri = msrp_path_last(a->frame->to_path)};
	struct slice realm = slice_of(a->relay->settings->auth_realm);

	if (!relay_owns(a->relay, &a->frame->to, &auth.host)) {
		arrival_refuse(a, 481, SLICE("Not this relay"));
		return;
	}
	auth.realm = realm.p ? realm : a->frame->to.host;
	if (!msrp_conn_transport(a->conn)->net->encrypted
	    && !a->relay->settings->allow_plain_auth) {
		arrival_refuse(a, 403, SLICE("TLS is required"));
		return;
	}
	if (a->grant && !grant_is_from_client(a->grant, a->conn)) {
		arrival_refuse(a, 403, SLICE("Not your URI"));
		return;
	}
	if (!identify(&auth) || (!auth.by_identity && !authenticate(&auth)))
		return;
	give(&auth);
}
