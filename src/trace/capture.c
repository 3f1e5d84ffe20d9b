/* Parts of messages, as the tap tells of them, put together to packets. */
#include <stdlib.h>
#include <string.h>

#include <msrpd/table.h>

#include "trace/priv.h"

enum { END_ROOM = 64 }; /* of a packet, for the end-line */

/* A message that is not whole yet. */
struct partial {
	bool open, wanted;
	struct buffer text;
	size_t head_len, body_len; /* of the body: with what was cut */
};

struct trace_stream {
	UT_hash_handle hh;
	const struct net_stream *stream;
	union addr local, peer;
	bool wanted; /* by its address */
	struct trace_mark mark;
	uint32_t seq[2];
	struct partial partials[2];
};

static void clear(struct trace *trace, struct partial *p)
{
	trace->held -= p->text.cap;
	buffer_fini(&p->text);
	*p = (struct partial){.open = false};
}

static void stream_free(struct trace *trace, struct trace_stream *ts)
{
	HASH_DELETE(hh, trace->streams, ts);
	clear(trace, &ts->partials[NET_IN]);
	clear(trace, &ts->partials[NET_OUT]);
	free(ts);
}

void trace_streams_forget(struct trace *trace)
{
	while (trace->streams)
		stream_free(trace, trace->streams);
}

/* NULL: it is not connected, or there is no memory and a message is lost */
static struct trace_stream *stream_new(struct trace *trace, const struct net_stream *stream)
{
	struct trace_stream *ts = calloc(1, sizeof(*ts));
	bool connected;

	if (!ts) {
		trace_lose(trace, 1);
		return NULL;
	}
	ts->stream = stream;
	ts->seq[NET_IN] = ts->seq[NET_OUT] = 1;
	net_stream_peer(stream, &ts->peer);
	net_stream_local(stream, &ts->local);
	addr_unmap(&ts->peer);
	addr_unmap(&ts->local);
	ts->wanted = trace_filter_takes_peer(trace->filter, &ts->peer);
	connected = ts->peer.any.sa_family != AF_UNSPEC
	    && ts->peer.any.sa_family == ts->local.any.sa_family;
	if (connected)
		HASH_ADD(hh, trace->streams, stream, sizeof(stream), ts);
	if (ts->hh.tbl)
		return ts;
	trace_lose(trace, connected);
	free(ts);
	return NULL;
}

static struct trace_stream *stream_find(struct trace *trace, const struct net_stream *stream)
{
	struct trace_stream *ts;

	HASH_FIND(hh, trace->streams, &stream, sizeof(stream), ts);
	return ts;
}

static bool is_sip(const struct net_stream *stream)
{
	return strcmp(stream->protocol->name, "sip") == 0;
}

/* Of what all connections hold together there is a bound. */
static void add(struct trace *trace, struct partial *p, struct slice bytes)
{
	size_t before = p->text.cap;

	if (p->wanted && bytes.len > p->text.cap - p->text.len
	    && (trace->held + bytes.len > trace->settings->queue
		|| buffer_reserve(&p->text, bytes.len) < 0)) {
		p->wanted = false;
		trace_lose(trace, 1);
	}
	if (p->wanted)
		buffer_add(&p->text, bytes);
	trace->held += p->text.cap - before;
}

/* --- a packet --- */

static void write_record(struct trace *trace, const struct trace_packet *packet)
{
	struct buffer *w = &trace->record;

	w->len = 0;
	if (trace->hep)
		trace_hep_packet(w, packet, (uint32_t)trace->settings->hep_id);
	else
		trace_pcapng_packet(w, packet);
	if (w->err || trace_writer_put(trace->writer, buffer_text(w)) < 0) {
		trace_lose(trace, 1);
	} else {
		trace->messages++;
		++*trace->count.messages;
	}
	trace_collect_lost(trace);
	if (w->err)
		buffer_fini(w);
}

static void emit(struct trace *trace, struct trace_stream *ts, enum net_way way,
    const struct trace_packet *given)
{
	const struct net_transport *transport = ts->stream->link.ops;
	struct trace_packet packet = *given;

	packet.way = way;
	packet.from = way == NET_IN ? &ts->peer : &ts->local;
	packet.to = way == NET_IN ? &ts->local : &ts->peer;
	packet.web = transport->framed;
	packet.carrier = transport->name;
	packet.conn = ts->stream->number;
	packet.seq = ts->seq[way];
	packet.ack = ts->seq[!way];
	clock_gettime(CLOCK_REALTIME, &packet.when);
	ts->seq[way] += (uint32_t)packet.length;
	write_record(trace, &packet);
}

static struct slice part(const struct partial *p, size_t from, size_t to)
{
	return (struct slice){p->text.p + from, to - from};
}

/*
 * A SIP message is cut at its end, and says how long it was; a description of media stays.
 * @param length  with what was cut already
 */
static bool describe_sip(struct trace *trace, struct trace_packet *packet, struct slice head,
    struct slice body, size_t length)
{
	size_t cut = 0;

	if (!slice_starts_nocase(body, SLICE("v=0")) && body.len > trace->bodies)
		cut = body.len - trace->bodies;
	packet->sip = true;
	packet->payload = (struct slice){head.p, head.len + body.len - cut};
	packet->length = length < TRACE_PAYLOAD_MAX ? length : TRACE_PAYLOAD_MAX;
	return trace_filter_takes_sip(trace->filter, head, body, &packet->call_id);
}

