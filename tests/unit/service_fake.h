/*
 * What the worlds of conf_fake.h and gw_fake.h have in common: a service with nobody around it.
 * service_fake_ua.h has the functions, for which both say first what a request and a session are.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/flow.h>
#include <msrpd/page.h>
#include <msrpd/request.h>
#include <msrpd/service.h>
#include <msrpd/ua.h>

#include "base/stats.h"
#include "event/bus.h"

#define ABSENT ((struct slice){NULL, 0})

enum { FIELDS = SIP_FIELD_BODY + 1, PAGES_MAX = 128 };
enum { PASSED_ON = 1 /* instead of a status: another node answers */ };

/* A MESSAGE under way. */
struct fake_page {
	void (*done)(const struct page_result *result, void *arg);
	void *arg;
	const struct sip_flow *caller;
	char body[256], ruri[128], headers[256];
};

/* The members that every struct world begins with. */
#define WORLD                                                                          \
	struct event_base *base;                                                       \
	struct event_bus *bus;                                                         \
	struct stats *stats;                                                           \
	struct event_subscriber subscriber;                                            \
	int start_result, answer_result, page_result; /* negative: what comes of it */ \
	struct fake_page pages[PAGES_MAX];                                             \
	size_t page_count
