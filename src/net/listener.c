#include "net/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "net/priv.h"

enum {
	ACCEPT_PAUSE_MS = 200,
	SHARE_LEAST = 2, /* connections of a turn: one, and a look whether it was all */
	SHARE_MOST = 4,  /* times two to the power of this */
};

static bool is_alone(const struct net_listener *l)
{
	return l->alone || l->internal;
}

/* Nobody is told why: whom it costs nothing to be refused comes again. */
static bool may_enter(struct net_listener *l, const union addr *peer, bool proxied,
    struct net_guard_host **hostp)
{
	struct net_protocol *p = l->protocol;
	const char *why = NULL;
	int err = 0;

	*hostp = NULL;
	if (net_protocol_is_full(p))
		why = "too many connections";
	else if (!proxied && !l->internal)
		err = net_guard_enter(p->net->guard, peer, l->transport->encrypted, hostp);
	if (err < 0)
		why = err == -EACCES ? "wrong credentials of this address"
				     : "too many of this address";
	if (!why)
		return true;
	(*p->count.refused)++;
	log_debug("%s: listener %s: %s", p->name, l->name, why);
	return false;
}

static void take(struct net_listener *l, int fd, const union addr *peer)
{
	bool proxied = !is_alone(l) && prefixes_have(&l->protocol->net->proxies, peer);
	struct net_guard_host *host;

	if (!may_enter(l, peer, proxied, &host))
		close(fd);
	else if (stream_accept(l, fd, host, proxied) == 0)
		l->warned = false;
}

static void update_watching(struct net_listener *l)
{
	bool wanted = !l->line.waits && !timer_running(&l->pause);

	if (wanted == l->watched)
		return;
	l->watched = wanted ? event_add(l->readable, NULL) == 0 : event_del(l->readable) < 0;
	if (wanted && !l->watched)
		timer_start(&l->pause, ACCEPT_PAUSE_MS);
}

/* Out of descriptors: the connection waits in the backlog, and accepting goes on a little later. */
static void pause_accepting(struct net_listener *l, int err)
{
	if (!l->warned)
		log_warn("%s: listener %s: accept: %s", l->protocol->name, l->name, strerror(err));
	l->warned = true;
	timer_start(&l->pause, ACCEPT_PAUSE_MS);
}

static void on_pause_over(void *arg)
{
	update_watching(arg);
}

/* @return false: there was none, or none to be had */
static bool accept_one(struct net_listener *l)
{
	struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(from);
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	union addr peer;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(l, errno);
		return false;
	}
	addr_from(&peer, (struct sockaddr *)&from);
	take(l, fd, &peer);
	return true;
}

/* Who connects faster than he is accepted, or closed, waits for his turn as others do. */
static void on_line(struct line_entry *entry)
{
	struct net_listener *l =
	    (struct net_listener *)(void *)((char *)entry - offsetof(struct net_listener, line));
	bool more = true;

	for (unsigned left = (unsigned)SHARE_LEAST << entry->share; more && left; left--)
		more = accept_one(l);
	if (more)
		line_join(&l->protocol->net->line, entry);
	update_watching(l);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct net_listener *l = arg;

	(void)fd;
	(void)what;
	if (l->line.waits)
		update_watching(l);
	else
		line_ready(&l->protocol->net->line, &l->line);
}

static int bind_socket(struct net_listener *l)
{
	int on = 1;

	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
	    || (l->protocol->net->share_ports && !is_alone(l)
		&& setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
	    || (l->addr.any.sa_family == AF_INET6
		&& setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
	    || bind(l->fd, &l->addr.any, addr_len(&l->addr)) < 0)
		return -errno;
	addr_of_socket(&l->addr, l->fd);
	return 0;
}

static int open_socket(struct net_listener *l)
{
	int err;

	l->fd = socket(l->addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	err = bind_socket(l);
	return err == 0 && listen(l->fd, SOMAXCONN) < 0 ? -errno : err;
}

int net_listener_open(struct net_listener *l)
{
	struct event_base *base = l->protocol->net->base;
	int err = timer_init(&l->pause, base, on_pause_over, l);

	if (err == 0)
		err = open_socket(l);
	if (err == 0) {
		l->line = (struct line_entry){.run = on_line, .most = SHARE_MOST};
		l->readable = event_new(base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
		if (l->readable)
			update_watching(l);
		err = l->watched ? 0 : -ENOMEM;
	}
	if (err < 0)
		net_listener_close(l);
	return err;
}

void net_listener_close(struct net_listener *l)
{
	timer_fini(&l->pause);
	if (l->readable) {
		line_leave(&l->protocol->net->line, &l->line);
		event_free(l->readable);
	}
	l->readable = NULL;
	l->watched = false;
	if (l->fd > 0)
		close(l->fd);
	l->fd = 0;
}
