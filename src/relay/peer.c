#include "relay/peer.h"

#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/log.h"

static void forget(struct peer *peer)
{
	LIST_REMOVE(peer, entry);
	if (peer->certified)
		LIST_REMOVE(peer, certified_entry);
	free(peer->identity);
	free(peer);
}

static void on_closed(struct msrp_note *note)
{
	forget(OWNER(struct peer, note, note));
}

void peer_free(struct peer *peer)
{
	msrp_conn_remove_note(peer->conn, &peer->note);
	forget(peer);
}

struct peer *peer_find(const struct msrp_conn *conn)
{
	struct msrp_note *note = msrp_conn_note(conn, on_closed);

	return note ? OWNER(struct peer, note, note) : NULL;
}

struct peer *peer_of(struct relay *relay, struct msrp_conn *conn)
{
	struct peer *peer = peer_find(conn);

	if (peer || msrp_conn_closed(conn))
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->note.closed = on_closed;
	peer->relay = relay;
	peer->conn = conn;
	peer->certified = msrp_conn_peer_certified(conn);
	LIST_INSERT_HEAD(&relay->peers, peer, entry);
	if (peer->certified)
		LIST_INSERT_HEAD(&relay->certified, peer, certified_entry);
	msrp_conn_add_note(conn, &peer->note);
	return peer;
}

bool peer_is(struct peer *peer, struct slice host)
{
	/* What a certificate says does not change, and asking it costs. */
	if (!peer->identity || !slice_equal_nocase(slice_of(peer->identity), host)) {
		free(peer->identity);
		peer->identity = slice_dup(host);
		peer->proven = msrp_conn_peer_is(peer->conn, host);
	}
	return peer->proven;
}

struct msrp_conn *peer_with_identity(struct relay *relay, struct slice host)
{
	struct peer *peer;

	LIST_FOREACH(peer, &relay->certified, certified_entry)
		if (!msrp_conn_closed(peer->conn) && peer_is(peer, host))
			return peer->conn;
	return NULL;
}

void peer_failed(struct peer *peer)
{
	/* RFC 4976 6.3: another relay is not to pay for its clients. */
	if (peer->certified)
		return;
	if (++peer->failures < peer->relay->settings->max_auth_attempts)
		return;
	story_note(LOG_LEVEL_INFO,
	    &(struct story){.stack = "msrp", .conn = msrp_conn_number(peer->conn)},
	    "relay: conn %" PRIu64 ": closed after %u failures", msrp_conn_number(peer->conn),
	    peer->failures);
	msrp_conn_close_after_send(peer->conn);
}
