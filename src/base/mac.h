/* Codes that prove who wrote a text, in hex. */
#pragma once

#include <stddef.h>

#include <msrpd/slice.h>

enum { MAC_HEX_SIZE = 65, MAC_OWN_SIZE = 33 };

/** HMAC-SHA256, which others make as well: of tokens, and of what webhooks post.  @return 0 or -ENOMEM */
int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text);

/**
 * Keyed BLAKE2b, a quarter of the work: of what the nodes of a cluster alone write and read.
 * @param secret  of 16 to 64 bytes
 * @param texts   one behind the other
 */
void mac_own(char hex[MAC_OWN_SIZE], struct slice secret, const struct slice *texts, size_t count);
