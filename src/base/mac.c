#include "base/mac.h"

#include <errno.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium/crypto_generichash.h>

#include <msrpd/hex.h>

int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text)
{
	unsigned char code[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!HMAC(EVP_sha256(), secret.p, (int)secret.len, (const unsigned char *)text.p, text.len,
		code, &len))
		return -ENOMEM;
	hex_write(hex, code, len);
	return 0;
}

void mac_own(char hex[MAC_OWN_SIZE], struct slice secret, const struct slice *texts, size_t count)
{
	unsigned char code[(MAC_OWN_SIZE - 1) / 2];
	crypto_generichash_state state;

	crypto_generichash_init(&state, (const unsigned char *)secret.p, secret.len, sizeof(code));
	for (size_t i = 0; i < count; i++)
		crypto_generichash_update(&state, (const unsigned char *)texts[i].p, texts[i].len);
	crypto_generichash_final(&state, code, sizeof(code));
	hex_write(hex, code, sizeof(code));
}
