#include "relay/priv.h"

#include <inttypes.h>
#include <stdlib.h>

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
	while (peer->grants)
		grant_free(peer->grants);
	msrp_conn_detach(&peer->user);
	set_fed(peer, NULL, NULL);
	msrp_conn_set_note(peer->conn, NULL);
	*peer->prevp = peer->next;
	if (peer->next)
		peer->next->prevp = peer->prevp;
	free(peer->identity);
	free(peer);
}

static void on_closed(struct msrp_note *note)
{
	peer_free(OWNER(struct peer, note, note));
}

/* The note tells of the end. */
static void on_user_closed(struct msrp_user *user, int err)
{
	(void)user;
	(void)err;
}

static const struct msrp_user_ops user_ops = {.closed = on_user_closed};

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
	peer->user.ops = &user_ops;
	peer->relay = relay;
	peer->conn = conn;
	peer->next = relay->peers;
	peer->prevp = &relay->peers;
	if (peer->next)
		peer->next->prevp = &peer->next;
	relay->peers = peer;
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
	if (msrp_conn_peer_certified(peer->conn))
		return;
	if (++peer->failures < peer->relay->settings->max_auth_attempts)
		return;
	log_info("relay: conn %" PRIu64 ": closed after %u failures", msrp_conn_number(peer->conn),
	    peer->failures);
	msrp_conn_close_after_send(peer->conn);
}
