#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <msrpd/sip_uri.h>

#include "net/lookup.h"
#include "sip/priv.h"

/* --- how listeners are written --- */

/* "192.0.2.1" or "[2001:db8::1]", as URIs have it */
static void host_text(const union addr *address, char *text, size_t size)
{
	char host[ADDR_TEXT_SIZE];

	addr_print_host(address, host);
	snprintf(text, size, address->any.sa_family == AF_INET6 ? "[%s]" : "%s", host);
}

static const struct kind {
	unsigned transport;
	const char *edge;
	const char *sip,
	    *sips; /* what a URI with that scheme has for it; NULL: it cannot have it */
} kinds[] = {
    {SIP_UDP, "udp", ";transport=udp", NULL}, {SIP_TCP, "tcp", ";transport=tcp", NULL},
    {SIP_TLS, "tls", ";transport=tls", ""}, {SIP_WS, "ws", ";transport=ws", NULL},
    {SIP_WSS, "wss", ";transport=ws", ";transport=ws"}, /* RFC 7118 5.2 knows no other name */
};

static const struct kind *kind_of(const struct sip_agent *agent)
{
	size_t i = 0;

	while (kinds[i].transport != agent->transport)
		i++;
	return &kinds[i];
}

const struct edge_transport *sip_agent_transport(const struct sip_agent *agent)
{
	return edge_transport_find(slice_of(kind_of(agent)->edge));
}

/* @param secure  by sips, if it can be */
static void write_uri(const struct sip_agent *agent, bool secure, char uri[SIP_AGENT_URI_SIZE])
{
	const struct kind *kind = kind_of(agent);
	char host[ADDR_TEXT_SIZE];

	secure = secure && kind->sips;
	host_text(&agent->address, host, sizeof(host));
	snprintf(uri, SIP_AGENT_URI_SIZE, "%s:%s:%u%s", secure ? "sips" : "sip", host,
	    addr_port(&agent->address), secure ? kind->sips : kind->sip);
}

void sip_agent_uri(const struct sip_agent *agent, char uri[SIP_AGENT_URI_SIZE])
{
	write_uri(agent, true, uri);
}

/*
 * The advertised URI with the other scheme, and the port that goes with that.  Its parameters were
 * for the one that it had.
 */
static void turn_scheme(const struct sip_agent *agent, char *text, size_t size)
{
	const char *uri = agent->stack->contact, *rest = strchr(uri, ':') + 1;
	const char *at = strchr(rest, '@'), *host = at ? at + 1 : rest;
	size_t to_host =
	    (size_t)(host - rest) + (*host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":;"));
	bool secure = !sip_uri_is_secure(slice_of(uri));
	const struct kind *kind = kind_of(agent);
	struct sip_hop hop;
	char port[sizeof(hop.port) + 1] = "";

	if (sip_uri_hop(uri, &hop) == 0 && hop.port[0] && secure)
		snprintf(port, sizeof(port), ":%u", addr_port(&agent->address));
	else if (hop.port[0])
		snprintf(port, sizeof(port), ":%s", hop.port);
	snprintf(text, size, "%s:%.*s%s%s", secure ? "sips" : "sip", (int)to_host, rest, port,
	    secure                          ? kind->sips
		: hop.transports == SIP_WSS ? ";transport=ws"
					    : ";transport=tls");
}

/* RFC 3261 12.1.1: by sips where the dialog is; by TLS alone it is not (RFC 5630 5.1.1.2). */
static void write_own_uri(const struct sip_agent *agent, bool secure, char *text, size_t size)
{
	const char *advertised = agent->stack->contact;

	secure = secure && kind_of(agent)->sips;
	if (!advertised)
		write_uri(agent, secure, text);
	else if (sip_uri_is_secure(slice_of(advertised)) == secure)
		snprintf(text, size, "%s", advertised);
	else
		turn_scheme(agent, text, size);
}

/* @param uri  without <> */
static char *write_contact(const char *uri, const char *user, const char *params)
{
	const char *host = strchr(uri, ':') + 1, *at = strchr(host, '@');
	int scheme = (int)(host - uri), n;
	char *text = NULL;

	if (!user)
		n = asprintf(&text, "<%s>%s", uri, params);
	else
		n = asprintf(&text, "<%.*s%.*s%s>%s", scheme, uri, (int)(params - user), user,
		    at ? at + 1 : host, params);
	return n < 0 ? NULL : text;
}

bool sip_contact_is_free(struct slice own)
{
	struct slice params = own, user;

	if (own.len > 0 && memchr(own.p, '@', own.len))
		slice_cut(&params, '@', &user);
	for (size_t i = 0; i < own.len; i++)
		if ((unsigned char)own.p[i] <= ' ' || own.p[i] == 0x7f || strchr("<>", own.p[i]))
			return false;
	for (size_t i = 0; i < params.len; i++)
		if (strchr(",@", params.p[i]))
			return false;
	return params.len == 0 || (params.len > 1 && params.p[0] == ';');
}

