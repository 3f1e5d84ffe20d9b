#include "route/var.h"

#include <ctype.h>
#include <errno.h>

#include "base/nearest.h"
#include "base/tree.h"
#include "route/route.h"

enum {
	ALL_MSRP = ROUTE_MSRP | ROUTE_MSRP_AUTH | ROUTE_MSRP_SOCKET,
	/* what stands between the parentheses, if any do */
	TAKES_NOTHING = 0,
	TAKES_HEADER,
	TAKES_PARAM,
	TAKES_KEY,
};

static const struct name {
	const char *name;
	enum route_var_id id;
	unsigned lists;
	unsigned takes;
} names[] = {
    {"rm", ROUTE_VAR_SIP_METHOD, ROUTE_SIP, TAKES_NOTHING},
    {"ru", ROUTE_VAR_SIP_RURI, ROUTE_SIP, TAKES_NOTHING},
    {"fu", ROUTE_VAR_SIP_FROM, ROUTE_SIP, TAKES_NOTHING},
    {"tu", ROUTE_VAR_SIP_TO, ROUTE_SIP, TAKES_NOTHING},
    {"rU", ROUTE_VAR_SIP_RURI_USER, ROUTE_SIP, TAKES_NOTHING},
    {"fU", ROUTE_VAR_SIP_FROM_USER, ROUTE_SIP, TAKES_NOTHING},
    {"tU", ROUTE_VAR_SIP_TO_USER, ROUTE_SIP, TAKES_NOTHING},
    {"rd", ROUTE_VAR_SIP_RURI_DOMAIN, ROUTE_SIP, TAKES_NOTHING},
    {"fd", ROUTE_VAR_SIP_FROM_DOMAIN, ROUTE_SIP, TAKES_NOTHING},
    {"td", ROUTE_VAR_SIP_TO_DOMAIN, ROUTE_SIP, TAKES_NOTHING},
    {"ci", ROUTE_VAR_SIP_CALL_ID, ROUTE_SIP, TAKES_NOTHING},
    {"proto", ROUTE_VAR_SIP_PROTO, ROUTE_SIP, TAKES_NOTHING},
    {"ct", ROUTE_VAR_SIP_CONTACT, ROUTE_SIP, TAKES_NOTHING},
    {"cT", ROUTE_VAR_SIP_CONTENT_TYPE, ROUTE_SIP, TAKES_NOTHING},
    {"ua", ROUTE_VAR_SIP_USER_AGENT, ROUTE_SIP, TAKES_NOTHING},
    {"rb", ROUTE_VAR_SIP_BODY, ROUTE_SIP, TAKES_NOTHING},
    {"si", ROUTE_VAR_SOURCE_ADDRESS, ROUTE_SIP | ALL_MSRP, TAKES_NOTHING},
    {"sp", ROUTE_VAR_SOURCE_PORT, ROUTE_SIP | ALL_MSRP, TAKES_NOTHING},
    {"hdr", ROUTE_VAR_HEADER, ROUTE_SIP | ALL_MSRP, TAKES_HEADER},
    {"msrp", ROUTE_VAR_COUNT, ALL_MSRP, TAKES_KEY},
    {"au", ROUTE_VAR_AUTH_USER, ALL_MSRP, TAKES_NOTHING},
    {"ar", ROUTE_VAR_AUTH_REALM, ALL_MSRP, TAKES_NOTHING},
    {"dst_scheme", ROUTE_VAR_DST_SCHEME, ROUTE_MSRP_SOCKET, TAKES_NOTHING},
    {"dst_host", ROUTE_VAR_DST_HOST, ROUTE_MSRP_SOCKET, TAKES_NOTHING},
    {"event", ROUTE_VAR_EVENT, ROUTE_EVENT, TAKES_NOTHING},
    {"param", ROUTE_VAR_EVENT_PARAM, ROUTE_EVENT, TAKES_PARAM},
    {NULL, ROUTE_VAR_COUNT, 0, TAKES_NOTHING},
};

