#include "edge/head.h"

#include <errno.h>
#include <limits.h>

#include "base/chars.h"

static const struct slice absent;

static struct slice slice_at(const struct edge_head *h, struct edge_span span)
{
	return (struct slice){h->p + span.at, span.len};
}

/* --- faults --- */

/* What stays whole all the same: the rest is scanned, so that it can be answered. */
static void set_fault(struct edge_head *h, unsigned status, const char *why)
{
	if (h->status)
		return;
	h->status = status;
	h->why = why;
}

static void set_length_fault(struct edge_head *h, unsigned status, const char *why)
{
	set_fault(h, status, why);
	h->unframed = true;
}

static int over_bound(struct edge_head *h, unsigned status, const char *why)
{
	set_fault(h, status, why);
	return -EMSGSIZE;
}

/* --- the start line --- */

static const char version[] = "SIP/2.0";

static struct slice take_word(struct slice *rest)
{
	struct slice word;

	if (!slice_cut(rest, ' ', &word))
		return absent;
	return word;
}

static bool is_version(struct slice word)
{
	return slice_equal_nocase(word, slice_of(version));
}

/* SIP/1*DIGIT.1*DIGIT */
static bool is_some_version(struct slice word)
{
	struct slice digits = slice_from(word, word.len < 4 ? word.len : 4);

	return slice_starts_nocase(word, SLICE("SIP/")) && chars_take(&digits, CHARS_DIGIT).len
	    && chars_take_char(&digits, '.') && chars_take(&digits, CHARS_DIGIT).len
	    && digits.len == 0;
}

/* Tokens have "+" and "`" besides; Sofia-SIP takes no method with those. */
static bool is_method_of_sofia(struct slice method)
{
	return !memchr(method.p, '+', method.len) && !memchr(method.p, '`', method.len);
}

static struct edge_span span_of(const struct edge_head *h, struct slice s)
{
	return (struct edge_span){(uint32_t)(s.p - h->p), (uint32_t)s.len};
}

/* RFC 3261 19.1.1: not in a Request-URI. */
static bool has_headers(struct slice text)
{
	struct edge_uri uri;

	return edge_uri_parse(&uri, text) == 0 && uri.headers.p;
}

static void judge_request_line(struct edge_head *h, struct slice method, struct slice uri)
{
	if (edge_uri_is_foreign(uri))
		set_fault(h, 416, "URI scheme not supported");
	else if (!edge_uri_is_good(uri))
		set_fault(h, 400, "bad Request-URI");
	else if (has_headers(uri))
		set_fault(h, 400, "headers in Request-URI");
	else if (!is_method_of_sofia(method))
		set_fault(h, 501, "method not supported");
}

static struct slice last_word(struct slice line)
{
	struct slice text = edge_trim(line);
	const char *blank = text.len ? memrchr(text.p, ' ', text.len) : NULL;

	return blank ? slice_from(text, (size_t)(blank - text.p) + 1) : absent;
}

/* @return false: it is none of SIP's */
static bool take_request_line(struct edge_head *h, struct slice line)
{
	struct slice rest = line, method = take_word(&rest), uri = take_word(&rest);
	struct slice end = last_word(line);

	if (method.len == 0 || !is_some_version(end))
		return false;
	h->request = true;
	h->method = span_of(h, method);
	h->uri = span_of(h, uri);
	if (chars_span(method, CHARS_SIP_TOKEN) < method.len)
		set_fault(h, 400, "bad method");
	else if (rest.p != end.p || rest.len != end.len)
		set_fault(h, 400, "start line is not three words");
	else if (!is_version(end))
		set_fault(h, 505, "SIP version not supported");
	else
		judge_request_line(h, method, uri);
	return true;
}

