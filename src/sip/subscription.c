/* One subscription of a peer's: its dialog, what it is told and when, and its end. */
#include "sip/subscription_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_util.h>

#include "base/log.h"

static const char timed_out[] = "terminated;reason=timeout";

/* --- life --- */

static void content_clear(struct content *c)
{
	free(c->text);
	*c = (struct content){0};
}

/*
 * nua has a usage of its own for each SUBSCRIBE that it took, and would tell the peer of its end by
 * a NOTIFY that it makes up.  One that cannot leave ends the usage as well.
 */
static void release_handle(struct subscription *s)
{
	if (!s->nh)
		return;
	nua_handle_bind(s->nh, NULL);
	if (!s->implied)
		nua_notify(s->nh, NUTAG_PROXY("tel:0"), SIPTAG_EVENT_STR(s->event),
		    SIPTAG_SUBSCRIPTION_STATE_STR("terminated"), TAG_END());
	nua_handle_destroy(s->nh);
	sip_stack_kick(s->agent->stack);
}

void subscription_free(struct subscription *s)
{
	struct sip_stack *stack = s->notifier->stack;

	LIST_REMOVE(s, next);
	s->notifier->count--;
	--*stack->stats.subscriptions;
	timer_fini(&s->expiry);
	timer_fini(&s->pause);
	sip_flow_watch_stop(&s->flow);
	release_handle(s);
	sip_auth_free(s->auth);
	content_clear(&s->sent);
	content_clear(&s->last);
	free(s->event);
	free(s->target);
	if (s->end)
		sip_stack_end(stack);
	free(s);
}

/* The service hears of it no more, whether it is told so or knows. */
static void part_from_service(struct subscription *s)
{
	s->offer = NULL;
	LIST_REMOVE(s, next);
	LIST_INSERT_HEAD(&s->notifier->ending, s, next);
}

static void tell_ended(struct subscription *s)
{
	if (!s->offer)
		return;
	part_from_service(s);
	s->package->ended(s, s->watcher);
}

/* --- NOTIFY --- */

static void state_text(const struct subscription *s, char *text, size_t size)
{
	uint64_t now = timer_now_ms();
	uint64_t left_ms = s->expires_ms > now ? s->expires_ms - now : 0;

	if (s->end)
		snprintf(text, size, "%s", s->end);
	else
		snprintf(text, size, "active;expires=%lu", (unsigned long)(left_ms + 999) / 1000);
}

/* As a method that nua has no idea of: of its own NOTIFYs it repeats the last one by itself. */
static void send_notify(struct subscription *s)
{
	const struct event_package *package = s->package;
	struct sip_stack *stack = s->agent->stack;
	char *credentials = sip_auth_lines(s->auth, stack, "NOTIFY", s->target), state[64];
	bool has_body = s->sent.text != NULL;
	sip_payload_t body[1];

	state_text(s, state, sizeof(state));
	sip_payload_init(body);
	body->pl_data = s->sent.text;
	body->pl_len = (usize_t)s->sent.len;
	s->under_way = true;
	s->last_sent = s->end != NULL;
	++*stack->stats.notifies_out;
	nua_method(s->nh, NUTAG_METHOD("NOTIFY"), SIPTAG_EVENT_STR(s->event),
	    SIPTAG_SUBSCRIPTION_STATE_STR(state),
	    TAG_IF(has_body, SIPTAG_CONTENT_TYPE_STR(package->content_type)),
	    TAG_IF(has_body, SIPTAG_PAYLOAD(body)),
	    TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)), TAG_END());
	free(credentials);
	sip_stack_kick(stack);
}

/* What the NOTIFY is to tell, by the service, or left by it. */
static void take_body(struct subscription *s)
{
	bool full = s->full;
	int err;

	content_clear(&s->sent);
	s->changed = s->full = false; /* body() may find that there is more to come */
	if (!s->offer) {
		s->sent = s->last;
		s->last = (struct content){0};
		return;
	}
	err = s->package->body(s, full, &s->sent.text, &s->sent.len, s->watcher);
	if (err < 0) {
		log_warn("sip: subscription to %s: no body: %s", s->event, strerror(-err));
		content_clear(&s->sent);
	}
}

