/* Session tickets (RFC 8446 4.6.1, RFC 5077): who comes again has a shorter handshake. */
#pragma once

#include <openssl/ssl.h>

#include <msrpd/slice.h>

/**
 * Let a server's context give tickets, under keys of its own that change every hour, and are wiped
 * when no stream has the context any more.
 *
 * @return 0 or -ENOMEM
 */
int tickets_enable(SSL_CTX *ctx);

/**
 * From now on tickets of TLS 1.3 of clients without a certificate have keys that are made of this
 * secret and of our certificate: whoever has both opens them as well.  Again: of another secret.
 *
 * @return 0; -ENOMEM: nothing has changed
 */
int tickets_share(SSL_CTX *ctx, struct slice secret);
