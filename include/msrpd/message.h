/* Messages as endpoints see them: RFC 4975 sections 5.1, 7.1.1, 7.1.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

struct sip_request;

/** Value of the Failure-Report header; absent means yes (RFC 4975 7.1.1). */
enum failure_report { FAILURE_REPORT_YES, FAILURE_REPORT_NO, FAILURE_REPORT_PARTIAL };

#define BYTE_RANGE_UNKNOWN UINT64_MAX /* "*" */

/** Byte-Range: positions in the message, from 1.  "1-0/0" is nothing at all. */
struct byte_range {
	uint64_t start; /* at least 1 */
	uint64_t end;   /* at least start - 1, or BYTE_RANGE_UNKNOWN */
	uint64_t total; /* or BYTE_RANGE_UNKNOWN */
};

/** What is known of a message when its first chunk arrives, and of a whole one. */
struct message {
	struct slice message_id;
	struct slice content_type; /* with its parameters, as received */
	struct slice body;         /* whole messages only; absent in a stream */
	uint64_t total;            /* bytes the sender announced, UINT64_MAX: unknown */
	enum failure_report failure_report;
	bool success_report;
	/**
	 * The MESSAGE that brought it in the session's dialog, answered for the service, or by
	 * ua_reply(); NULL: it came over MSRP, or (its message_id is empty) beside the SDP of the
	 * INVITE.
	 */
	struct sip_request *request;
};

struct budget;

/** Octets that any number of messages may send: held once, never changed once they are there. */
struct shared_body;

/** @param bytes  copied  @return 0, -ENOBUFS: the budget has not so many, -ENOMEM */
int shared_body_new(struct shared_body **bodyp, struct budget *budget, struct slice bytes);

/**
 * A body that grows while it is sent: what it has leaves, and what comes follows.
 *
 * @param total  bytes that it will have; UINT64_MAX: not known
 * @param max    bytes that it may have
 * @return 0, -EMSGSIZE: total is more than max, -ENOMEM
 */
int shared_body_open(struct shared_body **bodyp, struct budget *budget, uint64_t total, size_t max);

/** @param bytes  copied  @return 0; -EMSGSIZE: more than it may have; -ENOBUFS */
int shared_body_append(struct shared_body *body, struct slice bytes);

/** No more bytes come.  @param err  0: it is whole; negative errno: messages that send it abort */
void shared_body_close(struct shared_body *body, int err);

struct shared_body *shared_body_ref(struct shared_body *body);
void shared_body_unref(struct shared_body *body); /* accepts NULL */

/** Valid as long as the caller's reference. */
struct slice shared_body_bytes(const struct shared_body *body);

/**
 * A body to send: bytes at hand, or a source that is asked for pieces as they can leave.
 */
struct message_body {
	struct slice bytes; /* used when pull is NULL, and copied unless shared is set */
	/** What bytes are the whole of, as far as it has grown: referenced instead; or NULL. */
	struct shared_body *shared;
	uint64_t total;     /* of a source; UINT64_MAX: not known beforehand */
	uint64_t max_bytes; /* a shared body that grows beyond that is aborted; 0: no bound */
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

/** A REPORT to send. */
struct report_out {
	int code;                        /* 200, or an error of RFC 4975 section 10 */
	struct slice phrase;             /* absent for none */
	struct slice content_type, body; /* both, or neither: most have no body */
};

enum { REPORT_BODY_MAX = 10240 }; /* octets: RFC 4975 7.1 */

/** What came back for a message that was sent, or did not: RFC 4975 7.1.2. */
struct message_report {
	struct slice message_id;
	/**
	 * The Status of a REPORT, or of a response; 408 for a transaction that timed out here; 481
	 * for what was still queued or unanswered when its session lost its connection.
	 */
	unsigned namespace; /* 0: code is one of MSRP's */
	int code;
	struct slice phrase;          /* absent if there is none */
	struct byte_range range;      /* start 0: the REPORT does not say */
	struct slice content_type;    /* of the message, while that is still known; else absent */
	struct slice body_type, body; /* of a REPORT that has one; else absent */
	enum report_source {
		REPORT_FROM_REPORT,   /* a REPORT request */
		REPORT_FROM_RESPONSE, /* a transaction response; 200 too, see ua_handler.report */
		REPORT_FROM_HERE,     /* no answer in time, or no connection any more */
	} source;
};
