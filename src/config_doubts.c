#include "config_doubts.h"

#include <stdbool.h>
#include <stdio.h>

#include <msrpd/sip_uri.h>

#include "base/addr.h"
#include "base/tree.h"
#include "relay/relay.h"

/* Is size less than so many halves of another?  No product here can overflow. */
static bool is_less(uint64_t size, uint64_t halves, uint64_t of)
{
	return size / halves < of / 2;
}

/* --- a gateway, an anchor, or a room that asks nobody who he is --- */

static struct slice action_name(const struct tree *action)
{
	return action->kind == TREE_MAP && action->first ? action->first->key->text : action->text;
}

/* What the action lets somebody do to others; NULL: nothing of that kind. */
static const char *use_of(struct slice action)
{
	if (slice_equal(action, SLICE("msg_to_msrp"))
	    || slice_equal(action, SLICE("msrp_gw_answer")))
		return "use the gateway";
	if (slice_equal(action, SLICE("msrp_anchor"))
	    || slice_equal(action, SLICE("msrp_conf_refer")))
		return "call others";
	return NULL;
}

/* One map of conditions, or a list of them.  Who writes an address knows who is there. */
static bool knows_source(const struct tree *conditions)
{
	if (!conditions || conditions->kind != TREE_LIST)
		return tree_find(conditions, SLICE("$si"));
	for (const struct tree *c = conditions->first; c; c = c->next)
		if (tree_find(c, SLICE("$si")))
			return true;
	return false;
}

/* What the rule lets somebody do unasked, or NULL.  asked: whether a rule before it asks. */
static const char *lets_do(const struct tree *rule, bool *asked)
{
	const struct tree *actions = tree_find(rule, SLICE("do"));
	const struct tree *goes_on = tree_find(rule, SLICE("continue"));
	bool asks = *asked || knows_source(tree_find(rule, SLICE("if"))), asks_all = false;

	for (const struct tree *a = actions ? actions->first : NULL; a; a = a->next) {
		asks_all |= slice_equal(action_name(a), SLICE("www_authorize"));
		if (use_of(action_name(a)) && !asks && !asks_all)
			return use_of(action_name(a));
	}
	if (asks_all && goes_on && slice_equal(goes_on->text, SLICE("true")))
		*asked = true;
	return NULL;
}

static bool is_loopback(const char *uri)
{
	struct slice host = sip_uri_domain(slice_of(uri));
	union addr address, net;

	if (slice_equal_nocase(host, SLICE("localhost")))
		return true;
	if (host.len > 2 && host.p[0] == '[')
		host = (struct slice){host.p + 1, host.len - 2};
	if (addr_parse_host(&address, host) < 0)
		return false;
	addr_parse_host(&net, SLICE("127.0.0.0"));
	if (addr_in_prefix(&address, &net, 8))
		return true;
	addr_parse_host(&net, SLICE("::1"));
	return addr_same_host(&address, &net);
}

static bool is_on_loopback(const struct setting_list *listen)
{
	for (size_t i = 0; i < listen->count; i++)
		if (!is_loopback(((char *const *)listen->items)[i]))
			return false;
	return true;
}

static void warn_of_open_doors(const struct config *cfg, struct config_load *load)
{
	const struct tree *rules = config_tree(load, "routes.sip");
	const char *use;
	bool asked = false;
	size_t index = 0;
	char key[64];

	if (is_on_loopback(&cfg->sip.listen))
		return;
	for (const struct tree *r = rules ? rules->first : NULL; r; r = r->next, index++) {
		use = lets_do(r, &asked);
		if (!use)
			continue;
		snprintf(key, sizeof(key), "routes.sip.%zu", index);
		config_warn(load, key, "this rule lets anybody %s: www_authorize asks who it is",
		    use);
		return;
	}
}

void config_warn_of_doubts(const struct config *cfg, struct config_load *load)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	/* base64 makes a body a third longer, and the JSON around it comes on top */
	if (is_less(cfg->control.max_request, 3, cfg->msrp.max_message_size))
		config_warn(load, "control.max_request",
		    "control.max_request is less than 1.5 times msrp.max_message_size");
	if (is_less(cfg->control.max_backlog, 4, cfg->control.max_request))
		config_warn(load, "control.max_backlog",
		    "control.max_backlog is less than twice control.max_request");
	if (relay && relay->enabled && relay->allow_plain_auth)
		config_warn(load, "relay.allow_plain_auth",
		    "relay.allow_plain_auth serves AUTH without TLS, which RFC 4976 forbids");
	if (cfg->share_ports && sip_settings_count_udp(&cfg->sip) == 1)
		config_warn(load, "sip.listen",
		    "with share_ports an answer by UDP may come to another process: a listener of this one's "
		    "own has to stand before the one of all");
	warn_of_open_doors(cfg, load);
}
