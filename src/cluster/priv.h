/* What the files of this folder share.  The only header of the project that knows hiredis. */
#pragma once

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <msrpd/stats.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "base/buffer.h"
#include "base/mac.h"
#include "cluster/cluster.h"

/* --- url.c --- */

/** Where a Redis is: parts of a URL of the config. */
struct redis_place {
	char host[256]; /* without brackets; or the path of a UNIX socket */
	char user[128], password[256];
	uint16_t port; /* 0: a UNIX socket */
	unsigned database;
};

/** @return 0, or -EINVAL with the reason, which goes on from the key's name */
int redis_place_parse(struct redis_place *place, struct slice url, struct reason *why);

/* --- scripts.c: what Redis does in one step --- */

enum redis_script {
	SCRIPT_NODE,
	SCRIPT_CLAIM,
	SCRIPT_OWNER,
	SCRIPT_RELEASE,
	SCRIPT_LEAVE,
	SCRIPT_RECORD,
	SCRIPT_COUNT,
	SCRIPTS
};

extern const char *const redis_scripts[SCRIPTS];

/* --- redis.c: the connection --- */

struct redis_counters {
	uint64_t *commands, *errors, *timeouts, *connects, *connected;
};

/** reply NULL: it never came, or there is no connection any more. */
typedef void redis_fn(const redisReply *reply, void *arg);

struct redis {
	struct event_base *base;
	const struct cluster_settings *settings;
	struct redis_counters count;
	redisAsyncContext *context; /* NULL: none */
	enum { REDIS_AWAY, REDIS_OPENING, REDIS_READY } state;
	size_t place; /* in settings->redis: the one in hand */
	size_t tried; /* in this round */
	size_t steps; /* of what is asked before it is ready: those without an answer */
	char shas[SCRIPTS][41];
	struct timer retry, opening;
	uint64_t retry_ms;
	struct timer_queue answers; /* requests under way: none is waited for longer */
	size_t under_way;
	bool proven; /* it has written what it was given, since it is ready */
	bool said;   /* that it is away */
	void (*ready)(void *arg);
	void *arg;
};

int redis_init(struct redis *redis, struct event_base *base,
    const struct cluster_settings *settings, void (*ready)(void *arg), void *arg);
void redis_fini(struct redis *redis);

static inline bool redis_is_ready(const struct redis *redis)
{
	return redis->state == REDIS_READY;
}

/** It has written something: only now it is no more away. */
void redis_prove(struct redis *redis);

/** What a script is called with. */
struct redis_call {
	enum redis_script script;
	const struct slice *args; /* the keys first */
	size_t count, keys;
};

/**
 * Call a script.
 *
 * @param fn  called once, never from inside this call; NULL: nobody asks
 * @return 0; -ENOTCONN; -EBUSY: too much is under way; -ENOMEM
 */
int redis_run(struct redis *redis, const struct redis_call *call, redis_fn *fn, void *arg);

/** Text of a reply; absent: it is none. */
static inline struct slice redis_text(const redisReply *reply)
{
	bool text =
	    reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);

	return text ? (struct slice){reply->str, (size_t)reply->len} : (struct slice){NULL, 0};
}

/* --- claim.c: what is ours --- */

enum {
	CLAIM_BATCH = 128, /* keys of one call */
	KINDS_MAX = 16,    /* more are not counted apart */
	OWED_MAX = 65536,
};

TAILQ_HEAD(cluster_claims, cluster_claim);

/* How many keys of a kind are ours. */
struct cluster_kind {
	const char *name;
	size_t count;
};

/* A key that was given up, until Redis has heard of it. */
struct cluster_owed {
	UT_hash_handle hh; /* in cluster->owed, while Redis is away */
	struct cluster *cluster;
	char *key;
};

void claims_forget(struct cluster *cluster); /* before the cluster goes */
void claims_forget_released(struct cluster *cluster);
/** Redis is there: what was given up while it was not. */
void claims_say_released(struct cluster *cluster);
/** All of them are to be claimed anew, as fast as Redis takes them. */
void claims_renew_all(struct cluster *cluster);
/** What is ours, as node records have it. */
void claims_write_counts(const struct cluster *cluster, struct buffer *w);
/** Some time has passed: those whose turn it is. */
void claims_tick(struct cluster *cluster);

/* --- record.c: what all nodes know --- */

