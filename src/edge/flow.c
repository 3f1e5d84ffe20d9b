#include "edge/flow_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "edge/alias_priv.h"
#include "edge/client_priv.h"
#include "edge/datagram_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/priv.h"
#include "edge/token_priv.h"
#include "edge/way_priv.h"
#include "net/tap.h"

static const struct slice absent;

enum {
	/* Bytes that may wait for a client, beside one message; the system has as many again. */
	BACKLOG_MAX = 2 << 20,
	FAULTS_MAX = 3, /* of somebody who has sent nothing that was right */
};

static struct sip_flow *flow_of(struct net_stream *stream)
{
	return (struct sip_flow *)(void *)((char *)stream - offsetof(struct sip_flow, stream));
}

/* --- life --- */

struct sip_flow *flow_new(const struct edge_listener *listener,
    const struct edge_transport *transport)
{
	struct edge *edge = listener->edge;
	struct sip_flow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->edge = edge;
	f->listener = listener;
	f->transport = transport;
	f->framer.framed = transport->net->framed;
	SLIST_INIT(&f->aliases);
	TAILQ_INIT(&f->watches);
	TAILQ_INIT(&f->clients);
	net_stream_init(&f->stream, &edge->protocol);
	HASH_ADD(hh, edge->flows, stream.number, sizeof(f->stream.number), f);
	if (!f->hh.tbl) {
		net_stream_close(&f->stream, -ENOMEM);
		return NULL;
	}
	flow_name(f, EDGE_SHARE_OF_NOBODY);
	return f;
}

/* One of them stays, since responses are known by it. */
void flow_name(struct sip_flow *f, edge_share share)
{
	struct edge_token token = {.kind = TOKEN_FLOW, .number = f->stream.number};

	edge_token_write(f->edge, &token, f->token);
	token.share = share;
	edge_token_write(f->edge, &token, f->peer_token);
}

struct sip_flow *flow_find_asker(struct edge *edge, uint64_t number)
{
	struct sip_flow *f;

	HASH_FIND(hh, edge->flows, &number, sizeof(number), f);
	return f && f->stream.state != NET_CLOSED && !f->stream.closing ? f : NULL;
}

struct sip_flow *flow_find(struct edge *edge, uint64_t number)
{
	struct sip_flow *f = flow_find_asker(edge, number);

	return f && flow_is_alive(f) ? f : NULL;
}

static struct net_stream *on_accept(void *arg)
{
	struct sip_flow *f = flow_new(arg, ((struct edge_listener *)arg)->transport);

	return f ? &f->stream : NULL;
}

/*
 * A phone in a browser says nothing for hours, and cannot help it (RFC 7118 6): it is asked.  So is
 * a node, which has dialogs with clients of ours.
 */
static bool has_to_answer(const struct sip_flow *f)
{
	return f->transport->net->ping || f->is_node;
}

/*
 * Of others no sign of life comes unless they send it.  Is somebody registered here, or has a dialog
 * no other way, the connection stays: it is pinged for NATs, and TCP finds out whether he is there.
 */
static struct timer_queue *idle_queue(const struct sip_flow *f)
{
	bool is_needed = !TAILQ_EMPTY(&f->watches);

	if ((is_needed || has_to_answer(f)) && f->edge->settings->ping_interval_ms)
		return &f->edge->quiet;
	return is_needed ? NULL : &f->edge->idle;
}

/* @return can it be asked? */
static bool ask(struct sip_flow *f)
{
	if (f->transport->net->ping)
		return net_stream_ping(&f->stream);
	return net_stream_send(&f->stream, SLICE("\r\n\r\n")) == 0; /* RFC 5626 4.4.1 */
}

static void on_opened(struct net_stream *stream)
{
	struct sip_flow *f = flow_of(stream);

	f->was_open = true;
	net_stream_peer(stream, &f->peer);
	addr_unmap(&f->peer);
	addr_print_host(&f->peer, f->peer_host);
	flow_name(f, edge_share_of(f->edge, &f->peer));
	net_stream_set_life(stream, idle_queue(f));
}

