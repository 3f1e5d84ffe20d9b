/*
 * What the files of this folder share.  Each knows those above it that stand behind its colon:
 *
 *	selector, store, source
 *	transfer: selector, store
 *	receive: transfer
 *	send: transfer, source
 *	files: all of them
 */
#pragma once

#include <limits.h>
#include <sys/queue.h>

#include <msrpd/event.h>
#include <msrpd/sum.h>
#include <msrpd/timer.h>
#include <msrpd/ua.h>
#include <msrpd/worker.h>

#include "files/selector.h"
#include "files/store.h"

enum {
	HALF_SIZE = 256 * 1024,      /* of a transfer's buffer: one is read or written meanwhile */
	BUFFER_COST = 3 * HALF_SIZE, /* of max_memory, for each transfer that has its halves */
	BUFFER_TENTHS = 5,           /* of it at most: messages find room besides */
	SUMMED_AT_ONCE = 4 << 20,    /* bytes of a file that are looked through at once */
	CONFIRM_MS = 10000,          /* a peer has this long for its last word */
	PROGRESS_MS = 1000,
};

TAILQ_HEAD(transfers, transfer);

struct files_counters {
	uint64_t *sent, *received, *failed, *under_way, *bytes_in, *bytes_out;
};

struct files {
	struct event_bus *bus;
	struct budget *budget;
	struct ua *ua;
	struct ua_taker taker;
	struct worker *worker;
	struct store store;
	struct transfers all;
	struct timer_queue idle, confirm;
	struct timer scan;
	struct job scan_job;
	bool scanning;
	unsigned begun, begun_before; /* transfers, and when the scan began */
	int scan_err;
	uint64_t scanned;
	struct files_counters count;
};

struct half {
	char *p;
	size_t len, cap, at; /* at: given away of it */
};

struct transfer;

/** What threads do at once, each with what is its own. */
struct work {
	/** Reading or writing; NULL: nothing.  @return 0 or negative errno */
	int (*disk)(struct transfer *t);
	/** The same bytes into a sum, in a thread for each; NULL: into none.  @return the same */
	int (*sum)(struct transfer *t, struct sum *sum);
	/** In the loop, when all of that is done; err of the transfer says how. */
	void (*done)(struct transfer *t);
};

/** A thread's share of it. */
struct task {
	struct job job;
	struct transfer *of;
	struct sum *sum; /* NULL: the disk's */
	int err;
};

enum { DISK = SUM_KINDS, TASKS };

/** One file on its way, in or out. */
struct transfer {
	struct files *files;
	TAILQ_ENTRY(transfer) next;
	struct ua_session *s; /* NULL: it has none (any more) */
	char *session_id, *owner, *name, *type, *path;
	uint64_t size;    /* of the whole file; UINT64_MAX: not known */
	uint64_t offset;  /* where this transfer begins in it */
	uint64_t moved;   /* bytes of it, so far */
	uint64_t summed;  /* bytes that the sums have, from the first on */
	uint64_t sum_to;  /* the same after the work that is under way */
	uint64_t told_ms; /* when progress was told */
	struct timer_entry idle, confirm;
	char message_id[UA_MESSAGE_ID_SIZE + 128];

	/* While tasks are under way the fd, the sums and the half that is being worked are theirs. */
	struct task tasks[TASKS]; /* of each kind of sum, and DISK */
	const struct work *work;
	unsigned busy; /* tasks under way */
	int fd;
	int err;        /* what they met */
	size_t charged; /* for the halves, of max_memory */
	struct half halves[2];
	int working; /* the half that is theirs */
	uint8_t is_sha1[SUM_SHA1_SIZE], is_sha256[SUM_SHA256_SIZE];

	bool over;      /* told of; freed when no task is under way */
	bool summed_up; /* those two are there */

	/* what is sent */
	bool out;
	char *head; /* of message/cpim around it; NULL: none */
	size_t head_len, head_at;
	uint64_t read;  /* bytes behind offset that were read */
	bool starved;   /* the message waits for ua_message_ready() */
	bool filled[2]; /* halves that are to be sent */
	int sending;    /* the half that is being sent */
	bool all_acknowledged;

