#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/log.h"
#include "ctl/rpc.h"

enum {
	READ_MIN = 4096,    /* room for a read, at least */
	READ_MAX = 65536,   /* taken from one client in one turn of the loop */
	LINES_MAX = 64,     /* handled for one client in one turn of the loop */
	KEEP_MAX = 65536,   /* larger buffers are freed when they are empty */
	ANSWER_LOW = 65536, /* unread output of a client whose requests are still run */
	SHARE_MIN = 16384,  /* output from this size on is handed over, not copied */
};

struct client {
	struct clients *all;
	LIST_ENTRY(client) next;
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

/* Bytes that several output queues refer to. */
struct block {
	char *bytes;
	unsigned refs;
};

/* --- the end of one --- */

/* Events are built only for those that somebody wants. */
static void update_mask(struct clients *all)
{
	const struct client *client;

	all->subscriber.mask = 0;
	LIST_FOREACH(client, &all->list, next)
		all->subscriber.mask |= client->mask;
}

static void free_client(struct client *client)
{
	if (client->out)
		evbuffer_free(client->out);
	buffer_fini(&client->in);
	free(client);
}

/* The client is gone for everybody; its memory too, unless a handler of its own runs. */
static void close_client(struct client *client)
{
	struct clients *all = client->all;

	if (client->closed)
		return;
	client->closed = true;
	log_debug("ctl: client %u: closed", client->id);
	event_del(&client->readable);
	event_del(&client->writable);
	event_del(&client->again);
	close(client->fd);
	LIST_REMOVE(client, next);
	--*all->count;
	if (client->mask)
		update_mask(all);
	all->left(all->arg);
	if (!client->busy)
		free_client(client);
}

static void close_for_memory(struct client *client)
{
	log_error("ctl: client %u: out of memory, disconnected", client->id);
	close_client(client);
}

/* Its peer has closed both directions, not only its own. */
static bool is_abandoned(const struct client *client)
{
	struct pollfd pollfd = {.fd = client->fd};

	return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & (POLLHUP | POLLERR));
}

/* --- output --- */

static bool is_flooded(const struct client *client)
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
static int add_output(struct client *client, struct slice bytes, struct block *block)
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
static int queue(struct client *client, struct slice bytes, struct block *block)
{
	bool idle = evbuffer_get_length(client->out) == 0;
	int err = add_output(client, bytes, block);

	if (!err && idle)
		event_active(&client->writable, EV_WRITE, 0);
	return err;
}

/* To a client whose handler runs. */
static void send_answer(struct client *client)
{
	struct buffer *answer = &client->all->answer;
	struct slice bytes = buffer_text(answer); /* they stay put, in a block or in the buffer */
	struct block *block = make_block(answer);
	int err = answer->err ? -ENOMEM : 0;

	if (!err && bytes.len && !client->closed)
		err = queue(client, bytes, block);
	if (err)
		close_for_memory(client);
	if (block)
		unref_block(NULL, 0, block);
	if (answer->err)
		buffer_fini(answer);
	answer->len = 0;
}

static void disconnect_subscriber(struct client *client, const char *why)
{
	log_warn("ctl: client %u: subscriber disconnected with %zu bytes unread: %s", client->id,
	    evbuffer_get_length(client->out), why);
	++*client->all->disconnected;
	close_client(client);
}

static void send_event(struct client *client, struct slice bytes, struct block *block)
{
	if (queue(client, bytes, block) < 0)
		disconnect_subscriber(client, "no memory for an event");
	else if (evbuffer_get_length(client->out) > client->all->max_backlog)
		disconnect_subscriber(client, "more than max_backlog");
	else
		++*client->all->events_sent;
}

