/* Names into addresses, by the process's resolver. */
#pragma once

#include <stdbool.h>

#include "base/addr.h"

#include <msrpd/setting.h>

struct addrinfo;
struct net;
struct net_lookup;

/** The section dns: of the config. */
struct net_dns_settings {
	struct setting_list servers; /* of char *: addresses with or without a port */
};

extern const struct setting net_dns_settings_rows[];

/**
 * @param addresses  in the order in which they are to be tried, to be given to
 *                   net_addresses_free(); NULL: none
 * @param why        there is none; or NULL
 */
typedef void net_lookup_fn(struct addrinfo *addresses, const char *why, void *arg);

/**
 * Ask for the addresses of a name.
 *
 * @param lookupp  set while the answer is waited for, NULL once fn is called, which may be from
 *                 inside this call
 * @return 0 or -ENOMEM: fn will not be called
 */
int net_lookup_start(struct net_lookup **lookupp, struct net *net, const char *host,
    net_lookup_fn *fn, void *arg);

/** fn is not called any more.  Accepts a pointer to NULL. */
void net_lookup_cancel(struct net_lookup **lookupp);

/** A literal into its one address.  @return NULL: it is a name */
struct addrinfo *net_lookup_literal(const char *host);

/** The next address of the list, without a port.  @return false: there is none any more */
bool net_addresses_next(struct addrinfo **nextp, union addr *addr);

/** Accepts NULL. */
void net_addresses_free(struct addrinfo *addresses);