/* The phrase is anything, or missing.  @return false: it is no response */
static bool take_status_line(struct edge_head *h, struct slice line)
{
	struct slice rest = line, first = take_word(&rest), digits = take_word(&rest);
	uint64_t code;

	if (!is_some_version(first))
		return false;
	if (!is_version(first) || digits.len != 3 || slice_to_u64(digits, 699, &code) < 0
	    || code < 100)
		set_fault(h, 400, "bad status line");
	else
		h->code = (unsigned)code;
	return true;
}

static int take_start_line(struct edge_head *h, struct slice line)
{
	if (take_status_line(h, line) || take_request_line(h, line))
		return 0;
	set_fault(h, 400, "no start line of SIP");
	return -EBADMSG;
}

/* --- header lines --- */

static const struct {
	struct slice name;
	char compact;
	bool single;
} fields[EDGE_FIELDS] = {
    [EDGE_VIA] = {.name = {"Via", 3}, .compact = 'v'},
    [EDGE_ROUTE] = {.name = {"Route", 5}},
    [EDGE_RECORD_ROUTE] = {.name = {"Record-Route", 12}},
    [EDGE_FROM] = {.name = {"From", 4}, .compact = 'f', .single = true},
    [EDGE_TO] = {.name = {"To", 2}, .compact = 't', .single = true},
    [EDGE_CALL_ID] = {.name = {"Call-ID", 7}, .compact = 'i', .single = true},
    [EDGE_CSEQ] = {.name = {"CSeq", 4}, .single = true},
    [EDGE_CONTACT] = {.name = {"Contact", 7}, .compact = 'm'},
    [EDGE_MAX_FORWARDS] = {.name = {"Max-Forwards", 12}, .single = true},
    [EDGE_CONTENT_LENGTH] = {.name = {"Content-Length", 14}, .compact = 'l', .single = true},
};

static enum edge_field find_field(struct slice name)
{
	for (size_t i = 0; i < EDGE_FIELDS; i++)
		if (slice_equal_nocase(name, fields[i].name)
		    || (name.len == 1 && fields[i].compact
			&& (name.p[0] | 0x20) == fields[i].compact))
			return (enum edge_field)i;
	return EDGE_OTHER;
}

/* HCOLON: blanks before it are legal.  @return false: there is none, or no name */
static bool cut_name(struct slice *line, struct slice *name)
{
	size_t n;

	*name = chars_take(line, CHARS_SIP_TOKEN);
	for (n = 0; n < line->len && edge_is_blank(line->p[n]); n++)
		;
	*line = slice_from(*line, n);
	return name->len && chars_take_char(line, ':');
}

struct slice edge_line_value(struct slice text)
{
	struct slice name;

	return cut_name(&text, &name) ? edge_trim(text) : absent;
}

static void take_content_length(struct edge_head *h, struct slice value)
{
	uint64_t length;
	int err = slice_to_u64(value, UINT32_MAX, &length);

	if (err == -ERANGE)
		set_length_fault(h, 513, "message too large");
	else if (err < 0)
		set_length_fault(h, 400, "bad Content-Length");
	else
		h->content_length = (uint32_t)length;
}

static void take_known(struct edge_head *h, enum edge_field field, struct edge_span line,
    struct slice value)
{
	if (!h->first[field].len)
		h->first[field] = line;
	else if (field == EDGE_CONTENT_LENGTH)
		set_length_fault(h, 400, "a header field twice");
	else if (fields[field].single)
		set_fault(h, 400, "a header field twice");
	h->last[field] = line;
	if (field == EDGE_CONTENT_LENGTH)
		take_content_length(h, value);
}

/*
 * Others end a line at a lone CR or LF as well.
 * @param line  without its CRLF
 * @return would they find another length in it, or the head's end?
 */
static bool hides_length(struct slice line)
{
	struct slice piece, name;

	for (size_t at = 0, end; at <= line.len; at = end + 1) {
		for (end = at; end < line.len && line.p[end] != '\r' && line.p[end] != '\n'; end++)
			;
		piece = (struct slice){line.p + at, end - at};
		if (piece.len == 0
		    || (cut_name(&piece, &name) && find_field(name) == EDGE_CONTENT_LENGTH))
			return true;
		if (end + 1 < line.len && line.p[end] == '\r' && line.p[end + 1] == '\n')
			end++;
	}
	return false;
}

