/*
 * Sockets that everybody here is done with, until the peer has read our last words: closed with
 * bytes unread they would be reset, and what the peer has not read yet (a 400, say) be lost.
 */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINGER_MS = 2000,
	LINGER_BYTES = 256 << 10, /* that the peer may still send */
	LINGERS_MAX = 256,
};

struct net_linger {
	LIST_ENTRY(net_linger) entry;
	struct net *net;
	struct timer_entry timer;
	int fd;
	size_t left;
	struct event readable;
};

#define OF_TIMER(entry) ((struct net_linger *)((char *)(entry)-offsetof(struct net_linger, timer)))

static void linger_free(struct net_linger *l)
{
	event_del(&l->readable);
	timer_queue_stop(&l->net->lingering, &l->timer);
	LIST_REMOVE(l, entry);
	l->net->linger_count--;
	close(l->fd);
	free(l);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct net_linger *l = arg;
	/* Of TCP these bytes are dropped in the kernel. */
	ssize_t n = recv(fd, NULL, l->left, MSG_TRUNC);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (size_t)n >= l->left)
		linger_free(l);
	else
		l->left -= (size_t)n;
}

static void on_timeout(struct timer_entry *entry, void *arg)
{
	(void)arg;
	linger_free(OF_TIMER(entry));
}

void linger_start(struct net *net, int fd)
{
	struct net_linger *l = NULL;

	if (net->linger_count < LINGERS_MAX && shutdown(fd, SHUT_WR) == 0)
		l = calloc(1, sizeof(*l));
	if (!l) {
		close(fd);
		return;
	}
	l->net = net;
	l->fd = fd;
	l->left = LINGER_BYTES;
	LIST_INSERT_HEAD(&net->lingers, l, entry);
	net->linger_count++;
	timer_queue_start(&net->lingering, &l->timer);
	if (event_assign(&l->readable, net->base, fd, EV_READ | EV_PERSIST, on_readable, l) < 0
	    || event_add(&l->readable, NULL) < 0)
		linger_free(l);
}

int lingers_init(struct net *net)
{
	return timer_queue_init(&net->lingering, net->base, LINGER_MS, on_timeout, NULL);
}

void lingers_fini(struct net *net)
{
	struct net_linger *l;

	while ((l = LIST_FIRST(&net->lingers)))
		linger_free(l);
	timer_queue_fini(&net->lingering);
}
