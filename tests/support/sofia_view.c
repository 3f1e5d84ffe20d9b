#include "sofia_view.h"

#include <stdlib.h>

#include <sofia-sip/msg_buffer.h>
#include <sofia-sip/msg_parser.h>
#include <sofia-sip/sip_extra.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_util.h>

static const char behind[] = "OPTIONS sip:next";

/* Memory of Sofia-SIP's own; it writes to it. */
static msg_t *receive(struct slice text)
{
	msg_t *msg = msg_create(sip_default_mclass(), 0);
	size_t len = text.len + sizeof(behind) - 1;
	char *room = msg_buf_alloc(msg, (usize_t)len + 1);

	if (!room)
		abort();
	memcpy(room, text.p, text.len);
	memcpy(room + text.len, behind, sizeof(behind) - 1);
	msg_buf_commit(msg, (usize_t)len, 0);
	return msg;
}

static bool same(const char *theirs, struct slice ours)
{
	return slice_equal(slice_of(theirs), ours);
}

static const char *compare_start(const sip_t *sip, const struct edge_head *head)
{
	if (!head->request)
		return sip->sip_status && sip->sip_status->st_status == (int)head->code ? NULL
											: "status";
	return sip->sip_request && same(sip->sip_request->rq_method_name, edge_head_method(head))
	    ? NULL
	    : "method";
}

static const char *compare_via(const sip_via_t *theirs, const struct edge_head *head)
{
	struct edge_via via;

	if (edge_head_via(head, &via) < 0)
		return "Via";
	if (!same(theirs->v_branch, via.branch))
		return "branch";
	return via.port == (theirs->v_port ? atoi(theirs->v_port) : 0) ? NULL : "port of Via";
}

static const char *compare_fields(const sip_t *sip, const struct edge_head *head)
{
	struct slice method;
	uint32_t number;

	if (edge_head_cseq(head, &number, &method) < 0 || number != sip->sip_cseq->cs_seq)
		return "CSeq";
	if (!same(sip->sip_call_id->i_id, edge_head_value(head, EDGE_CALL_ID)))
		return "Call-ID";
	if (!same(sip->sip_from->a_tag, edge_head_tag(head, EDGE_FROM)))
		return "From tag";
	if (!same(sip->sip_to->a_tag, edge_head_tag(head, EDGE_TO)))
		return "To tag";
	return compare_via(sip->sip_via, head);
}

static const char *compare(msg_t *msg, const struct edge_head *head)
{
	const sip_t *sip = sip_object(msg);
	const unsigned must = sip_mask_request | sip_mask_response;

	if (msg_extract(msg) != 1)
		return "not a whole message";
	if (sip->sip_flags & MSG_FLG_ERROR || msg_extract_errors(msg) & must)
		return "errors";
	if (sip_sanity_check(sip) < 0)
		return "sanity";
	if (msg_buf_committed(msg) != sizeof(behind) - 1)
		return "length";
	return compare_start(sip, head) ? compare_start(sip, head) : compare_fields(sip, head);
}

const char *sofia_differs(struct slice text, const struct edge_head *head)
{
	msg_t *msg = receive(text);
	const char *where = compare(msg, head);

	msg_destroy(msg);
	return where;
}