static int take_header(struct edge_head *h, struct edge_span span, const struct edge_bounds *bounds)
{
	struct slice rest = slice_at(h, span), name;
	enum edge_field field;

	if (++h->lines > bounds->max_headers)
		return over_bound(h, 400, "too many header fields");
	if (h->stray && hides_length(slice_head(rest, rest.len - 2)))
		set_length_fault(h, 400, "a line within a line");
	h->stray = false;
	if (!cut_name(&rest, &name)) {
		set_fault(h, 400, "a header field without a name");
		return 0;
	}
	field = find_field(name);
	if (field != EDGE_OTHER)
		take_known(h, field, span, edge_trim(rest));
	return 0;
}

/* --- the whole head --- */

static bool is_address(const struct edge_head *h, enum edge_field field)
{
	return edge_value_is_address(edge_head_value(h, field));
}

static const char *judge_cseq(const struct edge_head *h)
{
	struct slice method;
	uint32_t number;

	if (edge_head_cseq(h, &number, &method) < 0)
		return "no CSeq or a bad one";
	if (h->request && !slice_equal(method, edge_head_method(h)))
		return "another method in CSeq";
	return NULL;
}

/* RFC 3261 20.22 */
static bool is_max_forwards(struct slice value)
{
	uint64_t hops;

	return slice_to_u64(value, 255, &hops) == 0;
}

/* Every line of a list has something on it: the top value is on the first line. */
static const char *judge_list(const struct edge_head *h, enum edge_field field, struct slice list)
{
	struct slice rest = list, value;
	struct edge_via via;

	if (!edge_list_cut(&rest, &value))
		return "an empty list";
	if (field != EDGE_VIA)
		return NULL;
	do
		if (value.p != h->via.value.p && edge_via_parse(&via, value) < 0)
			return "bad Via";
	while (edge_list_cut(&rest, &value));
	return NULL;
}

/* From the first line of that name to the last one: mostly they are side by side. */
static const char *judge_lines(const struct edge_head *h, enum edge_field field)
{
	size_t at = h->first[field].at;
	const char *why = NULL;
	struct edge_line line;

	while (!why && at <= h->last[field].at && edge_head_next_line(h, &at, &line))
		if (line.field == field)
			why = judge_list(h, field, edge_line_value(line.text));
	return why;
}

static const char *judge_lists(const struct edge_head *h)
{
	const char *why = NULL;

	for (enum edge_field field = EDGE_VIA; !why && field <= EDGE_RECORD_ROUTE; field++)
		if (edge_head_has(h, field))
			why = judge_lines(h, field);
	return why;
}

static const char *judge(const struct edge_head *h)
{
	const char *why = judge_cseq(h);

	if (!edge_head_has(h, EDGE_VIA))
		return "no Via";
	if (!is_address(h, EDGE_FROM))
		return "no From or a bad one";
	if (!is_address(h, EDGE_TO))
		return "no To or a bad one";
	if (edge_head_value(h, EDGE_CALL_ID).len == 0)
		return "no Call-ID";
	if (edge_head_has(h, EDGE_MAX_FORWARDS)
	    && !is_max_forwards(edge_head_value(h, EDGE_MAX_FORWARDS)))
		return "bad Max-Forwards";
	return why ? why : judge_lists(h);
}

static void judge_whole(struct edge_head *h, const struct edge_bounds *bounds)
{
	const char *why;

	if (h->len + (uint64_t)h->content_length > bounds->max_message_size)
		set_length_fault(h, 513, "message too large");
	if (h->status == 0 && (why = judge(h)))
		set_fault(h, 400, why);
}

/* --- scanning --- */