char *sip_agent_contact(const struct sip_agent *agent, bool secure, const char *own)
{
	const char *at = own ? strchr(own, '@') : NULL;
	char uri[SIP_URI_MAX + SIP_AGENT_URI_SIZE];

	write_own_uri(agent, secure, uri, sizeof(uri));
	return write_contact(uri, at ? own : NULL, at ? at + 1 : own ? own : "");
}

void sip_stack_each_listener(const struct sip_stack *stack, void (*fn)(const char *uri, void *arg),
    void *arg)
{
	const struct sip_agent *agent;
	char uri[SIP_AGENT_URI_SIZE];

	STAILQ_FOREACH(agent, &stack->agents, next) {
		sip_agent_uri(agent, uri);
		fn(uri, arg);
	}
}

/* --- the agent of a request --- */

int sip_agent_origin(const struct sip_stack *stack, const sip_t *sip, struct edge_origin *origin)
{
	const sip_via_t *via = sip ? sip->sip_via : NULL;

	return edge_origin_of_branch(stack->edge, slice_of(via ? via->v_branch : NULL), origin);
}

/* --- the way of a request of ours --- */

void sip_agent_route(const struct sip_agent *agent, const struct sip_call *call,
    char route[SIP_ROUTE_SIZE])
{
	const char *proxy =
	    agent->stack->route && !call->flow && !call->node ? agent->stack->route : "";
	char edge[EDGE_ROUTE_SIZE] = "";

	if (call->flow)
		edge_flow_route(call->flow, edge);
	else if (call->one_datagram)
		edge_datagram_route(agent->listener, edge);
	else
		edge_listener_route(agent->listener, edge);
	if (call->path)
		snprintf(route, SIP_ROUTE_SIZE, "%s, %s", edge, call->path);
	else if (call->node)
		snprintf(route, SIP_ROUTE_SIZE, "%s, <%s;lr>", edge, call->node);
	else
		snprintf(route, SIP_ROUTE_SIZE, "%s%s%s", edge, *proxy ? ", " : "", proxy);
}

static bool is_host_of(const char *uri, struct slice host)
{
	return uri && slice_equal_nocase(sip_uri_domain(slice_of(uri)), host);
}

bool sip_stack_is_host(const struct sip_stack *stack, struct slice host)
{
	const struct setting_list *listen = &stack->settings->listen;
	const struct sip_agent *agent;
	char text[INET6_ADDRSTRLEN + 2];

	if (!host.p || slice_equal(host, SLICE("*")))
		return false;
	for (size_t i = 0; i < listen->count; i++)
		if (is_host_of(((char *const *)listen->items)[i], host))
			return true;
	STAILQ_FOREACH(agent, &stack->agents, next) {
		host_text(&agent->address, text, sizeof(text));
		if (slice_equal_nocase(slice_of(text), host))
			return true;
	}
	return is_host_of(stack->settings->advertised_contact, host);
}

/* RFC 3261 19.1.2, RFC 7118 5.5 */
const char *sip_usual_port(unsigned transports)
{
	return transports == SIP_TLS ? "5061"
	    : transports == SIP_WS   ? "80"
	    : transports == SIP_WSS  ? "443"
				     : "5060";
}

static uint64_t hop_port(const struct sip_hop *hop)
{
	uint64_t port = 0;

	slice_to_u64(slice_of(hop->port[0] ? hop->port : sip_usual_port(hop->transports)), 65535,
	    &port);
	return port;
}

/* --- is it here? --- */

/* One host has many spellings; all that lead to it are it. */
struct host {
	union addr address; /* AF_UNSPEC: it has a name */
	bool loopback;      /* whatever address of it */
	struct slice name;
};

static bool is_loopback(const union addr *a)
{
	return a->any.sa_family == AF_INET ? *addr_bytes(a).p == 127
	    : a->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr)
					   : false;
}

/* As a connection takes it: "127.1" is an address, and 0.0.0.0 leads to this machine. */
static struct host host_of(const char *text)
{
	struct host h = {.name = slice_of(text)};
	struct addrinfo *literal = net_lookup_literal(text), *next = literal;

	if (net_addresses_next(&next, &h.address))
		addr_unmap(&h.address);
	net_addresses_free(literal);
	if (h.name.len > 1 && h.name.p[h.name.len - 1] == '.')
		h.name.len--;
	h.loopback = addr_is_any(&h.address) || slice_equal_nocase(h.name, SLICE("localhost"));
	return h;
}

static bool has_name(const struct host *h)
{
	return !h->loopback && h->address.any.sa_family == AF_UNSPEC;
}

static bool same_host(const struct host *a, const struct host *b)
{
	if (a->loopback || b->loopback)
		return (a->loopback || is_loopback(&a->address))
		    && (b->loopback || is_loopback(&b->address));
	return has_name(a) ? has_name(b) && slice_equal_nocase(a->name, b->name)
			   : addr_same_host(&a->address, &b->address);
}

/* Where a URI leads, or where we are. */
struct whereabouts {
	struct host host;
	uint64_t port;
};

