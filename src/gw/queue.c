/* MSRP to MESSAGE: one at a time to each Request-URI, in order (RFC 3428 section 8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>
#include <msrpd/flow.h>
#include <msrpd/stats.h>

#include "gw/priv.h"

/* A message on its way out. */
struct gw_page {
	TAILQ_ENTRY(gw_page) next;   /* of its queue */
	LIST_ENTRY(gw_page) sibling; /* of its binding */
	struct gw_queue *queue;
	struct gw_binding *binding;  /* NULL: the session is gone */
	struct page_message message; /* all texts stand behind the struct */
	struct slice message_id;
	struct gw_imdn_request imdn;
	size_t size; /* with them; so much of the budget is taken */
	uint64_t came_ms;
	struct sip_request *request; /* the MESSAGE in the dialog that it came by; NULL: answered */
	struct timer_entry timeout;  /* of that */
};

/* Those for one Request-URI; the first is under way. */
struct gw_queue {
	UT_hash_handle hh;
	struct gw *gw;
	TAILQ_HEAD(, gw_page) pages;
	size_t count, bytes;
	char ruri[];
};

/* --- lines --- */

static struct gw_queue *queue_get(struct gw *gw, struct slice ruri)
{
	struct gw_queue *queue;

	HASH_FIND(hh, gw->queues, ruri.p, ruri.len, queue);
	if (queue)
		return queue;
	queue = calloc(1, sizeof(*queue) + ruri.len + 1);
	if (!queue)
		return NULL;
	queue->gw = gw;
	TAILQ_INIT(&queue->pages);
	memcpy(queue->ruri, ruri.p, ruri.len);
	HASH_ADD_KEYPTR(hh, gw->queues, queue->ruri, ruri.len, queue);
	if (!queue->hh.tbl) {
		free(queue);
		return NULL;
	}
	return queue;
}

static void queue_put(struct gw_queue *queue)
{
	if (!TAILQ_EMPTY(&queue->pages))
		return;
	HASH_DEL(queue->gw->queues, queue);
	free(queue);
}

/* --- pages --- */

static int allocate(struct gw_page **pagep, struct gw *gw, size_t room)
{
	size_t size = sizeof(**pagep) + room + 1;

	if (budget_take_within(gw->env.budget, size, GW_TENTHS) < 0) {
		++*gw->count.refused_full;
		return -ENOBUFS;
	}
	*pagep = calloc(1, size);
	if (!*pagep) {
		budget_return(gw->env.budget, size);
		return -ENOMEM;
	}
	(*pagep)->size = size;
	return 0;
}

/* @return 0, -ENOBUFS or -ENOMEM */
static int page_new(struct gw_page **pagep, const struct gw_binding *b, const struct message *m,
    const struct gw_content *c, const struct gw_imdn_request *imdn)
{
	const struct gw_names *names = b->names;
	struct slice headers = slice_of(c->headers);
	struct slice lines = {NULL, headers.len + names->headers.len};
	size_t room = names->from.len + names->to.len + names->ruri.len + c->type.len + c->body.len
	    + lines.len + m->message_id.len + imdn->message_id.len + imdn->datetime.len
	    + imdn->from.len + imdn->to.len;
	struct gw_page *page;
	char *p;
	int err = allocate(&page, b->gw, room);

	if (err < 0)
		return err;
	p = (char *)(page + 1);
	page->message = (struct page_message){
	    .flow = names->flow ? sip_flow_ref(names->flow) : NULL,
	    .caller = names->caller ? sip_flow_ref(names->caller) : NULL,
	    .ruri = slice_pack(&p, names->ruri),
	    .from_uri = slice_pack(&p, names->from),
	    .to_uri = slice_pack(&p, names->to),
	    .content_type = slice_pack(&p, c->type),
	    .body = slice_pack(&p, c->body),
	    .large = (enum page_large)b->gw->settings->large_messages,
	};
	lines.p = p;
	slice_pack(&p, headers);
	slice_pack(&p, names->headers);
	if (lines.len)
		page->message.headers = lines;
	page->message_id = slice_pack(&p, m->message_id);
	page->imdn.wants = imdn->wants;
	page->imdn.message_id = slice_pack(&p, imdn->message_id);
	page->imdn.datetime = slice_pack(&p, imdn->datetime);
	page->imdn.from = slice_pack(&p, imdn->from);
	page->imdn.to = slice_pack(&p, imdn->to);
	*pagep = page;
	return 0;
}