static int check_size(struct edge_head *h, const struct edge_bounds *bounds)
{
	if (h->len - h->line > bounds->max_header_size)
		return over_bound(h, 400,
		    h->start ? "a header field too long" : "start line too long");
	if (h->len > bounds->max_message_size)
		return over_bound(h, 513, "message too large");
	return 0;
}

/* To the next CR, LF or NUL, but not much further than a bound. */
static int scan_text(struct edge_head *h, struct slice bytes, const struct edge_bounds *bounds)
{
	size_t room = bounds->max_header_size + 1, used = h->len - h->line;
	struct slice rest = slice_head(slice_from(bytes, h->len), used < room ? room - used : 0);

	h->len += (uint32_t)chars_line_span(rest);
	return check_size(h, bounds);
}

/* The line in hand ends at h->len with a CRLF, and is not folded. */
static int end_line(struct edge_head *h, const struct edge_bounds *bounds)
{
	struct edge_span line = {h->line, h->len + 2 - h->line};
	int err;

	if (h->start)
		err = take_header(h, line, bounds);
	else
		err = take_start_line(h, slice_head(slice_at(h, line), line.len - 2));
	if (err < 0)
		return err;
	h->len += 2;
	h->line = h->len;
	if (!h->start)
		h->start = h->len;
	return 0;
}

static void fold_line(struct edge_head *h)
{
	h->folded = true;
	h->len += 2;
}

/* It is no part of a message, and ends no line here.  @return as scan_stop() */
static int take_stray(struct edge_head *h, char c)
{
	set_fault(h, 400, c == '\r' ? "CR without LF" : c ? "LF without CR" : "NUL");
	if (!h->start)
		return -EBADMSG;
	h->stray = h->stray || c;
	h->len++;
	return 1;
}

/* @return 0 the head ends here; 1 go on; -EAGAIN; -EBADMSG; -EMSGSIZE */
static int scan_stop(struct edge_head *h, struct slice rest, const struct edge_bounds *bounds)
{
	int err;

	if (rest.p[0] != '\r' || (rest.len > 1 && rest.p[1] != '\n'))
		return take_stray(h, rest.p[0]);
	if (rest.len > 1 && h->len == h->line) {
		h->len += 2;
		if (h->start)
			return 0;
		set_fault(h, 400, "no start line");
		return -EBADMSG;
	}
	if (rest.len < 3)
		return -EAGAIN;
	if (h->start && (rest.p[2] == ' ' || rest.p[2] == '\t')) {
		fold_line(h);
		return 1;
	}
	err = end_line(h, bounds);
	return err < 0 ? err : 1;
}

static void note_via(struct edge_head *h)
{
	struct edge_via via;

	if (edge_head_via(h, &via) < 0)
		return;
	h->via = via;
	h->via_p = h->p;
}

static int scan(struct edge_head *head, struct slice bytes, const struct edge_bounds *bounds)
{
	int next;

	head->p = bytes.p;
	do {
		if (scan_text(head, bytes, bounds) < 0)
			return -EMSGSIZE;
		if (head->len == bytes.len)
			return -EAGAIN;
		next = scan_stop(head, slice_from(bytes, head->len), bounds);
	} while (next > 0);
	if (next == 0)
		note_via(head);
	return next;
}

int edge_head_scan(struct edge_head *head, struct slice bytes, const struct edge_bounds *bounds)
{
	int err = scan(head, bytes, bounds);

	if (err == 0)
		judge_whole(head, bounds);
	return err;
}

int edge_head_scan_own(struct edge_head *head, struct slice bytes)
{
	const struct edge_bounds all = {
	    .max_message_size = bytes.len,
	    .max_header_size = bytes.len,
	    .max_headers = UINT_MAX,
	};

	return scan(head, bytes, &all);
}

/* --- reading --- */

struct slice edge_head_text(const struct edge_head *head)
{
	return (struct slice){head->p, head->len};
}

