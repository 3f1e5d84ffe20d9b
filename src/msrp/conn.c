/* A connection's life; what it reads is in input.c, what it writes in output.c and flow.c. */
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
	/* Unsent bytes that the kernel takes: more would wait before whatever is urgent. */
	NOTSENT_LOWAT = 128 * 1024,
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
		conn)
	    < 0)
		return -EIO;
	return 0;
}

static bool wants_reading(const struct msrp_conn *conn)
{
	if (conn->state == CONN_HANDSHAKE)
		return true;
	return conn->state == CONN_OPEN && !conn->paused && !conn->close_when_sent;
}

static int update_reading(struct msrp_conn *conn)
{
	bool wanted = wants_reading(conn);

	if (wanted == conn->reading)
		return 0;
	if (wanted && event_add(&conn->ev_read, NULL) < 0)
		return -ENOMEM;
	if (!wanted)
		event_del(&conn->ev_read);
	conn->reading = wanted;
	return 0;
}

void msrp_conn_pause(struct msrp_conn *conn, unsigned why)
{
	conn->paused |= why & 0xffu;
	update_reading(conn);
}

void msrp_conn_unpause(struct msrp_conn *conn, unsigned why)
{
	if (!(conn->paused & why))
		return;
	conn->paused &= ~why & 0xffu;
	/* What was stashed, or lies in the TLS buffers, makes no socket readable. */
	if (wants_reading(conn))
		msrp_conn_read_again(conn);
}

void msrp_conn_resume(struct msrp_conn *conn)
{
	msrp_conn_unpause(conn, PAUSED_BY_SINK);
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

static void close_note(struct msrp_conn *conn)
{
	struct msrp_note *note = conn->note;

	conn->note = NULL;
	if (note)
		note->closed(note);
}

static void close_conn(struct msrp_conn *conn, int err, bool linger)
{
	struct msrp_stack *stack = conn->stack;

	if (conn->state == CONN_CLOSED)
		return;
	log_debug("msrp: conn %" PRIu64 ": closed: %s", conn->number, strerror(-err));
	close_tls(conn);
	conn->state = CONN_CLOSED;
	update_reading(conn);
	msrp_conn_set_life(conn, NULL);
	timer_queue_stop(&stack->sending, &conn->send);
	if (conn->ev_write)
		event_free(conn->ev_write);
	conn->ev_write = NULL;
	msrp_pool_remove(conn);
	if (linger)
		linger_start(stack, conn->fd);
	else if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	*conn->prevp = conn->next;
	if (conn->next)
		conn->next->prevp = conn->prevp;
	stack->conn_count--;
	*stack->count.open = stack->conn_count;
	(*stack->count.closed)++;
	output_drop(conn);
	input_abort(conn, err);
	flows_closed(conn, err);
	transactions_lost(conn, err);
	tell_users(conn, err);
	close_note(conn);
	/* The parser may be running further up the stack, so the input goes with the last ref. */
	msrp_conn_unref(conn);
}

void msrp_conn_close(struct msrp_conn *conn, int err)
{
	close_conn(conn, err, false);
}

void msrp_conn_part(struct msrp_conn *conn, int err)
{
	close_conn(conn, err, conn->state == CONN_OPEN && output_backlog(conn) == 0);
}

void msrp_conn_close_after_send(struct msrp_conn *conn)
{
	if (conn->state == CONN_CLOSED)
		return;
	conn->close_when_sent = true;
	update_reading(conn);
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

	return conn->fd >= 0 && getpeername(conn->fd, (struct sockaddr *)addr, &len) == 0
	    ? 0
	    : -ENOTCONN;
}

int msrp_conn_local(const struct msrp_conn *conn, struct sockaddr_storage *addr)
{
	socklen_t len = sizeof(*addr);

	return conn->fd >= 0 && getsockname(conn->fd, (struct sockaddr *)addr, &len) == 0
	    ? 0
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
	if (update_reading(conn) < 0) {
		msrp_conn_close(conn, -ENOMEM);
		return;
	}
	/* What comes from outside has to prove that it is for a session. */
	if (conn->user_count)
		msrp_conn_set_life(conn, NULL);
	else
		msrp_conn_set_life(conn,
		    conn->accepted ? &conn->stack->unbound : &conn->stack->idle);
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
			msrp_conn_read_again(conn);
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
	if (!conn->ssl) {
		opened(conn);
		return;
	}
	conn->state = CONN_HANDSHAKE;
	if (update_reading(conn) < 0) {
		msrp_conn_close(conn, -ENOMEM);
		return;
	}
	msrp_conn_set_life(conn, &conn->stack->handshaking);
	handshake(conn);
}

void msrp_conn_readable(struct msrp_conn *conn)
{
	msrp_conn_ref(conn);
	if (conn->state == CONN_HANDSHAKE)
		handshake(conn);
	else if (update_reading(conn) < 0)
		msrp_conn_close(conn, -ENOMEM);
	else if (conn->reading)
		input_read(conn);
	msrp_conn_unref(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	msrp_conn_readable(arg);
}

void msrp_conn_read_again(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;

	if (conn->again || conn->state == CONN_CLOSED)
		return;
	conn->again = true;
	conn->next_again = stack->again;
	stack->again = msrp_conn_ref(conn);
	msrp_stack_soon(stack->reading);
}

/* --- output --- */

int msrp_conn_want_write(struct msrp_conn *conn)
{
	if (!conn->ev_write) {
		conn->ev_write =
		    event_new(conn->stack->base, conn->fd, EV_WRITE, on_writable, conn);
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
	/* What becomes dirty in a turn and is not served in it makes the turn set itself again. */
	if (!stack->turning)
		event_active(stack->turn, EV_TIMEOUT, 0);
}

static void on_room(struct msrp_conn *conn)
{
	/* OpenSSL had to write before it could go on reading: an answer to a key update. */
	if (conn->read_wants_write)
		msrp_conn_read_again(conn);
	conn->read_wants_write = false;
	msrp_conn_dirty(conn);
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
		on_room(conn);
	msrp_conn_unref(conn);
}

void msrp_conn_send(struct msrp_conn *conn, struct slice frame)
{
	if (conn->state == CONN_CLOSED || conn->close_when_sent)
		return;
	(*conn->stack->count.frames_out)++;
	output_urgent(conn, frame);
}
