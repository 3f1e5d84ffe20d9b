#include "wire/write.h"

#include "base/extend.h"
#include "wire/byte_range.h"
#include "wire/path.h"

/* What each line needs is counted first, and then written without further questions. */

void msrp_write_request_line(struct buffer *w, struct slice tid, struct slice method)
{
	char *p = buffer_extend(w, 5 + tid.len + 1 + method.len + 2);

	if (!p)
		return;
	p = slice_put(p, SLICE("MSRP "));
	p = slice_put(p, tid);
	*p++ = ' ';
	p = slice_put(p, method);
	slice_put(p, SLICE("\r\n"));
}

static char *put_digits(char *p, unsigned code)
{
	*p++ = (char)('0' + code / 100 % 10);
	*p++ = (char)('0' + code / 10 % 10);
	*p++ = (char)('0' + code % 10);
	return p;
}

static size_t code_len(struct slice text)
{
	return 3 + (text.len ? 1 + text.len : 0) + 2;
}

static char *put_code(char *p, unsigned code, struct slice text)
{
	p = put_digits(p, code);
	if (text.len) {
		*p++ = ' ';
		p = slice_put(p, text);
	}
	return slice_put(p, SLICE("\r\n"));
}

void msrp_write_code(struct buffer *w, unsigned code, struct slice text)
{
	char *p = buffer_extend(w, code_len(text));

	if (p)
		put_code(p, code, text);
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
	struct slice text = phrase.len ? phrase : usual_phrase(code);
	char *p = buffer_extend(w, 5 + tid.len + 1 + code_len(text));

	if (!p)
		return;
	p = slice_put(p, SLICE("MSRP "));
	p = slice_put(p, tid);
	*p++ = ' ';
	put_code(p, code, text);
}

static inline size_t header_len(struct slice name, struct slice value)
{
	return name.len + 2 + value.len + 2;
}

static inline char *put_header(char *p, struct slice name, struct slice value)
{
	p = slice_put(p, name);
	p = slice_put(p, SLICE(": "));
	p = slice_put(p, value);
	return slice_put(p, SLICE("\r\n"));
}

void msrp_write_header(struct buffer *w, struct slice name, struct slice value)
{
	char *p = buffer_extend(w, header_len(name, value));

	if (p)
		put_header(p, name, value);
}

void msrp_write_paths(struct buffer *w, struct slice to_path, struct slice from_path)
{
	char *p = buffer_extend(w,
	    header_len(SLICE("To-Path"), to_path) + header_len(SLICE("From-Path"), from_path));

	if (!p)
		return;
	p = put_header(p, SLICE("To-Path"), to_path);
	put_header(p, SLICE("From-Path"), from_path);
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

void msrp_write_byte_range(struct buffer *w, const struct byte_range *range)
{
	buffer_add(w, SLICE("Byte-Range: "));
	msrp_byte_range_write(w, range);
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_blank_line(struct buffer *w)
{
	buffer_add(w, SLICE("\r\n"));
}

void msrp_write_end_line(struct buffer *w, struct slice tid, enum msrp_flag flag, bool after_body)
{
	struct slice start = after_body ? SLICE("\r\n-------") : SLICE("-------");
	char *p = buffer_extend(w, start.len + tid.len + 3);

	if (!p)
		return;
	p = slice_put(p, start);
	p = slice_put(p, tid);
	*p++ = (char)flag;
	slice_put(p, SLICE("\r\n"));
}

void msrp_write_response_head(struct buffer *w, const struct msrp_frame *request, unsigned code,
    struct slice phrase)
{
	msrp_write_response_line(w, request->tid, code, phrase);
	msrp_write_paths(w,
	    request->method == MSRP_SEND ? msrp_frame_from_first(request) : request->from_path,
	    msrp_frame_to_first(request));
}
