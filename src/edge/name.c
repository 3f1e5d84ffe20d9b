/* Names of next hops by UDP, which are asked for once in a while and not for each datagram. */
#include "edge/name_priv.h"

#include <stdlib.h>
#include <string.h>

#include <msrpd/story.h>

#include "edge/client_priv.h"
#include "edge/priv.h"
#include "net/lookup.h"

enum {
	KEPT_MS = 30 * 1000,
	NAMES_MAX = 1024,
};

static void forget(struct edge_name *n)
{
	HASH_DELETE(hh, n->edge->names, n);
	timer_queue_stop(&n->edge->names_kept, &n->kept);
	net_lookup_cancel(&n->lookup);
	edge_cause_leave(n->edge, n->cause);
	edge_clients_drop(n);
	free(n);
}

static struct edge_name *of_kept(struct timer_entry *entry)
{
	return (struct edge_name *)(void *)((char *)entry - offsetof(struct edge_name, kept));
}

static void on_kept(struct timer_entry *entry, void *arg)
{
	(void)arg;
	forget(of_kept(entry));
}

static void note(struct edge_name *n, const union addr *address)
{
	union addr *found = &n->found[address->any.sa_family == AF_INET6];

	if (found->any.sa_family == AF_UNSPEC)
		*found = *address;
}

static void on_addresses(struct addrinfo *addresses, const char *why, void *arg)
{
	struct edge_name *n = arg;
	struct addrinfo *next = addresses;
	struct edge_client *c;
	union addr address;

	if (why)
		story_often("sip: %s: %s", n->host, why);
	while (net_addresses_next(&next, &address))
		note(n, &address);
	net_addresses_free(addresses);
	edge_cause_leave(n->edge, n->cause);
	n->cause = EDGE_SHARE_OF_NOBODY;
	while ((c = TAILQ_FIRST(&n->waiting)))
		edge_client_resolved(c, n);
	if (!addresses && !n->starting)
		forget(n); /* it may be known the next time */
	else
		timer_queue_start(&n->edge->names_kept, &n->kept);
}

/* @return false: all are waited for */
static bool make_room(struct edge *edge)
{
	struct timer_entry *oldest = timer_queue_first(&edge->names_kept);

	if (HASH_COUNT(edge->names) < NAMES_MAX)
		return true;
	if (oldest)
		forget(of_kept(oldest));
	return oldest;
}

static struct edge_name *new_name(struct edge *edge, struct slice host, edge_share cause)
{
	struct edge_name *n = make_room(edge) ? calloc(1, sizeof(*n) + host.len + 1) : NULL;

	if (!n)
		return NULL;
	n->edge = edge;
	TAILQ_INIT(&n->waiting);
	memcpy(n->host, host.p, host.len);
	if (edge_cause_enter(edge, cause)) {
		n->cause = cause;
		HASH_ADD_STR(edge->names, host, n);
	}
	if (n->hh.tbl)
		return n;
	edge_cause_leave(edge, n->cause);
	free(n);
	return NULL;
}

struct edge_name *edge_name_get(struct edge *edge, struct slice host, edge_share cause)
{
	struct edge_name *n;
	int err;

	HASH_FIND(hh, edge->names, host.p, host.len, n);
	if (n)
		return n;
	n = new_name(edge, host, cause);
	if (!n)
		return NULL;
	n->starting = true;
	err = net_lookup_start(&n->lookup, edge->protocol.net, n->host, on_addresses, n);
	n->starting = false;
	if (err < 0) {
		forget(n);
		return NULL;
	}
	return n;
}

bool edge_name_address(const struct edge_name *n, sa_family_t family, union addr *addr)
{
	*addr = n->found[family == AF_INET6];
	return addr->any.sa_family != AF_UNSPEC;
}

int edge_names_init(struct edge *edge, struct event_base *base)
{
	return timer_queue_init(&edge->names_kept, base, KEPT_MS, on_kept, NULL);
}

void edge_names_fini(struct edge *edge)
{
	struct edge_name *n, *next;

	HASH_ITER(hh, edge->names, n, next)
	forget(n);
	timer_queue_fini(&edge->names_kept);
}
