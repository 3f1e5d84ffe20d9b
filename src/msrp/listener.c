#include "msrp/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/listener.h>

#include "base/log.h"

enum { ACCEPT_PAUSE_MS = 200 };

struct msrp_listener {
	struct msrp_stack *stack;
	char *name;
	char *host; /* that others are told */
	uint16_t port;
	char uri[128]; /* of the socket */
	bool secure, wildcard;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct evconnlistener *socket;
	struct timer pause; /* of accepting */
	bool warned;
};

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *addr,
    int addr_len, void *arg)
{
	struct msrp_listener *listener = arg;
	struct msrp_stack *stack = listener->stack;
	struct msrp_conn *conn;
	char peer[80];

	(void)socket;
	(void)addr;
	(void)addr_len;
	if (stack->conn_count >= stack->settings->max_connections) {
		(*stack->count.refused)++;
		log_debug("msrp: listener %s: max_connections reached", listener->name);
		close(fd);
		return;
	}
	if (msrp_conn_new(&conn, stack, fd, listener->secure, listener, true) < 0)
		return;
	(*stack->count.accepted)++;
	listener->warned = false;
	if (log_threshold >= LOG_LEVEL_DEBUG) {
		msrp_conn_peer_text(conn, peer, sizeof(peer));
		log_debug("msrp: conn %" PRIu64 ": accepted from %s on %s", conn->number, peer,
		    listener->name);
	}
	if (listener->secure && msrp_conn_start_tls(conn, stack->server_tls) < 0)
		msrp_conn_close(conn, -ENOMEM);
	else
		msrp_conn_connected(conn);
}

/* Out of descriptors: the connection waits in the backlog, and accepting goes on a little later. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
	struct msrp_listener *listener = arg;

	if (!listener->warned)
		log_warn("msrp: listener %s: accept: %s", listener->name, strerror(errno));
	listener->warned = true;
	evconnlistener_disable(socket);
	timer_start(&listener->pause, ACCEPT_PAUSE_MS);
}

static void on_pause_over(void *arg)
{
	struct msrp_listener *listener = arg;

	if (evconnlistener_enable(listener->socket) < 0)
		timer_start(&listener->pause, ACCEPT_PAUSE_MS);
}

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

static int parse_address(struct msrp_listener *l, const struct msrp_uri *uri)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&l->addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&l->addr;
	char host[INET6_ADDRSTRLEN];

	if (uri->host.len >= sizeof(host))
		return -EINVAL;
	memcpy(host, uri->host.p, uri->host.len);
	host[uri->host.len] = '\0';
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		l->addr_len = sizeof(*in);
		l->wildcard = in->sin_addr.s_addr == htonl(INADDR_ANY);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return -EINVAL;
	in6->sin6_family = AF_INET6;
	l->addr_len = sizeof(*in6);
	l->wildcard = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	return 0;
}

/* sin_port and sin6_port lie at the same place. */
static in_port_t *port_of(struct msrp_listener *l)
{
	return &((struct sockaddr_in *)&l->addr)->sin_port;
}

