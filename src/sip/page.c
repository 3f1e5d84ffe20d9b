#include "sip/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>

#include <msrpd/flow.h>
#include <msrpd/sip_uri.h>

#include "sip/priv.h"

enum {
	/* What a MESSAGE has beside what is known beforehand: Via, tags, Call-ID, Allow and the
	   like. */
	OVERHEAD = 450,
	UDP_SIZE_MAX = 65000,
};

struct content {
	char *type, *headers; /* NULL: none */
	char *body;
	size_t body_len;
};

/* What is to be known of it until its way is. */
struct page_waiter {
	struct sip_flow *caller; /* NULL: none */
	size_t size;
	enum page_large large;
};

/* One MESSAGE under way. */
struct sending {
	struct sip_owner owner; /* the handle's magic */
	struct page_waiter waiter;
	struct sip_turn turn;
	LIST_ENTRY(sending) next;
	struct page *page;
	struct sip_agent *agent;
	nua_handle_t *nh; /* NULL: it waits for its turn */
	struct sip_call call;
	struct content content;
	struct sip_auth *auth;
	bool large;           /* TCP or TLS alone will do */
	bool over_udp;        /* large, but to go over UDP */
	bool again;           /* the flow at another node was closed, and another way is tried */
	int failure;          /* 413, or 503 */
	struct timer failing; /* it could not even be sent */
	void (*done)(const struct page_result *result, void *arg);
	void *arg;
};

struct page {
	struct sip_stack *stack;
	LIST_HEAD(, sending) sendings; /* the newest first */
	page_finder *find;             /* NULL: nobody can */
	void *find_arg;
};

int page_new(struct page **pagep, struct sip_stack *stack)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		return -ENOMEM;
	page->stack = stack;
	LIST_INIT(&page->sendings);
	*pagep = page;
	return 0;
}

void page_set_finder(struct page *page, page_finder *find, void *arg)
{
	page->find = find;
	page->find_arg = arg;
}

static void release_handle(struct sending *s)
{
	if (!s->nh)
		return;
	nua_handle_bind(s->nh, NULL);
	nua_handle_destroy(s->nh);
	s->nh = NULL;
	sip_stack_kick(s->page->stack);
}

static void sending_free(struct sending *s)
{
	struct sip_stack *stack = s->page->stack;

	LIST_REMOVE(s, next);
	timer_fini(&s->failing);
	sip_turn_give(&s->turn);
	release_handle(s);
	sip_flow_unref(s->waiter.caller);
	sip_call_clear(&s->call);
	sip_auth_free(s->auth);
	free(s->content.type);
	free(s->content.headers);
	free(s->content.body);
	free(s);
	sip_stack_end(stack);
}

void page_free(struct page *page)
{
	struct sending *s;

	if (!page)
		return;
	/* Newest first: those that wait for a turn go before those that would pass theirs on. */
	while ((s = LIST_FIRST(&page->sendings)))
		sending_free(s);
	free(page);
}

/* --- the answer --- */

static void finish(struct sending *s, const struct page_result *result)
{
	void (*done)(const struct page_result *, void *) = s->done;
	void *arg = s->arg;

	sending_free(s); /* first: done may free the page */
	if (done)
		done(result, arg);
}

static struct page_result too_large(void)
{
	return (struct page_result){413, SLICE("Too Large For UDP"), false};
}

static struct page_result unavailable(void)
{
	return (struct page_result){503, SLICE("Service Unavailable"), false};
}

static void on_failing(void *arg)
{
	struct sending *s = arg;
	struct page_result result = s->failure == -EMSGSIZE ? too_large() : unavailable();

	finish(s, &result);
}

/* Later, as nobody is to be called from inside the call that finds it out. */
static void fail(struct sending *s, int err)
{
	s->failure = err;
	timer_start(&s->failing, 0);
}

static struct page_result result_of(const struct sending *s, const struct sip_event *ev)
{
	struct page_result r = {ev->status, slice_of(ev->phrase), ev->from_peer};

	if (s->large && !ev->from_peer && ev->status == 503) /* no connection */
		r = too_large();
	else if (ev->status >= 700) /* Sofia could not even send it */
		r = unavailable();
	else if (r.reason.len == 0)
		r.reason = slice_of(sip_status_phrase(ev->status));
	return r;
}

