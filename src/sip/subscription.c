#include <msrpd/subscription.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_util.h>

#include "base/buffer.h"
#include "base/log.h"
#include "sip/notifier.h"
#include "sip/request_priv.h"

enum {
	EVENT_MAX = 256,    /* bytes of an Event that we keep: a package and a short id */
	RETRY_AFTER_S = 60, /* for who finds no room */
	HOUR_S = 3600,      /* RFC 6665 4.2.1.1: longer times are never too brief */
};

static const char timed_out[] = "terminated;reason=timeout";

/* A package that a service offers. */
struct offer {
	LIST_ENTRY(offer) next;
	const struct event_package *package;
	void *arg;
	LIST_HEAD(, subscription) subscriptions;
};

struct content {
	char *text; /* NULL: none */
	size_t len;
};

struct subscription {
	struct sip_owner owner;        /* the handle's magic */
	LIST_ENTRY(subscription) next; /* of its offer, or of those that nobody hears of */
	struct notifier *notifier;
	struct offer *offer; /* NULL: its service is not told of it any more */
	const struct event_package *package;
	void *watcher;
	struct sip_agent *agent;
	nua_handle_t *nh;
	char *event;  /* value of Event, with its id */
	char *target; /* the peer's Contact */
	struct sip_auth *auth;
	struct timer expiry;
	uint64_t expires_ms; /* of the monotonic clock */
	struct timer pause;  /* until the next NOTIFY may leave */
	uint64_t pause_ms;   /* of the monotonic clock: no earlier, whenever the timer runs */
	struct content sent; /* of the NOTIFY under way */
	struct content last; /* of the last one, if subscription_end() gave it */
	const char *end;     /* Subscription-State of the last NOTIFY; NULL: not to end yet */
	struct sip_flow_watch flow; /* of who is reached over it alone */
	bool implied;               /* by a REFER */
	bool changed, full;         /* what the next NOTIFY is to tell */
	bool under_way;             /* a NOTIFY that is not answered */
	bool last_sent;
};

struct notifier {
	struct sip_stack *stack;
	LIST_HEAD(, offer) offers;
	LIST_HEAD(, subscription) ending; /* whose service is not told of them any more */
	size_t count;
};

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

static void subscription_free(struct subscription *s)
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

/* Nothing more can be told. */
static void give_up(struct subscription *s)
{
	tell_ended(s);
	subscription_free(s);
}

static void on_flow_died(struct sip_flow_watch *watch)
{
	give_up((struct subscription *)((char *)watch - offsetof(struct subscription, flow)));
}

static void watch_flow(struct subscription *s, struct sip_flow *flow, const sip_t *sip)
{
	if (!flow || !sip_flow_is_only_way(flow, sip))
		return;
	s->flow.died = on_flow_died;
	sip_flow_watch_start(&s->flow, flow);
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
		give_up(s);
		return;
	}
	if (ev->status >= 300)
		s->full = true; /* this one was lost */
	sip_auth_begin(s->auth);
	pause_begin(s);
	notify_if_due(s);
}

/* --- SUBSCRIBE --- */

static bool is_accepted(const sip_accept_t *accept, const char *type)
{
	size_t main_len = strcspn(type, "/") + 1;

	for (; accept; accept = accept->ac_next) {
		const char *range = accept->ac_type;

		if (!range || (accept->ac_q && msg_q_value(accept->ac_q) == 0))
			continue;
		if (strcasecmp(range, type) == 0 || strcmp(range, "*/*") == 0
		    || (strncasecmp(range, type, main_len) == 0
			&& strcmp(range + main_len, "*") == 0))
			return true;
	}
	return false;
}

static void refuse(struct sip_request *req, int status, const char *header, unsigned value)
{
	char line[64] = "";

	if (header)
		snprintf(line, sizeof(line), "%s: %u\r\n", header, value);
	sip_request_reply(req, status, (struct slice){0}, slice_of(header ? line : NULL));
}

/* What is asked of a first SUBSCRIBE and a refresh alike.  @return false: answered */
static bool check(struct sip_request *req, const struct event_package *package, const sip_t *sip,
    uint32_t *expires_s)
{
	unsigned long asked =
	    sip->sip_expires ? sip->sip_expires->ex_delta : package->default_expires_s;

	*expires_s = asked < package->max_expires_s ? (uint32_t)asked : package->max_expires_s;
	if (sip->sip_accept && !is_accepted(sip->sip_accept, package->content_type))
		refuse(req, 406, NULL, 0);
	else if (asked > 0 && asked < HOUR_S && asked < package->min_expires_s)
		refuse(req, 423, "Min-Expires", package->min_expires_s);
	else
		return true;
	return false;
}

