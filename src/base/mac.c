#include "base/mac.h"

#include <errno.h>

#include <openssl/evp.h>

#include <msrpd/hex.h>

int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text)
{
	unsigned char code[(MAC_HEX_SIZE - 1) / 2];
	size_t len = 0;

	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.p, secret.len,
		(const unsigned char *)text.p, text.len, code, sizeof(code), &len))
		return -ENOMEM;
	hex_write(hex, code, len);
	return 0;
}