	/* what is received */
	char part[STORE_NAME_SIZE], final[STORE_NAME_SIZE];
	bool resumable, has_sha1, begun, stalled, ended, wrapped, finished;
	bool restart;    /* all of it comes, although we have a part */
	bool anew;       /* for the threads: forget that part */
	bool discard;    /* a part of it is good for nothing */
	int filling;     /* the half that takes what comes */
	const char *why; /* it was refused while it came; NULL: it was not */
	uint8_t sha1[SUM_SHA1_SIZE];
	uint64_t max;     /* bytes of the file, at most */
	uint64_t claim;   /* what the store counts for it */
	uint64_t written; /* bytes behind offset that are in the part */
	struct half cpim; /* the front of a message/cpim */
};

/* --- transfer.c: what both ways share --- */

/** @return 0 or -ENOMEM */
int transfer_new(struct transfer **tp, struct files *files, struct slice name, struct slice type);

/** Its halves.  @return 0, -ENOBUFS: max_memory has none for another, -ENOMEM */
int transfer_allocate(struct transfer *t);

/** As long as nobody was told of it. */
void transfer_free(struct transfer *t);

/** Its session is known. */
int transfer_set_session(struct transfer *t, struct ua_session *s);

/** Give it to the threads, the next bytes to the sums. */
void transfer_put(struct transfer *t, const struct work *work, size_t bytes);

/** The same for the next SUMMED_AT_ONCE bytes up to end, with transfer_sum() as work->sum. */
void transfer_put_sums(struct transfer *t, const struct work *work, uint64_t end);

/** In the threads: look through those bytes of the file. */
int transfer_sum(struct transfer *t, struct sum *sum);

/** When no task is under way.  @return 0 or -ENOMEM */
int transfer_sum_up(struct transfer *t);

/** Bytes have moved. */
void transfer_moved(struct transfer *t, uint64_t bytes);

/** It is over, well or not; its session ends unless keep_session.  Once. */
extern const struct event_type files_received, files_sent, files_failed, files_progress;
void transfer_over(struct transfer *t, const struct event_type *type, struct slice reason);

/** "%d text" of what a peer says. */
void transfer_failed_by(struct transfer *t, int code, struct slice phrase);

/** End its session, if there is one. */
void transfer_end_session(struct transfer *t);

/* --- receive.c --- */

/** Offers of files: what is taken of them. */
struct receive_rule {
	struct slice content_types; /* "*" for all */
	uint64_t max_size;
};

/**
 * Judge an offer, and begin.
 *
 * @param from    who offers it
 * @param offerp  how to answer, valid as long as tp until the answer
 * @return 0, or a SIP status with the reason
 */
int receive_begin(struct transfer **tp, struct files *files, const struct ua_file *file,
    struct slice from, const struct receive_rule *rule, struct ua_offer *offer,
    const char **reasonp);

/** The session is not to be. */
void receive_forget(struct transfer *t);

/** The session is there. */
void receive_set_session(struct transfer *t, struct ua_session *s);

/** An idle or confirm time-out. */
void receive_timeout(struct transfer *t, bool confirm);

/* --- source.c --- */

/** A file that may be sent. */
struct source {
	char path[PATH_MAX]; /* without links */
	size_t root_len;     /* of the directory in it, below which it may be sent */
};

/** @return NULL, or why it may not be */
const char *source_find(struct source *source, struct slice path, const struct ua_files *settings);

/** Not what has been put in its place as a link since.  @return a descriptor, or negative errno */
int source_open(const struct source *source);

/* --- send.c --- */

/** What is to be sent where. */
struct send_order {
	struct ua_session *carrier; /* NULL: a session of its own */
	struct slice from_uri, to_uri, ruri;
	const struct source *source;
	struct slice type, name; /* absent: as usual */
};

/** @return 0, or negative errno; *step says what failed */
int send_begin(struct files *files, const struct send_order *order, struct transfer **tp,
    const char **stepp);

void send_timeout(struct transfer *t, bool confirm);
