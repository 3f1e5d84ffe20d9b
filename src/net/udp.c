#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include <event2/event.h>

#include "net/priv.h"

enum {
	BATCH = 32, /* datagrams of one system call at most */
	BATCH_LEAST = 1,
	BATCH_MOST = 5, /* times two to the power of this */
	DATAGRAM_MAX = 65536,
	RECEIVE_BUFFER = 4 << 20, /* as far as net.core.rmem_max lets it */
	SEND_BUFFER = 1 << 20,
	PARCELS_MAX = 1 << 20, /* bytes that wait for the socket */
	ERRORS_AT_ONCE = 16,
};

/* What one system call reads; the memory of what does not come is never touched. */
struct net_batch {
	struct mmsghdr heads[BATCH];
	struct iovec pieces[BATCH];
	union addr from[BATCH];
	union {
		char bytes[CMSG_SPACE(sizeof(uint32_t))];
		struct cmsghdr align;
	} control[BATCH];
	char bytes[BATCH][DATAGRAM_MAX];
};

/* A datagram that the kernel had no room for. */
struct net_parcel {
	STAILQ_ENTRY(net_parcel) next;
	union addr to;
	size_t len;
	char bytes[];
};

/* --- input --- */

static void note_drops(struct net_udp *u, struct msghdr *head)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(head);
	uint32_t dropped;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
		return;
	memcpy(&dropped, CMSG_DATA(c), sizeof(dropped));
	*u->count.dropped += dropped - u->dropped;
	u->dropped = dropped;
}

/* For a trace. */
static void tap(const struct net_udp *u, const union addr *peer, enum net_way way,
    struct slice bytes)
{
	struct net_tap *t = &u->net->tap;
	union addr local;

	if (!t->ops)
		return;
	addr_of_socket(&local, u->fd);
	t->ops->datagram(t, &local, peer, way, bytes);
}

static void prepare(struct net_batch *b, unsigned count)
{
	for (size_t i = 0; i < count; i++) {
		b->pieces[i] = (struct iovec){b->bytes[i], DATAGRAM_MAX};
		b->heads[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
		    .msg_namelen = sizeof(b->from[i]),
		    .msg_iov = &b->pieces[i],
		    .msg_iovlen = 1,
		    .msg_control = &b->control[i],
		    .msg_controllen = sizeof(b->control[i])};
	}
}

/* @return was that all? */
static bool read_batch(struct net_udp *u)
{
	unsigned share = (unsigned)BATCH_LEAST << u->line.share;
	struct net_batch *b = u->net->batch;
	int n;

	prepare(b, share);
	n = recvmmsg(u->fd, b->heads, share, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		++*u->count.received;
		*u->count.bytes_in += b->heads[i].msg_len;
		note_drops(u, &b->heads[i].msg_hdr);
		tap(u, &b->from[i], NET_IN, (struct slice){b->bytes[i], b->heads[i].msg_len});
		u->handler->received(u->arg, &b->from[i],
		    (struct slice){b->bytes[i], b->heads[i].msg_len});
	}
	return n < (int)share;
}

/* --- what ICMP says of datagrams that were sent --- */

static bool is_final(const struct sock_extended_err *e)
{
	return (e->ee_origin == SO_EE_ORIGIN_ICMP || e->ee_origin == SO_EE_ORIGIN_ICMP6)
	    && e->ee_errno != EMSGSIZE; /* the kernel fragments the next one */
}

/* @return false: there was none */
static bool read_error(struct net_udp *u)
{
	char bytes[2048], control[512];
	struct iovec piece = {bytes, sizeof(bytes)};
	struct msghdr head = {.msg_iov = &piece,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(u->fd, &head, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR)
		    && !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		if (is_final(&e))
			u->handler->unreachable(u->arg, (struct slice){bytes, (size_t)n});
	}
	return true;
}

static void read_errors(struct net_udp *u)
{
	for (int i = 0; i < ERRORS_AT_ONCE && read_error(u); i++)
		;
}

static void update_watching(struct net_udp *u)
{
	bool wanted = u->readable && !u->paused && !u->line.waits;

	if (wanted == u->watched)
		return;
	if (wanted)
		u->watched = event_add(u->readable, NULL) == 0;
	else
		u->watched = event_del(u->readable) < 0;
}

/* What there is to read beyond a share waits for its turn; nothing is watched meanwhile. */
static void read_share(struct net_udp *u)
{
	bool all = read_batch(u);

	if (!u->readable)
		return; /* its owner has closed it */
	if (!u->paused && !all)
		line_join(&u->net->line, &u->line);
	update_watching(u);
	if (all)
		read_errors(u);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct net_udp *u = arg;

	(void)fd;
	(void)what;
	if (u->line.waits)
		update_watching(u);
	else
		line_ready(&u->net->line, &u->line);
}

static void on_line(struct line_entry *entry)
{
	read_share((struct net_udp *)(void *)((char *)entry - offsetof(struct net_udp, line)));
}

