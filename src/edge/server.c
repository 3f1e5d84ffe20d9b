/*
 * Requests that came in datagrams: what RFC 3261 17.2 and RFC 6026 need to know of them, which is
 * where the response goes and what it was.
 *
 * The stack says 100 to an INVITE at once, and repeats its 2xx until their ACK, and reliable
 * provisional ones until their PRACK, by itself.  What is left is to answer or to swallow what comes
 * again, and to repeat other final responses to an INVITE.
 */
#include "edge/server_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge/listener_priv.h"
#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/token_priv.h"
#include "edge/way_priv.h"

enum {
	RINGING_MS = 60 * 60 * 1000, /* nobody rings for longer */
	MALLOC_COST = 16,
};

/* --- one transaction --- */

static size_t cost_of(size_t len)
{
	return sizeof(struct edge_server) + len + 2 * MALLOC_COST;
}

static struct timer_queue *queue_of(const struct edge_server *s)
{
	struct edge *edge = s->listener->edge;

	switch (s->state) {
	case SERVER_PROCEEDING:
		return s->invite ? &edge->server_ringing : &edge->server_completed;
	case SERVER_COMPLETED:
		return &edge->server_completed;
	case SERVER_CONFIRMED:
		break;
	}
	return &edge->server_confirmed;
}

static void set_state(struct edge_server *s, unsigned state)
{
	timer_queue_stop(queue_of(s), &s->life);
	s->state = state;
	timer_queue_start(queue_of(s), &s->life);
}

static void drop_response(struct edge_server *s)
{
	edge_memory_give(s->listener->edge, s->share, s->len);
	free(s->response);
	s->response = NULL;
	s->len = 0;
}

/* Without memory there is none, and repetitions get no answer. */
static void keep_response(struct edge_server *s, struct slice text)
{
	drop_response(s);
	if (!edge_memory_take(s->listener->edge, s->share, text.len))
		return;
	s->response = malloc(text.len);
	if (!s->response) {
		edge_memory_give(s->listener->edge, s->share, text.len);
		return;
	}
	memcpy(s->response, text.p, text.len);
	s->len = (uint32_t)text.len;
}

static void drop(struct edge_server *s)
{
	struct edge *edge = s->listener->edge;

	HASH_DELETE(hh, edge->servers, s);
	if (s->merged_hh.tbl)
		HASH_DELETE(merged_hh, edge->merged, s);
	timer_queue_stop(queue_of(s), &s->life);
	edge_repeat_stop(edge, &s->repeat);
	drop_response(s);
	edge_memory_give(edge, s->share, cost_of(0));
	--*edge->count.transactions;
	free(s);
}

static void send_response(struct edge_server *s)
{
	if (!s->response)
		return;
	++*s->listener->edge->count.repeats_out;
	net_udp_send(&s->listener->port, &s->to, (struct slice){s->response, s->len});
}

/* --- timers --- */

static struct edge_server *of_life(struct timer_entry *entry)
{
	return (struct edge_server *)(void *)((char *)entry - offsetof(struct edge_server, life));
}

static void on_over(struct timer_entry *entry, void *arg)
{
	(void)arg;
	drop(of_life(entry));
}

/* Timer G */
static void on_again(struct edge_repeat *r)
{
	send_response(
	    (struct edge_server *)(void *)((char *)r - offsetof(struct edge_server, repeat)));
}

/* --- requests --- */

static uint64_t make_key(const struct edge *edge, const struct edge_server_id *id)
{
	bool ack = slice_equal(id->method, SLICE("ACK"));

	return hash_texts(edge->hash,
	    (struct slice[]){id->mac, ack ? SLICE("INVITE") : id->method, slice_of(id->host)}, 3);
}

static struct edge_server *find(struct edge *edge, uint64_t key)
{
	struct edge_server *s;

	HASH_FIND(hh, edge->servers, &key, sizeof(key), s);
	return s;
}

static struct edge_server *look_up(struct edge *edge, const struct edge_server_id *id)
{
	return find(edge, make_key(edge, id));
}

/* RFC 3261 8.2.2.2: the same request, by way of a proxy that forks. */
static uint64_t make_fields(const struct edge *edge, const struct edge_head *request)
{
	return hash_texts(edge->hash,
	    (struct slice[]){edge_head_tag(request, EDGE_FROM),
		edge_head_value(request, EDGE_CALL_ID), edge_head_value(request, EDGE_CSEQ)},
	    3);
}

static bool is_merged(struct edge *edge, const struct edge_head *request)
{
	struct edge_server *s = NULL;
	uint64_t fields = make_fields(edge, request);

	if (!edge_head_tag(request, EDGE_TO).p)
		HASH_FIND(merged_hh, edge->merged, &fields, sizeof(fields), s);
	return s;
}

/* Without memory it is not known when it comes another way. */
static void note_fields(struct edge *edge, struct edge_server *s, const struct edge_head *request)
{
	if (edge_head_tag(request, EDGE_TO).p)
		return;
	s->fields = make_fields(edge, request);
	HASH_ADD(merged_hh, edge->merged, fields, sizeof(s->fields), s);
}

/* There is always room to end what has been let in. */
static bool take_room(struct edge *edge, const struct edge_server_id *id, edge_share share)
{
	const struct edge_server_id invite = {id->mac, SLICE("INVITE"), id->host};

	if (!slice_equal(id->method, SLICE("CANCEL")) || !look_up(edge, &invite))
		return edge_memory_take_datagram(edge, share, cost_of(0));
	edge_memory_add(edge, share, cost_of(0));
	return true;
}

