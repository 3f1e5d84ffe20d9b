/* A relay in a test, with clients that have a grant and peers that have none. */
#pragma once

#include "msrp_side.h"
#include "relay/arrival.h"
#include "relay/core.h"
#include "relay/grant.h"

struct relay_side {
	struct msrp_side msrp;
	struct relay_settings settings; /* may be changed before start */
	struct routes routes;           /* none */
	struct auth *auth;              /* of the users of settings */
	struct relay *relay;
};

/** A connection to the relay, and the relay's end of it. */
struct relay_peer {
	struct msrp_peer raw;
	struct relay_side *side;
	struct msrp_conn *conn;
	char own[80]; /* URI that it writes as */
	/* of a client */
	struct grant *grant;
	char granted[80];
};

/** Settings that suit tests: plain AUTH, times short. */
void relay_side_init(struct relay_side *side);
/** @return 0 or negative errno: memory is out */
int relay_side_start(struct relay_side *side);
void relay_side_stop(struct relay_side *side);

/** For cmocka. */
int relay_side_setup(void **state);
int relay_side_teardown(void **state);

/** Connect, and make the relay know the connection; name becomes the session id of its URI. */
void relay_peer_open(struct relay_peer *peer, struct relay_side *side, const char *name);
/** The same with a grant of that connection. */
void relay_client_open(struct relay_peer *client, struct relay_side *side, const char *name);
void relay_peer_close(struct relay_peer *peer);

/** Who is there in most tests.  Zeroed but for what is open. */
struct relay_cast {
	struct relay_side *side;
	struct relay_peer alice, bob, carol;
};

/**
 * A test's state of that size, which begins with a cast: a relay, and alice, who has a grant; bob and
 * carol are for the test to open.  The rest is zeroed.
 */
void *relay_fixture_new(size_t size);
/** The teardown of cmocka's for it. */
int relay_fixture_free(void **state);

/** Send what the format says, turning the loop as needed. */
void relay_peer_say(struct relay_peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Turn the loop until text has come; what came before it is forgotten. */
void relay_peer_expect(struct relay_peer *peer, const char *text);
/** Has it come? */
bool relay_peer_got(struct relay_peer *peer, const char *text);

/** The head of a SEND from one to the other: headers with their CRLF, then the blank line. */
void relay_peer_head(struct relay_peer *from, const char *to_path, const char *tid,
    const char *headers);
/** A whole SEND with its tid as Message-ID. */
void relay_peer_send(struct relay_peer *from, const char *to_path, const char *tid,
    const char *headers, const char *body);

/** To-Path from a client to a peer; valid until the next call. */
const char *relay_way_out(const struct relay_peer *client, const struct relay_peer *peer);
/** To-Path from a peer to a client. */
const char *relay_way_in(const struct relay_peer *client);

/** What the text, a frame from somebody, is to the relay; it borrows that and the frame. */
struct arrival relay_arrive(const struct relay_peer *from, const char *text,
    struct msrp_frame *frame);

/** The peer sends a SEND to the client, so that the relay knows where it is. */
void relay_peer_knock(struct relay_peer *peer, struct relay_peer *client);
