/* TLS contexts, for the transport that uses them. */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"

struct net_tls_contexts {
	SSL_CTX *server; /* NULL without a certificate */
	SSL_CTX *client;
	bool verify_server;
};

/** Tickets as net_share_tickets() says.  @return 0 or -ENOMEM */
int tls_share_tickets(const struct net_tls_contexts *tls, struct slice secret);

/**
 * Prepare a client's SSL for its peer: SNI for names, and unless accept_any the check of chain and
 * SAN.  accept_any: whoever answers is taken; the caller looks at tls_has_fingerprint() then.
 */
int tls_client_expect(SSL *ssl, struct slice host, bool accept_any);

/** Did the peer show a certificate that our CA vouches for? */
bool tls_peer_verified(SSL *ssl);

/** A verified certificate with that dNSName, or address, among its SANs? */
bool tls_peer_is(SSL *ssl, struct slice host);

/** Has net_tls_contexts_use_domains() been said of its context? */
bool tls_is_for_domains(const SSL *ssl);

/** Is the host among the domains of a verified certificate? */
bool tls_cert_is_domain(X509 *cert, struct slice host);

/** "SHA-256 AB:CD:…" of the peer's certificate?  Hash names in any case, RFC 8122 section 5. */
bool tls_has_fingerprint(SSL *ssl, struct slice fingerprint);

/** OpenSSL's latest error as a sentence; clears its queue. */
void tls_error_text(char *text, size_t size);
