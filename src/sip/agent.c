#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/tport_tag.h>

#include <msrpd/sip_uri.h>

#include "base/buffer.h"
#include "base/log.h"
#include "sip/priv.h"

enum {
	QUEUE_MAX = 1000,    /* Sofia's limit for what waits on a connection */
	LINK_MAX = 16 << 20, /* bytes of a burst on the link, which count as one message */
	LINK_AGAIN_MS = 2000,
	LINK_LOST_MS = 50,
	SESSION_EXPIRES_S = 1800, /* RFC 4028 section 4 */
};

/* --- addresses --- */

/* "192.0.2.1" or "[2001:db8::1]", as URIs have it */
static void host_text(const union addr *address, char *text, size_t size)
{
	char host[ADDR_TEXT_SIZE];

	addr_print_host(address, host);
	snprintf(text, size, address->any.sa_family == AF_INET6 ? "[%s]" : "%s", host);
}

/* --- one agent --- */

/* Is it a response that the edge has made, since there is nobody at the other end? */
static bool is_edges_own(const sip_t *sip, struct sip_agent *agent)
{
	const sip_warning_t *w = sip->sip_warning;

	return agent->transport != SIP_UDP && sip->sip_status && w && w->w_host
	    && edge_is_own_name(agent->stack->edge, slice_of(w->w_host));
}

/* How listeners are written, and what they are on. */
static const struct kind {
	unsigned transport;
	const char *edge; /* NULL: not the edge's */
	const char *scheme, *suffix;
} kinds[] = {
    {SIP_UDP, NULL, "sip", ";transport=udp"}, {SIP_TCP, "tcp", "sip", ";transport=tcp"},
    {SIP_TLS, "tls", "sips", ""}, {SIP_WS, "ws", "sip", ";transport=ws"},
    {SIP_WSS, "wss", "sips", ";transport=ws"}, /* RFC 7118 5.2 knows no other name */
};

static const struct kind *kind_of(const struct sip_agent *agent)
{
	size_t i = 0;

	while (kinds[i].transport != agent->transport)
		i++;
	return &kinds[i];
}

