/*
 * Values of header fields: lists, addresses, parameters, Via.  RFC 3261 7.3.1, 20.10, 20.42, 25.1.
 * Blanks are also the CRLF of a folded line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

static inline bool edge_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/** Without blanks at either end. */
struct slice edge_trim(struct slice s);

/**
 * Cut the next value off a list, at a comma outside of quotes and angle brackets; empty ones are
 * passed over.
 * @return false: there is none any more
 */
bool edge_list_cut(struct slice *rest, struct slice *value);

/** ";name" or ";name=value" */
struct edge_param {
	struct slice whole; /* from the semicolon on */
	struct slice name;
	struct slice value; /* absent: none; quotes stay */
};

/**
 * Cut the next parameter off.
 * @param rest  begins with a semicolon, or is empty
 * @return 1; 0: there is none any more; -EBADMSG
 */
int edge_param_cut(struct slice *rest, struct edge_param *param);

/** What is behind a value's address or sent-by, from the semicolon on; absent: nothing. */
struct slice edge_value_params(struct slice value);

/** A parameter there: its value, empty without one; absent: not there, or no good one. */
struct slice edge_value_param(struct slice value, struct slice name);

/** The URI of a name-addr or addr-spec, as in Route and Contact; absent: there is none. */
struct slice edge_value_uri(struct slice value);

/** Is value one good address with good parameters, as in From and To? */
bool edge_value_is_address(struct slice value);

/** A value of Via. */
struct edge_via {
	struct slice value;
	struct slice transport; /* "TCP" of SIP/2.0/TCP */
	struct slice sent_by;   /* as written: "host", "host:port" */
	struct slice host;      /* IPv6 without its brackets */
	uint16_t port;          /* 0: absent */
	struct slice params;    /* from the first semicolon on; absent: none */
	struct slice branch, received;
	bool alias;       /* RFC 5923 */
	bool wants_rport; /* an rport is there, with a value or without (RFC 3581) */
};

/** The whole of value.  @return 0 or -EBADMSG */
int edge_via_parse(struct edge_via *via, struct slice value);
