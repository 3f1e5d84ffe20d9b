/* A key and its session: set-up from either side, and its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/flow.h>
#include <msrpd/told.h>

#include "gw/priv.h"

const struct event_type gw_session_new = {
    .name = "E_MSRP_GW_SESSION_NEW",
    .params = (const char *const[]){"key", "msrp_ua_session_id", "headers", NULL},
};

const struct event_type gw_session_end = {
    .name = "E_MSRP_GW_SESSION_END",
    .params = (const char *const[]){"key", "msrp_ua_session_id", "reason", NULL},
};

const struct event_type gw_setup_failed = {
    .name = "E_MSRP_GW_SETUP_FAILED",
    .params = (const char *const[]){"key", "from_uri", "to_uri", "ruri", "code", "reason", NULL},
};

static const struct ua_handler handler;
static const struct cluster_claim_ops claim_ops;

enum { YIELD_MS = 1000 }; /* between two looks whether a session of another node's key is idle */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- names --- */

static struct gw_names *names_dup(const struct gw_names *names)
{
	struct gw_names *copy = malloc(sizeof(*copy) + names->from.len + names->to.len
	    + names->ruri.len + names->headers.len + names->answer_headers.len + 1);
	char *p;

	if (!copy)
		return NULL;
	p = (char *)(copy + 1);
	copy->flow = names->flow ? sip_flow_ref(names->flow) : NULL;
	copy->caller = names->caller ? sip_flow_ref(names->caller) : NULL;
	copy->from = slice_pack(&p, names->from);
	copy->to = slice_pack(&p, names->to);
	copy->ruri = slice_pack(&p, names->ruri);
	copy->headers = slice_pack(&p, names->headers);
	copy->answer_headers = slice_pack(&p, names->answer_headers);
	return copy;
}

static void names_free(struct gw_names *names)
{
	if (names) {
		sip_flow_unref(names->flow);
		sip_flow_unref(names->caller);
	}
	free(names);
}

static bool names_fit(struct slice key, const struct gw_names *names)
{
	return key.len > 0 && key.len <= GW_TEXT_MAX && names->from.len <= GW_TEXT_MAX
	    && names->to.len <= GW_TEXT_MAX && names->ruri.len <= GW_TEXT_MAX;
}

/* --- events --- */

/* @param cause  the INVITE that it answers, or the MESSAGE that it was made for */
static void tell_new(const struct gw_binding *b, const struct sip_request *cause)
{
	struct event_param params[] = {
	    event_text("key", slice_of(b->key)),
	    event_text("msrp_ua_session_id", slice_of(ua_session_id(b->session))),
	    event_null("headers"),
	};
	size_t count = COUNT(params) - 1;
	struct told told;

	if (cause)
		count = told_add(params, count, told_headers(&told, cause));
	event_emit(b->gw->env.bus, &gw_session_new, params, count);
}

static void tell_end(const struct gw_binding *b, enum ua_end end)
{
	struct event_param params[] = {
	    event_text("key", slice_of(b->key)),
	    event_text("msrp_ua_session_id", slice_of(ua_session_id(b->session))),
	    event_text("reason", slice_of(ua_end_name(end))),
	};

	event_emit(b->gw->env.bus, &gw_session_end, params, COUNT(params));
}

/* code 0: nobody said anything */
static void tell_failed(struct gw *gw, struct slice key, const struct gw_names *names, int code,
    struct slice reason)
{
	struct event_param params[] = {
	    event_text("key", key),
	    event_text("from_uri", sip_address_uri(names->from)),
	    event_text("to_uri", sip_address_uri(names->to)),
	    event_text("ruri", names->ruri),
	    code ? event_number("code", code) : event_null("code"),
	    code ? event_text("reason", reason.p ? reason : SLICE("")) : event_null("reason"),
	};

	++*gw->count.setups_failed;
	event_emit(gw->env.bus, &gw_setup_failed, params, COUNT(params));
}

/* --- the table --- */

struct gw_binding *gw_binding_find(struct gw *gw, struct slice key)
{
	struct gw_binding *b;

	HASH_FIND(hh, gw->bindings, key.p, key.len, b);
	return b;
}

