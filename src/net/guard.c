#include "net/guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/hash.h>
#include <msrpd/stats.h>
#include <msrpd/table.h>

#include "base/log.h"
#include "net/prefixes.h"
#include "net/priv.h"

enum {
	KEY_V6 = 8, /* octets of a /64 */
	HOSTS_FAILING_MAX = 65536,
	SECOND_MS = 1000,
	WARN_EVERY_MS = 10 * 1000,
};

/* What is known of an address; there while it has streams, or has failed of late. */
struct net_guard_host {
	UT_hash_handle hh;
	struct net_guard *guard;
	struct timer_entry failing;    /* the window since the first failure */
	struct timer_entry shaking;    /* the second in which these handshakes began */
	TAILQ_HEAD(, net_stream) late; /* that wait for the next one */
	uint32_t streams, handshakes;
	uint32_t failures, proven; /* proven: those of them that came over a stream to this node */
	uint8_t key_len;
	unsigned char key[KEY_V6];
};

struct net_guard {
	uint64_t max_streams, max_handshakes, max_failures;
	struct prefixes exempt;
	size_t failing_count;
	uint64_t warned_ms, unsaid; /* when the log was told last, and of how many it was not */
	struct hash *hash;
	struct net_guard_host *hosts;
	struct timer_queue failing, shaking;
	void (*told)(struct slice key, void *arg); /* of a failure; NULL: nobody is */
	void *told_arg;
	struct {
		uint64_t *refused, *delayed, *failures, *barred;
	} count;
};

/* --- settings --- */

#define LIMIT(field) offsetof(struct net_guard_settings, field)
const struct setting net_guard_settings_rows[] = {
    {.name = "connections_per_address",
	.type = SETTING_NUMBER,
	.offset = LIMIT(connections_per_address),
	.preset = "256",
	.max = UINT32_MAX,
	.help = "Connections that one address may have, and as many again that are opened, or "
		"names asked for, to bring it answers and its dialogs' requests when its own "
		"connection has ended; one more is closed at once, or not made; 0 is any."},
    {.name = "handshakes_per_second",
	.type = SETTING_NUMBER,
	.offset = LIMIT(handshakes_per_second),
	.preset = "0",
	.max = UINT32_MAX,
	.help = "TLS handshakes that one address may begin in a second; more wait unread, within "
		"the time-out of a handshake; 0 is any."},
    {.name = "auth_failures",
	.type = SETTING_NUMBER,
	.offset = LIMIT(auth_failures),
	.preset = "10",
	.max = UINT32_MAX,
	.help =
	    "Wrong credentials of one address in `auth_failure_window`; then its credentials "
	    "are refused (403) without a look, and with that many over TCP, TLS or WebSocket "
	    "its new connections by TLS are closed before the handshake; 0 is any. By UDP, where "
	    "anybody can write from any address, those count that answer a challenge sent to it."},
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
	.check = prefixes_check,
	.help = "Addresses and prefixes that no limit is for."},
    {0},
};

int net_guard_reload(struct net_guard *guard, const struct net_guard_settings *settings)
{
	if (prefixes_set(&guard->exempt, &settings->exempt) < 0)
		return -ENOMEM;
	guard->max_streams = settings->connections_per_address;
	guard->max_handshakes = settings->handshakes_per_second;
	guard->max_failures = settings->auth_failures;
	timer_queue_set_period(&guard->failing, settings->auth_failure_window_ms);
	return 0;
}

/* --- addresses --- */

bool net_guard_exempts(const struct net_guard *guard, const union addr *peer)
{
	return !guard || prefixes_have(&guard->exempt, peer);
}

struct slice net_guard_key(const union addr *peer)
{
	return slice_head(addr_bytes(peer), KEY_V6);
}

/* @return NULL: not there, and not made, or no memory for it */
static struct net_guard_host *find_key(struct net_guard *guard, struct slice key, bool make)
{
	struct net_guard_host *host = NULL;
	uint64_t value = hash_texts(guard->hash, &key, 1);

