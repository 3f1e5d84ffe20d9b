/* REPORTs of an endpoint on what it received: RFC 4975 7.1.2 to 7.1.4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/message.h>

#include "msrp/conn.h"

/** What a REPORT is about, and whom it goes to. */
struct report_subject {
	struct slice from_path; /* of the SEND: the way back */
	struct slice own_uri;   /* its first To-Path URI */
	struct slice message_id;
	struct byte_range range; /* of what was received */
	enum failure_report failure_report;
	bool success_report;
};

/** Does the sender want to know (RFC 4975 7.1.3, 7.1.4)? */
bool report_wanted(const struct report_subject *subject, int code);

/**
 * Send one, whether wanted or not.  Paths or phrases that are longer than any REPORT's get none.
 *
 * @return 0; -EMSGSIZE
 */
int report_send(struct msrp_conn *conn, const struct report_subject *subject,
    const struct report_out *report);

enum { REPORTS_LATER_MAX = 1024 };

struct later_report;

/** REPORTs that somebody will ask for; the oldest goes when there are too many. */
struct report_list {
	TAILQ_HEAD(, later_report) reports;
	unsigned count;
};

void report_list_init(struct report_list *list);

/** Copies.  @return 0 or -ENOMEM */
int report_list_add(struct report_list *list, const struct report_subject *subject);

/**
 * Take the one for that Message-ID out.
 *
 * @param own_uri  for subject
 * @param subject  filled, valid until free(*laterp)
 * @return 0 or -ENOENT
 */
int report_list_take(struct report_list *list, struct slice message_id, struct slice own_uri,
    struct report_subject *subject, struct later_report **laterp);

void report_list_fini(struct report_list *list);