/* A NOTIFY leaves if there is one to send and it is its time. */
static void notify_if_due(struct subscription *s)
{
	if (s->under_way || (!s->end && (!s->changed || timer_running(&s->pause))))
		return;
	take_body(s);
	send_notify(s);
	if (s->end)
		tell_ended(s);
}

/* The loop's clock is coarse, and was read before what ran meanwhile. */
static void on_pause_over(void *arg)
{
	struct subscription *s = arg;
	uint64_t now = timer_now_ms();

	if (now < s->pause_ms)
		timer_start(&s->pause, s->pause_ms - now);
	else
		notify_if_due(s);
}

/*
 * From the answer on, so that it is the same for the peer: what we have sent may have waited on its
 * way.
 */
static void pause_begin(struct subscription *s)
{
	if (s->end || s->package->interval_ms == 0)
		return;
	s->pause_ms = timer_now_ms() + 1 + s->package->interval_ms;
	timer_start(&s->pause, s->package->interval_ms);
}

/* What is asked for is told at once (RFC 6665 4.2.1.2), and the end of all. */
static void pause_end(struct subscription *s)
{
	s->pause_ms = 0;
	timer_stop(&s->pause);
}

/* --- the end --- */

/* One NOTIFY more, and it is over when that is answered, or is not. */
static void begin_end(struct subscription *s, const char *state)
{
	if (s->end)
		return;
	s->end = state;
	s->full = true;
	sip_stack_begin(s->agent->stack);
	timer_stop(&s->expiry);
	pause_end(s);
}

static void end_by(struct subscription *s, const char *state)
{
	begin_end(s, state);
	notify_if_due(s);
}

static void on_expired(void *arg)
{
	end_by(arg, timed_out);
}

void subscription_give_up(struct subscription *s)
{
	tell_ended(s);
	subscription_free(s);
}

static void on_flow_died(struct sip_flow_watch *watch)
{
	subscription_give_up(
	    (struct subscription *)((char *)watch - offsetof(struct subscription, flow)));
}

static void watch_flow(struct subscription *s, struct sip_flow *flow, const sip_t *sip)
{
	if (!flow || !sip_flow_is_only_way(flow, sip))
		return;
	s->flow.died = on_flow_died;
	sip_flow_watch_start(&s->flow, flow);
}

void subscription_end_later(struct subscription *s, const char *state)
{
	begin_end(s, state);
	timer_start(&s->pause, 0);
}

/* --- the peer's answers --- */

/* RFC 6665 4.2.2, and whatever makes nua give the dialog up. */
static bool ends_subscription(const struct sip_event *ev)
{
	int graceful;

	return !ev->from_peer || ev->status == 483 || ev->status == 501
	    || sip_response_terminates_dialog(ev->status, sip_method_notify, &graceful) != 0;
}

static void on_answer(struct subscription *s, const struct sip_event *ev)
{
	struct sip_stack *stack = s->agent->stack;

	if (ev->status < 200)
		return;
	sip_stack_count_reply(stack, ev);
	s->under_way = false;
	if ((ev->status == 401 || ev->status == 407)
	    && sip_auth_challenge(&s->auth, stack, ev->sip) == 0) {
		if (s->last_sent || !s->end)
			send_notify(s); /* the same once more */
		else
			notify_if_due(s);
		return;
	}
	if (s->last_sent || (ev->status >= 300 && ends_subscription(ev))) {
		subscription_give_up(s);
		return;
	}
	if (ev->status >= 300)
		s->full = true; /* this one was lost */
	sip_auth_begin(s->auth);
	pause_begin(s);
	notify_if_due(s);
}

/* --- its requests --- */