static void release_glare(struct gw_binding *b)
{
	timer_queue_stop(&b->gw->glare, &b->glare_timer);
	if (b->glare)
		sip_request_unref(b->glare);
	b->glare = NULL;
	names_free(b->glare_names);
	b->glare_names = NULL;
	free(b->glare_types);
	b->glare_types = NULL;
}

static void forget_order(struct gw_binding *b)
{
	free(b->order);
	b->order = NULL;
}

static void release_cause(struct gw_binding *b)
{
	if (b->cause)
		sip_request_unref(b->cause);
	b->cause = NULL;
}

static void binding_free(struct gw_binding *b)
{
	release_cause(b);
	forget_order(b);
	free(b->accept_types);
	names_free(b->names);
	free(b);
}

static int binding_new(struct gw_binding **bp, struct gw *gw, struct slice key,
    const struct gw_names *names)
{
	struct gw_binding *b = calloc(1, sizeof(*b) + key.len + 1);

	if (!b)
		return -ENOMEM;
	b->gw = gw;
	b->claim.ops = &claim_ops;
	memcpy(b->key, key.p, key.len);
	TAILQ_INIT(&b->waiting);
	TAILQ_INIT(&b->unanswered);
	LIST_INIT(&b->pages);
	b->names = names_dup(names);
	if (!b->names) {
		binding_free(b);
		return -ENOMEM;
	}
	*bp = b;
	return 0;
}

/* From now on the key leads to it. */
static int enter(struct gw_binding *b)
{
	struct gw *gw = b->gw;

	HASH_ADD_KEYPTR(hh, gw->bindings, b->key, strlen(b->key), b);
	if (!b->hh.tbl)
		return -ENOMEM;
	*gw->count.sessions = HASH_COUNT(gw->bindings);
	++*gw->count.setups;
	return 0;
}

/* From now on it does not, and the key may be used anew. */
static void leave(struct gw_binding *b)
{
	struct gw *gw = b->gw;

	HASH_DEL(gw->bindings, b);
	*gw->count.sessions = HASH_COUNT(gw->bindings);
	cluster_release(&b->claim);
	gw_page_orphan_all(b);
}

/* --- the end of it --- */

static const struct gw_answer gone = {480, {NULL, 0}, {NULL, 0}};

/* Set up it was not: whoever waits for an answer hears why, the MESSAGE side by the event. */
static void fail(struct gw_binding *b, int code, struct slice reason)
{
	char text[GW_HEADERS_SIZE];
	struct gw_answer answer = gone;
	bool tell = b->uac || !TAILQ_EMPTY(&b->waiting);

	/* What an INVITE was answered means the same here, where it is no matter of INVITEs. */
	if (code >= 400 && code != 401 && code != 407 && code != 408 && code != 487)
		answer.code = code;
	if (code)
		answer.headers = gw_reason_header(text, "SIP", code, reason);
	leave(b);
	release_glare(b);
	gw_delivery_fail_all(b, &answer);
	if (tell)
		tell_failed(b->gw, slice_of(b->key), b->names, code, reason);
	binding_free(b);
}

static void finish(struct gw_binding *b, enum ua_end end)
{
	++*b->gw->count.ended[end];
	leave(b);
	gw_delivery_fail_all(b, &gone);
	tell_end(b, end);
	binding_free(b);
}

/* The daemon stops: only who waits for an answer hears of it. */
static void drop(struct gw_binding *b)
{
	leave(b);
	release_glare(b);
	gw_delivery_fail_all(b, &(struct gw_answer){.code = 503});
	binding_free(b);
}

void gw_binding_end(struct gw_binding *b, enum ua_end end)
{
	struct ua_session *s = b->session; /* whose id is told, so it goes last */

	if (b->up)
		finish(b, end);
	else
		fail(b, 0, (struct slice){NULL, 0});
	if (s)
		ua_end(s);
}

bool gw_binding_yields(const struct gw_binding *b)
{
	return b->theirs && b->up && b->waiting_count == 0 && b->page_count == 0;
}

static bool passed(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms)
{
	return limit_ms && now_ms - since_ms >= limit_ms;
}

