/* URIs as far as a proxy looks into them: RFC 3261 19.1 and 25.1. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

/** A SIP URI.  A view. */
struct edge_uri {
	bool secure;          /* sips */
	struct slice user;    /* without a password; absent: none */
	struct slice host;    /* IPv6 without its brackets */
	uint16_t port;        /* 0: absent */
	struct slice params;  /* behind the semicolon; absent: none */
	struct slice headers; /* behind the question mark; absent: none */
};

/** The whole of text as a sip: or sips: URI.  @return 0; -EBADMSG for anything else */
int edge_uri_parse(struct edge_uri *uri, struct slice text);

/** A URI parameter: its value, empty without one; absent: not there. */
struct slice edge_uri_param(const struct edge_uri *uri, struct slice name);

/**
 * Is the whole of text a URI that Sofia-SIP takes, too?  Stricter than either: characters that no
 * URI has, half escapes, and what other parsers might split elsewhere are refused.
 */
bool edge_uri_is_good(struct slice text);

/** Has it a scheme, and one that no request goes to: not sip, sips, tel, im, pres or urn? */
bool edge_uri_is_foreign(struct slice text);

/**
 * Cut a host off: a name, or an address, of which an IPv6 one stands in brackets.
 * @param host  without the brackets
 * @return false: there is none
 */
bool edge_host_cut(struct slice *rest, struct slice *host);