static int place(struct sending *s);
static int look_again(struct sending *s);

static void on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sending *s = (struct sending *)owner;
	struct sip_stack *stack = s->page->stack;
	struct page_result result;

	if (ev->event != nua_r_message)
		return;
	sip_stack_count_reply(stack, ev);
	if (ev->status < 200)
		return;
	if (ev->status == 430 && s->call.by_node
	    && !s->again) { /* RFC 5626 11: it never got there */
		s->again = true;
		sip_turn_give(&s->turn);
		release_handle(s);
		if (look_again(s) < 0)
			fail(s, -ENETUNREACH);
		return;
	}
	while (ev->status >= 300 && sip_call_again(&s->call, &s->auth, stack, ev)) {
		sip_turn_give(&s->turn);
		release_handle(s);
		if (place(s) == 0)
			return;
	}
	result = result_of(s, ev);
	finish(s, &result);
}

/* --- the request --- */

static void on_turn(struct sip_turn *turn)
{
	struct sending *s = (struct sending *)((char *)turn - offsetof(struct sending, turn));
	struct sip_stack *stack = s->page->stack;
	const struct content *c = &s->content;
	char *credentials = sip_auth_lines(s->auth, stack, "MESSAGE", s->call.ruri), cseq[32];
	char forwards[16];
	sip_payload_t body[1];

	s->nh = sip_call_handle(&s->call, s->agent, &s->owner);
	if (!s->nh) {
		free(credentials);
		fail(s, -ENOMEM);
		return;
	}
	snprintf(cseq, sizeof(cseq), "%u MESSAGE", s->call.cseq);
	snprintf(forwards, sizeof(forwards), "%u", s->call.hops - 1);
	sip_payload_init(body); /* as octets: it may hold a NUL */
	body->pl_data = c->body;
	body->pl_len = (usize_t)c->body_len;
	nua_message(s->nh, SIPTAG_CSEQ_STR(cseq),
	    TAG_IF(s->call.hops, SIPTAG_MAX_FORWARDS_STR(forwards)),
	    TAG_IF(c->type, SIPTAG_CONTENT_TYPE_STR(c->type)),
	    TAG_IF(c->headers, SIPTAG_HEADER_STR(c->headers)),
	    TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)),
	    TAG_IF(c->body, SIPTAG_PAYLOAD(body)), TAG_END());
	free(credentials);
	++*stack->stats.messages_out;
	sip_stack_kick(stack);
}

/* To the call's URI.  @return 0, -ENETUNREACH, -EMSGSIZE, -ENOBUFS, -ENOMEM, -EINVAL */
static int place(struct sending *s)
{
	struct sip_stack *stack = s->page->stack;
	int err;

	s->agent = sip_call_agent(&s->call, stack, s->large);
	if (!s->agent)
		return s->large && sip_call_agent(&s->call, stack, false) ? -EMSGSIZE
									  : -ENETUNREACH;
	err = sip_turn_take(&s->turn, stack, &s->call, on_turn);
	if (err == 1)
		on_turn(&s->turn);
	return err < 0 ? err : 0;
}

static int content_take(struct content *c, const struct page_message *m)
{
	if (m->headers.p && !(c->headers = sip_header_lines(m->headers)))
		return -EINVAL;
	c->type = slice_dup(m->content_type);
	c->body = slice_dup(m->body);
	c->body_len = m->body.len;
	return (m->content_type.p && !c->type) || (m->body.p && !c->body) ? -ENOMEM : 0;
}

static size_t size_of(const struct sip_stack *stack, const struct page_message *m)
{
	return OVERHEAD + 2 * m->ruri.len + m->from_uri.len + m->to_uri.len + m->content_type.len
	    + m->headers.len + m->body.len + (stack->route ? strlen(stack->route) : 0);
}

/* A URI with a port of its own is somebody's address, and not that of who is registered here. */
static bool names_another(const struct sending *s)
{
	struct sip_hop hop;

	return sip_uri_hop(s->call.ruri, &hop) < 0
	    || (hop.port[0] && !sip_stack_is_here(s->page->stack, s->call.ruri, NULL));
}