static void tell_watches(struct sip_flow *f)
{
	struct sip_flow_watch *watch;

	net_stream_ref(&f->stream);
	while ((watch = TAILQ_FIRST(&f->watches))) {
		sip_flow_watch_stop(watch);
		watch->died(watch);
	}
	net_stream_unref(&f->stream);
}

/* No request can go over it any more, and none that has will be answered. */
static void give_up_requests(struct sip_flow *f)
{
	struct edge *edge = f->edge;

	if (f->place && f->place->hh.tbl) {
		HASH_DELETE(hh, edge->places, f->place);
		memset(&f->place->hh, 0, sizeof(f->place->hh));
	}
	edge_aliases_forget(f);
	edge_link_forget(&edge->link, f);
	edge_clients_fail(f);
	tell_watches(f);
}

static void on_closed(struct net_stream *stream, int err)
{
	struct sip_flow *f = flow_of(stream);

	(void)err;
	if (f->hh.tbl)
		HASH_DELETE(hh, f->edge->flows, f);
	edge_cause_leave(f->edge, f->cause);
	f->cause = EDGE_SHARE_OF_NOBODY;
	give_up_requests(f);
}

/*
 * He may wait for answers, or be gone: then his system resets the connection once something comes,
 * and the answers go elsewhere.  Empty lines are none of a message's (RFC 3261 7.5).
 */
static bool on_ended(struct net_stream *stream)
{
	struct sip_flow *f = flow_of(stream);

	if ((!f->unanswered && !net_stream_backlog(stream)) || f->transport->net->framed
	    || stream->closing)
		return false;
	log_debug("sip: conn %s %s: sends no more", f->transport->name, f->peer_host);
	f->ended = true;
	net_stream_set_life(stream, &f->edge->ending);
	if (f->unanswered)
		net_stream_send(stream, SLICE("\r\n"));
	else
		net_stream_close_after_send(stream);
	give_up_requests(f);
	return true;
}

static void on_free(struct net_stream *stream)
{
	struct sip_flow *f = flow_of(stream);

	if (flow_is_datagram(f))
		edge_datagram_forget(f);
	edge_framer_fini(&f->framer);
	free(f->place);
	free(f->node);
	free(f);
}

/* --- input --- */

static void answer_ping(struct sip_flow *f)
{
	net_stream_send(&f->stream, SLICE("\r\n")); /* RFC 5626 4.4.1 */
}

void flow_answer(struct sip_flow *f, struct slice text)
{
	if (net_stream_send(&f->stream, text) == 0)
		net_tap_message(&f->stream, NET_OUT, text, (struct slice){NULL, 0});
}

static struct edge_source source_of(struct sip_flow *f)
{
	return (struct edge_source){f->listener, f, &f->peer, f->peer_host};
}

/* No more is read. */
static void give_up(struct sip_flow *f, const struct edge_head *head)
{
	const struct edge_source source = source_of(f);

	edge_take_faulty(&source, head);
	net_stream_close_after_send(&f->stream);
}

/* Others may speak over this connection as well, unless nobody has said anything right on it. */
static void take_faulty(struct sip_flow *f, const struct edge_head *head)
{
	const struct edge_source source = source_of(f);

	if (!f->was_right && ++f->faults == FAULTS_MAX)
		give_up(f, head);
	else
		edge_take_faulty(&source, head);
}

static void run(struct sip_flow *f, enum edge_framed what, const struct edge_message *m)
{
	const struct edge_source source = source_of(f);

	switch (what) {
	case EDGE_MORE:
		break;
	case EDGE_PING:
		answer_ping(f);
		break;
	case EDGE_MESSAGE:
		f->was_right = true;
		edge_take_from_peer(&source, m);
		break;
	case EDGE_FAULTY:
		take_faulty(f, &m->head);
		break;
	case EDGE_BROKEN:
		give_up(f, &m->head);
		break;
	}
}

/* A message has message_timeout from its first byte to its last. */
static void set_life(struct sip_flow *f)
{
	struct net_stream *s = &f->stream;

	if (edge_framer_idle(&f->framer))
		net_stream_set_life(s, idle_queue(f));
	else if (s->life_queue != &f->edge->reading)
		net_stream_set_life(s, &f->edge->reading);
}

