/* TLS contexts from settings, and who a peer is: RFC 4975 section 14. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

#include <msrpd/slice.h>

struct tls_files {
	const char *certificate, *private_key, *ca_file; /* NULL: none; ca NULL: the system's */
	const char *min_version;                         /* "1.2", "1.3" */
	const char *ciphers, *ciphersuites;              /* NULL: OpenSSL's own */
};

/**
 * @param require_client  a client without a certificate is refused; else one is asked for,
 *                        verified if given, and done without
 * @return 0, or -EINVAL with a sentence in why
 */
int tls_server_new(SSL_CTX **ctxp, const struct tls_files *files, bool require_client, char *why,
    size_t size);
int tls_client_new(SSL_CTX **ctxp, const struct tls_files *files, char *why, size_t size);

/**
 * Prepare a client's SSL for its peer: SNI for names, and unless accept_any the check of chain and
 * SAN.  accept_any: whoever answers is taken; the caller looks at tls_has_fingerprint() then.
 */
int tls_client_expect(SSL *ssl, struct slice host, bool accept_any);

/** Did the peer show a certificate that our CA vouches for? */
bool tls_peer_verified(SSL *ssl);

/** A verified certificate with that dNSName, or address, among its SANs? */
bool tls_peer_is(SSL *ssl, struct slice host);

/** "SHA-256 AB:CD:…" of the peer's certificate?  Hash names in any case, RFC 8122 section 5. */
bool tls_has_fingerprint(SSL *ssl, struct slice fingerprint);

/** The fingerprint of ctx's own certificate, "SHA-256 AB:CD:…".  @return 0, -ENOENT, -EMSGSIZE */
int tls_own_fingerprint(SSL_CTX *ctx, char *text, size_t size);

/** OpenSSL's latest error as a sentence; clears its queue. */
void tls_error_text(char *text, size_t size);