/* $msrp(KEY) */
static const struct key {
	const char *name;
	enum route_var_id id;
} keys[] = {
    {"method", ROUTE_VAR_MSRP_METHOD},
    {"code", ROUTE_VAR_MSRP_CODE},
    {"reason", ROUTE_VAR_MSRP_REASON},
    {"transid", ROUTE_VAR_MSRP_TRANSID},
    {"msgid", ROUTE_VAR_MSRP_MSGID},
    {"sessid", ROUTE_VAR_MSRP_SESSID},
    {"crthop", ROUTE_VAR_MSRP_CRTHOP},
    {"nexthop", ROUTE_VAR_MSRP_NEXTHOP},
    {"prevhop", ROUTE_VAR_MSRP_PREVHOP},
    {"firsthop", ROUTE_VAR_MSRP_FIRSTHOP},
    {"lasthop", ROUTE_VAR_MSRP_LASTHOP},
    {"nexthops", ROUTE_VAR_MSRP_NEXTHOPS},
    {"prevhops", ROUTE_VAR_MSRP_PREVHOPS},
    {"hdrs", ROUTE_VAR_MSRP_HDRS},
    {"body", ROUTE_VAR_MSRP_BODY},
    {"bodylen", ROUTE_VAR_MSRP_BODYLEN},
    {"buf", ROUTE_VAR_MSRP_BUF},
    {"buflen", ROUTE_VAR_MSRP_BUFLEN},
    {"conid", ROUTE_VAR_MSRP_CONID},
    {"srcaddr", ROUTE_VAR_MSRP_SRCADDR},
    {"srcsock", ROUTE_VAR_MSRP_SRCSOCK},
    {NULL, ROUTE_VAR_COUNT},
};

