#include "framed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/stream.h"

/* --- one end --- */

static ssize_t receive(int fd, void *p, size_t size)
{
	ssize_t n = recv(fd, p, size, 0);

	return n < 0 ? -errno : n;
}

/* @return 1: there is one, 0: the socket's end, or negative errno */
static int read_header(struct framed *f, int fd)
{
	uint32_t word;

	while (f->header_len < FRAMED_HEADER) {
		ssize_t n = receive(fd, f->header + f->header_len, FRAMED_HEADER - f->header_len);

		if (n <= 0)
			return (int)n;
		f->header_len += (size_t)n;
		if (f->header_len == FRAMED_HEADER) {
			memcpy(&word, f->header, sizeof(word));
			f->left = ntohl(word) >> 1;
			f->final = ntohl(word) & 1;
		}
	}
	return 1;
}

ssize_t framed_read(struct framed *f, int fd, char *p, size_t size, bool *endp)
{
	ssize_t n = read_header(f, fd);

	if (n <= 0)
		return n;
	n = 0;
	if (f->left) {
		n = receive(fd, p, size < f->left ? size : f->left);
		if (n <= 0)
			return n;
		f->left -= (size_t)n;
	}
	if (f->left == 0) {
		f->header_len = 0;
		*endp = f->final;
		if (n == 0 && !f->final)
			return -EAGAIN;
	}
	return n;
}

int framed_flush(struct framed *f, int fd)
{
	ssize_t n = send(fd, f->out + f->out_at, f->out_len - f->out_at, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	f->out_at += (size_t)n;
	if (f->out_at == f->out_len)
		f->out_at = f->out_len = 0;
	return 0;
}

/* A fragment in out. @return its bytes */
static size_t write_fragment(struct framed *f, const struct iovec *iov, int count, bool end)
{
	size_t len = 0, all = 0;
	uint32_t word;

	for (int i = 0; i < count; i++) {
		size_t room = FRAGMENT_MAX - len;
		size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;

		if (part)
			memcpy(f->out + FRAMED_HEADER + len, iov[i].iov_base, part);
		len += part;
		all += iov[i].iov_len;
	}
	word = htonl((uint32_t)len << 1 | (end && len == all));
	memcpy(f->out, &word, sizeof(word));
	f->out_len = FRAMED_HEADER + len;
	return len;
}

ssize_t framed_write(struct framed *f, int fd, const struct iovec *iov, int count, bool end)
{
	size_t len = write_fragment(f, iov, count, end);
	int err = framed_flush(f, fd);

	if (err < 0) {
		f->out_len = 0;
		return err;
	}
	return (ssize_t)len;
}

/* --- the transport --- */

static int on_open(struct net_stream *s)
{
	s->link.state = calloc(1, sizeof(struct framed));
	return s->link.state ? 0 : -ENOMEM;
}

static ssize_t on_read(struct net_stream *s, char *p, size_t size, unsigned *flags)
{
	bool end = false;
	ssize_t n = framed_read(s->link.state, s->fd, p, size, &end);

	if (end)
		*flags |= NET_READ_END;
	return n;
}

/* The first message alone. */
static ssize_t write_message(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	size_t left = ends->count ? ends->at[0] : SIZE_MAX;
	struct iovec pieces[NET_IOV_MAX];
	int n = 0;

	for (; n < count && left; n++) {
		pieces[n] = iov[n];
		if (pieces[n].iov_len > left)
			pieces[n].iov_len = left;
		left -= pieces[n].iov_len;
	}
	return framed_write(s->link.state, s->fd, pieces, n, ends->count > 0);
}

static ssize_t on_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	struct framed *f = s->link.state;
	ssize_t n = count ? write_message(s, iov, count, ends) : framed_flush(f, s->fd);

	if (n >= 0)
		net_stream_hold(s, f->out_len - f->out_at);
	return n;
}

static void on_shutdown(struct net_stream *s)
{
	free(s->link.state);
}

const struct net_transport framed_transport = {
    .name = "framed",
    .framed = true,
    .open = on_open,
    .read = on_read,
    .writev = on_writev,
    .shutdown = on_shutdown,
};
