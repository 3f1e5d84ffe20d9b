/* TLS contexts from settings, and who a peer is: RFC 4975 section 14. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/setting.h>
#include <msrpd/slice.h>

/** A `tls:` group of the config. */
struct net_tls_settings {
	char *certificate, *private_key, *ca_file; /* NULL: none; ca NULL: the system's */
	bool verify_client;           /* refuse clients without a certificate to trust */
	bool verify_server;           /* take servers only by chain and name, or by fingerprint */
	char *min_version;            /* "1.2", "1.3" */
	char *ciphers, *ciphersuites; /* NULL: good ones */
};

extern const struct setting net_tls_settings_rows[];

/** The check of the group: a certificate and its key go together, OpenSSL takes what there is. */
int net_tls_settings_check(const void *settings, struct reason *why);

struct net_tls_contexts;

/** @return 0; -EINVAL and others with a sentence in why, for files that cannot be used */
int net_tls_contexts_new(struct net_tls_contexts **tlsp, const struct net_tls_settings *settings,
    struct reason *why);

/**
 * Their peers are domains of SIP, as RFC 5922 7 has it: no wildcards, and sip URIs among the names
 * of a certificate before DNS names; its extended key usage is SIP's (RFC 5924), any, or that of
 * TLS, a server's also for who connects.
 */
void net_tls_contexts_use_domains(struct net_tls_contexts *tls);

/** Streams opened with them go on.  NULL is harmless. */
void net_tls_contexts_free(struct net_tls_contexts *tls);

/** Is there a certificate, so that TLS can be accepted? */
bool net_tls_can_accept(const struct net_tls_contexts *tls);

/** Fingerprint of our certificate, "SHA-256 AB:CD:…".  @return 0, -ENOENT: none, -EMSGSIZE */
int net_tls_own_fingerprint(const struct net_tls_contexts *tls, char *text, size_t size);
