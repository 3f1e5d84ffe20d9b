/* The bare socket. */
#include <errno.h>
#include <sys/socket.h>

#include "net/stream.h"

static ssize_t tcp_read(struct net_stream *s, char *p, size_t size, unsigned *flags)
{
	ssize_t n;

	(void)flags;
	do
		n = recv(s->fd, p, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t tcp_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
	    .msg_iovlen = (size_t)count};
	ssize_t n;

	(void)ends;
	do
		n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

const struct net_transport net_tcp = {.name = "tcp", .read = tcp_read, .writev = tcp_writev};
