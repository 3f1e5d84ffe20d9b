#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "net/resume.h"
#include "net/ticket.h"
#include "net/tls_priv.h"

enum { READ_AHEAD = 32 * 1024 };

/* Of TLS 1.2: forward secrecy and authenticated encryption, and nothing else (RFC 9325 4.2). */
static const char CIPHERS[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

void tls_error_text(char *text, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	snprintf(text, size, "%s", reason ? reason : "TLS failure");
	ERR_clear_error();
}

static int failed(SSL_CTX *ctx, struct reason *why, const char *what, const char *name)
{
	char text[160];

	tls_error_text(text, sizeof(text));
	SSL_CTX_free(ctx);
	return reason_set(why, -EINVAL, "%s%s%s: %s", what, name ? " " : "", name ? name : "",
	    text);
}

static int version_number(const char *text)
{
	if (!text || strcmp(text, "1.2") == 0)
		return TLS1_2_VERSION;
	return strcmp(text, "1.3") == 0 ? TLS1_3_VERSION : 0;
}

/* As OpenSSL would, but that no buffer keeps a copy of the key.  @return 1, as OpenSSL's */
static int use_private_key(SSL_CTX *ctx, const char *path)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = NULL;
	int used = 0;

	if (!file) {
		ERR_raise(ERR_LIB_SSL, ERR_R_SYS_LIB);
		return 0;
	}
	setvbuf(file, NULL, _IONBF, 0);
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	if (key)
		used = SSL_CTX_use_PrivateKey(ctx, key);
	EVP_PKEY_free(key);
	fclose(file);
	return used;
}

static int load_files(SSL_CTX *ctx, const struct net_tls_settings *f, struct reason *why)
{
	int min = version_number(f->min_version);

	if (!min || SSL_CTX_set_min_proto_version(ctx, min) != 1)
		return failed(ctx, why, "min_version", f->min_version);
	if (SSL_CTX_set_cipher_list(ctx, f->ciphers ? f->ciphers : CIPHERS) != 1)
		return failed(ctx, why, "ciphers", f->ciphers);
	if (f->ciphersuites && SSL_CTX_set_ciphersuites(ctx, f->ciphersuites) != 1)
		return failed(ctx, why, "ciphersuites", f->ciphersuites);
	if (f->certificate && SSL_CTX_use_certificate_chain_file(ctx, f->certificate) != 1)
		return failed(ctx, why, "certificate", f->certificate);
	if (f->private_key
	    && (use_private_key(ctx, f->private_key) != 1 || SSL_CTX_check_private_key(ctx) != 1))
		return failed(ctx, why, "private_key", f->private_key);
	if (f->ca_file) {
		if (SSL_CTX_load_verify_locations(ctx, f->ca_file, NULL) != 1)
			return failed(ctx, why, "ca_file", f->ca_file);
	} else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
		return failed(ctx, why, "system certificates", NULL);
	}
	return 0;
}

static void set_modes(SSL_CTX *ctx)
{
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
		| SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_ENABLE_KTLS | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Some records a read: by itself OpenSSL asks the kernel twice for each. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

/*
 * A certificate that is not ours to trust is not a reason to refuse: the client may be judged by
 * a fingerprint, or authenticate otherwise.  What it is worth, SSL_get_verify_result() tells.
 */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int new_server(SSL_CTX **ctxp, const struct net_tls_settings *settings, struct reason *why)
{
	static const unsigned char context[] = "msrpd";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int err;

	if (!ctx)
		return failed(NULL, why, "TLS", NULL);
	err = load_files(ctx, settings, why);
	if (err < 0)
		return err;
	set_modes(ctx);
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1);
	if (settings->verify_client)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	if (tickets_enable(ctx) < 0)
		return failed(ctx, why, "session tickets", NULL);
	*ctxp = ctx;
	return 0;
}

static int new_client(SSL_CTX **ctxp, const struct net_tls_settings *settings, struct reason *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int err;

	if (!ctx)
		return failed(NULL, why, "TLS", NULL);
	err = load_files(ctx, settings, why);
	if (err < 0)
		return err;
	set_modes(ctx);
	if (sessions_enable(ctx) < 0)
		return failed(ctx, why, "sessions", NULL);
	*ctxp = ctx;
	return 0;
}

int net_tls_contexts_new(struct net_tls_contexts **tlsp, const struct net_tls_settings *settings,
    struct reason *why)
{
	struct net_tls_contexts *tls = calloc(1, sizeof(*tls));
	int err = 0;