void sip_agent_uri(const struct sip_agent *agent, char uri[SIP_AGENT_URI_SIZE])
{
	const struct kind *kind = kind_of(agent);
	char host[ADDR_TEXT_SIZE];

	host_text(&agent->address, host, sizeof(host));
	snprintf(uri, SIP_AGENT_URI_SIZE, "%s:%s:%u%s", kind->scheme, host,
	    addr_port(&agent->address), kind->suffix);
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

char *sip_agent_contact(const struct sip_agent *agent, const char *own)
{
	const char *at = own ? strchr(own, '@') : NULL;
	char uri[SIP_AGENT_URI_SIZE];

	sip_agent_uri(agent, uri);
	return write_contact(agent->stack->contact ? agent->stack->contact : uri, at ? own : NULL,
	    at        ? at + 1
		: own ? own
		      : "");
}

/* nua would show the Contact of the link, where nobody else can reach us. */
static void answer_options(struct sip_agent *agent, const struct sip_event *ev)
{
	const struct sip_flow *flow = sip_agent_flow(agent, ev->sip);
	char *contact =
	    flow ? sip_agent_contact(edge_listener_owner(edge_flow_listener(flow)), NULL) : NULL;

	nua_respond(ev->nh, SIP_200_OK, NUTAG_WITH_THIS(agent->nua),
	    TAG_IF(contact, SIPTAG_CONTACT_STR(contact)), SIPTAG_ACCEPT_STR("application/sdp"),
	    TAG_END());
	free(contact);
	if (!nua_handle_magic(ev->nh))
		nua_handle_destroy(ev->nh);
}

static void on_nua_event(nua_event_t event, int status, char const *phrase, nua_t *nua,
    nua_magic_t *magic, nua_handle_t *nh, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
	msg_t *msg = nua_current_request(nua);
	struct sip_event ev = {event, status, phrase ? phrase : "", nh, sip, tags,
	    sip && msg && msg_addr(msg)->su_family != 0 && !is_edges_own(sip, magic)};
	struct sip_owner *owner = hmagic;

	if (event == nua_i_options && status < 200)
		answer_options(magic, &ev);
	else if (owner)
		owner->event(owner, &ev);
	else
		sip_stack_event(magic, &ev);
}

void sip_agent_refuse_sharing(const struct sip_agent *agent, nua_handle_t *nh)
{
	nua_respond(nh, 405, "Dialog Sharing Is Not Supported", NUTAG_WITH_THIS(agent->nua),
	    TAG_END());
}

/* The methods that we allow. */
static const char *allowed(const struct sip_stack *stack, bool subscribes)
{
#define ALWAYS "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, UPDATE, PRACK"
	return stack->registers && subscribes ? ALWAYS ", REGISTER, SUBSCRIBE"
	    : stack->registers                ? ALWAYS ", REGISTER"
	    : subscribes                      ? ALWAYS ", SUBSCRIBE"
					      : ALWAYS;
#undef ALWAYS
}

/* What may stand in Require (RFC 3261 8.2.2.3).  @return to be freed, or NULL */
static char *supported(const struct sip_settings *settings)
{
	char *const *tags = settings->accept_required.items, *text;
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	size_t len;

	buffer_add(&out, SLICE("timer, 100rel, precondition"));
	for (size_t i = 0; i < settings->accept_required.count; i++)
		buffer_printf(&out, ", %s", tags[i]);
	return buffer_take(&out, &text, &len) == 0 ? text : NULL;
}

/*
 * Of what is read of a message by mistake only the fields that the edge has looked at are a reason
 * to refuse it on the link, where Sofia would close the connection.
 */
static int nua_open(struct sip_agent *agent, const char *uri, bool link)
{
	const struct sip_settings *settings = agent->stack->settings;
	char *tags = supported(settings);

	if (!tags)
		return -ENOMEM;
	agent->nua = nua_create(sip_loop_root(agent->stack->loop), on_nua_event, agent,
	    NTATAG_MCLASS(agent->stack->parse.mclass), NUTAG_URL(uri),
	    TAG_IF(link, TPTAG_SERVER(0)), TAG_IF(link, NTATAG_BAD_REQ_MASK(0)),
	    NUTAG_MEDIA_ENABLE(0), NUTAG_AUTOACK(0), NUTAG_AUTOALERT(0), NUTAG_AUTOANSWER(0),
	    NUTAG_APPL_METHOD("MESSAGE, UPDATE"), /* beside REGISTER and others */
	    TAG_IF(link, NUTAG_APPL_METHOD("OPTIONS")),
	    SIPTAG_ALLOW_STR(allowed(agent->stack, false)), SIPTAG_SUPPORTED_STR(tags),
	    SIPTAG_USER_AGENT_STR("msrpd/" MSRPD_VERSION), NUTAG_UPDATE_REFRESH(1),
	    NUTAG_SESSION_TIMER(SESSION_EXPIRES_S),
	    NUTAG_RETRY_COUNT(0), /* we repeat requests ourselves: call.c, auth.c */
	    NUTAG_OUTBOUND("no-options-keepalive no-outbound no-validate no-natify"),
	    NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), NTATAG_UDP_MTU(SIP_UDP_MAX),
	    NTATAG_MAXSIZE(link ? LINK_MAX : SIP_MESSAGE_MAX), TPTAG_QUEUESIZE(QUEUE_MAX),
	    TPTAG_STUN_SERVER(0), TPTAG_IDLE(UINT_MAX), TPTAG_TIMEOUT(UINT_MAX),
	    NTATAG_SIP_T1X64((unsigned)settings->transaction_timeout),
	    NTATAG_SIP_T4((unsigned)settings->transaction_timeout * 5 / 32), TAG_END());
	free(tags);
	return agent->nua ? 0 : -EADDRINUSE;
}

