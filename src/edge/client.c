/*
 * Requests of the stack whose final response has not come, or may come again: RFC 3261 17.1.
 *
 * On a flow they fail at once when that dies, instead of after the time that the stack gives a peer
 * to answer.  By UDP they are sent again until something comes, and what comes again is swallowed,
 * or gets its ACK again.  That nothing came at all is for the stack to find out.
 */
#include "edge/client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/memory_priv.h"
#include "edge/name_priv.h"
#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/retry_priv.h"
#include "edge/token_priv.h"
#include "edge/way_priv.h"

enum {
	KEY_SIZE = 320,
	RETIRED_SIZE = 16, /* of what is added to the key of one that was sent elsewhere */
	GIVEN_UP_LATER_MS = 5 * 1000, /* than the stack: it has to be the first */
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

static struct edge_client *find_retired(const struct edge_client *current, unsigned attempt)
{
	char key[KEY_SIZE + RETIRED_SIZE];
	struct edge_client *c;

	write_retired_key(key, current->key, attempt);
	HASH_FIND_STR(current->edge->clients, key, c);
	return c;
}

/* --- life --- */

static void set_life(struct edge_client *c, struct timer_queue *queue)
{
	if (c->life_queue)
		timer_queue_stop(c->life_queue, &c->life);
	c->life_queue = queue;
	if (queue)
		timer_queue_start(queue, &c->life);
}

static void set_text(struct slice *to, struct slice text)
{
	char *copy = text.p ? slice_dup(text) : NULL;

	free((char *)to->p);
	*to = copy ? (struct slice){copy, text.len} : absent;
}

static void leave_lists(struct edge_client *c)
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

/* @return 0 or -ENOBUFS */
static int take_memory(struct edge_client *c, const struct edge_head *request)
{
	size_t cost = sizeof(*c) + c->text.len + c->head.len + c->cancel.len;

	bool has = ends_something(edge_head_method(request))
	    ? edge_memory_take_reserve(c->edge, cost)
	    : edge_memory_take(c->edge, cost);

	if (!has)
		return -ENOBUFS;
	c->cost = cost;
	return 0;
}

static void give_memory(struct edge_client *c)
{
	edge_memory_give(c->edge, c->cost);
	c->cost = 0;
}

static void leave_dialog(struct edge_client *c)
{
	if (c->dialog_hh.tbl)
		HASH_DELETE(dialog_hh, c->edge->reinvites, c);
	memset(&c->dialog_hh, 0, sizeof(c->dialog_hh));
}

/* RFC 3261 12: as that one knows it whose tag is in that field. */
static uint64_t hash_dialog(const struct edge *edge, const struct edge_head *request,
    enum edge_field near, enum edge_field far)
{
	return hash_texts(edge->hash,
	    (struct slice[]){edge_head_value(request, EDGE_CALL_ID), edge_head_tag(request, near),
		edge_head_tag(request, far)},
	    3);
}

/* A passed one ends with its own response. */
static void join_dialog(struct edge_client *c, const struct edge_head *request)
{
	if (!c->invite || c->passed || !edge_head_tag(request, EDGE_TO).p)
		return;
	c->dialog = hash_dialog(c->edge, request, EDGE_FROM, EDGE_TO);
	HASH_ADD(dialog_hh, c->edge->reinvites, dialog, sizeof(c->dialog), c);
}

static void forget_texts(struct edge_client *c)
{
	set_text(&c->head, absent);
	set_text(&c->cancel, absent);
	set_text(&c->text, absent);
	free(c->host);
	c->host = NULL;
	edge_retry_forget(c);
}

/* Nobody finds it any more. */
static void leave(struct edge_client *c)
{
	if (c->hh.tbl)
		HASH_DELETE(hh, c->edge->clients, c);
	memset(&c->hh, 0, sizeof(c->hh));
	leave_dialog(c);
	leave_lists(c);
	edge_repeat_stop(c->edge, &c->repeat);
	set_life(c, NULL);
}

void edge_client_drop(struct edge_client *c)
{
	leave(c);
	forget_texts(c);
	if (c->counted)
		--*c->edge->count.transactions;
	give_memory(c);
	free(c);
}

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
	set_life(invite, &edge->client_waiting);
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
static struct edge_client *new_client(struct edge *edge, struct slice branch, struct slice method,
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
	set_life(c, &edge->client_waiting);
	return c;
}

static struct slice branch_of(const struct edge_head *request)
{
	struct edge_via via;

