#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/worker.h>

#include "net/tls_priv.h"

int net_new(struct net **netp, struct event_base *base)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return -ENOMEM;
	net->base = base;
	net_blocks_init(net);
	outputs_init(net);
	stashes_init(net);
	if (turns_init(net) < 0 || lingers_init(net) < 0) {
		net_free(net);
		return -ENOMEM;
	}
	*netp = net;
	return 0;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	worker_free(net->workers);
	lingers_fini(net);
	resolver_free(net);
	services_free(net);
	turns_fini(net);
	net_blocks_free(net);
	outputs_free(net);
	ws_reader_free(net->ws_reader);
	stashes_free(net);
	prefixes_fini(&net->proxies);
	slice_free_secret(net->ticket_secret);
	free(net->batch);
	free(net);
}

void net_use_guard(struct net *net, struct net_guard *guard)
{
	net->guard = guard;
}

void net_share_ports(struct net *net, bool share)
{
	net->share_ports = share;
}

int net_share_tickets(struct net *net, struct slice secret)
{
	char *copy = slice_dup(secret);
	struct net_protocol *p;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	slice_free_secret(net->ticket_secret);
	net->ticket_secret = copy;
	LIST_FOREACH(p, &net->protocols, of_net)
		if (tls_share_tickets(p->tls, secret) < 0)
			err = -ENOMEM;
	return err;
}

int net_use_threads(struct net *net, unsigned threads)
{
	return worker_new(&net->workers, net->base, threads);
}

struct net_guard *net_guard_of(const struct net *net)
{
	return net->guard;
}

void net_use_name_servers(struct net *net, const struct setting_list *servers)
{
	net->name_servers = servers->count ? servers : NULL;
}

int net_use_proxies(struct net *net, const struct setting_list *proxies)
{
	return prefixes_set(&net->proxies, proxies);
}

struct net_tap *net_tap_of(struct net *net)
{
	return &net->tap;
}

void net_tap_set(struct net *net, const struct net_tap_ops *ops, void *arg)
{
	struct net_protocol *p;

	net->tap = (struct net_tap){ops, arg};
	LIST_FOREACH(p, &net->protocols, of_net)
		p->tapped = ops;
}

struct event_base *net_base(const struct net *net)
{
	return net->base;
}

struct line *net_line(struct net *net)
{
	return &net->line;
}
