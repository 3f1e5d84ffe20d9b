#include "ua/types.h"

#include <errno.h>
#include <string.h>

#include <msrpd/ua.h>

#include "sip/sdp.h"

bool ua_type_is_good(struct slice type)
{
	return type.len <= UA_TYPE_MAX && slice_is_media_type(type);
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
		if (memchr(entry.p, ';', entry.len)
		    || (!slice_is_media_type(entry) && !slice_equal(entry, SLICE("*"))))
			return -EINVAL;
		if (len)
			text[len++] = ' ';
		memcpy(text + len, entry.p, entry.len);
		len += entry.len;
	}
	return len ? (ssize_t)len : -EINVAL;
}

int ua_check_types(struct slice types, const struct route_env *env, struct reason *why)
{
	char text[UA_TYPES_MAX];

	(void)env;
	return ua_types_clean(text, types) < 0
	    ? reason_set(why, -EINVAL, "not a list of media types with spaces between them")
	    : 0;
}

bool ua_type_in(struct slice list, struct slice type)
{
	return sdp_types_have(list, type);
}
