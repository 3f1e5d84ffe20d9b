#include "wire/frame.h"

#include <errno.h>

#include "base/chars.h"
#include "wire/byte_range.h"
#include "wire/frame_priv.h"
#include "wire/path.h"

/* --- lines --- */

/* Four to max characters of CHARS_IDENT. */
static bool may_be_ident(struct slice s, size_t max)
{
	return s.len >= 4 && s.len <= max && chars_is(s.p[0], CHARS_ALPHANUM);
}

bool msrp_is_ident(struct slice s, size_t max)
{
	return may_be_ident(s, max) && chars_span(s, CHARS_IDENT) == s.len;
}

/* utf8text: no control characters but tabs. */
bool msrp_is_text(struct slice s)
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

/* The same of a line without its end that does not begin with a letter. */
static enum msrp_line odd_line_kind(struct slice text, struct slice tid)
{
	if (text.len == 0 || text.p[0] == '\r')
		return MSRP_LINE_BLANK;
	return is_end_line(text, tid) ? MSRP_LINE_END : MSRP_LINE_HEADER;
}

static inline enum msrp_line line_kind(struct slice text, struct slice tid)
{
	return text.len && text.p[0] > '-' ? MSRP_LINE_HEADER : odd_line_kind(text, tid);
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
static inline struct slice find_tid(struct slice text)
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

#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE bool is(struct slice name, const char *known, bool exactly)
{
	return exactly ? memcmp(name.p, known, strlen(known)) == 0
		       : strncasecmp(name.p, known, strlen(known)) == 0;
}

/* Where the value of a header goes that we know; NULL for others. */
static ALWAYS_INLINE struct slice *find_by_name(struct msrp_frame *f, struct slice name,
    bool exactly)
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

static __attribute__((noinline)) struct slice *find_in_any_case(struct msrp_frame *f,
    struct slice name)
{
	return find_by_name(f, name, false);
}

/* Mostly the case is the usual one, which is quicker to see. */
static struct slice *find_field(struct msrp_frame *f, struct slice name)
{
	struct slice *field = find_by_name(f, name, true);

	return field ? field : find_in_any_case(f, name);
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
	if (!msrp_is_text(line->text))
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
	f->to_first = (uint32_t)msrp_path_first(f->to_path).len;
	f->from_first = (uint32_t)msrp_path_first(f->from_path).len;
	f->to_rest = f->to_path;
	if (msrp_path_next(&f->to_rest, &f->to) <= 0) {
		f->to = (struct msrp_uri){0};
		return;
	}
	f->good_paths =
	    (!f->to_rest.p || msrp_path_count(f->to_rest) > 0) && msrp_path_count(f->from_path) > 0;
}

/* Are the two lines of paths, and their ends, as they were in before?  Then none is looked at. */
static bool take_same_paths(struct msrp_frame *f, struct slice *rest,
    const struct msrp_frame *before)
{
	const struct slice *lines = &before->path_lines;

	if (!lines->len || rest->len < lines->len || memcmp(rest->p, lines->p, lines->len) != 0)
		return false;
	f->path_lines = (struct slice){rest->p, lines->len};
	f->to_path = (struct slice){rest->p + (before->to_path.p - lines->p), before->to_path.len};
	f->from_path =
	    (struct slice){rest->p + (before->from_path.p - lines->p), before->from_path.len};
	f->to = before->to;
	f->to_rest = before->to_rest;
	f->to_first = before->to_first;
	f->from_first = before->from_first;
	f->good_paths = before->good_paths;
	f->same_paths = true;
	*rest = slice_from(*rest, lines->len);
	return true;
}

static inline struct slice first_of(struct slice path, uint32_t len)
{
	return len ? slice_head(path, len) : msrp_path_first(path);
}

struct slice msrp_frame_to_first(const struct msrp_frame *f)
{
	return first_of(f->to_path, f->to_first);
}

struct slice msrp_frame_from_first(const struct msrp_frame *f)
{
	return first_of(f->from_path, f->from_first);
}

/* What is known when the head is whole. */
static void finish(struct msrp_frame *f, const char *headers)
{
	const char *end = f->head.p + f->head.len;

	if (headers)
		f->headers = (struct slice){headers, (size_t)(end - headers)};
	f->range = (struct byte_range){1, BYTE_RANGE_UNKNOWN, BYTE_RANGE_UNKNOWN};
	if (f->byte_range.p && msrp_byte_range_parse(&f->range, f->byte_range) < 0)
		f->range.start = 0;
	if (!f->same_paths)
		judge_paths(f);
}

/* @return 0 at the end of the head, with *badly telling whether its last line has no CR */
static int parse_lines(struct msrp_frame *f, struct slice rest, const struct msrp_frame *before,
    bool *badly)
{
	const char *first = rest.p, *headers = NULL;
	struct line line;
	enum msrp_line kind;
	size_t lines = before && take_same_paths(f, &rest, before) ? 3 : 1;

	for (;; lines++) {
		f->head.len = (size_t)(rest.p - f->head.p);
		if (lines == 3) {
			headers = rest.p;
			if (!f->fault)
				f->path_lines = (struct slice){first, (size_t)(headers - first)};
		}
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
	finish(f, headers);
	return 0;
}

ssize_t msrp_frame_parse_next(struct msrp_frame *f, struct slice bytes, size_t max_head,
    const struct msrp_frame_pair *before)
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
	if (parse_lines(f, rest, msrp_frame_is_request(f) ? before->request : before->response,
		&badly)
	    < 0)
		return incomplete;
	head_len = f->head.len + (f->has_body ? 2 : 0);
	if (head_len > max_head)
		return -EMSGSIZE;
	return broken || badly ? -EBADMSG : (ssize_t)head_len;
}

ssize_t msrp_frame_parse(struct msrp_frame *f, struct slice bytes, size_t max_head)
{
	return msrp_frame_parse_next(f, bytes, max_head, &(struct msrp_frame_pair){NULL, NULL});
}
