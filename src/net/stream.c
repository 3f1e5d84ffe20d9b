/* A stream's life and its events; what it reads is in input.c, what it writes in output.c. */
#include "net/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "net/dial.h"
#include "net/priv.h"
#include "net/proxy.h"

enum {
	/* Unsent bytes that the kernel takes: more would wait before whatever is urgent. */
	NOTSENT_LOWAT = 128 * 1024,
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

/* --- reading --- */

/* May its handler be given what it reads? */
static bool may_feed(const struct net_stream *s)
{
	return s->state == NET_OPEN && !s->paused && !s->closing && !s->ended;
}

static bool wants_reading(const struct net_stream *s)
{
	if (s->line.waits)
		return false; /* it is read when its turn comes */
	return s->state == NET_PROXIED || (s->state == NET_HANDSHAKE && !s->away) || may_feed(s)
	    || (s->state == NET_OPEN && s->write_wants_read);
}

int stream_update_reading(struct net_stream *s)
{
	bool wanted = wants_reading(s);

	if (wanted == s->reading)
		return 0;
	if (wanted && event_add(&s->ev_read, NULL) < 0)
		return -ENOMEM;
	if (!wanted)
		event_del(&s->ev_read);
	s->reading = wanted;
	return 0;
}

bool stream_outlives_input(struct net_stream *s)
{
	const struct net_handler *handler = s->protocol->handler;

	s->ended = true;
	stream_update_reading(s);
	return handler->ended && handler->ended(s);
}

void stream_pause(struct net_stream *s, unsigned why)
{
	s->paused |= why & 3u;
	line_is_not_done(&s->protocol->net->line, &s->line);
	stream_update_reading(s);
}

void stream_unpause(struct net_stream *s, unsigned why)
{
	if (!(s->paused & why))
		return;
	s->paused &= ~why & 3u;
	/* What was stashed, or lies in the transport's buffers, makes no socket readable. */
	if (may_feed(s))
		stream_read_again(s);
}

void net_stream_pause(struct net_stream *s)
{
	stream_pause(s, PAUSED_BY_OWNER);
}

void net_stream_resume(struct net_stream *s)
{
	stream_unpause(s, PAUSED_BY_OWNER);
}

/* --- life --- */

void net_stream_init(struct net_stream *s, struct net_protocol *protocol)
{
	s->protocol = protocol;
	s->fd = -1;
	s->refs = 1;
	s->number = ++protocol->last_number;
	s->state = NET_RESOLVING;
	LIST_INSERT_HEAD(&protocol->streams, s, entry);
	*protocol->count.open = ++protocol->stream_count;
}

void net_stream_ref(struct net_stream *s)
{
	s->refs++;
}

void net_stream_unref(struct net_stream *s)
{
	if (--s->refs)
		return;
	line_leave(&s->protocol->net->line, &s->line);
	stash_drop(s);
	free(s->client);
	s->protocol->handler->free(s);
}

void net_stream_set_life(struct net_stream *s, struct timer_queue *queue)
{
	if (s->life_queue)
		timer_queue_stop(s->life_queue, &s->life);
	s->life_queue = queue;
	if (queue)
		timer_queue_start(queue, &s->life);
}

struct net_stream *net_stream_expired(struct timer_entry *life)
{
	struct net_stream *s =
	    (struct net_stream *)(void *)((char *)life - offsetof(struct net_stream, life));

