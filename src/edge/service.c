/*
 * The servers of a domain, when a URI names no port: RFC 3263 4.2, 4.3.
 *
 * What is not known yet is asked for, and the request waits for it in memory of the transactions.
 * Who could not be reached, or has answered 503, is passed over for a while.  NAPTR is not asked for: the transports that
 * are spoken here are few.
 */
#include "edge/service_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/story.h>

#include "edge/memory_priv.h"
#include "edge/place_priv.h"
#include "edge/priv.h"
#include "edge/way_priv.h"
#include "net/service.h"

enum {
	KEPT_MS = 30 * 1000,
	BAD_MS = 30 * 1000,
	SERVICES_MAX = 1024,
	BAD_MAX = 256,
};

/* A request that waits for the answer. */
struct edge_parked {
	STAILQ_ENTRY(edge_parked) next;
	size_t len;
	unsigned attempt;
	bool passed; /* a peer's, and not the stack's */
	edge_share cause;
	char text[];
};

/* Of one transport. */
struct edge_service {
	UT_hash_handle hh;
	struct timer_entry kept;
	struct net_service *lookup; /* NULL: it is known */
	edge_share cause;           /* for whom it is asked for */
	STAILQ_HEAD(, edge_parked) waiting;
	struct edge *edge;
	size_t count;
	struct net_place *places;
	bool starting;
	char name[]; /* "_sip._udp.example.org" */
};

/* A server that could not be reached, or had no time. */
struct edge_bad {
	UT_hash_handle hh;
	struct timer_entry kept;
	uint64_t until_ms; /* at least */
	struct edge *edge;
	char place[EDGE_PLACE_SIZE];
};

/* --- servers that are passed over --- */

void edge_place_write(char place[EDGE_PLACE_SIZE], const struct edge_transport *transport,
    const char *host, uint16_t port)
{
	snprintf(place, EDGE_PLACE_SIZE, "%s %s %u", transport->name, host, port);
}

static void forget_bad(struct edge_bad *bad)
{
	HASH_DELETE(hh, bad->edge->bad_places, bad);
	timer_queue_stop(&bad->edge->bad_kept, &bad->kept);
	free(bad);
}

static struct edge_bad *bad_of_kept(struct timer_entry *entry)
{
	return (struct edge_bad *)(void *)((char *)entry - offsetof(struct edge_bad, kept));
}

static void on_bad_kept(struct timer_entry *entry, void *arg)
{
	struct edge_bad *bad = bad_of_kept(entry);

	(void)arg;
	if (timer_now_ms() < bad->until_ms)
		timer_queue_start(&bad->edge->bad_kept, &bad->kept);
	else
		forget_bad(bad);
}

static struct edge_bad *find_bad(struct edge *edge, const char *place)
{
	struct edge_bad *bad;

	HASH_FIND_STR(edge->bad_places, place, bad);
	return bad;
}

/* The oldest makes room. */
static struct edge_bad *new_bad(struct edge *edge, const char *place)
{
	struct edge_bad *bad;

	if (HASH_COUNT(edge->bad_places) >= BAD_MAX)
		forget_bad(bad_of_kept(timer_queue_first(&edge->bad_kept)));
	bad = calloc(1, sizeof(*bad));
	if (!bad)
		return NULL;
	bad->edge = edge;
	snprintf(bad->place, sizeof(bad->place), "%s", place);
	HASH_ADD_STR(edge->bad_places, place, bad);
	if (bad->hh.tbl) {
		timer_queue_start(&edge->bad_kept, &bad->kept);
		return bad;
	}
	free(bad);
	return NULL;
}

void edge_place_failed(struct edge *edge, const char *place, uint64_t at_least_ms)
{
	uint64_t until_ms = timer_now_ms() + at_least_ms;
	struct edge_bad *known = find_bad(edge, place), *bad = known ? known : new_bad(edge, place);

	if (!bad)
		return;
	if (bad->until_ms < until_ms)
		bad->until_ms = until_ms;
	if (!known)
		story_often("sip: %s: not reached, or has no time", place);
}

/* --- services --- */

static void free_parked(struct edge *edge, struct edge_parked *parked)
{
	edge_memory_give(edge, parked->cause, sizeof(*parked) + parked->len);
	free(parked);
}

