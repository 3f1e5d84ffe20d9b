/* Bytes as hexadecimal digits. */
#pragma once

#include <stddef.h>

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
