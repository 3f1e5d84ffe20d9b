/* What the files of this folder share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <msrpd/buffer.h>
#include <msrpd/slice.h>
#include <msrpd/ua.h>

#include "base/addr.h"
#include "net/tap.h"
#include "trace/trace.h"

extern const struct setting trace_settings_rows[];

/* --- a message as it is written down --- */

enum {
	/* One message is one packet of IP, whose length has 16 bits. */
	TRACE_PACKET_MAX = 65535,
	TRACE_PAYLOAD_MAX = TRACE_PACKET_MAX - 40 - 20, /* IPv6 and TCP */
};

struct trace_packet {
	struct timespec when;
	const union addr *from, *to;
	enum net_way way;
	bool sip;    /* else MSRP */
	bool web;    /* over a WebSocket */
	bool udp;    /* else a stream, with seq and ack */
	bool broken; /* it is no frame, or has no end */
	uint32_t seq, ack;
	struct slice payload;
	size_t length;        /* of the payload before it was cut at its end */
	struct slice call_id; /* absent: not known */
	const char *carrier;  /* "tcp", "tls", "ws", "wss" */
	uint64_t conn;        /* number of its connection */
};

/* --- pcapng.c: draft-ietf-opsawg-pcapng --- */

/** The blocks that a file begins with. */
void trace_pcapng_begin(struct buffer *w);
void trace_pcapng_packet(struct buffer *w, const struct trace_packet *packet);

/* --- hep.c --- */

/** "HOST:PORT", the host of IPv6 in brackets; they are cut off.  @return 0 or -EINVAL */
int trace_hep_parse(struct slice text, struct slice *host, struct slice *port);
void trace_hep_packet(struct buffer *w, const struct trace_packet *packet, uint32_t id);

/* --- filter.c: which messages --- */

struct trace_filter;

struct trace_filter_options {
	struct slice session_id, user, address; /* absent: any */
};

/** @return 0; -EINVAL with why; -ENOMEM */
int trace_filter_new(struct trace_filter **filterp, const struct trace_filter_options *options,
    struct reason *why);
void trace_filter_free(struct trace_filter *filter);

/** A session of the UA's that is there already. */
void trace_filter_know(struct trace_filter *filter, struct slice session_id,
    const struct ua_session_info *info);

/** Does the peer's address suit? */
bool trace_filter_takes_peer(const struct trace_filter *filter, const union addr *peer);

/** What the frames of a connection before it say about one; zeroed for its first. */
struct trace_mark {
	bool all;  /* it is taken: their user is known */
	bool last; /* the last one was taken */
};

/**
 * Does a message?  It is also looked through for what ties SIP and MSRP together.  A frame that
 * names no session, since it is cut or is none, goes with the last one.
 * @param mark     of its connection
 * @param call_id  filled in where it is known; valid until the next call
 */
bool trace_filter_takes_sip(struct trace_filter *filter, struct slice head, struct slice body,
    struct slice *call_id);
bool trace_filter_takes_msrp(struct trace_filter *filter, struct slice head,
    struct trace_mark *mark, struct slice *call_id);

/* --- trace.c --- */

struct trace_stream;

struct trace_counters {
	uint64_t *messages, *lost, *on;
};

struct trace {
	struct net *net;
	struct ua *ua; /* NULL: there is no SIP */
	const struct trace_settings *settings;
	struct trace_counters count;

	/* while it is on */
	struct trace_writer *writer; /* NULL: it is off */
	struct trace_filter *filter;
	struct trace_stream *streams; /* by their address */
	struct buffer record;
	bool hep;
	bool said_error;
	uint64_t bodies;         /* bytes of a body that are kept */
	size_t held;             /* bytes of messages that are not whole */
	uint64_t messages, lost; /* of this trace */
	char *target;            /* the file or the host */
};

void trace_lose(struct trace *trace, unsigned messages);

/** What the writer has lost meanwhile counts as well. */
void trace_collect_lost(struct trace *trace);

/* --- capture.c: what the tap tells, as messages --- */

extern const struct net_tap_ops trace_tap_ops;

void trace_streams_forget(struct trace *trace);

/* --- writer.c: a thread that may wait for disks and names --- */

struct trace_writer;

struct trace_writer_options {
	size_t queue; /* bytes that wait */
	/* Either a file, which is not to be there yet, … */
	const char *path;
	struct slice begin; /* what each file begins with; copied */
	uint64_t max_file;
	unsigned files;
	/* … or a host. */
	struct slice host, port;
};

/** @return 0; negative errno with why */
int trace_writer_new(struct trace_writer **writerp, const struct trace_writer_options *options,
    struct reason *why);

/** Copy a record into the queue.  @return 0 or -ENOBUFS: it is lost */
int trace_writer_put(struct trace_writer *writer, struct slice record);

/** Records lost since the last call because they could not be written, with the last reason. */
unsigned trace_writer_lost(struct trace_writer *writer, int *errp);

/**
 * No more is put.  What waits is written yet, which is not waited for longer than wait_ms; then
 * the thread frees the writer.
 *
 * @param lostp  as trace_writer_lost(), with the reason in *errp
 * @return did it come to an end?
 */
bool trace_writer_stop(struct trace_writer *writer, unsigned wait_ms, unsigned *lostp, int *errp);
