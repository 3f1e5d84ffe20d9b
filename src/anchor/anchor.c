/* One anchored session: made, kept, ended. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/event.h>
#include <msrpd/flow.h>
#include <msrpd/request.h>

#include "anchor/priv.h"
#include "base/buffer.h"
#include "edge/edge.h"
#include "net/transport.h"

const struct event_type anchor_event_new = {
    .name = "E_MSRP_ANCHOR_NEW",
    .params = (const char *const[]){"id", "from_uri", "to_uri", NULL},
};

const struct event_type anchor_event_end = {
    .name = "E_MSRP_ANCHOR_END",
    .params =
	(const char *const[]){"id", "from_uri", "to_uri", "bytes", "messages", "reason", NULL},
};

/* --- telling --- */

struct story anchor_story(const struct anchor_leg *leg)
{
	return (struct story){
	    .session_id = leg_id(leg),
	    .call_id = leg->dialog ? sip_dialog_call_id(leg->dialog) : NOTHING,
	    .key = slice_of(leg->anchor->id),
	};
}

const char *anchor_end_name(enum anchor_end end)
{
	static const char *const names[] = {
	    [ANCHOR_BYE] = "bye",
	    [ANCHOR_ENDED] = "ended",
	    [ANCHOR_EXPIRED] = "expired",
	    [ANCHOR_FAILED] = "failed",
	    [ANCHOR_STOPPED] = "stopped",
	};

	return names[end];
}

static void tell_new(const struct anchor *a)
{
	const struct event_param params[] = {
	    event_text("id", slice_of(a->id)),
	    event_text("from_uri", sip_address_uri(a->second.from_uri)),
	    event_text("to_uri", sip_address_uri(a->second.to_uri)),
	};

	event_emit(a->all->env.bus, &anchor_event_new, params, sizeof(params) / sizeof(params[0]));
}

struct traffic anchor_traffic(const struct anchor *a)
{
	const struct traffic *there = &a->legs[CALLER]->traffic, *back = &a->legs[CALLEE]->traffic;

	return (struct traffic){there->messages + back->messages, there->bytes + back->bytes};
}

static void tell_end(const struct anchor *a, enum anchor_end end)
{
	const struct traffic traffic = anchor_traffic(a);
	const struct event_param params[] = {
	    event_text("id", slice_of(a->id)),
	    event_text("from_uri", sip_address_uri(a->second.from_uri)),
	    event_text("to_uri", sip_address_uri(a->second.to_uri)),
	    event_number("bytes", (int64_t)traffic.bytes),
	    event_number("messages", (int64_t)traffic.messages),
	    event_text("reason", slice_of(anchor_end_name(end))),
	};

	event_emit(a->all->env.bus, &anchor_event_end, params, sizeof(params) / sizeof(params[0]));
}

/* --- life --- */

void anchor_ref(struct anchor *a)
{
	a->refs++;
}

void anchor_unref(struct anchor *a)
{
	if (--a->refs > 0)
		return;
	leg_free(a->legs[CALLER]);
	leg_free(a->legs[CALLEE]);
	sip_flow_unref(a->second.flow);
	free(a->headers);
	free(a);
}

struct anchor *anchor_find(struct anchors *all, struct slice id)
{
	struct anchor *a;

	HASH_FIND(hh, all->table, id.p, id.len, a);
	return a;
}

void anchor_set_established(struct anchor *a)
{
	struct anchors *all = a->all;

	if (a->established || a->over)
		return;
	a->established = true;
	free(a->headers); /* nobody is called any more */
	a->headers = NULL;
	a->second.headers = NOTHING;
	timer_queue_stop(&all->ringing, &a->ringing);
	timer_queue_start(&all->duration, &a->duration);
	++*all->count.established;
	tell_new(a);
}

static void count_end(struct anchor *a, enum anchor_end end)
{
	struct anchors *all = a->all;

	if (a->established)
		++*all->count.ended[end];
	else
		++*all->count.failed;
}

static void leave_table(struct anchor *a)
{
	struct anchors *all = a->all;

	HASH_DEL(all->table, a);
	*all->count.sessions = HASH_COUNT(all->table);
}