static void unpark_all(struct edge_service *s)
{
	struct edge_parked *parked;

	while ((parked = STAILQ_FIRST(&s->waiting))) {
		STAILQ_REMOVE_HEAD(&s->waiting, next);
		edge_send_again(s->edge, (struct slice){parked->text, parked->len},
		    parked->attempt);
		free_parked(s->edge, parked);
	}
}

static void drop_parked(struct edge_service *s, bool passed_too)
{
	struct edge_parked *parked = STAILQ_FIRST(&s->waiting), *next;

	STAILQ_INIT(&s->waiting);
	for (; parked; parked = next) {
		next = STAILQ_NEXT(parked, next);
		if (parked->passed && !passed_too) {
			STAILQ_INSERT_TAIL(&s->waiting, parked, next);
			continue;
		}
		free_parked(s->edge, parked);
	}
}

static void forget(struct edge_service *s)
{
	HASH_DELETE(hh, s->edge->services, s);
	timer_queue_stop(&s->edge->services_kept, &s->kept);
	net_service_cancel(&s->lookup);
	edge_cause_leave(s->edge, s->cause);
	drop_parked(s, true);
	free(s->places);
	free(s);
}

static struct edge_service *of_kept(struct timer_entry *entry)
{
	return (struct edge_service *)(void *)((char *)entry - offsetof(struct edge_service, kept));
}

static void on_kept(struct timer_entry *entry, void *arg)
{
	(void)arg;
	forget(of_kept(entry));
}

static void on_places(const struct net_place *places, size_t count, const char *why, void *arg)
{
	struct edge_service *s = arg;

	if (why)
		story_often("sip: %s: %s", s->name, why);
	s->places = count ? calloc(count, sizeof(*places)) : NULL;
	if (s->places) {
		memcpy(s->places, places, count * sizeof(*places));
		s->count = count;
	}
	edge_cause_leave(s->edge, s->cause);
	s->cause = EDGE_SHARE_OF_NOBODY;
	if (!s->starting)
		unpark_all(s);
	timer_queue_start(&s->edge->services_kept, &s->kept); /* from now on it may be forgotten */
}

/* @return false: all are waited for */
static bool make_room(struct edge *edge)
{
	struct timer_entry *oldest = timer_queue_first(&edge->services_kept);

	if (HASH_COUNT(edge->services) < SERVICES_MAX)
		return true;
	if (oldest)
		forget(of_kept(oldest));
	return oldest;
}

static struct edge_service *new_service(struct edge *edge, const char *name, edge_share cause)
{
	size_t size = strlen(name) + 1;
	struct edge_service *s = make_room(edge) ? calloc(1, sizeof(*s) + size) : NULL;
	int err;

	if (!s)
		return NULL;
	s->edge = edge;
	STAILQ_INIT(&s->waiting);
	memcpy(s->name, name, size);
	if (edge_cause_enter(edge, cause)) {
		s->cause = cause;
		HASH_ADD_STR(edge->services, name, s);
	}
	if (!s->hh.tbl) {
		edge_cause_leave(edge, s->cause);
		free(s);
		return NULL;
	}
	s->starting = true;
	err = net_service_start(&s->lookup, edge->protocol.net, s->name, on_places, s);
	s->starting = false;
	if (err == 0)
		return s;
	forget(s);
	return NULL;
}

enum { NAME_SIZE = 300 };

/* @return NULL: it is not known */
static struct edge_service *find(struct edge *edge, const struct edge_transport *transport,
    const char *domain, char name[NAME_SIZE])
{
	struct edge_service *s;

	snprintf(name, NAME_SIZE, "%s.%s", transport->service, domain);
	HASH_FIND_STR(edge->services, name, s);
	return s;
}

/* @return NULL: it cannot be asked for */
static struct edge_service *get(const struct edge_target *t)
{
	struct edge *edge = t->listener->edge;
	char name[NAME_SIZE];
	struct edge_service *s = find(edge, t->transport, t->host, name);

	return s ? s : new_service(edge, name, t->cause);
}

/* --- requests --- */

