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
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <msrpd/slice.h>

struct cluster;
struct cluster_asked;
struct cluster_kind;

/** A question to Redis that is not answered yet. */
struct cluster_question;

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

/** @param owner  another node that has the key; NULL: none that is known of */
typedef void cluster_owner_fn(const struct cluster_node *owner, void *arg);

/**
 * Ask which other node has a key, without claiming it.
 *
 * @return NULL: it cannot be asked now; else fn is called, before long, and not from inside this
 */
struct cluster_question *cluster_owner_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_owner_fn *fn, void *arg);

/** Nobody waits for its answer any more.  Harmless for NULL. */
void cluster_question_drop(struct cluster_question *question);

/* --- records: what all nodes know of something --- */

/**
 * One line of a record; it has no line feed.  What it tells of may live on one node, and is gone
 * with that process.
 */
struct cluster_line {
	struct slice process; /* "NAME INSTANCE", as cluster_own_process(); absent: it stays */
	struct slice text;
	struct slice sip; /* read: URI of that node's SIP; absent: none */
};

/** A record, as it was when Redis was asked: borrowed for the call. */
struct cluster_record {
	bool written;     /* this node has just written it, and lines is empty */
	uint64_t born_us; /* when its key was made, by the clock of Redis; 0: it has none */
	uint64_t version; /* of its lines, which grows as long as the key is there */
	uint64_t now_ms;  /* by the clock of Redis */
	const struct cluster_line *lines; /* of processes that are there */
	size_t count;
};

/** Another state of a record. */
struct cluster_writing {
	uint64_t born_us, version; /* of the one that it follows; 0: there has been none */
	uint64_t keep_ms;          /* how long, from now on */
	const struct cluster_line *lines;
	size_t count;
};

enum { CLUSTER_LINES_MAX = 128 };

/** @param record  NULL: Redis is away; the question is gone before */
typedef void cluster_record_fn(const struct cluster_record *record, void *arg);

/**
 * Read a record.
 *
 * @return as of cluster_owner_read()
 */
struct cluster_question *cluster_record_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_record_fn *fn, void *arg);

/**
 * Write a record if it is as it was, and read it otherwise (record->written).
 *
 * @return as of cluster_owner_read()
 */
struct cluster_question *cluster_record_write(struct cluster *cluster, const char *kind,
    struct slice key, const struct cluster_writing *writing, cluster_record_fn *fn, void *arg);

/** "NAME INSTANCE" of this process. */
struct slice cluster_own_process(const struct cluster *cluster);

/** Embedded in whoever wants to hear that Redis takes what it may not know. */
struct cluster_watch {
	TAILQ_ENTRY(cluster_watch) entry;
	/** @param all  it may not even know what has been written; else what has not */
	void (*anew)(struct cluster_watch *watch, bool all);
};

void cluster_watch_start(struct cluster *cluster, struct cluster_watch *watch);
void cluster_watch_stop(struct cluster *cluster, struct cluster_watch *watch);

/* --- words --- */

struct buffer;

/** Write texts, which may be absent, as words without blanks, with blanks between them. */
void cluster_words_write(struct buffer *w, const struct slice *texts, size_t count);

/**
 * The texts of such words.
 *
 * @param w  gets what they point to
 * @return how many, at most max; or negative errno
 */
ssize_t cluster_words_read(struct buffer *w, struct slice words, struct slice *texts, size_t max);

/* --- nodes --- */

/** The name of this node; absent: there is no cluster. */
struct slice cluster_own_name(const struct cluster *cluster);

/** The URI that other nodes reach SIP, or MSRP, of this one at; absent: none. */
struct slice cluster_own_sip(const struct cluster *cluster);
struct slice cluster_own_msrp(const struct cluster *cluster);

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
	struct slice at; /* URI by which the flow is reached that the request is to go to; absent */
};

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