	HASH_FIND_BYHASHVALUE(hh, guard->hosts, key.p, (unsigned)key.len, (unsigned)value, host);
	if (host || !make || !(host = calloc(1, sizeof(*host))))
		return host;
	host->guard = guard;
	host->key_len = (uint8_t)key.len;
	memcpy(host->key, key.p, key.len);
	TAILQ_INIT(&host->late);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, guard->hosts, host->key, (unsigned)key.len, (unsigned)value,
	    host);
	if (host->hh.tbl)
		return host;
	free(host);
	return NULL;
}

static struct net_guard_host *find_host(struct net_guard *guard, const union addr *peer, bool make)
{
	return find_key(guard, net_guard_key(peer), make);
}

static void drop_idle(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;

	if (host->streams || timer_entry_running(&host->failing)
	    || timer_entry_running(&host->shaking))
		return;
	HASH_DEL(guard->hosts, host);
	free(host);
}

/* @return NULL: it has shown no wrong credentials that count */
static const struct net_guard_host *find_failing(struct net_guard *guard, const union addr *peer)
{
	if (!guard || !guard->max_failures || !guard->failing_count
	    || prefixes_have(&guard->exempt, peer))
		return NULL;
	return find_host(guard, peer, false);
}

static bool bar_at(struct net_guard *guard, uint32_t failures)
{
	if (failures < guard->max_failures)
		return false;
	(*guard->count.barred)++;
	return true;
}

/* --- connections --- */

/* Or anybody could keep him out, by datagrams in his name. */
static bool bars_handshake(struct net_guard *guard, const union addr *peer)
{
	const struct net_guard_host *host = find_failing(guard, peer);

	return host && bar_at(guard, host->proven);
}

bool net_guard_allows(struct net_guard *guard, uint64_t streams)
{
	bool allows = !guard || !guard->max_streams || streams < guard->max_streams;

	if (!allows)
		(*guard->count.refused)++;
	return allows;
}

int net_guard_enter(struct net_guard *guard, const union addr *peer, bool encrypted,
    struct net_guard_host **hostp)
{
	struct net_guard_host *host;