void gw_binding_sweep(struct gw *gw)
{
	const struct gw_settings *settings = gw->settings;
	uint64_t now = timer_now_ms();
	struct gw_binding *b, *next;

	HASH_ITER(hh, gw->bindings, b, next)
	if (b->theirs && gw_binding_yields(b))
		gw_binding_end(b, UA_END_BYE);
	else if (b->theirs)
		timer_start(&gw->sweep, YIELD_MS);
	else if (b->up
	    && (passed(b->last_page_ms, settings->message_timeout_ms, now)
		|| passed(b->last_any_ms, settings->session_timeout_ms, now)))
		gw_binding_end(b, UA_END_EXPIRED);
}

void gw_binding_drop_all(struct gw *gw)
{
	struct gw_binding *b, *next;

	HASH_ITER(hh, gw->bindings, b, next)
	{
		if (b->session)
			ua_end(b->session);
		drop(b);
	}
}

/* --- set-up --- */

static int answer(struct gw_binding *b, struct sip_request *invite, struct slice types,
    struct slice headers)
{
	struct ua_offer offer = {
	    .accept_types = types,
	    .headers = headers,
	    .handler = &handler,
	    .arg = b,
	};

	return ua_answer(b->gw->env.ua, invite, &offer, &b->session);
}

static int refuse_with(struct sip_request *request, int code, struct slice reason, int err)
{
	sip_request_reply(request, code, reason, (struct slice){NULL, 0});
	return err;
}

static int refuse(struct sip_request *request, int code, int err)
{
	return refuse_with(request, code, (struct slice){NULL, 0}, err);
}

static int hold(struct gw_binding *b, struct sip_request *invite, struct slice types,
    const struct gw_names *names);

/* @return is the key ours already?  Otherwise it is asked for, and the INVITE waits */
static bool claim_for_invite(struct gw_binding *b, struct sip_request *invite, struct slice types,
    const struct gw_names *names, int *errp)
{
	if (cluster_claim(b->gw->env.cluster, &b->claim, "gw", slice_of(b->key)))
		return true;
	b->order = gw_order_dup(&(struct gw_order){.key = slice_of(b->key)});
	*errp = b->order ? hold(b, invite, types, names) : -ENOMEM;
	timer_queue_stop(&b->gw->glare, &b->glare_timer);
	if (*errp < 0)
		leave(b);
	return false;
}

static int answer_new(struct gw *gw, struct sip_request *invite, struct slice key,
    struct slice types, const struct gw_names *names)
{
	struct gw_binding *b;
	int err = binding_new(&b, gw, key, names);

	if (err < 0)
		return refuse(invite, 500, err);
	err = enter(b);
	if (err == 0 && claim_for_invite(b, invite, types, names, &err)) {
		err = answer(b, invite, types, names->answer_headers);
		if (err < 0)
			leave(b);
	}
	if (err < 0) {
		binding_free(b);
		refuse(invite, 500, err); /* where no answer was given yet */
	}
	return err;
}

/* The peer's INVITE instead of ours; ours goes on if that comes to nothing. */
static int take_over(struct gw_binding *b, struct sip_request *invite, struct slice types,
    const struct gw_names *names)
{
	struct gw_names *copy = names_dup(names);
	struct ua_session *ours = b->session; /* NULL: it has just failed */
	int err = copy ? answer(b, invite, types, names->answer_headers) : -ENOMEM;

	if (err < 0) {
		free(copy);
		return refuse(invite, 500, err);
	}
	names_free(b->names);
	b->names = copy;
	b->uac = false;
	if (ours)
		ua_end(ours);
	return 0;
}

static int take_glare(struct gw_binding *b)
{
	int err = take_over(b, b->glare, slice_of(b->glare_types), b->glare_names);

	release_glare(b);
	return err;
}

void gw_binding_on_glare(struct timer_entry *entry, void *arg)
{
	(void)arg;
	take_glare((struct gw_binding *)((char *)entry - offsetof(struct gw_binding, glare_timer)));
}

