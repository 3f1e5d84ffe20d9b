#include "ctl/server.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "ctl/jsonline.h"
#include "ctl/priv.h"
#include "ctl/rpc.h"
#include "event/bus.h"

enum {
	CLIENTS_MAX = 256,
	READ_MIN = 4096,        /* room for a read, at least */
	READ_MAX = 65536,       /* taken from one client in one turn of the loop */
	LINES_MAX = 64,         /* handled for one client in one turn of the loop */
	KEEP_MAX = 65536,       /* larger buffers are freed when they are empty */
	ANSWER_LOW = 65536,     /* unread output of a client whose requests are still run */
	SHARE_MIN = 16384,      /* output from this size on is handed over, not copied */
	ACCEPT_RETRY_MS = 1000, /* when descriptors run out */
};

struct ctl_client {
	struct ctl_server *server;
	LIST_ENTRY(ctl_client) next;
	unsigned id;
	int fd;
	struct event readable, writable;
	struct event again; /* there are lines left for the next turn */
	uint64_t mask;      /* events it wants */
	struct buffer in;   /* what max_request allows; behind in_start it waits to be handled */
	size_t in_start;
	size_t scanned; /* up to here there is no newline */
	struct evbuffer *out;
	bool eof;      /* it has said all that it will say */
	bool skipping; /* the rest of a line that was refused */
	bool busy;     /* a handler runs: it must not be freed */
	bool closed;   /* and will be freed when it is not busy */
};

struct ctl_server {
	struct ctl_daemon daemon;
	struct event_subscriber subscriber;
	struct rpc *rpc;
	uint64_t max_request, max_backlog;
	char *path;
	struct stat st; /* of the socket, to know it again */
	int fd;
	struct event acceptable;
	struct timer accept_retry;
	LIST_HEAD(, ctl_client) clients;
	struct ctl_client *calling;
	unsigned last_id;
	struct buffer answer, event_line;
	uint64_t *client_count, *requests, *events_sent, *disconnected;
};

/* Bytes that several output queues refer to. */
struct block {
	char *bytes;
	unsigned refs;
};