void anchor_finish(struct anchor *a, enum anchor_end end, struct slice why)
{
	struct anchors *all = a->all;

	if (a->over)
		return;
	a->over = true;
	timer_queue_stop(&all->ringing, &a->ringing);
	timer_queue_stop(&all->duration, &a->duration);
	leave_table(a);
	for (int i = CALLER; i <= CALLEE; i++) {
		struct anchor_leg *leg = a->legs[i];

		sip_dialog_free(leg->dialog, why);
		leg->dialog = NULL;
		leg_close(leg);
	}
	count_end(a, end);
	if (a->established)
		tell_end(a, end);
	anchor_unref(a);
}

void anchor_on_ringing(struct timer_entry *entry, void *arg)
{
	struct anchor *a = OWNER(struct anchor, ringing, entry);

	(void)arg;
	call_give_up(a->legs[CALLER], 408, SLICE("Request Timeout"));
	anchor_finish(a, ANCHOR_FAILED, SLICE("SIP;cause=408;text=\"No answer\""));
}

void anchor_on_duration(struct timer_entry *entry, void *arg)
{
	(void)arg;
	anchor_finish(OWNER(struct anchor, duration, entry), ANCHOR_EXPIRED,
	    SLICE("SIP;cause=200;text=\"Time is up\""));
}

/* --- making one --- */

/* A browser: RFC 7977 5.2. */
static bool comes_by_websocket(const struct sip_flow *flow)
{
	const struct edge_transport *by = flow ? edge_flow_transport(flow) : NULL;

	return by && by->net && by->net->framed;
}

/*
 * How the callee reaches us: a browser as it reaches our SIP, anybody else as the caller does, as
 * far as TLS goes.
 */
static const struct ua_local *local_for(const struct anchors *all, const struct anchor_leg *caller,
    struct sip_flow *flow)
{
	const struct ua_locals *locals = all->locals;
	const struct ua_local *local = comes_by_websocket(flow)
	    ? ua_local_find(locals, edge_flow_transport(flow)->net->encrypted, SLICE("ws"))
	    : ua_local_find(locals, caller->secure, SLICE("tcp"));

	return local ? local : &locals->items[0];
}

/* What sip.pass_headers names, and what is asked for. */
static int keep_headers(struct anchor *a, struct sip_request *invite, struct slice own)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	size_t len;
	int err;

	sip_request_add_passed(invite, &w);
	buffer_add(&w, own);
	err = buffer_take(&w, &a->headers, &len);
	if (err == 0)
		a->second.headers = (struct slice){a->headers, len};
	return err;
}

static struct slice given_or(struct slice given, struct sip_request *invite, enum sip_field field)
{
	return given.p ? given : sip_request_field(invite, field);
}

static struct anchor *compose(struct anchors *all, struct sip_request *invite,
    const struct anchor_call *call)
{
	struct slice from = given_or(call->from_uri, invite, SIP_FIELD_FROM);
	struct slice to = given_or(call->to_uri, invite, SIP_FIELD_TO);
	struct anchor *a =
	    calloc(1, sizeof(*a) + from.len + to.len + call->ruri.len + call->node.len);
	char *p;

	if (!a)
		return NULL;
	a->all = all;
	a->refs = 1;
	p = (char *)(a + 1);
	a->second = (struct sip_invite){
	    .from_uri = slice_pack(&p, from),
	    .to_uri = slice_pack(&p, to),
	    .ruri = slice_pack(&p, call->ruri),
	    .node = slice_pack(&p, call->node),
	    .flow = call->flow ? sip_flow_ref(call->flow) : NULL,
	    .redirects = true,
	};
	if (keep_headers(a, invite, call->headers) == 0)
		return a;
	anchor_unref(a);
	return NULL;
}

static int add_leg(struct anchor *a, int which, const struct ua_local *local)
{
	return leg_new(&a->legs[which], a, local);
}

static void join(struct anchor *a)
{
	a->legs[CALLER]->other = a->legs[CALLEE];
	a->legs[CALLEE]->other = a->legs[CALLER];
}

