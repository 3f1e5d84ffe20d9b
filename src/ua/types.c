#include "ua/types.h"

#include <errno.h>
#include <string.h>

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
	    || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_char(s.p[i]))
			return false;
	return s.len > 0;
}

static bool is_type(struct slice type)
{
	struct slice main;

	return slice_cut(&type, '/', &main) && is_token(main) && type.p && is_token(type);
}

/* What could break out of a header line, or is no character at all, is in no parameter. */
static bool is_one_line(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return slice_is_utf8(s);
}

bool ua_type_is_good(struct slice type)
{
	struct slice bare;

	return type.len <= UA_TYPE_MAX && is_one_line(type) && slice_cut(&type, ';', &bare)
	    && is_type(slice_trim(bare));
}

ssize_t ua_types_clean(char *text, struct slice list)
{
	struct slice entry;
	size_t len = 0;

	if (list.len > UA_TYPES_MAX)
		return -EINVAL;
	while (slice_cut(&list, ' ', &entry)) {
		if (entry.len == 0)
			continue;
		/* "type" followed by "/" and "*" is a type by its characters. */
		if (!is_type(entry) && !slice_equal(entry, SLICE("*")))
			return -EINVAL;
		if (len)
			text[len++] = ' ';
		memcpy(text + len, entry.p, entry.len);
		len += entry.len;
	}
	return len ? (ssize_t)len : -EINVAL;
}