struct slice edge_head_method(const struct edge_head *head)
{
	return head->request ? slice_at(head, head->method) : absent;
}

struct slice edge_head_uri(const struct edge_head *head)
{
	return head->request ? slice_at(head, head->uri) : absent;
}

struct slice edge_head_phrase(const struct edge_head *head)
{
	struct slice rest = slice_head(edge_head_text(head), head->start);

	if (head->request)
		return absent;
	take_word(&rest);
	take_word(&rest);
	return edge_trim(rest);
}

bool edge_head_has(const struct edge_head *head, enum edge_field field)
{
	return head->first[field].len > 0;
}

struct slice edge_head_value(const struct edge_head *head, enum edge_field field)
{
	if (!edge_head_has(head, field))
		return absent;
	return edge_line_value(slice_at(head, head->first[field]));
}

struct slice edge_head_top(const struct edge_head *head, enum edge_field field)
{
	struct slice rest = edge_head_value(head, field), top;

	return edge_list_cut(&rest, &top) ? top : absent;
}

struct slice edge_head_tag(const struct edge_head *head, enum edge_field field)
{
	return edge_value_param(edge_head_value(head, field), SLICE("tag"));
}

int edge_head_cseq(const struct edge_head *head, uint32_t *numberp, struct slice *methodp)
{
	struct slice rest = edge_head_value(head, EDGE_CSEQ);
	struct slice digits = chars_take(&rest, CHARS_DIGIT), method = edge_trim(rest);
	uint64_t number;

	if (slice_to_u64(digits, UINT32_MAX, &number) < 0 || method.len == 0
	    || method.len == rest.len || chars_span(method, CHARS_SIP_TOKEN) < method.len)
		return -EBADMSG;
	*numberp = (uint32_t)number;
	*methodp = method;
	return 0;
}

static void move(struct slice *s, const struct edge_head *head)
{
	if (s->p)
		s->p = head->p + (s->p - head->via_p);
}

/* @param via  as it lay where the head was then */
static void move_via(struct edge_via *via, const struct edge_head *head)
{
	move(&via->value, head);
	move(&via->transport, head);
	move(&via->sent_by, head);
	move(&via->host, head);
	move(&via->params, head);
	move(&via->branch, head);
	move(&via->received, head);
}

int edge_head_via(const struct edge_head *head, struct edge_via *via)
{
	struct slice top;

	if (!head->via.value.p) {
		top = edge_head_top(head, EDGE_VIA);
		return top.p ? edge_via_parse(via, top) : -ENOENT;
	}
	*via = head->via;
	if (head->p != head->via_p)
		move_via(via, head);
	return 0;
}

/* Of the first line of text, with what is folded. */
static size_t line_len(struct slice text)
{
	struct slice rest = text, line;

	do
		slice_cut(&rest, '\n', &line);
	while (rest.len && (rest.p[0] == ' ' || rest.p[0] == '\t'));
	return text.len - rest.len;
}

bool edge_head_next_line(const struct edge_head *head, size_t *at, struct edge_line *line)
{
	struct slice rest = slice_head(edge_head_text(head), head->line);

	if (*at == 0)
		*at = head->start;
	rest = slice_from(rest, *at);
	if (rest.len == 0)
		return false;
	line->text = slice_head(rest, line_len(rest));
	*at += line->text.len;
	rest = line->text;
	line->field = cut_name(&rest, &line->name) ? find_field(line->name) : EDGE_OTHER;
	return true;
}

struct slice edge_head_next_hop(const struct edge_head *head, unsigned skip)
{
	struct edge_line line;
	struct slice rest, value;
	size_t at = 0;

	while (edge_head_next_line(head, &at, &line)) {
		if (line.field != EDGE_ROUTE)
			continue;
		rest = edge_line_value(line.text);
		while (edge_list_cut(&rest, &value))
			if (skip-- == 0)
				return edge_value_uri(value);
	}
	return edge_head_uri(head);
}