static struct edge_server *new_server(struct edge *edge, const struct edge_server_id *id,
    uint64_t key, edge_share share)
{
	struct edge_server *s;

	if (!take_room(edge, id, share))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->key = key;
		s->share = share;
		HASH_ADD(hh, edge->servers, key, sizeof(s->key), s);
		if (s->hh.tbl)
			return s;
		free(s);
	}
	edge_memory_give(edge, share, cost_of(0));
	return NULL;
}

static enum edge_verdict start(const struct edge_source *from, const struct edge_server_id *id,
    uint64_t key, const struct edge_head *request, const union addr *to)
{
	struct edge *edge = from->listener->edge;
	struct edge_server *s;

	if (is_merged(edge, request))
		return EDGE_MERGED;
	s = new_server(edge, id, key, edge_share_of(edge, from->peer));
	if (!s)
		return EDGE_TOO_MANY;
	note_fields(edge, s, request);
	++*edge->count.transactions;
	s->listener = (struct edge_listener *)from->listener;
	s->to = *to;
	s->repeat.again = on_again;
	s->invite = slice_equal(edge_head_method(request), SLICE("INVITE"));
	s->passed = edge->standalone && edge_stands_alone(request);
	set_state(s, SERVER_PROCEEDING);
	return EDGE_NEW;
}

static enum edge_verdict take_again(struct edge_server *s)
{
	++*s->listener->edge->count.repeats_in;
	send_response(s);
	return EDGE_ABSORBED;
}

/* Of a 2xx it is a transaction of its own, and the stack's. */
static enum edge_verdict take_ack(struct edge_server *s)
{
	if (s->state == SERVER_CONFIRMED) {
		++*s->listener->edge->count.repeats_in;
		return EDGE_ABSORBED;
	}
	if (s->state == SERVER_COMPLETED && s->response) {
		edge_repeat_stop(s->listener->edge, &s->repeat);
		drop_response(s);
		set_state(s, SERVER_CONFIRMED);
	}
	return EDGE_NEW;
}

enum edge_verdict edge_server_take(const struct edge_source *from, const struct edge_server_id *id,
    const struct edge_head *request, const union addr *to)
{
	struct edge *edge = from->listener->edge;
	struct edge_server *s;
	uint64_t key = make_key(edge, id);

	s = find(edge, key);
	if (slice_equal(id->method, SLICE("ACK")))
		return s ? take_ack(s) : EDGE_NEW;
	return s ? take_again(s) : start(from, id, key, request, to);
}

/* --- responses --- */

static void take_final(struct edge_server *s, unsigned code, struct slice response)
{
	set_state(s, SERVER_COMPLETED);
	if (s->invite && code < 300) { /* RFC 6026 7.1: not to be sent again but by the stack */
		drop_response(s);
		return;
	}
	keep_response(s, response);
	if (s->invite)
		edge_repeat_start(s->listener->edge, &s->repeat, REPEAT_T2);
}

bool edge_server_answer(struct edge *edge, const struct edge_server_id *id, unsigned code,
    struct slice response)
{
	struct edge_server *s = look_up(edge, id);

	if (!s || s->state >= SERVER_COMPLETED)
		return response.p;
	if (!response.p) {
		drop_response(s);
		set_state(s, SERVER_CONFIRMED);
	} else if (code >= 200) {
		take_final(s, code, response);
	} else {
		keep_response(s, response);
	}
	return response.p;
}

/* --- requests that the stack has not got --- */

void edge_server_forget(struct edge *edge, const struct edge_server_id *id)
{
	struct edge_server *s = look_up(edge, id);

	if (s && s->state == SERVER_PROCEEDING && !s->response)
		drop(s);
}

void edge_servers_forget(struct edge *edge)
{
	struct edge_server *s, *next;

	HASH_ITER(hh, edge->servers, s, next)
	if (s->state == SERVER_PROCEEDING && !s->passed)
		drop(s);
}

void edge_server_note_passed(struct edge *edge, struct slice branch, struct slice method)
{
	struct edge_server_id id = {.method = method};
	struct edge_origin origin;
	struct edge_token token;
	char host[ADDR_TEXT_SIZE];
	struct edge_server *s;

	if (edge_branch_token(edge, branch, &token, &id.mac) < 0 || token.kind != TOKEN_DATAGRAM
	    || edge_token_origin(edge, &token, &origin) < 0)
		return;
	id.host = addr_print_host(&origin.peer, host);
	s = look_up(edge, &id);
	if (s)
		s->passed = true;
}

/* --- all of them --- */

int edge_servers_init(struct edge *edge, struct event_base *base)
{
	uint64_t timeout_ms = edge->transaction_timeout_ms;
	int err = 0;

	err |= timer_queue_init(&edge->server_ringing, base, RINGING_MS, on_over, NULL);
	err |= timer_queue_init(&edge->server_completed, base, timeout_ms, on_over, NULL);
	err |= timer_queue_init(&edge->server_confirmed, base, edge_t4_ms(edge), on_over, NULL);
	return err ? -ENOMEM : 0;
}

void edge_servers_fini(struct edge *edge)
{
	struct edge_server *s, *next;

	HASH_ITER(hh, edge->servers, s, next)
	drop(s);
	timer_queue_fini(&edge->server_ringing);
	timer_queue_fini(&edge->server_completed);
	timer_queue_fini(&edge->server_confirmed);
}
