/* A SIP request that reached us outside any dialog, as rules and services see it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/buffer.h>
#include <msrpd/sip_uri.h>
#include <msrpd/slice.h>

/**
 * An INVITE, a MESSAGE, a REFER or a REGISTER.  Referenced: whoever answers later holds a
 * reference.  An unanswered request that loses its last reference is answered 500, a REFER 405.
 */
struct buffer;
struct cluster;
struct cluster_mark;
struct cluster_node;
struct sip_flow;
struct sip_place;
struct setting_list;
struct sip_request;

struct sip_request *sip_request_ref(struct sip_request *req);
void sip_request_unref(struct sip_request *req);

enum sip_field {
	SIP_FIELD_METHOD,
	SIP_FIELD_RURI, /* URIs: scheme and all, without <> and header parameters */
	SIP_FIELD_FROM_URI,
	SIP_FIELD_TO_URI,
	SIP_FIELD_FROM, /* the same with its display name before it, "NAME <URI>" */
	SIP_FIELD_TO,
	SIP_FIELD_FROM_TAG,
	SIP_FIELD_CALL_ID,
	SIP_FIELD_CSEQ,           /* its number, decimal */
	SIP_FIELD_SOURCE_ADDRESS, /* of the socket, without brackets */
	SIP_FIELD_SOURCE_PORT,    /* decimal */
	SIP_FIELD_PROTO,          /* "udp", "tcp", "tls" */
	SIP_FIELD_CONTACT,        /* URI of the first Contact */
	SIP_FIELD_CONTENT_TYPE,   /* with parameters */
	SIP_FIELD_USER_AGENT,
	SIP_FIELD_AUTH_USER, /* once sip_request_authorize() has found them good */
	SIP_FIELD_AUTH_REALM,
	SIP_FIELD_BODY,
};

/**
 * One field of the request; absent (p == NULL) when the request has none.
 * Valid as long as the caller's reference.
 */
struct slice sip_request_field(const struct sip_request *req, enum sip_field field);

/** The first header of that name, in any case, long or compact form; absent if there is none. */
struct slice sip_request_header(const struct sip_request *req, struct slice name);

/** The same of all of that name in their order, counted from 0. */
struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index);

/**
 * One Contact of the request, counted from 0: "<URI>;PARAMETERS" without a display name, "*", or
 * "<>" for a URI that is none of SIP's.
 *
 * @return absent behind the last one
 */
struct slice sip_request_contact(const struct sip_request *req, size_t index);

/** Has the request a header of that name that cannot be read, and so is not among the above? */
bool sip_request_is_damaged(const struct sip_request *req, struct slice name);

/** Has its sender come to us himself, and no proxy between the two? */
bool sip_request_is_direct(const struct sip_request *req);

/** A rule says that its sender is behind a NAT: he is reached where it came from, and nowhere else. */
void sip_request_set_nated(struct sip_request *req);
bool sip_request_is_nated(const struct sip_request *req);

/**
 * The Path of the request (RFC 3327), fit to be a Route of ours: "<URI>, <URI>".
 *
 * @param w            it is added to it; nothing where there is none
 * @param keeps_flows  does the first proxy behind the client have ";ob" (RFC 5626 5.1)?
 * @return 0; -EBADMSG: one that is no Path, or strict (without ";lr"); -ENOMEM
 */
int sip_request_path(const struct sip_request *req, struct buffer *w, bool *keeps_flows);

/** Is this, as it stands in a URI, the host of a listener of ours, or of sip.advertised_contact? */
bool sip_request_host_is_ours(const struct sip_request *req, struct slice host);

/**
 * Does a request to this URI come back to us, as far as can be seen without DNS, however it writes
 * our address?
 *
 * @param names  hosts (char *) that are ours beside listeners and sip.advertised_contact: a name
 *               on whatever port, an address on the port of a listener; NULL: none
 */
bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri,
    const struct setting_list *names);

/**
 * Put another URI in the place of the Request-URI: in what rules see, and in what is made of the
 * request.
 *
 * @param place  see flow.h; a reference to its flow is taken
 * @return 0, -EINVAL: its URI is none, -ENOMEM
 */
int sip_request_set_target(struct sip_request *req, const struct sip_place *place);

/** The flow of that target, borrowed, if uri is the one that was put there; else NULL. */
struct sip_flow *sip_request_flow_to(const struct sip_request *req, struct slice uri);

/**
 * How many hops what this request causes may go, its Max-Forwards being one less (RFC 3261 16.3):
 * 0 is none, for a 483; 70 where it has no Max-Forwards.
 */
unsigned sip_request_hops(const struct sip_request *req);

/** Names of sip.pass_headers; NULL behind the last. */
const char *sip_request_passed(const struct sip_request *req, size_t index);

/** Append those headers of the request as lines, each "Name: value\r\n". */
void sip_request_add_passed(const struct sip_request *req, struct buffer *lines);

/** Headers that nobody but SIP itself may write (RFC 3261 20), for slice_is_listed(). */
extern const char *const sip_own_headers[];

/** Are these lines headers that may be given to a request or an answer of ours? */
bool sip_headers_are_free(struct slice lines);

/**
 * Answer the request.  The first final answer counts, a later one is -EEXIST.
 *
 * @param headers  further header lines, each "Name: value\r\n"; absent for none
 * @return 0, -EEXIST, -EINVAL for a code outside 100 to 699
 */
int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers);

/**
 * Say nothing, now or later; the request counts as answered.  Its repetitions are passed over
 * while their sender may go on with them.  An INVITE has got its 100 though (RFC 3261 17.2.1),
 * and over TCP or TLS it gets a 408 when the time of a transaction is over.
 *
 * @return 0, -EEXIST: answered already
 */
int sip_request_drop(struct sip_request *req);

/**
 * Let another node of ours serve the request, with the target that it has by now: what that answers
 * is the answer, and the dialog, if one begins with it, is between it and the client.  The request
 * counts as answered.
 *
 * @param mark  what the node is to do with it; mark->at is put in here
 * @return 0, -EEXIST: answered already, -EXDEV: it or we have no SIP for nodes, -EMSGSIZE: the mark
 *         is longer than a header may be, -ENOMEM
 */
int sip_request_pass_on(struct sip_request *req, const struct cluster *cluster,
    const struct cluster_node *node, const struct cluster_mark *mark);

/** A header line for the 480 to what asks for sips, and cannot have it (RFC 5630 6). */
#define SIP_NO_SIPS SLICE("Warning: 380 msrpd \"SIPS Not Allowed\"\r\n")

enum sip_digest { SIP_DIGEST_MD5, SIP_DIGEST_SHA256 };

enum { SIP_DIGESTS_MAX = 2 };

/** What is offered, the one that is liked best first; none of them twice. */
struct sip_digests {
	enum sip_digest of[SIP_DIGESTS_MAX];
	size_t count;
};

/**
 * Does the request carry good credentials of the daemon's users for that realm (RFC 3261 22,
 * RFC 8760)?  Otherwise it is answered here: 401 with a challenge for each algorithm, or 403 to an
 * address that has too many wrong ones.  Those by an algorithm that is not offered are none.
 *
 * @param digests  NULL: MD5
 * @return 0, and SIP_FIELD_AUTH_USER and _REALM are there from now on; -EACCES; -EEXIST: answered
 *         already; -EINVAL: a realm that is none, which is answered 500
 */
int sip_request_authorize(struct sip_request *req, struct slice realm,
    const struct sip_digests *digests);

/** Has a final answer been given?  Or none ever will. */
bool sip_request_answered(const struct sip_request *req);