void net_udp_pause(struct net_udp *u)
{
	u->paused = true;
	line_leave(&u->net->line, &u->line);
	update_watching(u);
}

void net_udp_resume(struct net_udp *u)
{
	u->paused = false;
	update_watching(u);
}

/* --- output --- */

/*
 * What is known of a datagram before is told once in place of sending this one; the owner is told
 * of it later, as this may be called by whom it is about.
 */
static int try_send(struct net_udp *u, const union addr *to, struct slice bytes)
{
	int err = 0;

	for (int i = 0; i < 3; i++) {
		if (sendto(u->fd, bytes.p, bytes.len, MSG_DONTWAIT, &to->any, addr_len(to)) >= 0)
			return 0;
		err = -errno;
		if (err == -EAGAIN || err == -EMSGSIZE)
			break;
	}
	return err;
}

static void wait_for_room(struct net_udp *u, const union addr *to, struct slice bytes)
{
	struct net_parcel *parcel;

	if (u->parcel_bytes + bytes.len > PARCELS_MAX)
		return; /* lost, as datagrams may be */
	parcel = malloc(sizeof(*parcel) + bytes.len);
	if (!parcel)
		return;
	parcel->to = *to;
	parcel->len = bytes.len;
	memcpy(parcel->bytes, bytes.p, bytes.len);
	if (STAILQ_EMPTY(&u->parcels))
		event_add(u->writable, NULL);
	STAILQ_INSERT_TAIL(&u->parcels, parcel, next);
	u->parcel_bytes += bytes.len;
}

static void drop_first(struct net_udp *u)
{
	struct net_parcel *parcel = STAILQ_FIRST(&u->parcels);

	STAILQ_REMOVE_HEAD(&u->parcels, next);
	u->parcel_bytes -= parcel->len;
	free(parcel);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct net_udp *u = arg;
	struct net_parcel *first;

	(void)fd;
	(void)what;
	while ((first = STAILQ_FIRST(&u->parcels))
	    && try_send(u, &first->to, (struct slice){first->bytes, first->len}) != -EAGAIN)
		drop_first(u);
	if (!first)
		event_del(u->writable);
}

int net_udp_send(struct net_udp *u, const union addr *to, struct slice bytes)
{
	int err;

	if (!u->readable)
		return -ENETDOWN;
	++*u->count.sent;
	*u->count.bytes_out += bytes.len;
	tap(u, to, NET_OUT, bytes);
	err = STAILQ_EMPTY(&u->parcels) ? try_send(u, to, bytes) : -EAGAIN;
	if (err != -EAGAIN)
		return err;
	wait_for_room(u, to, bytes);
	return 0;
}

/* --- life --- */

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value)); /* without it, it is as it was */
}

static void set_options(int fd, int family)
{
	set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
	set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
	set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (family == AF_INET6) {
		set(fd, SOL_IPV6, IPV6_V6ONLY, 1);
		set(fd, SOL_IPV6, IPV6_RECVERR, 1);
	} else {
		set(fd, SOL_IP, IP_RECVERR, 1);
	}
}

static int open_socket(struct net_udp *u, union addr *addr)
{
	int family = addr->any.sa_family;

	u->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return -errno;
	set_options(u->fd, family);
	if (u->net->share_ports)
		set(u->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (bind(u->fd, &addr->any, addr_len(addr)) < 0)
		return -errno;
	addr_of_socket(addr, u->fd);
	return 0;
}

static int make_events(struct net_udp *u)
{
	struct event_base *base = net_base(u->net);

	u->readable = event_new(base, u->fd, EV_READ | EV_PERSIST, on_readable, u);
	u->writable = event_new(base, u->fd, EV_WRITE | EV_PERSIST, on_writable, u);
	if (!u->readable || !u->writable)
		return -ENOMEM;
	u->line = (struct line_entry){.run = on_line, .most = BATCH_MOST};
	update_watching(u);
	return u->watched ? 0 : -ENOMEM;
}

int net_udp_open(struct net_udp *u, union addr *addr)
{
	int err;

	STAILQ_INIT(&u->parcels);
	if (!u->net->batch)
		u->net->batch = malloc(sizeof(*u->net->batch));
	if (!u->net->batch)
		return -ENOMEM;
	err = open_socket(u, addr);
	if (err == 0)
		err = make_events(u);
	if (err < 0)
		net_udp_close(u);
	return err;
}

void net_udp_close(struct net_udp *u)
{
	if (!u->net || (u->fd <= 0 && !u->readable))
		return;
	while (!STAILQ_EMPTY(&u->parcels))
		drop_first(u);
	line_leave(&u->net->line, &u->line);
	if (u->readable)
		event_free(u->readable);
	if (u->writable)
		event_free(u->writable);
	u->readable = u->writable = NULL;
	u->watched = false;
	if (u->fd > 0)
		close(u->fd);
	u->fd = 0;
}
