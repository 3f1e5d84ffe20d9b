/*
 * Requests of the stack whose final response has not come, or may come again: RFC 3261 17.1.
 *
 * On a flow they fail at once when that dies, instead of after the time that the stack gives a peer
 * to answer.  By UDP they are sent again until something comes, and what comes again is swallowed,
 * or gets its ACK again.  That nothing came at all is for the stack to find out.
 */
#include "edge/client_own_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/link_priv.h"
#include "edge/memory_priv.h"
#include "edge/name_priv.h"
#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/retry_priv.h"
#include "edge/way_priv.h"

enum {
	KEY_SIZE = CLIENT_KEY_SIZE,
	RETIRED_SIZE = 16, /* of what is added to the key of one that was sent elsewhere */
	GIVEN_UP_LATER_MS = 5 * 1000, /* than the stack: it has to be the first */
	GIVEN_UP_EARLIER = 16,        /* by this part of its time, where it must not be */
	TIMER_C_MS = 181 * 1000,      /* RFC 3261 16.6: more than three minutes */
};

static const struct slice absent;

/* --- finding --- */

static int write_key(char key[KEY_SIZE], struct slice branch, struct slice method)
{
	struct buffer w = {.p = key, .cap = KEY_SIZE};

	buffer_add(&w, branch);
	buffer_add_char(&w, ' ');
	buffer_add(&w, method);
	buffer_add_char(&w, '\0');
	return w.err;
}

struct edge_client *edge_client_find(struct edge *edge, struct slice branch, struct slice method)
{
	struct edge_client *c = NULL;
	char key[KEY_SIZE];

	if (write_key(key, branch, method) == 0)
		HASH_FIND_STR(edge->clients, key, c);
	return c;
}

struct edge_client *edge_client_invite(struct edge *edge, struct slice method, struct slice branch)
{
	bool ack = slice_equal(method, SLICE("ACK"));
	struct edge_client *invite = NULL;

	if (ack || slice_equal(method, SLICE("CANCEL")))
		invite = edge_client_find(edge, branch, SLICE("INVITE"));
	return invite && invite->completed == ack ? invite : NULL;
}

/* "BRANCH METHOD ATTEMPT": the stack's requests have another one by now. */
static void write_retired_key(char key[KEY_SIZE + RETIRED_SIZE], const char *before,
    unsigned attempt)
{
	snprintf(key, KEY_SIZE + RETIRED_SIZE, "%s %u", before, attempt);
}

struct edge_client *client_find_retired(const struct edge_client *current, unsigned attempt)
{
	char key[KEY_SIZE + RETIRED_SIZE];
	struct edge_client *c;

	write_retired_key(key, current->key, attempt);
	HASH_FIND_STR(current->edge->clients, key, c);
	return c;
}

/* --- life --- */

void client_set_life(struct edge_client *c, struct timer_queue *queue)
{
	if (c->life_queue)
		timer_queue_stop(c->life_queue, &c->life);
	c->life_queue = queue;
	if (queue)
		timer_queue_start(queue, &c->life);
}

void client_set_text(struct slice *to, struct slice text)
{
	char *copy = text.p ? slice_dup(text) : NULL;

	free((char *)to->p);
	*to = copy ? (struct slice){copy, text.len} : absent;
}

void client_leave_lists(struct edge_client *c)
{
	if (c->flow)
		TAILQ_REMOVE(&c->flow->clients, c, entry);
	else if (c->name)
		TAILQ_REMOVE(&c->name->waiting, c, entry);
	c->flow = NULL;
	c->name = NULL;
}

/* It belongs to what has been let in before. */
static bool ends_something(struct slice method)
{
	return slice_equal(method, SLICE("ACK")) || slice_equal(method, SLICE("BYE"))
	    || slice_equal(method, SLICE("CANCEL"));
}

int client_take_memory(struct edge_client *c, const struct edge_head *request)
{
	size_t cost = sizeof(*c) + c->text.len + c->head.len + c->cancel.len;

	bool has = ends_something(edge_head_method(request))
	    ? edge_memory_take_reserve(c->edge, cost)
	    : edge_memory_take(c->edge, EDGE_SHARE_OF_NOBODY, cost);

	if (!has)
		return -ENOBUFS;
	c->cost = cost;
	return 0;
}

static void give_memory(struct edge_client *c)
{
	edge_memory_give(c->edge, EDGE_SHARE_OF_NOBODY, c->cost);
	c->cost = 0;
}

static void leave_dialog(struct edge_client *c)
{
	if (c->dialog_hh.tbl)
		HASH_DELETE(dialog_hh, c->edge->calls, c);
	memset(&c->dialog_hh, 0, sizeof(c->dialog_hh));
}

/* RFC 3261 12: far is absent in what begins a dialog. */
static uint64_t hash_dialog(const struct edge *edge, const struct edge_head *request,
    struct slice near, struct slice far)
{
	const struct slice id[] = {edge_head_value(request, EDGE_CALL_ID), near, far};