static void end_sip(struct trace *trace, struct trace_stream *ts, enum net_way way,
    struct partial *p)
{
	struct trace_packet packet = {0};

	if (describe_sip(trace, &packet, part(p, 0, p->head_len), part(p, p->head_len, p->text.len),
		p->head_len + p->body_len))
		emit(trace, ts, way, &packet);
}

static void end_msrp(struct trace *trace, struct trace_stream *ts, enum net_way way,
    struct partial *p, bool broken)
{
	struct trace_packet packet = {.broken = broken};
	struct trace_mark none = {.all = false};

	trace_filter_takes_msrp(trace->filter, part(p, 0, p->head_len), &none, &packet.call_id);
	packet.payload = buffer_text(&p->text);
	packet.length = packet.payload.len;
	emit(trace, ts, way, &packet);
}

/* --- the tap --- */

static void on_head(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
    struct slice bytes)
{
	struct trace *trace = tap->arg;
	struct trace_stream *ts = stream_find(trace, stream);
	struct slice call_id;
	struct partial *p;

	if (!ts && !(ts = stream_new(trace, stream)))
		return;
	if (!ts->wanted)
		return;
	p = &ts->partials[way];
	clear(trace, p);
	p->open = p->wanted = true;
	p->text.max = TRACE_PACKET_MAX + END_ROOM;
	bytes = slice_head(bytes, TRACE_PAYLOAD_MAX - END_ROOM);
	if (!is_sip(stream))
		p->wanted = trace_filter_takes_msrp(trace->filter, bytes, &ts->mark, &call_id);
	add(trace, p, bytes);
	p->head_len = bytes.len;
}

/* SDP is read before SIP's bodies are cut. */
static void on_body(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
    struct slice piece)
{
	struct trace *trace = tap->arg;
	struct trace_stream *ts = stream_find(trace, stream);
	struct partial *p = ts ? &ts->partials[way] : NULL;
	size_t room, have;

	if (!p || !p->open)
		return;
	have = p->text.len - p->head_len;
	room = TRACE_PAYLOAD_MAX - END_ROOM - p->text.len;
	if (!is_sip(stream) && room > trace->bodies - have)
		room = trace->bodies - have;
	p->body_len += piece.len;
	add(trace, p, slice_head(piece, room));
}

static void on_end(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
    struct slice bytes)
{
	struct trace *trace = tap->arg;
	struct trace_stream *ts = stream_find(trace, stream);
	struct partial *p = ts ? &ts->partials[way] : NULL;

	/* A message that began before the trace did is not in it. */
	if (!p || !p->open)
		return;
	add(trace, p, bytes);
	if (p->wanted && is_sip(stream))
		end_sip(trace, ts, way, p);
	else if (p->wanted)
		end_msrp(trace, ts, way, p, false);
	clear(trace, p);
}

static void break_off(struct trace *trace, struct trace_stream *ts, enum net_way way)
{
	struct partial *p = &ts->partials[way];

	if (p->wanted)
		end_msrp(trace, ts, way, p, true);
	clear(trace, p);
}

static void on_broken(struct net_tap *tap, const struct net_stream *stream, enum net_way way)
{
	struct trace_stream *ts = stream_find(tap->arg, stream);

	if (ts)
		break_off(tap->arg, ts, way);
}

/* The only ones are SIP's. */
static void on_datagram(struct net_tap *tap, const union addr *local, const union addr *peer,
    enum net_way way, struct slice bytes)
{
	struct trace *trace = tap->arg;
	union addr ends[] = {[NET_IN] = *peer, [NET_OUT] = *local};
	struct trace_packet packet = {.udp = true,
	    .way = way,
	    .carrier = "udp",
	    .from = &ends[way],
	    .to = &ends[!way]};
	const char *end = bytes.len ? memmem(bytes.p, bytes.len, "\r\n\r\n", 4) : NULL;
	size_t head_len = end ? (size_t)(end - bytes.p) + 4 : bytes.len, length = bytes.len;

	addr_unmap(&ends[NET_IN]);
	addr_unmap(&ends[NET_OUT]);
	bytes = slice_head(bytes, TRACE_PAYLOAD_MAX);
	if (head_len > bytes.len || ends[NET_IN].any.sa_family != ends[NET_OUT].any.sa_family
	    || !trace_filter_takes_peer(trace->filter, &ends[NET_IN])
	    || !describe_sip(trace, &packet, slice_head(bytes, head_len),
		slice_from(bytes, head_len), length))
		return;
	clock_gettime(CLOCK_REALTIME, &packet.when);
	write_record(trace, &packet);
}

static void on_closed(struct net_tap *tap, const struct net_stream *stream)
{
	struct trace *trace = tap->arg;
	struct trace_stream *ts = stream_find(trace, stream);

	if (!ts)
		return;
	for (enum net_way way = NET_IN; way <= NET_OUT; way++)
		break_off(trace, ts, way);
	stream_free(trace, ts);
}

const struct net_tap_ops trace_tap_ops = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
    .datagram = on_datagram,
    .closed = on_closed,
};
