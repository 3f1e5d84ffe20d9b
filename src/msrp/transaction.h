/*
 * Requests of ours that wait for their response: RFC 4975 sections 7.1.1, 7.2.
 * The transaction id carries its place in the table, so nothing is searched.
 */
#pragma once

#include <msrpd/timer.h>

#include "msrp/conn.h"

struct msrp_transaction;

/** In each the transaction is over already; its owner may free it. */
struct msrp_transaction_ops {
	/** response is valid during the call.  @return as msrp_sink_ops.body */
	int (*response)(struct msrp_transaction *t, const struct msrp_frame *response);
	/** No response within transaction_timeout of the last byte sent. */
	void (*timeout)(struct msrp_transaction *t);
	/** Its connection is gone. */
	void (*lost)(struct msrp_transaction *t, int err);
};

enum { MSRP_TID_LEN = 16 };

/** Embedded in whoever sent the request. */
struct msrp_transaction {
	const struct msrp_transaction_ops *ops;
	struct msrp_conn *conn; /* NULL: not running */
	LIST_ENTRY(msrp_transaction) entry;
	struct timer_entry timer;
	struct net_mark mark;
	uint32_t slot;
	bool left; /* its last byte has been handed to the kernel */
	char tid[MSRP_TID_LEN + 1];
};

/** Give t a transaction id on conn. @return 0 or -ENOMEM, -ENOBUFS: 32 million are under way */
int msrp_transaction_start(struct msrp_transaction *t, struct msrp_conn *conn);

/** The request's last byte has been queued: its time runs from when it leaves (7.1.1). */
void msrp_transaction_sent(struct msrp_transaction *t);

/** Forget it; harmless when it does not run. */
void msrp_transaction_stop(struct msrp_transaction *t);