	return hash_texts(edge->hash, id, sizeof(id) / sizeof(id[0]));
}

/*
 * A passed one ends with its own response.  The stack sends the next one of a call when it waits for
 * the last no more.
 */
static void join_dialog(struct edge_client *c, const struct edge_head *request)
{
	struct edge_client *last = NULL;

	if (!c->invite || c->passed)
		return;
	c->dialog = hash_dialog(c->edge, request, edge_head_tag(request, EDGE_FROM),
	    edge_head_tag(request, EDGE_TO));
	HASH_FIND(dialog_hh, c->edge->calls, &c->dialog, sizeof(c->dialog), last);
	if (last)
		leave_dialog(last);
	HASH_ADD(dialog_hh, c->edge->calls, dialog, sizeof(c->dialog), c);
}

static struct edge_client *find_invite(struct edge *edge, const struct edge_head *bye,
    struct slice far)
{
	uint64_t dialog = hash_dialog(edge, bye, edge_head_tag(bye, EDGE_TO), far);
	struct edge_client *c = NULL;

	HASH_FIND(dialog_hh, edge->calls, &dialog, sizeof(dialog), c);
	return c;
}

struct edge_client *client_find_reinvite(struct edge *edge, const struct edge_head *bye)
{
	return find_invite(edge, bye, edge_head_tag(bye, EDGE_FROM));
}

bool edge_client_hangs_up_early(struct edge *edge, const struct edge_head *bye)
{
	return find_invite(edge, bye, absent);
}

static void forget_texts(struct edge_client *c)
{
	client_set_text(&c->head, absent);
	client_set_text(&c->cancel, absent);
	client_set_text(&c->text, absent);
	client_set_text(&c->tag, absent);
	free(c->host);
	c->host = NULL;
	edge_retry_forget(c);
}

void client_leave(struct edge_client *c)
{
	if (c->hh.tbl)
		HASH_DELETE(hh, c->edge->clients, c);
	memset(&c->hh, 0, sizeof(c->hh));
	leave_dialog(c);
	client_leave_lists(c);
	edge_repeat_stop(c->edge, &c->repeat);
	client_set_life(c, NULL);
}

void edge_client_drop(struct edge_client *c)
{
	client_leave(c);
	forget_texts(c);
	if (c->counted)
		--*c->edge->count.transactions;
	give_memory(c);
	free(c);
}

void client_complete(struct edge_client *c, struct timer_queue *life)
{
	c->completed = true;
	leave_dialog(c);
	edge_repeat_stop(c->edge, &c->repeat);
	forget_texts(c);
	client_set_life(c, life);
}

void edge_client_end(struct edge_client *c, unsigned code)
{
	struct edge *edge = c->edge;

	if (c->invite && code >= 300)
		client_complete(c, c->flow ? &edge->client_waiting : &edge->client_completed);
	else if (!c->invite && !c->flow)
		client_complete(c, &edge->client_absorbing);
	else
		edge_client_drop(c);
}

void edge_client_retire(struct edge_client *c)
{
	char key[KEY_SIZE + RETIRED_SIZE];

	if (!c->invite || c->flow) {
		edge_client_drop(c);
		return;
	}
	leave_dialog(c); /* the next attempt's it is */
	HASH_DELETE(hh, c->edge->clients, c);
	write_retired_key(key, c->key, c->attempt);
	memcpy(c->key, key, strlen(key) + 1);
	memset(&c->hh, 0, sizeof(c->hh));
	HASH_ADD_STR(c->edge->clients, key, c);
	if (!c->hh.tbl)
		edge_client_drop(c);
}

/* --- a new one --- */

/*
 * The stack waits for the answer to a cancelled INVITE no longer than to any other (RFC 3261 9.1).
 * @return is the CANCEL our own?
 */
static bool bound_cancelled(struct edge *edge, struct slice branch)
{
	struct edge_client *invite = edge_client_invite(edge, SLICE("CANCEL"), branch);
	bool own = invite && invite->gives_up;

	if (!invite)
		return false;
	client_set_life(invite, &edge->client_waiting);
	edge_retry_forget(invite);
	invite->cancelled = true;
	invite->gives_up = false;
	return own;
}

static struct edge_client *allocate(struct edge *edge, const char *key)
{
	size_t size = strlen(key) + 1;
	struct edge_client *c = calloc(1, sizeof(*c) + size + RETIRED_SIZE);

	if (!c)
		return NULL;
	memcpy(c->key, key, size);
	c->edge = edge;
	c->started_ms = timer_now_ms();
	if (!*key)
		return c;
	HASH_ADD_STR(edge->clients, key, c);
	if (c->hh.tbl)
		return c;
	free(c);
	return NULL;
}

