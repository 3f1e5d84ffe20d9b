#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/addr.h"
#include "cluster/priv.h"

#define OF(member) offsetof(struct cluster_settings, member)

static int check_redis(const void *value, struct reason *why)
{
	struct redis_place place;
	int err = redis_place_parse(&place, slice_of(*(char *const *)value), why);

	explicit_bzero(&place, sizeof(place));
	return err;
}

/* It stands between spaces, and in session ids. */
static int check_node(const void *value, struct reason *why)
{
	const char *p = *(char *const *)value;
	size_t n = p ? strlen(p) : 0;

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '-')
			n = 0;
	return !p || (n > 0 && n <= 32)
	    ? 0
	    : reason_set(why, -EINVAL, "is not of letters, digits and -, 32 of them at most");
}

static int check_word(const void *value, struct reason *why)
{
	const char *p = *(char *const *)value;

	for (; p && *p; p++)
		if (!isgraph((unsigned char)*p) || p - *(char *const *)value >= 255)
			return reason_set(why, -EINVAL,
			    "has a blank or a control character, or more than 255 of others");
	return 0;
}

/* "sip:HOST[:PORT][;…]" */
static bool names_place(struct slice uri)
{
	struct slice rest = uri, host, part;
	union addr addr;

	slice_cut(&rest, ':', &part);
	slice_cut(&rest, ';', &host);
	return addr_parse(&addr, host) == 0 || addr_parse_literal(&addr, host) == 0
	    || (host.len && *host.p != '[' && memchr(host.p, ':', host.len));
}

/* A domain has servers, which would be asked for while the stack has done with the request. */
static int check_sip(const void *value, struct reason *why)
{
	const char *p = *(char *const *)value;
	int err = check_word(value, why);

	if (err || !p)
		return err;
	return names_place(slice_of(p))
	    ? 0
	    : reason_set(why, -EINVAL, "is a name without a port: it has to lead to one place");
}

const struct setting cluster_settings_rows[] = {
    {.name = "redis",
	.type = SETTING_TEXTS,
	.offset = OF(redis),
	.preset = "redis://127.0.0.1:6379/0",
	.flags = SETTING_FIXED,
	.check = check_redis,
	.help = "Where Redis is, tried in this order: redis://[USER:PASSWORD@]ADDRESS[:PORT]"
		"[/DATABASE] or unix:///PATH."},
    {.name = "password",
	.type = SETTING_SECRET,
	.offset = OF(password),
	.flags = SETTING_FIXED,
	.help = "Password for a URL that has none."},
    {.name = "node",
	.type = SETTING_TEXT,
	.offset = OF(node),
	.flags = SETTING_FIXED,
	.check = check_node,
	.help = "Name of this node, which no other one has: letters, digits and -."},
    {.name = "sip",
	.type = SETTING_TEXT,
	.offset = OF(sip),
	.flags = SETTING_FIXED,
	.check = check_sip,
	.help = "URI that other nodes reach this one's SIP at: an address, or a name with a port."},
    {.name = "msrp",
	.type = SETTING_TEXT,
	.offset = OF(msrp),
	.flags = SETTING_FIXED,
	.check = check_word,
	.help = "The same for MSRP. Default: the first of msrp.listen."},
    {.name = "prefix",
	.type = SETTING_TEXT,
	.offset = OF(prefix),
	.preset = "msrpd:",
	.flags = SETTING_FIXED,
	.check = check_word,
	.help = "What all keys in Redis begin with; the same on all nodes of a cluster."},
    {.name = "ttl",
	.type = SETTING_DURATION,
	.offset = OF(ttl_ms),
	.preset = "10s",
	.min = 300,
	.max = 600000,
	.flags = SETTING_FIXED,
	.help = "A node that Redis has not heard of for this long is gone, with all that was its "
		"own; the same on all nodes."},
    {0},
};

int cluster_settings_check(const void *settings, struct reason *why)
{
	const struct cluster_settings *s = settings;

	if (s->given && !s->node)
		return reason_set(why, -EINVAL, "needs node, the name of this one");
	if (s->redis.count == 0)
		return reason_set(why, -EINVAL, "needs a Redis");
	return 0;
}
