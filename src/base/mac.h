/* HMAC-SHA256 in hex: of tokens, of what webhooks post, of what nodes of a cluster say. */
#pragma once

#include <stddef.h>

#include <msrpd/slice.h>

enum { MAC_HEX_SIZE = 65 };

/** @return 0 or -ENOMEM */
int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text);

/* --- with one secret again and again, which is then worked on once --- */

struct mac;

/** @return 0 or -ENOMEM */
int mac_new(struct mac **macp, struct slice secret);

/** Harmless for NULL. */
void mac_free(struct mac *mac);

/** Of the texts, one behind the other.  @return as mac_hex() */
int mac_make(struct mac *mac, char hex[MAC_HEX_SIZE], const struct slice *texts, size_t count);
