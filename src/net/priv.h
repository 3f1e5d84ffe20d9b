/* What the sources of net/ share, and nobody else. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/pool.h"
#include "net/guard_priv.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/prefixes.h"
#include "net/stream.h"
#include "net/tap.h"

/* --- blocks: memory that bytes are received into and messages are written in --- */

enum {
	BLOCK_BYTES = 256 * 1024,
	/* A piece this large keeps its block instead of being copied: at most four times itself. */
	KEEP_MIN = BLOCK_BYTES / 4,
	READ_MIN = 16 * 1024,  /* a block with less room is not read into */
	READ_LEAST = 4 * 1024, /* at once from one stream: times two to the power of its share, */
	READ_MOST = 5,         /* at most this one */
	READ_MOST_FRUGAL = 1,
};

/**
 * Referenced by net while it is filled, and by whatever holds bytes of it beyond the turn.
 * The last ref gone, it stays as it is until the turn of the loop ends.
 */
struct net_block {
	SLIST_ENTRY(net_block) entry; /* retired */
	unsigned refs;
	uint32_t waiting; /* bytes of it in the queue that is being settled */
	bool retired;
	size_t used;
	size_t size; /* BLOCK_BYTES, but of a copy */
	char data[];
};

/** A small one that holds bytes; one ref. NULL: no memory. */
struct net_block *net_block_copy(struct slice bytes);
void net_block_put(struct net *net, struct net_block *block);

/** One to receive into, with READ_MIN of room at least; NULL: no memory. */
struct net_block *net_block_rx(struct net *net);
/** Room for len (at most BLOCK_BYTES) bytes of text in this turn's memory; NULL: no memory. */
char *net_block_text(struct net *net, size_t len, struct net_block **blockp);

/** Do these bytes lie in that block? */
static inline bool net_block_holds(const struct net_block *block, const char *p)
{
	return block && p >= block->data && p < block->data + block->size;
}

/** The turn is over: begin anew in what nobody else holds, and free what nobody holds at all. */
void net_blocks_recycle(struct net *net);
void net_blocks_init(struct net *net);
void net_blocks_free(struct net *net);

/* --- segments: pieces of memory that wait to be written --- */

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

enum { SEGMENT_MAX = 1 << 30 }; /* bytes of one */

/** @param bytes  at most SEGMENT_MAX of them  @return 0 or -ENOMEM */
int segments_add(struct segments *q, struct slice bytes, struct net_block *owner);
void segments_consume(struct net *net, struct segments *q, size_t n);
void segments_drop(struct net *net, struct segments *q);
/** Gather up to limit bytes into iov. @return how many of it */
int segments_iov(const struct segments *q, size_t limit, struct iovec *iov, int room);
/** Take into keeping what would not outlive the turn. @return 0 or -ENOMEM */
int segments_settle(struct segments *q);

/* --- output of one stream --- */

/** Messages that wait, and where they end. */
struct net_queue {
	struct segments segments;
	uint64_t queued, written; /* bytes, ever */
	uint64_t boundary;        /* the last end of a message that was written */
	uint64_t last_end;        /* the last that was queued */
	uint64_t *ends;           /* those behind the boundary */
	uint32_t first_end, end_count, end_cap;
};

/* queue.c; what returns int: 0 or -ENOMEM */

/** Has a part of the first message been written? */
static inline bool queue_in_message(const struct net_queue *q)
{
	return q->written > q->boundary;
}

/** Bytes to the end of the first message, 0 if that end is not queued yet. */
static inline size_t queue_first_message(const struct net_queue *q)
{
	return q->end_count ? (size_t)(q->ends[q->first_end] - q->written) : 0;
}

int queue_copy(struct net *net, struct net_queue *q, struct slice bytes);
/** @param owner  the block that they lie in, or NULL: a caller's memory */
int queue_borrow(struct net_queue *q, struct slice bytes, struct net_block *owner);
/** A message ends with what is queued so far. */
int queue_end(struct net_queue *q);
/**
 * The ends of messages within the first so many bytes, each with what goes before them added.
 * @return how many, room at most
 */
int queue_ends(const struct net_queue *q, size_t bytes, size_t before, size_t *to, int room);
/** n bytes have been written. */
void queue_consume(struct net *net, struct net_queue *q, size_t n);
/** Empty it; its arrays stay, for the next one. */
void queue_reset(struct net *net, struct net_queue *q);
/** Arrays that a queue once needed are not worth storing. */
bool queue_is_large(const struct net_queue *q);
void queue_free(struct net_queue *q);

/** Only while something is queued, a message is open or a mark waits. */
struct net_output {
	struct net_stream *stream;     /* the pool's while it is kept */
	struct net_queue urgent, bulk; /* ends of the urgent are known on framed transports only */
	TAILQ_HEAD(, net_mark) marks;
	size_t held; /* by the transport */
	struct timer_entry sending;
};

