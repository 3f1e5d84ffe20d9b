/* Messages as endpoints see them: RFC 4975 sections 5.1, 7.1.1, 7.1.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

/** Value of the Failure-Report header; absent means yes (RFC 4975 7.1.1). */
enum failure_report { FAILURE_REPORT_YES, FAILURE_REPORT_NO, FAILURE_REPORT_PARTIAL };

/** What is known of a message when its first chunk arrives, and of a whole one. */
struct message {
	struct slice message_id;
	struct slice content_type; /* with its parameters, as received */
	struct slice body;         /* whole messages only; absent in a stream */
	uint64_t total;            /* bytes the sender announced, UINT64_MAX: unknown */
	enum failure_report failure_report;
	bool success_report;
};

/**
 * A body to send: bytes at hand, or a source that is asked for pieces as they can leave.
 */
struct message_body {
	struct slice bytes; /* used, and copied, when pull is NULL */
	uint64_t total;     /* of a source; UINT64_MAX: not known beforehand */
	/**
	 * Give the next piece, at most want bytes; it stays valid until the next call of pull
	 * or done.
	 *
	 * @return 0 with a piece (empty: the end), -EAGAIN: nothing now, ua_message_ready() will
	 *         follow; any other error aborts the message with "#"
	 */
	int (*pull)(void *arg, size_t want, struct slice *piece);
	/** Once, when pull will not be called again, whatever became of the message. */
	void (*done)(void *arg);
	void *arg;
};

/** A message to send. */
struct message_out {
	struct slice content_type; /* absent: a bodiless SEND */
	struct message_body body;
	enum failure_report failure_report;
	bool success_report;
};

/** What came back for a message that was sent, or did not. */
struct message_report {
	struct slice message_id;
	/**
	 * Value of the Status header of a REPORT; "000 NNN phrase" for a failure response;
	 * "000 408" for a transaction that timed out here; "000 481" for what was still queued
	 * or unanswered when its session lost its connection.
	 */
	struct slice status;
	int code;                  /* NNN of namespace 000, else 0 */
	struct slice byte_range;   /* as in the Byte-Range header */
	struct slice content_type; /* of the message, while that is still known; else absent */
	enum report_source {
		REPORT_FROM_REPORT,   /* a REPORT request */
		REPORT_FROM_RESPONSE, /* a transaction response; 200 too, see ua_handler.report */
		REPORT_FROM_HERE,     /* no answer in time, or no connection any more */
	} source;
};
