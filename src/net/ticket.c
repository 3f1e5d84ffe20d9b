#include "net/ticket.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <msrpd/timer.h>

#include "net/ticket_share.h"

enum {
	KEY_LIFE_MS =
	    TICKET_PERIOD_S * 1000, /* in which a key makes tickets; it opens as long again */
	TICKET_LIFE_S = 2 * TICKET_PERIOD_S,
};

/*
 * Handshakes of several threads ask for them.  Our own are of chance, and wiped for good.  Those of a
 * secret can be made again by whoever learns it, so they are for what it then does not give away:
 * TLS 1.3, where each connection has keys of its own whatever its ticket says, and clients who were
 * not identified by a certificate.
 */
struct ticket_keys {
	pthread_mutex_t lock;
	struct ticket_key current, previous;
	uint64_t made_ms; /* the current one */
	bool shares;
	struct ticket_share share;
};

static uint64_t world_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

static bool make_key(struct ticket_key *key)
{
	return RAND_bytes(key->name, sizeof(key->name)) == 1
	    && RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1
	    && RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
}

static bool rotate(struct ticket_keys *keys)
{
	uint64_t age_ms = timer_now_ms() - keys->made_ms;
	struct ticket_key key;

	if (age_ms < KEY_LIFE_MS)
		return true;
	if (!make_key(&key))
		return false;
	keys->previous = keys->current;
	keys->current = key;
	keys->made_ms = timer_now_ms();
	OPENSSL_cleanse(&key, sizeof(key));
	/* Nobody has a ticket of it that still counts. */
	return age_ms < 2 * KEY_LIFE_MS || make_key(&keys->previous);
}

static const struct ticket_key *find_own(const struct ticket_keys *keys, const unsigned char *name)
{
	if (memcmp(name, keys->current.name, TICKET_NAME_BYTES) == 0)
		return &keys->current;
	return memcmp(name, keys->previous.name, TICKET_NAME_BYTES) == 0 ? &keys->previous : NULL;
}

/* NULL: the ticket is to be of our own */
static const struct ticket_key *find_shared(struct ticket_keys *keys, const unsigned char *name)
{
	if (!keys->shares || ticket_share_turn(&keys->share, world_s()) < 0)
		return NULL;
	return name ? ticket_share_find(&keys->share, name) : &keys->share.keys[TICKET_NOW];
}

/*
 * @param name    of the key to take; NULL: the one that makes tickets
 * @param shared  one that others have as well will do
 * @return 1, 2: not the one that makes tickets, 0: none
 */
static int take_key(struct ticket_keys *keys, const unsigned char *name, bool shared,
    struct ticket_key *key)
{
	const struct ticket_key *found = NULL;
	int which = 0;

	pthread_mutex_lock(&keys->lock);
	if (shared)
		found = find_shared(keys, name);
	if (!found && rotate(keys))
		found = name ? find_own(keys, name) : &keys->current;
	if (found) {
		*key = *found;
		which = found == &keys->current || found == &keys->share.keys[TICKET_NOW] ? 1 : 2;
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
	bool shared = SSL_version(ssl) == TLS1_3_VERSION && !SSL_get0_peer_certificate(ssl);
	struct ticket_key key;
	int which = take_key(keys, make ? NULL : name, shared, &key);

	if (which == 0)
		return make ? -1 : 0;
	if (make)
		memcpy(name, key.name, TICKET_NAME_BYTES);
	if ((make && RAND_bytes(iv, iv_len) != 1)
	    || EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, make) != 1
	    || !set_mac(mac, &key))
		which = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	/* In TLS 1.3 clients use a ticket once: who comes with one wants another. */
	return which == 1 && !make && SSL_version(ssl) == TLS1_3_VERSION ? 2 : which;
}

/*
 * Who knows the secret can make a session that says whose certificate was shown: it is believed of
 * our own tickets alone.
 */
static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	struct ticket_keys *keys = arg;
	bool own;

	(void)ssl;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	pthread_mutex_lock(&keys->lock);
	own = name_len == TICKET_NAME_BYTES && find_own(keys, name);
	pthread_mutex_unlock(&keys->lock);
	if (SSL_SESSION_get0_peer(session) && !own)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
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
	keys->made_ms = timer_now_ms();
	SSL_CTX_set_session_ticket_cb(ctx, NULL, on_opened, keys);
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	SSL_CTX_set_num_tickets(ctx, 1);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ? 0 : -ENOMEM;
}

int tickets_share(SSL_CTX *ctx, struct slice secret)
{
	struct ticket_keys *keys = SSL_CTX_get_ex_data(ctx, keys_index());
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct ticket_share share;
	unsigned len = 0;
	int err;

	/* There is nobody without a certificate. */
	if (SSL_CTX_get_verify_mode(ctx) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
		return 0;
	if (X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), digest, &len) != 1)
		return -ENOMEM;
	err = ticket_share_init(&share, secret, (struct slice){(const char *)digest, len});
	if (err == 0) {
		pthread_mutex_lock(&keys->lock);
		keys->share = share;
		keys->shares = true;
		pthread_mutex_unlock(&keys->lock);
	}
	OPENSSL_cleanse(&share, sizeof(share));
	return err;
}
