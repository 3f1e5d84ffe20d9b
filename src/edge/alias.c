/*
 * Connections in place of those that would be opened: RFC 5923 8.2, 9.2.
 *
 * Nobody gets a request by it who would not have got it without: who is called by a name has a
 * certificate with that name, on his connection as on one that we would open.
 */
#include "edge/alias_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/flow_priv.h"
#include "edge/place_priv.h"
#include "edge/priv.h"

enum {
	TLS_PORT = 5061,
	KEY_SIZE = 280,
};

static struct edge_alias *find(struct edge *edge, const char *key)
{
	struct edge_alias *alias;

	HASH_FIND_STR(edge->aliases, key, alias);
	return alias;
}

static void drop(struct edge_alias *alias)
{
	struct sip_flow *f = alias->flow;

	HASH_DELETE(hh, f->edge->aliases, alias);
	SLIST_REMOVE(&f->aliases, alias, edge_alias, of_flow);
	free(alias);
}

/* Who comes last has called anew. */
static void add(struct sip_flow *f, struct slice host, uint16_t port)
{
	struct edge_alias *alias;
	char key[KEY_SIZE];
	int n = snprintf(key, sizeof(key), "%.*s %u", SLICE_ARG(host), port);

	if (n < 0 || n >= KEY_SIZE)
		return;
	edge_lower(key);
	alias = find(f->edge, key);
	if (alias)
		drop(alias);
	alias = calloc(1, sizeof(*alias) + (size_t)n + 1);
	if (!alias)
		return;
	memcpy(alias->key, key, (size_t)n);
	alias->flow = f;
	HASH_ADD_STR(f->edge->aliases, key, alias);
	if (alias->hh.tbl)
		SLIST_INSERT_HEAD(&f->aliases, alias, of_flow);
	else
		free(alias); /* memory was out */
}

/* The address is the one that he calls from, whatever he says; the port is what he says. */
void edge_alias_note(struct sip_flow *f, const struct edge_via *via)
{
	uint16_t port = via->port ? via->port : TLS_PORT;

	if (f->place || f->transport->net != &net_tls || !SLIST_EMPTY(&f->aliases)
	    || !net_stream_peer_certified(&f->stream))
		return;
	add(f, slice_of(f->peer_host), port);
	if (!slice_equal_nocase(via->host, slice_of(f->peer_host))
	    && net_stream_peer_is(&f->stream, via->host))
		add(f, via->host, port);
}

struct sip_flow *edge_alias_flow(struct edge *edge, const struct edge_target *t)
{
	struct edge_alias *alias;
	char key[KEY_SIZE];

	if (t->transport->net != &net_tls)
		return NULL;
	snprintf(key, sizeof(key), "%s %u", t->host, t->port);
	alias = find(edge, key);
	return alias && flow_is_alive(alias->flow)
		&& net_stream_peer_is(&alias->flow->stream,
		    slice_of(t->identity[0] ? t->identity : t->host))
	    ? alias->flow
	    : NULL;
}

void edge_aliases_forget(struct sip_flow *f)
{
	while (!SLIST_EMPTY(&f->aliases))
		drop(SLIST_FIRST(&f->aliases));
}
