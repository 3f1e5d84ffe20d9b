/* SIP MESSAGE, page mode: RFC 3428.  Incoming ones are sip_requests (request.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/flow.h>
#include <msrpd/slice.h>

struct page; /* the sender of MESSAGEs: one a daemon */

/** A MESSAGE to send; everything is copied. */
struct page_message {
	struct slice ruri;
	struct slice from_uri, to_uri; /* or name-addrs: "Anna Ray" <sip:anna@example.org> */
	struct slice content_type;
	struct slice body;
	struct slice headers; /* further header lines, each "Name: value\r\n"; may be absent */
	/** The connection that it goes over (flow.h), wherever ruri may be; NULL: where ruri is. */
	struct sip_flow *flow;
	/**
	 * Without flow: the connection of whom this answers, which he may have left since.  It goes
	 * over that unless he is registered here, or an address of his own with a port is named.
	 */
	struct sip_flow *caller;
	unsigned hops; /* that it may go, Max-Forwards being one less; 0: the usual 70 */
	/** What is too large for UDP (RFC 3428 8): over TCP, over UDP all the same, -EMSGSIZE. */
	enum page_large { PAGE_LARGE_TCP, PAGE_LARGE_UDP, PAGE_LARGE_REFUSE } large;
};

struct page_result {
	int code; /* final SIP status; 413 of ours: too large for UDP, and nobody listens on TCP */
	struct slice reason;
	bool from_peer; /* false: no answer in time, or nobody reached */
};

/** Phrase of the 400 for -EDESTADDRREQ. */
#define PAGE_NO_PROXY "No Outbound Proxy For This URI"

/**
 * Could one be sent, as far as its addresses tell?
 *
 * @return 0, -EINVAL: a URI that is none, -EDESTADDRREQ: a Request-URI whose scheme (tel:, im:,
 *         pres:, urn:service:) wants an outbound proxy, and there is none
 */
int page_check(struct page *page, const struct page_message *message);

/** A MESSAGE that waits until it is known where somebody is. */
struct page_waiter;

/**
 * Of a URI, whatever its scheme and parameters.
 *
 * @return 1 with the place; 0: nobody is there; -EINPROGRESS: page_found() tells later, but not
 *         from inside this call
 */
typedef int page_finder(struct sip_place *place, struct slice uri, struct page_waiter *waiter,
    void *arg);

/**
 * Who knows where the users of this daemon are is asked from now on before a MESSAGE leaves: for its
 * Request-URI if it has no flow and no other server is named there, or, if the flow that it has is
 * closed, for its To.  If nobody is there the MESSAGE goes where it would have gone.
 *
 * @param find  NULL: nobody is asked
 */
void page_set_finder(struct page *page, page_finder *find, void *arg);

/** @param place  NULL: nobody is there */
void page_found(struct page_waiter *waiter, const struct sip_place *place);

/**
 * Send one MESSAGE (RFC 3428 section 4).  Over 1300 bytes it goes over TCP (section 8).
 *
 * @param done  called once with the final answer, never from inside this call; NULL: nobody asks
 * @return 0, -EMSGSIZE: too large for what is allowed, -EINVAL, -EDESTADDRREQ: see
 *         page_check(), -ENETUNREACH: no SIP listener, or the flow is closed,
 *         -ENOBUFS: too many under way, -ENOMEM
 */
int page_send(struct page *page, const struct page_message *message,
    void (*done)(const struct page_result *result, void *arg), void *arg);
