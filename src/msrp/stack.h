/*
 * The MSRP side of the daemon: what all its connections share, and who owns
 * which session id.
 *
 * A request goes to the target whose URI stands first in its To-Path; what has
 * no such target goes to the fallback, the relay, or is answered 481.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include <msrpd/setting.h>
#include <msrpd/slice.h>

#include "wire/frame.h"

struct event_base;
struct msrp_conn;
struct msrp_stack;
struct stats;

struct msrp_listen_settings {
	char *name;
	char *uri;
	char *advertise; /* HOST[:PORT] that others know it by; NULL: its own address */
};

struct msrp_tls_settings {
	char *certificate, *private_key, *ca_file;
	bool verify_client, verify_server;
	char *min_version, *ciphers, *ciphersuites;
};

/** The `msrp:` section. */
struct msrp_settings {
	struct setting_list listen; /* of struct msrp_listen_settings */
	struct msrp_tls_settings tls;
	uint64_t transaction_timeout_ms, connect_timeout_ms, tls_handshake_timeout_ms;
	uint64_t bind_timeout_ms, idle_timeout_ms;
	uint64_t max_connections;
	uint64_t max_header_size, max_message_size, max_open_messages;
	uint64_t partial_timeout_ms;
	uint64_t max_memory;
	uint64_t chunk_size;
	uint64_t send_queue, send_timeout_ms, shared_stall_ms;
	uint64_t keepalive_ms;
};

extern const struct setting msrp_settings_rows[];

/** A row's check (setting.check) for the URIs of other sections: my_uri, relay_uri. */
int msrp_check_my_uri(const void *value, const char **why);

/**
 * SIGPIPE is to be ignored in the process: OpenSSL writes to sockets that may be closed.
 *
 * @param settings  borrowed until the next msrp_stack_reload(), or the end
 * @return 0; -EINVAL and others with a sentence in why for certificates that cannot be used
 */
int msrp_stack_new(struct msrp_stack **stackp, struct event_base *base,
    const struct msrp_settings *settings, struct stats *stats, char *why, size_t size);

/** Closes every connection; targets and users must be gone. */
void msrp_stack_free(struct msrp_stack *stack);

/** Take new settings: limits, time-outs and TLS files; listeners stay. On failure nothing changes. */
int msrp_stack_reload(struct msrp_stack *stack, const struct msrp_settings *settings, char *why,
    size_t size);

const struct msrp_settings *msrp_stack_settings(const struct msrp_stack *stack);
struct event_base *msrp_stack_base(const struct msrp_stack *stack);
size_t msrp_stack_connections(const struct msrp_stack *stack);

/** Fingerprint of our certificate, "SHA-256 AB:CD:…".  @return 0, -ENOENT: none, -EMSGSIZE */
int msrp_stack_fingerprint(const struct msrp_stack *stack, char *text, size_t size);

/** Bytes of message bodies held: charge before holding.  @return 0 or -ENOBUFS (max_memory) */
int msrp_stack_charge(struct msrp_stack *stack, size_t bytes);
void msrp_stack_discharge(struct msrp_stack *stack, size_t bytes);

/* --- targets --- */

struct msrp_target;

/**
 * What can be first in a To-Path: an endpoint's session, a relay's grant.
 *
 * request: a well-formed request whose first To-Path URI equals the target's arrived on conn;
 * its head is valid during the call.  The target answers with msrp_conn_reply(), now or until
 * the frame's end, and takes the body by msrp_conn_take(); otherwise the body is skipped.
 *
 * @return 0; -EAGAIN: read no more from conn before msrp_conn_resume(); another error closes it
 */
struct msrp_target_ops {
	int (*request)(struct msrp_target *target, struct msrp_conn *conn,
	    const struct msrp_frame *frame);
	/** Of a relay: its peers answer on the connections that it opened, TLS or not. */
	bool bridges;
};

/** Embedded in its owner, whose life covers the time between bind and unbind. */
struct msrp_target {
	const struct msrp_target_ops *ops;
	struct msrp_uri uri; /* over text of the owner */
	UT_hash_handle hh;   /* by session id */
};

/** @return 0 or -EEXIST: the session id is taken; -EINVAL: the URI has none; -ENOMEM */
int msrp_target_bind(struct msrp_stack *stack, struct msrp_target *target);
void msrp_target_unbind(struct msrp_stack *stack, struct msrp_target *target);

/** The target that this URI names, or NULL. */
struct msrp_target *msrp_target_find(struct msrp_stack *stack, const struct msrp_uri *uri);

/** What gets requests that no target owns; NULL: they are answered 481. */
void msrp_stack_set_fallback(struct msrp_stack *stack,
    int (*request)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg), void *arg);