static void page_free(struct gw_page *page)
{
	timer_queue_stop(&page->queue->gw->in_dialog_timeout, &page->timeout);
	if (page->request)
		sip_request_unref(page->request);
	sip_flow_unref(page->message.flow);
	sip_flow_unref(page->message.caller);
	budget_return(page->queue->gw->env.budget, page->size);
	free(page);
}

/* The MESSAGE in the dialog that it came by hears of it, once. */
static void reply(struct gw_page *page, int result)
{
	struct sip_request *request = page->request;

	if (!request)
		return;
	timer_queue_stop(&page->queue->gw->in_dialog_timeout, &page->timeout);
	page->request = NULL;
	ua_reply(request, result);
	sip_request_unref(request);
}

/* SIP gives up waiting, but the page goes on: accepted is all that can be said. */
void gw_page_on_timeout(struct timer_entry *entry, void *arg)
{
	(void)arg;
	reply((struct gw_page *)((char *)entry - offsetof(struct gw_page, timeout)),
	    UA_REPORT_LATER);
}

static void page_enter(struct gw_page *page, struct gw_queue *queue, struct gw_binding *b)
{
	page->queue = queue;
	TAILQ_INSERT_TAIL(&queue->pages, page, next);
	queue->count++;
	queue->bytes += page->message.body.len;
	page->binding = b;
	page->came_ms = timer_now_ms();
	LIST_INSERT_HEAD(&b->pages, page, sibling);
	b->page_count++;
}

static void page_leave(struct gw_page *page)
{
	struct gw_queue *queue = page->queue;

	TAILQ_REMOVE(&queue->pages, page, next);
	queue->count--;
	queue->bytes -= page->message.body.len;
	if (page->binding) {
		LIST_REMOVE(page, sibling);
		page->binding->page_count--;
	}
}

void gw_page_orphan_all(struct gw_binding *b)
{
	struct gw_page *page;

	while ((page = LIST_FIRST(&b->pages))) {
		LIST_REMOVE(page, sibling);
		page->binding = NULL;
	}
	b->page_count = 0;
}

void gw_queue_free_all(struct gw *gw)
{
	struct gw_queue *queue, *next;
	struct gw_page *page;

	HASH_ITER(hh, gw->queues, queue, next)
	{
		while ((page = TAILQ_FIRST(&queue->pages))) {
			page_leave(page);
			page_free(page);
		}
		queue_put(queue);
	}
}

/* --- what became of it --- */

static void notify_sender(struct ua_session *s, const struct gw_imdn_request *imdn, bool delivered)
{
	struct gw_content content;
	struct message_out out;

	if (gw_content_imdn(&content, imdn, delivered) < 0)
		return;
	out = (struct message_out){
	    .content_type = content.type,
	    .body = {.bytes = content.body},
	    .failure_report = FAILURE_REPORT_NO,
	};
	ua_send(s, &out, 0, NULL);
	gw_content_fini(&content);
}

/* The MSRP sender hears of it as it has asked: by REPORT, by IMDN. */
static void tell(struct gw_page *page, int status, struct slice phrase)
{
	const struct gw_binding *b = page->binding;
	struct ua_session *s = b ? b->session : NULL;
	struct gw_counters *count = &page->queue->gw->count;

	++*(status == 200 ? count->to_sip : count->to_sip_failed);
	if (status == 200)
		stats_took(count->delivery_to_sip, timer_now_ms() - page->came_ms);
	reply(page, status == 200 ? 0 : status);
	if (!s)
		return;
	if (page->message_id.len > 0)
		ua_send_report(s, page->message_id,
		    &(struct report_out){.code = status, .phrase = phrase});
	if (page->imdn.wants)
		notify_sender(s, &page->imdn, status == 200);
}

