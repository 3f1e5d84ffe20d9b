/* WebSockets of the API: JSON-RPC of one user each, and the events that are his. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/buffer.h>

#include "event/bus.h"
#include "net/listener.h"
#include "net/protocol.h"
#include "web/token.h"

struct http_conn;
struct rpc;
struct stats;
struct web_settings;
struct web_user;

/** All of them.  Zeroed before web_sockets_init(). */
struct web_sockets {
	struct net_protocol protocol;
	struct net_listener listener; /* that they are handed over to */
	struct rpc *rpc;
	const struct web_settings *settings;
	struct slice (*user_of)(struct slice address, void *arg); /* of web_env */
	void *arg;
	struct event_subscriber subscriber;
	unsigned wanting[EVENT_TYPES_MAX]; /* how many want it */
	struct web_user *users;            /* who has some */
	uint64_t told;                     /* the number of the event that is being told */
	struct timer_queue quiet, reading; /* no message; one that has begun */
	struct buffer answer, line;
	uint64_t *requests, *events, *disconnected;
};

/** Whose one is to be, and until when (seconds since 1970). */
struct web_identity {
	char name[TOKEN_USER_MAX + 1];
	uint64_t expiry;
};

struct web_env;

/** @return 0 or -ENOMEM; web_sockets_fini() is due either way */
int web_sockets_init(struct web_sockets *sockets, const struct web_env *env,
    const struct web_settings *settings);
/** The settings before are still there; where the secret is another one, all are closed. */
void web_sockets_reload(struct web_sockets *sockets, const struct web_settings *settings);
void web_sockets_fini(struct web_sockets *sockets);

/** Make a connection one of them, if its request asks properly for that.  client: as of http_upgrade() */
void web_sockets_take(struct web_sockets *sockets, struct http_conn *conn,
    const struct web_identity *identity, const union addr *client);
