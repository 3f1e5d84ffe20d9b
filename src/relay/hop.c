/* Where a frame goes next, and whether it may: RFC 4976 section 6.4. */
#include "relay/priv.h"

#include <errno.h>

#include "wire/path.h"
#include "msrp/pool.h"

/*
 * routes.msrp_socket is asked once in the life of a grant, before its first SEND goes out.
 *
 * @return 0, or -EINVAL: a rule names a listener that there is not
 */
static int leave_from(struct arrival *a, struct grant *grant, const struct msrp_uri *next,
    struct msrp_listener **fromp)
{
	const struct route_list *list = a->relay->routes->msrp_socket;
	struct route_subject subject = {.frame = a};
	unsigned outcome;

	*fromp = grant ? grant->leave_from : NULL;
	if (!list || route_list_empty(list) || (grant && grant->leave_asked))
		return 0;
	a->next = next;
	outcome = route_run(list, &subject);
	a->next = NULL;
	if (outcome & ROUTE_FAILED)
		return -EINVAL;
	if (grant) {
		grant->leave_asked = true;
		grant->leave_from = a->leave_from;
	}
	*fromp = a->leave_from;
	return 0;
}

static int refusal(int err, const char **phrase)
{
	switch (err) {
	case -ENOENT:
		*phrase = "No connection";
		return 481;
	case -EMFILE:
	case -ENOMEM:
		*phrase = "Out of resources";
		return 408;
	default:
		*phrase = "Cannot connect";
		return 408;
	}
}

/* A connection to a URI, from the pool; grant: whose way it will be, or NULL. */
static int connect_to(struct arrival *a, struct grant *grant, struct slice uri,
    struct msrp_conn **connp, const char **phrase)
{
	struct msrp_destination to = {.existing = a->no_connect};
	struct msrp_uri next;
	int err;

	if (msrp_uri_parse(&next, uri) < 0) {
		*phrase = "Next URI is none";
		return 400;
	}
	to.secure = next.secure;
	to.transport = next.transport;
	to.host = next.host;
	to.port = next.port ? next.port : MSRP_DEFAULT_PORT;
	to.from = a->dst_listener;
	if (!to.from && leave_from(a, grant, &next, &to.from) < 0) {
		*phrase = "No such listener";
		return 400;
	}
	err = msrp_pool_get(a->relay->stack, &to, connp);
	return err < 0 ? refusal(err, phrase) : 0;
}

/* The connection that a grant has used for this URI before, or one from the pool. */
static int known_or_new(struct arrival *a, struct grant *grant, struct slice uri,
    struct msrp_conn **connp, const char **phrase)
{
	int code;

	*connp = grant_way(grant, uri);
	if (*connp || a->dst.p)
		return 0;
	code = connect_to(a, grant, uri, connp, phrase);
	if (code == 0)
		grant_learn_way(grant, uri, *connp);
	return code;
}

/* Towards the client: down its own connection, or any to the relay that the grant belongs to. */
static int towards_client(struct arrival *a, struct hop *hop, struct slice next,
    const char **phrase)
{
	struct grant *grant = hop->grant;

	if (!grant_names_client(grant, next)) {
		*phrase = "Not the way to the client";
		return 403;
	}
	hop->outgoing = false;
	if (!grant->peer)
		return known_or_new(a, grant, next, &hop->conn, phrase);
	hop->conn = grant->peer->conn;
	return 0;
}

/* The grant of ours that a URI is, or NULL. */
static struct grant *grant_of(struct relay *relay, struct slice uri)
{
	struct msrp_target *target;
	struct msrp_uri next;

	if (msrp_uri_parse(&next, uri) < 0)
		return NULL;
	target = msrp_target_find(relay->stack, &next);
	return target && target->ops == &grant_ops ? OWNER(struct grant, target, target) : NULL;
}

