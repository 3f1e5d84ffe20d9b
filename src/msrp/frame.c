#include "msrp/frame.h"

#include <errno.h>

#include "msrp/chars.h"
#include "msrp/frame_priv.h"
#include "msrp/path.h"

/* --- lines --- */

bool msrp_is_ident(struct slice s)
{
	return s.len >= 4 && s.len <= MSRP_TID_MAX && msrp_char_is(s.p[0], MSRP_ALPHANUM)
	    && msrp_span(s, MSRP_IDENT) == s.len;
}

/* Without the CRLF, or the bare LF, at its end. */
static struct slice without_end(struct slice line)
{
	line.len--;
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool ends_with_crlf(struct slice line)
{
	return line.len >= 2 && line.p[line.len - 2] == '\r';
}

enum msrp_line msrp_line_kind(struct slice line, struct slice tid)
{
	struct slice text;

	/* Hardly a line gets further than this. */
	if (line.p[0] != '-' && line.p[0] != '\r' && line.p[0] != '\n')
		return MSRP_LINE_HEADER;
	text = without_end(line);
	if (text.len == 0)
		return MSRP_LINE_BLANK;
	if (text.len != 7 + tid.len + 1 || memcmp(text.p, "-------", 7) != 0
	    || memcmp(text.p + 7, tid.p, tid.len) != 0 || !memchr("$+#", text.p[text.len - 1], 3))
		return MSRP_LINE_HEADER;
	return MSRP_LINE_END;
}

bool msrp_may_be_start_line(struct slice bytes)
{
	return bytes.len == 0 || memcmp(bytes.p, "MSRP ", bytes.len < 5 ? bytes.len : 5) == 0;
}

struct slice msrp_start_line_tid(struct slice line)
{
	struct slice rest, tid;