static const char *const parts[] = {
    [ROUTE_PART_USER] = "msrpuri.user",
    [ROUTE_PART_USERINFO] = "msrpuri.userinfo",
    [ROUTE_PART_HOST] = "msrpuri.host",
    [ROUTE_PART_PORT] = "msrpuri.port",
    [ROUTE_PART_SESSION] = "msrpuri.session",
    [ROUTE_PART_PROTO] = "msrpuri.proto",
    [ROUTE_PART_SCHEME] = "msrpuri.scheme",
    [ROUTE_PART_PARAMS] = "msrpuri.params",
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* A variable while it is parsed: what is left of the text, and whom to tell. */
struct cursor {
	struct slice rest;
	const struct route_spec *spec;
	const struct tree *at;
	struct tree_fault *fault;
};

static bool take(struct cursor *c, char what)
{
	if (c->rest.len == 0 || c->rest.p[0] != what)
		return false;
	c->rest = slice_from(c->rest, 1);
	return true;
}

static struct slice take_name(struct cursor *c)
{
	struct slice name = slice_head(c->rest, 0);

	while (name.len < c->rest.len
	    && (isalnum((unsigned char)c->rest.p[name.len]) || c->rest.p[name.len] == '_'))
		name.len++;
	c->rest = slice_from(c->rest, name.len);
	return name;
}

/* What stands up to a closing mark, which is dropped. */
static int take_until(struct cursor *c, char end, struct slice *inside)
{
	struct slice rest = c->rest;

	if (!slice_cut(&rest, end, inside) || !rest.p)
		return tree_fail(c->fault, c->at, "a variable lacks its %c", end);
	c->rest = rest;
	return 0;
}

static int unknown(const struct cursor *c, const char *what, struct nearest *near)
{
	char hint[NEAREST_HINT_SIZE];

	return tree_fail(c->fault, c->at, "unknown %s%.*s%s", what,
	    SLICE_ARG(slice_head(near->name, 64)), nearest_hint(near, hint));
}

static int find_name(const struct cursor *c, struct slice name, const struct name **foundp)
{
	struct nearest near = {.name = name};

	for (const struct name *n = names; n->name; n++) {
		if (!(n->lists & c->spec->list))
			continue;
		nearest_offer(&near, n->name);
		if (slice_equal(name, slice_of(n->name))) {
			*foundp = n;
			return 0;
		}
	}
	return unknown(c, "variable here: $", &near);
}

static int find_key(const struct cursor *c, struct route_var *var)
{
	struct nearest near = {.name = var->argument};

	for (const struct key *k = keys; k->name; k++) {
		nearest_offer(&near, k->name);
		if (slice_equal(var->argument, slice_of(k->name))) {
			*var = (struct route_var){.id = k->id};
			return 0;
		}
	}
	return unknown(c, "key in $msrp(): ", &near);
}

static int check_param(const struct cursor *c, const struct route_var *var)
{
	struct nearest near = {.name = var->argument};

	if (!c->spec->events)
		return 0;
	for (size_t i = 0; c->spec->events[i]; i++) {
		for (const char *const *p = c->spec->events[i]->params; p && *p; p++) {
			nearest_offer(&near, *p);
			if (slice_equal(var->argument, slice_of(*p)))
				return 0;
		}
	}
	return unknown(c, "parameter in $param(): ", &near);
}

static int check_header(const struct cursor *c, const struct route_var *var)
{
	for (size_t i = 0; i < var->argument.len; i++)
		if (!isgraph((unsigned char)var->argument.p[i]) || var->argument.p[i] == ':')
			return tree_fail(c->fault, c->at, "$hdr() wants the name of a header");
	return 0;
}

static int take_argument(struct cursor *c, const struct name *name, struct route_var *var)
{
	int err;

	if (name->takes == TAKES_NOTHING)
		return 0;
	if (!take(c, '('))
		return tree_fail(c->fault, c->at, "$%s wants parentheses: $%s(…)", name->name,
		    name->name);
	err = take_until(c, ')', &var->argument);
	if (err < 0)
		return err;
	if (var->argument.len == 0)
		return tree_fail(c->fault, c->at, "$%s() lacks a name", name->name);
	switch (name->takes) {
	case TAKES_KEY:
		return find_key(c, var);
	case TAKES_PARAM:
		return check_param(c, var);
	default:
		return check_header(c, var);
	}
}

/* name or name(argument) */
static int take_variable(struct cursor *c, struct route_var *var)
{
	const struct name *name = NULL;
	int err = find_name(c, take_name(c), &name);

	if (err < 0)
		return err;
	var->id = name->id;
	return take_argument(c, name, var);
}

/* {msrpuri.part} */
static int take_part(struct cursor *c, struct route_var *var)
{
	struct nearest near = {0};
	int err;

	if (!take(c, '{'))
		return 0;
	err = take_until(c, '}', &near.name);
	if (err < 0)
		return err;
	for (size_t i = ROUTE_PART_USER; i < PARTS; i++) {
		nearest_offer(&near, parts[i]);
		if (slice_equal(near.name, slice_of(parts[i])))
			var->part = (enum route_part)i;
	}
	if (var->part == ROUTE_PART_NONE || !(c->spec->list & ALL_MSRP))
		return unknown(c, "transformation here: ", &near);
	return 0;
}

static int take_wrapped(struct cursor *c, struct route_var *var)
{
	int err = take_variable(c, var);

	if (err == 0)
		err = take_part(c, var);
	if (err == 0 && !take(c, ')'))
		err = tree_fail(c->fault, c->at, "a variable lacks its )");
	return err;
}

ssize_t route_var_parse(struct route_var *var, struct slice text, const struct route_spec *spec,
    const struct tree *at, struct tree_fault *fault)
{
	struct cursor c = {.rest = text, .spec = spec, .at = at, .fault = fault};
	struct route_var found = {.id = ROUTE_VAR_COUNT};
	int err;

	if (!take(&c, '$'))
		return tree_fail(fault, at, "a variable begins with $");
	err = take(&c, '(') ? take_wrapped(&c, &found) : take_variable(&c, &found);
	if (err < 0)
		return err;
	*var = found;
	return (ssize_t)(text.len - c.rest.len);
}
