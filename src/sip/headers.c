/* Header lines: a header as text, and those that rules and services may add to a message. */
#include <ctype.h>
#include <string.h>

#include <sofia-sip/msg_header.h>

#include <msrpd/request.h>

#include "sip/priv.h"

/*
 * In a buffer of the very size that it asks for Sofia leaves the last piece out, as
 * sip_header_as_string() does.
 */
struct slice sip_header_value(su_home_t *home, const void *h, int flags)
{
	char none[1], *text;
	issize_t len = msg_header_field_e(none, sizeof(none), h, flags);

	text = len < 0 ? NULL : su_alloc(home, (isize_t)len + 2);
	if (!text)
		return (struct slice){0};
	msg_header_field_e(text, (isize_t)len + 2, h, flags);
	return slice_trim(slice_of(text));
}

const char *const sip_own_headers[] = {"Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq",
    "Contact", "m", "Route", "Record-Route", "Max-Forwards", "Content-", "c", "l", "e", NULL};

static bool is_header_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.p[i]) && !strchr("-.!%*_+`'~", name.p[i]))
			return false;
	return name.len > 0;
}

bool sip_headers_are_free(struct slice lines)
{
	struct slice line = {0}, name;

	while (slice_cut(&lines, '\n', &line) && lines.p) {
		if (line.len == 0 || line.p[line.len - 1] != '\r')
			return false;
		line.len--;
		if (memchr(line.p, '\r', line.len) || memchr(line.p, '\0', line.len)
		    || !slice_cut(&line, ':', &name) || !line.p || !is_header_name(name)
		    || slice_is_listed(name, sip_own_headers))
			return false;
	}
	return line.len == 0;
}

char *sip_header_lines(struct slice headers)
{
	struct slice rest = headers, line;

	/* An empty line would begin a body. */
	while (slice_cut(&rest, '\n', &line) && rest.p)
		if (line.len == 0 || line.p[0] == '\r')
			return NULL;
	return slice_dup(headers);
}