/** Write what the socket takes. @return 0, or why the stream is to be closed */
int output_flush(struct net_stream *s);
/** Will the rest be written without being asked again? */
bool output_waits(const struct net_stream *s);
/** Take into keeping what would not outlive this turn. @return 0 or -ENOMEM */
int output_settle(struct net_stream *s);
void output_drop(struct net_stream *s);
void outputs_init(struct net *net);
void outputs_free(struct net *net);
void output_on_timeout(struct timer_entry *entry, void *protocol);

/* --- one stream --- */

enum { PAUSED_BY_OWNER = 1, PAUSED_BY_QUEUE = 2 };

/**
 * A socket that a listener has accepted.  Takes fd and host, also on failure.
 * @param proxied  it is to begin with a PROXY header
 * @return 0 or negative errno
 */
int stream_accept(const struct net_listener *listener, int fd, struct net_guard_host *host,
    bool proxied);
/** Watch a socket that is connected, or connecting. From here on the stream closes it. */
int stream_watch(struct net_stream *s, int fd);
/** Give that socket up, for another one. */
void stream_drop_socket(struct net_stream *s);
/** It is connected: go on by the transport. */
void stream_connected(struct net_stream *s);
/** It may begin its handshake now. */
void stream_begin_handshake(struct net_stream *s);
/** Read if it may be, whatever its socket says. */
void stream_readable(struct net_stream *s);
/** The same, when its turn in the line comes; until then its socket is not watched. */
void stream_read_again(struct net_stream *s);
/** The same, told by the socket. */
void stream_read_ready(struct net_stream *s);
/** Watch its socket, or do not, as it is now.  @return 0 or -ENOMEM */
int stream_update_reading(struct net_stream *s);
/** The peer sends no more: it is not read any more.  @return does its owner keep it all the same? */
bool stream_outlives_input(struct net_stream *s);
void stream_pause(struct net_stream *s, unsigned why);
void stream_unpause(struct net_stream *s, unsigned why);
/** Close; the peer may still read the last that was written, if that was all that waited. */
void stream_part(struct net_stream *s, int err);

/* ws.c */
/**
 * A stream at whose carrier a request was read that makes it a WebSocket.
 * @param answer  to be written first
 * @param rest    that was read already behind the request
 * @return 0 or negative errno
 */
int ws_adopt(struct net_stream *s, struct slice answer, struct slice rest);

/* ws_in.c */
struct ws_reader;
void ws_reader_free(struct ws_reader *reader);

/* input.c */
void stream_read(struct net_stream *s);
void stash_drop(struct net_stream *s);
void stashes_init(struct net *net);
void stashes_free(struct net *net);

/* dial.c */
void dial_writable(struct net_stream *s); /* the attempt in hand has an outcome */
void dial_on_timeout(struct timer_entry *entry, void *protocol);
void resolver_free(struct net *net);
void services_free(struct net *net);

/* linger.c */
int lingers_init(struct net *net);
void lingers_fini(struct net *net);
/** Takes a socket on which all is said, and closes it when the peer has, or soon. */
void linger_start(struct net *net, int fd);

/* turn.c */
int turns_init(struct net *net);
void turns_fini(struct net *net);
void turn_run(struct net *net);
/** Call it once the sockets have had their turn. */
void turn_call_soon(struct event *event);
/** The turn's end serves it, or a later one, if what has written has more to say. */
void turn_serve(struct net_stream *s);
/** The turn's end serves it. */
void turn_serve_now(struct net_stream *s);
/** Forget the streams of a protocol. */
void turn_forget(struct net *net, struct net_protocol *protocol);

struct net {
	struct event_base *base;
	struct evdns_base *dns;                  /* once somebody asks */
	struct net_services *services;           /* the same */
	const struct setting_list *name_servers; /* of char *; NULL, or none: the system's */
	struct net_batch *batch; /* that datagrams are read into, once there is a UDP socket */
	struct net_guard *guard;
	struct worker *workers; /* NULL: handshakes are the loop's */
	struct net_tap tap;
	bool share_ports;
	char *ticket_secret; /* NULL: tickets are our own */
	LIST_HEAD(, net_protocol) protocols;
	struct prefixes proxies; /* who must say for whom they connect */

	/* this turn of the loop */
	struct event *end;
	uint32_t turn;
	bool ending;
	struct line line; /* who has more to do than others should wait for */
	TAILQ_HEAD(streams, net_stream) dirty;
	struct streams later;            /* what they were given may wait for more */
	uint64_t later_since;            /* on the line's clock */
	struct net_block *rx, *text;     /* being filled */
	struct net_block *feeding;       /* whose bytes a handler has in hand */
	uint64_t read_number;            /* of those */
	SLIST_HEAD(, net_block) retired; /* no ref, but what lies there is queued */

	struct pool blocks, outputs, stashes;
	struct ws_reader *ws_reader; /* once there is a WebSocket */

	LIST_HEAD(, net_linger) lingers;
	struct timer_queue lingering;
	unsigned linger_count;
};
