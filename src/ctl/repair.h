/* What can be read of JSON that jansson does not read at all. */
#pragma once

#include <stddef.h>

/**
 * Make harmless what RFC 8259 has and jansson has not: escapes of half a surrogate pair, and of
 * NUL, which no name may hold, become U+FFFD; numbers beyond its range become null, and whatever
 * lies deeper than 1,000 levels 0.
 *
 * @param text  of len bytes and a NUL, changed in place
 * @return its new length, which is not more
 */
size_t json_repair(char *text, size_t len);
