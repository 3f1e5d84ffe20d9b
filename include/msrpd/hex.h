/* Bytes as hexadecimal digits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/slice.h>

/** Lower case, NUL-terminated: text has 2 * size + 1 bytes. */
static inline void hex_write(char *text, const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)bytes;

	for (size_t i = 0; i < size; i++) {
		*text++ = digits[p[i] >> 4];
		*text++ = digits[p[i] & 15];
	}
	*text = '\0';
}

/** Of either case.  @return -1: it is none */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** The two digits at the front of text.  @return -1: they are none */
static inline int hex_byte(struct slice text)
{
	int high = text.len < 2 ? -1 : hex_digit(text.p[0]);
	int low = text.len < 2 ? -1 : hex_digit(text.p[1]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/** @return false: the text is not 2 * size digits */
static inline bool hex_read(void *bytes, size_t size, struct slice text)
{
	if (text.len != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int byte = hex_byte(slice_from(text, 2 * i));

		if (byte < 0)
			return false;
		((unsigned char *)bytes)[i] = (unsigned char)byte;
	}
	return true;
}
