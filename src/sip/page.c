#include "sip/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>

#include "sip/priv.h"

enum {
	/* What a MESSAGE has beside what is known beforehand: Via, tags, Call-ID, Allow and the like. */
	OVERHEAD = 450,
};

/* What a MESSAGE is made of, until it leaves. */
struct content {
	char	*ruri, *from, *to;	/* from and to in <> */
	char	*type, *headers;	/* NULL: none */
	char	*body;
	size_t	body_len;
};

/* One MESSAGE under way. */
struct sending {
	struct sip_owner	owner;		/* the handle's magic */
	struct sip_turn		turn;
	LIST_ENTRY(sending)	next;
	struct page		*page;
	struct sip_agent	*agent;
	nua_handle_t		*nh;		/* NULL: it waits for its turn */
	struct content		content;
	struct sip_auth		auth;
	int			challenge;	/* 401 or 407 that is being answered */
	struct timer		failing;	/* it could not even be sent */
	void			(*done)(const struct page_result *result, void *arg);
	void			*arg;
};

struct page {
	struct sip_stack		*stack;
	LIST_HEAD(, sending)		sendings;	/* the newest first */
	bool				refuse_large;
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

void page_refuse_large(struct page *page, bool refuse)
{
	page->refuse_large = refuse;
}

static void content_clear(struct content *c)
{
	char **texts[] = {&c->ruri, &c->from, &c->to, &c->type, &c->headers, &c->body};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
}

static void sending_free(struct sending *s)
{
	struct sip_stack *stack = s->page->stack;

	LIST_REMOVE(s, next);
	timer_fini(&s->failing);
	sip_turn_give(&s->turn);
	if (s->nh) {
		nua_handle_bind(s->nh, NULL);
		nua_handle_destroy(s->nh);
		sip_stack_kick(stack);
	}
	content_clear(&s->content);
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

	sending_free(s);	/* first: done may free the page */
	if (done)
		done(result, arg);
}

static void on_failing(void *arg)
{
	finish(arg, &(struct page_result){503, SLICE("Service Unavailable"), false});
}

static struct page_result result_of(const struct sending *s, const struct sip_event *ev)
{
	struct page_result r = {ev->status, slice_of(ev->phrase), ev->from_peer};

	if (s->challenge && (ev->event == nua_r_authenticate || ev->status >= 700))
		r = (struct page_result){s->challenge, slice_of(sip_status_phrase(s->challenge)), true};
	else if (ev->status >= 700)	/* Sofia could not even send it */
		r = (struct page_result){503, SLICE("Service Unavailable"), false};
	else if (r.reason.len == 0)
		r.reason = slice_of(sip_status_phrase(ev->status));
	return r;
}

static void on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sending *s = (struct sending *)owner;
	struct page_result result;

	if (ev->event != nua_r_message && ev->event != nua_r_authenticate)
		return;
	if (ev->event == nua_r_message)
		sip_stack_count_reply(s->page->stack, ev);
	if (ev->status < 200)
		return;
	if (ev->status == 401 || ev->status == 407) {
		s->challenge = ev->status;
		if (sip_auth_answer(&s->auth, s->page->stack, ev) == 0)
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
	sip_payload_t body[1];

	s->nh = nua_handle(s->agent->nua, (nua_hmagic_t *)&s->owner, NUTAG_URL(c->ruri),
	    SIPTAG_FROM_STR(c->from), SIPTAG_TO_STR(c->to),
	    TAG_IF(stack->route, NUTAG_INITIAL_ROUTE_STR(stack->route)), TAG_END());
	if (!s->nh) {
		timer_start(&s->failing, 0);
		return;
	}
	sip_payload_init(body);		/* as octets: it may hold a NUL */
	body->pl_data = c->body;
	body->pl_len = (usize_t)c->body_len;
	nua_message(s->nh, TAG_IF(c->type, SIPTAG_CONTENT_TYPE_STR(c->type)),
	    TAG_IF(c->headers, SIPTAG_HEADER_STR(c->headers)), TAG_IF(c->body, SIPTAG_PAYLOAD(body)), TAG_END());
	++*stack->stats.messages_out;
	content_clear(&s->content);
	sip_stack_kick(stack);
}

static int content_take(struct content *c, const struct page_message *m)
{
	struct sip_hop hop;

	c->ruri = sip_uri_clean(m->ruri);
	c->from = sip_uri_in_angles(m->from_uri);
	c->to = sip_uri_in_angles(m->to_uri);
	if (!c->ruri || !c->from || !c->to || sip_uri_hop(c->ruri, &hop) < 0)
		return -EINVAL;
	if (m->headers.p && !(c->headers = sip_header_lines(m->headers)))
		return -EINVAL;
	c->type = slice_dup(m->content_type);
	c->body = slice_dup(m->body);
	c->body_len = m->body.len;
	return (m->content_type.p && !c->type) || (m->body.p && !c->body) ? -ENOMEM : 0;
}

static int choose_agent(struct sending *s, const struct page_message *m)
{
	struct sip_stack *stack = s->page->stack;
	size_t size = OVERHEAD + 2 * m->ruri.len + m->from_uri.len + m->to_uri.len + m->content_type.len
	    + m->headers.len + m->body.len + (stack->route ? strlen(stack->route) : 0);
	bool large = size > SIP_UDP_MAX;

	if (size > SIP_MESSAGE_MAX || (large && s->page->refuse_large))
		return -EMSGSIZE;
	s->agent = sip_stack_route(stack, s->content.ruri, large);
	if (s->agent)
		return 0;
	return large && sip_stack_route(stack, s->content.ruri, false) ? -EMSGSIZE : -ENETUNREACH;
}

static int start(struct sending *s, const struct page_message *m)
{
	struct sip_stack *stack = s->page->stack;
	int err = content_take(&s->content, m);

	if (!err)
		err = choose_agent(s, m);
	if (!err)
		err = timer_init(&s->failing, stack->base, on_failing, s);
	if (!err)
		err = sip_turn_take(&s->turn, stack, s->content.ruri, on_turn);
	if (err == 1)
		on_turn(&s->turn);
	return err < 0 ? err : 0;
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
