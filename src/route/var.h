/* Variables of rules: their names, what they stand for, and texts that hold them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <msrpd/event.h>
#include <msrpd/slice.h>

enum route_var_id {
	/* sip */
	ROUTE_VAR_SIP_METHOD,       /* $rm */
	ROUTE_VAR_SIP_RURI,         /* $ru */
	ROUTE_VAR_SIP_FROM,         /* $fu */
	ROUTE_VAR_SIP_TO,           /* $tu */
	ROUTE_VAR_SIP_RURI_USER,    /* $rU */
	ROUTE_VAR_SIP_FROM_USER,    /* $fU */
	ROUTE_VAR_SIP_TO_USER,      /* $tU */
	ROUTE_VAR_SIP_RURI_DOMAIN,  /* $rd */
	ROUTE_VAR_SIP_FROM_DOMAIN,  /* $fd */
	ROUTE_VAR_SIP_TO_DOMAIN,    /* $td */
	ROUTE_VAR_SIP_CALL_ID,      /* $ci */
	ROUTE_VAR_SIP_PROTO,        /* $proto */
	ROUTE_VAR_SIP_CONTACT,      /* $ct */
	ROUTE_VAR_SIP_CONTENT_TYPE, /* $cT */
	ROUTE_VAR_SIP_USER_AGENT,   /* $ua */
	ROUTE_VAR_SIP_BODY,         /* $rb */

	/* sip and the three of msrp */
	ROUTE_VAR_SOURCE_ADDRESS, /* $si */
	ROUTE_VAR_SOURCE_PORT,    /* $sp */
	ROUTE_VAR_HEADER,         /* $hdr(argument) */

	/* the three of msrp: $msrp(method) and so on */
	ROUTE_VAR_MSRP_METHOD,
	ROUTE_VAR_MSRP_CODE,
	ROUTE_VAR_MSRP_REASON,
	ROUTE_VAR_MSRP_TRANSID,
	ROUTE_VAR_MSRP_MSGID,
	ROUTE_VAR_MSRP_SESSID,
	ROUTE_VAR_MSRP_CRTHOP,
	ROUTE_VAR_MSRP_NEXTHOP,
	ROUTE_VAR_MSRP_PREVHOP,
	ROUTE_VAR_MSRP_FIRSTHOP,
	ROUTE_VAR_MSRP_LASTHOP,
	ROUTE_VAR_MSRP_NEXTHOPS,
	ROUTE_VAR_MSRP_PREVHOPS,
	ROUTE_VAR_MSRP_HDRS,
	ROUTE_VAR_MSRP_BODY,
	ROUTE_VAR_MSRP_BODYLEN,
	ROUTE_VAR_MSRP_BUF,
	ROUTE_VAR_MSRP_BUFLEN,
	ROUTE_VAR_MSRP_CONID,
	ROUTE_VAR_MSRP_SRCADDR,
	ROUTE_VAR_MSRP_SRCSOCK,
	ROUTE_VAR_MSRP_IS_REQUEST, /* is_request, in an if: "true" or "false" */
	ROUTE_VAR_AUTH_USER,       /* $au */
	ROUTE_VAR_AUTH_REALM,      /* $ar */

	/* msrp_socket */
	ROUTE_VAR_DST_SCHEME, /* $dst_scheme */
	ROUTE_VAR_DST_HOST,   /* $dst_host */

	/* event */
	ROUTE_VAR_EVENT,       /* $event */
	ROUTE_VAR_EVENT_PARAM, /* $param(argument) */

	ROUTE_VAR_COUNT
};

/** A set of variables is a uint64_t of these. */
#define ROUTE_BIT(id) (UINT64_C(1) << (id))

/** The part of an MSRP URI in $(NAME{msrpuri.PART}), with which get() answers then. */
enum route_part {
	ROUTE_PART_NONE, /* the value itself */
	ROUTE_PART_USER,
	ROUTE_PART_USERINFO,
	ROUTE_PART_HOST,
	ROUTE_PART_PORT,
	ROUTE_PART_SESSION,
	ROUTE_PART_PROTO,
	ROUTE_PART_SCHEME,
	ROUTE_PART_PARAMS, /* without the leading ; */
};

/** A variable as a rule names it; a view of the text that was parsed. */
struct route_var {
	enum route_var_id id;
	struct slice argument; /* of $hdr() and $param(), else absent */
	enum route_part part;
};

enum {
	ROUTE_SCRATCH_SIZE = 256, /* room of get() for a value that is no text yet */
	ROUTE_VALUE_MAX = 65536,  /* bytes of an argument, its variables put in */
};

struct route_spec;
struct tree;
struct tree_fault;

/**
 * Parse the variable at the front of text: $name, $name(argument),
 * $(name{msrpuri.part}), $(name(argument){msrpuri.part}).
 *
 * @param spec  whose variables are known
 * @param at    where the text stands, for fault
 * @return bytes consumed; -EINVAL with fault filled
 */
ssize_t route_var_parse(struct route_var *var, struct slice text, const struct route_spec *spec,
    const struct tree *at, struct tree_fault *fault);
