#include "net/guard.h"

#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* what finds no memory stays out: its hh.tbl is NULL then */
#include <uthash.h>

#include <msrpd/hash.h>
#include <msrpd/stats.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "net/guard_priv.h"

enum {
	KEY_V6 = 8, /* octets of a /64 */
	HOSTS_FAILING_MAX = 65536,
};

/* What is known of an address; there while it has streams, or has failed of late. */
struct net_guard_host {
	UT_hash_handle hh;
	struct net_guard *guard;
	struct timer_entry failing; /* the window since the first failure */
	uint32_t streams, failures;
	uint8_t key_len;
	unsigned char key[KEY_V6];
};

struct prefix {
	union addr addr;
	unsigned bits;
};

struct net_guard {
	uint64_t max_streams, max_failures;
	struct prefix *exempt;
	size_t exempt_count, failing_count;
	struct hash *hash;
	struct net_guard_host *hosts;
	struct timer_queue failing;
	struct {
		uint64_t *refused, *failures, *barred;
	} count;
};

/* --- settings --- */

static int check_prefix(const void *value, struct reason *why)
{
	union addr addr;
	unsigned bits;

	if (addr_parse_prefix(&addr, &bits, slice_of(*(char *const *)value)) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not an address or a prefix, like 192.0.2.0/24");
}

#define LIMIT(field) offsetof(struct net_guard_settings, field)
const struct setting net_guard_settings_rows[] = {
    {.name = "connections_per_address",
	.type = SETTING_NUMBER,
	.offset = LIMIT(connections_per_address),
	.preset = "256",
	.max = UINT32_MAX,
	.help = "Connections that one address may have; one more is closed at once; 0 is any."},
    {.name = "auth_failures",
	.type = SETTING_NUMBER,
	.offset = LIMIT(auth_failures),
	.preset = "10",
	.max = UINT32_MAX,
	.help = "Wrong credentials of one address in `auth_failure_window`; then its credentials "
		"are refused (403) without a look; 0 is any."},
    {.name = "auth_failure_window",
	.type = SETTING_DURATION,
	.offset = LIMIT(auth_failure_window_ms),
	.preset = "5m",
	.min = 1000,
	.help =
	    "How long an address's first wrong credentials are remembered, and all that follow."},
    {.name = "exempt",
	.type = SETTING_TEXTS,
	.offset = LIMIT(exempt),
	.preset = "127.0.0.0/8 ::1/128",
	.check = check_prefix,
	.help = "Addresses and prefixes that no limit is for."},
    {0},
};

static struct prefix *parse_exempt(const struct setting_list *list)
{
	struct prefix *prefixes = calloc(list->count + 1, sizeof(*prefixes));

	for (size_t i = 0; prefixes && i < list->count; i++)
		addr_parse_prefix(&prefixes[i].addr, &prefixes[i].bits,
		    slice_of(((char *const *)list->items)[i]));
	return prefixes;
}

int net_guard_reload(struct net_guard *guard, const struct net_guard_settings *settings)
{
	struct prefix *exempt = parse_exempt(&settings->exempt);

	if (!exempt)
		return -ENOMEM;
	free(guard->exempt);
	guard->exempt = exempt;
	guard->exempt_count = settings->exempt.count;
	guard->max_streams = settings->connections_per_address;
	guard->max_failures = settings->auth_failures;
	timer_queue_set_period(&guard->failing, settings->auth_failure_window_ms);
	return 0;
}

/* --- addresses --- */

static bool is_exempt(const struct net_guard *guard, const union addr *peer)
{
	for (size_t i = 0; i < guard->exempt_count; i++)
		if (addr_in_prefix(peer, &guard->exempt[i].addr, guard->exempt[i].bits))
			return true;
	return false;
}

/* The part of an address that counts. */
static struct slice key_of(const union addr *peer)
{
	return slice_head(addr_bytes(peer), KEY_V6);
}

/* @return NULL: not there, and not made, or no memory for it */
static struct net_guard_host *find_host(struct net_guard *guard, const union addr *peer, bool make)
{
	struct slice key = key_of(peer);
	struct net_guard_host *host = NULL;
	uint64_t value;

	if (hash_texts(guard->hash, &key, 1, &value) < 0)
		return NULL;
	HASH_FIND_BYHASHVALUE(hh, guard->hosts, key.p, (unsigned)key.len, (unsigned)value, host);
	if (host || !make || !(host = calloc(1, sizeof(*host))))
		return host;
	host->guard = guard;
	host->key_len = (uint8_t)key.len;
	memcpy(host->key, key.p, key.len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, guard->hosts, host->key, (unsigned)key.len, (unsigned)value,
	    host);
	if (host->hh.tbl)
		return host;
	free(host);
	return NULL;
}

static void drop_idle(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;

	if (host->streams || timer_entry_running(&host->failing))
		return;
	HASH_DEL(guard->hosts, host);
	free(host);
}

/* --- connections --- */

int net_guard_enter(struct net_guard *guard, const union addr *peer, struct net_guard_host **hostp)
{
	struct net_guard_host *host;

	*hostp = NULL;
	if (!guard || !guard->max_streams || is_exempt(guard, peer))
		return 0;
	host = find_host(guard, peer, true);
	if (!host)
		return -ENOMEM;
	if (host->streams >= guard->max_streams) {
		(*guard->count.refused)++;
		return -EMFILE;
	}
	host->streams++;
	*hostp = host;
	return 0;
}

void net_guard_leave(struct net_guard_host *host)
{
	if (!host)
		return;
	host->streams--;
	drop_idle(host);
}

/* --- credentials --- */

static void forget_failures(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;

	timer_queue_stop(&guard->failing, &host->failing);
	guard->failing_count--;
	host->failures = 0;
	drop_idle(host);
}

static struct net_guard_host *failing_host(struct timer_entry *entry)
{
	return (struct net_guard_host *)(void *)((char *)entry
	    - offsetof(struct net_guard_host, failing));
}

static void on_window_over(struct timer_entry *entry, void *arg)
{
	(void)arg;
	forget_failures(failing_host(entry));
}

static void start_window(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;

	if (guard->failing_count == HOSTS_FAILING_MAX)
		forget_failures(failing_host(timer_queue_first(&guard->failing)));
	guard->failing_count++;
	timer_queue_start(&guard->failing, &host->failing);
}

void net_guard_note_failure(struct net_guard *guard, const union addr *peer)
{
	char text[ADDR_TEXT_SIZE];
	struct net_guard_host *host;

	if (!guard || !guard->max_failures || is_exempt(guard, peer))
		return;
	host = find_host(guard, peer, true);
	if (!host)
		return;
	(*guard->count.failures)++;
	if (!timer_entry_running(&host->failing))
		start_window(host);
	if (host->failures < UINT32_MAX && ++host->failures == guard->max_failures)
		log_warn("limits: %s: %u times wrong credentials, no more are looked at for now",
		    addr_print_host(peer, text), host->failures);
}

bool net_guard_bars(struct net_guard *guard, const union addr *peer)
{
	struct net_guard_host *host;

	if (!guard || !guard->max_failures || !guard->failing_count || is_exempt(guard, peer))
		return false;
	host = find_host(guard, peer, false);
	if (!host || host->failures < guard->max_failures)
		return false;
	(*guard->count.barred)++;
	return true;
}

/* --- life --- */

#define COUNT(member) offsetof(struct net_guard, count.member)

static const struct stats_row counters[] = {
    {.name = "refused",
	.help = "connections beyond limits.connections_per_address, closed at once",
	.offset = COUNT(refused)},
    {.name = "auth_failures",
	.help = "wrong credentials of addresses that limits are for",
	.offset = COUNT(failures)},
    {.name = "barred",
	.help = "credentials not looked at, beyond limits.auth_failures",
	.offset = COUNT(barred)},
    {0},
};

int net_guard_new(struct net_guard **guardp, struct event_base *base,
    const struct net_guard_settings *settings, struct stats *stats)
{
	struct net_guard *guard = calloc(1, sizeof(*guard));
	int err;

	if (!guard)
		return -ENOMEM;
	err = stats_register(stats, "limits", counters, guard);
	if (err == 0)
		err = hash_new(&guard->hash);
	if (err == 0)
		err = timer_queue_init(&guard->failing, base, settings->auth_failure_window_ms,
		    on_window_over, guard);
	if (err == 0)
		err = net_guard_reload(guard, settings);
	if (err < 0) {
		net_guard_free(guard);
		return err;
	}
	*guardp = guard;
	return 0;
}

void net_guard_free(struct net_guard *guard)
{
	struct timer_entry *entry;

	if (!guard)
		return;
	while ((entry = timer_queue_first(&guard->failing)))
		forget_failures(failing_host(entry));
	timer_queue_fini(&guard->failing);
	hash_free(guard->hash);
	free(guard->exempt);
	free(guard);
}
