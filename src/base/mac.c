#include "base/mac.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <msrpd/hex.h>

struct mac {
	EVP_MAC_CTX *context;
};

static EVP_MAC_CTX *new_context(struct slice secret)
{
	static char sha256[] = "SHA256";
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

	EVP_MAC_free(hmac);
	if (context && EVP_MAC_init(context, (const unsigned char *)secret.p, secret.len, params))
		return context;
	EVP_MAC_CTX_free(context);
	return NULL;
}

int mac_new(struct mac **macp, struct slice secret)
{
	struct mac *mac = calloc(1, sizeof(*mac));

	if (mac)
		mac->context = new_context(secret);
	if (!mac || !mac->context) {
		free(mac);
		return -ENOMEM;
	}
	*macp = mac;
	return 0;
}

void mac_free(struct mac *mac)
{
	if (!mac)
		return;
	EVP_MAC_CTX_free(mac->context);
	free(mac);
}

int mac_make(struct mac *mac, char hex[MAC_HEX_SIZE], const struct slice *texts, size_t count)
{
	unsigned char code[(MAC_HEX_SIZE - 1) / 2];
	int ok = EVP_MAC_init(mac->context, NULL, 0, NULL); /* the secret stays */
	size_t len = 0;

	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_MAC_update(mac->context, (const unsigned char *)texts[i].p, texts[i].len);
	if (!ok || !EVP_MAC_final(mac->context, code, &len, sizeof(code)))
		return -ENOMEM;
	hex_write(hex, code, len);
	return 0;
}

int mac_hex(char hex[MAC_HEX_SIZE], struct slice secret, struct slice text)
{
	struct mac *mac;
	int err = mac_new(&mac, secret);

	if (err == 0) {
		err = mac_make(mac, hex, &text, 1);
		mac_free(mac);
	}
	return err;
}
