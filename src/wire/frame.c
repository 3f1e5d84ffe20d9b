#include "wire/frame.h"

#include <errno.h>

#include "base/chars.h"
#include "wire/frame_priv.h"
#include "wire/path.h"

/* --- lines --- */

/* Four to max characters of CHARS_IDENT. */
static bool may_be_ident(struct slice s, size_t max)
{
	return s.len >= 4 && s.len <= max && chars_is(s.p[0], CHARS_ALPHANUM);
}

static bool is_ident(struct slice s, size_t max)
{
	return may_be_ident(s, max) && chars_span(s, CHARS_IDENT) == s.len;
}

bool msrp_is_ident(struct slice s)
{
	return is_ident(s, MSRP_TID_MAX);
}

/* Without the CRLF, or the bare LF, at its end. */
static struct slice without_end(struct slice line)
{
	line.len--;
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_end_line(struct slice text, struct slice tid)
{
	size_t len = 7 + tid.len + 1;

	return text.len >= len && (text.len == len || text.p[len] == '\r')
	    && memcmp(text.p, "-------", 7) == 0 && memcmp(text.p + 7, tid.p, tid.len) == 0
	    && memchr("$+#", text.p[len - 1], 3);
}

/* The same of a line without its end. */
static enum msrp_line line_kind(struct slice text, struct slice tid)
{
	/* Hardly a line gets further than this: a name begins with a letter. */
	if (text.len && text.p[0] > '-')
		return MSRP_LINE_HEADER;
	if (text.len == 0 || text.p[0] == '\r')
		return MSRP_LINE_BLANK;
	return is_end_line(text, tid) ? MSRP_LINE_END : MSRP_LINE_HEADER;
}

enum msrp_line msrp_line_kind(struct slice line, struct slice tid)
{
	return line_kind(without_end(line), tid);
}

bool msrp_may_be_start_line(struct slice bytes)
{
	return bytes.len == 0 || memcmp(bytes.p, "MSRP ", bytes.len < 5 ? bytes.len : 5) == 0;
}

/* Of a start line without its end. */
static struct slice find_tid(struct slice text)
{
	struct slice rest, tid;

