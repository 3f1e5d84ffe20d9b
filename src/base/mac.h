/* HMAC-SHA256 in hex: of tokens, of what webhooks post, of what nodes of a cluster say. */
#pragma once

#include <msrpd/slice.h>

enum { MAC_HEX_SIZE = 65 };

/** @return 0 or -ENOMEM */
int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text);
