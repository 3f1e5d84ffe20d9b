#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/tport_tag.h>

#include <msrpd/sip_uri.h>

#include "base/buffer.h"
#include "base/log.h"
#include "net/tls.h"
#include "sip/priv.h"

enum {
	CONNECTION_IDLE_MS = 120 * 1000, /* then closed; opened again on demand */
	HALF_MESSAGE_MS = 5 * 1000,      /* a message that stops in its middle */
	QUEUE_MAX = 1000,                /* Sofia's limit for what waits on a connection */
	SESSION_EXPIRES_S = 1800,        /* RFC 4028 section 4 */
};

static const char system_cas[] = "/etc/ssl/certs/ca-certificates.crt";

/* --- addresses --- */

/* "192.0.2.1" or "[2001:db8::1]", as URIs have it */
static void host_text(const union addr *address, char *text, size_t size)
{
	char host[ADDR_TEXT_SIZE];

	addr_print_host(address, host);
	snprintf(text, size, address->any.sa_family == AF_INET6 ? "[%s]" : "%s", host);
}

/* --- one agent --- */

static void on_nua_event(nua_event_t event, int status, char const *phrase, nua_t *nua,
    nua_magic_t *magic, nua_handle_t *nh, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
	msg_t *msg = nua_current_request(nua);
	struct sip_event ev = {event, status, phrase ? phrase : "", nh, sip, tags,
	    sip && msg && msg_addr(msg)->su_family != 0};
	struct sip_owner *owner = hmagic;

	if (owner)
		owner->event(owner, &ev);
	else
		sip_stack_event(magic, &ev);
}

void sip_agent_uri(const struct sip_agent *agent, char uri[SIP_AGENT_URI_SIZE])
{
	char host[ADDR_TEXT_SIZE], port[8] = "*";
	const char *suffix = agent->transports == SIP_UDP ? ";transport=udp"
	    : agent->transports == SIP_TCP                ? ";transport=tcp"
							  : "";

	host_text(&agent->address, host, sizeof(host));
	if (addr_port(&agent->address) != 0)
		snprintf(port, sizeof(port), "%u", addr_port(&agent->address));
	snprintf(uri, SIP_AGENT_URI_SIZE, "%s:%s:%s%s",
	    agent->transports == SIP_TLS ? "sips" : "sip", host, port, suffix);
}

char *sip_agent_contact(const struct sip_agent *agent, const char *params)
{
	const char *advertised = agent->stack->contact;
	char uri[SIP_AGENT_URI_SIZE], *text = NULL;
	int n;

	if (!advertised && !params)
		return NULL;
	sip_agent_uri(agent, uri);
	n = advertised ? asprintf(&text, "%s%s", advertised, params ? params : "")
		       : asprintf(&text, "<%s>%s", uri, params);
	return n < 0 ? NULL : text;
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

static int agent_open(struct sip_agent *agent, const char *tls_dir)
{
	const struct sip_settings *settings = agent->stack->settings;
	bool tls = agent->transports == SIP_TLS;
	char uri[SIP_AGENT_URI_SIZE], *tags = supported(settings);

	if (!tags)
		return -ENOMEM;
	sip_agent_uri(agent, uri);
	agent->nua = nua_create(sip_loop_root(agent->stack->loop), on_nua_event, agent,
	    NTATAG_MCLASS(agent->stack->parse.mclass),
	    NUTAG_URL(uri), /* a sips URI as well: NUTAG_SIPS_URL would open a second socket */
	    TAG_IF(tls, NUTAG_CERTIFICATE_DIR(tls_dir)),
	    TAG_IF(tls,
		TPTAG_TLS_VERIFY_POLICY(settings->tls.verify ? TPTLS_VERIFY_SUBJECTS_OUT : 0)),
	    NUTAG_MEDIA_ENABLE(0), NUTAG_AUTOACK(0), NUTAG_AUTOALERT(0), NUTAG_AUTOANSWER(0),
	    NUTAG_APPL_METHOD("MESSAGE, UPDATE"), /* beside REGISTER and others */
	    SIPTAG_ALLOW_STR(allowed(agent->stack, false)), SIPTAG_SUPPORTED_STR(tags),
	    SIPTAG_USER_AGENT_STR("msrpd/" MSRPD_VERSION), NUTAG_UPDATE_REFRESH(1),
	    NUTAG_SESSION_TIMER(SESSION_EXPIRES_S),
	    NUTAG_RETRY_COUNT(0), /* we repeat requests ourselves: call.c, auth.c */
	    NUTAG_OUTBOUND("no-options-keepalive no-outbound no-validate no-natify"),
	    NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), NTATAG_UDP_MTU(SIP_UDP_MAX),
	    NTATAG_MAXSIZE(SIP_MESSAGE_MAX), TPTAG_QUEUESIZE(QUEUE_MAX), TPTAG_STUN_SERVER(0),
	    TPTAG_IDLE(CONNECTION_IDLE_MS), TPTAG_TIMEOUT(HALF_MESSAGE_MS),
	    NTATAG_SIP_T1X64((unsigned)settings->transaction_timeout),
	    NTATAG_SIP_T4((unsigned)settings->transaction_timeout * 5 / 32), TAG_END());
	free(tags);
	if (!agent->nua)
		return -EADDRINUSE;
	/* The port is told in an answer to this alone. */
	nua_get_params(agent->nua, TAG_ANY(), TAG_END());
	sip_loop_finish(agent->stack->loop, &agent->open);
	return agent->open ? 0 : -EADDRINUSE;
}

