/*
 * Answers of nodes to each other.  RFC 4975 has a 200 for each SEND, which at either end is a fourth of
 * what it costs to pass one on; but on one connection they come in the order of the SENDs, so the last
 * of those that one read has brought says it of all.  Whatever is no 200 goes out by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msrp/priv.h"

int msrp_conn_answer_together(struct msrp_conn *conn)
{
	if (!conn->answers)
		conn->answers = calloc(1, sizeof(*conn->answers));
	return conn->answers ? 0 : -ENOMEM;
}

bool answers_keep(struct msrp_conn *conn, struct slice text)
{
	struct answers *answers = conn->answers;

	if (!answers || text.len > sizeof(answers->last))
		return false;
	memcpy(answers->last, text.p, text.len);
	answers->len = text.len;
	return true;
}

void answers_send(struct msrp_conn *conn)
{
	struct answers *answers = conn->answers;

	if (!answers || !answers->len)
		return;
	msrp_conn_send(conn, (struct slice){answers->last, answers->len});
	answers->len = 0;
}

void answers_free(struct msrp_conn *conn)
{
	free(conn->answers);
}
