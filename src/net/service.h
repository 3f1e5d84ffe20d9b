/* Services of a domain: which hosts give them, by SRV records (RFC 2782). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

struct net;
struct net_service;

/** A host that gives the service. */
struct net_place {
	char host[256];
	uint16_t port;
};

enum { NET_PLACES_MAX = 16 }; /* of one service, those that come first */

/**
 * @param places  in the order in which they are to be tried, each time another one where the
 *                domain leaves it open; borrowed.  None: there are no such records, or none was
 *                to be had
 * @param why     none was to be had; or NULL
 */
typedef void net_service_fn(const struct net_place *places, size_t count, const char *why,
    void *arg);

/**
 * Ask who gives a service: "_sip._udp.example.org".
 *
 * @param servicep  set while the answer is waited for, NULL once fn is called, which may be from
 *                  inside this call
 * @return 0 or -ENOMEM: fn will not be called
 */
int net_service_start(struct net_service **servicep, struct net *net, const char *name,
    net_service_fn *fn, void *arg);

/**
 * Read the answer of a name server.
 *
 * @param places   filled, in the order of net_service_fn
 * @param statusp  of c-ares: it is none, say
 * @return how many
 */
size_t net_service_read(struct net_place places[NET_PLACES_MAX], struct slice answer, int *statusp);

/** fn is not called any more.  Accepts a pointer to NULL. */
void net_service_cancel(struct net_service **servicep);
