#include "net/lookup.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "net/priv.h"

static int check_server(const void *value, struct reason *why)
{
	struct slice text = slice_of(*(char *const *)value);
	union addr addr;

	if (addr_parse(&addr, text) == 0 || addr_parse_host(&addr, text) == 0)
		return 0;
	return reason_set(why, -EINVAL,
	    "is not an address, like 192.0.2.53 or [2001:db8::53]:5353");
}

const struct setting net_dns_settings_rows[] = {
    {.name = "servers",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct net_dns_settings, servers),
	.flags = SETTING_FIXED,
	.check = check_server,
	.help =
	    "Addresses of name servers, with or without a port, that are asked instead of those of "
	    "/etc/resolv.conf."},
    {0},
};

/* It outlives its owner when it is cancelled: its callback still comes. */
struct net_lookup {
	struct net_lookup **owner; /* NULL: cancelled */
	struct evdns_getaddrinfo_request *request;
	net_lookup_fn *fn;
	void *arg;
};

/* Each name is two questions; libevent's 64 at once would have others wait for dead names. */
static const char QUESTIONS_MAX[] = "4096";

static void use_servers(struct evdns_base *dns, const struct setting_list *servers)
{
	for (size_t i = 0; i < servers->count; i++)
		evdns_base_nameserver_ip_add(dns, ((char *const *)servers->items)[i]);
}

static struct evdns_base *open_resolver(const struct net *net)
{
	struct evdns_base *dns = NULL;

	if (!net->name_servers)
		dns = evdns_base_new(net->base,
		    EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns)
		return dns;
	/* Without a name server the hosts file still counts. */
	dns = evdns_base_new(net->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns)
		evdns_base_load_hosts(dns, "/etc/hosts");
	if (dns && net->name_servers)
		use_servers(dns, net->name_servers);
	return dns;
}

static struct evdns_base *resolver(struct net *net)
{
	if (net->dns)
		return net->dns;
	net->dns = open_resolver(net);
	/* Without memory for it they stay as few as they are. */
	if (net->dns)
		evdns_base_set_option(net->dns, "max-inflight:", QUESTIONS_MAX);
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
    .ai_socktype = SOCK_STREAM, /* one row for each address, whatever it is for */
    .ai_protocol = IPPROTO_TCP,
};

static void on_addresses(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct net_lookup *lookup = arg;

	if (!lookup->owner) {
		net_addresses_free(addresses);
		free(lookup);
		return;
	}
	*lookup->owner = NULL;
	lookup->fn(addresses, result ? evutil_gai_strerror(result) : NULL, lookup->arg);
	free(lookup);
}

int net_lookup_start(struct net_lookup **lookupp, struct net *net, const char *host,
    net_lookup_fn *fn, void *arg)
{
	struct evdns_base *dns = resolver(net);
	struct net_lookup *lookup = dns ? calloc(1, sizeof(*lookup)) : NULL;
	struct evdns_getaddrinfo_request *request;

	if (!lookup)
		return -ENOMEM;
	lookup->owner = lookupp;
	lookup->fn = fn;
	lookup->arg = arg;
	*lookupp = lookup;
	request = evdns_getaddrinfo(dns, host, NULL, &hints, on_addresses, lookup);
	if (request) /* else the answer was at hand, and lookup is gone */
		lookup->request = request;
	return 0;
}

void net_lookup_cancel(struct net_lookup **lookupp)
{
	struct net_lookup *lookup = *lookupp;

	if (!lookup)
		return;
	*lookupp = NULL;
	lookup->owner = NULL;
	if (lookup->request)
		evdns_getaddrinfo_cancel(lookup->request);
}

struct evutil_addrinfo *net_lookup_literal(const char *host)
{
	struct evutil_addrinfo numeric = hints, *addresses = NULL;

	numeric.ai_flags = EVUTIL_AI_NUMERICHOST;
	return evutil_getaddrinfo(host, NULL, &numeric, &addresses) == 0 ? addresses : NULL;
}

bool net_addresses_next(struct evutil_addrinfo **nextp, union addr *addr)
{
	struct evutil_addrinfo *next = *nextp;

	if (!next)
		return false;
	addr_from(addr, next->ai_addr);
	*nextp = next->ai_next;
	return true;
}

void net_addresses_free(struct evutil_addrinfo *addresses)
{
	if (addresses)
		evutil_freeaddrinfo(addresses);
}