/* @return the bound socket, or why there is none */
static int bind_socket(const union addr *address, int type)
{
	int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC, 0), on = 1, err;

	if (fd < 0)
		return -errno;
	if ((type != SOCK_STREAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0)
	    && bind(fd, &address->any, addr_len(address)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int probe_udp(const union addr *address)
{
	int fd = bind_socket(address, SOCK_DGRAM);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int open_udp(struct sip_agent *agent, struct reason *why)
{
	char uri[SIP_AGENT_URI_SIZE], host[ADDR_TEXT_SIZE], port[8] = "*";
	int err = probe_udp(&agent->address);

	/* Sofia would not say why it cannot, and leave descriptors of its own behind. */
	if (err)
		return reason_set(why, err, "%s", strerror(-err));
	host_text(&agent->address, host, sizeof(host));
	if (addr_port(&agent->address) != 0)
		snprintf(port, sizeof(port), "%u", addr_port(&agent->address));
	snprintf(uri, sizeof(uri), "sip:%s:%s;transport=udp", host, port);
	err = nua_open(agent, uri, false);
	if (err)
		return reason_set(why, err, "Sofia-SIP cannot open it");
	/* The port is told in an answer to this alone. */
	nua_get_params(agent->nua, TAG_ANY(), TAG_END());
	sip_loop_finish(agent->stack->loop, &agent->open);
	return agent->open ? 0 : reason_set(why, -EADDRINUSE, "Sofia-SIP does not tell its port");
}

static int open_stream(struct sip_agent *agent, struct reason *why)
{
	struct sip_stack *stack = agent->stack;
	int err = edge_listen(stack->edge, edge_transport_find(slice_of(kind_of(agent)->edge)),
	    &agent->address, agent, &agent->listener, why);

	if (err)
		return err;
	agent->nua = stack->streams.nua;
	agent->address = *edge_listener_address(agent->listener);
	return 0;
}

static int agent_open(struct sip_agent *agent, struct reason *why)
{
	struct reason text;
	char uri[SIP_AGENT_URI_SIZE];
	int err = agent->transport == SIP_UDP ? open_udp(agent, &text) : open_stream(agent, &text);

	if (err == 0)
		return 0;
	sip_agent_uri(agent, uri);
	return reason_set(why, err, "sip.listen: %s: %s", uri, text.text);
}

/* --- the nua of all streams, and its connection to the edge --- */

static void close_link(struct sip_stack *stack)
{
	if (stack->link_nh)
		nua_handle_destroy(stack->link_nh);
	stack->link_nh = NULL;
}

static void open_link(void *arg)
{
	struct sip_stack *stack = arg;
	char route[EDGE_ROUTE_SIZE];

	close_link(stack);
	if (edge_link_is_open(stack->edge) || stack->stage >= SIP_SHUTTING_DOWN)
		return;
	timer_start(&stack->link_timer, LINK_AGAIN_MS);
	edge_link_route(stack->edge, route);
	stack->link_nh = nua_handle(stack->streams.nua, (nua_hmagic_t *)&stack->link,
	    NUTAG_URL("sip:edge@127.0.0.1"), SIPTAG_TO_STR("<sip:edge@127.0.0.1>"),
	    NUTAG_INITIAL_ROUTE_STR(route), TAG_END());
	if (stack->link_nh)
		nua_options(stack->link_nh, TAG_END());
	sip_stack_kick(stack);
}

static void on_link_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_stack *stack =
	    (struct sip_stack *)((char *)owner - offsetof(struct sip_stack, link));

	if (ev->event == nua_r_options && ev->status >= 200)
		close_link(stack);
}

/* Sofia has to see first that it is closed. */
static void on_link_lost(void *arg)
{
	struct sip_stack *stack = arg;

	timer_start(&stack->link_timer, LINK_LOST_MS);
}

static void on_step(void *arg)
{
	edge_link_step(arg);
}

static int streams_open(struct sip_stack *stack, const struct sip_stack_options *options,
    struct reason *why)
{
	const struct edge_options edge = {.net = options->net,
	    .stats = options->stats,
	    .settings = &options->settings->edge,
	    .transaction_timeout_ms = options->settings->transaction_timeout,
	    .link_lost = on_link_lost,
	    .arg = stack};
	int err = timer_init(&stack->link_timer, stack->base, open_link, stack);

	if (!err)
		err = edge_new(&stack->edge, &edge, why);
	if (err)
		return err;
	stack->link.event = on_link_event;
	stack->streams.stack = stack;
	err = nua_open(&stack->streams, "sip:127.0.0.1:*;transport=tcp", true);
	if (err)
		return reason_set(why, err, "Sofia-SIP cannot be joined to the edge");
	sip_loop_on_step(stack->loop, on_step, stack->edge);
	timer_start(&stack->link_timer, 0);
	return 0;
}

/* --- from the list of listeners to agents --- */

static int add_agent(struct sip_stack *stack, const union addr *address, unsigned transport,
    struct reason *why)
{
	struct sip_agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->stack = stack;
	agent->transport = transport;
	agent->address = *address;
	STAILQ_INSERT_TAIL(&stack->agents, agent, next);
	return agent_open(agent, why);
}

/*
 * Any port that is free for both UDP and TCP.
 *
 * @return a socket that keeps the port from others' connections until all agents are open, and
 *         leaves it to listeners, which share addresses; or the error
 */
static int hold_port(union addr *address)
{
	enum { TRIES = 16 };
	int fd = -EADDRINUSE, err = -EADDRINUSE;

	for (int i = 0; i < TRIES && err == -EADDRINUSE; i++) {
		addr_set_port(address, 0);
		fd = bind_socket(address, SOCK_STREAM);
		if (fd < 0)
			return fd;
		addr_of_socket(address, fd);
		err = probe_udp(address);
		if (err)
			close(fd);
	}
	return err ? err : fd;
}

/* A listener may have several transports, on one port. */
static int add_agents(struct sip_stack *stack, const union addr *at, unsigned transports,
    struct reason *why)
{
	union addr address = *at;
	bool any_port = (transports & (transports - 1)) && addr_port(at) == 0;
	int held = any_port ? hold_port(&address) : 0, err = held < 0 ? held : 0;

	for (unsigned t = 1; t <= transports && !err; t <<= 1)
		if (transports & t)
			err = add_agent(stack, &address, t, why);
	if (held > 0)
		close(held);
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
		err = add_agents(stack, &address, l->transports, why);
		count++;
	}
	freeifaddrs(all);
	return err ? err : count ? 0 : -EADDRNOTAVAIL;
}

/* RFC 3261 19.1.2, RFC 7118 5.5 */
static const char *usual_port(unsigned transports)
{
	return transports == SIP_TLS ? "5061"
	    : transports == SIP_WS   ? "80"
	    : transports == SIP_WSS  ? "443"
				     : "5060";
}

static int add_listener(struct sip_stack *stack, const struct sip_hop *l, struct reason *why)
{
	const char *port = l->port[0] ? l->port : usual_port(l->transports);
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
	return add_agents(stack, &address, l->transports, why);
}

static bool is_name(const char *host)
{
	union addr address;

	return strcmp(host, "*") != 0 && addr_parse_host(&address, slice_of(host)) < 0;
}

static int listeners_open(struct sip_stack *stack, struct reason *why)
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

int sip_agents_open(struct sip_stack *stack, const struct sip_stack_options *options,
    struct reason *why)
{
	int err = streams_open(stack, options, why);

	return err ? err : listeners_open(stack, why);
}

int sip_agents_take_settings(struct sip_stack *stack)
{
	char *tags = supported(stack->settings);
	struct sip_agent *agent;

	if (!tags)
		return -ENOMEM;
	STAILQ_FOREACH(agent, &stack->agents, next)
		if (!agent->listener)
			nua_set_params(agent->nua, SIPTAG_SUPPORTED_STR(tags), TAG_END());
	nua_set_params(stack->streams.nua, SIPTAG_SUPPORTED_STR(tags), TAG_END());
	free(tags);
	sip_stack_kick(stack);
	return 0;
}

/*
 * NUTAG_APPL_EVENT, of refreshes that are ours to answer, adds to what was told before; one name at
 * a time, as Sofia reads past the end of a list that she knows a part of.
 */
static void allow_events(const struct sip_agent *agent, const char *events, const char *added)
{
	nua_set_params(agent->nua, SIPTAG_ALLOW_STR(allowed(agent->stack, events != NULL)),
	    TAG_IF(events, SIPTAG_ALLOW_EVENTS_STR(events)),
	    TAG_IF(!events, SIPTAG_ALLOW_EVENTS(SIP_NONE)), TAG_IF(added, NUTAG_APPL_EVENT(added)),
	    TAG_END());
}

void sip_agents_allow_events(struct sip_stack *stack, const char *events, const char *added)
{
	struct sip_agent *agent;

	STAILQ_FOREACH(agent, &stack->agents, next)
		if (!agent->listener)
			allow_events(agent, events, added);
	allow_events(&stack->streams, events, added);
	sip_stack_kick(stack);
}

static void nua_close(struct sip_agent *agent)
{
	if (!agent->nua)
		return;
	if (!agent->down) {
		nua_shutdown(agent->nua);
		sip_loop_finish(agent->stack->loop, &agent->down);
	}
	nua_destroy(agent->nua);
}

void sip_agents_close(struct sip_stack *stack)
{
	struct sip_agent *agent;

	timer_fini(&stack->link_timer);
	close_link(stack);
	while ((agent = STAILQ_FIRST(&stack->agents))) {
		STAILQ_REMOVE_HEAD(&stack->agents, next);
		if (!agent->listener)
			nua_close(agent);
		free(agent);
	}
	nua_close(&stack->streams);
	edge_free(stack->edge);
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

/* --- the agent of a request that came over the streams' nua --- */

struct sip_flow *sip_agent_flow(const struct sip_agent *agent, const sip_t *sip)
{
	const sip_via_t *via = sip ? sip->sip_via : NULL;

	return agent->transport == SIP_UDP || !via || !via->v_branch
	    ? NULL
	    : edge_flow_of_branch(agent->stack->edge, slice_of(via->v_branch));
}

/* --- the way of a request of ours --- */

void sip_agent_route(const struct sip_agent *agent, struct sip_flow *flow,
    char route[SIP_ROUTE_SIZE])
{
	const char *proxy = agent->stack->route ? agent->stack->route : "";
	char edge[EDGE_ROUTE_SIZE] = "";

	if (flow)
		edge_flow_route(flow, edge);
	else if (agent->listener)
		edge_listener_route(agent->listener, edge);
	snprintf(route, SIP_ROUTE_SIZE, "%s%s%s", edge, *edge && *proxy && !flow ? ", " : "",
	    flow ? "" : proxy);
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

static uint64_t hop_port(const struct sip_hop *hop)
{
	uint64_t port = 0;

	slice_to_u64(slice_of(hop->port[0] ? hop->port : usual_port(hop->transports)), 65535,
	    &port);
	return port;
}

static bool leads_to(const struct sip_hop *hop, const char *own)
{
	struct sip_hop ours;

	return own && sip_uri_hop(own, &ours) == 0 && strcasecmp(hop->host, ours.host) == 0
	    && hop_port(hop) == hop_port(&ours);
}

bool sip_stack_is_here(const struct sip_stack *stack, const char *uri)
{
	const struct setting_list *listen = &stack->settings->listen;
	const struct sip_agent *agent;
	struct sip_hop hop;
	union addr address;

	if (sip_uri_hop(uri, &hop) < 0)
		return false;
	for (size_t i = 0; i < listen->count; i++)
		if (leads_to(&hop, ((char *const *)listen->items)[i]))
			return true;
	if (addr_parse_host(&address, slice_of(hop.host)) == 0) {
		addr_set_port(&address, (uint16_t)hop_port(&hop));
		STAILQ_FOREACH(agent, &stack->agents, next)
			if (addr_equal(&agent->address, &address))
				return true;
	}
	return leads_to(&hop, stack->settings->advertised_contact);
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

struct sip_agent *sip_stack_route(struct sip_stack *stack, const char *uri, bool large)
{
	struct sip_hop hop;
	struct wish wish;
	union addr source;
	struct sip_agent *first, *agent;

	if (sip_uri_hop(stack->route ? stack->settings->outbound_proxy : uri, &hop) < 0)
		return NULL;
	wish = (struct wish){hop.transports & (SIP_TCP | SIP_TLS | (large ? 0U : SIP_UDP)),
	    family_of(hop.host)};
	first = next_fit(STAILQ_FIRST(&stack->agents), &wish);
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
