#include "net/ticket.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <msrpd/timer.h>

enum {
	KEY_LIFE_MS = 3600 * 1000, /* in which a key makes tickets; it opens them as long again */
	TICKET_LIFE_S = 2 * 3600,
	NAME_BYTES = 16,
	KEY_BYTES = 32,
};

struct ticket_key {
	unsigned char name[NAME_BYTES], cipher[KEY_BYTES], mac[KEY_BYTES];
	uint64_t made_ms;
};

/* Handshakes of several threads ask for them. */
struct ticket_keys {
	pthread_mutex_t lock;
	struct ticket_key current, previous;
};

static bool make_key(struct ticket_key *key)
{
	key->made_ms = timer_now_ms();
	return RAND_bytes(key->name, sizeof(key->name)) == 1
	    && RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1
	    && RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
}

static bool rotate(struct ticket_keys *keys)
{
	uint64_t age_ms = timer_now_ms() - keys->current.made_ms;
	struct ticket_key key;

	if (age_ms < KEY_LIFE_MS)
		return true;
	if (!make_key(&key))
		return false;
	keys->previous = keys->current;
	keys->current = key;
	OPENSSL_cleanse(&key, sizeof(key));
	/* Nobody has a ticket of it that still counts. */
	return age_ms < 2 * KEY_LIFE_MS || make_key(&keys->previous);
}

static const struct ticket_key *find_key(const struct ticket_keys *keys, const unsigned char *name)
{
	if (memcmp(name, keys->current.name, NAME_BYTES) == 0)
		return &keys->current;
	return memcmp(name, keys->previous.name, NAME_BYTES) == 0 ? &keys->previous : NULL;
}

/* @param name  of the key to take; NULL: the current one  @return 1, 2: not the current, 0: none */
static int take_key(struct ticket_keys *keys, const unsigned char *name, struct ticket_key *key)
{
	const struct ticket_key *found = NULL;
	int which = 0;

	pthread_mutex_lock(&keys->lock);
	if (rotate(keys))
		found = name ? find_key(keys, name) : &keys->current;
	if (found) {
		*key = *found;
		which = found == &keys->current ? 1 : 2;
	}
	pthread_mutex_unlock(&keys->lock);
	return which;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
		sizeof(key->mac)),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static void keys_free(struct ticket_keys *keys)
{
	if (!keys)
		return;
	pthread_mutex_destroy(&keys->lock);
	OPENSSL_cleanse(keys, sizeof(*keys));
	free(keys);
}

static void free_keys(void *ctx, void *keys, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)ctx;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	keys_free(keys);
}

static int keys_index(void)
{
	static int index = -1; /* of the process, as OpenSSL has it */

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_keys);
	return index;
}

/* @return 1: go on, 2: and give another ticket, 0: the ticket is not ours, -1: failure */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int make)
{
	struct ticket_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keys_index());
	const int iv_len = EVP_CIPHER_get_iv_length(EVP_aes_256_cbc());
	struct ticket_key key;
	int which = take_key(keys, make ? NULL : name, &key);

	if (which == 0)
		return make ? -1 : 0;
	if (make)
		memcpy(name, key.name, NAME_BYTES);
	if ((make && RAND_bytes(iv, iv_len) != 1)
	    || EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, make) != 1
	    || !set_mac(mac, &key))
		which = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	/* In TLS 1.3 clients use a ticket once: who comes with one wants another. */
	return which == 1 && !make && SSL_version(ssl) == TLS1_3_VERSION ? 2 : which;
}

int tickets_enable(SSL_CTX *ctx)
{
	struct ticket_keys *keys = calloc(1, sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	pthread_mutex_init(&keys->lock, NULL);
	if (!make_key(&keys->current) || !make_key(&keys->previous)
	    || SSL_CTX_set_ex_data(ctx, keys_index(), keys) != 1) {
		keys_free(keys);
		return -ENOMEM;
	}
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	SSL_CTX_set_num_tickets(ctx, 1);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ? 0 : -ENOMEM;
}