	if (text.len < 5 || memcmp(text.p, "MSRP ", 5) != 0)
		return (struct slice){NULL, 0};
	rest = slice_from(text, 5);
	tid = chars_take(&rest, CHARS_IDENT);
	if (!may_be_ident(tid, MSRP_TID_MAX) || (rest.len && rest.p[0] != ' '))
		return (struct slice){NULL, 0};
	return tid;
}

/* What follows a CR inside is another line, or another frame even: the framing is lost. */
static struct slice find_tid_unless_cr(struct slice text)
{
	if (text.len && memchr(text.p, '\r', text.len))
		return (struct slice){NULL, 0};
	return find_tid(text);
}

struct slice msrp_start_line_tid(struct slice line)
{
	return find_tid_unless_cr(without_end(line));
}

static enum msrp_method find_method(struct slice text)
{
	static const struct {
		struct slice text;
		enum msrp_method method;
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
	struct slice digits = chars_take(&rest, CHARS_DIGIT);
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
static bool parse_start_line(struct msrp_frame *f, struct slice text)
{
	struct slice rest = slice_from(text, 5 + f->tid.len);

	f->method = MSRP_OTHER;
	if (!chars_take_char(&rest, ' '))
		return false;
	if (rest.len && chars_is(rest.p[0], CHARS_DIGIT)) {
		f->method = MSRP_NO_METHOD;
		return parse_status_line(f, rest);
	}
	f->method_text = chars_take(&rest, CHARS_TOKEN);
	f->method = find_method(f->method_text);
	return f->method_text.len && rest.len == 0;
}

/* --- headers --- */

static inline bool is(struct slice name, const char *known, bool exactly)
{
	return exactly ? memcmp(name.p, known, strlen(known)) == 0
		       : strncasecmp(name.p, known, strlen(known)) == 0;
}

/* Where the value of a header goes that we know; NULL for others. */
static inline __attribute__((always_inline)) struct slice *find_by_name(struct msrp_frame *f,
    struct slice name, bool exactly)
{
	switch (name.len) {
	case 6:
		return is(name, "Status", exactly) ? &f->status : NULL;
	case 7:
		return is(name, "To-Path", exactly) ? &f->to_path
		    : is(name, "Expires", exactly)  ? &f->expires
						    : NULL;
	case 8:
		return is(name, "Use-Path", exactly) ? &f->use_path : NULL;
	case 9:
		return is(name, "From-Path", exactly) ? &f->from_path : NULL;
	case 10:
		return is(name, "Message-ID", exactly) ? &f->message_id
		    : is(name, "Byte-Range", exactly)  ? &f->byte_range
						       : NULL;
	case 11:
		return is(name, "Min-Expires", exactly) ? &f->min_expires
		    : is(name, "Max-Expires", exactly)  ? &f->max_expires
							: NULL;
	case 12:
		return is(name, "Content-Type", exactly) ? &f->content_type
		    : is(name, "Use-Nickname", exactly)  ? &f->use_nickname
							 : NULL;
	case 13:
		return is(name, "Authorization", exactly) ? &f->authorization : NULL;
	case 14:
		return is(name, "Success-Report", exactly) ? &f->success_report
		    : is(name, "Failure-Report", exactly)  ? &f->failure_report
							   : NULL;
	case 16:
		return is(name, "WWW-Authenticate", exactly) ? &f->www_authenticate
		    : is(name, "Content-Encoding", exactly)  ? &f->content_encoding
							     : NULL;
	case 19:
		return is(name, "Authentication-Info", exactly) ? &f->authentication_info : NULL;
	default:
		return NULL;
	}
}

/* Mostly the case is the usual one, which is quicker to see. */
static struct slice *find_field(struct msrp_frame *f, struct slice name)
{
	struct slice *field = find_by_name(f, name, true);

	return field ? field : find_by_name(f, name, false);
}

static bool is_header_name(struct slice name)
{
	return name.len && chars_is(name.p[0], CHARS_ALPHA)
	    && chars_span(name, CHARS_TOKEN) == name.len;
}

static void parse_header(struct msrp_frame *f, struct slice text)
{
	struct slice name = slice_head(text, chars_find_near(text, ':')), *field;

	field = find_field(f, name);
	if (name.len == text.len || (!field && !is_header_name(name)))
		set_fault(f, "line that is no header");
	else if (field && field->p)
		set_fault(f, "header given twice");
	else if (field)
		*field = slice_trim(slice_from(text, name.len + 1));
}

/* utf8text: no control characters but tabs. */
static bool is_text(struct slice s)
{
	bool ascii = true;

	for (size_t n = chars_printable_span(s); n < s.len;
	     n += 1 + chars_printable_span(slice_from(s, n + 1))) {
		unsigned char c = (unsigned char)s.p[n];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
		ascii = ascii && c < 0x80;
	}
	return ascii || slice_is_utf8(s);
}

/* --- the head --- */

struct line {
	struct slice text; /* without its end */
	bool has_cr;
	bool printable; /* and ASCII, all of it */
};

/* Cut a line with its end off the front of *rest: each byte is looked at once. */
static inline bool next_line(struct slice *rest, struct line *line)
{
	size_t n = chars_printable_span(*rest);
	const char *lf;

	line->printable = rest->len - n >= 2 && rest->p[n] == '\r' && rest->p[n + 1] == '\n';
	if (line->printable) {
		line->text = slice_head(*rest, n);
		line->has_cr = true;
		*rest = slice_from(*rest, n + 2);
		return true;
	}
	/* Hardly any line ends otherwise. */
	lf = rest->len > n ? memchr(rest->p + n, '\n', rest->len - n) : NULL;
	if (!lf)
		return false;
	n = (size_t)(lf - rest->p) + 1;
	line->text = without_end(slice_head(*rest, n));
	line->has_cr = n - line->text.len == 2;
	*rest = slice_from(*rest, n);
	return true;
}

static void judge_line(struct msrp_frame *f, const struct line *line)
{
	if (line->printable)
		return;
	if (!line->has_cr)
		set_fault(f, "line ended by a bare LF");
	if (!is_text(line->text))
		set_fault(f, "character that is no text");
}

/* RFC 4975 9: To-Path, From-Path, then the others.  Called with the lines before this one. */
static void check_order(struct msrp_frame *f, size_t lines)
{
	if ((lines == 1 && !f->to_path.p) || (lines == 2 && !f->from_path.p))
		set_fault(f, "To-Path and From-Path do not come first");
}

static void judge_paths(struct msrp_frame *f)
{
	f->to_rest = f->to_path;
	if (msrp_path_next(&f->to_rest, &f->to) <= 0) {
		f->to = (struct msrp_uri){0};
		return;
	}
	f->good_paths =
	    (!f->to_rest.p || msrp_path_count(f->to_rest) > 0) && msrp_path_count(f->from_path) > 0;
}

static void read_paths(struct msrp_frame *f, const struct msrp_frame *before)
{
	if (!before || !slice_equal(f->to_path, before->to_path)
	    || !slice_equal(f->from_path, before->from_path)) {
		judge_paths(f);
		return;
	}
	f->to = before->to;
	f->to_rest = before->to_rest;
	f->good_paths = before->good_paths;
}

/* What is known when the head is whole. */
static void finish(struct msrp_frame *f, const char *headers, const struct msrp_frame *before)
{
	const char *end = f->head.p + f->head.len;

	if (headers)
		f->headers = (struct slice){headers, (size_t)(end - headers)};
	f->range = (struct byte_range){1, BYTE_RANGE_UNKNOWN, BYTE_RANGE_UNKNOWN};
	if (f->byte_range.p && msrp_byte_range_parse(&f->range, f->byte_range) < 0)
		f->range.start = 0;
	read_paths(f, before);
}

/* @return 0 at the end of the head, with *badly telling whether its last line has no CR */
static int parse_lines(struct msrp_frame *f, struct slice rest, const struct msrp_frame *before,
    bool *badly)
{
	const char *headers = NULL;
	struct line line;
	enum msrp_line kind;

	for (size_t lines = 1;; lines++) {
		f->head.len = (size_t)(rest.p - f->head.p);
		if (lines == 3)
			headers = rest.p;
		if (!next_line(&rest, &line))
			return -EAGAIN;
		kind = line_kind(line.text, f->tid);
		if (kind != MSRP_LINE_HEADER)
			break;
		parse_header(f, line.text);
		judge_line(f, &line);
		check_order(f, lines);
	}
	f->has_body = kind == MSRP_LINE_BLANK;
	*badly = !line.printable;
	finish(f, headers, before);
	return 0;
}

ssize_t msrp_frame_parse_next(struct msrp_frame *f, struct slice bytes, size_t max_head,
    const struct msrp_frame *before)
{
	/* The head is only known to be over when the line behind it is there. */
	size_t limit = max_head + MSRP_END_LINE_MAX;
	struct slice rest = slice_head(bytes, limit);
	ssize_t incomplete = bytes.len < limit ? -EAGAIN : -EMSGSIZE;
	bool badly = false, broken;
	struct line line;
	size_t head_len;

	*f = (struct msrp_frame){.head = {bytes.p, 0}};
	if (!msrp_may_be_start_line(rest))
		return -EBADMSG;
	if (!next_line(&rest, &line))
		return incomplete;
	f->tid = line.printable ? find_tid(line.text) : find_tid_unless_cr(line.text);
	if (!f->tid.p)
		return -EBADMSG;
	broken = !parse_start_line(f, line.text) || !line.has_cr;
	judge_line(f, &line);
	if (parse_lines(f, rest, before, &badly) < 0)
		return incomplete;
	head_len = f->head.len + (f->has_body ? 2 : 0);
	if (head_len > max_head)
		return -EMSGSIZE;
	return broken || badly ? -EBADMSG : (ssize_t)head_len;
}

ssize_t msrp_frame_parse(struct msrp_frame *f, struct slice bytes, size_t max_head)
{
	return msrp_frame_parse_next(f, bytes, max_head, NULL);
}

/* --- values --- */

/* Sums of two such numbers do not overflow. */
static bool take_position(struct slice *rest, uint64_t *valuep)
{
	return slice_to_u64(chars_take(rest, CHARS_DIGIT), INT64_MAX, valuep) == 0;
}

static bool take_position_or_star(struct slice *rest, uint64_t *valuep)
{
	if (!chars_take_char(rest, '*'))
		return take_position(rest, valuep);
	*valuep = BYTE_RANGE_UNKNOWN;
	return true;
}

int msrp_byte_range_parse(struct byte_range *range, struct slice value)
{
	struct byte_range r;

	if (!take_position(&value, &r.start) || !chars_take_char(&value, '-')
	    || !take_position_or_star(&value, &r.end) || !chars_take_char(&value, '/')
	    || !take_position_or_star(&value, &r.total) || value.len)
		return -EBADMSG;
	if (r.start == 0 || r.end < r.start - 1 || r.total < r.start - 1)
		return -EBADMSG;
	*range = r;
	return 0;
}

static void write_position(struct buffer *w, uint64_t value)
{
	if (value == BYTE_RANGE_UNKNOWN)
		buffer_add_char(w, '*');
	else
		buffer_add_number(w, value);
}

void msrp_byte_range_write(struct buffer *w, const struct byte_range *range)
{
	buffer_add_number(w, range->start);
	buffer_add_char(w, '-');
	write_position(w, range->end);
	buffer_add_char(w, '/');
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

	if (f->message_id.p && !is_ident(f->message_id, MSRP_MESSAGE_ID_MAX))
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
	    && (!f->fault || (is_text(f->to_path) && is_text(f->from_path)));
}

/* --- writing --- */

void msrp_write_request_line(struct buffer *w, struct slice tid, struct slice method)
{
	buffer_add(w, SLICE("MSRP "));
	buffer_add(w, tid);
	buffer_add_char(w, ' ');
	buffer_add(w, method);
	buffer_add(w, SLICE("\r\n"));
}

static void write_code(struct buffer *w, unsigned code)
{
	for (unsigned unit = 100; unit; unit /= 10)
		buffer_add_char(w, (char)('0' + code / unit % 10));
}

static void write_code_and_text(struct buffer *w, unsigned code, struct slice text)
{
	write_code(w, code);
	if (text.len) {
		buffer_add_char(w, ' ');
		buffer_add(w, text);
	}
	buffer_add(w, SLICE("\r\n"));
}

/* RFC 4975 section 10, RFC 4976 section 6.3, RFC 7701 section 7.3 */
static struct slice usual_phrase(unsigned code)
{
	static const struct {
		unsigned code;
		const char *phrase;
	} phrases[] = {
	    {200, "OK"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {408, "Timeout"},
	    {413, "Stop Sending"},
	    {415, "Unsupported Media Type"},
	    {423, "Interval Out-of-Bounds"},
	    {424, "Malformed Nickname"},
	    {425, "Nickname Reserved"},
	    {428, "Private Messages Not Supported"},
	    {481, "No Such Session"},
	    {501, "Unknown Method"},
	    {506, "Session Already Bound"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].code == code)
			return slice_of(phrases[i].phrase);
	return code < 300 ? SLICE("OK") : SLICE("Failed");
}

/* Kamailio takes a status line without a phrase, which RFC 4975 allows, for a request. */
void msrp_write_response_line(struct buffer *w, struct slice tid, unsigned code,
    struct slice phrase)
{
	buffer_add(w, SLICE("MSRP "));
	buffer_add(w, tid);
	buffer_add_char(w, ' ');
	write_code_and_text(w, code, phrase.len ? phrase : usual_phrase(code));
}

void msrp_write_header(struct buffer *w, struct slice name, struct slice value)
{
	buffer_add(w, name);
	buffer_add(w, SLICE(": "));
	buffer_add(w, value);
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_paths(struct buffer *w, struct slice to_path, struct slice from_path)
{
	msrp_write_header(w, SLICE("To-Path"), to_path);
	msrp_write_header(w, SLICE("From-Path"), from_path);
}

static void write_byte_range_header(struct buffer *w, const struct byte_range *range)
{
	buffer_add(w, SLICE("Byte-Range: "));
	msrp_byte_range_write(w, range);
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_forwarded_headers(struct buffer *w, const struct msrp_frame *f, bool open_end)
{
	const char *dash, *slash, *end;

	if (!open_end) {
		buffer_add(w, f->headers);
		return;
	}
	dash = memchr(f->byte_range.p, '-', f->byte_range.len);
	slash = memrchr(f->byte_range.p, '/', f->byte_range.len);
	end = f->headers.p + f->headers.len;
	buffer_add(w, slice_head(f->headers, (size_t)(dash - f->headers.p) + 1));
	buffer_add_char(w, '*');
	buffer_add(w, (struct slice){slash, (size_t)(end - slash)});
}

void msrp_write_blank_line(struct buffer *w)
{
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_end_line(struct buffer *w, struct slice tid, enum msrp_flag flag, bool after_body)
{
	if (after_body)
		buffer_add(w, SLICE("\r\n"));
	buffer_add(w, SLICE("-------"));
	buffer_add(w, tid);
	buffer_add_char(w, (char)flag);
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_response_head(struct buffer *w, const struct msrp_frame *request, unsigned code,
    struct slice phrase)
{
	struct slice from = request->from_path;

	msrp_write_response_line(w, request->tid, code, phrase);
	msrp_write_paths(w, request->method == MSRP_SEND ? msrp_path_first(from) : from,
	    msrp_path_first(request->to_path));
}

void msrp_write_report(struct buffer *w, const struct msrp_report_text *report)
{
	msrp_write_request_line(w, report->tid, SLICE("REPORT"));
	msrp_write_paths(w, report->to_path, report->from_path);
	msrp_write_header(w, SLICE("Message-ID"), report->message_id);
	write_byte_range_header(w, &report->range);
	buffer_add(w, SLICE("Status: 000 "));
	write_code_and_text(w, report->code, report->comment);
	msrp_write_end_line(w, report->tid, MSRP_COMPLETE, false);
}