/* @return -EINPROGRESS or -ENOBUFS */
static int park(struct edge_service *s, edge_share cause, const struct edge_message *m,
    unsigned attempt)
{
	struct slice head = edge_head_text(&m->head);
	size_t len = head.len + m->body.len;
	struct edge_parked *parked;

	if (!edge_memory_take(s->edge, cause, sizeof(*parked) + len))
		return -ENOBUFS;
	parked = malloc(sizeof(*parked) + len);
	if (!parked) {
		edge_memory_give(s->edge, cause, sizeof(*parked) + len);
		return -ENOBUFS;
	}
	parked->len = len;
	parked->cause = cause;
	parked->attempt = attempt;
	parked->passed = edge_is_passed(s->edge, &m->head);
	memcpy(parked->text, head.p, head.len);
	if (m->body.len)
		memcpy(parked->text + head.len, m->body.p, m->body.len);
	STAILQ_INSERT_TAIL(&s->waiting, parked, next);
	return -EINPROGRESS;
}

/* @return NULL: all have failed */
static const struct net_place *first_good(const struct edge_service *s,
    const struct edge_transport *transport)
{
	char place[EDGE_PLACE_SIZE];

	for (size_t i = 0; i < s->count; i++) {
		edge_place_write(place, transport, s->places[i].host, s->places[i].port);
		if (!find_bad(s->edge, place))
			return &s->places[i];
	}
	return NULL;
}

bool edge_service_has_other(struct edge *edge, const struct edge_transport *transport,
    const char *domain)
{
	char name[NAME_SIZE];
	const struct edge_service *s = find(edge, transport, domain, name);

	return s && first_good(s, transport);
}

/*
 * The first that has not failed.  When none is left a request that has been elsewhere before has
 * failed, and another one has to try.
 */
static int choose(const struct edge_service *s, struct edge_target *t, unsigned attempt)
{
	const struct net_place *chosen = first_good(s, t->transport);

	if (!chosen && attempt > 0)
		return -EHOSTUNREACH;
	if (!chosen)
		chosen = &s->places[0];
	memcpy(t->identity, t->host, sizeof(t->identity));
	memcpy(t->host, chosen->host, sizeof(t->host));
	edge_lower(t->host);
	t->port = chosen->port;
	t->choices = (unsigned)s->count;
	return 0;
}

/* A name on this machine alone has no services. */
static bool has_services(const struct edge_target *t)
{
	union addr addr;

	return !t->has_port && strchr(t->host, '.')
	    && addr_parse_host(&addr, slice_of(t->host)) < 0;
}

int edge_service_apply(struct edge_target *t, const struct edge_message *m, unsigned attempt)
{
	struct edge_target other = *t;
	struct edge_service *s;

	if (!has_services(t))
		return 0;
	s = get(t);
	if (!s || s->lookup)
		return s ? park(s, t->cause, m, attempt) : -ENOBUFS;
	if (s->count)
		return choose(s, t, attempt);
	/* RFC 3263 4.1: it may be reached by TCP alone. */
	if (t->named || t->transport->net || !edge_target_to_tcp(t->listener->edge, &other))
		return 0;
	s = get(&other);
	if (!s || s->lookup)
		return s ? park(s, t->cause, m, attempt) : -ENOBUFS;
	if (!s->count)
		return 0;
	*t = other;
	return choose(s, t, attempt);
}

int edge_services_init(struct edge *edge, struct event_base *base)
{
	int err = timer_queue_init(&edge->services_kept, base, KEPT_MS, on_kept, NULL);

	return err | timer_queue_init(&edge->bad_kept, base, BAD_MS, on_bad_kept, NULL) ? -ENOMEM
											: 0;
}

void edge_services_drop_waiting(struct edge *edge)
{
	struct edge_service *s, *next;

	HASH_ITER(hh, edge->services, s, next)
	drop_parked(s, false);
}

void edge_services_fini(struct edge *edge)
{
	struct edge_service *s, *next;
	struct edge_bad *bad, *other;

	HASH_ITER(hh, edge->services, s, next)
	forget(s);
	HASH_ITER(hh, edge->bad_places, bad, other)
	forget_bad(bad);
	timer_queue_fini(&edge->services_kept);
	timer_queue_fini(&edge->bad_kept);
}
