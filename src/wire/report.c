#include "wire/report.h"

#include <errno.h>

#include "wire/write.h"

int msrp_failure_report_parse(struct slice value, enum failure_report *reportp)
{
	if (!value.p || slice_equal_nocase(value, SLICE("yes")))
		*reportp = FAILURE_REPORT_YES;
	else if (slice_equal_nocase(value, SLICE("no")))
		*reportp = FAILURE_REPORT_NO;
	else if (slice_equal_nocase(value, SLICE("partial")))
		*reportp = FAILURE_REPORT_PARTIAL;
	else
		return -EBADMSG;
	return 0;
}

int msrp_success_report_parse(struct slice value, bool *reportp)
{
	if (!value.p || slice_equal_nocase(value, SLICE("no")))
		*reportp = false;
	else if (slice_equal_nocase(value, SLICE("yes")))
		*reportp = true;
	else
		return -EBADMSG;
	return 0;
}

static bool parse_three_digits(struct slice text, unsigned *valuep)
{
	uint64_t value;

	if (text.len != 3 || slice_to_u64(text, 999, &value) < 0)
		return false;
	*valuep = (unsigned)value;
	return true;
}

int msrp_status_parse(struct msrp_status *status, struct slice value)
{
	struct slice namespace, code;
	struct msrp_status s;

	if (!slice_cut(&value, ' ', &namespace) || !slice_cut(&value, ' ', &code)
	    || !parse_three_digits(namespace, &s.namespace) || !parse_three_digits(code, &s.code))
		return -EBADMSG;
	s.comment = value;
	*status = s;
	return 0;
}

void msrp_write_report(struct buffer *w, const struct msrp_report_text *report)
{
	msrp_write_request_line(w, report->tid, SLICE("REPORT"));
	msrp_write_paths(w, report->to_path, report->from_path);
	msrp_write_header(w, SLICE("Message-ID"), report->message_id);
	msrp_write_byte_range(w, &report->range);
	buffer_add(w, SLICE("Status: 000 "));
	msrp_write_code(w, report->code, report->comment);
	if (report->content_type.p) {
		msrp_write_header(w, SLICE("Content-Type"), report->content_type);
		msrp_write_blank_line(w);
		buffer_add(w, report->body);
	}
	msrp_write_end_line(w, report->tid, MSRP_COMPLETE, report->content_type.p);
}
