#include "relay/hop.h"

#include <errno.h>

#include "msrp/pool.h"
#include "relay/node.h"
#include "wire/path.h"

/* A status and its phrase. */
static int refuse(int code, const char *text, const char **phrase)
{
	*phrase = text;
	return code;
}

/* --- connections --- */

/*
 * routes.msrp_socket is asked once in the life of a grant, before its first SEND goes out.
 *
 * @return 0, or -EINVAL: a rule names a listener that there is not
 */
static int leave_from(struct arrival *a, struct grant_use *use, const struct msrp_uri *next,
    struct msrp_listener **fromp)
{
	struct route_list *list = a->relay->routes->msrp_socket;
	unsigned outcome;

	*fromp = use ? use->leave_from : NULL;
	if (!list || route_list_empty(list) || (use && use->leave_asked))
		return 0;
	a->next = next;
	outcome = arrival_run(a, list);
	a->next = NULL;
	if (outcome & ROUTE_FAILED)
		return -EINVAL;
	if (use) {
		use->leave_asked = true;
		use->leave_from = a->leave_from;
	}
	*fromp = a->leave_from;
	return 0;
}

static int refuse_connection(int err, const char **phrase)
{
	switch (err) {
	case -ENOENT:
		return refuse(481, "No connection", phrase);
	case -EMFILE:
	case -ENOMEM:
		return refuse(408, "Out of resources", phrase);
	default:
		return refuse(408, "Cannot connect", phrase);
	}
}

/* A connection to a URI, from the pool; grant: that is in use, whose neighbor it will be, or NULL. */
static int connect_to(struct arrival *a, struct grant *grant, struct slice uri,
    struct msrp_conn **connp, const char **phrase)
{
	struct msrp_destination to = {.existing = a->no_connect, .from = a->dst_listener};
	struct msrp_uri next;
	int err;

	if (msrp_uri_parse(&next, uri) < 0)
		return refuse(400, "Next URI is none", phrase);
	to.secure = next.secure;
	to.transport = next.transport;
	to.host = next.host;
	to.port = next.port ? next.port : MSRP_DEFAULT_PORT;
	if (!to.from && leave_from(a, grant ? grant->use : NULL, &next, &to.from) < 0)
		return refuse(400, "No such listener", phrase);
	err = msrp_pool_get(a->relay->stack, &to, connp);
	return err < 0 ? refuse_connection(err, phrase) : 0;
}

/*
 * No connection of the identity that the grant belongs to is open.  One to the client's URI is
 * its own if TLS proves that; a plain one would be anybody's.
 */
static int connect_to_identity(struct arrival *a, struct hop *hop, struct grant *grant,
    struct slice uri, const char **phrase)
{
	struct msrp_uri client;
	int code;

	if (msrp_uri_parse(&client, uri) < 0 || !client.secure)
		return refuse(481, "The client is not connected", phrase);
	code = connect_to(a, grant, uri, &hop->conn, phrase);
	if (code == 0)
		grant_heard(grant, hop->conn);
	return code;
}

/* --- rules of forwarding --- */

static int pass_by(struct hop *hop, struct grant *grant, bool from_client, const char **phrase)
{
	struct grant_use *use = grant_used(grant);

	if (!use)
		return refuse(408, "Out of resources", phrase);
	hop->way = &use->way;
	hop->traffic = from_client ? &use->from_client : &use->to_client;
	return 0;
}

/* Towards the client of the grant. */
static int towards_client(struct arrival *a, struct hop *hop, struct grant *grant,
    struct slice next, const char **phrase)
{
	int code;

	if (!grant_names_client(grant, next))
		return refuse(403, "Not the way to the client", phrase);
	code = pass_by(hop, grant, false, phrase);
	if (code)
		return code;
	hop->conn = grant_client_conn(grant);
	return hop->conn || a->dst.p ? 0 : connect_to_identity(a, hop, grant, next, phrase);
}

/* The grant of this relay that a URI is, or NULL. */
static struct grant *grant_named(struct relay *relay, struct slice uri)
{
	struct msrp_uri next;

	return msrp_uri_parse(&next, uri) > 0 ? grant_of_uri(relay, &next) : NULL;
}

/* Would the frame come back to this relay, for a session that it does not have? */
static bool is_dead_end(struct relay *relay, struct slice uri)
{
	struct msrp_uri next, host;

	return msrp_uri_parse(&next, uri) > 0 && next.session_id.p
	    && !msrp_target_find(relay->stack, &next) && relay_owns(relay, &next, &host);
}

