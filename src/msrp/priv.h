/* What conn, flow, output, stack, listener, pool and transaction share, and nobody else. */
#pragma once

#include <openssl/ssl.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#define HASH_NONFATAL_OOM 1 /* what finds no memory stays out: its hh.tbl is NULL then */
#include <uthash.h>

#include <msrpd/timer.h>

#include "msrp/conn.h"
#include "msrp/listener.h"
#include "wire/parser.h"
#include "msrp/pool.h"
#include "msrp/stack.h"
#include "msrp/transaction.h"

/* --- blocks: memory that bytes are received into and frames are written in --- */

enum {
	BLOCK_BYTES = 256 * 1024,
	/* A piece this large keeps its block instead of being copied: at most four times its bytes. */
	KEEP_MIN = BLOCK_BYTES / 4,
	READ_MIN = 16 * 1024,  /* a block with less room is not read into */
	READ_MAX = 128 * 1024, /* at once from one connection, for fairness */
};

/**
 * Referenced by the stack while it is filled, and by whatever holds bytes of it beyond the turn.
 * The last ref gone, it stays as it is until the turn of the loop ends.
 */
struct msrp_block {
	struct msrp_block *next;
	unsigned refs;
	uint32_t waiting; /* bytes of it in the queue that is being settled */
	bool retired;     /* in the stack's list of that name */
	size_t used;
	size_t size; /* BLOCK_BYTES, but of a copy */
	char data[];
};

struct msrp_block *msrp_block_get(struct msrp_stack *stack); /* one ref; NULL: no memory */
/** A small one that holds bytes; one ref. NULL: no memory. */
struct msrp_block *msrp_block_copy(struct slice bytes);
void msrp_block_put(struct msrp_stack *stack, struct msrp_block *block);

/* --- output of one connection --- */

enum segment_kind {
	SEGMENT_TURN,  /* lies in a block of this turn (owner), or in a caller's memory (NULL) */
	SEGMENT_BLOCK, /* holds a ref of its block */
	SEGMENT_HEAP,  /* owner is to be freed */
};

struct segment {
	const char *p;
	uint32_t len;
	enum segment_kind kind;
	void *owner;
};

struct segments {
	struct segment *items;
	uint32_t first, count, cap;
	uint32_t settled; /* so many of the first are not SEGMENT_TURN */
	bool borrows;     /* some of the others may lie in a caller's memory */
	size_t bytes;
};

/** Only while something is queued, a frame is open or a mark waits. */
struct msrp_output {
	struct msrp_output *next; /* in the stack's store */
	struct segments urgent, bulk;
	uint64_t queued, written; /* bytes of bulk, ever */
	uint64_t boundary;        /* the last frame's end that was written */
	uint64_t *ends;           /* offsets of the ends of frames that follow it */
	uint32_t first_end, end_count, end_cap;
	struct msrp_mark *marks, **last_mark;
	char *record; /* TLS: bytes that SSL_write() wants to see again */
	size_t record_len;
	struct msrp_flow *open; /* the flow whose frame is open */
	uint64_t open_from;     /* offset of its start */
};

/* --- one connection --- */

enum conn_state { CONN_RESOLVING, CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN, CONN_CLOSED };

enum { PAUSED_BY_SINK = 1, PAUSED_BY_QUEUE = 2 };

/** Only while bytes of a frame have come but not its end. */
struct msrp_input {
	struct msrp_input *next; /* in the stack's store */
	struct msrp_parser parser;
	struct msrp_frame frame; /* the request in hand */
	char *parked;            /* its text, once the read that brought it is over */
	struct msrp_sink *sink;
	bool in_frame, answered, pause;
	struct msrp_block *stash; /* bytes not parsed yet because of a pause */
	struct slice stashed;
};

struct pool_entry;

struct msrp_conn {
	struct msrp_stack *stack;
	struct msrp_conn *next, **prevp; /* all of the stack */
	uint64_t number;
	int fd;
	unsigned refs;
	enum conn_state state : 8;
	unsigned paused : 8;
	bool accepted : 1, secure : 1, dirty : 1, close_when_sent : 1;
	bool reading : 1, eof : 1;
	bool again : 1; /* in the stack's list of that name */
	bool more : 1;  /* bytes that make no socket readable */
	/* TLS messages behind the handshake have to be sent, or received whole, first. */
	bool read_wants_write : 1, write_wants_read : 1;
	bool failed : 1; /* its output has a hole: to be closed */
	SSL *ssl;
	struct msrp_listener *listener;
	struct msrp_input *in;
	struct msrp_output *out;
	struct msrp_conn *next_dirty, *next_again;
	struct msrp_user *users, *next_user;
	struct msrp_flow *flows, *waiting, **last_waiting;
	struct msrp_transaction *transactions;
	struct pool_entry *entry;
	struct msrp_note *note;
	struct timer_queue *life_queue; /* which of the stack's life runs in */
	struct timer_entry life, send;
	uint32_t user_count, idle_s, round, turn;
	uint64_t idle_since;
	struct event *ev_write;
	struct event ev_read;
};

/** A socket that is connected or connecting; takes fd, also on failure. One ref: the stack's. */
int msrp_conn_new(struct msrp_conn **connp, struct msrp_stack *stack, int fd, bool secure,
    struct msrp_listener *listener, bool accepted);
void msrp_conn_set_life(struct msrp_conn *conn, struct timer_queue *queue);

