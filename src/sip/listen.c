/* From the list of listeners to agents. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "sip/priv.h"

static void close_agent(struct sip_stack *stack, struct sip_agent *agent)
{
	STAILQ_REMOVE(&stack->agents, agent, sip_agent, next);
	if (agent->listener)
		edge_unlisten(agent->listener);
	free(agent);
}

static int open_agent(struct sip_agent *agent, struct reason *why)
{
	struct reason text;
	char uri[SIP_AGENT_URI_SIZE];
	int err = edge_listen(agent->stack->edge, sip_agent_transport(agent), &agent->address,
	    agent, &agent->listener, &text);

	if (err == 0) {
		agent->address = *edge_listener_address(agent->listener);
		return 0;
	}
	sip_agent_uri(agent, uri);
	return reason_set(why, err, "sip.listen: %s: %s", uri, text.text);
}

static struct sip_agent *new_agent(struct sip_stack *stack, const union addr *address,
    unsigned transport)
{
	struct sip_agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return NULL;
	agent->stack = stack;
	agent->transport = transport;
	agent->address = *address;
	STAILQ_INSERT_TAIL(&stack->agents, agent, next);
	return agent;
}

int sip_stack_take_websockets(struct sip_stack *stack, const union addr *addr, bool secure,
    const struct net_listener **listenerp)
{
	struct sip_agent *agent = new_agent(stack, addr, secure ? SIP_WSS : SIP_WS);
	int err = agent
	    ? edge_listen_handed(stack->edge, secure, addr, agent, &agent->listener, listenerp)
	    : -ENOMEM;

	if (err < 0 && agent)
		close_agent(stack, agent);
	return err;
}

static int add_agent(struct sip_stack *stack, const union addr *address, unsigned transport,
    struct sip_agent **agentp, struct reason *why)
{
	struct sip_agent *agent = new_agent(stack, address, transport);
	int err;

	if (!agent)
		return -ENOMEM;
	err = open_agent(agent, why);
	if (err)
		close_agent(stack, agent);
	*agentp = agent;
	return err;
}

/* On one port, which the first of them gets if it may be any. */
static int add_agents(struct sip_stack *stack, const union addr *at, unsigned transports,
    struct reason *why)
{
	struct sip_agent *opened[8 * sizeof(transports)];
	union addr address = *at;
	size_t count = 0;
	int err = 0;

	for (unsigned t = 1; t <= transports && !err; t <<= 1) {
		if (!(transports & t))
			continue;
		err = add_agent(stack, &address, t, &opened[count], why);
		if (!err)
			address = opened[count++]->address;
	}
	while (err && count > 0)
		close_agent(stack, opened[--count]);
	return err;
}

/* A port that is free for one transport need not be for the next. */
static int add_anywhere(struct sip_stack *stack, const union addr *at, unsigned transports,
    struct reason *why)
{
	enum { TRIES = 64 };
	int err, tries = addr_port(at) == 0 ? TRIES : 1;

	do
		err = add_agents(stack, at, transports, why);
	while (err == -EADDRINUSE && --tries > 0);
	return err;
}

/*
 * Every address of the machine gets an agent of its own: so each dialog shows the address that
 * its peer reached us at.
 */
static int add_wildcard(struct sip_stack *stack, const struct sip_hop *l, int family, uint16_t port,
    struct reason *why)
{
	struct ifaddrs *all = NULL;
	int err = 0, count = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (struct ifaddrs *i = all; i && !err; i = i->ifa_next) {
		union addr address;

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP)
		    || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)
		    || (family != AF_UNSPEC && i->ifa_addr->sa_family != family))
			continue;
		addr_from(&address, i->ifa_addr);
		if (address.any.sa_family == AF_INET6
		    && IN6_IS_ADDR_LINKLOCAL(&address.in6.sin6_addr))
			continue;
		addr_set_port(&address, port);
		err = add_anywhere(stack, &address, l->transports, why);
		count++;
	}
	freeifaddrs(all);
	return err ? err : count ? 0 : -EADDRNOTAVAIL;
}

static int add_listener(struct sip_stack *stack, const struct sip_hop *l, struct reason *why)
{
	const char *port = l->port[0] ? l->port : sip_usual_port(l->transports);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	union addr address;
	int err;

	if (strcmp(port, "*") == 0)
		port = "0";
	if (strcmp(l->host, "*") == 0) {
		struct slice digits = slice_of(port);
		uint64_t number;

		err = slice_to_u64(digits, 65535, &number);
		return err ? -EINVAL : add_wildcard(stack, l, AF_UNSPEC, (uint16_t)number, why);
	}
	if (getaddrinfo(l->host, port, &hints, &found) != 0)
		return -EADDRNOTAVAIL;
	addr_from(&address, found->ai_addr);
	freeaddrinfo(found);
	if (strcmp(l->host, "0.0.0.0") == 0 || strcmp(l->host, "::") == 0)
		return add_wildcard(stack, l, address.any.sa_family, addr_port(&address), why);
	return add_anywhere(stack, &address, l->transports, why);
}

static bool is_name(const char *host)
{
	union addr address;

	return strcmp(host, "*") != 0 && addr_parse_host(&address, slice_of(host)) < 0;
}

int sip_listeners_open(struct sip_stack *stack, struct reason *why)
{
	char *const *texts = stack->settings->listen.items;

	for (size_t i = 0; i < stack->settings->listen.count; i++) {
		struct sip_hop l;
		int err = sip_listener_parse(texts[i], &l);

		if (err)
			return reason_set(why, -EINVAL,
			    "sip.listen: \"%s\" is not sip:ADDRESS:PORT with a transport of "
			    "udp, tcp, tls, ws or wss",
			    texts[i]);
		*why = (struct reason){""};
		err = add_listener(stack, &l, why);
		if (err && !why->text[0])
			return reason_set(why, err, "sip.listen: \"%s\": %s%s", texts[i],
			    strerror(-err),
			    is_name(l.host) ? "; a name for others to reach us by is "
					      "sip.advertised_contact"
					    : "");
		if (err)
			return err;
	}
	return 0;
}

void sip_listeners_close(struct sip_stack *stack)
{
	struct sip_agent *agent;

	while ((agent = STAILQ_FIRST(&stack->agents))) {
		STAILQ_REMOVE_HEAD(&stack->agents, next);
		free(agent); /* its socket goes with the edge */
	}
}