/* A message is a share of a turn: what lies behind it waits for the next one. */
static bool goes_on(enum edge_framed what, struct slice rest)
{
	return what == EDGE_PING
	    || ((what == EDGE_MESSAGE || what == EDGE_FAULTY) && rest.len == 0);
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct sip_flow *f = flow_of(stream);
	enum edge_framed what;
	struct edge_message message;
	struct slice rest = bytes;

	f->asked = false;
	do {
		if (edge_link_is_full(&f->edge->link)) {
			edge_link_pause(&f->edge->link, f);
			break;
		}
		what = edge_framer_next(&f->framer, &rest, end, &f->edge->bounds, &message);
		run(f, what, &message);
	} while (goes_on(what, rest) && flow_is_alive(f));
	if (!flow_is_alive(f))
		return (ssize_t)bytes.len;
	set_life(f);
	return (ssize_t)(bytes.len - rest.len);
}

void flow_on_slow(struct timer_entry *life, void *arg)
{
	struct sip_flow *f = flow_of(net_stream_expired(life));
	struct edge_message message;

	(void)arg;
	edge_framer_give_up(&f->framer, 408, "too slow", &message);
	give_up(f, &message.head);
}

static void on_alive(struct net_stream *stream)
{
	struct sip_flow *f = flow_of(stream);

	f->asked = false;
	if (flow_is_alive(f))
		set_life(f);
}

void flow_on_quiet(struct timer_entry *life, void *arg)
{
	struct sip_flow *f = flow_of(net_stream_expired(life));

	(void)arg;
	if (f->asked && has_to_answer(f)) {
		net_stream_close(&f->stream, -ETIMEDOUT);
		return;
	}
	f->asked = ask(f);
	net_stream_set_life(&f->stream, idle_queue(f));
}

const struct net_handler flow_handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .ended = on_ended,
    .alive = on_alive,
    .closed = on_closed,
    .free = on_free,
};

/* --- output --- */

/* Who does not read what he asked for is paused before; here it is what others send him. */
static bool takes_too_little(struct sip_flow *f)
{
	if (net_stream_backlog(&f->stream) <= BACKLOG_MAX)
		return false;
	story_often("sip: conn %s %s: does not read, closed", f->transport->name, f->peer_host);
	net_stream_close(&f->stream, -ENOBUFS);
	return true;
}

void flow_send(struct sip_flow *f, const struct edge_message *m, const struct edge_change *change)
{
	struct buffer *w = &f->edge->text;

	if (takes_too_little(f))
		return;
	if (edge_write(w, m, change) < 0) {
		/* Nobody would send it again: so both sides know. */
		net_stream_close(&f->stream, -ENOMEM);
		return;
	}
	++*f->edge->count.messages_out;
	net_stream_send(&f->stream, buffer_text(w));
	net_tap_message(&f->stream, NET_OUT, slice_head(buffer_text(w), w->len - m->body.len),
	    m->body);
	if (f->stream.life_queue == &f->edge->idle || f->stream.life_queue == &f->edge->quiet)
		net_stream_set_life(&f->stream, idle_queue(f));
}

bool flow_respond(struct sip_flow *f, const struct edge_message *m,
    const struct edge_change *change, bool silent)
{
	if (f->ended && net_stream_is_broken(&f->stream)) {
		net_stream_close(&f->stream, -ECONNRESET);
		return false;
	}
	net_stream_ref(&f->stream);
	if (!silent)
		flow_send(f, m, change);
	if (m->head.code >= 200 && f->unanswered)
		f->unanswered--;
	if (f->ended && !f->unanswered)
		net_stream_close_after_send(&f->stream);
	net_stream_unref(&f->stream);
	return true;
}

/* --- for the SIP layer --- */

struct sip_flow *edge_flow_of_token(struct edge *edge, struct slice text)
{
	struct edge_token token;

	if (edge_token_parse(edge, text, &token) < 0 || token.kind != TOKEN_FLOW)
		return NULL;
	return flow_find(edge, token.number);
}

const struct edge_listener *edge_flow_listener(const struct sip_flow *flow)
{
	return flow->listener;
}

const struct edge_transport *edge_flow_transport(const struct sip_flow *flow)
{
	return flow->transport;
}

