/*
 * The control socket: a UNIX stream socket that speaks JSON-RPC 2.0, one value
 * a line, and sends events to clients that have subscribed.
 *
 * A client that sends requests and does not read the answers is not read on.
 * A subscriber that lets more than max_backlog pile up is disconnected.
 */
#pragma once

#include <stdint.h>

#include <msrpd/service.h>
#include <msrpd/setting.h>

struct event_base;
struct event_bus;
struct stats;

struct ctl_server;
struct rpc;

struct ctl_settings {
	char *socket;
	uint64_t mode;
	char *group;          /* NULL: as the process has it */
	uint64_t max_request; /* bytes of one line */
	uint64_t max_backlog; /* bytes of output that a client has not read */
};

/** The keys of `control:`, over struct ctl_settings. */
extern const struct setting ctl_settings_rows[];

/** What the server works on, and what only main can do; everything outlives the server. */
struct ctl_daemon {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	/** Write the members of the result of `status`, an object that is open. */
	void (*status)(struct reply *reply, void *arg);
	/** Read the config again and answer: reply_text() "OK", or reply_error() 500. */
	void (*reload)(struct reply *reply, void *arg);
	void *arg;
};

/**
 * Open the socket and take clients from the next turn of the loop on.  Built-in methods are
 * there already: event_subscribe, event_unsubscribe, get_statistics, status, reload,
 * log_level, which, help.
 *
 * @param daemon    copied
 * @param settings  copied
 * @param why       on failure what is wrong with the socket or its group
 * @return 0, -EADDRINUSE: a living process listens there, or another negative errno
 */
int ctl_server_new(struct ctl_server **serverp, const struct ctl_daemon *daemon,
    const struct ctl_settings *settings, struct reason *why);

/** Disconnect everybody and remove the socket.  Accepts NULL. */
void ctl_server_free(struct ctl_server *server);

/**
 * Add methods, which outlive the server.
 *
 * @param methods  ended by one without a name; NULL: none
 * @param state    given to each call
 * @return 0, -EEXIST: there is one of that name, -ENOMEM
 */
int ctl_server_add_methods(struct ctl_server *server, const struct method *methods, void *state);

/** Its methods, for who lets others call them by other ways. */
struct rpc *ctl_server_rpc(const struct ctl_server *server);

/** Take max_request and max_backlog from settings; the socket stays as it is. */
void ctl_server_reload(struct ctl_server *server, const struct ctl_settings *settings);
