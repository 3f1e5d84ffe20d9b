/*
 * The process's streams of bytes: what all of them share.
 *
 * Bytes are received into large blocks and are given to their protocol where they lie; they stay
 * there, unless somebody keeps them for longer, until the turn of the loop ends.  At that end
 * whatever was written in the turn leaves, in one system call a stream.
 */
#pragma once

#include <stdbool.h>

#include <msrpd/slice.h>

struct event_base;
struct line;
struct net;
struct net_guard;
struct net_tap;
struct setting_list;

/** @return 0 or -ENOMEM */
int net_new(struct net **netp, struct event_base *base);

/** Its protocols must be finished.  NULL is harmless. */
void net_free(struct net *net);

/** Hold whoever is accepted to limits, which are borrowed; NULL: to none. */
void net_use_guard(struct net *net, struct net_guard *guard);
struct net_guard *net_guard_of(const struct net *net);

/** Ask these servers for names (texts, addresses with or without a port), instead of the system's;
 *  borrowed.  None: the system's.  Before the first name is asked for. */
void net_use_name_servers(struct net *net, const struct setting_list *servers);

/**
 * Have TLS handshakes computed by threads, which begin with the first; until then, and where there
 * are none to be had, the loop does.
 *
 * @param threads  1 to WORKER_THREADS_MAX
 * @return 0 or negative errno
 */
int net_use_threads(struct net *net, unsigned threads);

/**
 * Make tickets of TLS that whoever has this secret, and our certificate, takes for his own, and take
 * theirs: of TLS 1.3, and of clients without a certificate.  For the contexts of all protocols, those
 * to come as well; again: of another secret.
 *
 * @return 0; -ENOMEM: some have only their own
 */
int net_share_tickets(struct net *net, struct slice secret);

/** May other processes open the listeners that are opened from now on as well? */
void net_share_ports(struct net *net, bool share);

/**
 * From these addresses (texts) every stream that is accepted must begin with a PROXY header.
 * @return 0, or -ENOMEM: nothing changed
 */
int net_use_proxies(struct net *net, const struct setting_list *proxies);

/** Where a trace may listen; lives as long as the net. */
struct net_tap *net_tap_of(struct net *net);

struct event_base *net_base(const struct net *net);

/** Where whatever keeps the loop for long waits for its turn. */
struct line *net_line(struct net *net);

/**
 * Bytes that a handler was given, or has made up while it was, as ones that stay until the turn's
 * end: the same if they lie in what was received, else a copy.
 *
 * @return absent: no memory, or made up and more than a block holds
 */
struct slice net_pin(struct net *net, struct slice bytes);

/** Of which read the bytes are that a handler is given: those of one stay where they lie meanwhile. */
uint64_t net_read_number(const struct net *net);