static int probe_one(const struct sip_agent *agent, int type)
{
	int fd = socket(agent->address.any.sa_family, type | SOCK_CLOEXEC, 0), err = 0, one = 1;

	if (fd < 0)
		return -errno;
	if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
	    || bind(fd, &agent->address.any, addr_len(&agent->address)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/*
 * Would Sofia be able to open it?  It does not say why it is not, and leaves descriptors of its
 * own behind then.
 */
static int agent_probe(const struct sip_agent *agent)
{
	int err = agent->transports & SIP_UDP ? probe_one(agent, SOCK_DGRAM) : 0;

	return err || !(agent->transports & (SIP_TCP | SIP_TLS)) ? err
								 : probe_one(agent, SOCK_STREAM);
}

/* --- TLS: Sofia wants a folder with files of its own names --- */

static int copy_file(int to, const char *path)
{
	char buffer[4096];
	ssize_t n = -1;
	int from = open(path, O_RDONLY | O_CLOEXEC);

	if (from < 0)
		return -errno;
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)n) != n)
			break;
	close(from);
	return n == 0 ? 0 : -EIO;
}

static int write_file(const char *dir, const char *name, const char *first, const char *second)
{
	char path[512];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = copy_file(fd, first);
	if (!err && second)
		err = write(fd, "\n", 1) == 1 ? copy_file(fd, second) : -EIO;
	close(fd);
	return err;
}

/* Sofia would neither say what is wrong with them, nor free all that it began with. */
static int check_tls_files(const struct sip_settings *settings, struct reason *why)
{
	const struct net_tls_settings files = {.certificate = settings->tls.certificate,
	    .private_key = settings->tls.private_key,
	    .ca_file = settings->tls.ca_file};
	struct net_tls_contexts *contexts = NULL;
	struct reason text;
	int err = net_tls_contexts_new(&contexts, &files, &text);

	net_tls_contexts_free(contexts);
	return err < 0 ? reason_set(why, err, "sip.tls: %s", text.text) : 0;
}

static int tls_dir_make(const struct sip_settings *settings, char *dir, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	const char *ca = settings->tls.ca_file ? settings->tls.ca_file : system_cas;
	int err;

	snprintf(dir, size, "%s/msrpd-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		dir[0] = '\0';
		return -errno;
	}
	err = write_file(dir, "agent.pem", settings->tls.certificate, settings->tls.private_key);
	if (!err && access(ca, R_OK) == 0)
		err = write_file(dir, "cafile.pem", ca, NULL);
	return err;
}