/* @return NULL: no memory, or it cannot be told from others */
static struct edge_client *add_new(struct edge *edge, struct slice branch, struct slice method,
    unsigned attempt)
{
	struct edge_client *c, *before;
	char key[KEY_SIZE] = "";
	bool own = false;

	if (!branch.p)
		return NULL;
	if (!slice_equal(method, SLICE("ACK")) && write_key(key, branch, method) < 0)
		return NULL;
	if (slice_equal(method, SLICE("CANCEL")))
		own = bound_cancelled(edge, branch);
	before = *key ? edge_client_find(edge, branch, method) : NULL;
	if (before)
		edge_client_drop(before);
	c = allocate(edge, key);
	if (!c)
		return NULL;
	c->attempt = attempt;
	c->own = own;
	c->invite = slice_equal(method, SLICE("INVITE"));
	client_set_life(c, &edge->client_waiting);
	return c;
}

static struct slice branch_of(const struct edge_head *request)
{
	struct edge_via via;

	return edge_head_via(request, &via) < 0 ? absent : via.branch;
}

/* @return absent: no memory */
static struct slice take_text(struct buffer *w)
{
	char *text;
	size_t len;

	return buffer_take(w, &text, &len) == 0 ? (struct slice){text, len} : absent;
}

struct slice edge_client_make_ack(struct slice request, const struct edge_head *response)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_head head = {0};

	if (edge_head_scan(&head, request, &edge_own_bounds) < 0)
		return absent; /* there was no memory for it */
	edge_after_write(&w, &head, SLICE("ACK"),
	    edge_head_value(response ? response : &head, EDGE_TO));
	return take_text(&w);
}

/* See client_give_up_watched(). */
static bool is_watched(struct slice method)
{
	return slice_equal(method, SLICE("UPDATE")) || slice_equal(method, SLICE("PRACK"));
}

/* What is a peer's, and not the stack's, is ours to cancel. */
static void note_request(struct edge_client *c, const struct edge_head *request)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};

	c->passed = edge_is_passed(c->edge, request);
	join_dialog(c, request);
	c->again = c->dialog_hh.tbl && edge_head_tag(request, EDGE_TO).p;
	if (!c->passed && is_watched(edge_head_method(request)))
		client_set_life(c, &c->edge->client_watched);
	if (!c->passed || !c->invite)
		return;
	edge_after_write(&w, request, SLICE("CANCEL"), edge_head_value(request, EDGE_TO));
	c->cancel = take_text(&w);
}

struct edge_client *client_new(struct edge *edge, const struct edge_head *request, unsigned attempt)
{
	struct edge_client *c =
	    add_new(edge, branch_of(request), edge_head_method(request), attempt);

	if (c)
		note_request(c, request);
	return c;
}

struct edge_reply client_reply(const struct edge_client *c, const struct edge_head *request,
    unsigned code, const char *why)
{
	struct edge_reply reply = edge_own_reply(c->edge, request, code, why);

	if (c->tag.p)
		reply.to_tag = c->tag;
	return reply;
}

void client_count_failure(const struct edge_client *c)
{
	if (c->passed && !c->completed && !c->own && *c->key)
		++*c->edge->count.passed_failed;
}

/* --- all of them --- */

static void on_over(struct timer_entry *entry, void *arg)
{
	(void)arg;
	client_expire(
	    (struct edge_client *)(void *)((char *)entry - offsetof(struct edge_client, life)));
}

int edge_clients_init(struct edge *edge, struct event_base *base)
{
	uint64_t timeout_ms = edge->transaction_timeout_ms;
	int err = 0;

	err |= timer_queue_init(&edge->client_waiting, base, timeout_ms + GIVEN_UP_LATER_MS,
	    on_over, NULL);
	err |= timer_queue_init(&edge->client_watched, base,
	    timeout_ms - timeout_ms / GIVEN_UP_EARLIER, on_over, NULL);
	err |= timer_queue_init(&edge->client_ringing, base, TIMER_C_MS, on_over, NULL);
	err |= timer_queue_init(&edge->client_completed, base, timeout_ms, on_over, NULL);
	err |= timer_queue_init(&edge->client_absorbing, base, edge_t4_ms(edge), on_over, NULL);
	return err ? -ENOMEM : 0;
}

void edge_clients_forget(struct edge *edge)
{
	struct edge_client *c, *next;

	HASH_ITER(hh, edge->clients, c, next)
	if (!c->passed)
		edge_client_drop(c);
}

void edge_clients_fini(struct edge *edge)
{
	struct edge_client *c, *next;

	HASH_ITER(hh, edge->clients, c, next)
	edge_client_drop(c);
	timer_queue_fini(&edge->client_waiting);
	timer_queue_fini(&edge->client_watched);
	timer_queue_fini(&edge->client_ringing);
	timer_queue_fini(&edge->client_completed);
	timer_queue_fini(&edge->client_absorbing);
}