/* Encoded once, for however many. */
static void on_event(const struct event_notice *event, void *arg)
{
	struct clients *all = arg;
	struct buffer *line = &all->event_line;
	uint64_t bit = event_bus_bit(all->bus, event->type);
	struct block *block;
	struct slice bytes;

	line->len = 0;
	jsonline_event(line, event, true);
	bytes = buffer_text(line);
	block = make_block(line);
	for (struct client *c = LIST_FIRST(&all->list), *next; c; c = next) {
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

static size_t waiting(const struct client *client)
{
	return client->in.len - client->in_start;
}

static void forget_input(struct client *client)
{
	client->in.len = client->in_start = client->scanned = 0;
	if (client->in.cap > KEEP_MAX)
		buffer_fini(&client->in);
}

/* Room for READ_MIN bytes at least.  @return 0 or -ENOMEM */
static int make_room(struct client *client)
{
	if (client->in.cap - client->in.len < READ_MIN && client->in_start) {
		buffer_drop(&client->in, client->in_start);
		client->scanned -= client->in_start;
		client->in_start = 0;
	}
	return buffer_reserve(&client->in, READ_MIN);
}

/* Take the next line off the input; what stands behind the last newline is one at the end. */
static bool next_line(struct client *client, struct slice *line)
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

static void refuse_line(struct client *client)
{
	rpc_refuse(&client->all->answer, RPC_INVALID_REQUEST,
	    "the line is longer than max_request");
	send_answer(client);
}

static void want(uint64_t mask, bool wanted, void *arg)
{
	struct client *client = arg;

	client->mask = wanted ? client->mask | mask : client->mask & ~mask;
	update_mask(client->all);
}

static void handle_line(struct client *client, struct slice line)
{
	const struct rpc_caller caller = {.want = want,
	    .arg = client,
	    .batches = true,
	    .blanks = true};
	struct clients *all = client->all;

	if (client->skipping) {
		client->skipping = false;
		return;
	}
	if (line.len > all->max_request) {
		refuse_line(client);
		return;
	}
	++*all->requests;
	rpc_handle(all->rpc, &caller, line, &all->answer, all->max_backlog);
	send_answer(client);
}

/* A line that is too long already is refused now; its rest is not kept. */
static void check_partial_line(struct client *client)
{
	if (waiting(client) > client->all->max_request && !client->skipping) {
		refuse_line(client);
		client->skipping = true;
	}
	if (client->skipping || waiting(client) == 0)
		forget_input(client);
}

/* After input or output: what to wait for now.  May free the client. */
static void settle(struct client *client)
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
static void run_lines(struct client *client)
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
	else if (!client->closed && n == LINES_MAX && event_add(&client->again, &now) < 0)
		close_for_memory(client);
	client->busy = false;
	settle(client);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	size_t room;
	ssize_t n;

	(void)what;
	if (make_room(client) < 0) {
		close_for_memory(client);
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
	struct client *client = arg;

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

/* --- all of them --- */

int clients_add(struct clients *all, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->out = evbuffer_new();
	client->all = all;
	client->in.max = BUFFER_UNBOUNDED;
	client->fd = fd;
	event_assign(&client->readable, all->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	event_assign(&client->writable, all->base, fd, EV_WRITE, on_writable, client);
	event_assign(&client->again, all->base, -1, 0, on_again, client);
	if (!client->out || event_add(&client->readable, NULL) < 0) {
		free_client(client);
		return -ENOMEM;
	}
	client->id = ++all->last_id;
	LIST_INSERT_HEAD(&all->list, client, next);
	++*all->count;
	return 0;
}

void clients_close_abandoned(struct clients *all)
{
	for (struct client *c = LIST_FIRST(&all->list), *next; c; c = next) {
		next = LIST_NEXT(c, next);
		if (c->eof && is_abandoned(c))
			close_client(c);
	}
}

void clients_init(struct clients *all, struct event_base *base, struct event_bus *bus,
    struct rpc *rpc)
{
	all->base = base;
	all->bus = bus;
	all->rpc = rpc;
	all->answer.max = all->event_line.max = BUFFER_UNBOUNDED;
	all->subscriber = (struct event_subscriber){.fn = on_event, .arg = all};
	event_bus_subscribe(bus, &all->subscriber);
}

void clients_fini(struct clients *all)
{
	struct client *client;

	event_bus_unsubscribe(&all->subscriber);
	while ((client = LIST_FIRST(&all->list))) {
		/* The last events are worth a try. */
		evbuffer_write(client->out, client->fd);
		close_client(client);
	}
	buffer_fini(&all->answer);
	buffer_fini(&all->event_line);
}
