/* The servers of a domain, and who of them is out of reach. */
#pragma once

#include "edge/place_priv.h"

enum { EDGE_PLACE_SIZE = 300 };

/** "TRANSPORT HOST PORT" */
void edge_place_write(char place[EDGE_PLACE_SIZE], const struct edge_transport *transport,
    const char *host, uint16_t port);

/**
 * Nobody could be reached there, or it has no time: pass it over for a while where a domain has
 * others.
 * @param at_least_ms  that long, or 0: the usual
 */
void edge_place_failed(struct edge *edge, const char *place, uint64_t at_least_ms);

/** Has the domain another server, as far as is known, than those that have failed? */
bool edge_service_has_other(struct edge *edge, const struct edge_transport *transport,
    const char *domain);

/**
 * If the target is a domain with servers, make it one of these.
 *
 * @param attempt  so many times the request was sent elsewhere, in vain
 * @return 0; -EINPROGRESS: the request waits, and is sent later; -EHOSTUNREACH: there is no other
 *         server; -ENOBUFS: too many wait, or are asked for
 */
int edge_service_apply(struct edge_target *target, const struct edge_message *message,
    unsigned attempt);

int edge_services_init(struct edge *edge, struct event_base *base);
void edge_services_fini(struct edge *edge);
/** The stack has given all of its requests up; peers' wait on. */
void edge_services_drop_waiting(struct edge *edge);
