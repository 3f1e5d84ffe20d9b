/* Listening sockets of the `msrp.listen` list. */
#pragma once

#include <msrpd/reason.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "msrp/stack.h"
#include "msrp/transport.h"
#include "wire/uri.h"

struct msrp_listener;

enum { MSRP_LISTEN_URI_MAX = 300 };

/**
 * A URI of the config that names a socket: no session id; without a port 2855; ":0" is any free
 * port, which gives port 0.
 *
 * @param buf  of MSRP_LISTEN_URI_MAX bytes, borrowed for the lifetime of uri
 * @return 0 or -EINVAL
 */
int msrp_listen_uri_parse(struct msrp_uri *uri, char *buf, struct slice text);

/**
 * Open all listeners of the stack's settings.
 *
 * @param why  room for a sentence that names listener and cause
 * @return 0 or negative errno; on failure none is open
 */
int msrp_listeners_open(struct msrp_stack *stack, struct reason *why);
struct net_listener;

/**
 * Add a listener whose connections another one hands over (net_stream_hand_over()), one at most.
 *
 * @param settings   a ";ws" URI with the real address and port, and what others are told
 * @param listenerp  whom they are handed to, valid as long as the stack
 * @return 0 or negative errno with the reason
 */
int msrp_listener_add(struct msrp_stack *stack, const struct msrp_listen_settings *settings,
    const struct net_listener **listenerp, struct reason *why);

/** The stack has other settings, whose list is the same but for origins. */
void msrp_listeners_reload(struct msrp_stack *stack);
void msrp_listeners_close(struct msrp_stack *stack);

/** In the order of the config; NULL behind the last. */
struct msrp_listener *msrp_listener_at(const struct msrp_stack *stack, size_t index);
struct msrp_listener *msrp_listener_named(const struct msrp_stack *stack, struct slice name);

struct slice msrp_listener_name(const struct msrp_listener *listener);

/**
 * What it listens on, the real port in place of 0: "msrp://127.0.0.1:2855;tcp".
 * Valid as long as the listener.
 */
struct slice msrp_listener_uri(const struct msrp_listener *listener);
const struct msrp_transport *msrp_listener_transport(const struct msrp_listener *listener);

/** HOST and port that others are told: advertise, else the address it listens on. */
struct slice msrp_listener_host(const struct msrp_listener *listener);
uint16_t msrp_listener_port(const struct msrp_listener *listener);

/**
 * Is this URI's scheme, transport, host and port (absent: 2855, or the advertised one) one by which
 * the listener can be addressed?  By address, by advertise; a wildcard one by any local address.
 */
bool msrp_listener_is(const struct msrp_listener *listener, const struct msrp_uri *uri);

/** The address that it listens on. */
const union addr *msrp_listener_address(const struct msrp_listener *listener);
struct msrp_stack *msrp_listener_stack(const struct msrp_listener *listener);