static int hold(struct gw_binding *b, struct sip_request *invite, struct slice types,
    const struct gw_names *names)
{
	b->glare_names = names_dup(names);
	b->glare_types = slice_dup(types);
	if (!b->glare_names || !b->glare_types) {
		release_glare(b);
		return refuse(invite, 500, -ENOMEM);
	}
	b->glare = sip_request_ref(invite);
	timer_queue_start(&b->gw->glare, &b->glare_timer);
	return 0;
}

static int compare(struct slice a, struct slice b)
{
	int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

/*
 * Two INVITEs that meet.  Of two gateways one has to give way, and both must see it alike: so
 * the From that sorts first wins.  Other peers may refuse ours because of theirs, which is why
 * theirs is not refused before ours has found an answer.
 */
static int meet(struct gw_binding *b, struct sip_request *invite, struct slice types,
    const struct gw_names *names)
{
	if (compare(sip_request_field(invite, SIP_FIELD_FROM_URI), sip_address_uri(b->names->to))
	    < 0)
		return take_over(b, invite, types, names);
	return hold(b, invite, types, names);
}

int gw_binding_answer(struct gw *gw, struct sip_request *invite, struct slice key,
    struct slice types, const struct gw_names *names)
{
	struct page_message message = {
	    .flow = names->flow,
	    .ruri = names->ruri,
	    .from_uri = names->from,
	    .to_uri = names->to,
	};
	struct gw_binding *b;
	int err = names_fit(key, names) ? page_check(gw->env.page, &message) : -EINVAL;

	if (err == -EDESTADDRREQ)
		return refuse_with(invite, 400, SLICE(PAGE_NO_PROXY), err);
	if (err < 0)
		return refuse(invite, 400, err);
	b = gw_binding_find(gw, key);
	if (!b)
		return answer_new(gw, invite, key, types, names);
	if (b->up || !b->uac || b->glare)
		return refuse(invite, 486, -EEXIST);
	return meet(b, invite, types, names);
}

void gw_binding_heard(struct gw_binding *b, const struct sip_request *message)
{
	b->last_page_ms = b->last_any_ms = timer_now_ms();
	if (!b->names->flow)
		sip_flow_note_caller(&b->names->caller, message);
}

static int call(struct gw_binding *b, struct sip_request *message, const struct gw_invite *invite)
{
	struct slice ruri = sip_request_field(message, SIP_FIELD_RURI);
	struct ua_offer offer = {
	    .accept_types = invite->types,
	    .hops = sip_request_hops(message),
	    .flow = sip_request_flow_to(message, ruri),
	    .handler = &handler,
	    .arg = b,
	};
	struct buffer headers = {.max = BUFFER_UNBOUNDED};
	int err;

	sip_request_add_passed(message, &headers);
	buffer_add(&headers, invite->headers);
	offer.headers = buffer_text(&headers);
	err = headers.err
	    ? headers.err
	    : ua_start(b->gw->env.ua, &offer, sip_request_field(message, SIP_FIELD_FROM),
		sip_request_field(message, SIP_FIELD_TO), ruri, &b->session);
	buffer_fini(&headers);
	return err;
}

/* The INVITE, or the wait for whose the key is. */
static int begin(struct gw_binding *b, struct sip_request *message, const struct gw_order *order)
{
	if (cluster_claim(b->gw->env.cluster, &b->claim, "gw", slice_of(b->key)))
		return call(b, message, &order->invite);
	b->order = gw_order_dup(order);
	return b->order ? 0 : -ENOMEM;
}

int gw_binding_call(struct gw_binding **bp, struct gw *gw, struct sip_request *message,
    const struct gw_order *order)
{
	/* What comes back goes to where the MESSAGE came from. */
	struct gw_names names = {
	    .from = sip_request_field(message, SIP_FIELD_TO),
	    .to = sip_request_field(message, SIP_FIELD_FROM),
	    .ruri = sip_request_field(message, SIP_FIELD_FROM_URI),
	    .caller = sip_request_own_flow(message),
	};
	struct gw_binding *b;
	int err = names_fit(order->key, &names) ? binding_new(&b, gw, order->key, &names) : -EINVAL;

	if (err < 0)
		return err;
	b->uac = true;
	b->cause = sip_request_ref(message);
	err = enter(b);
	if (err == 0) {
		err = begin(b, message, order);
		if (err < 0)
			leave(b);
	}
	if (err < 0) {
		binding_free(b);
		tell_failed(gw, order->key, &names,
		    err == -EINVAL || err == -EDESTADDRREQ ? 400 : 0,
		    err == -EDESTADDRREQ ? SLICE(PAGE_NO_PROXY) : (struct slice){NULL, 0});
		return err;
	}
	*bp = b;
	return 0;
}

/* --- what the UA tells --- */

static void on_established(struct gw_binding *b, const struct ua_notice *notice)
{
	b->up = true;
	b->last_page_ms = b->last_any_ms = timer_now_ms();
	free(b->accept_types);
	b->accept_types = slice_dup(notice->accept_types);
	b->any_wrapped = !notice->accept_wrapped_types.p;
	if (b->glare) {
		refuse(b->glare, 486, 0);
		release_glare(b);
	}
	tell_new(b, notice->invite ? notice->invite : b->cause);
	release_cause(b);
	gw_delivery_flush(b);
}

static void on_failed(struct gw_binding *b, const struct ua_notice *notice)
{
	b->session = NULL;
	if (b->glare && take_glare(b) == 0)
		return;
	/* A stop is told of as if the peer had refused: whoever waits may try elsewhere. */
	fail(b, notice->from_peer || notice->end == UA_END_STOPPED ? notice->code : 0,
	    notice->reason);
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct gw_binding *b = arg;

	(void)s;
	switch (notice->what) {
	case UA_ESTABLISHED:
		on_established(b, notice);
		break;
	case UA_FAILED:
		on_failed(b, notice);
		break;
	case UA_TERMINATED:
		if (notice->end == UA_END_STOPPED)
			drop(b);
		else
			finish(b, notice->end);
		break;
	}
}

static int on_message(struct ua_session *s, const struct message *m, void *arg)
{
	(void)s;
	return gw_page_take(arg, m);
}

static void on_report(struct ua_session *s, const struct message_report *report, void *arg)
{
	(void)s;
	gw_delivery_report(arg, report);
}

static const struct ua_handler handler = {
    .name = "msrp_gw",
    .notify = on_notify,
    .message = on_message,
    .report = on_report,
};

/* --- what the cluster tells --- */

static void go_on_with_message(struct gw_binding *b)
{
	int err = call(b, b->cause, &b->order->invite);

	forget_order(b);
	if (err < 0)
		fail(b, err == -EINVAL || err == -EDESTADDRREQ ? 400 : 0,
		    err == -EDESTADDRREQ ? SLICE(PAGE_NO_PROXY) : (struct slice){NULL, 0});
	else
		gw_delivery_accept(b);
}

static void go_on_with_invite(struct gw_binding *b)
{
	int err = answer(b, b->glare, slice_of(b->glare_types), b->glare_names->answer_headers);

	forget_order(b);
	if (err < 0) {
		refuse(b->glare, 500, err);
		fail(b, 0, (struct slice){NULL, 0});
	} else {
		release_glare(b);
		gw_delivery_accept(b);
	}
}

/* One session for a key: who calls here is told what he would be told there. */
static void on_decided(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct gw_binding *b =
	    (struct gw_binding *)((char *)claim - offsetof(struct gw_binding, claim));

	if (!owner && b->cause) {
		go_on_with_message(b);
		return;
	}
	if (!owner) {
		go_on_with_invite(b);
		return;
	}
	if (b->glare)
		refuse(b->glare, 486, 0);
	gw_owner_note(b->gw, slice_of(b->key), owner->name);
	leave(b);
	release_glare(b);
	gw_delivery_move(b, owner);
	binding_free(b);
}

static void on_lost(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct gw_binding *b =
	    (struct gw_binding *)((char *)claim - offsetof(struct gw_binding, claim));

	(void)owner;
	++*b->gw->count.yielded;
	b->theirs = true;
	timer_start(&b->gw->sweep, 0);
}

static const struct cluster_claim_ops claim_ops = {on_decided, on_lost};
