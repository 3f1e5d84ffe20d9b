/*
 * The one connection between the edge and the SIP stack, over loopback: the stack opens it, and
 * shows by the token in its first message that it is no stranger.
 *
 * The stack copies what is left of a read for each message in it, so it is given no more at once
 * than it can read without that being felt.
 */
#include "edge/link_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "edge/client_priv.h"
#include "edge/flow_priv.h"
#include "edge/listener_priv.h"
#include "edge/priv.h"
#include "edge/server_priv.h"
#include "edge/service_priv.h"
#include "edge/token_priv.h"
#include "edge/way_priv.h"
#include "net/net.h"

enum {
	CREDIT_LEAST = 512,
	FULL = 64 * 1024, /* bytes that wait before clients are not read any more */
	RESUMED_AT_ONCE = 64,
	STRANGER_MS = 5000, /* to say who it is */
};

/* Who has connected to the link's listener. */
struct edge_peer {
	struct net_stream stream;
	struct edge_link *link;
	struct edge_framer framer;
};

/* Of what the stack sends; it is ours. */
const struct edge_bounds edge_own_bounds = {.max_message_size = 4 << 20,
    .max_header_size = 256 << 10,
    .max_headers = 4096};

static struct edge_peer *peer_of(struct net_stream *stream)
{
	return (struct edge_peer *)(void *)((char *)stream - offsetof(struct edge_peer, stream));
}

/* --- to the stack --- */

static size_t waiting(const struct edge_link *link)
{
	return link->queue.len - link->done;
}

static void give(struct edge_link *link, struct slice bytes)
{
	struct net_stream *s = &link->stack->stream;

	net_stream_end(s, bytes);
	link->credit -= bytes.len < link->credit ? bytes.len : link->credit;
}

static void resume_some(struct edge_link *link)
{
	struct sip_flow *f;

	for (int i = 0; i < RESUMED_AT_ONCE && (f = TAILQ_FIRST(&link->paused)); i++) {
		edge_link_forget(link, f);
		net_stream_resume(&f->stream);
	}
}

/* @return was the stack given anything? */
static bool pump(struct edge_link *link)
{
	size_t n = waiting(link);

	if (!link->stack)
		return false;
	if (n > link->credit)
		n = link->credit;
	if (n)
		give(link, (struct slice){link->queue.p + link->done, n});
	link->done += n;
	if (link->done >= FULL || waiting(link) == 0) {
		buffer_drop(&link->queue, link->done);
		link->done = 0;
	}
	if (waiting(link) < FULL / 2) {
		edge_ports_resume(link->edge);
		resume_some(link);
	}
	return n;
}

static void drop_queue(struct edge_link *link)
{
	buffer_fini(&link->queue);
	link->done = 0;
}

void edge_link_send_text(struct edge_link *link, struct slice text)
{
	/* While there is credit a message goes whole: it would keep the stack for as long in two. */
	if (link->stack && waiting(link) == 0 && link->credit) {
		give(link, text);
		return;
	}
	buffer_add(&link->queue, text);
	if (link->queue.err) {
		log_error("sip: messages were lost: out of memory");
		if (link->stack)
			net_stream_close(&link->stack->stream, -ENOMEM);
		drop_queue(link);
		return;
	}
	pump(link);
}

bool edge_link_is_full(const struct edge_link *link)
{
	return waiting(link) >= FULL;
}

void edge_link_pause(struct edge_link *link, struct sip_flow *f)
{
	f->paused = true;
	TAILQ_INSERT_TAIL(&link->paused, f, paused_next);
	net_stream_pause(&f->stream);
}

void edge_link_forget(struct edge_link *link, struct sip_flow *f)
{
	if (f->paused)
		TAILQ_REMOVE(&link->paused, f, paused_next);
	f->paused = false;
}

int edge_link_send(struct edge_link *link, const struct edge_message *m,
    const struct edge_change *change)
{
	struct buffer *w = &link->edge->text;
	int err = edge_write(w, m, change);

	if (err == 0)
		edge_link_send_text(link, buffer_text(w));
	return err;
}

/* A stranger is not to see the link's token. */
struct edge_reply edge_own_reply(struct edge *edge, const struct edge_head *request, unsigned code,
    const char *why)
{
	bool passed = edge_is_passed(edge, request);

	return (struct edge_reply){.code = code,
	    .why = why,
	    .agent = slice_of(passed ? NULL : edge->link.token),
	    .to_tag = slice_of(passed ? STAILQ_FIRST(&edge->listeners)->token : edge->link.token)};
}

void edge_link_reply(struct edge_link *link, const struct edge_head *request, unsigned code,
    const char *why)
{
	const struct edge_reply reply = edge_own_reply(link->edge, request, code, why);

	edge_link_give_reply(link, request, &reply);
}

void edge_link_give_reply(struct edge_link *link, const struct edge_head *request,
    const struct edge_reply *reply)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};

	if (!edge_reply_possible(request))
		return;
	edge_reply_write(&w, request, reply);
	if (!w.err)
		edge_give_back(link->edge, buffer_text(&w));
	buffer_fini(&w);
}

