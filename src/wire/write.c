#include "wire/write.h"

#include "wire/byte_range.h"
#include "wire/path.h"

void msrp_write_request_line(struct buffer *w, struct slice tid, struct slice method)
{
	buffer_add(w, SLICE("MSRP "));
	buffer_add(w, tid);
	buffer_add_char(w, ' ');
	buffer_add(w, method);
	buffer_add(w, SLICE("\r\n"));
}

static void write_digits(struct buffer *w, unsigned code)
{
	for (unsigned unit = 100; unit; unit /= 10)
		buffer_add_char(w, (char)('0' + code / unit % 10));
}

void msrp_write_code(struct buffer *w, unsigned code, struct slice text)
{
	write_digits(w, code);
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
	msrp_write_code(w, code, phrase.len ? phrase : usual_phrase(code));
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
