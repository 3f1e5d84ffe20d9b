#include "wire/nickname.h"

#include <errno.h>

/* RFC 4975 9, qdtext: UTF8-NONASCII is judged for the whole. */
static bool is_qdtext(char c)
{
	return c == '\t' || ((unsigned char)c >= ' ' && c != '"' && c != '\\' && c != 0x7f);
}

ssize_t msrp_nickname_parse(char text[MSRP_NICKNAME_MAX], struct slice value)
{
	size_t len = 0;

	if (value.len < 2 || value.p[0] != '"' || value.p[value.len - 1] != '"')
		return -EBADMSG;
	value = (struct slice){value.p + 1, value.len - 2};
	while (value.len) {
		bool escaped = value.p[0] == '\\';

		if (escaped && (value.len < 2 || (value.p[1] != '"' && value.p[1] != '\\')))
			return -EBADMSG;
		if ((!escaped && !is_qdtext(value.p[0])) || len == MSRP_NICKNAME_MAX)
			return -EBADMSG;
		text[len++] = value.p[escaped];
		value = slice_from(value, escaped ? 2 : 1);
	}
	return slice_is_utf8((struct slice){text, len}) ? (ssize_t)len : -EBADMSG;
}