/* Note where the frame came from: there goes what is sent back. */
static void learn(struct arrival *a, struct grant *grant, bool from_client)
{
	struct slice from = msrp_frame_from_first(a->frame);

	if (from_client && grant->by_identity)
		grant_heard(grant, a->conn);
	else if (from_client)
		grant_learn_client(grant, from);
	/* A stranger cannot take the place of the client, nor of another grant of this relay. */
	else if (grant_used(grant) && neighbors_find(&grant->use->neighbors, from) != a->conn
	    && !grant_is_client(grant, from) && !grant_named(a->relay, from))
		neighbors_learn(&grant->use->neighbors, from, a->conn);
}

/* Another grant of this relay comes next: the frame passes by that as well. */
static int by_second_grant(struct arrival *a, struct hop *hop, struct grant *second,
    const char **phrase)
{
	hop->inner = msrp_path_first(hop->to_path);
	hop->to_path = msrp_path_rest(hop->to_path);
	if (!hop->to_path.p)
		return refuse(481, "To-Path ends here", phrase);
	return towards_client(a, hop, second, msrp_path_first(hop->to_path), phrase);
}

static int refuse_node(int err, const char **phrase)
{
	return err == -ENOENT ? refuse(481, "No such node", phrase)
			      : refuse_connection(err, phrase);
}

/* A grant of another node comes next.  @return -1: none does */
static int by_node_of(struct arrival *a, struct hop *hop, struct slice next, const char **phrase)
{
	struct msrp_uri uri;
	int err;

	if (msrp_uri_parse(&uri, next) < 0 || !node_has(a->relay, &uri))
		return -1;
	err = node_connect(a->relay, &uri, &hop->conn);
	return err < 0 ? refuse_node(err, phrase) : 0;
}

/* Between somebody and another node: as it is, since this one is no hop of it. */
static int through(struct arrival *a, struct hop *hop, const char **phrase)
{
	const struct msrp_frame *f = a->frame;
	struct slice to = msrp_path_first(f->to_path), from = msrp_path_first(f->from_path);
	int err;

	hop->from_path = f->from_path;
	hop->conn = node_back(a->relay, a->conn, from, to);
	if (hop->conn)
		return 0;
	err = node_connect(a->relay, &f->to, &hop->conn);
	if (err < 0)
		return refuse_node(err, phrase);
	node_learn(a->relay, to, from, a->conn);
	return 0;
}

static int outwards(struct arrival *a, struct hop *hop, const char **phrase)
{
	struct grant *grant = a->grant;
	struct slice next = msrp_path_first(hop->to_path);
	struct grant *second;
	int code;

	code = pass_by(hop, grant, true, phrase);
	if (code)
		return code;
	hop->conn = neighbors_find(&grant->use->neighbors, next);
	if (hop->conn)
		return 0;
	second = grant_named(a->relay, next);
	if (second)
		return by_second_grant(a, hop, second, phrase);
	code = by_node_of(a, hop, next, phrase);
	if (code >= 0)
		return code;
	if (is_dead_end(a->relay, next))
		return refuse(481, "No such session", phrase);
	if (a->dst.p)
		return 0;
	code = connect_to(a, grant, next, &hop->conn, phrase);
	if (code == 0)
		neighbors_learn(&grant->use->neighbors, next, hop->conn);
	return code;
}

static int by_grant(struct arrival *a, struct hop *hop, const char **phrase)
{
	bool from_client = grant_is_from_client(a->grant, a->conn);

	hop->own = a->own.p ? a->own : msrp_frame_to_first(a->frame);
	hop->to_path = a->frame->to_rest;
	if (!hop->to_path.p)
		return refuse(481, "To-Path ends here", phrase);
	if (!from_client && !grant_names_client(a->grant, msrp_path_first(hop->to_path)))
		return refuse(403, "Not the way to the client", phrase);
	learn(a, a->grant, from_client);
	return from_client
	    ? outwards(a, hop, phrase)
	    : towards_client(a, hop, a->grant, msrp_path_first(hop->to_path), phrase);
}

int hop_find(struct arrival *a, struct hop *hop, const char **phrase)
{
	int code = 0;

	*hop = (struct hop){.to_path = a->frame->to_path};
	if (a->verdict == VERDICT_FORWARD) {
		hop->to_path = a->to_path;
		hop->from_path = a->from_path;
		if (!a->dst.p)
			code = connect_to(a, NULL, msrp_path_first(a->to_path), &hop->conn, phrase);
	} else {
		code = a->grant ? by_grant(a, hop, phrase) : through(a, hop, phrase);
	}
	if (code == 0 && a->dst.p)
		code = connect_to(a, NULL, a->dst, &hop->conn, phrase);
	return code;
}