void subscription_start(struct subscription *s, uint32_t expires_s)
{
	s->expires_ms = timer_now_ms() + expires_s * UINT64_C(1000);
	s->changed = s->full = true;
	pause_end(s);
	if (expires_s == 0) {
		end_by(s, timed_out);
		return;
	}
	timer_start(&s->expiry, expires_s * UINT64_C(1000));
	notify_if_due(s);
}

static void on_refresh(struct sip_request *req, void *arg)
{
	struct subscription *s = arg;
	struct sip_request_parts parts;
	char *target;
	uint32_t expires_s;

	sip_request_look(req, &parts);
	if (s->end) {
		subscribe_refuse(req, 481, NULL, 0);
		return;
	}
	if (!subscribe_check(req, s->package, parts.sip, &expires_s))
		return;
	target = sip_contact_clean(parts.sip);
	if (target) {
		free(s->target);
		s->target = target;
	}
	if (subscribe_accept(req, expires_s) == 0)
		subscription_start(s, expires_s);
}

/* Is it about this subscription? */
static bool is_ours(const struct subscription *s, const sip_t *sip)
{
	char *event = sip->sip_event ? subscribe_event(sip->sip_event) : NULL;
	bool same = event && strcmp(event, s->event) == 0;

	free(event);
	return same;
}

static void on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct subscription *s = (struct subscription *)owner;
	struct sip_taker taker = {on_refresh, s, true};

	switch (ev->event) {
	case nua_r_method:
		on_answer(s, ev);
		break;
	case nua_i_subscribe:
		if (ev->status < 200 && is_ours(s, ev->sip))
			sip_request_arrived(s->agent->stack, ev, &taker);
		else if (ev->status < 200)
			sip_stack_refuse_sharing(s->agent->stack, s->nh);
		break;
	case nua_i_invite:
	case nua_i_message:
	case nua_i_update:
	case nua_i_method:
		if (ev->status < 200)
			sip_stack_refuse_sharing(s->agent->stack, s->nh);
		break;
	default:
		break;
	}
}

int subscription_new(struct subscription **sp, struct offer *offer, struct notifier *n,
    const struct sip_request_parts *parts, char *event)
{
	struct event_base *base = n->stack->base;
	struct subscription *s = calloc(1, sizeof(*s));

	if (!s) {
		free(event);
		return -ENOMEM;
	}
	s->owner.event = on_event;
	s->notifier = n;
	s->offer = offer;
	s->package = offer->package;
	s->agent = parts->agent;
	LIST_INSERT_HEAD(&offer->subscriptions, s, next);
	n->count++;
	++*n->stack->stats.subscriptions;
	s->event = event;
	s->target = sip_contact_clean(parts->sip);
	if (!s->event || !s->target || timer_init(&s->expiry, base, on_expired, s) < 0
	    || timer_init(&s->pause, base, on_pause_over, s) < 0) {
		subscription_free(s);
		return -ENOMEM;
	}
	*sp = s;
	return 0;
}

void subscription_take_dialog(struct subscription *s, struct sip_request *req, const sip_t *sip)
{
	s->nh = sip_request_take_handle(req);
	nua_handle_bind(s->nh, (nua_hmagic_t *)&s->owner);
	watch_flow(s, sip_request_flow(req), sip);
}

/* --- what services do --- */

void subscription_changed(struct subscription *s)
{
	s->changed = true;
	if (!s->under_way && !timer_running(&s->pause))
		timer_start(&s->pause, 0);
}

bool subscription_ends(const struct subscription *s)
{
	return s->end != NULL;
}

void subscription_end(struct subscription *s, enum subscription_end reason, struct slice body)
{
	static const char *const states[] = {
	    [SUBSCRIPTION_NORESOURCE] = "terminated;reason=noresource",
	    [SUBSCRIPTION_DEACTIVATED] = "terminated;reason=deactivated",
	    [SUBSCRIPTION_REJECTED] = "terminated;reason=rejected",
	};

	part_from_service(s);
	if (body.len > 0)
		s->last = (struct content){slice_dup(body), body.len};
	end_by(s, states[reason]);
}
