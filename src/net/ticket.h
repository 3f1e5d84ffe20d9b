/* Session tickets (RFC 8446 4.6.1, RFC 5077): who comes again has a shorter handshake. */
#pragma once

#include <openssl/ssl.h>

/**
 * Let a server's context give tickets, under keys of its own that change every hour, and are wiped
 * when no stream has the context any more.
 *
 * @return 0 or -ENOMEM
 */
int tickets_enable(SSL_CTX *ctx);
