#include "msrp/priv.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/listener.h"

enum { ADDED_MAX = 1 };

struct msrp_listener {
	struct net_listener socket;
	struct msrp_stack *stack;
	const struct msrp_transport *transport;
	char *name;
	char *host; /* that others are told */
	uint16_t port;
	char uri[128]; /* of the socket */
};

int msrp_listen_uri_parse(struct msrp_uri *uri, char *buf, struct slice text)
{
	const char *zero =
	    text.len < MSRP_LISTEN_URI_MAX ? memmem(text.p, text.len, ":0;", 3) : NULL;
	size_t head = zero ? (size_t)(zero - text.p) : text.len;
	size_t len = zero ? text.len - 2 : text.len;

	if (text.len >= MSRP_LISTEN_URI_MAX)
		return -EINVAL;
	/* The grammar knows no port 0, so "any port" is cut out of the text. */
	memcpy(buf, text.p, head);
	if (zero)
		memcpy(buf + head, zero + 2, text.len - head - 2);
	if (msrp_uri_parse(uri, (struct slice){buf, len}) != (ssize_t)len || uri->session_id.p)
		return -EINVAL;
	if (!zero && !uri->port)
		uri->port = MSRP_DEFAULT_PORT;
	return 0;
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT */
static int split_advertised(struct slice text, struct slice *host, uint16_t *port)
{
	char uri[300];
	struct msrp_uri parsed;
	int n = snprintf(uri, sizeof(uri), "msrp://%.*s;tcp", SLICE_ARG(text));

	if (n < 0 || (size_t)n >= sizeof(uri) || msrp_uri_parse(&parsed, slice_of(uri)) != n
	    || parsed.session_id.p || parsed.params.p || parsed.userinfo.p)
		return -EINVAL;
	*host = (struct slice){text.p + (parsed.host.p - uri - 7), parsed.host.len};
	*port = parsed.port;
	return 0;
}

static int name_it(struct msrp_listener *l, const struct msrp_listen_settings *settings,
    const struct msrp_uri *uri)
{
	struct slice host = uri->host;
	uint16_t port = 0;
	bool v6 = l->socket.addr.any.sa_family == AF_INET6;

	snprintf(l->uri, sizeof(l->uri), "%s://%s%.*s%s:%u;%.*s",
	    l->transport->secure ? "msrps" : "msrp", v6 ? "[" : "", SLICE_ARG(uri->host),
	    v6 ? "]" : "", addr_port(&l->socket.addr), SLICE_ARG(l->transport->name));
	if (settings->advertise
	    && split_advertised(slice_of(settings->advertise), &host, &port) < 0)
		return -EINVAL;
	l->port = port ? port : addr_port(&l->socket.addr);
	l->host = slice_dup(host);
	l->name = slice_dup(slice_of(settings->name ? settings->name : l->uri));
	return l->host && l->name ? 0 : -ENOMEM;
}

/* @param handed  no socket of its own */
static int open_listener(struct msrp_listener *l, struct msrp_stack *stack,
    const struct msrp_listen_settings *settings, bool handed, struct reason *why)
{
	const char *text = settings->uri ? settings->uri : "";
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;
	int err;

	*l = (struct msrp_listener){.stack = stack};
	if (msrp_listen_uri_parse(&uri, buf, slice_of(text)) < 0
	    || addr_parse_host(&l->socket.addr, uri.host) < 0
	    || !(l->transport = msrp_transport_find(uri.secure, uri.transport))) {
		return reason_set(why, -EINVAL,
		    "%s: not a listener's URI: msrp[s]://ADDRESS:PORT;tcp or ;ws", text);
	}
	if (!handed && l->transport->net->encrypted && !net_tls_can_accept(stack->protocol.tls))
		return reason_set(why, -EINVAL, "%s: needs msrp.tls.certificate and private_key",
		    text);
	addr_set_port(&l->socket.addr, uri.port);
	l->socket.protocol = &stack->protocol;
	l->socket.transport = l->transport->net;
	l->socket.arg = l;
	l->socket.origins = handed ? NULL : &settings->origins;
	err = handed ? 0 : net_listener_open(&l->socket);
	if (err < 0)
		return reason_set(why, err, "%s: %s", text, strerror(-err));
	err = name_it(l, settings, &uri);
	if (err < 0)
		reason_set(why, err, "%s: %s", text,
		    err == -EINVAL ? "advertise is not HOST or HOST:PORT" : strerror(-err));
	l->socket.name = l->name;
	return err;
}

int msrp_listeners_open(struct msrp_stack *stack, struct reason *why)
{
	const struct setting_list *list = &stack->settings->listen;
	int err;

	stack->listeners = calloc(list->count + ADDED_MAX, sizeof(*stack->listeners));
	if (!stack->listeners)
		return reason_set(why, -ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++) {
		stack->listener_count++;
		err = open_listener(&stack->listeners[i], stack,
		    (struct msrp_listen_settings *)list->items + i, false, why);
		if (err < 0) {
			msrp_listeners_close(stack);
			return err;
		}
	}
	return 0;
}

int msrp_listener_add(struct msrp_stack *stack, const struct msrp_listen_settings *settings,
    const struct net_listener **listenerp, struct reason *why)
{
	struct msrp_listener *l = &stack->listeners[stack->listener_count];

	if (stack->listener_count >= stack->settings->listen.count + ADDED_MAX)
		return reason_set(why, -ENOBUFS, "too many listeners");
	stack->listener_count++;
	*listenerp = &l->socket;
	return open_listener(l, stack, settings, true, why);
}

void msrp_listeners_reload(struct msrp_stack *stack)
{
	const struct msrp_listen_settings *settings = stack->settings->listen.items;

	for (size_t i = 0; i < stack->settings->listen.count; i++)
		stack->listeners[i].socket.origins = &settings[i].origins;
}

void msrp_listeners_close(struct msrp_stack *stack)
{
	for (size_t i = 0; i < stack->listener_count; i++) {
		struct msrp_listener *l = &stack->listeners[i];

		net_listener_close(&l->socket);
		free(l->name);
		free(l->host);
	}
	free(stack->listeners);
	stack->listeners = NULL;
	stack->listener_count = 0;
}

struct msrp_listener *msrp_listener_at(const struct msrp_stack *stack, size_t index)
{
	return index < stack->listener_count ? &stack->listeners[index] : NULL;
}

struct msrp_listener *msrp_listener_named(const struct msrp_stack *stack, struct slice name)
{
	for (size_t i = 0; i < stack->listener_count; i++)
		if (slice_equal(slice_of(stack->listeners[i].name), name))
			return &stack->listeners[i];
	return NULL;
}

struct slice msrp_listener_name(const struct msrp_listener *listener)
{
	return slice_of(listener->name);
}

struct slice msrp_listener_uri(const struct msrp_listener *listener)
{
	return slice_of(listener->uri);
}

const struct msrp_transport *msrp_listener_transport(const struct msrp_listener *listener)
{
	return listener->transport;
}

struct slice msrp_listener_host(const struct msrp_listener *listener)
{
	return slice_of(listener->host);
}

uint16_t msrp_listener_port(const struct msrp_listener *listener)
{
	return listener->port;
}

/* One of this host's own addresses? */
static bool is_local(const union addr *addr)
{
	struct ifaddrs *all, *i;
	bool found = false;
	union addr own;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		addr_from(&own, i->ifa_addr);
		found = addr_same_host(&own, addr);
	}
	freeifaddrs(all);
	return found;
}

static bool address_is(const struct msrp_listener *listener, struct slice host)
{
	const union addr *own = &listener->socket.addr;
	union addr other;

	if (addr_parse_host(&other, host) < 0)
		return false;
	if (addr_same_host(own, &other))
		return true;
	return addr_is_any(own) && other.any.sa_family == own->any.sa_family && is_local(&other);
}

bool msrp_listener_is(const struct msrp_listener *listener, const struct msrp_uri *uri)
{
	uint16_t bound = addr_port(&listener->socket.addr);

	if (uri->secure != listener->transport->secure
	    || !slice_equal_nocase(uri->transport, listener->transport->name))
		return false;
	if (uri->port && uri->port != listener->port && uri->port != bound)
		return false;
	return slice_equal_nocase(uri->host, slice_of(listener->host))
	    || address_is(listener, uri->host);
}

const union addr *msrp_listener_address(const struct msrp_listener *listener)
{
	return &listener->socket.addr;
}

struct msrp_stack *msrp_listener_stack(const struct msrp_listener *listener)
{
	return listener->stack;
}