static void tls_dir_remove(const char *dir)
{
	static const char *const names[] = {"agent.pem", "cafile.pem"};
	char path[512];

	if (!*dir)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* --- from the list of listeners to agents --- */

static int add_agent(struct sip_stack *stack, const union addr *address, unsigned transports)
{
	struct sip_agent *agent;

	/* UDP and TCP on one address and port are one agent; every port 0 is a port of its own. */
	STAILQ_FOREACH(agent, &stack->agents, next)
		if (transports != SIP_TLS && agent->transports != SIP_TLS && addr_port(address) != 0
		    && addr_equal(&agent->address, address)) {
			agent->transports |= transports;
			return 0;
		}
	agent = calloc(1, sizeof(*agent));
	if (!agent)
		return -ENOMEM;
	agent->stack = stack;
	agent->transports = transports;
	agent->address = *address;
	STAILQ_INSERT_TAIL(&stack->agents, agent, next);
	return 0;
}

/*
 * Every address of the machine gets an agent of its own: so each dialog shows the address that
 * its peer reached us at.
 */
static int add_wildcard(struct sip_stack *stack, const struct sip_hop *l, int family, uint16_t port)
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
		err = add_agent(stack, &address, l->transports);
		count++;
	}
	freeifaddrs(all);
	return err ? err : count ? 0 : -EADDRNOTAVAIL;
}

static int add_listener(struct sip_stack *stack, const struct sip_hop *l)
{
	const char *port = l->port[0] ? l->port : l->transports == SIP_TLS ? "5061" : "5060";
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
		return err ? -EINVAL : add_wildcard(stack, l, AF_UNSPEC, (uint16_t)number);
	}
	if (getaddrinfo(l->host, port, &hints, &found) != 0)
		return -EADDRNOTAVAIL;
	addr_from(&address, found->ai_addr);
	freeaddrinfo(found);
	if (strcmp(l->host, "0.0.0.0") == 0 || strcmp(l->host, "::") == 0)
		return add_wildcard(stack, l, address.any.sa_family, addr_port(&address));
	err = add_agent(stack, &address, l->transports);
	return err;
}

static bool is_name(const char *host)
{
	union addr address;

	return strcmp(host, "*") != 0 && addr_parse_host(&address, slice_of(host)) < 0;
}

static bool tls_is_set(const struct sip_settings *settings)
{
	return settings->tls.certificate && settings->tls.private_key;
}

static int plan(struct sip_stack *stack, struct reason *why)
{
	char *const *texts = stack->settings->listen.items;

	for (size_t i = 0; i < stack->settings->listen.count; i++) {
		struct sip_hop l;
		int err = sip_listener_parse(texts[i], &l);

		if (err)
			return reason_set(why, -EINVAL,
			    "sip.listen: \"%s\" is not sip:ADDRESS:PORT with a transport of "
			    "udp, tcp or tls",
			    texts[i]);
		if (l.transports == SIP_TLS && !tls_is_set(stack->settings))
			return reason_set(why, -EINVAL,
			    "sip.listen: \"%s\" needs sip.tls.certificate and private_key",
			    texts[i]);
		err = add_listener(stack, &l);
		if (err)
			return reason_set(why, err, "sip.listen: \"%s\": %s%s", texts[i],
			    strerror(-err),
			    is_name(l.host) ? "; a name for others to reach us by is "
					      "sip.advertised_contact"
					    : "");
	}
	return 0;
}

static int agents_probe(struct sip_stack *stack, struct reason *why)
{
	char uri[SIP_AGENT_URI_SIZE];
	struct sip_agent *agent;

	STAILQ_FOREACH(agent, &stack->agents, next) {
		int err = agent_probe(agent);

		if (err) {
			sip_agent_uri(agent, uri);
			return reason_set(why, err, "sip.listen: %s: %s", uri, strerror(-err));
		}
	}
	return 0;
}

