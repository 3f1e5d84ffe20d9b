/* Reports, who wants them and what they say: RFC 4975 sections 7.1.1 to 7.1.4. */
#pragma once

#include <msrpd/message.h>
#include <msrpd/slice.h>

#include "base/buffer.h"

/** @param value  absent means yes (RFC 4975 7.1.1) @return 0 or -EBADMSG */
int msrp_failure_report_parse(struct slice value, enum failure_report *reportp);

/** @param value  absent means no @return 0 or -EBADMSG */
int msrp_success_report_parse(struct slice value, bool *reportp);

/** Status header of a REPORT: RFC 4975 7.1.2. */
struct msrp_status {
	unsigned namespace; /* 0: code is one of MSRP's */
	unsigned code;
	struct slice comment; /* absent if there is none */
};

/** @return 0 or -EBADMSG */
int msrp_status_parse(struct msrp_status *status, struct slice value);

/** A REPORT on a SEND: RFC 4975 7.1.2 to 7.1.4. */
struct msrp_report_text {
	struct slice tid;       /* the REPORT's own */
	struct slice to_path;   /* whole From-Path of the SEND */
	struct slice from_path; /* first To-Path URI of the SEND */
	struct slice message_id;
	struct byte_range range;         /* what the report is about */
	unsigned code;                   /* in namespace 000 */
	struct slice comment;            /* absent or empty: none */
	struct slice content_type, body; /* both, or neither */
};

/** The whole frame, end-line included. */
void msrp_write_report(struct buffer *w, const struct msrp_report_text *report);
