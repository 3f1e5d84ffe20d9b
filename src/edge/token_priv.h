/* Names of flows, listeners and datagrams that only we can write, in Routes and Vias. */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

#include "edge/edge.h"
#include "edge/memory_priv.h"

enum {
	EDGE_MAC_LEN = 16,
	EDGE_FLOW_TOKEN_SIZE = 1 + 16 + EDGE_MAC_LEN + 1, /* with a NUL */
	EDGE_TOKEN_SIZE = EDGE_FLOW_TOKEN_SIZE + 32,      /* with the host of a datagram */
};

_Static_assert((int)EDGE_FLOW_TOKEN_SIZE <= (int)SIP_FLOW_USER_SIZE, "it is told to others");

/** What the top Route, Record-Route or Via of a message between edge and stack names. */
struct edge_token {
	enum {
		TOKEN_FLOW = 'f',
		TOKEN_DATAGRAM = 'd', /* where one came from */
		TOKEN_OUT = 'o',      /* the listener that a request is to leave as */
		TOKEN_WHOLE = 'w',    /* the same; by UDP however large it is */
		TOKEN_LINK = 'l',
		TOKEN_NODE = 'n', /* a flow that another node's request is to go over */
	} kind;
	uint64_t number;     /* of a flow; of a listener */
	edge_share share;    /* FLOW: its peer's, also when it is closed; OUT: of a caller by UDP */
	union addr peer;     /* DATAGRAM: its source; without its scope */
	uint16_t reply_port; /* DATAGRAM: where the response goes */
};

void edge_token_write(const struct edge *edge, const struct edge_token *token,
    char text[EDGE_TOKEN_SIZE]);

/** @return 0 or -EBADMSG: not one that we have written */
int edge_token_parse(struct edge *edge, struct slice text, struct edge_token *token);

/** A keyed hash of the texts, in hexadecimal. */
void edge_mac(const struct edge *edge, const struct slice *texts, size_t count,
    char mac[EDGE_MAC_LEN + 1]);

/** Is it that?  In a time that tells nothing of where it differs. */
bool edge_mac_is(struct edge *edge, const struct slice *texts, size_t count, struct slice mac);

enum { EDGE_BRANCH_SIZE = 300 };

/**
 * The branch that a request of the stack has in its Via on the wire: the stack's, and a hash of it
 * with a token, so that only responses to what went out there are taken.
 *
 * @param attempt  so many times the request was sent elsewhere: each is a transaction of its own
 *                 (RFC 3263 4.3)
 * @return 0 or -EMSGSIZE
 */
int edge_branch_write(struct edge *edge, const char *token, struct slice branch, unsigned attempt,
    char wire[EDGE_BRANCH_SIZE]);

/** @return the stack's; absent: it is not one that we have sent */
struct slice edge_branch_parse(struct edge *edge, const char *token, struct slice wire,
    unsigned *attemptp);

/** Cut off what each branch of RFC 3261 begins with.  @return false: it is none */
bool edge_branch_cut(struct slice *branch);

enum { EDGE_OWN_BRANCH_SIZE = 7 + EDGE_TOKEN_SIZE + EDGE_MAC_LEN + 1 };

/**
 * The branch of the Via that is put on what comes from a peer: it says where the response goes.
 *
 * @param mac  what follows the token
 * @return 0 or -EBADMSG: it is not one of ours
 */
int edge_branch_token(struct edge *edge, struct slice branch, struct edge_token *token,
    struct slice *mac);

/** Of a flow's or a datagram's token.  @return as edge_origin_of_branch() */
int edge_token_origin(struct edge *edge, const struct edge_token *token,
    struct edge_origin *origin);

/** "<sip:TOKEN@127.0.0.1:PORT;transport=tcp;lr>" */
void edge_route_write(const struct edge *edge, const char *token, char text[EDGE_ROUTE_SIZE]);