	return edge_head_via(request, &via) < 0 ? absent : via.branch;
}

/* --- failing --- */

/* @return absent: no memory */
static struct slice take_text(struct buffer *w)
{
	char *text;
	size_t len;

	return buffer_take(w, &text, &len) == 0 ? (struct slice){text, len} : absent;
}

/* What is a peer's, and not the stack's, is ours to cancel. */
static void note_request(struct edge_client *c, const struct edge_head *request)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};

	c->passed = edge_is_passed(c->edge, request);
	join_dialog(c, request);
	if (!c->passed || !c->invite)
		return;
	edge_after_write(&w, request, SLICE("CANCEL"), edge_head_value(request, EDGE_TO));
	c->cancel = take_text(&w);
}

static void write_failure(struct buffer *w, struct edge *edge, const struct edge_head *request,
    unsigned code, const char *why)
{
	const struct edge_reply failed = edge_own_reply(edge, request, code, why);

	edge_reply_write(w, request, &failed);
}

/* In the request as it was sent the Via is not the stack's. */
static void tell_datagram_failure(struct edge_client *c, unsigned code, const char *why)
{
	struct edge *edge = c->edge;
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_change change = {.via_transport = SLICE("TCP"),
	    .via_sent_by = slice_of(edge->link.sent_by)};
	struct edge_message m = {.head = {0}};
	struct edge_head request = {0};
	struct edge_via via;
	unsigned attempt;

	if (c->own || edge_head_scan(&request, c->text, &edge_own_bounds) < 0
	    || !edge_reply_possible(&request))
		return;
	write_failure(&w, edge, &request, code, why);
	if (!w.err && edge_head_scan(&m.head, buffer_text(&w), &edge_own_bounds) == 0
	    && edge_head_via(&m.head, &via) == 0) {
		change.via_branch =
		    edge_branch_parse(edge, c->listener->token, via.branch, &attempt);
		if (!edge_respond(edge, change.via_branch, &m, false))
			edge_link_send(&edge->link, &m, &change);
	}
	buffer_fini(&w);
}

static void count_failure(const struct edge_client *c)
{
	if (c->passed && !c->completed && !c->own && *c->key)
		++*c->edge->count.passed_failed;
}

static void fail_datagram(struct edge_client *c, const char *why)
{
	if (edge_retry_unreached(c))
		return;
	count_failure(c);
	leave(c);
	if (*c->key && !c->completed)
		tell_datagram_failure(c, edge_unreached(c->passed), why);
	edge_client_drop(c);
}

/* --- by UDP --- */

/* @return 0 or negative errno */
static int transmit(struct edge_client *c)
{
	return net_udp_send(&c->listener->port, &c->peer, c->text);
}

