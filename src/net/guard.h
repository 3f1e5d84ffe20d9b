/*
 * What one address may do at a time, whichever protocol it speaks: so many connections,
 * TLS handshakes in a second, and wrong credentials.  An IPv6 address counts by its /64,
 * which is what one customer has.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/setting.h>
#include <msrpd/slice.h>

#include "base/addr.h"

struct event_base;
struct net_guard;
struct stats;

/** The `limits:` section; 0 is no limit. */
struct net_guard_settings {
	uint64_t connections_per_address;
	uint64_t handshakes_per_second;
	uint64_t auth_failures, auth_failure_window_ms;
	struct setting_list exempt; /* of char *: prefixes that no limit is for */
};

extern const struct setting net_guard_settings_rows[];

/** @param settings  borrowed for the call  @return 0 or -ENOMEM */
int net_guard_new(struct net_guard **guardp, struct event_base *base,
    const struct net_guard_settings *settings, struct stats *stats);

/** Take other limits, also for what is there.  @return 0, or -ENOMEM: nothing changed */
int net_guard_reload(struct net_guard *guard, const struct net_guard_settings *settings);

/** Streams must be gone.  NULL is harmless. */
void net_guard_free(struct net_guard *guard);

/** Is no limit for this address?  The guard may be NULL: then that is so of all. */
bool net_guard_exempts(const struct net_guard *guard, const union addr *peer);

/** The part of an address that counts; borrows it. */
struct slice net_guard_key(const union addr *peer);

/** May an address have one more than so many?  If not, it is counted as refused. */
bool net_guard_allows(struct net_guard *guard, uint64_t streams);

/*
 * Wrong credentials, over any protocol.  The guard may be NULL here: then nobody is barred.
 */

/**
 * Somebody at this address has shown wrong ones.
 *
 * @param over_stream  he is there, as far as a stream proves it; a datagram may come from anywhere
 */
void net_guard_note_failure(struct net_guard *guard, const union addr *peer, bool over_stream);

/** Tell from now on of each, by the part of its address that counts; NULL: nobody. */
void net_guard_on_failure(struct net_guard *guard, void (*fn)(struct slice key, void *arg),
    void *arg);

/** Others have seen some as well: so many there are in all, of somebody who was told of. */
void net_guard_learn(struct net_guard *guard, struct slice key, uint64_t failures);

/** Has this address shown so many that what it shows now is not to be looked at (403)? */
bool net_guard_bars(struct net_guard *guard, const union addr *peer);
