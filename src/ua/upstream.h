/* The relay that sessions go through: one AUTH, and its refreshes, per session (RFC 4976 5). */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

#include "msrp/pool.h"

struct ua_session;
struct ua_upstream;

/**
 * Ask for a Use-Path.  ua_session_granted() or ua_session_barred() follows, not from inside
 * this call; and again when a refresh brings another path, or none.
 *
 * @return 0, or negative errno: the relay cannot be asked at all
 */
int ua_upstream_new(struct ua_upstream **upp, struct ua_session *s);

/** Accepts NULL. */
void ua_upstream_free(struct ua_upstream *up);

/** The Use-Path in the order of To-Path; absent before it is granted, or of NULL. */
struct slice ua_upstream_path(const struct ua_upstream *up);

/** Where the relay is; valid as long as the upstream. */
void ua_upstream_destination(const struct ua_upstream *up, struct msrp_destination *to);

/* session.c */

/** There is a Use-Path, or another one. */
void ua_session_granted(struct ua_session *s);

/** There is none (any more).  @param code  of the relay's answer; 408, 503 without one */
void ua_session_barred(struct ua_session *s, int code, struct slice reason, bool from_relay);