/* With our Contact, behind that line. */
static int accept_with(struct sip_request *req, int status, const char *line)
{
	struct sip_request_parts parts;
	char *contact, *lines = NULL;
	int n;

	sip_request_look(req, &parts);
	contact = sip_agent_contact(parts.agent, NULL);
	n = asprintf(&lines, "%s%s%s%s", line, contact ? "Contact: " : "", contact ? contact : "",
	    contact ? "\r\n" : "");
	free(contact);
	if (n < 0)
		return -ENOMEM;
	n = sip_request_reply(req, status, (struct slice){0}, slice_of(lines));
	free(lines);
	return n;
}

/* In the 200 nua may make it a second less, which it may be (RFC 6665 4.2.1.1). */
static int reply_ok(struct sip_request *req, uint32_t expires_s)
{
	char line[32];

	snprintf(line, sizeof(line), "Expires: %u\r\n", (unsigned)expires_s);
	return accept_with(req, 200, line);
}

/* The state follows the 200 at once (RFC 6665 4.2.1.2). */
static void start(struct subscription *s, uint32_t expires_s)
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

static char *event_text(const sip_event_t *event)
{
	char *text = NULL;
	int n = event->o_id ? asprintf(&text, "%s;id=%s", event->o_type, event->o_id)
			    : asprintf(&text, "%s", event->o_type);

	return n < 0 ? NULL : text;
}

static void on_refresh(struct sip_request *req, void *arg)
{
	struct subscription *s = arg;
	struct sip_request_parts parts;
	char *target;
	uint32_t expires_s;

	sip_request_look(req, &parts);
	if (s->end) {
		refuse(req, 481, NULL, 0);
		return;
	}
	if (!check(req, s->package, parts.sip, &expires_s))
		return;
	target = sip_contact_clean(parts.sip);
	if (target) {
		free(s->target);
		s->target = target;
	}
	if (reply_ok(req, expires_s) == 0)
		start(s, expires_s);
}

