/* A UDP socket: datagrams in and out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/slice.h>

#include "base/addr.h"
#include "base/line.h"

struct net;
struct net_parcel;

struct net_udp_handler {
	/** A datagram has come; its bytes are valid for the call. */
	void (*received)(void *arg, const union addr *from, struct slice bytes);

	/** ICMP says that nobody is there: what was sent, or as much of it as has come back. */
	void (*unreachable)(void *arg, struct slice sent);
};

struct net_udp_counters {
	uint64_t *received, *sent, *dropped, *bytes_in, *bytes_out;
};

/** Embedded in its owner, who sets the first four; zeroed, it is closed. */
struct net_udp {
	struct net *net;
	const struct net_udp_handler *handler;
	void *arg;
	struct net_udp_counters count;
	int fd;
	struct event *readable, *writable; /* NULL: it is closed */
	STAILQ_HEAD(, net_parcel) parcels; /* that wait until the kernel has room */
	size_t parcel_bytes;
	uint32_t dropped;       /* by the kernel, as it has told us */
	struct line_entry line; /* while there is more to read than a turn's share */
	bool paused, watched;
};

/** Open at an address; the port that was given for 0 stands in it then.  @return 0 or negative errno */
int net_udp_open(struct net_udp *udp, union addr *addr);

/** Harmless on zeroed memory, and twice. */
void net_udp_close(struct net_udp *udp);

/**
 * Send one datagram.  When the kernel has no room it waits a little, or is lost when too many do.
 * @return 0; negative errno: nobody can be reached there, or not with so many bytes
 */
int net_udp_send(struct net_udp *udp, const union addr *to, struct slice bytes);

/** Do not read any more: what comes meanwhile the kernel keeps as far as it has room.  And go on. */
void net_udp_pause(struct net_udp *udp);
void net_udp_resume(struct net_udp *udp);
