/* The UA, the page and the ground of a world: see service_fake.h. */
#pragma once

#include <msrpd/cluster.h>

#include "service_fake.h"

/* --- requests --- */

bool sip_request_answered(const struct sip_request *req)
{
	return req->code != 0;
}

static char passed_what[16]; /* the first word of the mark of the last one that was passed on */

int sip_request_pass_on(struct sip_request *req, const struct cluster *cluster,
    const struct cluster_node *node, const struct cluster_mark *mark)
{
	(void)cluster;
	assert_true(node->sip.len && mark->count > 0);
	snprintf(passed_what, sizeof(passed_what), "%.*s", SLICE_ARG(mark->args[0]));
	req->answers++;
	req->code = PASSED_ON;
	return 0;
}

/* --- the UA --- */

int ua_answer(struct ua *ua, struct sip_request *invite, const struct ua_offer *offer,
    struct ua_session **sp)
{
	(void)ua;
	if (the_world->answer_result < 0) {
		sip_request_reply(invite, 488, ABSENT, ABSENT);
		return the_world->answer_result;
	}
	*sp = session_new(offer);
	sip_request_reply(invite, 200, ABSENT, ABSENT);
	return 0;
}

int ua_start(struct ua *ua, const struct ua_offer *offer, struct slice from_uri,
    struct slice to_uri, struct slice ruri, struct ua_session **sp)
{
	(void)ua;
	(void)from_uri;
	(void)to_uri;
	(void)ruri;
	if (the_world->start_result < 0)
		return the_world->start_result;
	*sp = session_new(offer);
	return 0;
}

const char *ua_session_id(const struct ua_session *s)
{
	return s->id;
}

void ua_end(struct ua_session *s)
{
	assert_false(s->gone);
	s->gone = true;
}

/* --- the page --- */

int page_send(struct page *page, const struct page_message *message,
    void (*done)(const struct page_result *result, void *arg), void *arg)
{
	struct world *w = the_world;
	struct fake_page *p = &w->pages[w->page_count];

	(void)page;
	if (w->page_result < 0)
		return w->page_result;
	assert_true(w->page_count < PAGES_MAX);
	p->done = done;
	p->arg = arg;
	p->caller = message->caller;
	snprintf(p->body, sizeof(p->body), "%.*s", SLICE_ARG(message->body));
	snprintf(p->ruri, sizeof(p->ruri), "%.*s", SLICE_ARG(message->ruri));
	snprintf(p->headers, sizeof(p->headers), "%.*s", SLICE_ARG(message->headers));
	w->page_count++;
	return 0;
}

/* The oldest MESSAGE under way is answered; code 0: nobody does. */
static inline void page_answer(struct world *w, int code)
{
	struct page_result result = {code ? code : 408, SLICE("Phrase"), code != 0};
	void (*done)(const struct page_result *, void *) = w->pages[0].done;
	void *arg = w->pages[0].arg;

	assert_true(w->page_count > 0);
	w->page_count--;
	memmove(w->pages, w->pages + 1, w->page_count * sizeof(w->pages[0]));
	done(&result, arg);
}

/* --- the ground --- */

/* A world of nothing, whose events of that service on_event hears. */
static struct world *ground_new(const struct service *service,
    void (*on_event)(const struct event_notice *event, void *arg))
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	the_world = w;
	w->base = event_base_new();
	assert_int_equal(stats_new(&w->stats), 0);
	assert_int_equal(event_bus_new(&w->bus), 0);
	assert_int_equal(event_bus_add_types(w->bus, service->events), 0);
	w->subscriber = (struct event_subscriber){.mask = EVENT_ALL, .fn = on_event, .arg = w};
	event_bus_subscribe(w->bus, &w->subscriber);
	return w;
}

/* What a service starts in. */
static struct service_env ground_env(struct world *w)
{
	struct service_env env = {0};

	env.base = w->base;
	env.bus = w->bus;
	env.stats = w->stats;
	env.ua = (struct ua *)w; /* only handed on */
	env.page = (struct page *)w;
	return env;
}

static void ground_free(struct world *w)
{
	event_bus_unsubscribe(&w->subscriber);
	event_bus_free(w->bus);
	stats_free(w->stats);
	event_base_free(w->base);
	libevent_global_shutdown();
	free(w);
}