	if (line.len < 5 || !msrp_may_be_start_line(line))
		return (struct slice){NULL, 0};
	rest = slice_from(without_end(line), 5);
	tid = msrp_take(&rest, MSRP_IDENT);
	if (!msrp_is_ident(tid) || (rest.len && rest.p[0] != ' '))
		return (struct slice){NULL, 0};
	return tid;
}

static enum msrp_method find_method(struct slice text)
{
	static const struct {
		struct slice		text;
		enum msrp_method	method;
	} methods[] = {
		{{"SEND", 4}, MSRP_SEND},
		{{"REPORT", 6}, MSRP_REPORT},
		{{"AUTH", 4}, MSRP_AUTH},
		{{"NICKNAME", 8}, MSRP_NICKNAME},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (slice_equal(text, methods[i].text))
			return methods[i].method;
	return MSRP_OTHER;
}

static void set_fault(struct msrp_frame *f, const char *why)
{
	if (!f->fault)
		f->fault = why;
}

/* status-code [SP comment]: what begins with a digit was meant as a response. */
static bool parse_status_line(struct msrp_frame *f, struct slice rest)
{
	struct slice digits = msrp_take(&rest, MSRP_DIGIT);
	const char *d = digits.p;

	if (digits.len != 3 || (rest.len && rest.p[0] != ' '))
		return false;
	f->code = (unsigned)((d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0'));
	if (rest.len)
		f->phrase = slice_from(rest, 1);
	return true;
}

/*
 * Everything behind the transaction id.  The grammar has capitals alone in a method; others are
 * taken as methods nobody knows.
 */
static bool parse_start_line(struct msrp_frame *f, struct slice line)
{
	struct slice rest = slice_from(without_end(line), 5 + f->tid.len);

	f->method = MSRP_OTHER;
	if (!msrp_take_char(&rest, ' '))
		return false;
	if (rest.len && msrp_char_is(rest.p[0], MSRP_DIGIT)) {
		f->method = MSRP_NO_METHOD;
		return parse_status_line(f, rest) && ends_with_crlf(line);
	}
	f->method_text = msrp_take(&rest, MSRP_TOKEN);
	f->method = find_method(f->method_text);
	return f->method_text.len && rest.len == 0 && ends_with_crlf(line);
}

/* --- headers --- */

static inline bool is(struct slice name, const char *known)
{
	return memcmp(name.p, known, name.len) == 0 || strncasecmp(name.p, known, name.len) == 0;
}

/* Where the value of a header goes that we know; NULL for others. */
static struct slice *find_field(struct msrp_frame *f, struct slice name)
{
	switch (name.len) {
	case 6:
		return is(name, "Status") ? &f->status : NULL;
	case 7:
		return is(name, "To-Path") ? &f->to_path : is(name, "Expires") ? &f->expires : NULL;
	case 8:
		return is(name, "Use-Path") ? &f->use_path : NULL;
	case 9:
		return is(name, "From-Path") ? &f->from_path : NULL;
	case 10:
		return is(name, "Message-ID") ? &f->message_id
		    : is(name, "Byte-Range")  ? &f->byte_range
					      : NULL;
	case 11:
		return is(name, "Min-Expires") ? &f->min_expires
		    : is(name, "Max-Expires")  ? &f->max_expires
					       : NULL;
	case 12:
		return is(name, "Content-Type") ? &f->content_type
		    : is(name, "Use-Nickname")  ? &f->use_nickname
						: NULL;
	case 13:
		return is(name, "Authorization") ? &f->authorization : NULL;
	case 14:
		return is(name, "Success-Report") ? &f->success_report
		    : is(name, "Failure-Report")  ? &f->failure_report
						  : NULL;
	case 16:
		return is(name, "WWW-Authenticate") ? &f->www_authenticate : NULL;
	case 19:
		return is(name, "Authentication-Info") ? &f->authentication_info : NULL;
	default:
		return NULL;
	}
}

static void parse_header(struct msrp_frame *f, struct slice line)
{
	struct slice rest = without_end(line);
	struct slice name = msrp_take(&rest, MSRP_TOKEN);
	struct slice *field;

	if (!ends_with_crlf(line))
		set_fault(f, "line ended by a bare LF");
	if (name.len == 0 || !msrp_char_is(name.p[0], MSRP_ALPHA) || !msrp_take_char(&rest, ':')) {
		set_fault(f, "line that is no header");
		return;
	}
	field = find_field(f, name);
	if (!field)
		return;
	if (field->p)
		set_fault(f, "header given twice");
	else
		*field = slice_trim(rest);
}

/*
 * utf8text, the whole of it at once: each line has its CR and LF, and no other control
 * character may be there but tabs.
 */
static bool is_text(struct slice head, size_t lines)
{
	enum { BLOCK = 128 }; /* so that a byte holds the count, and vectors do the work */
	size_t controls = 0;
	uint8_t high = 0;

	for (size_t at = 0; at < head.len; at += BLOCK) {
		size_t n = head.len - at < BLOCK ? head.len - at : BLOCK;
		const uint8_t *p = (const uint8_t *)head.p + at;
		uint8_t count = 0;

		for (size_t i = 0; i < n; i++) {
			uint8_t c = p[i];

			count = (uint8_t)(count + ((c < 0x20) & (c != '\t')) + (c == 0x7f));
			high |= c;
		}
		controls += count;
	}
	return controls == 2 * lines && (high < 0x80 || slice_is_utf8(head));
}

/* --- the head --- */

/* Cut a line with its end off the front of *rest. */
static bool next_line(struct slice *rest, struct slice *line)
{
	const char *lf = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;

	if (!lf)
		return false;
	*line = slice_head(*rest, (size_t)(lf - rest->p) + 1);
	*rest = slice_from(*rest, line->len);
	return true;
}

/* RFC 4975 9: To-Path, From-Path, then the others.  Called with the lines before this one. */
static void check_order(struct msrp_frame *f, size_t lines)
{
	if ((lines == 1 && !f->to_path.p) || (lines == 2 && !f->from_path.p))
		set_fault(f, "To-Path and From-Path do not come first");
}

/* What is known when the head is whole, or will never be. */
static void finish(struct msrp_frame *f, size_t lines, const char *headers)
{
	const char *end = f->head.p + f->head.len;

	if (headers)
		f->headers = (struct slice){headers, (size_t)(end - headers)};
	if (!is_text(f->head, lines))
		set_fault(f, "character that is no text");
	f->to_rest = f->to_path;
	if (msrp_path_next(&f->to_rest, &f->to) < 0)
		f->to = (struct msrp_uri){0};
}

/* @return 0 at the end of the head, with *badly telling whether its last line has no CR */
static int parse_lines(struct msrp_frame *f, struct slice rest, bool *badly)
{
	const char *headers = NULL;
	struct slice line;
	size_t lines = 1;
	enum msrp_line kind;

	for (;;) {
		f->head.len = (size_t)(rest.p - f->head.p);
		if (lines == 3)
			headers = rest.p;
		if (!next_line(&rest, &line))
			return -EAGAIN;
		kind = msrp_line_kind(line, f->tid);
		if (kind != MSRP_LINE_HEADER)
			break;
		parse_header(f, line);
		check_order(f, lines++);
	}
	f->has_body = kind == MSRP_LINE_BLANK;
	*badly = !ends_with_crlf(line);
	finish(f, lines, headers);
	return 0;
}

ssize_t msrp_frame_parse(struct msrp_frame *f, struct slice bytes, size_t max_head)
{
	/* The head is only known to be over when the line behind it is there. */
	size_t limit = max_head + MSRP_END_LINE_MAX;
	struct slice rest = slice_head(bytes, limit), line;
	ssize_t incomplete = bytes.len < limit ? -EAGAIN : -EMSGSIZE;
	bool badly = false, broken;
	size_t head_len;

	*f = (struct msrp_frame){.head = {bytes.p, 0}};
	if (!msrp_may_be_start_line(rest))
		return -EBADMSG;
	if (!next_line(&rest, &line))
		return incomplete;
	f->tid = msrp_start_line_tid(line);
	if (!f->tid.p)
		return -EBADMSG;
	broken = !parse_start_line(f, line);
	if (parse_lines(f, rest, &badly) < 0)
		return incomplete;
	head_len = f->head.len + (f->has_body ? 2 : 0);
	if (head_len > max_head)
		return -EMSGSIZE;
	return broken || badly ? -EBADMSG : (ssize_t)head_len;
}

/* --- values --- */

/* Sums of two such numbers do not overflow. */
static bool take_position(struct slice *rest, uint64_t *valuep)
{
	return slice_to_u64(msrp_take(rest, MSRP_DIGIT), INT64_MAX, valuep) == 0;
}

static bool take_position_or_star(struct slice *rest, uint64_t *valuep)
{
	if (!msrp_take_char(rest, '*'))
		return take_position(rest, valuep);
	*valuep = MSRP_RANGE_UNKNOWN;
	return true;
}

int msrp_byte_range_parse(struct msrp_byte_range *range, struct slice value)
{
	struct msrp_byte_range r;

	if (!take_position(&value, &r.start) || !msrp_take_char(&value, '-')
	    || !take_position_or_star(&value, &r.end) || !msrp_take_char(&value, '/')
	    || !take_position_or_star(&value, &r.total) || value.len)
		return -EBADMSG;
	if (r.start == 0 || r.end < r.start - 1 || r.total < r.start - 1)
		return -EBADMSG;
	*range = r;
	return 0;
}

static void write_position(struct msrp_writer *w, uint64_t value)
{
	if (value == MSRP_RANGE_UNKNOWN)
		msrp_write_char(w, '*');
	else
		msrp_write_number(w, value);
}

void msrp_byte_range_write(struct msrp_writer *w, const struct msrp_byte_range *range)
{
	msrp_write_number(w, range->start);
	msrp_write_char(w, '-');
	write_position(w, range->end);
	msrp_write_char(w, '/');
	write_position(w, range->total);
}

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

/* --- judging --- */

/* RFC 4975 7.1: a body needs a Content-Type.  Some write the blank line of a body that is none. */
static bool lacks_content_type(const struct msrp_frame *f)
{
	struct msrp_byte_range range;

	if (!f->has_body || f->content_type.len)
		return false;
	return msrp_byte_range_parse(&range, f->byte_range) < 0 || range.total != 0;
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
	struct msrp_byte_range range;
	uint64_t seconds; /* too many of them are another matter: 423 */

	if (f->message_id.p && !msrp_is_ident(f->message_id))
		return "bad Message-ID";
	if (f->byte_range.p && msrp_byte_range_parse(&range, f->byte_range) < 0)
		return "bad Byte-Range";
	if (f->expires.p && slice_to_u64(f->expires, UINT64_MAX, &seconds) == -EBADMSG)
		return "bad Expires";
	return f->method == MSRP_SEND || f->method == MSRP_REPORT ? judge_message(f) : NULL;
}

static const char *judge(const struct msrp_frame *f)
{
	if (f->fault)
		return f->fault;
	if (!f->to.host.p || (f->to_rest.p && msrp_path_count(f->to_rest) < 0))
		return "no To-Path or a bad one";
	if (msrp_path_count(f->from_path) < 0)
		return "no From-Path or a bad one";
	return msrp_frame_is_request(f) ? judge_request(f) : NULL;
}

int msrp_frame_check(const struct msrp_frame *f, const char **whyp)
{
	const char *why = judge(f);

	if (whyp)
		*whyp = why;
	return why ? 400 : 0;
}

/* Fit to be written into a line of ours? */
static bool is_line(struct slice s)
{
	return s.len && is_text(s, 0);
}

bool msrp_frame_answerable(const struct msrp_frame *f)
{
	return msrp_frame_is_request(f) && f->method != MSRP_REPORT && f->tid.p
	    && is_line(f->to_path) && is_line(f->from_path);
}

/* --- writing --- */

void msrp_write_request_line(struct msrp_writer *w, struct slice tid, struct slice method)
{
	msrp_write(w, SLICE("MSRP "));
	msrp_write(w, tid);
	msrp_write_char(w, ' ');
	msrp_write(w, method);
	msrp_write(w, SLICE("\r\n"));
}

static void write_code(struct msrp_writer *w, unsigned code)
{
	for (unsigned unit = 100; unit; unit /= 10)
		msrp_write_char(w, (char)('0' + code / unit % 10));
}

static void write_code_and_text(struct msrp_writer *w, unsigned code, struct slice text)
{
	write_code(w, code);
	if (text.len) {
		msrp_write_char(w, ' ');
		msrp_write(w, text);
	}
	msrp_write(w, SLICE("\r\n"));
}

void msrp_write_response_line(struct msrp_writer *w, struct slice tid, unsigned code,
    struct slice phrase)
{
	msrp_write(w, SLICE("MSRP "));
	msrp_write(w, tid);
	msrp_write_char(w, ' ');
	write_code_and_text(w, code, phrase);
}

void msrp_write_header(struct msrp_writer *w, struct slice name, struct slice value)
{
	msrp_write(w, name);
	msrp_write(w, SLICE(": "));
	msrp_write(w, value);
	msrp_write(w, SLICE("\r\n"));
}

void msrp_write_paths(struct msrp_writer *w, struct slice to_path, struct slice from_path)
{
	msrp_write_header(w, SLICE("To-Path"), to_path);
	msrp_write_header(w, SLICE("From-Path"), from_path);
}

void msrp_write_moved_paths(struct msrp_writer *w, const struct msrp_frame *f)
{
	msrp_write_header(w, SLICE("To-Path"), f->to_rest);
	msrp_write(w, SLICE("From-Path: "));
	msrp_path_write_joined(w, msrp_path_first(f->to_path), f->from_path);
	msrp_write(w, SLICE("\r\n"));
}

static void write_byte_range_header(struct msrp_writer *w, const struct msrp_byte_range *range)
{
	msrp_write(w, SLICE("Byte-Range: "));
	msrp_byte_range_write(w, range);
	msrp_write(w, SLICE("\r\n"));
}

void msrp_write_forwarded_headers(struct msrp_writer *w, const struct msrp_frame *f,
    const struct msrp_byte_range *range)
{
	size_t before;

	if (!range) {
		msrp_write(w, f->headers);
	} else if (!f->byte_range.p) {
		write_byte_range_header(w, range);
		msrp_write(w, f->headers);
	} else {
		before = (size_t)(f->byte_range.p - f->headers.p);
		msrp_write(w, slice_head(f->headers, before));
		msrp_byte_range_write(w, range);
		msrp_write(w, slice_from(f->headers, before + f->byte_range.len));
	}
}

void msrp_write_blank_line(struct msrp_writer *w)
{
	msrp_write(w, SLICE("\r\n"));
}

void msrp_write_end_line(struct msrp_writer *w, struct slice tid, enum msrp_flag flag,
    bool after_body)
{
	if (after_body)
		msrp_write(w, SLICE("\r\n"));
	msrp_write(w, SLICE("-------"));
	msrp_write(w, tid);
	msrp_write_char(w, (char)flag);
	msrp_write(w, SLICE("\r\n"));
}

void msrp_write_response_head(struct msrp_writer *w, const struct msrp_frame *request,
    unsigned code, struct slice phrase)
{
	struct slice from = request->from_path;

	msrp_write_response_line(w, request->tid, code, phrase);
	msrp_write_paths(w, request->method == MSRP_SEND ? msrp_path_first(from) : from,
	    msrp_path_first(request->to_path));
}

void msrp_write_report(struct msrp_writer *w, const struct msrp_report_text *report)
{
	msrp_write_request_line(w, report->tid, SLICE("REPORT"));
	msrp_write_paths(w, report->to_path, report->from_path);
	msrp_write_header(w, SLICE("Message-ID"), report->message_id);
	write_byte_range_header(w, &report->range);
	msrp_write(w, SLICE("Status: 000 "));
	write_code_and_text(w, report->code, report->comment);
	msrp_write_end_line(w, report->tid, MSRP_COMPLETE, false);
}
