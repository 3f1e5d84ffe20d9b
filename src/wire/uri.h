/* MSRP URIs: RFC 4975 section 6, grammar in section 9. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <msrpd/slice.h>

struct buffer;

/** RFC 4975 15.4: where nothing else is said.  Never assumed when URIs are compared. */
enum { MSRP_DEFAULT_PORT = 2855 };

/**
 * A parsed MSRP URI.  A view: its slices borrow the text that was parsed
 * and are valid as long as that text is.
 */
struct msrp_uri {
	bool secure;             /* scheme is msrps */
	uint16_t port;           /* host byte order, 0 if absent */
	struct slice userinfo;   /* absent if there is none */
	struct slice host;       /* IPv6 without its brackets */
	struct slice session_id; /* absent if there is none */
	struct slice transport;  /* "tcp" */
	struct slice params;     /* "x=y;z": further parameters verbatim, absent if none */
};

/**
 * Parse one URI at the front of text, as far as its characters go.  Whoever wants
 * the whole text to be one URI compares the count with text.len.
 *
 * Strict by the grammar, but for the host, where RFC 3986 would let in sub-delims that no
 * name has, and ";" among them.  Port 0, no host and no transport are not grammatical.
 *
 * @param uri   filled on success, untouched on failure
 * @param text  borrowed for the lifetime of uri
 * @return bytes consumed, or -EBADMSG if text does not begin with a URI
 */
ssize_t msrp_uri_parse(struct msrp_uri *uri, struct slice text);

/**
 * Compare by RFC 4975 section 6.1: userinfo and further parameters do not count; an absent
 * port or session id differs from a present one; IP addresses compare by value.
 */
bool msrp_uri_equal(const struct msrp_uri *a, const struct msrp_uri *b);

/** Same scheme, host, port and transport: whoever serves the one serves the other. */
bool msrp_uri_same_server(const struct msrp_uri *a, const struct msrp_uri *b);

/** Is the host an IPv4 or IPv6 address and not a name? */
bool msrp_uri_is_address(const struct msrp_uri *uri);

/** Write the URI as text; a host with colons gets brackets. */
void msrp_uri_write(struct buffer *w, const struct msrp_uri *uri);
