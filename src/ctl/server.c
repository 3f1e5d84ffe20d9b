#include "ctl/server.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "ctl/client.h"
#include "ctl/priv.h"
#include "ctl/rpc.h"

enum {
	CLIENTS_MAX = 256,
	ACCEPT_RETRY_MS = 1000, /* when there is no place, or descriptors run out */
};

struct ctl_server {
	struct ctl_daemon daemon;
	struct rpc *rpc;
	struct clients clients;
	char *path;
	struct stat st; /* of the socket, to know it again */
	int fd;
	bool full; /* nobody is accepted until one goes */
	struct event acceptable;
	struct timer accept_retry;
};

const struct setting ctl_settings_rows[] = {
    {.name = "socket",
	.type = SETTING_TEXT,
	.offset = offsetof(struct ctl_settings, socket),
	.preset = "/run/msrpd/msrpd.sock",
	.flags = SETTING_FIXED,
	.check = ctl_socket_check_path,
	.help = "Path of the control socket; its directory must exist."},
    {.name = "mode",
	.type = SETTING_MODE,
	.offset = offsetof(struct ctl_settings, mode),
	.preset = "0660",
	.max = 0777,
	.flags = SETTING_FIXED,
	.help = "Permissions of the control socket: who may connect is who may write."},
    {.name = "group",
	.type = SETTING_TEXT,
	.offset = offsetof(struct ctl_settings, group),
	.flags = SETTING_FIXED,
	.help = "Group that the control socket is given to."},
    {.name = "max_request",
	.type = SETTING_SIZE,
	.offset = offsetof(struct ctl_settings, max_request),
	.preset = "16MiB",
	.min = 1024,
	.max = 1 << 30,
	.help = "Longest line that a client may send."},
    {.name = "max_backlog",
	.type = SETTING_SIZE,
	.offset = offsetof(struct ctl_settings, max_backlog),
	.preset = "32MiB",
	.min = 1024,
	.max = UINT64_C(1) << 34,
	.help = "Unread output of a subscriber; one that has more is disconnected."},
    {0},
};

/* --- clients come --- */

static void admit(struct ctl_server *server, int fd)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	if (clients_add(&server->clients, fd) < 0) {
		log_error("ctl: out of memory, a client was turned away");
		close(fd);
		return;
	}
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	log_debug("ctl: client %u: connected, pid %d, uid %u", server->clients.last_id,
	    (int)peer.pid, (unsigned)peer.uid);
}

/* It stays acceptable: waiting for it now would turn the loop in vain. */
static void pause_accepting(struct ctl_server *server)
{
	event_del(&server->acceptable);
	timer_start(&server->accept_retry, ACCEPT_RETRY_MS);
}

static void on_accept_retry(void *arg)
{
	struct ctl_server *server = arg;

	event_add(&server->acceptable, NULL);
}

/* Who comes beyond it waits in the backlog, which costs nothing. */
static bool has_place(struct ctl_server *server)
{
	bool was_full = server->full;

	clients_close_abandoned(&server->clients);
	server->full = *server->clients.count >= CLIENTS_MAX;
	if (server->full && !was_full)
		log_warn("ctl: %d clients, others wait until one goes", CLIENTS_MAX);
	return !server->full;
}

static void on_left(void *arg)
{
	struct ctl_server *server = arg;

	if (server->full)
		event_add(&server->acceptable, NULL);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	struct ctl_server *server = arg;
	int fd;

	(void)what;
	if (!has_place(server)) {
		pause_accepting(server);
		return;
	}
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		admit(server, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_error("ctl: accept: %s", strerror(errno));
		pause_accepting(server);
	}
}

/* --- the server's life --- */

#define NUMBER(field) offsetof(struct ctl_server, field)

static const struct stats_row numbers[] = {
    {.name = "clients",
	.help = "Clients of the control socket.",
	.offset = NUMBER(clients.count),
	.gauge = true},
    {.name = "requests",
	.help = "Lines received from clients.",
	.offset = NUMBER(clients.requests)},
    {.name = "events",
	.help = "Events sent to subscribers.",
	.offset = NUMBER(clients.events_sent)},
    {.name = "disconnected",
	.help = "Subscribers disconnected because they did not read.",
	.offset = NUMBER(clients.disconnected)},
    {0},
};

/* What can be made without touching anything outside. */
static int prepare(struct ctl_server *server, const struct ctl_settings *settings)
{
	int err = stats_register(server->daemon.stats, "ctl", numbers, server);

	if (!err)
		err = rpc_new(&server->rpc);
	if (!err)
		err = rpc_add_methods(server->rpc, ctl_methods, server);
	if (!err)
		err =
		    timer_init(&server->accept_retry, server->daemon.base, on_accept_retry, server);
	server->path = err ? NULL : slice_dup(slice_of(settings->socket));
	return !err && !server->path ? -ENOMEM : err;
}

/* The socket is open. */
static int begin(struct ctl_server *server, const struct ctl_settings *settings)
{
	const struct ctl_daemon *daemon = &server->daemon;

	if (stat(server->path, &server->st) < 0)
		log_warn("ctl: stat %s: %s", server->path, strerror(errno));
	ctl_server_reload(server, settings);
	clients_init(&server->clients, daemon->base, daemon->bus, server->rpc);
	server->clients.left = on_left;
	server->clients.arg = server;
	event_assign(&server->acceptable, daemon->base, server->fd, EV_READ | EV_PERSIST,
	    on_acceptable, server);
	return event_add(&server->acceptable, NULL) < 0 ? -ENOMEM : 0;
}

int ctl_server_new(struct ctl_server **serverp, const struct ctl_daemon *daemon,
    const struct ctl_settings *settings, struct reason *why)
{
	struct ctl_server *server = calloc(1, sizeof(*server));
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	if (!server)
		return -ENOMEM;
	server->daemon = *daemon;
	server->fd = -1;
	err = prepare(server, settings);
	if (!err)
		err = ctl_socket_open(settings, &server->fd, why);
	if (!err)
		err = begin(server, settings);
	if (err)
		ctl_server_free(server);
	else
		*serverp = server;
	return err;
}

/* Unless it is another's by now. */
static void remove_socket(const struct ctl_server *server)
{
	struct stat st;

	if (stat(server->path, &st) == 0 && st.st_dev == server->st.st_dev
	    && st.st_ino == server->st.st_ino)
		unlink(server->path);
}

void ctl_server_free(struct ctl_server *server)
{
	if (!server)
		return;
	clients_fini(&server->clients);
	if (server->fd >= 0) {
		event_del(&server->acceptable);
		remove_socket(server);
		close(server->fd);
	}
	timer_fini(&server->accept_retry);
	rpc_free(server->rpc);
	free(server->path);
	free(server);
}

int ctl_server_add_methods(struct ctl_server *server, const struct method *methods, void *state)
{
	return rpc_add_methods(server->rpc, methods, state);
}

void ctl_server_reload(struct ctl_server *server, const struct ctl_settings *settings)
{
	server->clients.max_request = settings->max_request;
	server->clients.max_backlog = settings->max_backlog;
	if (settings->max_backlog / 2 < settings->max_request)
		log_warn("ctl: control.max_backlog is less than twice control.max_request");
}

const struct ctl_daemon *ctl_server_daemon(const struct ctl_server *server)
{
	return &server->daemon;
}

struct rpc *ctl_server_rpc(const struct ctl_server *server)
{
	return server->rpc;
}
