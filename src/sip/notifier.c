#include "sip/notifier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "sip/subscription_priv.h"

enum {
	EVENT_MAX = 256,    /* bytes of an Event that we keep: a package and a short id */
	RETRY_AFTER_S = 60, /* for who finds no room */
};

/* --- requests --- */

static struct offer *find_offer(struct notifier *n, const char *event)
{
	struct offer *o;

	LIST_FOREACH(o, &n->offers, next)
		if (strcmp(o->package->event, event) == 0)
			return o;
	return NULL;
}

static bool has_room(const struct notifier *n, struct sip_request *req)
{
	if (n->count < n->stack->settings->max_subscriptions)
		return true;
	subscribe_refuse(req, 503, "Retry-After", RETRY_AFTER_S);
	return false;
}

/* Is there anything against it, before the service is asked?  @return false: answered */
static bool may_subscribe(struct notifier *n, struct sip_request *req, const struct offer *offer,
    const sip_t *sip, uint32_t *expires_s)
{
	const sip_event_t *event = sip->sip_event;

	if (!offer)
		subscribe_refuse(req, 489, NULL, 0);
	else if (strlen(event->o_type) + (event->o_id ? strlen(event->o_id) : 0) > EVENT_MAX)
		subscribe_refuse(req, 400, NULL, 0);
	else
		return subscribe_check(req, offer->package, sip, expires_s) && has_room(n, req);
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
	    || subscription_new(&s, offer, n, &parts, subscribe_event(parts.sip->sip_event)) < 0)
		return;
	status = s->package->subscribe(s, req, &s->watcher, offer->arg);
	if (status) {
		subscription_free(s);
		if (status > 0)
			subscribe_refuse(req, status, NULL, 0);
		return;
	}
	subscription_take_dialog(s, req, parts.sip);
	if (subscribe_accept(req, expires_s) == 0)
		subscription_start(s, expires_s);
	else
		subscription_give_up(s);
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
		return subscribe_accept_with(refer, 202, "Refer-Sub: false\r\n");
	if (!has_room(n, refer))
		return -ENOBUFS;
	err = subscription_new(&s, offer, n, &parts, strdup(package->event));
	if (err < 0)
		return err;
	s->implied = true;
	s->watcher = watcher;
	subscription_take_dialog(s, refer, parts.sip);
	err = subscribe_accept_with(refer, 202, "");
	if (err < 0) {
		subscription_free(s);
		return err;
	}
	*sp = s;
	subscription_start(s, package->default_expires_s);
	return 0;
}

/* --- the whole --- */

void notifier_stop(struct notifier *n)
{
	struct offer *o;
	struct subscription *s;

	LIST_FOREACH(o, &n->offers, next)
		LIST_FOREACH(s, &o->subscriptions, next)
			subscription_end_later(s, "terminated;reason=probation");
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
