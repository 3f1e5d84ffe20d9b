/*
 * Webhooks: events posted to URLs, one a request, in their order.  What a URL does not take is
 * tried again for a while, and then given up, counted and logged.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/buffer.h>
#include <msrpd/reason.h>
#include <msrpd/setting.h>
#include <msrpd/timer.h>

#include "event/bus.h"

struct event_base;
struct stats;
struct web_hook;

struct web_hook_settings {
	char *url;
	struct setting_list events; /* of char *: names; empty: all */
	char *secret;               /* NULL: posts are not signed */
	char *ca_file;              /* NULL: the system's authorities */
};

extern const struct setting web_hook_rows[];

/** Zeroed before web_hooks_init(). */
struct web_hooks {
	struct event_base *base;
	struct event_subscriber subscriber;
	void *multi; /* of libcurl; NULL while there is no hook */
	struct timer timer;
	STAILQ_HEAD(, web_hook) list;
	struct buffer line;
	uint64_t *queued, *delivered, *retried, *given_up;
};

/** @return 0 or -ENOMEM; web_hooks_fini() is due either way */
int web_hooks_init(struct web_hooks *hooks, struct event_base *base, struct event_bus *bus,
    struct stats *stats);

/**
 * Have these hooks (struct web_hook_settings); what waits for one whose URL stays is kept.
 * @return 0; -ENOENT with the reason: no such event; -ENOMEM. Then nothing has changed
 */
int web_hooks_configure(struct web_hooks *hooks, const struct setting_list *settings,
    struct reason *why);

void web_hooks_fini(struct web_hooks *hooks);
