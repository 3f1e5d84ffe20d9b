#include "relay/peer.h"

#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/log.h"

static void set_fed(struct peer *peer, struct msrp_conn *latest, struct msrp_conn *before)
{
	if (latest)
		msrp_conn_ref(latest);
	if (before)
		msrp_conn_ref(before);
	for (int i = 0; i < 2; i++)
		if (peer->fed[i])
			msrp_conn_unref(peer->fed[i]);
	peer->fed[0] = latest;
	peer->fed[1] = before;
}

void peer_free(struct peer *peer)
{
	set_fed(peer, NULL, NULL);
	msrp_conn_set_note(peer->conn, NULL);
	LIST_REMOVE(peer, entry);
	if (peer->certified)
		LIST_REMOVE(peer, certified_entry);
	free(peer->identity);
	free(peer);
}

static void on_closed(struct msrp_note *note)
{
	peer_free(OWNER(struct peer, note, note));
}

struct peer *peer_find(const struct msrp_conn *conn)
{
	struct msrp_note *note = msrp_conn_note(conn);

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
	msrp_conn_set_note(conn, &peer->note);
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

void peer_feeds(struct peer *peer, struct msrp_conn *dest)
{
	if (peer->fed[0] != dest)
		set_fed(peer, dest, peer->fed[0]);
}

bool peer_is_shared(const struct peer *peer)
{
	return peer->fed[1] && !msrp_conn_closed(peer->fed[1]);
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
