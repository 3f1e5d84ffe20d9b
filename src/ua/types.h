/* Media types as services and applications hand them in: RFC 4975 sections 7.1 and 8.6. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <msrpd/slice.h>

enum { UA_TYPE_MAX = 512, UA_TYPES_MAX = 2048 };

/** Can it be the value of a Content-Type header: type/subtype, parameters and nothing else? */
bool ua_type_is_good(struct slice type);

/**
 * Write a list of types and wildcards as SDP has it: with one space between them.
 *
 * @param text  room for list.len bytes
 * @return bytes written, -EINVAL: empty, or something that is none of them
 */
ssize_t ua_types_clean(char *text, struct slice list);
