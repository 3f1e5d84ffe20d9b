/* A server and a client of TLS that talk in memory. */
#pragma once

#include <openssl/ssl.h>

/** Each end gets what the other one writes; both are what they are called. */
void tls_pair_join(SSL *server, SSL *client);