void edge_flow_route(const struct sip_flow *flow, char text[EDGE_ROUTE_SIZE])
{
	edge_route_write(flow->edge, flow->peer_token, text);
}

/* It is never opened, counted or found: a URI with references. */
struct sip_flow *edge_flow_away(struct edge *edge, struct slice uri)
{
	struct sip_flow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->edge = edge;
	f->stream.protocol = &edge->protocol;
	f->stream.refs = 1;
	f->node = slice_dup(uri);
	if (f->node)
		return f;
	free(f);
	return NULL;
}

const char *edge_flow_node(const struct sip_flow *flow)
{
	return flow->node;
}

/* --- for services --- */

struct sip_flow *sip_flow_ref(struct sip_flow *flow)
{
	net_stream_ref(&flow->stream);
	return flow;
}

void sip_flow_unref(struct sip_flow *flow)
{
	if (flow)
		net_stream_unref(&flow->stream);
}

bool sip_flow_is_alive(const struct sip_flow *flow)
{
	return flow->node || flow_is_alive(flow);
}

bool sip_flow_is_by_udp(const struct sip_flow *flow)
{
	return flow_is_datagram(flow);
}

void sip_flow_user(const struct sip_flow *flow, char user[SIP_FLOW_USER_SIZE])
{
	const struct edge_token token = {.kind = TOKEN_NODE, .number = flow->stream.number};
	char text[EDGE_TOKEN_SIZE];

	edge_token_write(flow->edge, &token, text);
	memcpy(user, text, EDGE_FLOW_TOKEN_SIZE);
}

struct slice sip_flow_write_uri(struct buffer *w, struct slice sip, struct slice user,
    struct slice from)
{
	struct slice rest = sip, scheme;
	const char *at;
	size_t start;

	if (!user.p || !slice_cut(&rest, ':', &scheme) || !rest.p)
		return absent;
	at = memchr(rest.p, '@', rest.len);
	if (at)
		rest = slice_from(rest, (size_t)(at + 1 - rest.p));
	buffer_reserve(w, sip.len + user.len + 2 * from.len + 2);
	start = w->len;
	buffer_add(w, scheme);
	buffer_add_char(w, ':');
	buffer_add(w, user);
	if (from.p)
		buffer_add_char(w, '.');
	for (size_t i = 0; i < from.len; i++)
		buffer_printf(w, "%02x", (unsigned char)from.p[i]);
	buffer_add_char(w, '@');
	buffer_add(w, rest);
	return w->err ? absent : slice_from(buffer_text(w), start);
}

struct slice edge_flow_place(struct buffer *w, const struct sip_flow *flow, struct slice own,
    struct slice from)
{
	char user[SIP_FLOW_USER_SIZE];
	struct slice rest = slice_of(flow->node), scheme, theirs;

	if (!flow->node) {
		sip_flow_user(flow, user);
		return sip_flow_write_uri(w, own, slice_of(user), from);
	}
	if (flow->node[0] == '<') { /* proxies lead there from anywhere */
		size_t start = w->len;

		buffer_add(w, rest);
		return w->err ? absent : slice_from(buffer_text(w), start);
	}
	slice_cut(&rest, ':', &scheme);
	slice_cut(&rest, '@', &theirs);
	slice_cut(&theirs, '.', &rest);
	return sip_flow_write_uri(w, slice_of(flow->node), rest, from);
}

static void renew_life(struct sip_flow *f)
{
	if (f->was_open && flow_is_alive(f) && f->stream.life_queue != &f->edge->reading)
		net_stream_set_life(&f->stream, idle_queue(f));
}

void sip_flow_watch_start(struct sip_flow_watch *watch, struct sip_flow *flow)
{
	watch->flow = sip_flow_ref(flow);
	TAILQ_INSERT_TAIL(&flow->watches, watch, entry);
	renew_life(flow);
}

void sip_flow_watch_stop(struct sip_flow_watch *watch)
{
	struct sip_flow *flow = watch->flow;

	if (!flow)
		return;
	watch->flow = NULL;
	TAILQ_REMOVE(&flow->watches, watch, entry);
	renew_life(flow);
	sip_flow_unref(flow);
}
