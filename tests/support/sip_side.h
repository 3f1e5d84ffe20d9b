/* A SIP stack as a test drives it: what it does by itself, and what it saw. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "sip/dialog.h"
#include "sip/notifier.h"
#include "sip/page.h"
#include "sip/request.h"
#include "sip/stack.h"

struct event_base;
struct stats;

enum { SIDE_TRANSACTION_MS = 1500 };

#define ABSENT ((struct slice){0})

struct side {
	struct event_base *base;
	struct sip_settings settings; /* may be changed before side_open() */
	struct sip_credential credential;
	struct stats *stats;
	struct net *net;
	struct sip_stack *stack;
	struct page *page;
	struct notifier *notifier;
	char udp[96], tcp[96]; /* URIs of its listeners */
	struct sip_dialog *d;
	struct sip_request *kept; /* to be answered by the test */
	const char *contact;      /* parameters of our Contact; NULL: none */
	const char *answer;       /* SDP to answer an INVITE or offer with */
	int refuse;               /* or the status to refuse it with */
	bool keep;                /* or leave it to the test */
	bool free_in_answer, free_in_established, free_in_offer, free_in_over;
	char log[2048]; /* "INVITE answer established ended:200 " */
	char sdp[256];  /* the last one seen */
	char reason[128];
};

/** Presets of what a stream may be. */
void side_set_edge(struct edge_settings *settings);

/** Zeroed, but for what may be set beforehand. */
void side_open(struct side *s, struct event_base *base);

/** Its settings become these, without credentials. */
void side_reload(struct side *s, const struct sip_settings *settings);
void side_close(struct side *s);

void side_note(struct side *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Turn the loop until the log is this; fails the test after a while. */
void side_wait_log(struct side *s, const char *expected);

/** A statistic of the group sip, now; and wait for it. */
uint64_t side_number(struct side *s, const char *name);
void side_wait_number(struct side *s, const char *name, uint64_t value);

/** INVITE to a URI, with an offer or (NULL) without. */
void side_call(struct side *s, const char *ruri, const char *offer);

/** Make a dialog of the INVITE that was kept.  @return what sip_dialog_accept() says */
int side_accept(struct side *s);

/** A re-INVITE as soon as the dialog is free for it; empties the log. */
void side_reinvite(struct side *s, const char *sdp);

/** Free the dialog. */
void side_let_go(struct side *s);
