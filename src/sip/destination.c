/*
 * Sofia queues at most 1,000 messages on a connection and fails the rest at once: so who
 * has more for one next hop waits here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/table.h>

#include "sip/priv.h"

enum {
	UNDER_WAY_MAX = 800, /* leaves room for what dialogs send and for responses */
	WAITING_MAX = 4096,
	NAME_SIZE = 300,
};

struct sip_destination {
	UT_hash_handle hh;
	TAILQ_HEAD(, sip_turn) waiting;
	struct sip_stack *stack;
	unsigned under_way, waiting_count;
	char name[]; /* host:port, or the Route to a flow */
};

static struct sip_destination *find(struct sip_stack *stack, const char *name)
{
	struct sip_destination *d;
	size_t size = strlen(name) + 1;

	HASH_FIND_STR(stack->destinations, name, d);
	if (d)
		return d;
	d = calloc(1, sizeof(*d) + size);
	if (!d)
		return NULL;
	memcpy(d->name, name, size);
	d->stack = stack;
	TAILQ_INIT(&d->waiting);
	HASH_ADD_STR(stack->destinations, name, d);
	if (!d->hh.tbl) { /* memory was out */
		free(d);
		return NULL;
	}
	return d;
}

/* @return 0 or -EINVAL */
static int write_name(char name[NAME_SIZE], const struct sip_stack *stack,
    const struct sip_call *call)
{
	struct sip_hop hop;

	if (call->flow) {
		edge_flow_route(call->flow, name);
		return 0;
	}
	if (sip_uri_hop(sip_call_hop(call, stack), &hop) < 0)
		return -EINVAL;
	snprintf(name, NAME_SIZE, "%s:%s", hop.host, hop.port);
	return 0;
}

int sip_turn_take(struct sip_turn *turn, struct sip_stack *stack, const struct sip_call *call,
    void (*go)(struct sip_turn *turn))
{
	struct sip_destination *d;
	char name[NAME_SIZE];

	if (write_name(name, stack, call) < 0)
		return -EINVAL;
	d = find(stack, name);
	if (!d)
		return -ENOMEM;
	if (d->under_way >= UNDER_WAY_MAX && d->waiting_count >= WAITING_MAX)
		return -ENOBUFS;
	turn->destination = d;
	turn->go = go;
	turn->waiting = d->under_way >= UNDER_WAY_MAX;
	if (!turn->waiting) {
		d->under_way++;
		return 1;
	}
	TAILQ_INSERT_TAIL(&d->waiting, turn, next);
	d->waiting_count++;
	++*stack->stats.requests_waiting;
	return 0;
}

static void stop_waiting(struct sip_destination *d, struct sip_turn *turn)
{
	TAILQ_REMOVE(&d->waiting, turn, next);
	turn->waiting = false;
	d->waiting_count--;
	--*d->stack->stats.requests_waiting;
}

void sip_turn_give(struct sip_turn *turn)
{
	struct sip_destination *d = turn->destination;
	struct sip_turn *first;

	if (!d)
		return;
	turn->destination = NULL;
	if (turn->waiting)
		stop_waiting(d, turn);
	else
		d->under_way--;
	first = TAILQ_FIRST(&d->waiting);
	if (first && d->under_way < UNDER_WAY_MAX) {
		stop_waiting(d, first);
		d->under_way++;
		first->go(first);
	} else if (!first && d->under_way == 0) {
		HASH_DEL(d->stack->destinations, d);
		free(d);
	}
}