static int enter_table(struct anchor *a)
{
	struct anchors *all = a->all;
	struct slice id = leg_id(a->legs[CALLER]);

	memcpy(a->id, id.p, id.len);
	HASH_ADD_KEYPTR(hh, all->table, a->id, (unsigned)id.len, a);
	if (!a->hh.tbl)
		return -ENOMEM;
	*all->count.sessions = HASH_COUNT(all->table);
	return 0;
}

/* Not in the table yet. */
static void drop(struct anchor *a)
{
	for (int i = CALLER; i <= CALLEE; i++)
		if (a->legs[i]) {
			sip_dialog_free(a->legs[i]->dialog, NOTHING);
			leg_close(a->legs[i]);
		}
	anchor_unref(a);
}

static int refuse(struct anchors *all, struct sip_request *invite, int code, struct slice reason)
{
	++*all->count.refused;
	if (!sip_request_answered(invite))
		sip_request_reply(invite, code, reason, NOTHING);
	return -EPROTO;
}

/* The caller's leg with what he offers, and one for the callee that suits it. */
static int set_up(struct anchor **ap, struct anchors *all, struct sip_request *invite,
    const struct anchor_call *call)
{
	const struct ua_locals *locals = all->locals;
	struct anchor *a = compose(all, invite, call);
	int err;

	if (!a)
		return -ENOMEM;
	err = add_leg(a, CALLER, &locals->items[0]);
	if (err == 0)
		err = call_take(a->legs[CALLER], invite);
	if (err == 0)
		err = add_leg(a, CALLEE, local_for(all, a->legs[CALLER], call->flow));
	if (err == 0) {
		join(a);
		err = enter_table(a);
	}
	if (err < 0) {
		drop(a);
		return err;
	}
	*ap = a;
	return 0;
}

static void note_begin(const struct anchor *a)
{
	struct story of = anchor_story(a->legs[CALLER]);

	story_note(LOG_LEVEL_DEBUG, &of, "anchor: session %s: %.*s calls %.*s", a->id,
	    SLICE_ARG(a->second.from_uri), SLICE_ARG(a->second.ruri));
	of = anchor_story(a->legs[CALLEE]);
	story_note(LOG_LEVEL_DEBUG, &of, "anchor: session %s: second INVITE to %.*s", a->id,
	    SLICE_ARG(a->second.ruri));
}

bool anchor_try_other(struct anchor *a)
{
	struct anchor_leg *callee = a->legs[CALLEE];
	const struct ua_local *local = ua_local_find(a->all->locals, !callee->secure, SLICE("tcp"));

	if (a->other_tried || !local || comes_by_websocket(a->second.flow)
	    || leg_move(callee, local) < 0)
		return false;
	a->other_tried = true;
	sip_dialog_free(callee->dialog, NOTHING);
	callee->dialog = NULL;
	media_begin(callee);
	if (call_place(callee) < 0)
		anchor_finish(a, ANCHOR_FAILED, NOTHING);
	return true;
}

int anchor_call(struct anchors *all, struct sip_request *invite, const struct anchor_call *call)
{
	struct anchor *a;
	unsigned hops = sip_request_hops(invite);
	int err;

	if (!all) {
		sip_request_reply(invite, 503, SLICE("Service Unavailable"), NOTHING);
		return -ENETUNREACH;
	}
	if (!slice_equal(sip_request_field(invite, SIP_FIELD_METHOD), SLICE("INVITE")))
		return refuse(all, invite, 400, SLICE("Not An INVITE"));
	if (hops == 0)
		return refuse(all, invite, 483, SLICE("Too Many Hops"));
	if (HASH_COUNT(all->table) >= all->settings->max_sessions)
		return refuse(all, invite, 503, SLICE("Too Many Sessions"));
	err = set_up(&a, all, invite, call);
	if (err < 0)
		return refuse(all, invite, 500, SLICE("Server Internal Error"));
	++*all->count.started;
	timer_queue_start(&all->ringing, &a->ringing);
	a->second.hops = hops;
	err = call_place(a->legs[CALLEE]);
	if (err < 0) {
		anchor_finish(a, ANCHOR_FAILED, NOTHING);
		return err;
	}
	note_begin(a);
	return 0;
}
