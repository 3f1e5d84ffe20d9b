/*
 * Event notification (RFC 6665), the notifier's side: a service offers an event
 * package, peers SUBSCRIBE to it, and NOTIFY requests tell them its state.
 *
 * Below this line: dialogs, Expires and refreshes, Event and Accept, one NOTIFY
 * under way at a time, challenges, retransmissions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/request.h>
#include <msrpd/slice.h>

struct notifier; /* one a daemon */

/** One subscription of one peer; valid until ended() or subscription_end(). */
struct subscription;

/** An event package, as a service offers it; const. */
struct event_package {
	const char *event;        /* "conference", as Event has it */
	const char *content_type; /* of its bodies; an Accept without it is answered 406 */
	/**
	 * Seconds: what Expires asks for is cut to max, less than min (and an hour) is answered
	 * 423.  The default, at most an hour, is for a SUBSCRIBE without Expires.
	 */
	uint32_t min_expires_s, default_expires_s, max_expires_s;
	uint64_t interval_ms; /* between two NOTIFYs of a subscription at least; 0: none */

	/**
	 * A SUBSCRIBE asks for a new subscription.  It is answered by what this returns;
	 * body() follows if it is taken, also where Expires is 0 and asks for the state once.
	 * May not end s.
	 *
	 * @param request   its fields and headers may be read; who asks may be authorized
	 * @param watcherp  whatever body() and ended() shall be given
	 * @return 0, or the SIP status that refuses it (403, 404, …), and then s is gone; negative
	 *         errno: the same, and it is answered already (sip_request_authorize()), or will be
	 *         asked again
	 */
	int (*subscribe)(struct subscription *s, struct sip_request *request, void **watcherp,
	    void *arg);

	/**
	 * A NOTIFY can leave: write its body.  May not end s.
	 *
	 * @param full   the whole state is wanted: the subscription is new, was refreshed or ends
	 *               (RFC 6665 4.2.1.2), or a NOTIFY was lost; otherwise what has changed since
	 *               the last NOTIFY
	 * @param bodyp  to be freed by the notifier; left alone: no body
	 * @return 0, or negative errno: the NOTIFY goes out without a body
	 */
	int (*body)(struct subscription *s, bool full, char **bodyp, size_t *lenp, void *watcher);

	/**
	 * It is over: given up or expired, a NOTIFY was refused or not answered, or the daemon
	 * stops.  Where a last NOTIFY tells the peer, body() has been called for it.
	 */
	void (*ended)(struct subscription *s, void *watcher);
};

/**
 * Offer a package: until now SUBSCRIBEs to it were answered 489 (or 405, nobody offering any).
 *
 * @param package  outlives the offer
 * @return 0, -EEXIST: another service offers that event, -ENOMEM
 */
int notifier_offer(struct notifier *notifier, const struct event_package *package, void *arg);

/**
 * Withdraw it.  Its subscriptions end as by subscription_end() with SUBSCRIPTION_DEACTIVATED.
 * Harmless on one that is not offered.
 */
void notifier_withdraw(struct notifier *notifier, const struct event_package *package);

/**
 * Accept a REFER, which makes a subscription by itself (RFC 3515 2.4.4): answer it 202, and call
 * body(), also from inside this call, for the NOTIFY that follows.  It lasts for default_expires_s
 * of the package at most, and no SUBSCRIBE refreshes it.
 *
 * @param package  one that is offered
 * @param watcher  what body() and ended() shall be given
 * @param sp       the subscription; NULL there: the peer wants none (RFC 4488)
 * @return 0; -ENOBUFS: there are too many, which is answered 503; -ENOMEM
 */
int notifier_refer(struct notifier *notifier, struct sip_request *refer,
    const struct event_package *package, void *watcher, struct subscription **sp);

/**
 * A SUBSCRIBE that subscribe() has left unanswered, by a negative errno and a reference: it is asked
 * again.
 */
void notifier_ask_again(struct notifier *notifier, struct sip_request *request);

/**
 * There is something to tell: body() will be called as soon as a NOTIFY can leave, not from
 * inside this call.  Any number of changes until then make one NOTIFY.
 */
void subscription_changed(struct subscription *s);

/** Is the NOTIFY whose body() is called the last one?  No other will tell what it leaves out. */
bool subscription_ends(const struct subscription *s);

/** Why we end it: "reason" in Subscription-State (RFC 6665 4.1.3). */
enum subscription_end {
	SUBSCRIPTION_NORESOURCE,  /* what it watched is gone */
	SUBSCRIPTION_DEACTIVATED, /* not here any more; the peer may subscribe again at once */
	SUBSCRIPTION_REJECTED,    /* it may not watch this any more */
};

/**
 * End it by a last NOTIFY.  No callback follows; s is gone for the caller when this returns.
 *
 * @param body  of that NOTIFY, copied; absent for none
 */
void subscription_end(struct subscription *s, enum subscription_end reason, struct slice body);
