/*
 * Subscriptions within this folder: notifier.c has what is offered and lets peers in, subscription.c
 * is one of them, and subscribe.c judges and answers what asks for one.
 */
#pragma once

#include <msrpd/subscription.h>

#include "sip/request_priv.h"

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

/* --- subscription.c --- */

/**
 * One without a dialog yet.
 *
 * @param event  value of Event, which it takes; or NULL: no memory
 * @return 0 or -ENOMEM
 */
int subscription_new(struct subscription **sp, struct offer *offer, struct notifier *n,
    const struct sip_request_parts *parts, char *event);

/** Nobody is told. */
void subscription_free(struct subscription *s);

/** The dialog is its own from now on. */
void subscription_take_dialog(struct subscription *s, struct sip_request *req, const sip_t *sip);

/** It is answered: its state follows at once (RFC 6665 4.2.1.2), and may end it. */
void subscription_start(struct subscription *s, uint32_t expires_s);

/** Nothing more can be told. */
void subscription_give_up(struct subscription *s);

/** End it with that Subscription-State, but tell neither peer nor service from inside this call. */
void subscription_end_later(struct subscription *s, const char *state);

/* --- subscribe.c --- */

/** @param header  with a number as its value; NULL: none */
void subscribe_refuse(struct sip_request *req, int status, const char *header, unsigned value);

/** What is asked of a first SUBSCRIBE and a refresh alike.  @return false: answered */
bool subscribe_check(struct sip_request *req, const struct event_package *package, const sip_t *sip,
    uint32_t *expires_s);

/** Answer 200.  @return 0 or -ENOMEM; as sip_request_reply() */
int subscribe_accept(struct sip_request *req, uint32_t expires_s);

/** Answer with our Contact, behind that line. */
int subscribe_accept_with(struct sip_request *req, int status, const char *line);

/** Value of Event, with its id.  @return to be freed; NULL: no memory */
char *subscribe_event(const sip_event_t *event);
