/* Messages that an endpoint receives: RFC 4975 7.3.1, 7.1.2 to 7.1.4, 7.2. */
#pragma once

#include "endpoint/delivered.h"
#include "endpoint/partial.h"
#include "endpoint/refused.h"
#include "endpoint/report.h"
#include "msrp/conn.h"

struct receiver {
	struct session *session;
	struct msrp_sink sink;
	struct partials open;
	struct report_list later;
	struct delivered delivered;
	struct refused refused;
	uint64_t messages;

	struct report_subject *asked; /* of the message whose service is being called; or NULL */

	/* the frame in hand */
	struct msrp_conn *conn;
	struct send_head head; /* its type is only there while open.current is NULL */
	struct slice held;     /* the same: its body so far, which lies in the read at hand */
	uint64_t count;        /* bytes of its body so far */
	bool skip;             /* its body is of no use */
	bool repeated;         /* or without a body: acknowledged like a delivery */
	char id_text[MSRP_MESSAGE_ID_MAX];
};

void receiver_init(struct receiver *in, struct session *session);
void receiver_fini(struct receiver *in);

/** As the request() of a target. */
int receiver_take_send(struct receiver *in, struct msrp_conn *conn, const struct msrp_frame *frame);

/** See endpoint_report(), endpoint_resume(). */
int receiver_report(struct receiver *in, struct slice id, const struct report_out *report);
void receiver_resume(struct receiver *in, void *stream);

/** The connection is being left: the frame in hand goes on without us. */
void receiver_leave(struct receiver *in, const struct msrp_conn *conn);

/** Incomplete messages will not be whole, and streams are told. */
void receiver_give_up(struct receiver *in);

/** What was put off: see session_due(). */
void receiver_run(struct receiver *in);