static int status_of_error(int err)
{
	switch (err) {
	case -EMSGSIZE:
		return 413;
	case -EINVAL:
	case -EDESTADDRREQ:
		return 400;
	default:
		return 408; /* not now, perhaps another time */
	}
}

static void on_done(const struct page_result *result, void *arg);

/* The first of the queue leaves.  @return 0 or negative errno */
static int send_first(struct gw_queue *queue)
{
	struct gw_page *page = TAILQ_FIRST(&queue->pages);

	return page_send(queue->gw->env.page, &page->message, on_done, page);
}

static void go_on(struct gw_queue *queue)
{
	struct gw_page *page;

	while ((page = TAILQ_FIRST(&queue->pages))) {
		int err = send_first(queue);

		if (err == 0)
			return;
		tell(page, status_of_error(err), SLICE("Not sent"));
		page_leave(page);
		page_free(page);
	}
	queue_put(queue);
}

static void on_done(const struct page_result *result, void *arg)
{
	struct gw_page *page = arg;
	struct gw_queue *queue = page->queue;
	char phrase[GW_PHRASE_SIZE];

	tell(page, gw_msrp_status(result), gw_report_phrase(phrase, result));
	page_leave(page);
	page_free(page);
	go_on(queue);
}

/* --- from the session --- */

static bool is_full(const struct gw_queue *queue, size_t bytes)
{
	const struct gw_settings *settings = queue->gw->settings;

	/* One is under way, the others wait. */
	return queue->count > settings->max_queued
	    || (queue->count > 0
		&& (queue->bytes > settings->max_queued_bytes
		    || bytes > settings->max_queued_bytes - queue->bytes));
}

/* What its sender hears waits for what becomes of it. */
static int wait_for_fate(struct gw_page *page, struct sip_request *request)
{
	if (!request)
		return UA_REPORT_LATER;
	page->request = sip_request_ref(request);
	timer_queue_start(&page->queue->gw->in_dialog_timeout, &page->timeout);
	return UA_REPLY_LATER;
}

static int add(struct gw_binding *b, const struct message *m, const struct gw_content *c,
    const struct gw_imdn_request *imdn)
{
	struct gw_queue *queue = queue_get(b->gw, b->names->ruri);
	struct gw_page *page;
	int err;

	if (!queue)
		return 408;
	if (is_full(queue, c->body.len)) {
		++*b->gw->count.refused_full;
		return 413;
	}
	err = page_new(&page, b, m, c, imdn);
	if (err < 0) {
		queue_put(queue);
		return err == -ENOBUFS ? 413 : 408;
	}
	page_enter(page, queue, b);
	err = queue->count > 1 ? 0 : send_first(queue);
	if (err == 0)
		return wait_for_fate(page, m->request);
	++*b->gw->count.to_sip_failed;
	page_leave(page);
	page_free(page);
	queue_put(queue);
	return status_of_error(err);
}

static int take(struct gw_binding *b, const struct message *m)
{
	struct gw_content content;
	struct gw_imdn_request imdn;
	int err = gw_content_for_page(&content, &imdn, b, m);

	if (err < 0)
		return err == -EBADMSG ? 400 : 408;
	err = add(b, m, &content, &imdn);
	gw_content_fini(&content);
	return err;
}

int gw_page_take(struct gw_binding *b, const struct message *m)
{
	if (!m->content_type.p)
		return 0; /* bodiless: it says nothing */
	if (gw_is_composing(m->content_type, m->body)) {
		if (b->gw->settings->iscomposing == GW_ISCOMPOSING_FORWARD)
			return take(b, m);
		++*b->gw->count.iscomposing_dropped;
		return 0;
	}
	b->last_any_ms = timer_now_ms();
	return take(b, m);
}
