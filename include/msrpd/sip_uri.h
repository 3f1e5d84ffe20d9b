/*
 * SIP URIs, and addresses that hold one, as text: RFC 3261 section 19.1, RFC 3966 (tel:), RFC 3861
 * (im:, pres:).
 */
#pragma once

#include <stdbool.h>

#include <msrpd/slice.h>

struct buffer;

/**
 * The userinfo without its password, "alice;x" of "sip:alice;x:pw@h"; of a tel: URI the number.
 * Absent if there is none, as in a URN.
 */
struct slice sip_uri_user(struct slice uri);

/**
 * The host as it is written, an IPv6 address in its brackets.  Absent if there is none, as in a
 * URN.
 */
struct slice sip_uri_domain(struct slice uri);

/** Is its scheme sips? */
static inline bool sip_uri_is_secure(struct slice uri)
{
	return slice_starts_nocase(uri, SLICE("sips:"));
}

/** Is it one of SIP's at all, sip or sips? */
static inline bool sip_uri_is_sip(struct slice uri)
{
	return slice_starts_nocase(uri, SLICE("sip:")) || sip_uri_is_secure(uri);
}

/**
 * Write a sips URI with the scheme sip, and nothing else changed (RFC 5630 5.3).
 *
 * @param dialled  by what stands in it, which then says transport=tls
 */
void sip_uri_write_plain(struct buffer *w, struct slice uri, bool dialled);

/** Are both the same SIP URI, as RFC 3261 section 19.1.4 compares them?  Headers do not count. */
bool sip_uri_same(struct slice a, struct slice b);

/** Has a SIP URI a parameter of that name? */
bool sip_uri_has_param(struct slice uri, struct slice name);

/** The URI in an address: what is in <>, or the whole; and the name before it, or absent. */
struct slice sip_address_uri(struct slice address);
struct slice sip_address_name(struct slice address);

/**
 * The value of a parameter behind the <> of an address, without quotes; its escapes stay.
 *
 * @return empty where it has none; absent: there is no such parameter
 */
struct slice sip_address_param(struct slice address, struct slice name);

/** All of those: what stands behind the <>.  Absent: nothing can. */
struct slice sip_address_params(struct slice address);

/**
 * Cut the first one off.
 *
 * @param rest  at first what sip_address_params() has said
 * @param text  as it stands there: ";name=value"
 * @return false: there is none any more
 */
bool sip_param_cut(struct slice *rest, struct slice *name, struct slice *text);