/** What SCRIPT_RECORD has answered; borrows the reply.  @return 0 or -EBADMSG */
int record_parse(struct cluster_record *record, const redisReply *reply,
    struct cluster_line lines[CLUSTER_LINES_MAX]);

/** Whoever watches is told. */
void records_anew(struct cluster *cluster, bool all);

/* --- count.c: what all nodes count together --- */

enum { COUNT_BATCH = 64, COUNT_KEY_MAX = 16 };

/** What is to be added to a number. */
struct count_more {
	unsigned char key[COUNT_KEY_MAX];
	uint8_t len;
	uint32_t more;
};

struct counting {
	struct cluster_counted counted;
	struct count_more next[COUNT_BATCH], asked[COUNT_BATCH];
	size_t next_count, asked_count; /* asked: what Redis has in hand */
};

/* --- node.c: node records --- */

enum { NODES_MAX = 1024 };

struct node {
	UT_hash_handle hh; /* by its name */
	struct cluster_node told;
	char text[]; /* what told points to */
};

/** What is known of a node, as Redis has it: "NAME INSTANCE SIP MSRP KEYS". */
int node_parse(struct cluster_node *node, struct slice text);

void node_tick(void *arg);
void nodes_clear(struct cluster *cluster);

/* --- cluster.c --- */

struct cluster_counters {
	uint64_t *claims, *held, *refused, *alone, *conflicts, *nodes, *taken;
	uint64_t *records_read, *records_written, *records_changed;
};

enum {
	INSTANCE_LEN = 16,
	SECRET_LEN = 43,
	KEY_SIZE = 320, /* of what is no service's: the prefix and a name */
};

struct cluster {
	struct redis redis;
	const struct cluster_settings *settings;
	char *msrp; /* URI; NULL */
	char instance[INSTANCE_LEN + 1];
	char secret[SECRET_LEN + 1]; /* ours until Redis tells another */
	bool secret_shared;          /* it has */
	char *record, *me;           /* "INSTANCE SIP MSRP", "NAME INSTANCE" */
	struct cluster_kind kinds[KINDS_MAX];
	struct cluster_claims claims; /* the one renewed longest ago first */
	size_t claim_count, renewing; /* how many are still to be claimed anew */
	struct cluster_owed *owed;
	bool asking_all;
	bool unsure; /* Redis was there and did not take something */
	TAILQ_HEAD(, cluster_watch) watches;
	struct counting counting;
	struct timer tick;
	bool started;    /* our record was written once */
	bool registered; /* our record was written since Redis is there */
	bool named_twice;
	bool told_conflict; /* since Redis is there */
	struct node *nodes;
	struct cluster_counters count;
	void (*secret_told)(struct slice secret, void *arg);
	void *secret_arg;
};

/** What proves that a node of ours has written that mark. */
void cluster_mark_mac(const struct cluster *cluster, struct slice to, struct slice rest,
    char mac[MAC_OWN_SIZE]);

/** May Redis be asked, and know of us? */
static inline bool cluster_is_in(const struct cluster *cluster)
{
	return cluster && redis_is_ready(&cluster->redis) && cluster->registered;
}

/** PREFIX KIND ":" KEY.  @return to be freed; NULL: no memory */
char *cluster_key(const struct cluster *cluster, const char *kind, struct slice key);

/** redis_run() for what is asked again before long if Redis is there and does not take it. */
int cluster_ask(struct cluster *cluster, const struct redis_call *call, redis_fn *fn, void *arg);

/** How long a key outlives its last renewal; and how long one round of them takes. */
static inline uint64_t cluster_key_ms(const struct cluster *cluster)
{
	return cluster->settings->ttl_ms * 90;
}

/** What a service has asked Redis. */
struct cluster_question {
	struct cluster *cluster;
	cluster_owner_fn *owner; /* one of these two; neither: nobody waits */
	cluster_record_fn *record;
	void *arg;
	bool writes;
};

enum { QUESTION_MORE_MAX = 4 };

/** A script, and the key that it is about. */
struct question_call {
	enum redis_script script;
	const char *kind;
	struct slice key;
	const struct slice *more; /* arguments, behind who we are and where node records are */
	size_t count;
};

/** Harmless without a cluster.  @return NULL: it cannot be asked now */
struct cluster_question *question_ask(const struct cluster_question *question,
    const struct question_call *call, redis_fn *fn);
