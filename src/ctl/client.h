/* Clients of the control socket: their requests, the answers, and the events that they want. */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "ctl/jsonline.h"
#include "event/bus.h"

struct event_base;
struct rpc;

/** What all clients of a server share.  Zeroed before clients_init(). */
struct clients {
	struct event_base *base;
	struct event_bus *bus;
	struct rpc *rpc;
	struct event_subscriber subscriber;
	uint64_t max_request, max_backlog; /* settings */
	LIST_HEAD(, client) list;
	unsigned last_id;
	struct buffer answer, event_line;
	uint64_t *count, *requests, *events_sent, *disconnected; /* statistics */
	void (*left)(void *arg);                                 /* one has gone */
	void *arg;
};

void clients_init(struct clients *all, struct event_base *base, struct event_bus *bus,
    struct rpc *rpc);

/** Close all of them. */
void clients_fini(struct clients *all);

/** One has come: takes fd.  @return 0 or -ENOMEM, and fd is the caller's still */
int clients_add(struct clients *all, int fd);

/** Subscribers that half-closed and then went away are found out when a place is wanted. */
void clients_close_abandoned(struct clients *all);
