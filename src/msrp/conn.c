/* A connection's life and its input; what it writes is in output.c and flow.c. */
#include "msrp/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/log.h"
#include "base/tls.h"

enum {
	STORED_INPUTS	= 64,
	/* Unsent bytes that the kernel takes: more would wait before whatever is urgent. */
	NOTSENT_LOWAT	= 128 * 1024,
	REPLY_MAX	= 4096,		/* beside the paths, which are the peer's own */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

/* --- life --- */

static void set_options(int fd)
{
	int on = 1, lowat = NOTSENT_LOWAT;

	/* None of these is needed to be correct, so a refusal is no error. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* Unacknowledged data must not outlive send_timeout in the kernel either. */
static void set_user_timeout(struct msrp_conn *conn)
{
	unsigned ms = (unsigned)conn->stack->settings->send_timeout_ms;

	setsockopt(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

int msrp_conn_watch(struct msrp_conn *conn, int fd)
{
	conn->fd = fd;
	set_options(fd);
	set_user_timeout(conn);
	if (event_assign(&conn->ev_read, conn->stack->base, fd, EV_READ | EV_PERSIST, on_readable,
		conn) < 0)
		return -EIO;
	return 0;
}

static int start_reading(struct msrp_conn *conn)
{
	if (conn->reading)
		return 0;
	if (event_add(&conn->ev_read, NULL) < 0)
		return -ENOMEM;
	conn->reading = true;
	return 0;
}

static void stop_reading(struct msrp_conn *conn)
{
	if (!conn->reading)
		return;
	event_del(&conn->ev_read);
	conn->reading = false;
}

/*
 * Read without waiting for the socket: what was stashed, or lies in the TLS buffers, makes none
 * readable.  Only who reads may be woken: stop_reading() would not take the event back otherwise,
 * and it would outlive the connection.
 */
static void read_soon(struct msrp_conn *conn)
{
	if (conn->reading)
		event_active(&conn->ev_read, EV_READ, 0);
}

int msrp_conn_new(struct msrp_conn **connp, struct msrp_stack *stack, int fd, bool secure,
    struct msrp_listener *listener, bool accepted)
{
	struct msrp_conn *conn = calloc(1, sizeof(*conn));
	int err;

	if (!conn) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	conn->stack = stack;
	conn->fd = -1;
	conn->refs = 1;
	conn->secure = secure;
	conn->listener = listener;
	conn->accepted = accepted;
	conn->number = ++stack->last_number;
	conn->last_waiting = &conn->waiting;
	conn->state = CONN_RESOLVING;
	if (fd >= 0 && (err = msrp_conn_watch(conn, fd)) < 0) {
		close(fd);
		free(conn);
		return err;
	}
	conn->next = stack->conns;
	conn->prevp = &stack->conns;
	if (conn->next)
		conn->next->prevp = &conn->next;
	stack->conns = conn;
	stack->conn_count++;
	*stack->count.open = stack->conn_count;
	*connp = conn;
	return 0;
}

struct msrp_conn *msrp_conn_ref(struct msrp_conn *conn)
{
	conn->refs++;
	return conn;
}

void msrp_conn_set_life(struct msrp_conn *conn, struct timer_queue *queue)
{
	if (conn->life_queue)
		timer_queue_stop(conn->life_queue, &conn->life);
	conn->life_queue = queue;
	if (queue)
		timer_queue_start(queue, &conn->life);
}

static struct msrp_input *input_get(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_input *in = conn->in;

	if (in)
		return in;
	in = stack->free_inputs;
	if (in) {
		stack->free_inputs = in->next;
		stack->free_input_count--;
	} else {
		in = malloc(sizeof(*in));
		if (!in)
			return NULL;
	}
	in->next = NULL;
	in->parked = NULL;
	in->sink = NULL;
	in->in_frame = in->answered = in->pause = false;
	in->stash = NULL;
	in->stashed = (struct slice){NULL, 0};
	msrp_parser_init(&in->parser, stack->settings->max_header_size);
	conn->in = in;
	return in;
}

static void input_drop(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_input *in = conn->in;

	if (!in)
		return;
	conn->in = NULL;
	msrp_parser_fini(&in->parser);
	free(in->parked);
	if (in->stash)
		msrp_block_put(stack, in->stash);
	if (stack->free_input_count >= STORED_INPUTS) {
		free(in);
		return;
	}
	in->next = stack->free_inputs;
	stack->free_inputs = in;
	stack->free_input_count++;
}

void msrp_conn_unref(struct msrp_conn *conn)
{
	if (--conn->refs)
		return;
	input_drop(conn);
	free(conn);
}

static void close_tls(struct msrp_conn *conn)
{
	if (!conn->ssl)
		return;
	if (conn->state >= CONN_OPEN && SSL_is_init_finished(conn->ssl)) {
		ERR_clear_error();
		SSL_shutdown(conn->ssl); /* close_notify; its failure is of no interest any more */
	}
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	ERR_clear_error();
}

static void tell_users(struct msrp_conn *conn, int err)
{
	struct msrp_user *user;

	while ((user = conn->users)) {
		msrp_conn_detach(user);
		user->ops->closed(user, err);
	}
}

static void tell_sink(struct msrp_conn *conn, int err)
{
	struct msrp_sink *sink = conn->in ? conn->in->sink : NULL;

	if (!sink)
		return;
	msrp_sink_drop(sink);
	sink->ops->aborted(sink, err);
}

void msrp_conn_close(struct msrp_conn *conn, int err)
{
	struct msrp_stack *stack = conn->stack;

	if (conn->state == CONN_CLOSED)
		return;
	log_debug("msrp: conn %" PRIu64 ": closed: %s", conn->number, strerror(-err));
	stop_reading(conn);
	close_tls(conn);
	conn->state = CONN_CLOSED;
	msrp_conn_set_life(conn, NULL);
	timer_queue_stop(&stack->sending, &conn->send);
	if (conn->ev_write)
		event_free(conn->ev_write);
	conn->ev_write = NULL;
	msrp_pool_remove(conn);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	*conn->prevp = conn->next;
	if (conn->next)
		conn->next->prevp = conn->prevp;
	stack->conn_count--;
	*stack->count.open = stack->conn_count;
	(*stack->count.closed)++;
	output_drop(conn);
	tell_sink(conn, err);
	flows_closed(conn, err);
	transactions_lost(conn, err);
	tell_users(conn, err);
	if (conn->note)
		conn->note->closed(conn->note);
	/* The parser may be running further up the stack, so the input goes with the last ref. */
	msrp_conn_unref(conn);
}

void msrp_conn_close_after_send(struct msrp_conn *conn)
{
	if (conn->state == CONN_CLOSED)
		return;
	conn->close_when_sent = true;
	stop_reading(conn);
	msrp_conn_dirty(conn);
}

bool msrp_conn_closed(const struct msrp_conn *conn)
{
	return conn->state == CONN_CLOSED;
}

bool msrp_conn_open(const struct msrp_conn *conn)
{
	return conn->state == CONN_OPEN;
}

struct msrp_stack *msrp_conn_stack(const struct msrp_conn *conn)
{
	return conn->stack;
}

uint64_t msrp_conn_number(const struct msrp_conn *conn)
{
	return conn->number;
}

bool msrp_conn_secure(const struct msrp_conn *conn)
{
	return conn->secure;
}

bool msrp_conn_accepted(const struct msrp_conn *conn)
{
	return conn->accepted;
}

struct msrp_listener *msrp_conn_listener(const struct msrp_conn *conn)
{
	return conn->listener;
}

int msrp_conn_peer(const struct msrp_conn *conn, struct sockaddr_storage *addr)
{
	socklen_t len = sizeof(*addr);

	return conn->fd >= 0 && getpeername(conn->fd, (struct sockaddr *)addr, &len) == 0 ? 0
											  : -ENOTCONN;
}

int msrp_conn_local(const struct msrp_conn *conn, struct sockaddr_storage *addr)
{
	socklen_t len = sizeof(*addr);

	return conn->fd >= 0 && getsockname(conn->fd, (struct sockaddr *)addr, &len) == 0 ? 0
											  : -ENOTCONN;
}

static void address_text(const struct sockaddr_storage *addr, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (addr->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (addr->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)addr;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
	} else {
		snprintf(text, size, "-");
	}
}

void msrp_conn_peer_text(const struct msrp_conn *conn, char *text, size_t size)
{
	struct sockaddr_storage addr = {0};

	msrp_conn_peer(conn, &addr);
	address_text(&addr, text, size);
}

void msrp_conn_local_text(const struct msrp_conn *conn, char *text, size_t size)
{
	struct sockaddr_storage addr = {0};

	msrp_conn_local(conn, &addr);
	address_text(&addr, text, size);
}

bool msrp_conn_peer_is(const struct msrp_conn *conn, struct slice host)
{
	return conn->ssl && tls_peer_is(conn->ssl, host);
}

bool msrp_conn_peer_certified(const struct msrp_conn *conn)
{
	return conn->ssl && tls_peer_verified(conn->ssl);
}

struct msrp_note *msrp_conn_note(const struct msrp_conn *conn)
{
	return conn->note;
}

void msrp_conn_set_note(struct msrp_conn *conn, struct msrp_note *note)
{
	conn->note = note;
}

size_t msrp_conn_backlog(const struct msrp_conn *conn)
{
	return output_backlog(conn);
}

bool msrp_conn_peer_fingerprint(const struct msrp_conn *conn, struct slice fingerprint)
{
	return conn->ssl && tls_has_fingerprint(conn->ssl, fingerprint);
}

/* --- users --- */

void msrp_conn_attach(struct msrp_conn *conn, struct msrp_user *user, uint64_t idle_ms)
{
	uint32_t idle_s = (uint32_t)((idle_ms + 999) / 1000);

	user->conn = conn;
	user->next = conn->users;
	user->prevp = &conn->users;
	if (user->next)
		user->next->prevp = &user->next;
	conn->users = user;
	conn->user_count++;
	if (idle_s > conn->idle_s)
		conn->idle_s = idle_s;
	if (conn->state == CONN_OPEN)
		msrp_conn_set_life(conn, NULL);
}

void msrp_conn_detach(struct msrp_user *user)
{
	struct msrp_conn *conn = user->conn;

	if (!conn)
		return;
	if (conn->next_user == user)
		conn->next_user = user->next;
	*user->prevp = user->next;
	if (user->next)
		user->next->prevp = user->prevp;
	user->conn = NULL;
	user->next = NULL;
	user->prevp = NULL;
	if (--conn->user_count == 0 && conn->state == CONN_OPEN) {
		conn->idle_since = timer_now_ms();
		msrp_conn_set_life(conn, &conn->stack->idle);
	}
}

size_t msrp_conn_users(const struct msrp_conn *conn)
{
	return conn->user_count;
}

/* --- establishing --- */

static void opened(struct msrp_conn *conn)
{
	struct msrp_user *user;

	conn->state = CONN_OPEN;
	conn->idle_since = timer_now_ms();
	/* What comes from outside has to prove that it is for a session. */
	if (conn->user_count)
		msrp_conn_set_life(conn, NULL);
	else
		msrp_conn_set_life(conn, conn->accepted ? &conn->stack->unbound : &conn->stack->idle);
	/* A handler may detach any user, the next one as well. */
	conn->next_user = conn->users;
	while ((user = conn->next_user) && conn->state == CONN_OPEN) {
		conn->next_user = user->next;
		if (user->ops->opened)
			user->ops->opened(user);
	}
	if (conn->state == CONN_OPEN)
		msrp_conn_dirty(conn);
}

static void handshake(struct msrp_conn *conn)
{
	char why[160];
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(conn->ssl);
	if (n == 1) {
		if (conn->accepted || msrp_pool_accepts(conn))
			opened(conn);
		else
			msrp_conn_close(conn, -EACCES);
		/* What came with the last of the handshake makes no socket readable. */
		if (conn->state == CONN_OPEN && SSL_has_pending(conn->ssl))
			read_soon(conn);
		return;
	}
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return;
	case SSL_ERROR_WANT_WRITE:
		if (msrp_conn_want_write(conn) < 0)
			msrp_conn_close(conn, -ENOMEM);
		return;
	default:
		tls_error_text(why, sizeof(why));
		log_debug("msrp: conn %" PRIu64 ": TLS handshake: %s", conn->number, why);
		msrp_conn_close(conn, -EPROTO);
	}
}

int msrp_conn_start_tls(struct msrp_conn *conn, SSL_CTX *ctx)
{
	if (!ctx)
		return -EPROTONOSUPPORT;
	conn->ssl = SSL_new(ctx);
	if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
		return -ENOMEM;
	if (conn->accepted)
		SSL_set_accept_state(conn->ssl);
	else
		SSL_set_connect_state(conn->ssl);
	return 0;
}

void msrp_conn_connected(struct msrp_conn *conn)
{
	if (start_reading(conn) < 0) {
		msrp_conn_close(conn, -ENOMEM);
		return;
	}
	if (!conn->ssl) {
		opened(conn);
		return;
	}
	conn->state = CONN_HANDSHAKE;
	msrp_conn_set_life(conn, &conn->stack->handshaking);
	handshake(conn);
}

/* --- input: frames --- */

/* -EAGAIN may come with the last byte that was read, so the parser's count does not tell it. */
static int noted(struct msrp_conn *conn, int err)
{
	if (conn->state == CONN_CLOSED)
		return -ECONNRESET;
	if (err == -EAGAIN)
		conn->in->pause = true;
	return err;
}

static int on_head(const struct msrp_frame *frame, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;

	(*conn->stack->count.frames_in)++;
	log_debug("msrp: conn %" PRIu64 ": in: %.*s", conn->number, SLICE_ARG(frame->head));
	in->in_frame = true;
	in->answered = !msrp_frame_is_request(frame);
	in->frame = *frame;
	return noted(conn, msrp_frame_is_request(frame) ? msrp_stack_request(conn, frame)
							: transactions_response(conn, frame));
}

/* The few bytes that the parser had to make up again are put where a piece stays for the turn. */
static struct slice lasting(struct msrp_stack *stack, struct slice piece)
{
	const struct msrp_block *block = stack->feeding;
	struct msrp_block *text;
	char *p;

	if (piece.p >= block->data && piece.p < block->data + BLOCK_BYTES)
		return piece;
	p = msrp_stack_text(stack, piece.len, &text);
	if (p)
		memcpy(p, piece.p, piece.len);
	return (struct slice){p, piece.len};
}

static int on_body(struct slice piece, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_sink *sink = conn->in->sink;

	if (!sink)
		return 0;
	piece = lasting(conn->stack, piece);
	return piece.p ? noted(conn, sink->ops->body(sink, piece)) : -ENOMEM;
}

static int on_end(enum msrp_flag flag, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;
	struct msrp_sink *sink = in->sink;
	int err = 0;

	if (sink) {
		msrp_sink_drop(sink);
		err = sink->ops->end(sink, flag);
	}
	in->in_frame = false;
	free(in->parked);
	in->parked = NULL;
	return noted(conn, err);
}

static void on_broken(const struct msrp_frame *frame, int err, void *arg)
{
	struct msrp_conn *conn = arg;

	(*conn->stack->count.bad_frames)++;
	log_debug("msrp: conn %" PRIu64 ": broken frame: %s", conn->number, strerror(-err));
	if (!msrp_frame_answerable(frame))
		return;
	conn->in->frame = *frame;
	conn->in->in_frame = true;
	conn->in->answered = false;
	msrp_conn_reply(conn, 400, SLICE("Bad Request"), (struct slice){NULL, 0});
	conn->in->in_frame = false;
}

static const struct msrp_parser_handler parser_handler = {
	.head = on_head,
	.body = on_body,
	.end = on_end,
	.broken = on_broken,
};

static struct slice rebased(struct slice s, const char *from, const char *to)
{
	return s.p ? (struct slice){to + (s.p - from), s.len} : s;
}

/* The head lies in a buffer that will be used again: keep what an answer needs of it. */
static int park_head(struct msrp_input *in)
{
	struct msrp_frame *f = &in->frame;
	struct slice head = f->head;
	char *copy;

	if (!in->in_frame || in->parked || !msrp_frame_is_request(f))
		return 0;
	copy = slice_dup(head);
	if (!copy)
		return -ENOMEM;
	f->tid = rebased(f->tid, head.p, copy);
	f->method_text = rebased(f->method_text, head.p, copy);
	f->to_path = rebased(f->to_path, head.p, copy);
	f->from_path = rebased(f->from_path, head.p, copy);
	f->failure_report = rebased(f->failure_report, head.p, copy);
	in->parked = copy;
	return 0;
}

static int park(struct msrp_input *in)
{
	int err = park_head(in);

	if (err == 0 && in->sink && in->sink->ops->parked)
		err = in->sink->ops->parked(in->sink);
	return err;
}

/* A pause in the middle of what was read leaves a rest: keep it, and its block with it. */
static void stash(struct msrp_conn *conn, struct slice rest, struct msrp_block *block)
{
	struct msrp_input *in = conn->in;
	struct msrp_block *before = in->stash;

	in->stash = rest.len ? block : NULL;
	in->stashed = rest;
	if (in->stash)
		block->refs++;
	if (before)
		msrp_block_put(conn->stack, before);
}

/* Parse what came.  The caller holds a ref. */
static void feed(struct msrp_conn *conn, struct slice data, struct msrp_block *block)
{
	struct msrp_input *in = input_get(conn);
	ssize_t n;

	conn->stack->feeding = block;
	n = in ? msrp_parser_feed(&in->parser, data, &parser_handler, conn) : -ENOMEM;
	conn->stack->feeding = NULL;
	if (conn->state == CONN_CLOSED)
		return;
	if (n >= 0 && park(in) < 0)
		n = -ENOMEM;
	if (n < 0) {
		/* What was answered before (400 first) goes out, then it closes. */
		tell_sink(conn, (int)n);
		output_flush(conn);
		msrp_conn_close(conn, (int)n);
		return;
	}
	if (in->pause)
		msrp_conn_pause(conn, PAUSED_BY_SINK);
	in->pause = false;
	stash(conn, slice_from(data, (size_t)n), block);
	if (msrp_parser_idle(&in->parser) && !in->in_frame && !in->stash)
		input_drop(conn);
}

void msrp_conn_take(struct msrp_conn *conn, struct msrp_sink *sink)
{
	sink->conn = conn;
	conn->in->sink = sink;
}

const struct msrp_frame *msrp_conn_request(const struct msrp_conn *conn)
{
	return &conn->in->frame;
}

void msrp_sink_drop(struct msrp_sink *sink)
{
	if (!sink->conn)
		return;
	sink->conn->in->sink = NULL;
	sink->conn = NULL;
}

/* --- input: bytes --- */

void msrp_conn_pause(struct msrp_conn *conn, unsigned why)
{
	conn->paused |= why & 0xffu;
	stop_reading(conn);
}

void msrp_conn_unpause(struct msrp_conn *conn, unsigned why)
{
	if (!(conn->paused & why) || conn->state != CONN_OPEN)
		return;
	conn->paused &= ~why & 0xffu;
	if (conn->paused || conn->close_when_sent)
		return;
	if (start_reading(conn) < 0) {
		msrp_conn_close(conn, -ENOMEM);
		return;
	}
	read_soon(conn);
}

void msrp_conn_resume(struct msrp_conn *conn)
{
	msrp_conn_unpause(conn, PAUSED_BY_SINK);
}

static ssize_t read_plain(struct msrp_conn *conn, char *p, size_t size)
{
	ssize_t n;

	do
		n = recv(conn->fd, p, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? n : -ENOTCONN;
}

/* As many records as there are; a record more may wait when the block is full. */
static ssize_t read_tls(struct msrp_conn *conn, char *p, size_t size)
{
	size_t got = 0;

	while (size - got >= READ_MIN / 4) {
		int n;

		ERR_clear_error();
		n = SSL_read(conn->ssl, p + got, (int)(size - got));
		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		switch (SSL_get_error(conn->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			return got ? (ssize_t)got : -EAGAIN;
		case SSL_ERROR_WANT_WRITE:
			if (msrp_conn_want_write(conn) < 0)
				return -ENOMEM;
			return got ? (ssize_t)got : -EAGAIN;
		case SSL_ERROR_ZERO_RETURN:
			conn->eof = true;
			return got ? (ssize_t)got : -ENOTCONN;
		default:
			conn->eof = true;
			return got ? (ssize_t)got : -ECONNRESET;
		}
	}
	conn->again = true;
	return (ssize_t)got;
}

/* @return bytes that were read and parsed, or why there are none */
static ssize_t read_some(struct msrp_conn *conn)
{
	struct msrp_block *block = msrp_stack_rx(conn->stack);
	size_t room;
	char *p;
	ssize_t n;

	if (!block)
		return -ENOMEM;
	if (conn->state != CONN_OPEN)
		return -EAGAIN;
	p = block->data + block->used;
	room = BLOCK_BYTES - block->used;
	if (room > READ_MAX)
		room = READ_MAX;
	n = conn->ssl ? read_tls(conn, p, room) : read_plain(conn, p, room);
	if (n <= 0)
		return n;
	block->used += (size_t)n;
	*conn->stack->count.bytes_in += (size_t)n;
	feed(conn, (struct slice){p, (size_t)n}, block);
	return n;
}

static void read_open(struct msrp_conn *conn)
{
	ssize_t n;

	if (conn->in && conn->in->stash && !conn->paused) {
		feed(conn, conn->in->stashed, conn->in->stash);
		if (conn->state != CONN_OPEN || conn->paused)
			return;
	}
	conn->again = false;
	n = read_some(conn);
	if (conn->state != CONN_OPEN || conn->paused || n == -EAGAIN)
		return;
	if (n < 0 || conn->eof) {
		/* The peer sends no more; what it is owed it may still read. */
		output_flush(conn);
		msrp_conn_close(conn, n == -ENOTCONN || n > 0 ? -ECONNRESET : (int)n);
	} else if (conn->again) {
		read_soon(conn);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct msrp_conn *conn = msrp_conn_ref(arg);

	(void)fd;
	(void)what;
	if (conn->state == CONN_HANDSHAKE)
		handshake(conn);
	else if (conn->state == CONN_OPEN && conn->reading && !conn->paused)
		read_open(conn);
	msrp_conn_unref(conn);
}

/* --- output --- */

int msrp_conn_want_write(struct msrp_conn *conn)
{
	if (!conn->ev_write) {
		conn->ev_write = event_new(conn->stack->base, conn->fd, EV_WRITE, on_writable, conn);
		if (!conn->ev_write)
			return -ENOMEM;
	}
	return event_add(conn->ev_write, NULL) < 0 ? -ENOMEM : 0;
}

void msrp_conn_dirty(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;

	if (conn->dirty || conn->state == CONN_CLOSED)
		return;
	conn->dirty = true;
	msrp_conn_ref(conn);
	conn->next_dirty = NULL;
	*stack->last_dirty = conn;
	stack->last_dirty = &conn->next_dirty;
	event_active(stack->turn, EV_TIMEOUT, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct msrp_conn *conn = msrp_conn_ref(arg);

	(void)fd;
	(void)what;
	if (conn->state == CONN_CONNECTING)
		msrp_pool_writable(conn);
	else if (conn->state == CONN_HANDSHAKE)
		handshake(conn);
	else if (conn->state == CONN_OPEN)
		msrp_conn_dirty(conn);
	msrp_conn_unref(conn);
}

void msrp_conn_send(struct msrp_conn *conn, struct slice frame)
{
	if (conn->state == CONN_CLOSED || conn->close_when_sent)
		return;
	output_urgent(conn, frame);
	(*conn->stack->count.frames_out)++;
}

/* RFC 4975 7.2 and 7.1.4: is this answer to the request in hand wanted? */
static bool reply_wanted(const struct msrp_frame *request, int code)
{
	enum failure_report report;

	if (request->method == MSRP_REPORT)
		return false;
	if (request->method != MSRP_SEND)
		return true;
	if (msrp_failure_report_parse(request->failure_report, &report) < 0)
		report = FAILURE_REPORT_YES;
	return report == FAILURE_REPORT_YES || (report == FAILURE_REPORT_PARTIAL && code >= 300);
}

void msrp_conn_reply(struct msrp_conn *conn, int code, struct slice phrase, struct slice headers)
{
	struct msrp_input *in = conn->in;
	char small[REPLY_MAX], *large = NULL;
	struct msrp_writer w = MSRP_WRITER(small);
	size_t need;

	if (!in || !in->in_frame || in->answered || conn->state == CONN_CLOSED)
		return;
	in->answered = true;
	if (!reply_wanted(&in->frame, code) || !msrp_frame_answerable(&in->frame))
		return;
	need = in->frame.from_path.len + in->frame.to_path.len + phrase.len + headers.len + 256;
	if (need > sizeof(small)) {
		large = malloc(need);
		if (!large)
			return;
		w = (struct msrp_writer){.p = large, .cap = need};
	}
	msrp_write_response_head(&w, &in->frame, (unsigned)code, phrase);
	msrp_write(&w, headers);
	msrp_write_end_line(&w, in->frame.tid, MSRP_COMPLETE, false);
	log_debug("msrp: conn %" PRIu64 ": out: %.*s", conn->number, SLICE_ARG(msrp_written(&w)));
	msrp_conn_send(conn, msrp_written(&w));
	free(large);
}
