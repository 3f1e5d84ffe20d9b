#include "config_doubts.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

/* An address or a prefix, or a list of such.  A wildcard, or what an address is not, is none. */
static bool names_addresses(const struct tree *pattern)
{
	union addr addr;
	unsigned bits;

	if (pattern->kind == TREE_TEXT)
		return addr_parse_prefix(&addr, &bits, pattern->text) == 0 && bits > 0;
	for (const struct tree *p = pattern->first; p; p = p->next)
		if (!names_addresses(p))
			return false;
	return pattern->first;
}

/* All but those that are named. */
static bool excepts_addresses(const struct tree *pattern)
{
	struct tree rest = *pattern;

	if (pattern->kind != TREE_TEXT || !slice_starts_nocase(pattern->text, SLICE("!")))
		return false;
	rest.text = slice_from(pattern->text, 1);
	return names_addresses(&rest);
}

/* One map of conditions, or a list of them. */
static const struct tree *find_condition(const struct tree *conditions, struct slice name)
{
	const struct tree *found = NULL;

	if (!conditions || conditions->kind != TREE_LIST)
		return tree_find(conditions, name);
	for (const struct tree *c = conditions->first; c && !found; c = c->next)
		found = tree_find(c, name);
	return found;
}

/* Who is it that a rule is for?  What is not sure counts as anybody. */
struct door {
	bool open;
	bool sees; /* $si is who is there, and not a proxy that speaks for others */
};

/* Who writes an address knows who is there. */
static bool knows_source(const struct door *door, const struct tree *conditions)
{
	const struct tree *source = find_condition(conditions, SLICE("$si"));

	return door->sees && source && names_addresses(source);
}

static bool asks_in(const struct tree *rule)
{
	const struct tree *actions = tree_find(rule, SLICE("do"));

	for (const struct tree *a = actions ? actions->first : NULL; a; a = a->next)
		if (slice_equal(action_name(a), SLICE("www_authorize")))
			return true;
	return false;
}

/* A pattern that only its own text matches. */
static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char)text.p[i]))
			return false;
	return text.len;
}

/* Does the one pattern match whatever the other does? "!REGISTER" is as wide as INVITE. */
static bool is_as_wide(const struct tree *wide, const struct tree *other)
{
	if (wide->kind != TREE_TEXT || other->kind != TREE_TEXT)
		return false;
	if (slice_equal(wide->text, other->text))
		return wide->quoted == other->quoted;
	return wide->text.len && wide->text.p[0] == '!' && is_word(slice_from(wide->text, 1))
	    && is_word(other->text) && !slice_equal_nocase(slice_from(wide->text, 1), other->text);
}

/* Does the rule hold wherever the other one, behind it, does, but for addresses that it names? */
static bool covers(const struct door *door, const struct tree *conditions,
    const struct tree *others)
{
	const struct tree *same;

	if (!conditions)
		return true;
	for (const struct tree *c = conditions->first; c; c = c->next) {
		if (conditions->kind != TREE_MAP)
			return false;
		if (door->sees && slice_equal(c->key->text, SLICE("$si")) && excepts_addresses(c))
			continue;
		same = find_condition(others, c->key->text);
		if (!same || !is_as_wide(c, same))
			return false;
	}
	return true;
}

/* Does one of the rules before this one ask who it is, and lets go on? */
static bool is_asked_before(const struct door *door, const struct tree *rules,
    const struct tree *rule)
{
	const struct tree *others = tree_find(rule, SLICE("if")), *goes_on;

	for (const struct tree *r = rules->first; r != rule; r = r->next) {
		goes_on = tree_find(r, SLICE("continue"));
		if (goes_on && slice_equal(goes_on->text, SLICE("true")) && asks_in(r)
		    && covers(door, tree_find(r, SLICE("if")), others))
			return true;
	}
	return false;
}

/* What the rule lets somebody do unasked, or NULL. */
static const char *lets_do(const struct door *door, const struct tree *rules,
    const struct tree *rule)
{
	const struct tree *actions = tree_find(rule, SLICE("do"));

	if (knows_source(door, tree_find(rule, SLICE("if"))))
		return NULL;
	for (const struct tree *a = actions ? actions->first : NULL; a; a = a->next) {
		if (slice_equal(action_name(a), SLICE("www_authorize")))
			return NULL;
		if (use_of(action_name(a)))
			return is_asked_before(door, rules, rule) ? NULL : use_of(action_name(a));
	}
	return NULL;
}

static bool is_loopback(struct slice host)
{
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

/* Of its URIs, http: as well: what is behind "//" is no user. */
static struct slice host_of(const char *uri)
{
	struct slice text = slice_of(uri), host;
	const char *mark = memmem(text.p, text.len, "://", 3);

	if (!mark)
		return sip_uri_domain(text);
	text = slice_from(text, (size_t)(mark + 3 - text.p));
	host = text;
	if (text.len && text.p[0] == '[') {
		slice_cut(&text, ']', &host);
		host.len += 1;
	} else {
		slice_cut(&text, ':', &host);
	}
	return host;
}

static bool is_on_loopback(const struct setting_list *listen)
{
	for (size_t i = 0; i < listen->count; i++)
		if (!is_loopback(host_of(((char *const *)listen->items)[i])))
			return false;
	return true;
}

/* SIP over WebSocket at the web port, to which a proxy may bring others. */
static struct door door_of(const struct config *cfg)
{
	const struct web_settings *web = &cfg->web;
	bool has_sip = web->sip && web->listen.count && cfg->sip.listen.count;
	bool inside = is_on_loopback(&web->listen);
	bool proxied = has_sip && inside && web->advertise && !is_loopback(host_of(web->advertise));

	return (struct door){
	    .open = !is_on_loopback(&cfg->sip.listen) || (has_sip && !inside) || proxied
		|| (has_sip && web->forwarded.count),
	    .sees = !proxied || web->forwarded.count,
	};
}

static void warn_of_open_doors(const struct config *cfg, struct config_load *load)
{
	const struct tree *rules = config_tree(load, "routes.sip");
	const struct door door = door_of(cfg);
	const char *use;
	size_t index = 0;
	char key[64];

	if (!door.open)
		return;
	for (const struct tree *r = rules ? rules->first : NULL; r; r = r->next, index++) {
		use = lets_do(&door, rules, r);
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
