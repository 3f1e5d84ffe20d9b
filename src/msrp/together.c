/*
 * Answers of nodes to each other.  RFC 4975 has a 200 for each SEND, with a head of its own to be written
 * and read.  Those of one read are one frame, the answer to the first of them, with a header that has the
 * transaction ids of the others.  Whatever is no 200 goes out by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "msrp/priv.h"
#include "wire/write.h"

/* Must be the first header behind the paths. */
#define ALSO SLICE("Also-Answered:")

enum {
	ANSWERS_MAX = 2048,
	TID_MAX = 32,                           /* RFC 4975 9 */
	END_SIZE = 2 + 7 + TID_MAX + 1 + 2 + 1, /* CRLF of the header, end-line */
};

struct answers {
	size_t len, tid_len; /* 0: none waits */
	bool several;
	char tid[TID_MAX]; /* of the first */
	char text[ANSWERS_MAX];
};

int msrp_conn_answer_together(struct msrp_conn *conn)
{
	if (!conn->answers)
		conn->answers = calloc(1, sizeof(*conn->answers));
	return conn->answers ? 0 : -ENOMEM;
}

static struct buffer writer(struct answers *answers)
{
	return (struct buffer){
	    .p = answers->text,
	    .len = answers->len,
	    .cap = sizeof(answers->text) - END_SIZE,
	};
}

void answers_send(struct msrp_conn *conn)
{
	struct answers *answers = conn->answers;
	struct buffer w;

	if (!answers || !answers->len)
		return;
	w = writer(answers);
	w.cap = sizeof(answers->text);
	if (answers->several)
		buffer_add(&w, SLICE("\r\n"));
	msrp_write_end_line(&w, (struct slice){answers->tid, answers->tid_len}, MSRP_COMPLETE,
	    false);
	msrp_conn_send(conn, buffer_text(&w));
	answers->len = 0;
}

static bool begin(struct answers *answers, const struct msrp_frame *request, struct slice phrase)
{
	struct buffer w = writer(answers);

	msrp_write_response_head(&w, request, 200, phrase);
	if (w.err)
		return false;
	answers->len = w.len;
	answers->several = false;
	answers->tid_len = request->tid.len;
	memcpy(answers->tid, request->tid.p, request->tid.len);
	return true;
}

static bool add(struct answers *answers, struct slice tid)
{
	struct buffer w = writer(answers);

	if (!answers->several)
		buffer_add(&w, ALSO);
	buffer_add_char(&w, ' ');
	buffer_add(&w, tid);
	if (w.err)
		return false;
	answers->len = w.len;
	answers->several = true;
	return true;
}

bool answers_keep(struct msrp_conn *conn, const struct msrp_frame *request, struct slice phrase)
{
	struct answers *answers = conn->answers;

	if (!answers || request->tid.len > TID_MAX)
		return false;
	if (answers->len && add(answers, request->tid))
		return true;
	answers_send(conn);
	return begin(answers, request, phrase);
}

void answers_free(struct msrp_conn *conn)
{
	free(conn->answers);
}

struct slice answers_also(const struct msrp_frame *response)
{
	struct slice line, rest = response->headers;

	if (!rest.len || !slice_starts_nocase(rest, ALSO))
		return (struct slice){NULL, 0};
	slice_cut(&rest, '\r', &line);
	return slice_from(line, ALSO.len);
}
