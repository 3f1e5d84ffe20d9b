#include "base/mac.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/evp.h>

int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text)
{
	unsigned char code[EVP_MAX_MD_SIZE];
	size_t len = 0;

	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.p, secret.len,
		(const unsigned char *)text.p, text.len, code, sizeof(code), &len))
		return -ENOMEM;
	for (size_t i = 0; i < len && 2 * i + 2 < MAC_HEX_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", code[i]);
	return 0;
}