	if (!tls)
		return reason_set(why, -ENOMEM, "out of memory");
	tls->verify_server = settings->verify_server;
	if (settings->certificate)
		err = new_server(&tls->server, settings, why);
	if (err == 0)
		err = new_client(&tls->client, settings, why);
	if (err < 0) {
		net_tls_contexts_free(tls);
		return err;
	}
	*tlsp = tls;
	return 0;
}

void net_tls_contexts_free(struct net_tls_contexts *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->server);
	SSL_CTX_free(tls->client);
	free(tls);
}

bool net_tls_can_accept(const struct net_tls_contexts *tls)
{
	return tls && tls->server;
}

int tls_share_tickets(const struct net_tls_contexts *tls, struct slice secret)
{
	return net_tls_can_accept(tls) ? tickets_share(tls->server, secret) : 0;
}

static const unsigned char *octets(const union addr *addr)
{
	return (const unsigned char *)addr_bytes(addr).p;
}

int tls_client_expect(SSL *ssl, struct slice host, bool accept_any_peer)
{
	union addr addr;
	bool is_name = addr_parse_host(&addr, host) < 0;
	int ok = 1;
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char *name = slice_dup(host);

	if (!name)
		return -ENOMEM;
	if (is_name)
		ok = (int)SSL_set_tlsext_host_name(ssl, name);
	if (accept_any_peer) {
		SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
	} else {
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
		/* A domain is looked for when the chain is good. */
		if (ok == 1 && is_name && !tls_is_for_domains(ssl))
			ok = X509_VERIFY_PARAM_set1_host(param, name, 0);
		else if (ok == 1 && !is_name)
			ok = X509_VERIFY_PARAM_set1_ip(param, octets(&addr), addr_bytes(&addr).len);
	}
	free(name);
	return ok == 1 ? 0 : -ENOMEM;
}

bool tls_peer_verified(SSL *ssl)
{
	return SSL_get0_peer_certificate(ssl) && SSL_get_verify_result(ssl) == X509_V_OK;
}

bool tls_peer_is(SSL *ssl, struct slice host)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	union addr addr;

	/* To OpenSSL a name with a dot in front is any below it. */
	if (!tls_peer_verified(ssl) || !host.len || host.p[0] == '.')
		return false;
	if (addr_parse_host(&addr, host) == 0)
		return X509_check_ip(cert, octets(&addr), addr_bytes(&addr).len, 0) == 1;
	if (tls_is_for_domains(ssl))
		return tls_cert_is_domain(cert, host);
	return X509_check_host(cert, host.p, host.len, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL)
	    == 1;
}

/* RFC 8122 5: hash function name, a space, octets in hexadecimal with colons between. */
static int fingerprint_text(const X509 *cert, const EVP_MD *md, const char *name, char *text,
    size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	size_t at = strlen(name);

	if (X509_digest(cert, md, digest, &len) != 1)
		return -EINVAL;
	if (at + 3 * (size_t)len + 1 > size)
		return -EMSGSIZE;
	memcpy(text, name, at);
	for (unsigned i = 0; i < len; i++)
		at += (size_t)snprintf(text + at, size - at, "%c%02X", i ? ':' : ' ', digest[i]);
	return 0;
}

static const EVP_MD *hash_named(struct slice name)
{
	static const struct {
		const char *name;
		const EVP_MD *(*md)(void);
	} hashes[] = {{"sha-1", EVP_sha1}, {"sha-224", EVP_sha224}, {"sha-256", EVP_sha256},
	    {"sha-384", EVP_sha384}, {"sha-512", EVP_sha512}};

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (slice_equal_nocase(slice_of(hashes[i].name), name))
			return hashes[i].md();
	return NULL;
}

bool tls_has_fingerprint(SSL *ssl, struct slice fingerprint)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	struct slice rest = fingerprint, name;
	char text[8 + 3 * EVP_MAX_MD_SIZE];
	const EVP_MD *md;

	if (!cert || !slice_cut(&rest, ' ', &name) || !rest.p)
		return false;
	md = hash_named(name);
	if (!md || fingerprint_text(cert, md, "", text, sizeof(text)) < 0)
		return false;
	return slice_equal_nocase(slice_from(slice_of(text), 1), slice_trim(rest));
}

int net_tls_own_fingerprint(const struct net_tls_contexts *tls, char *text, size_t size)
{
	X509 *cert = net_tls_can_accept(tls) ? SSL_CTX_get0_certificate(tls->server) : NULL;

	if (!cert)
		return -ENOENT;
	return fingerprint_text(cert, EVP_sha256(), "SHA-256", text, size);
}