const struct setting ctl_settings_rows[] = {
    {.name = "socket",
	.type = SETTING_TEXT,
	.offset = offsetof(struct ctl_settings, socket),
	.preset = "/run/msrpd/msrpd.sock",
	.flags = SETTING_FIXED,
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

/* --- a client's end --- */

/* Events are built only for those that somebody wants. */
static void update_mask(struct ctl_server *server)
{
	const struct ctl_client *client;

	server->subscriber.mask = 0;
	LIST_FOREACH(client, &server->clients, next)
		server->subscriber.mask |= client->mask;
}

static void free_client(struct ctl_client *client)
{
	evbuffer_free(client->out);
	buffer_fini(&client->in);
	free(client);
}

/* The client is gone for everybody; its memory too, unless a handler of its own runs. */
static void close_client(struct ctl_client *client)
{
	struct ctl_server *server = client->server;

	if (client->closed)
		return;
	client->closed = true;
	log_debug("ctl: client %u: closed", client->id);
	event_del(&client->readable);
	event_del(&client->writable);
	event_del(&client->again);
	close(client->fd);
	LIST_REMOVE(client, next);
	--*server->client_count;
	if (client->mask)
		update_mask(server);
	if (!client->busy)
		free_client(client);
}

/* Its peer has closed both directions, not only its own. */
static bool is_abandoned(const struct ctl_client *client)
{
	struct pollfd pollfd = {.fd = client->fd};

	return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & (POLLHUP | POLLERR));
}

/* --- output --- */

static bool is_flooded(const struct ctl_client *client)
{
	return evbuffer_get_length(client->out) > ANSWER_LOW;
}

static void unref_block(const void *bytes, size_t len, void *arg)
{
	struct block *block = arg;

	(void)bytes;
	(void)len;
	if (--block->refs > 0)
		return;
	free(block->bytes);
	free(block);
}

/* Take the bytes out of a line that is worth it.  @return NULL: copy them */
static struct block *make_block(struct buffer *line)
{
	struct block *block = NULL;

	if (!line->err && line->len >= SHARE_MIN)
		block = malloc(sizeof(*block));
	if (!block)
		return NULL;
	*block = (struct block){line->p, 1};
	*line = (struct buffer){.max = BUFFER_UNBOUNDED};
	return block;
}

/* @return 0 or -ENOMEM */
static int add_output(struct ctl_client *client, struct slice bytes, struct block *block)
{
	if (!block)
		return evbuffer_add(client->out, bytes.p, bytes.len) < 0 ? -ENOMEM : 0;
	block->refs++;
	if (evbuffer_add_reference(client->out, bytes.p, bytes.len, unref_block, block) == 0)
		return 0;
	block->refs--;
	return -ENOMEM;
}

/* What is queued in this turn of the loop leaves at its end, in one write. */
static int queue(struct ctl_client *client, struct slice bytes, struct block *block)
{
	bool idle = evbuffer_get_length(client->out) == 0;
	int err = add_output(client, bytes, block);

	if (!err && idle)
		event_active(&client->writable, EV_WRITE, 0);
	return err;
}

/* To a client whose handler runs. */
static void send_answer(struct ctl_client *client)
{
	struct buffer *answer = &client->server->answer;
	struct slice bytes = buffer_text(answer); /* they stay put, in a block or in the buffer */
	struct block *block = make_block(answer);
	int err = answer->err ? -ENOMEM : 0;

	if (!err && bytes.len && !client->closed)
		err = queue(client, bytes, block);
	if (err) {
		log_error("ctl: client %u: no memory for an answer, disconnected", client->id);
		close_client(client);
	}
	if (block)
		unref_block(NULL, 0, block);
	if (answer->err)
		buffer_fini(answer);
	answer->len = 0;
}

static void disconnect_subscriber(struct ctl_client *client, const char *why)
{
	log_warn("ctl: client %u: subscriber disconnected with %zu bytes unread: %s", client->id,
	    evbuffer_get_length(client->out), why);
	++*client->server->disconnected;
	close_client(client);
}

static void send_event(struct ctl_client *client, struct slice bytes, struct block *block)
{
	if (queue(client, bytes, block) < 0)
		disconnect_subscriber(client, "no memory for an event");
	else if (evbuffer_get_length(client->out) > client->server->max_backlog)
		disconnect_subscriber(client, "more than max_backlog");
	else
		++*client->server->events_sent;
}

/* Encoded once, for however many. */
static void on_event(const struct event_notice *event, void *arg)
{
	struct ctl_server *server = arg;
	struct buffer *line = &server->event_line;
	uint64_t bit = event_bus_bit(server->daemon.bus, event->type);
	struct block *block;
	struct slice bytes;

	line->len = 0;
	jsonline_event(line, event->type, event->params, event->count);
	bytes = buffer_text(line);
	block = make_block(line);
	for (struct ctl_client *c = LIST_FIRST(&server->clients), *next; c; c = next) {
		next = LIST_NEXT(c, next);
		if (!(c->mask & bit))
			continue;
		if (line->err)
			disconnect_subscriber(c, "no memory for an event");
		else
			send_event(c, bytes, block);
	}
	if (block)
		unref_block(NULL, 0, block);
	if (line->err)
		buffer_fini(line);
}

/* --- input --- */

static size_t waiting(const struct ctl_client *client)
{
	return client->in.len - client->in_start;
}

static void forget_input(struct ctl_client *client)
{
	client->in.len = client->in_start = client->scanned = 0;
	if (client->in.cap > KEEP_MAX)
		buffer_fini(&client->in);
}

/* Room for READ_MIN bytes at least.  @return 0 or -ENOMEM */
static int make_room(struct ctl_client *client)
{
	if (client->in.cap - client->in.len < READ_MIN && client->in_start) {
		buffer_drop(&client->in, client->in_start);
		client->scanned -= client->in_start;
		client->in_start = 0;
	}
	return buffer_reserve(&client->in, READ_MIN);
}

/* Take the next line off the input; what stands behind the last newline is one at the end. */
static bool next_line(struct ctl_client *client, struct slice *line)
{
	char *start, *newline = NULL;
	size_t len;

	if (waiting(client) == 0)
		return false;
	start = client->in.p + client->in_start;
	if (client->scanned < client->in.len)
		newline =
		    memchr(client->in.p + client->scanned, '\n', client->in.len - client->scanned);
	client->scanned = client->in.len;
	if (!newline && !client->eof)
		return false;
	len = newline ? (size_t)(newline - start) : waiting(client);
	*line = (struct slice){start, len};
	client->in_start += newline ? len + 1 : len;
	client->scanned = client->in_start;
	return true;
}

static void refuse_line(struct ctl_client *client)
{
	rpc_refuse(&client->server->answer, RPC_INVALID_REQUEST,
	    "the line is longer than max_request");
	send_answer(client);
}

static void handle_line(struct ctl_client *client, struct slice line)
{
	struct ctl_server *server = client->server;

	if (client->skipping) {
		client->skipping = false;
		return;
	}
	if (line.len > server->max_request) {
		refuse_line(client);
		return;
	}
	++*server->requests;
	server->calling = client;
	rpc_handle(server->rpc, line, &server->answer, server->max_backlog);
	server->calling = NULL;
	send_answer(client);
}

/* A line that is too long already is refused now; its rest is not kept. */
static void check_partial_line(struct ctl_client *client)
{
	if (waiting(client) > client->server->max_request && !client->skipping) {
		refuse_line(client);
		client->skipping = true;
	}
	if (client->skipping || waiting(client) == 0)
		forget_input(client);
}

/* After input or output: what to wait for now.  May free the client. */
static void settle(struct ctl_client *client)
{
	bool done = client->eof && waiting(client) == 0 && evbuffer_get_length(client->out) == 0;

	if (client->closed) {
		free_client(client);
		return;
	}
	if (done && (!client->mask || is_abandoned(client))) {
		close_client(client);
		return;
	}
	if (client->eof || is_flooded(client) || event_pending(&client->again, EV_TIMEOUT, NULL))
		event_del(&client->readable);
	else
		event_add(&client->readable, NULL);
}

/* May free the client. */
static void run_lines(struct ctl_client *client)
{
	static const struct timeval now = {0, 0};
	struct slice line;
	unsigned n = 0;

	client->busy = true;
	while (
	    !client->closed && !is_flooded(client) && n < LINES_MAX && next_line(client, &line)) {
		handle_line(client, line);
		n++;
	}
	if (!client->closed && !is_flooded(client) && n < LINES_MAX)
		check_partial_line(client);
	else if (!client->closed && n == LINES_MAX)
		event_add(&client->again, &now);
	client->busy = false;
	settle(client);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_client *client = arg;
	size_t room;
	ssize_t n;

	(void)what;
	if (make_room(client) < 0) {
		log_error("ctl: client %u: out of memory, disconnected", client->id);
		close_client(client);
		return;
	}
	room = client->in.cap - client->in.len;
	n = recv(fd, client->in.p + client->in.len, room < READ_MAX ? room : READ_MAX, 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			close_client(client);
		return;
	}
	client->in.len += (size_t)n;
	client->eof = n == 0;
	run_lines(client);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	run_lines(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_client *client = arg;

	(void)what;
	if (evbuffer_write(client->out, fd) < 0 && errno != EAGAIN && errno != EINTR) {
		close_client(client);
		return;
	}
	if (evbuffer_get_length(client->out))
		event_add(&client->writable, NULL);
	/* There may be lines that waited for the output to drain, and an end behind them. */
	run_lines(client);
}

/* --- clients come --- */

static int new_client(struct ctl_server *server, int fd)
{
	struct ctl_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->out = evbuffer_new();
	if (!client->out) {
		free(client);
		return -ENOMEM;
	}
	client->server = server;
	client->in.max = BUFFER_UNBOUNDED;
	client->fd = fd;
	client->id = ++server->last_id;
	event_assign(&client->readable, server->daemon.base, fd, EV_READ | EV_PERSIST, on_readable,
	    client);
	event_assign(&client->writable, server->daemon.base, fd, EV_WRITE, on_writable, client);
	event_assign(&client->again, server->daemon.base, -1, 0, on_again, client);
	LIST_INSERT_HEAD(&server->clients, client, next);
	++*server->client_count;
	event_add(&client->readable, NULL);
	return 0;
}

/* Subscribers that half-closed and then went away are found out when a place is wanted. */
static void close_abandoned(struct ctl_server *server)
{
	for (struct ctl_client *c = LIST_FIRST(&server->clients), *next; c; c = next) {
		next = LIST_NEXT(c, next);
		if (c->eof && is_abandoned(c))
			close_client(c);
	}
}

static void admit(struct ctl_server *server, int fd)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	close_abandoned(server);
	if (*server->client_count >= CLIENTS_MAX) {
		log_warn("ctl: more than %d clients, one was turned away", CLIENTS_MAX);
		close(fd);
		return;
	}
	if (new_client(server, fd) < 0) {
		log_error("ctl: out of memory, a client was turned away");
		close(fd);
		return;
	}
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	log_debug("ctl: client %u: connected, pid %d, uid %u", server->last_id, (int)peer.pid,
	    (unsigned)peer.uid);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	struct ctl_server *server = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd >= 0) {
		admit(server, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* It stays acceptable: waiting for it now would turn the loop in vain. */
		log_error("ctl: accept: %s", strerror(errno));
		event_del(&server->acceptable);
		timer_start(&server->accept_retry, ACCEPT_RETRY_MS);
	}
}

static void on_accept_retry(void *arg)
{
	struct ctl_server *server = arg;

	event_add(&server->acceptable, NULL);
}

/* --- the server's life --- */

#define NUMBER(field) offsetof(struct ctl_server, field)

static const struct stats_row numbers[] = {
    {.name = "clients",
	.help = "Clients of the control socket.",
	.offset = NUMBER(client_count),
	.gauge = true},
    {.name = "requests", .help = "Lines received from clients.", .offset = NUMBER(requests)},
    {.name = "events", .help = "Events sent to subscribers.", .offset = NUMBER(events_sent)},
    {.name = "disconnected",
	.help = "Subscribers disconnected because they did not read.",
	.offset = NUMBER(disconnected)},
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

int ctl_server_new(struct ctl_server **serverp, const struct ctl_daemon *daemon,
    const struct ctl_settings *settings, struct reason *why)
{
	struct ctl_server *server = calloc(1, sizeof(*server));
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	if (!server)
		return -ENOMEM;
	server->daemon = *daemon;
	server->answer.max = server->event_line.max = BUFFER_UNBOUNDED;
	server->fd = -1;
	err = prepare(server, settings);
	if (!err)
		err = ctl_socket_open(settings, &server->fd, why);
	if (err) {
		ctl_server_free(server);
		return err;
	}
	if (stat(server->path, &server->st) < 0)
		log_warn("ctl: stat %s: %s", server->path, strerror(errno));
	ctl_server_reload(server, settings);
	server->subscriber = (struct event_subscriber){.fn = on_event, .arg = server};
	event_bus_subscribe(daemon->bus, &server->subscriber);
	event_assign(&server->acceptable, daemon->base, server->fd, EV_READ | EV_PERSIST,
	    on_acceptable, server);
	event_add(&server->acceptable, NULL);
	*serverp = server;
	return 0;
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
	struct ctl_client *client;

	if (!server)
		return;
	event_bus_unsubscribe(&server->subscriber);
	while ((client = LIST_FIRST(&server->clients))) {
		/* The last events are worth a try. */
		evbuffer_write(client->out, client->fd);
		close_client(client);
	}
	if (server->fd >= 0) {
		event_del(&server->acceptable);
		remove_socket(server);
		close(server->fd);
	}
	timer_fini(&server->accept_retry);
	buffer_fini(&server->answer);
	buffer_fini(&server->event_line);
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
	server->max_request = settings->max_request;
	server->max_backlog = settings->max_backlog;
	if (settings->max_backlog / 2 < settings->max_request)
		log_warn("ctl: control.max_backlog is less than twice control.max_request");
}

const struct ctl_daemon *ctl_server_daemon(const struct ctl_server *server)
{
	return &server->daemon;
}

const struct rpc *ctl_server_rpc(const struct ctl_server *server)
{
	return server->rpc;
}

void ctl_server_subscribe(struct ctl_server *server, uint64_t mask)
{
	server->calling->mask |= mask;
	update_mask(server);
}

void ctl_server_unsubscribe(struct ctl_server *server, uint64_t mask)
{
	server->calling->mask &= ~mask;
	update_mask(server);
}
