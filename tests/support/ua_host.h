/* A daemon's SIP, MSRP and UA on one loop with others of its kind, as a test drives it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/service.h>
#include <msrpd/slice.h>
#include <msrpd/ua.h>

#include "msrp/stack.h"
#include "sip/stack.h"
#include "ua/ua.h"

struct event_base;
struct stats;

struct host {
	struct event_base *base;
	struct stats *stats;
	struct msrp_settings msrp_settings;
	struct msrp_listen_settings listen;
	struct net *net;
	struct msrp_stack *msrp;
	struct sip_settings sip_settings;
	struct sip_stack *sip;
	struct notifier *notifier;
	struct ua_settings ua_settings; /* may be changed before host_open() */
	struct ua *ua;
	char uri[96]; /* where its SIP listens */

	struct ua_session *s;                    /* the latest */
	char id[64];                             /* of s */
	char log[4096];                          /* what its handler was told, "new:text/plain " */
	const char *accepts;                     /* types; NULL: INVITEs are answered 404 */
	const char *attributes, *peer_attribute; /* of ua_offer */
	const struct service *service;           /* whose first action takes INVITEs instead */
	void *service_state;
	int verdict;        /* what the handler says to a message */
	bool streams;       /* messages are taken as streams */
	const char *end_in; /* "new", "msg", "nickname", "report": ua_end() there */
	size_t streamed;
};

/** Zeroed, but for what may be set beforehand. */
void host_open(struct host *h, struct event_base *base);
void host_close(struct host *h);

/** Call another one. @return as ua_start() */
int host_call(struct host *h, const struct host *to, const char *types);

/** Call it, and wait until both are told. */
void host_connect(struct host *h, struct host *to, const char *types);

/** Queue a message; its Message-ID goes to message_id if not NULL. @return as ua_send() */
int host_send(struct host *h, const char *type, const char *text, char *message_id);

/** Turn the loop until the log is this (fails the test after a while), and empty it. */
void host_wait(struct host *h, const char *expected);
void host_wait_either(struct host *h, const char *one, const char *other);

/** Turn the loop for as long as it takes that nothing more would come. */
void host_quiet(struct host *h);

/** A statistic, "ua:sessions". */
uint64_t host_number(const struct host *h, const char *group, const char *name);