bool edge_link_step(struct edge *edge, unsigned doublings)
{
	struct edge_link *link = &edge->link;

	/* It has yet to see what it was given last, and would have both at once. */
	if (link->stack && net_stream_backlog(&link->stack->stream))
		return false;
	link->credit = (size_t)CREDIT_LEAST << doublings;
	return pump(link);
}

/* --- from the stack --- */

static struct net_stream *on_accept(void *arg)
{
	struct edge_link *link = arg;
	struct edge_peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->link = link;
	net_stream_init(&p->stream, &link->protocol);
	return &p->stream;
}

static void on_opened(struct net_stream *stream)
{
	net_stream_set_life(stream, &peer_of(stream)->link->strangers);
}

static void on_stranger(struct timer_entry *entry, void *arg)
{
	(void)arg;
	net_stream_close(net_stream_expired(entry), -ETIMEDOUT);
}

/* Responses have to show it, so the first request counts, be it the greeting or not. */
static void note_sent_by(struct edge_link *link, const struct edge_head *head)
{
	struct edge_via via;

	if (head->request && edge_head_via(head, &via) == 0)
		snprintf(link->sent_by, sizeof(link->sent_by), "%.*s", SLICE_ARG(via.sent_by));
}

/* @return 0 or -EACCES: it is a stranger, or one too many */
static int check_peer(struct edge_peer *p, const struct edge_message *m)
{
	struct edge_link *link = p->link;

	if (link->stack == p)
		return 0;
	if (link->stack || !edge_is_from_stack(link->edge, &m->head))
		return -EACCES;
	link->stack = p;
	note_sent_by(link, &m->head);
	link->credit = CREDIT_LEAST;
	net_stream_set_life(&p->stream, NULL);
	return 0;
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct edge_peer *p = peer_of(stream);
	struct edge_message message;
	struct slice rest = bytes;
	enum edge_framed what;
	bool is_message;

	do {
		what = edge_framer_next(&p->framer, &rest, end, &edge_own_bounds, &message);
		/* The stack writes what applications have said: its faults are passed as they are. */
		is_message = what == EDGE_MESSAGE || what == EDGE_FAULTY;
		if (what == EDGE_BROKEN || (is_message && check_peer(p, &message) < 0)) {
			log_warn("sip: link: %s",
			    what == EDGE_BROKEN ? message.head.why : "a stranger");
			return -EPROTO;
		}
		if (is_message)
			edge_take_from_stack(p->link->edge, &message);
	} while (what != EDGE_MORE && stream->state == NET_OPEN);
	pump(p->link);
	return (ssize_t)bytes.len;
}

static void on_closed(struct net_stream *stream, int err)
{
	struct edge_peer *p = peer_of(stream);
	struct edge_link *link = p->link;

	if (link->stack != p)
		return;
	link->stack = NULL;
	drop_queue(link); /* it may begin in the middle of a message */
	if (link->protocol.stopping)
		return;
	log_debug("sip: link: closed: %s", strerror(-err));
	edge_clients_forget(link->edge);
	edge_services_drop_waiting(link->edge);
	edge_servers_forget(link->edge);
	link->edge->link_lost(link->edge->arg);
}

static void on_free(struct net_stream *stream)
{
	struct edge_peer *p = peer_of(stream);

	edge_framer_fini(&p->framer);
	free(p);
}

static const struct net_handler link_handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .closed = on_closed,
    .free = on_free,
};

bool edge_link_is_open(const struct edge *edge)
{
	return edge->link.stack;
}

void edge_link_route(const struct edge *edge, char text[EDGE_ROUTE_SIZE])
{
	edge_route_write(edge, edge->link.token, text);
}

bool edge_is_own_name(const struct edge *edge, struct slice name)
{
	return slice_equal(name, slice_of(edge->link.token));
}

const char *edge_silence(const struct edge *edge)
{
	return edge->link.token;
}

bool edge_link_is_quiet(const struct edge_link *link)
{
	int unread = 0;

	if (!link->stack || ioctl(link->stack->stream.fd, FIONREAD, &unread) < 0)
		return true;
	return unread == 0;
}

/* --- life --- */

int edge_link_init(struct edge_link *link, struct edge *edge, struct net *net)
{
	uint64_t *n = link->counts;
	int err;

	link->edge = edge;
	link->queue.max = BUFFER_UNBOUNDED;
	TAILQ_INIT(&link->paused);
	link->protocol = (struct net_protocol){.net = net,
	    .name = "sip link",
	    .prompt = true,
	    .handler = &link_handler,
	    .limits = {.max_streams = 16, .send_queue = FULL},
	    .count = {&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]}};
	link->listener = (struct net_listener){.protocol = &link->protocol,
	    .transport = &net_tcp,
	    .name = "link",
	    .internal = true,
	    .arg = link,
	    .addr = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}}};
	err = timer_queue_init(&link->strangers, net_base(net), STRANGER_MS, on_stranger, NULL);
	if (err == 0)
		err = net_protocol_init(&link->protocol);
	edge_token_write(edge, &(struct edge_token){.kind = TOKEN_LINK}, link->token);
	return err ? err : net_listener_open(&link->listener);
}

void edge_link_fini(struct edge_link *link)
{
	net_listener_close(&link->listener);
	net_protocol_fini(&link->protocol);
	timer_queue_fini(&link->strangers);
	drop_queue(link);
}