	s->life_queue = NULL;
	return s;
}

/* None of these is needed to be correct, so a refusal is no error. */
static void set_options(struct net_stream *s)
{
	int on = 1, lowat = NOTSENT_LOWAT;
	/* Unacknowledged data must not outlive the time-out in the kernel either. */
	unsigned ms = (unsigned)s->protocol->limits.send_timeout_ms;

	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

int stream_watch(struct net_stream *s, int fd)
{
	s->fd = fd;
	set_options(s);
	return event_assign(&s->ev_read, s->protocol->net->base, fd, EV_READ | EV_PERSIST,
		   on_readable, s)
		< 0
	    ? -EIO
	    : 0;
}

static void stop_watching(struct net_stream *s)
{
	stream_update_reading(s);
	if (s->ev_write)
		event_free(s->ev_write);
	s->ev_write = NULL;
	net_stream_set_life(s, NULL);
}

void stream_drop_socket(struct net_stream *s)
{
	s->state = NET_RESOLVING;
	stop_watching(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void close_socket(struct net_stream *s, bool linger)
{
	if (linger && !s->protocol->stopping)
		linger_start(s->protocol->net, s->fd);
	else if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* It has not come to the handshake. */
static void drop_preface(struct net_stream *s)
{
	char text[ADDR_TEXT_SIZE];
	union addr peer;

	if (s->state == NET_LATE)
		net_guard_retire(s);
	if (!s->proxied)
		return;
	if (!s->protocol->stopping) {
		net_stream_peer(s, &peer);
		story_often("%s: conn %" PRIu64 ": no PROXY header from %s", s->protocol->name,
		    s->number, addr_print(&peer, text));
	}
	free(s->proxied);
	s->proxied = NULL;
}

static void close_stream(struct net_stream *s, int err, bool linger)
{
	struct net_protocol *p = s->protocol;
	const struct story of = {.stack = p->name, .conn = s->number};

	if (s->state == NET_CLOSED)
		return;
	story_note(LOG_LEVEL_DEBUG, &of, "%s: conn %" PRIu64 ": closed: %s", p->name, s->number,
	    strerror(-err));
	if (net_tap_on(s) && p->handler->cut)
		p->handler->cut(s);
	drop_preface(s);
	if (s->link.state || s->link.carried)
		s->link.ops->shutdown(s);
	s->link.state = s->link.carried = NULL;
	s->state = NET_CLOSED;
	stop_watching(s);
	if (s->dial)
		net_dial_fini(s->dial);
	close_socket(s, linger);
	LIST_REMOVE(s, entry);
	*p->count.open = --p->stream_count;
	(*p->count.closed)++;
	net_guard_leave(s->host);
	output_drop(s);
	if (net_tap_on(s))
		p->tap->ops->closed(p->tap, s);
	p->handler->closed(s, err);
	s->dial = NULL;
	/* Its input may be at work further up the stack, so it goes with the last ref. */
	net_stream_unref(s);
}

void net_stream_close(struct net_stream *s, int err)
{
	close_stream(s, err, false);
}

void stream_part(struct net_stream *s, int err)
{
	close_stream(s, err, s->state == NET_OPEN && net_stream_backlog(s) == 0);
}

void net_stream_close_after_send(struct net_stream *s)
{
	if (s->state == NET_CLOSED)
		return;
	s->closing = true;
	stream_update_reading(s);
	turn_serve(s);
}

/* --- establishing --- */

static const struct net_transport *at_socket(const struct net_stream *s)
{
	return s->link.ops->carrier ? s->link.ops->carrier : s->link.ops;
}

static void opened(struct net_stream *s)
{
	s->state = NET_OPEN;
	net_stream_set_life(s, NULL);
	if (stream_update_reading(s) < 0) {
		net_stream_close(s, -ENOMEM);
		return;
	}
	s->protocol->handler->opened(s);
	turn_serve(s);
}

static void handshake(struct net_stream *s)
{
	int n = s->away ? 0 : s->link.ops->start(s);

	if (n < 0) {
		/* Who did not keep to the rules may have been told which. */
		close_stream(s, n, n == -EPROTO);
	} else if (n > 0) {
		opened(s);
		/* What came with the last of the handshake makes no socket readable. */
		stream_read_again(s);
	}
}

void net_stream_handshake_leaves(struct net_stream *s)
{
	s->away = true;
	stream_update_reading(s);
}

void net_stream_handshake_returns(struct net_stream *s)
{
	net_stream_ref(s);
	s->away = false;
	if (stream_update_reading(s) < 0)
		net_stream_close(s, -ENOMEM);
	else
		handshake(s);
	net_stream_unref(s);
}

static void begin(struct net_stream *s)
{
	const struct net_transport *ops = s->link.ops;
	int err = ops->open ? ops->open(s) : 0;

	if (err == 0 && ops->start) {
		s->state = NET_HANDSHAKE;
		err = stream_update_reading(s);
	}
	if (err < 0) {
		net_stream_close(s, err);
	} else if (ops->start) {
		net_stream_set_life(s, &s->protocol->handshaking);
		handshake(s);
	} else {
		opened(s);
	}
}

void stream_begin_handshake(struct net_stream *s)
{
	net_stream_ref(s);
	s->state = NET_CONNECTING; /* not late any more */
	begin(s);
	net_stream_unref(s);
}

void stream_connected(struct net_stream *s)
{
	if (!s->accepted || !at_socket(s)->encrypted || net_guard_admit(s)) {
		begin(s);
		return;
	}
	s->state = NET_LATE;
	stream_update_reading(s);
	net_stream_set_life(s, &s->protocol->handshaking);
}

static void log_accepted(const struct net_stream *s)
{
	char peer_text[ADDR_TEXT_SIZE], local_text[ADDR_TEXT_SIZE];
	union addr peer, local;

	if (log_threshold < LOG_LEVEL_DEBUG)
		return;
	net_stream_peer(s, &peer);
	net_stream_local(s, &local);
	log_debug("%s: conn %" PRIu64 ": accepted from %s on %s by %s", s->protocol->name,
	    s->number, addr_print(&peer, peer_text), addr_print(&local, local_text),
	    s->link.ops->name);
}

static int note_client(struct net_stream *s, const union addr *client)
{
	s->client = malloc(sizeof(*s->client));
	if (!s->client)
		return -ENOMEM;
	*s->client = *client;
	return 0;
}

/* Whom the proxy speaks for: the limits are his. */
static int take_client(struct net_stream *s, union addr *client)
{
	if (!addr_len(client))
		net_stream_peer(s, client);
	else if (note_client(s, client) < 0)
		return -ENOMEM;
	return net_guard_enter(s->protocol->net->guard, client, s->link.ops->encrypted, &s->host);
}

static void read_proxied(struct net_stream *s)
{
	union addr client;
	int n = proxy_header_read(s->proxied, s->fd, &client);

	if (n == 0)
		return;
	if (n > 0) {
		free(s->proxied);
		s->proxied = NULL;
		n = take_client(s, &client);
	}
	if (n == -EMFILE || n == -EACCES)
		(*s->protocol->count.refused)++;
	if (n < 0) {
		net_stream_close(s, n);
		return;
	}
	log_accepted(s);
	stream_connected(s);
}

static int expect_header(struct net_stream *s)
{
	s->proxied = calloc(1, sizeof(*s->proxied));
	if (!s->proxied)
		return -ENOMEM;
	s->state = NET_PROXIED;
	net_stream_set_life(s, &s->protocol->prefacing);
	return stream_update_reading(s);
}

int stream_accept(const struct net_listener *listener, int fd, struct net_guard_host *host,
    bool proxied)
{
	struct net_protocol *p = listener->protocol;
	struct net_stream *s = p->handler->accept(listener->arg);
	int err;

	if (!s) {
		net_guard_leave(host);
		close(fd);
		return -ENOMEM;
	}
	s->accepted = true;
	s->listener = listener;
	s->host = host;
	s->link.ops = listener->transport;
	err = stream_watch(s, fd);
	if (err == 0 && proxied)
		err = expect_header(s);
	if (err < 0) {
		net_stream_close(s, err);
		return err;
	}
	(*p->count.accepted)++;
	log_accepted(s);
	if (proxied)
		return 0;
	net_stream_ref(s);
	stream_connected(s);
	net_stream_unref(s);
	return 0;
}

/* --- from one protocol to another --- */

/* All that makes the connection. */
static int move(struct net_stream *from, struct net_stream *to)
{
	int fd = from->fd;

	/* Unless it is somebody else's, whom the other one has spoken for. */
	if (!to->client) {
		to->host = from->host;
		to->client = from->client;
		from->host = NULL;
		from->client = NULL;
	}
	to->link.state = from->link.state;
	from->link.state = NULL;
	net_stream_set_life(from, NULL);
	if (from->reading)
		event_del(&from->ev_read);
	from->reading = false;
	from->fd = -1;
	return stream_watch(to, fd);
}

/* A client of the other one's.  @return as net_guard_enter() */
static int take_client_of(struct net_stream *s, const struct net_stream *from,
    const union addr *client)
{
	union addr peer;

	net_stream_peer(from, &peer);
	if (!client || addr_same_host(client, &peer))
		return 0;
	if (note_client(s, client) < 0)
		return -ENOMEM;
	return net_guard_enter(s->protocol->net->guard, client, false, &s->host);
}

int net_stream_hand_over(struct net_stream *from, const struct net_handing *handing)
{
	struct net_protocol *p = handing->to->protocol;
	struct net_stream *s;
	int err = output_flush(from);

	if (err < 0 || net_stream_backlog(from) || net_protocol_is_full(p) || p->stopping)
		return err < 0 ? err : -EAGAIN;
	s = p->handler->accept(handing->arg);
	if (!s)
		return -ENOMEM;
	s->accepted = true;
	s->listener = handing->to;
	s->link.ops = from->link.ops->encrypted ? &net_wss : &net_ws;
	net_stream_ref(s);
	err = take_client_of(s, from, handing->client);
	if (err == 0) {
		err = move(from, s);
		net_stream_close(from, -ESHUTDOWN);
	} else if (err == -EMFILE) {
		(*p->count.refused)++;
	}
	if (err == 0)
		err = ws_adopt(s, handing->answer, handing->rest);
	if (err < 0) {
		net_stream_close(s, err);
	} else {
		(*p->count.accepted)++;
		log_accepted(s);
		opened(s);
		stream_read_again(s);
	}
	net_stream_unref(s);
	return err;
}

/* --- events --- */

/* Nobody takes what is read now, but what is written needs it. */
static void write_again(struct net_stream *s)
{
	s->write_wants_read = false;
	turn_serve(s);
}

void stream_readable(struct net_stream *s)
{
	net_stream_ref(s);
	if (s->state == NET_PROXIED)
		read_proxied(s);
	else if (s->state == NET_HANDSHAKE)
		handshake(s);
	else if (may_feed(s))
		stream_read(s);
	else if (s->write_wants_read)
		write_again(s);
	if (stream_update_reading(s) < 0)
		net_stream_close(s, -ENOMEM);
	net_stream_unref(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	stream_read_ready(arg);
}

int net_stream_want_write(struct net_stream *s)
{
	if (!s->ev_write) {
		s->ev_write = event_new(s->protocol->net->base, s->fd, EV_WRITE, on_writable, s);
		if (!s->ev_write)
			return -ENOMEM;
	}
	return event_add(s->ev_write, NULL) < 0 ? -ENOMEM : 0;
}

int net_stream_read_wants_write(struct net_stream *s)
{
	s->read_wants_write = true;
	return net_stream_want_write(s);
}

int net_stream_write_wants_read(struct net_stream *s)
{
	s->write_wants_read = true;
	return stream_update_reading(s);
}

static void on_room(struct net_stream *s)
{
	if (s->read_wants_write)
		stream_read_again(s);
	s->read_wants_write = false;
	turn_serve(s);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct net_stream *s = arg;

	(void)fd;
	(void)what;
	net_stream_ref(s);
	if (s->state == NET_CONNECTING)
		dial_writable(s);
	else if (s->state == NET_HANDSHAKE)
		handshake(s);
	else if (s->state == NET_OPEN)
		on_room(s);
	net_stream_unref(s);
}

/* --- who is there --- */

void net_stream_peer(const struct net_stream *s, union addr *addr)
{
	if (s->client)
		*addr = *s->client;
	else
		addr_of_peer(addr, s->fd);
}

void net_stream_local(const struct net_stream *s, union addr *addr)
{
	addr_of_socket(addr, s->fd);
}

bool net_stream_is_broken(const struct net_stream *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return s->state == NET_CLOSED || getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0
	    || err;
}

static bool is_identified(const struct net_stream *s)
{
	return s->link.state && !s->away && at_socket(s)->encrypted;
}

bool net_stream_peer_certified(const struct net_stream *s)
{
	return is_identified(s) && at_socket(s)->peer_certified(s);
}

bool net_stream_peer_is(const struct net_stream *s, struct slice host)
{
	return is_identified(s) && at_socket(s)->peer_is(s, host);
}

bool net_stream_peer_has_fingerprint(const struct net_stream *s, struct slice fingerprint)
{
	return is_identified(s) && at_socket(s)->peer_has_fingerprint(s, fingerprint);
}
