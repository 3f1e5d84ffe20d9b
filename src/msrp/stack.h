/* The MSRP side of the daemon: what all its connections share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/budget.h>
#include <msrpd/setting.h>

#include "msrp/target.h"
#include "net/tls.h"

struct event_base;
struct msrp_stack;
struct net;
struct stats;

struct msrp_listen_settings {
	char *name;
	char *uri;
	char *advertise;             /* HOST[:PORT] that others know it by; NULL: its own address */
	struct setting_list origins; /* of char *: pages that WebSockets are for */
};

/** The `msrp:` section. */
struct msrp_settings {
	struct setting_list listen; /* of struct msrp_listen_settings */
	struct net_tls_settings tls;
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
int msrp_check_my_uri(const void *value, struct reason *why);

/**
 * SIGPIPE is to be ignored in the process: OpenSSL writes to sockets that may be closed.
 *
 * @param settings  borrowed until the next msrp_stack_reload(), or the end
 * @return 0; -EINVAL and others with a sentence in why for certificates that cannot be used
 */
int msrp_stack_new(struct msrp_stack **stackp, struct net *net,
    const struct msrp_settings *settings, struct stats *stats, struct reason *why);

/** Closes every connection; targets and users must be gone. */
void msrp_stack_free(struct msrp_stack *stack);

/** Take new settings: limits, time-outs, TLS files; listeners stay.  On failure nothing changes. */
int msrp_stack_reload(struct msrp_stack *stack, const struct msrp_settings *settings,
    struct reason *why);

const struct msrp_settings *msrp_stack_settings(const struct msrp_stack *stack);
struct event_base *msrp_stack_base(const struct msrp_stack *stack);
size_t msrp_stack_connections(const struct msrp_stack *stack);

/** Fingerprint of our certificate, "SHA-256 AB:CD:…".  @return 0, -ENOENT: none, -EMSGSIZE */
int msrp_stack_fingerprint(const struct msrp_stack *stack, char *text, size_t size);

/** Of message bodies that are held: max_memory. */
struct budget *msrp_stack_budget(struct msrp_stack *stack);
