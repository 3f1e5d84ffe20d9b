/* A REPORT that has a body (RFC 7701 6.2), while it comes in. */
#pragma once

#include <msrpd/message.h>

#include "msrp/conn.h"

/** What a REPORT says, as its headers have it. */
struct report_head {
	struct slice message_id, status;
	struct byte_range range;      /* start 0: it does not say */
	struct slice body_type, body; /* absent: it has none */
};

struct report_head report_head_of(const struct msrp_frame *frame);

struct report_in;

/**
 * Take the body of the REPORT in hand.
 *
 * @param heard  called once when all of it is here, if it comes; *inp is NULL again by then
 * @param inp    where it is kept until that, or until its connection is lost
 * @return 0 or -ENOMEM
 */
int report_in_take(struct report_in **inp, struct msrp_conn *conn,
    void (*heard)(const struct report_head *head, void *arg), void *arg);

/** Nobody wants to hear of it any more.  Accepts NULL. */
void report_in_drop(struct report_in *in);