/* Is it about this subscription? */
static bool is_ours(const struct subscription *s, const sip_t *sip)
{
	char *event = sip->sip_event ? event_text(sip->sip_event) : NULL;
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

static struct offer *find_offer(struct notifier *n, const char *event)
{
	struct offer *o;

	LIST_FOREACH(o, &n->offers, next)
		if (strcmp(o->package->event, event) == 0)
			return o;
	return NULL;
}

/* @param event  value of Event, which it takes; or NULL: no memory */
static int subscription_new(struct subscription **sp, struct offer *offer, struct notifier *n,
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

static bool has_room(const struct notifier *n, struct sip_request *req)
{
	if (n->count < n->stack->settings->max_subscriptions)
		return true;
	refuse(req, 503, "Retry-After", RETRY_AFTER_S);
	return false;
}

/* The dialog is its own from now on. */
static void take_dialog(struct subscription *s, struct sip_request *req, const sip_t *sip)
{
	s->nh = sip_request_take_handle(req);
	nua_handle_bind(s->nh, (nua_hmagic_t *)&s->owner);
	watch_flow(s, sip_request_flow(req), sip);
}

/* Is there anything against it, before the service is asked?  @return false: answered */
static bool may_subscribe(struct notifier *n, struct sip_request *req, const struct offer *offer,
    const sip_t *sip, uint32_t *expires_s)
{
	const sip_event_t *event = sip->sip_event;

	if (!offer)
		refuse(req, 489, NULL, 0);
	else if (strlen(event->o_type) + (event->o_id ? strlen(event->o_id) : 0) > EVENT_MAX)
		refuse(req, 400, NULL, 0);
	else
		return check(req, offer->package, sip, expires_s) && has_room(n, req);
	return false;
}

void notifier_request(struct sip_request *req, void *arg)
{
	struct notifier *n = arg;
	struct sip_request_parts parts;
	struct offer *offer;
	struct subscription *s;
	uint32_t expires_s;
	int status;

	sip_request_look(req, &parts);
	offer = parts.sip->sip_event ? find_offer(n, parts.sip->sip_event->o_type) : NULL;
	if (!may_subscribe(n, req, offer, parts.sip, &expires_s)
	    || subscription_new(&s, offer, n, &parts, event_text(parts.sip->sip_event)) < 0)
		return;
	status = s->package->subscribe(s, req, &s->watcher, offer->arg);
	if (status) {
		subscription_free(s);
		if (status > 0)
			refuse(req, status, NULL, 0);
		return;
	}
	take_dialog(s, req, parts.sip);
	if (reply_ok(req, expires_s) == 0)
		start(s, expires_s);
	else
		give_up(s);
}

/* --- what services do --- */

void notifier_ask_again(struct notifier *n, struct sip_request *req)
{
	if (!sip_request_answered(req))
		notifier_request(req, n);
}

/* Allow-Events is to name what is offered (RFC 6665 4.4.4). */
static int tell_offers(struct notifier *n, const char *added)
{
	struct buffer names = {.max = BUFFER_UNBOUNDED};
	const struct offer *o;
	char *text = NULL;
	size_t len;
	int err = 0;

	LIST_FOREACH(o, &n->offers, next)
		buffer_printf(&names, "%s%s", names.len ? ", " : "", o->package->event);
	if (!LIST_EMPTY(&n->offers))
		err = buffer_take(&names, &text, &len);
	if (!err)
		sip_nua_allow_events(n->stack, text, added);
	free(text);
	return err;
}

int notifier_offer(struct notifier *n, const struct event_package *package, void *arg)
{
	struct offer *o;
	int err;

	if (find_offer(n, package->event))
		return -EEXIST;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->package = package;
	o->arg = arg;
	LIST_INIT(&o->subscriptions);
	LIST_INSERT_HEAD(&n->offers, o, next);
	err = tell_offers(n, package->event);
	if (err) {
		LIST_REMOVE(o, next);
		free(o);
	}
	return err;
}

void notifier_withdraw(struct notifier *n, const struct event_package *package)
{
	struct offer *o = find_offer(n, package->event);
	struct subscription *s;

	if (!o || o->package != package)
		return;
	LIST_REMOVE(o, next);
	while ((s = LIST_FIRST(&o->subscriptions)))
		subscription_end(s, SUBSCRIPTION_DEACTIVATED, (struct slice){0});
	free(o);
	if (tell_offers(n, NULL) < 0)
		log_warn("sip: Allow-Events still names %s", package->event);
}

int notifier_refer(struct notifier *n, struct sip_request *refer,
    const struct event_package *package, void *watcher, struct subscription **sp)
{
	struct offer *offer = find_offer(n, package->event);
	struct sip_request_parts parts;
	struct subscription *s;
	int err;

	*sp = NULL;
	sip_request_look(refer, &parts);
	if (slice_equal_nocase(sip_request_header(refer, SLICE("Refer-Sub")), SLICE("false")))
		return accept_with(refer, 202, "Refer-Sub: false\r\n");
	if (!has_room(n, refer))
		return -ENOBUFS;
	err = subscription_new(&s, offer, n, &parts, strdup(package->event));
	if (err < 0)
		return err;
	s->implied = true;
	s->watcher = watcher;
	take_dialog(s, refer, parts.sip);
	err = accept_with(refer, 202, "");
	if (err < 0) {
		subscription_free(s);
		return err;
	}
	*sp = s;
	start(s, package->default_expires_s);
	return 0;
}

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

/* --- the whole --- */

void notifier_stop(struct notifier *n)
{
	struct offer *o;
	struct subscription *s;

	LIST_FOREACH(o, &n->offers, next)
		LIST_FOREACH(s, &o->subscriptions, next) {
			begin_end(s, "terminated;reason=probation");
			timer_start(&s->pause, 0); /* its service is not told from in here */
		}
}

int notifier_new(struct notifier **notifierp, struct sip_stack *stack)
{
	struct notifier *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->stack = stack;
	LIST_INIT(&n->offers);
	LIST_INIT(&n->ending);
	stack->notifier = n;
	*notifierp = n;
	return 0;
}

static void free_all(struct notifier *n)
{
	struct offer *o;
	struct subscription *s;

	while ((s = LIST_FIRST(&n->ending)))
		subscription_free(s);
	while ((o = LIST_FIRST(&n->offers))) {
		LIST_REMOVE(o, next);
		while ((s = LIST_FIRST(&o->subscriptions)))
			subscription_free(s);
		free(o);
	}
}

void notifier_free(struct notifier *n)
{
	if (!n)
		return;
	n->stack->notifier = NULL;
	free_all(n);
	free(n);
}
