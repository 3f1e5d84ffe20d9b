#include "net/dial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "net/lookup.h"
#include "net/priv.h"

/* There will be no other attempt. */
static void stop_trying(struct net_dial *d)
{
	net_addresses_free(d->addresses);
	d->addresses = d->next = NULL;
	if (d->attempt)
		event_free(d->attempt);
	d->attempt = NULL;
}

void net_dial_fini(struct net_dial *d)
{
	net_lookup_cancel(&d->lookup);
	stop_trying(d);
	free(d->host);
	free(d->identity);
	*d = (struct net_dial){0};
}

/* --- connecting --- */

static int leave_from(int fd, const union addr *from, int family)
{
	if (!addr_len(from))
		return 0;
	if (from->any.sa_family != family)
		return -EAFNOSUPPORT;
	return bind(fd, &from->any, addr_len(from)) < 0 ? -errno : 0;
}

static int connect_to(struct net_dial *d, struct evutil_addrinfo *address)
{
	struct net_stream *s = d->stream;
	union addr to;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = stream_watch(s, fd);
	if (err == 0)
		err = leave_from(fd, &d->from, address->ai_family);
	if (err < 0)
		return err;
	addr_from(&to, address->ai_addr);
	addr_set_port(&to, d->port);
	if (connect(fd, &to.any, addr_len(&to)) < 0 && errno != EINPROGRESS)
		return -errno;
	s->state = NET_CONNECTING;
	net_stream_set_life(s, &s->protocol->connecting);
	return net_stream_want_write(s);
}

static void on_attempt(evutil_socket_t fd, short what, void *arg)
{
	struct net_dial *d = arg;
	struct net_stream *s = d->stream;

	(void)fd;
	(void)what;
	while (d->next) {
		struct evutil_addrinfo *address = d->next;

		d->next = address->ai_next;
		d->err = connect_to(d, address);
		if (d->err == 0)
			return;
		log_debug("%s: conn %" PRIu64 ": %s: %s", s->protocol->name, s->number, d->host,
		    strerror(-d->err));
		stream_drop_socket(s);
	}
	net_stream_close(s, d->err ? d->err : -EHOSTUNREACH);
}

/* This attempt came to nothing: there may be another address. */
static void attempt_failed(struct net_stream *s, int err)
{
	struct net_dial *d = s->dial;

	if (!d->next) {
		net_stream_close(s, err);
		return;
	}
	d->err = err;
	stream_drop_socket(s);
	turn_call_soon(d->attempt);
}

void dial_on_timeout(struct timer_entry *entry, void *protocol)
{
	(void)protocol;
	attempt_failed(net_stream_expired(entry), -ETIMEDOUT);
}

void dial_writable(struct net_stream *s)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err) {
		attempt_failed(s, -err);
		return;
	}
	(*s->protocol->count.connected)++;
	stop_trying(s->dial);
	stream_connected(s);
}

/* --- finding out where to --- */

static void on_addresses(struct evutil_addrinfo *addresses, const char *why, void *arg)
{
	struct net_dial *d = arg;

	if (why)
		story_refuse(
		    &(struct story){.stack = d->stream->protocol->name, .conn = d->stream->number},
		    EHOSTUNREACH, "%s: %s: %s", d->stream->protocol->name, d->host, why);
	d->err = -EHOSTUNREACH;
	d->addresses = d->next = addresses;
	turn_call_soon(d->attempt);
}

/* An address needs no lookup, but its attempt waits for the next turn all the same. */
static int find_addresses(struct net_dial *d)
{
	d->addresses = d->next = net_lookup_literal(d->host);
	if (!d->next)
		return net_lookup_start(&d->lookup, d->stream->protocol->net, d->host, on_addresses,
		    d);
	turn_call_soon(d->attempt);
	return 0;
}

int net_dial(struct net_stream *s, struct net_dial *d, const struct net_destination *to)
{
	*d = (struct net_dial){.stream = s,
	    .fingerprints = to->fingerprints,
	    .port = to->port,
	    .host = slice_dup(to->host),
	    .identity = slice_dup(to->identity),
	    .attempt = evtimer_new(s->protocol->net->base, on_attempt, d)};
	s->link.ops = to->transport;
	s->dial = d;
	if (!d->host || (to->identity.p && !d->identity) || !d->attempt)
		return -ENOMEM;
	if (to->from) {
		d->from = *to->from;
		addr_set_port(&d->from, 0);
	}
	net_stream_set_life(s, &s->protocol->connecting);
	return find_addresses(d);
}
