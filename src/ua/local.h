/* The ways to be reached: ua.my_uri, or the listeners.  For who makes sessions besides the UA, too. */
#pragma once

#include "msrp/transport.h"
#include "sip/sdp.h"
#include "ua/ua.h"

struct buffer;
struct cluster;
struct msrp_stack;

enum {
	UA_ID_LEN = 22,                 /* of a session; 130 bits; RFC 4975 14.1 asks for 80 */
	UA_ID_MAX = 32 + 1 + UA_ID_LEN, /* behind the name of a node, if there are several */
	UA_FINGERPRINT_SIZE = 160,      /* "SHA-256 AB:CD:…" and its NUL */
};

/** One way to be reached. */
struct ua_local {
	const struct msrp_transport *transport;
	char *host; /* without brackets */
	uint16_t port;
};

/** All of them, in the order of preference; one at least. */
struct ua_locals {
	struct ua_local *items;
	size_t count;
};

/** Read them anew.  @return 0, -EINVAL: there are none, -ENOMEM; on failure nothing has changed */
int ua_locals_read(struct ua_locals *locals, const struct ua_settings *settings,
    const struct msrp_stack *msrp);
void ua_locals_free(struct ua_locals *locals);

/** Those of the UA, which a reload reads anew; valid as long as the UA. */
const struct ua_locals *ua_locals(const struct ua *ua);

/** The first of that scheme, of that transport if there is one; NULL: none has the scheme. */
const struct ua_local *ua_local_find(const struct ua_locals *locals, bool secure,
    struct slice transport);

/** The one for a stream that a peer offers, by the way that he comes; NULL: none has its scheme. */
const struct ua_local *ua_local_for(const struct ua_locals *locals, const struct sdp_media *media);

/** The id of a new session: any node knows whose what it is sent is. */
void ua_local_id(char id[UA_ID_MAX + 1], const struct cluster *cluster);

/** Write the URI of a session there. */
void ua_local_write(struct buffer *w, const struct ua_local *local, struct slice id);

/** The fingerprint of our certificate, for SDP; absent: there is none. */
struct sdp_fingerprint ua_local_fingerprint(const struct msrp_stack *msrp,
    char text[UA_FINGERPRINT_SIZE]);