/* Timers A and E; B and F are the stack's. */
static void on_again(struct edge_repeat *r)
{
	struct edge_client *c =
	    (struct edge_client *)(void *)((char *)r - offsetof(struct edge_client, repeat));
	int err;

	if (timer_now_ms() >= c->started_ms + c->edge->transaction_timeout_ms) {
		edge_retry_too_late(c);
		edge_repeat_stop(c->edge, r);
		return;
	}
	++*c->edge->count.repeats_out;
	err = transmit(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

/* The address is known.  @return 0: an ACK is gone then; or why it cannot go there */
static int begin(struct edge_client *c)
{
	int err = transmit(c);

	if (!*c->key) {
		edge_client_drop(c);
		return 0;
	}
	if (err == 0)
		edge_repeat_start(c->edge, &c->repeat, c->invite ? REPEAT_STEPS - 1 : REPEAT_T2);
	return err;
}

static int take_address(struct edge_client *c, const struct edge_name *name)
{
	if (!edge_name_address(name, c->listener->addr.any.sa_family, &c->peer))
		return -EHOSTUNREACH;
	addr_set_port(&c->peer, c->port);
	return 0;
}

void edge_clients_drop(struct edge_name *name)
{
	while (!TAILQ_EMPTY(&name->waiting))
		edge_client_drop(TAILQ_FIRST(&name->waiting));
}

void edge_client_resolved(struct edge_client *c, const struct edge_name *name)
{
	int err;

	leave_lists(c);
	err = take_address(c, name);
	if (err == 0)
		err = begin(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

/* @return 1 with the address; 0: it will be known later; negative errno */
static int find_address(struct edge_client *c, struct slice host)
{
	struct edge_name *name;
	int err;

	if (addr_parse_host(&c->peer, host) == 0) {
		edge_set_scope(&c->peer, c->listener);
		addr_set_port(&c->peer, c->port);
		return 1;
	}
	name = edge_name_get(c->edge, host);
	if (!name)
		return -ENOMEM;
	if (name->lookup) {
		c->name = name;
		TAILQ_INSERT_TAIL(&name->waiting, c, entry);
		return 0;
	}
	err = take_address(c, name);
	return err < 0 ? err : 1;
}

int edge_client_by_datagram(const struct edge_outgoing *out, const struct edge_head *request,
    unsigned attempt)
{
	struct edge *edge = out->listener->edge;
	struct edge_client *c;
	int err;

	c = new_client(edge, branch_of(request), edge_head_method(request), attempt);
	if (!c)
		return -ENOMEM;
	note_request(c, request);
	c->counted = true;
	++*edge->count.transactions;
	c->listener = out->listener;
	c->port = out->port;
	c->repeat.again = on_again;
	set_text(&c->text, out->text);
	err = c->text.p ? take_memory(c, request) : -ENOMEM;
	if (err == 0)
		err = find_address(c, out->host);
	if (err == 1)
		err = begin(c);
	if (err >= 0)
		return err;
	if (c->own)
		err = 0; /* nobody is to hear of it */
	edge_client_drop(c);
	return err;
}

void edge_client_ack(struct edge_client *invite, struct slice text)
{
	set_text(&invite->text, text);
	net_udp_send(&invite->listener->port, &invite->peer, text);
}

void edge_client_unreachable(struct edge_listener *l, struct slice sent)
{
	struct edge *edge = l->edge;
	struct edge_head head = {0};
	struct edge_client *c;
	struct edge_via via;
	unsigned attempt = 0;

	edge_head_scan(&head, sent, &edge_own_bounds); /* it may be cut anywhere */
	if (!head.request || edge_head_via(&head, &via) < 0)
		return;
	c = edge_client_find(edge, edge_branch_parse(edge, l->token, via.branch, &attempt),
	    edge_head_method(&head));
	if (c && !c->flow && c->listener == l && c->attempt == attempt && !c->completed)
		fail_datagram(c, "unreachable");
}

/* --- on a flow --- */

static void note_instead(struct edge_client *c, const struct edge_outgoing *instead)
{
	c->host = slice_dup(instead->host);
	c->listener = instead->listener;
	c->port = instead->port;
	set_text(&c->text, instead->text);
}

/* @return NULL: no memory */
static struct edge_client *note(struct sip_flow *f, const struct edge_head *request,
    struct slice branch, unsigned attempt)
{
	struct edge_client *c = new_client(f->edge, branch, edge_head_method(request), attempt);

	if (!c)
		return NULL;
	c->flow = f;
	TAILQ_INSERT_TAIL(&f->clients, c, entry);
	return c;
}

int edge_client_by_flow(struct sip_flow *f, const struct edge_head *request, unsigned attempt,
    const struct edge_outgoing *instead)
{
	bool answerable = edge_reply_possible(request);
	struct edge_client *c;

	if (f->was_open)
		instead = NULL;
	if (!answerable && !instead) /* an ACK: nobody waits for its answer */
		return 0;
	c = note(f, request, branch_of(request), attempt);
	if (!c)
		return 0;
	note_request(c, request);
	if (answerable && !c->own)
		set_text(&c->head, (struct slice){request->p, request->len});
	if (instead)
		note_instead(c, instead);
	if (!c->passed || take_memory(c, request) == 0)
		return 0;
	edge_client_drop(c);
	return -ENOBUFS;
}

static void tell_flow_failure(const struct edge_client *c, unsigned code, const char *why)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_head request = {0};

	if (edge_head_scan(&request, c->head, &edge_own_bounds) < 0)
		return; /* nobody waits, or there was no memory for it */
	write_failure(&w, c->edge, &request, code, why);
	if (!w.err)
		edge_give_back(c->edge, buffer_text(&w));
	buffer_fini(&w);
}

/* @return NULL: it is gone, as who is told may close, and it went to him */
static struct edge_client *answer_instead(struct edge_client *c, unsigned code, const char *why)
{
	struct edge *edge = c->edge;
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "%s", c->key);
	if (c->flow)
		tell_flow_failure(c, code, why);
	else
		tell_datagram_failure(c, code, why);
	HASH_FIND_STR(edge->clients, key, c);
	return c;
}

/* RFC 3261 18.1.1: whoever has no TCP gets it by UDP all the same. */
static void send_instead(struct edge_client *c)
{
	int err;

	c->repeat.again = on_again;
	c->started_ms = timer_now_ms();
	err = find_address(c, slice_of(c->host));
	if (err == 1)
		err = begin(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

void edge_clients_fail(struct sip_flow *f)
{
	struct edge_client *c;

	while ((c = TAILQ_FIRST(&f->clients))) {
		leave_lists(c);
		if (!f->was_open && edge_retry_unreached(c))
			continue;
		if (!f->was_open && c->host && c->text.p) {
			send_instead(c);
			continue;
		}
		count_failure(c);
		leave(c);
		tell_flow_failure(c, edge_unreached(c->passed), "connection lost");
		edge_client_drop(c);
	}
}

/* --- responses --- */

/* RFC 3261 17.1.1.2: an INVITE may ring as long as the stack likes; 16.7: or a proxy. */
static void take_provisional(struct edge_client *c, unsigned code)
{
	c->answered = true;
	if (code > 100)
		edge_retry_forget(c); /* it is there that it rings */
	if (!c->invite) {
		edge_repeat_slow_down(c->edge, &c->repeat);
		return;
	}
	edge_repeat_stop(c->edge, &c->repeat);
	if (!c->cancelled && (code > 100 || c->life_queue != &c->edge->client_ringing))
		set_life(c, c->passed ? &c->edge->client_ringing : NULL);
}

/* A response to it may come again, and the ACK of an INVITE has to find its way. */
static void complete(struct edge_client *c, struct timer_queue *life)
{
	c->completed = true;
	leave_dialog(c);
	edge_repeat_stop(c->edge, &c->repeat);
	forget_texts(c);
	set_life(c, life);
}

void edge_client_end(struct edge_client *c, unsigned code)
{
	struct edge *edge = c->edge;

	if (c->invite && code >= 300)
		complete(c, c->flow ? &edge->client_waiting : &edge->client_completed);
	else if (!c->invite && !c->flow)
		complete(c, &edge->client_absorbing);
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
	HASH_DELETE(hh, c->edge->clients, c);
	write_retired_key(key, c->key, c->attempt);
	memcpy(c->key, key, strlen(key) + 1);
	memset(&c->hh, 0, sizeof(c->hh));
	HASH_ADD_STR(c->edge->clients, key, c);
	if (!c->hh.tbl)
		edge_client_drop(c);
}

/* Who has called has heard of a failure of ours before: the ACK is ours, too. */
static void acknowledge_late(struct edge_client *c, const struct edge_head *response)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_head cancel = {0};

	if (edge_head_scan(&cancel, c->cancel, &edge_own_bounds) < 0)
		return; /* there was no memory for it */
	edge_after_write(&w, &cancel, SLICE("ACK"), edge_head_value(response, EDGE_TO));
	if (!w.err)
		edge_send_ack(c, buffer_text(&w));
	buffer_fini(&w);
}

/* @return is it for the stack? */
static bool take_again(struct edge_client *c, const struct edge_head *response)
{
	bool refused = c->invite && response->code >= 300;
	bool accepted = c->invite && response->code >= 200 && !refused;

	if (c->hung_up ? c->passed && accepted : c->flow || accepted) /* another branch of a fork */
		return true;
	++*c->edge->count.repeats_in;
	if (refused && c->text.p) {
		++*c->edge->count.repeats_out;
		transmit(c);
	} else if (refused) {
		acknowledge_late(c, response);
	}
	return false;
}

bool edge_client_answered(struct edge *edge, struct slice branch, unsigned attempt,
    const struct edge_head *response)
{
	struct edge_client *c;
	struct slice method;
	uint32_t number;
	bool own;

	if (edge_head_cseq(response, &number, &method) < 0)
		return true;
	c = edge_client_find(edge, branch, method);
	if (!c)
		return true;
	if (c->attempt != attempt && !(c = find_retired(c, attempt)))
		return false;
	if (c->completed)
		return take_again(c, response);
	if (response->code == 503 && edge_retry_refused(c, branch, response))
		return false;
	own = c->own;
	if (response->code >= 200)
		edge_client_end(c, response->code);
	else
		take_provisional(c, response->code);
	return !own;
}

/* --- a BYE that crosses --- */

/* By UDP the response that comes gets its ACK: within a dialog To is known before (17.1.1.3). */
static struct slice make_ack(const struct edge_client *c)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_head request = {0};

	if (c->flow || edge_head_scan(&request, c->text, &edge_own_bounds) < 0)
		return absent;
	edge_after_write(&w, &request, SLICE("ACK"), edge_head_value(&request, EDGE_TO));
	return take_text(&w);
}

/* Wherever it comes from: the re-INVITE may have gone by way of another node. */
void edge_client_hung_up(struct edge *edge, const struct edge_head *bye)
{
	struct edge_client *c = NULL;
	uint64_t dialog = hash_dialog(edge, bye, EDGE_TO, EDGE_FROM);
	struct slice ack;

	HASH_FIND(dialog_hh, edge->reinvites, &dialog, sizeof(dialog), c);
	if (!c)
		return;
	c = answer_instead(c, 487, "hung up");
	if (!c)
		return;
	ack = make_ack(c);
	complete(c, &edge->client_waiting);
	c->text = ack;
	c->hung_up = true;
}

/* --- all of them --- */

/* Timer C: RFC 3261 16.8. */
static void stop_ringing(struct edge_client *c)
{
	struct slice cancel = {slice_dup(c->cancel), c->cancel.len}; /* which sending may forget */

	c->gives_up = true;
	set_life(c, &c->edge->client_waiting);
	if (cancel.p)
		edge_send_again(c->edge, cancel, 0);
	free((char *)cancel.p);
}

/* Who has called hears no other failure after this one, but still that it was accepted (16.7). */
static void time_out(struct edge_client *c)
{
	struct slice cancel;

	c = answer_instead(c, 408, "no answer");
	if (!c)
		return;
	cancel = c->cancel;
	c->cancel = absent;
	complete(c, &c->edge->client_completed);
	c->cancel = cancel;
	c->hung_up = true;
}

static void on_over(struct timer_entry *entry, void *arg)
{
	struct edge_client *c =
	    (struct edge_client *)(void *)((char *)entry - offsetof(struct edge_client, life));

	(void)arg;
	if (c->life_queue == &c->edge->client_ringing) {
		stop_ringing(c);
		return;
	}
	count_failure(c);
	/* Of its own the stack finds that out. */
	if (c->passed && c->invite && !c->completed)
		time_out(c);
	else
		edge_client_drop(c);
}

int edge_clients_init(struct edge *edge, struct event_base *base)
{
	uint64_t timeout_ms = edge->transaction_timeout_ms;
	int err = 0;

	err |= timer_queue_init(&edge->client_waiting, base, timeout_ms + GIVEN_UP_LATER_MS,
	    on_over, NULL);
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
	timer_queue_fini(&edge->client_ringing);
	timer_queue_fini(&edge->client_completed);
	timer_queue_fini(&edge->client_absorbing);
}