/* Would we be asked for a session that we do not have, by ourselves? */
static bool is_dead_end(struct relay *relay, struct slice uri)
{
	struct msrp_uri next, host;

	return msrp_uri_parse(&next, uri) > 0 && next.session_id.p
	    && !msrp_target_find(relay->stack, &next) && relay_owns(relay, &next, &host);
}

/* Note where the frame came from, so that what goes back finds its way. */
static void learn(struct arrival *a, struct grant *grant, bool from_client)
{
	struct slice from = msrp_path_first(a->frame->from_path);

	if (from_client && grant->peer) {
		grant_learn_client(grant, from);
		return;
	}
	/* Neither the client nor another grant of ours is to be found where a stranger says. */
	if (grant_way(grant, from) != a->conn && (from_client || !grant_is_client(grant, from))
	    && !grant_of(a->relay, from))
		grant_learn_way(grant, from, a->conn);
}

static int outwards(struct arrival *a, struct hop *hop, const char **phrase)
{
	struct slice next = msrp_path_first(hop->to_path);
	struct grant *other;

	hop->outgoing = true;
	hop->conn = grant_way(hop->grant, next);
	if (hop->conn)
		return 0;
	/* Another grant of ours: the frame passes there without leaving the house. */
	other = grant_of(a->relay, next);
	if (!other && is_dead_end(a->relay, next)) {
		*phrase = "No such session";
		return 481;
	}
	if (!other)
		return known_or_new(a, hop->grant, next, &hop->conn, phrase);
	hop->grant = other;
	hop->inner = next;
	hop->to_path = msrp_path_rest(hop->to_path);
	if (!hop->to_path.p) {
		*phrase = "To-Path ends here";
		return 481;
	}
	return towards_client(a, hop, msrp_path_first(hop->to_path), phrase);
}

static int by_grant(struct arrival *a, struct hop *hop, const char **phrase)
{
	bool from_client = grant_is_from_client(a->grant, a->conn);

	hop->grant = a->grant;
	hop->own = a->own.p ? a->own : msrp_path_first(hop->to_path);
	hop->to_path = a->frame->to_rest;
	if (!hop->to_path.p) {
		*phrase = "To-Path ends here";
		return 481;
	}
	if (from_client) {
		learn(a, a->grant, true);
		return outwards(a, hop, phrase);
	}
	if (!grant_names_client(a->grant, msrp_path_first(hop->to_path))) {
		*phrase = "Not the way to the client";
		return 403;
	}
	learn(a, a->grant, false);
	return towards_client(a, hop, msrp_path_first(hop->to_path), phrase);
}

int hop_find(struct arrival *a, struct hop *hop, const char **phrase)
{
	int code = 0;

	*hop = (struct hop){.to_path = a->frame->to_path};
	if (a->verdict == VERDICT_FORWARD) {
		hop->to_path = a->to_path;
		if (!a->dst.p)
			code = connect_to(a, NULL, msrp_path_first(a->to_path), &hop->conn, phrase);
	} else {
		code = by_grant(a, hop, phrase);
	}
	if (code == 0 && a->dst.p)
		code = connect_to(a, NULL, a->dst, &hop->conn, phrase);
	return code;
}

size_t hop_paths_size(const struct arrival *a, const struct hop *hop)
{
	return sizeof("To-Path: \r\nFrom-Path:   \r\n") + hop->to_path.len + hop->own.len
	    + hop->inner.len + (hop->own.p ? a->frame->from_path.len : a->from_path.len);
}

void hop_write_paths(struct msrp_writer *w, const struct arrival *a, const struct hop *hop)
{
	msrp_write(w, SLICE("To-Path: "));
	msrp_write(w, hop->to_path);
	msrp_write(w, SLICE("\r\nFrom-Path: "));
	if (hop->inner.p) {
		msrp_write(w, hop->inner);
		msrp_write_char(w, ' ');
	}
	if (hop->own.p) {
		msrp_write(w, hop->own);
		msrp_write_char(w, ' ');
	}
	msrp_write(w, hop->own.p ? a->frame->from_path : a->from_path);
	msrp_write(w, SLICE("\r\n"));
}
