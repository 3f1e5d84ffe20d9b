/* Messages that an endpoint sends, and what becomes of them: RFC 4975 7.1.1, 7.3.2. */
#pragma once

#include "endpoint/chunker.h"
#include "wire/frame.h"

struct sender {
	struct session *session;
	struct chunker chunker;
	struct transmission_list rejected; /* not to be sent: to be reported */
	struct report_in *report;          /* with a body that is coming in; NULL: none is */
	uint64_t messages;                 /* queued, ever */

	/* A response speaks of the session: 481, 506. */
	void (*refused)(struct session *session, int code);
};

void sender_init(struct sender *out, struct session *session,
    void (*refused)(struct session *session, int code));
void sender_fini(struct sender *out);

/** See endpoint_send(), endpoint_ready(), endpoint_filter(). */
int sender_send(struct sender *out, const struct message_out *message, unsigned flags,
    char *message_id);
void sender_ready(struct sender *out, struct slice message_id);
void sender_filter(struct sender *out,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg);

/** The REPORT in hand is on one of its messages. */
void sender_take_report(struct sender *out, struct msrp_conn *conn);

/** The connection is being left, or is gone: what is open is ended, no answer awaited. */
void sender_leave(struct sender *out);

/**
 * After that: what was not answered goes out again on the next one.
 *
 * @param err  0, or why it closed; -ETIMEDOUT: what it owed is reported 408
 */
void sender_rewind(struct sender *out, int err);
void sender_give_up(struct sender *out);

/** What was put off: see session_due(). */
void sender_run(struct sender *out);
