/* Sessions of servers that we have called (RFC 8446 2.2): who is called again knows us. */
#pragma once

#include <openssl/ssl.h>

/**
 * Let a client's context keep the sessions of those that sessions_offer() was called for, some
 * of the last; of TLS 1.3 each is used once.  They go with the context.
 *
 * @return 0 or -ENOMEM
 */
int sessions_enable(SSL_CTX *ctx);

/**
 * Before its handshake: offer the session that is kept for this peer, if there is one, and keep
 * the ones that come.
 *
 * @param peer  who, and what is asked of its certificate; a session is as good as that
 * @return 0 or -ENOMEM
 */
int sessions_offer(SSL *ssl, const char *peer);