/* A connection alone leads to a browser, whatever his URI says. */
static bool answers_over(const struct sending *s, const struct sip_flow *caller)
{
	return caller && sip_flow_is_alive(caller)
	    && (!edge_flow_transport(caller)->can_dial || !names_another(s));
}

static int choose_transport(struct sending *s)
{
	bool by_datagram = s->call.flow && sip_flow_is_by_udp(s->call.flow);
	bool over_stream = (s->call.flow && !by_datagram) || s->call.by_node;
	size_t size = s->waiter.size;
	enum page_large large = s->waiter.large;

	if (by_datagram && size > SIP_UDP_MAX && large != PAGE_LARGE_UDP)
		return -EMSGSIZE; /* there is no other way */
	s->over_udp = size > SIP_UDP_MAX && large == PAGE_LARGE_UDP && !over_stream;
	s->large = size > SIP_UDP_MAX && !s->over_udp && !over_stream;
	s->call.one_datagram = s->over_udp;
	return size > (s->over_udp ? UDP_SIZE_MAX : SIP_MESSAGE_MAX)
		|| (s->large && large == PAGE_LARGE_REFUSE)
	    ? -EMSGSIZE
	    : 0;
}

/* It is known where he is, or that nobody is there.  @return 0 or negative errno */
static int leave(struct sending *s, const struct sip_place *where)
{
	int err = 0;

	if (where) {
		err = sip_call_lead(&s->call, where);
	} else if (!s->call.flow && !s->call.node && answers_over(s, s->waiter.caller)) {
		s->call.flow = sip_flow_ref(s->waiter.caller);
	}
	if (!err)
		err = choose_transport(s);
	return err ? err : place(s);
}

void page_found(struct page_waiter *waiter, const struct sip_place *where)
{
	struct sending *s =
	    (struct sending *)(void *)((char *)waiter - offsetof(struct sending, waiter));
	int err = leave(s, where);

	if (err)
		fail(s, err);
}

/* @return 0 or negative errno */
static int find(struct sending *s, struct slice uri)
{
	const struct page *page = s->page;
	struct sip_place where;
	int found = page->find ? page->find(&where, uri, &s->waiter, page->find_arg) : 0;

	return found == -EINPROGRESS ? 0 : leave(s, found > 0 ? &where : NULL);
}

static int find_way(struct sending *s)
{
	bool lost = s->call.flow && !sip_flow_is_alive(s->call.flow);

	if (s->call.node || (s->call.flow && !lost) || (!lost && names_another(s)))
		return leave(s, NULL);
	return find(s, lost ? sip_address_uri(slice_of(s->call.to)) : slice_of(s->call.ruri));
}

static int look_again(struct sending *s)
{
	sip_call_leave_node(&s->call);
	return find(s, sip_address_uri(slice_of(s->call.to)));
}

static int start(struct sending *s, const struct page_message *m)
{
	struct sip_stack *stack = s->page->stack;
	const struct sip_way way = {.flow = m->flow};
	int err = sip_call_init(&s->call, stack, m->ruri, m->from_uri, m->to_uri, &way);

	s->call.hops = m->hops;
	if (!err)
		err = content_take(&s->content, m);
	if (!err)
		err = timer_init(&s->failing, stack->base, on_failing, s);
	if (err)
		return err;
	s->waiter = (struct page_waiter){
	    .caller = m->caller ? sip_flow_ref(m->caller) : NULL,
	    .size = size_of(stack, m),
	    .large = m->large,
	};
	return find_way(s);
}

int page_check(struct page *page, const struct page_message *m)
{
	struct sip_call call;
	const struct sip_way way = {.flow = m->flow};
	int err = sip_call_init(&call, page->stack, m->ruri, m->from_uri, m->to_uri, &way);

	if (!err)
		sip_call_clear(&call);
	return err;
}

int page_send(struct page *page, const struct page_message *message,
    void (*done)(const struct page_result *result, void *arg), void *arg)
{
	struct sending *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->owner.event = on_event;
	s->page = page;
	s->done = done;
	s->arg = arg;
	LIST_INSERT_HEAD(&page->sendings, s, next);
	sip_stack_begin(page->stack);
	err = start(s, message);
	if (err)
		sending_free(s);
	return err;
}
