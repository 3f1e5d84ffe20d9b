#include "relay/peer.h"

#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/log.h"

/* Marks on a connection. */
enum {
	FAILURES = 0xffff, /* a number: wrong AUTHs, and refusals before anything was right */
	MET = 1 << 16,
	CERTIFIED = 1 << 17, /* there is a struct peer: it showed a certificate that a known
				authority vouches for */
	RIGHT = 1 << 18,     /* something was */
	NODE = 1 << 19,
};

struct peer {
	struct msrp_note note;
	LIST_ENTRY(peer) entry;
	struct msrp_conn *conn;
	char *identity; /* name that its certificate was last asked for */
	bool proven;    /* the certificate has that name */
};

static bool has(struct msrp_conn *conn, uint32_t mark)
{
	return *msrp_conn_marks(conn) & mark;
}

static void mark(struct msrp_conn *conn, uint32_t mark)
{
	*msrp_conn_marks(conn) |= mark;
}

/* --- who is certified --- */

static void forget(struct peer *peer)
{
	LIST_REMOVE(peer, entry);
	free(peer->identity);
	free(peer);
}

static void on_closed(struct msrp_note *note)
{
	forget(OWNER(struct peer, note, note));
}

void peers_fini(struct relay *relay)
{
	struct peer *peer;

	while ((peer = LIST_FIRST(&relay->peers))) {
		msrp_conn_remove_note(peer->conn, &peer->note);
		forget(peer);
	}
}

void peer_meet(struct relay *relay, struct msrp_conn *conn)
{
	struct peer *peer;

	if (has(conn, MET) || msrp_conn_closed(conn))
		return;
	if (!msrp_conn_peer_certified(conn)) {
		mark(conn, MET);
		return;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return; /* its next frame tries again */
	peer->note.closed = on_closed;
	peer->conn = conn;
	LIST_INSERT_HEAD(&relay->peers, peer, entry);
	msrp_conn_add_note(conn, &peer->note);
	mark(conn, MET | CERTIFIED);
}

static bool vouches_for(struct peer *peer, struct slice host)
{
	/* What a certificate says does not change, and asking it costs. */
	if (!peer->identity || !slice_equal_nocase(slice_of(peer->identity), host)) {
		free(peer->identity);
		peer->identity = slice_dup(host);
		peer->proven = msrp_conn_peer_is(peer->conn, host);
	}
	return peer->proven;
}

bool peer_is(const struct msrp_conn *conn, struct slice host)
{
	struct msrp_note *note = msrp_conn_note(conn, on_closed);

	return note && vouches_for(OWNER(struct peer, note, note), host);
}

struct msrp_conn *peer_with_identity(struct relay *relay, struct slice host)
{
	struct peer *peer;

	LIST_FOREACH(peer, &relay->peers, entry)
		if (!msrp_conn_closed(peer->conn) && vouches_for(peer, host))
			return peer->conn;
	return NULL;
}

/* --- marks --- */

void peer_was_right(struct msrp_conn *conn)
{
	mark(conn, RIGHT);
}

bool peer_has_been_right(struct msrp_conn *conn)
{
	return has(conn, RIGHT) || msrp_conn_used(conn);
}

void peer_is_now_node(struct msrp_conn *conn)
{
	mark(conn, NODE);
}

bool peer_is_node(struct msrp_conn *conn)
{
	return has(conn, NODE);
}

void peer_failed(struct relay *relay, struct msrp_conn *conn)
{
	uint32_t *marks = msrp_conn_marks(conn);

	/* RFC 4976 6.3: another relay is not to pay for its clients. */
	if (has(conn, CERTIFIED) || msrp_conn_closed(conn))
		return;
	if ((*marks & FAILURES) < FAILURES)
		++*marks;
	if ((*marks & FAILURES) < relay->settings->max_auth_attempts)
		return;
	story_refuse(&(struct story){.stack = "msrp", .conn = msrp_conn_number(conn)}, 0,
	    "relay: conn %" PRIu64 ": closed after %u failures", msrp_conn_number(conn),
	    *marks & FAILURES);
	msrp_conn_close_after_send(conn);
}
