/* What a head that is well framed says, and whether it can be answered. */
#include "wire/frame.h"

#include <errno.h>

#include "wire/frame_priv.h"
#include "wire/path.h"
#include "wire/report.h"

/* RFC 4975 7.1: a body needs a Content-Type.  Some write the blank line of a body that is none. */
static bool lacks_content_type(const struct msrp_frame *f)
{
	return f->has_body && !f->content_type.len && f->range.total != 0;
}

static const char *judge_message(const struct msrp_frame *f)
{
	enum failure_report failure;
	struct msrp_status status;
	bool success;

	if (!f->message_id.p)
		return "no Message-ID";
	if (msrp_failure_report_parse(f->failure_report, &failure) < 0)
		return "bad Failure-Report";
	if (msrp_success_report_parse(f->success_report, &success) < 0)
		return "bad Success-Report";
	if (f->method == MSRP_REPORT && msrp_status_parse(&status, f->status) < 0)
		return "no Status or a bad one";
	if (f->method == MSRP_SEND && lacks_content_type(f))
		return "body without Content-Type";
	return NULL;
}

static const char *judge_request(const struct msrp_frame *f)
{
	uint64_t seconds; /* too many of them are another matter: 423 */

	if (f->message_id.p && !msrp_is_ident(f->message_id, MSRP_MESSAGE_ID_MAX))
		return "bad Message-ID";
	if (f->range.start == 0)
		return "bad Byte-Range";
	if (f->expires.p && slice_to_u64(f->expires, UINT64_MAX, &seconds) == -EBADMSG)
		return "bad Expires";
	return f->method == MSRP_SEND || f->method == MSRP_REPORT ? judge_message(f) : NULL;
}

static const char *judge(const struct msrp_frame *f)
{
	if (f->fault)
		return f->fault;
	if (!f->good_paths)
		return f->to.host.p && (!f->to_rest.p || msrp_path_count(f->to_rest) > 0)
		    ? "no From-Path or a bad one"
		    : "no To-Path or a bad one";
	return msrp_frame_is_request(f) ? judge_request(f) : NULL;
}

int msrp_frame_check(const struct msrp_frame *f, const char **whyp)
{
	const char *why = judge(f);

	if (whyp)
		*whyp = why;
	return why ? 400 : 0;
}

bool msrp_frame_answerable(const struct msrp_frame *f)
{
	return msrp_frame_is_request(f) && f->method != MSRP_REPORT && f->tid.p && f->to_path.len
	    && f->from_path.len
	    /* Fit to be written into a line of ours. */
	    && (!f->fault || (msrp_is_text(f->to_path) && msrp_is_text(f->from_path)));
}
