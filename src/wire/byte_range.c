#include "wire/byte_range.h"

#include <errno.h>

#include "base/chars.h"

/* Sums of two such numbers do not overflow. */
static bool take_position(struct slice *rest, uint64_t *valuep)
{
	enum { NO_OVERFLOW = 18 }; /* digits */
	size_t most = rest->len < NO_OVERFLOW ? rest->len : NO_OVERFLOW, n = 0;
	uint64_t value = 0;
	unsigned digit;

	for (; n < most && (digit = (unsigned)rest->p[n] - '0') < 10; n++)
		value = value * 10 + digit;
	if (n == 0 || n == NO_OVERFLOW)
		return slice_to_u64(chars_take(rest, CHARS_DIGIT), INT64_MAX, valuep) == 0;
	*rest = slice_from(*rest, n);
	*valuep = value;
	return true;
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
