#include "net/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/listener.h>

#include "base/log.h"
#include "net/priv.h"

enum { ACCEPT_PAUSE_MS = 200 };

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

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *addr,
    int addr_len, void *arg)
{
	struct net_listener *l = arg;
	struct net_guard_host *host;
	union addr peer;
	bool proxied;

	(void)socket;
	(void)addr_len;
	addr_from(&peer, addr);
	proxied = !is_alone(l) && prefixes_have(&l->protocol->net->proxies, &peer);
	if (!may_enter(l, &peer, proxied, &host)) {
		close(fd);
		return;
	}
	if (stream_accept(l, fd, host, proxied) == 0)
		l->warned = false;
}

/* Out of descriptors: the connection waits in the backlog, and accepting goes on a little later. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
	struct net_listener *l = arg;

	if (!l->warned)
		log_warn("%s: listener %s: accept: %s", l->protocol->name, l->name,
		    strerror(errno));
	l->warned = true;
	evconnlistener_disable(socket);
	timer_start(&l->pause, ACCEPT_PAUSE_MS);
}

static void on_pause_over(void *arg)
{
	struct net_listener *l = arg;

	if (evconnlistener_enable(l->socket) < 0)
		timer_start(&l->pause, ACCEPT_PAUSE_MS);
}

static int bind_socket(struct net_listener *l, int fd)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
	    || (l->protocol->net->share_ports && !is_alone(l)
		&& setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
	    || (l->addr.any.sa_family == AF_INET6
		&& setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
	    || bind(fd, &l->addr.any, addr_len(&l->addr)) < 0)
		return -errno;
	addr_of_socket(&l->addr, fd);
	return 0;
}

int net_listener_open(struct net_listener *l)
{
	struct event_base *base = l->protocol->net->base;
	int err = timer_init(&l->pause, base, on_pause_over, l);
	int fd;

	if (err < 0)
		return err;
	fd = socket(l->addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_socket(l, fd);
	if (err == 0) {
		l->socket = evconnlistener_new(base, on_accept, l,
		    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, SOMAXCONN, fd);
		if (!l->socket)
			err = errno ? -errno : -ENOMEM;
	}
	if (err < 0) {
		close(fd);
		return err;
	}
	evconnlistener_set_error_cb(l->socket, on_accept_error);
	return 0;
}

void net_listener_close(struct net_listener *l)
{
	timer_fini(&l->pause);
	if (l->socket)
		evconnlistener_free(l->socket);
	l->socket = NULL;
}
