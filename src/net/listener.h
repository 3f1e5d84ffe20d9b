/* A listening socket. */
#pragma once

#include <stdbool.h>

#include <msrpd/timer.h>

#include "base/addr.h"
#include "base/line.h"
#include "net/protocol.h"

struct event;
struct net_transport;
struct setting_list;

/** Embedded in its owner, who sets those before addr, and that. */
struct net_listener {
	struct net_protocol *protocol;
	const struct net_transport *transport;
	const char *name; /* in the log */
	void *arg;        /* of net_handler.accept */
	/** WebSockets: pages of these origins may connect, "*" or NULL: of any; empty: of none. */
	const struct setting_list *origins; /* of char * */
	bool alone;    /* no other process opens it as well, and no PROXY headers come */
	bool internal; /* for the daemon itself: alone, and without limits of addresses */
	union addr addr;
	int fd;
	struct event *readable; /* NULL: it is closed */
	struct line_entry line; /* while there are more to accept than a turn's share */
	struct timer pause;     /* of accepting */
	bool watched, warned;
};

/**
 * Listen on addr; the port that was given for 0 stands in the listener's addr then.
 * @return 0 or negative errno
 */
int net_listener_open(struct net_listener *listener);

/** Harmless on zeroed memory, and twice; but not while it accepts: by net_handler.accept, say. */
void net_listener_close(struct net_listener *listener);
