#include "net/dial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/util.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "net/priv.h"

/* A lookup outlives its dial when it is cancelled: its callback still comes. */
struct net_lookup {
	struct net_dial *dial;
	struct evdns_getaddrinfo_request *request;
};

/* There will be no other attempt. */
static void stop_trying(struct net_dial *d)
{
	if (d->addresses)
		evutil_freeaddrinfo(d->addresses);
	d->addresses = d->next = NULL;
	if (d->attempt)
		event_free(d->attempt);
	d->attempt = NULL;
}

void net_dial_fini(struct net_dial *d)
{
	if (d->lookup) {
		d->lookup->dial = NULL;
		if (d->lookup->request)
			evdns_getaddrinfo_cancel(d->lookup->request);
	}
	stop_trying(d);
	free(d->host);
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

static void on_addresses(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct net_lookup *lookup = arg;
	struct net_dial *d = lookup->dial;

	free(lookup);
	if (!d) {
		if (addresses)
			evutil_freeaddrinfo(addresses);
		return;
	}
	d->lookup = NULL;
	if (result)
		story_note(LOG_LEVEL_INFO,
		    &(struct story){.stack = d->stream->protocol->name, .conn = d->stream->number},
		    "%s: %s: %s", d->stream->protocol->name, d->host, evutil_gai_strerror(result));
	d->err = -EHOSTUNREACH;
	d->addresses = d->next = addresses;
	turn_call_soon(d->attempt);
}

static struct evdns_base *resolver(struct net *net)
{
	if (net->dns)
		return net->dns;
	net->dns = evdns_base_new(net->base,
	    EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!net->dns) { /* no name server: the hosts file still counts */
		net->dns = evdns_base_new(net->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (net->dns)
			evdns_base_load_hosts(net->dns, "/etc/hosts");
	}
	return net->dns;
}

void resolver_free(struct net *net)
{
	if (net->dns)
		evdns_base_free(net->dns, 0);
	net->dns = NULL;
}

static const struct evutil_addrinfo hints = {
    .ai_family = AF_UNSPEC,
    .ai_socktype = SOCK_STREAM,
    .ai_protocol = IPPROTO_TCP,
};

static int start_lookup(struct net_dial *d)
{
	struct evdns_base *dns = resolver(d->stream->protocol->net);
	struct net_lookup *lookup = dns ? calloc(1, sizeof(*lookup)) : NULL;
	struct evdns_getaddrinfo_request *request;

	if (!lookup)
		return -ENOMEM;
	lookup->dial = d;
	d->lookup = lookup;
	request = evdns_getaddrinfo(dns, d->host, NULL, &hints, on_addresses, lookup);
	if (request && d->lookup) /* else the answer was at hand, and lookup is gone */
		d->lookup->request = request;
	return 0;
}

/* An address needs no lookup, but its attempt waits for the next turn all the same. */
static int take_literal(struct net_dial *d)
{
	struct evutil_addrinfo numeric = hints;

	numeric.ai_flags = EVUTIL_AI_NUMERICHOST;
	if (evutil_getaddrinfo(d->host, NULL, &numeric, &d->addresses) != 0)
		return -ENOENT;
	d->next = d->addresses;
	turn_call_soon(d->attempt);
	return 0;
}

int net_dial(struct net_stream *s, struct net_dial *d, const struct net_destination *to)
{
	*d = (struct net_dial){.stream = s,
	    .fingerprints = to->fingerprints,
	    .port = to->port,
	    .host = slice_dup(to->host),
	    .attempt = evtimer_new(s->protocol->net->base, on_attempt, d)};
	s->link.ops = to->transport;
	s->dial = d;
	if (!d->host || !d->attempt)
		return -ENOMEM;
	if (to->from) {
		d->from = *to->from;
		addr_set_port(&d->from, 0);
	}
	net_stream_set_life(s, &s->protocol->connecting);
	return take_literal(d) == 0 ? 0 : start_lookup(d);
}