static int open_socket(struct msrp_listener *l)
{
	int on = 1, err = 0, fd;

	fd = socket(l->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
	    || (l->addr.ss_family == AF_INET6
		&& setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
	    || bind(fd, (struct sockaddr *)&l->addr, l->addr_len) < 0
	    || getsockname(fd, (struct sockaddr *)&l->addr, &l->addr_len) < 0)
		err = -errno;
	if (err == 0) {
		l->socket = evconnlistener_new(l->stack->base, on_accept, l,
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
	bool v6 = l->addr.ss_family == AF_INET6;

	snprintf(l->uri, sizeof(l->uri), "%s://%s%.*s%s:%u;tcp", l->secure ? "msrps" : "msrp",
	    v6 ? "[" : "", SLICE_ARG(uri->host), v6 ? "]" : "", ntohs(*port_of(l)));
	if (settings->advertise
	    && split_advertised(slice_of(settings->advertise), &host, &port) < 0)
		return -EINVAL;
	l->port = port ? port : ntohs(*port_of(l));
	l->host = slice_dup(host);
	l->name = slice_dup(slice_of(settings->name ? settings->name : l->uri));
	return l->host && l->name ? 0 : -ENOMEM;
}

static int open_listener(struct msrp_listener *l, struct msrp_stack *stack,
    const struct msrp_listen_settings *settings, char *why, size_t size)
{
	const char *text = settings->uri ? settings->uri : "";
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;
	int err;

	*l = (struct msrp_listener){.stack = stack};
	if (msrp_listen_uri_parse(&uri, buf, slice_of(text)) < 0 || parse_address(l, &uri) < 0) {
		snprintf(why, size, "%s: not a listener's URI: msrp[s]://ADDRESS:PORT;tcp", text);
		return -EINVAL;
	}
	l->secure = uri.secure;
	*port_of(l) = htons(uri.port);
	if (l->secure && !stack->server_tls) {
		snprintf(why, size, "%s: needs msrp.tls.certificate and private_key", text);
		return -EINVAL;
	}
	err = timer_init(&l->pause, stack->base, on_pause_over, l);
	if (err == 0)
		err = open_socket(l);
	if (err < 0) {
		snprintf(why, size, "%s: %s", text, strerror(-err));
		return err;
	}
	err = name_it(l, settings, &uri);
	if (err < 0)
		snprintf(why, size, "%s: advertise is not HOST or HOST:PORT", text);
	return err;
}

int msrp_listeners_open(struct msrp_stack *stack, char *why, size_t size)
{
	const struct setting_list *list = &stack->settings->listen;
	int err;

	stack->listeners = calloc(list->count ? list->count : 1, sizeof(*stack->listeners));
	if (!stack->listeners) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < list->count; i++) {
		stack->listener_count++;
		err = open_listener(&stack->listeners[i], stack,
		    (struct msrp_listen_settings *)list->items + i, why, size);
		if (err < 0) {
			msrp_listeners_close(stack);
			return err;
		}
	}
	return 0;
}

void msrp_listeners_close(struct msrp_stack *stack)
{
	for (size_t i = 0; i < stack->listener_count; i++) {
		struct msrp_listener *l = &stack->listeners[i];

		timer_fini(&l->pause);
		if (l->socket)
			evconnlistener_free(l->socket);
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

bool msrp_listener_secure(const struct msrp_listener *listener)
{
	return listener->secure;
}

struct slice msrp_listener_host(const struct msrp_listener *listener)
{
	return slice_of(listener->host);
}

uint16_t msrp_listener_port(const struct msrp_listener *listener)
{
	return listener->port;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	if (a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr
		    == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6
	    && memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		   &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr))
	    == 0;
}

/* One of this host's own addresses? */
static bool is_local(const struct sockaddr_storage *addr)
{
	struct ifaddrs *all, *i;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !found; i = i->ifa_next)
		found = i->ifa_addr && same_address(i->ifa_addr, addr);
	freeifaddrs(all);
	return found;
}

static bool address_is(const struct msrp_listener *listener, const struct msrp_uri *uri)
{
	struct msrp_listener other = {0};

	if (parse_address(&other, uri) < 0)
		return false;
	if (same_address((const struct sockaddr *)&listener->addr, &other.addr))
		return true;
	return listener->wildcard && other.addr.ss_family == listener->addr.ss_family
	    && is_local(&other.addr);
}

bool msrp_listener_is(const struct msrp_listener *listener, const struct msrp_uri *uri)
{
	uint16_t bound = ntohs(((const struct sockaddr_in *)&listener->addr)->sin_port);

	if (uri->secure != listener->secure)
		return false;
	if (uri->port && uri->port != listener->port && uri->port != bound)
		return false;
	return slice_equal_nocase(uri->host, slice_of(listener->host)) || address_is(listener, uri);
}

const struct sockaddr *msrp_listener_address(const struct msrp_listener *listener, unsigned *lenp)
{
	*lenp = listener->addr_len;
	return (const struct sockaddr *)&listener->addr;
}
