#include "endpoint/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "endpoint/endpoint.h"
#include "wire/report.h"

enum {
	REPORT_MAX = 2 * MSRP_PATH_MAX + REPORT_BODY_MAX + 1024,
	TID_CHARS = 12, /* 71 bits (RFC 4975 7.1 asks for 64) */
};

bool report_wanted(const struct report_subject *subject, int code)
{
	return code < 300 ? subject->success_report : subject->failure_report != FAILURE_REPORT_NO;
}

int report_send(struct msrp_conn *conn, const struct report_subject *subject,
    const struct report_out *report)
{
	char text[REPORT_MAX], tid[TID_CHARS + 1];
	struct buffer w = BUFFER_ON(text);

	rand_token(tid, TID_CHARS);
	msrp_write_report(&w,
	    &(struct msrp_report_text){
		.tid = {tid, TID_CHARS},
		.to_path = subject->from_path,
		.from_path = subject->own_uri,
		.message_id = subject->message_id,
		.range = subject->range,
		.code = (unsigned)report->code,
		.comment = report->phrase,
		.content_type = report->content_type,
		.body = report->body,
	    });
	if (w.err)
		return -EMSGSIZE;
	msrp_conn_send(conn, buffer_text(&w));
	return 0;
}

/* --- later --- */

struct later_report {
	TAILQ_ENTRY(later_report) next;
	struct byte_range range;
	enum failure_report failure_report;
	bool success_report;
	size_t id_len, path_len;
	char text[]; /* Message-ID and path */
};

void report_list_init(struct report_list *list)
{
	TAILQ_INIT(&list->reports);
	list->count = 0;
}

static void remove_report(struct report_list *list, struct later_report *r)
{
	TAILQ_REMOVE(&list->reports, r, next);
	list->count--;
}

static void drop_oldest(struct report_list *list)
{
	struct later_report *r = TAILQ_FIRST(&list->reports);

	remove_report(list, r);
	free(r);
}

int report_list_add(struct report_list *list, const struct report_subject *subject)
{
	size_t id_len = subject->message_id.len, path_len = subject->from_path.len;
	struct later_report *r = malloc(sizeof(*r) + id_len + path_len);

	if (!r)
		return -ENOMEM;
	*r = (struct later_report){
	    .range = subject->range,
	    .failure_report = subject->failure_report,
	    .success_report = subject->success_report,
	    .id_len = id_len,
	    .path_len = path_len,
	};
	memcpy(r->text, subject->message_id.p, id_len);
	memcpy(r->text + id_len, subject->from_path.p, path_len);
	if (list->count >= REPORTS_LATER_MAX)
		drop_oldest(list);
	TAILQ_INSERT_TAIL(&list->reports, r, next);
	list->count++;
	return 0;
}

/* They are asked for in about the order in which they came, so one of the first ones it is. */
static struct later_report *find_report(const struct report_list *list, struct slice message_id)
{
	struct later_report *r;

	TAILQ_FOREACH(r, &list->reports, next)
		if (slice_equal((struct slice){r->text, r->id_len}, message_id))
			return r;
	return NULL;
}

int report_list_take(struct report_list *list, struct slice message_id, struct slice own_uri,
    struct report_subject *subject, struct later_report **laterp)
{
	struct later_report *r = find_report(list, message_id);

	if (!r)
		return -ENOENT;
	remove_report(list, r);
	*laterp = r;
	*subject = (struct report_subject){
	    .from_path = {r->text + r->id_len, r->path_len},
	    .own_uri = own_uri,
	    .message_id = {r->text, r->id_len},
	    .range = r->range,
	    .failure_report = r->failure_report,
	    .success_report = r->success_report,
	};
	return 0;
}

void report_list_fini(struct report_list *list)
{
	while (!TAILQ_EMPTY(&list->reports))
		drop_oldest(list);
}