static bool leads_to(const struct whereabouts *there, const char *own)
{
	struct sip_hop hop;
	struct host host;

	if (!own || sip_uri_hop(own, &hop) < 0 || hop_port(&hop) != there->port)
		return false;
	host = host_of(hop.host);
	return same_host(&there->host, &host);
}

static bool leads_to_agent(const struct whereabouts *there, const struct sip_agent *agent)
{
	const struct host host = {.address = agent->address};

	return addr_port(&agent->address) == there->port && same_host(&there->host, &host);
}

static bool is_port_of_ours(const struct sip_stack *stack, uint64_t port)
{
	const struct sip_agent *agent;

	STAILQ_FOREACH(agent, &stack->agents, next)
		if (addr_port(&agent->address) == port)
			return true;
	return false;
}

/* A name may be one by which others find us at another port. */
static bool leads_to_name(const struct sip_stack *stack, const struct whereabouts *there,
    const char *name)
{
	struct sip_hop hop;
	char uri[sizeof(hop.host) + sizeof("sip:")];
	struct host host;

	snprintf(uri, sizeof(uri), "sip:%s", name);
	if (sip_uri_hop(uri, &hop) < 0)
		return false;
	host = host_of(hop.host);
	return same_host(&there->host, &host)
	    && (has_name(&host) || is_port_of_ours(stack, there->port));
}

bool sip_stack_is_here(const struct sip_stack *stack, const char *uri,
    const struct setting_list *names)
{
	const struct setting_list *listen = &stack->settings->listen;
	const struct sip_agent *agent;
	struct whereabouts there;
	struct sip_hop hop;

	if (sip_uri_hop(uri, &hop) < 0)
		return false;
	there = (struct whereabouts){host_of(hop.host), hop_port(&hop)};
	STAILQ_FOREACH(agent, &stack->agents, next)
		if (leads_to_agent(&there, agent))
			return true;
	for (size_t i = 0; i < listen->count; i++)
		if (leads_to(&there, ((char *const *)listen->items)[i]))
			return true;
	for (size_t i = 0; names && i < names->count; i++)
		if (leads_to_name(stack, &there, ((char *const *)names->items)[i]))
			return true;
	return leads_to(&there, stack->settings->advertised_contact);
}

/* --- which agent a request leaves from --- */

/* The address that the kernel would send from; asked without sending anything. */
static bool source_address(const struct sip_hop *hop, union addr *source)
{
	union addr to;
	int fd;

	addr_parse_host(&to, slice_of(hop->host));
	addr_set_port(&to, 9);
	fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	*source = (union addr){.any.sa_family = AF_UNSPEC};
	if (connect(fd, &to.any, addr_len(&to)) == 0)
		addr_of_socket(source, fd);
	close(fd);
	return addr_len(source) > 0;
}

struct wish {
	unsigned transports;
	int family; /* AF_UNSPEC: a name */
};

static struct sip_agent *next_fit(struct sip_agent *agent, const struct wish *wish)
{
	for (; agent; agent = STAILQ_NEXT(agent, next))
		if ((agent->transport & wish->transports)
		    && (wish->family == AF_UNSPEC || agent->address.any.sa_family == wish->family))
			return agent;
	return NULL;
}

static int family_of(const char *host)
{
	union addr address;

	addr_parse_host(&address, slice_of(host));
	return address.any.sa_family;
}

/* Whoever does not listen for TLS is a client of it all the same. */
static struct sip_agent *first_fit(const struct sip_stack *stack, struct wish *wish)
{
	struct sip_agent *first = next_fit(STAILQ_FIRST(&stack->agents), wish);

	if (first || !(wish->transports & SIP_TLS))
		return first;
	wish->transports = SIP_TCP;
	return next_fit(STAILQ_FIRST(&stack->agents), wish);
}

struct sip_agent *sip_stack_route(struct sip_stack *stack, const char *uri, bool large)
{
	struct sip_hop hop;
	struct wish wish;
	union addr source;
	struct sip_agent *first, *agent;

	if (sip_uri_hop(uri, &hop) < 0)
		return NULL;
	wish = (struct wish){hop.transports & (SIP_TCP | SIP_TLS | (large ? 0U : SIP_UDP)),
	    family_of(hop.host)};
	first = first_fit(stack, &wish);
	/* Without a word in the URI UDP goes first (RFC 3263 4.1), whatever the order. */
	if (first && !large && hop.transports == (SIP_UDP | SIP_TCP)) {
		struct wish udp = {SIP_UDP, wish.family};

		agent = next_fit(STAILQ_FIRST(&stack->agents), &udp);
		if (agent) {
			first = agent;
			wish = udp;
		}
	}
	if (!first || wish.family == AF_UNSPEC || !next_fit(STAILQ_NEXT(first, next), &wish)
	    || !source_address(&hop, &source))
		return first;
	for (agent = first; agent; agent = next_fit(STAILQ_NEXT(agent, next), &wish))
		if (addr_same_host(&agent->address, &source))
			return agent;
	return first;
}
