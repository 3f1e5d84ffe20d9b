/*
 * Many nodes, one name: who of them owns what (docs/cluster.md).  What something is known by, a
 * key, is written down in Redis with the node that it lives on; of two nodes that claim it at once
 * one gets it.  Redis never stands in the way: while it is away, or slow, everything is ours.
 *
 * A cluster of NULL is none: everything is ours, and costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include <msrpd/slice.h>

struct cluster;
struct cluster_asked;
struct cluster_kind;

/** Another node, as it says of itself; borrowed for the call. */
struct cluster_node {
	struct slice name;
	struct slice sip;  /* URI that its SIP is reached at; absent: it has none */
	struct slice msrp; /* the same for MSRP */
	struct slice keys; /* how many of each kind it has, "gw=3,room=1"; absent: none */
};

/** Embedded in what is to be owned by one node.  Zeroed but for ops: nothing is claimed. */
struct cluster_claim {
	const struct cluster_claim_ops *ops;
	struct cluster *cluster;
	TAILQ_ENTRY(cluster_claim) entry;
	struct cluster_asked *asked; /* the question that it is part of; NULL: none */
	size_t place;                /* in that */
	struct cluster_kind *kind;
	char *key;
	enum { CLUSTER_NOTHING, CLUSTER_ASKING, CLUSTER_OURS } state;
};

struct cluster_claim_ops {
	/**
	 * What cluster_claim() left open.  A handler may release any claim, this one included.
	 *
	 * @param owner  whose it is, and nothing is claimed any more; NULL: it is ours
	 */
	void (*decided)(struct cluster_claim *claim, const struct cluster_node *owner);
	/** It was ours, but is another's: both had it while one of them had no Redis. */
	void (*lost)(struct cluster_claim *claim, const struct cluster_node *owner);
};

/**
 * Claim a key.
 *
 * @param kind  "gw", "room": keys of different kinds have nothing to do with each other
 * @return true: it is ours from now on; false: decided() will be called, before long
 */
bool cluster_claim(struct cluster *cluster, struct cluster_claim *claim, const char *kind,
    struct slice key);

/** It is needed no more.  Harmless where nothing is claimed. */
void cluster_release(struct cluster_claim *claim);

/** The name of this node; absent: there is no cluster. */
struct slice cluster_own_name(const struct cluster *cluster);

/**
 * Another node, or this one, as it was heard of last.
 *
 * @param node  borrowed until the next turn of the loop
 * @return 0 or -ENOENT
 */
int cluster_find_node(const struct cluster *cluster, struct slice name, struct cluster_node *node);

/* --- what one node says to another, in a request of its own --- */

/** The header that shows that a request comes from a node, and what for. */
#define CLUSTER_HEADER "Msrpd-Cluster"

enum { CLUSTER_ARGS_MAX = 8 };

/** For the service of that name, with arguments that only it knows. */
struct cluster_mark {
	struct slice service;
	struct slice args[CLUSTER_ARGS_MAX]; /* may be absent */
	size_t count;
};

struct buffer;

/** Write the header, a whole line; w->err tells of a failure. */
void cluster_mark_write(const struct cluster *cluster, struct buffer *w, struct slice to,
    const struct cluster_mark *mark);

/**
 * Read the header's value.
 *
 * @param w  gets the texts that mark points to
 * @return 0; -EACCES: none of our nodes has written it, or it is for another
 */
int cluster_mark_read(const struct cluster *cluster, struct buffer *w, struct slice value,
    struct cluster_mark *mark);