static int agents_create(struct sip_stack *stack, const char *tls_dir, struct reason *why)
{
	char uri[SIP_AGENT_URI_SIZE];
	struct sip_agent *agent;

	STAILQ_FOREACH(agent, &stack->agents, next) {
		int err = agent_open(agent, tls_dir);

		if (err) {
			sip_agent_uri(agent, uri);
			return reason_set(why, err, "sip.listen: Sofia-SIP cannot open %s%s", uri,
			    agent->transports == SIP_TLS ? " with this certificate and key" : "");
		}
	}
	return 0;
}

int sip_agents_open(struct sip_stack *stack, struct reason *why)
{
	char dir[256] = "";
	int err = plan(stack, why);

	if (!err)
		err = agents_probe(stack, why);
	if (!err && tls_is_set(stack->settings))
		err = check_tls_files(stack->settings, why);
	if (!err && tls_is_set(stack->settings)) {
		err = tls_dir_make(stack->settings, dir, sizeof(dir));
		if (err)
			reason_set(why, -EINVAL, "sip.tls: %s", strerror(-err));
	}
	if (!err)
		err = agents_create(stack, dir, why);
	tls_dir_remove(dir);
	return err;
}

int sip_agents_take_settings(struct sip_stack *stack)
{
	char *tags = supported(stack->settings);
	struct sip_agent *agent;

	if (!tags)
		return -ENOMEM;
	STAILQ_FOREACH(agent, &stack->agents, next)
		nua_set_params(agent->nua, SIPTAG_SUPPORTED_STR(tags), TAG_END());
	free(tags);
	sip_stack_kick(stack);
	return 0;
}

/*
 * NUTAG_APPL_EVENT, of refreshes that are ours to answer, adds to what was told before; one name at
 * a time, as Sofia reads past the end of a list that she knows a part of.
 */
void sip_agents_allow_events(struct sip_stack *stack, const char *events, const char *added)
{
	struct sip_agent *agent;

	STAILQ_FOREACH(agent, &stack->agents, next)
		nua_set_params(agent->nua, SIPTAG_ALLOW_STR(allowed(stack, events != NULL)),
		    TAG_IF(events, SIPTAG_ALLOW_EVENTS_STR(events)),
		    TAG_IF(!events, SIPTAG_ALLOW_EVENTS(SIP_NONE)),
		    TAG_IF(added, NUTAG_APPL_EVENT(added)), TAG_END());
	sip_stack_kick(stack);
}

void sip_agents_close(struct sip_stack *stack)
{
	struct sip_agent *agent;

	while ((agent = STAILQ_FIRST(&stack->agents))) {
		STAILQ_REMOVE_HEAD(&stack->agents, next);
		if (agent->nua) {
			if (!agent->down) {
				nua_shutdown(agent->nua);
				sip_loop_finish(stack->loop, &agent->down);
			}
			nua_destroy(agent->nua);
		}
		free(agent);
	}
}

void sip_stack_each_listener(const struct sip_stack *stack, void (*fn)(const char *uri, void *arg),
    void *arg)
{
	static const struct {
		unsigned transport;
		const char *scheme, *suffix;
	} kinds[] = {
	    {SIP_UDP, "sip", ";transport=udp"},
	    {SIP_TCP, "sip", ";transport=tcp"},
	    {SIP_TLS, "sips", ""},
	};
	struct sip_agent *agent;
	char host[INET6_ADDRSTRLEN + 2], uri[INET6_ADDRSTRLEN + 64];

	STAILQ_FOREACH(agent, &stack->agents, next)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!(agent->transports & kinds[i].transport))
				continue;
			host_text(&agent->address, host, sizeof(host));
			snprintf(uri, sizeof(uri), "%s:%s:%u%s", kinds[i].scheme, host,
			    addr_port(&agent->address), kinds[i].suffix);
			fn(uri, arg);
		}
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
	uint64_t port = hop->transports == SIP_TLS ? 5061 : 5060;

	slice_to_u64(slice_of(hop->port), 65535, &port);
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
		if ((agent->transports & wish->transports)
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
	wish =
	    (struct wish){hop.transports & (large ? SIP_TCP | SIP_TLS : ~0U), family_of(hop.host)};
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