/** Of a new one that the pool connects: the socket is there (in progress), or the lookup failed. */
int msrp_conn_start_tls(struct msrp_conn *conn, SSL_CTX *ctx);
void msrp_conn_connected(struct msrp_conn *conn);
int msrp_conn_watch(struct msrp_conn *conn, int fd);
int msrp_conn_want_write(struct msrp_conn *conn);
void msrp_conn_dirty(struct msrp_conn *conn);

/** Close; the peer may still read the last that was written, if that was all that waited. */
void msrp_conn_part(struct msrp_conn *conn, int err);

/** The socket, or whatever lies in front of it, has bytes. */
void msrp_conn_readable(struct msrp_conn *conn);
/** The same, once the loop has looked at the sockets. */
void msrp_conn_read_again(struct msrp_conn *conn);
void msrp_conn_pause(struct msrp_conn *conn, unsigned why);
void msrp_conn_unpause(struct msrp_conn *conn, unsigned why);

/** The pool's part of an outgoing connection's life. */
void msrp_pool_remove(struct msrp_conn *conn);
void msrp_pool_stop(struct msrp_stack *stack);
bool msrp_pool_try_next(struct msrp_conn *conn, int err); /* another address is being tried */
void msrp_pool_writable(struct msrp_conn *conn);          /* the attempt in hand has an outcome */
bool msrp_pool_accepts(struct msrp_conn *conn);           /* the peer is who it should be */

/* input.c */
void input_read(struct msrp_conn *conn);
void input_abort(struct msrp_conn *conn, int err); /* tells the sink */
void input_drop(struct msrp_conn *conn);

/* linger.c */
int lingers_init(struct msrp_stack *stack);
void lingers_fini(struct msrp_stack *stack);
/** Takes a socket on which all is said, and closes it when the peer has, or soon. */
void linger_start(struct msrp_stack *stack, int fd);

/* output.c */
/* Where memory is short these make the connection fail: it is closed at the turn's end. */
void output_urgent(struct msrp_conn *conn, struct slice frame);
void output_copy(struct msrp_conn *conn, struct slice bytes);   /* bulk */
void output_borrow(struct msrp_conn *conn, struct slice bytes); /* bulk */
void output_frame_end(struct msrp_conn *conn);
void output_fail(struct msrp_conn *conn);
struct msrp_output *output_get(struct msrp_conn *conn);
/** Write what the socket takes. @return 0, or why the connection is to be closed */
int output_flush(struct msrp_conn *conn);
/** Will the rest be written without being asked again? */
bool output_waits(const struct msrp_conn *conn);
/** Take into keeping what would not outlive this turn. @return 0 or -ENOMEM */
int output_settle(struct msrp_conn *conn);
/** The same with what would not outlive its owner. */
int output_settle_borrowed(struct msrp_conn *conn);
size_t output_backlog(const struct msrp_conn *conn);
void output_drop(struct msrp_conn *conn);
void output_free(struct msrp_output *out);

/* flow.c */
void flows_run(struct msrp_conn *conn);
void flows_closed(struct msrp_conn *conn, int err);

/* transaction.c */
int transactions_init(struct msrp_stack *stack);
void transactions_fini(struct msrp_stack *stack);
int transactions_response(struct msrp_conn *conn, const struct msrp_frame *frame);
void transactions_lost(struct msrp_conn *conn, int err);

/* --- the stack --- */

struct msrp_counters {
	uint64_t *accepted, *connected, *refused, *closed, *open;
	uint64_t *frames_in, *frames_out, *bytes_in, *bytes_out;
	uint64_t *bad_frames, *stray_responses, *unknown_sessions, *timeouts, *body_bytes;
};

struct msrp_stack {
	struct event_base *base;
	const struct msrp_settings *settings;
	struct msrp_counters count;
	SSL_CTX *server_tls, *client_tls;
	struct evdns_base *dns;
	struct msrp_listener *listeners;
	size_t listener_count;
	struct msrp_conn *conns;
	size_t conn_count;
	uint64_t last_number;
	struct pool_entry *pool;
	struct msrp_target *targets;
	int (*fallback)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg);
	void *fallback_arg;
	size_t charged;

	struct timer_queue connecting, handshaking, unbound, idle, sending, answering;
	struct timer_queue lingering;

	struct msrp_linger *lingers;
	unsigned linger_count;

	struct msrp_transaction **slots;
	uint32_t slot_cap, free_slot, *free_slots;

	/* this turn of the loop */
	struct event *turn, *reading;
	uint32_t turn_number;
	bool turning;
	struct msrp_conn *again; /* to be read, whatever their sockets say */
	struct msrp_conn *dirty, **last_dirty;
	struct msrp_block *rx, *text; /* being filled */
	struct msrp_block *feeding;   /* whose bytes are being parsed */
	struct msrp_block *retired;   /* no ref, but what lies there is queued */

	struct msrp_block *free_blocks;
	struct msrp_input *free_inputs;
	struct msrp_output *free_outputs;
	unsigned free_block_count, free_input_count, free_output_count;
	bool stopping;
};

struct msrp_block *msrp_stack_rx(struct msrp_stack *stack);
/** Room for len (at most BLOCK_BYTES) bytes of text in this turn's memory; NULL: no memory. */
char *msrp_stack_text(struct msrp_stack *stack, size_t len, struct msrp_block **blockp);
void msrp_stack_turn(struct msrp_stack *stack);
/** Let an event of the stack happen once the loop has looked at the sockets. */
void msrp_stack_soon(struct event *event);
int msrp_stack_request(struct msrp_conn *conn, const struct msrp_frame *frame);