	*hostp = NULL;
	if (encrypted && bars_handshake(guard, peer))
		return -EACCES;
	if (!guard || (!guard->max_streams && !guard->max_handshakes)
	    || prefixes_have(&guard->exempt, peer))
		return 0;
	host = find_host(guard, peer, true);
	if (!host)
		return -ENOMEM;
	if (!net_guard_allows(guard, host->streams))
		return -EMFILE;
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

/* --- handshakes --- */

bool net_guard_admit(struct net_stream *s)
{
	struct net_guard_host *host = s->host;
	struct net_guard *guard = host ? host->guard : NULL;

	if (!guard || !guard->max_handshakes)
		return true;
	if (!timer_entry_running(&host->shaking))
		timer_queue_start(&guard->shaking, &host->shaking);
	if (host->handshakes < guard->max_handshakes) {
		host->handshakes++;
		return true;
	}
	(*guard->count.delayed)++;
	TAILQ_INSERT_TAIL(&host->late, s, late_entry);
	return false;
}

void net_guard_retire(struct net_stream *s)
{
	TAILQ_REMOVE(&s->host->late, s, late_entry);
}

static struct net_guard_host *shaking_host(struct timer_entry *entry)
{
	return (struct net_guard_host *)(void *)((char *)entry
	    - offsetof(struct net_guard_host, shaking));
}

/* Those that were late begin, as many as may in this second. */
static void on_second_over(struct timer_entry *entry, void *arg)
{
	struct net_guard_host *host = shaking_host(entry);
	struct net_guard *guard = arg;
	struct net_stream *s;

	host->handshakes = 0;
	host->streams++; /* it stays, whatever becomes of the streams */
	while ((s = TAILQ_FIRST(&host->late))
	    && (!guard->max_handshakes || host->handshakes < guard->max_handshakes)) {
		host->handshakes++;
		net_guard_retire(s);
		stream_begin_handshake(s);
	}
	if (host->handshakes)
		timer_queue_start(&guard->shaking, &host->shaking);
	net_guard_leave(host);
}

/* --- credentials --- */

static void forget_failures(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;

	timer_queue_stop(&guard->failing, &host->failing);
	guard->failing_count--;
	host->failures = host->proven = 0;
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

static const char *print_key(const struct net_guard_host *host, char text[ADDR_TEXT_SIZE])
{
	union addr addr = {.any.sa_family = host->key_len == KEY_V6 ? AF_INET6 : AF_INET};

	if (host->key_len == KEY_V6)
		memcpy(&addr.in6.sin6_addr, host->key, KEY_V6);
	else
		memcpy(&addr.in.sin_addr, host->key, host->key_len);
	return addr_print_host(&addr, text);
}

/* A crowd of addresses shall not fill the log: the others are counted. */
static void warn_of(struct net_guard_host *host)
{
	struct net_guard *guard = host->guard;
	uint64_t now = timer_now_ms();
	char text[ADDR_TEXT_SIZE], others[64] = "";

	if (guard->warned_ms && now - guard->warned_ms < WARN_EVERY_MS) {
		guard->unsaid++;
		return;
	}
	if (guard->unsaid)
		snprintf(others, sizeof(others), "; the same of %" PRIu64 " others before",
		    guard->unsaid);
	log_warn("limits: %s: %" PRIu64 " times wrong credentials, no more are looked at for now%s",
	    print_key(host, text), guard->max_failures, others);
	guard->warned_ms = now;
	guard->unsaid = 0;
}

static void set_failures(struct net_guard_host *host, uint32_t failures)
{
	uint64_t most = host->guard->max_failures;
	bool was_below = host->failures < most;

	host->failures = failures;
	if (was_below && failures >= most)
		warn_of(host);
}

void net_guard_note_failure(struct net_guard *guard, const union addr *peer, bool over_stream)
{
	struct net_guard_host *host;

	if (!guard || !guard->max_failures || prefixes_have(&guard->exempt, peer))
		return;
	host = find_host(guard, peer, true);
	if (!host)
		return;
	(*guard->count.failures)++;
	if (!timer_entry_running(&host->failing))
		start_window(host);
	if (host->failures < UINT32_MAX)
		set_failures(host, host->failures + 1);
	if (over_stream && host->proven < UINT32_MAX)
		host->proven++;
	if (guard->told)
		guard->told((struct slice){(const char *)host->key, host->key_len},
		    guard->told_arg);
}

void net_guard_on_failure(struct net_guard *guard, void (*fn)(struct slice key, void *arg),
    void *arg)
{
	guard->told = fn;
	guard->told_arg = arg;
}

void net_guard_learn(struct net_guard *guard, struct slice key, uint64_t failures)
{
	struct net_guard_host *host = find_key(guard, key, false);

	if (host && timer_entry_running(&host->failing) && failures > host->failures)
		set_failures(host, failures < UINT32_MAX ? (uint32_t)failures : UINT32_MAX);
}

bool net_guard_bars(struct net_guard *guard, const union addr *peer)
{
	const struct net_guard_host *host = find_failing(guard, peer);

	return host && bar_at(guard, host->failures);
}

/* --- life --- */

#define COUNT(member) offsetof(struct net_guard, count.member)

static const struct stats_row counters[] = {
    {.name = "refused",
	.help = "connections beyond limits.connections_per_address, closed at once or not made",
	.offset = COUNT(refused)},
    {.name = "delayed",
	.help = "TLS handshakes that had to wait, beyond limits.handshakes_per_second",
	.offset = COUNT(delayed)},
    {.name = "auth_failures",
	.help = "wrong credentials of addresses that limits are for",
	.offset = COUNT(failures)},
    {.name = "barred",
	.help = "credentials not looked at, and connections by TLS closed before their "
		"handshake, beyond limits.auth_failures",
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
		err = timer_queue_init(&guard->shaking, base, SECOND_MS, on_second_over, guard);
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
	while ((entry = timer_queue_first(&guard->shaking))) {
		timer_queue_stop(&guard->shaking, entry);
		drop_idle(shaking_host(entry));
	}
	timer_queue_fini(&guard->failing);
	timer_queue_fini(&guard->shaking);
	hash_free(guard->hash);
	prefixes_fini(&guard->exempt);
	free(guard);
}
