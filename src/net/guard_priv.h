/* Connections of an address, for those who accept them. */
#pragma once

#include "net/guard.h"

struct net_guard_host;
struct net_stream;

/**
 * One more connection from this address.
 *
 * @param guard      NULL: no limits
 * @param encrypted  a handshake comes next, which is too dear for who is barred
 * @param hostp      NULL: it does not count
 * @return 0, -EMFILE: it has too many, -EACCES: it is barred for wrong credentials, or -ENOMEM
 */
int net_guard_enter(struct net_guard *guard, const union addr *peer, bool encrypted,
    struct net_guard_host **hostp);

/**
 * May this stream begin its TLS handshake now?  If not, stream_begin_handshake() will be called,
 * unless net_guard_retire() is first.
 */
bool net_guard_admit(struct net_stream *stream);
void net_guard_retire(struct net_stream *stream);

/** It is over.  NULL is harmless. */
void net_guard_leave(struct net_guard_host *host);
