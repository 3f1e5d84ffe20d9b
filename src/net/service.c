#include "net/service.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/nameser.h>
#include <ares.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "net/priv.h"

enum {
	TIMEOUT_MS = 1500, /* of the first try; the second has twice that */
	TRIES = 2,
	SOCKETS_MAX = 64,
	UNDER_WAY_MAX = 256, /* questions */
};

/* It outlives its owner when it is cancelled: its callback still comes. */
struct net_service {
	struct net_service **owner; /* NULL: cancelled */
	struct net_services *services;
	net_service_fn *fn;
	void *arg;
};

/* A socket of the resolver's. */
struct watched {
	LIST_ENTRY(watched) entry;
	struct net_services *services;
	struct event *event;
	int fd;
};

struct net_services {
	struct event_base *base;
	ares_channel channel;
	struct event *timeout;
	LIST_HEAD(, watched) watched;
	unsigned socket_count, under_way;
};

/* --- the resolver's sockets and time-outs --- */

static void set_timeout(struct net_services *s)
{
	struct timeval wait;

	if (ares_timeout(s->channel, NULL, &wait))
		evtimer_add(s->timeout, &wait);
	else
		evtimer_del(s->timeout);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct net_services *s = arg;

	(void)fd;
	(void)what;
	ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timeout(s);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct net_services *s = ((struct watched *)arg)->services;

	ares_process_fd(s->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	set_timeout(s);
}

static void unwatch(struct watched *w)
{
	LIST_REMOVE(w, entry);
	w->services->socket_count--;
	event_free(w->event);
	free(w);
}

static struct watched *find_watched(struct net_services *s, int fd)
{
	struct watched *w;

	LIST_FOREACH(w, &s->watched, entry)
		if (w->fd == fd)
			return w;
	return NULL;
}

/* Without memory or room the answer does not come, and the time-out does. */
static void watch(struct net_services *s, int fd, short events)
{
	struct watched *w = s->socket_count < SOCKETS_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return;
	w->services = s;
	w->fd = fd;
	w->event = event_new(s->base, fd, (short)(events | EV_PERSIST), on_ready, w);
	if (!w->event || event_add(w->event, NULL) < 0) {
		if (w->event)
			event_free(w->event);
		free(w);
		return;
	}
	LIST_INSERT_HEAD(&s->watched, w, entry);
	s->socket_count++;
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct net_services *s = arg;
	struct watched *before = find_watched(s, fd);
	short events = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	if (before)
		unwatch(before);
	if (events)
		watch(s, fd, events);
}

/* --- the resolver --- */

/* @return 0 or -ENOMEM */
static int use_servers(struct net_services *s, const struct setting_list *servers)
{
	char *text = NULL, *longer;
	int err = 0;

	for (size_t i = 0; i < servers->count && !err; i++) {
		err = asprintf(&longer, "%s%s%s", text ? text : "", text ? "," : "",
			  ((char *const *)servers->items)[i])
			< 0
		    ? -ENOMEM
		    : 0;
		free(text);
		text = err ? NULL : longer;
	}
	if (text && ares_set_servers_ports_csv(s->channel, text) != ARES_SUCCESS)
		err = -ENOMEM; /* they were checked */
	free(text);
	return err;
}

void services_free(struct net *net)
{
	struct net_services *s = net->services;
	struct watched *w;

	if (!s)
		return;
	net->services = NULL;
	if (s->channel)
		ares_destroy(s->channel);
	while ((w = LIST_FIRST(&s->watched)))
		unwatch(w);
	if (s->timeout)
		event_free(s->timeout);
	free(s);
	ares_library_cleanup();
}

static int open_channel(struct net_services *s, const struct setting_list *servers)
{
	struct ares_options options = {.timeout = TIMEOUT_MS,
	    .tries = TRIES,
	    .ndomains = 0, /* names are whole */
	    .sock_state_cb = on_socket,
	    .sock_state_cb_data = s};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB;

	if (ares_init_options(&s->channel, &options, mask) != ARES_SUCCESS)
		return -ENOMEM;
	return servers ? use_servers(s, servers) : 0;
}

static struct net_services *services_of(struct net *net)
{
	struct net_services *s;

	if (net->services)
		return net->services;
	s = calloc(1, sizeof(*s));
	if (!s || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(s);
		return NULL;
	}
	net->services = s;
	LIST_INIT(&s->watched);
	s->base = net->base;
	s->timeout = evtimer_new(s->base, on_timeout, s);
	if (s->timeout && open_channel(s, net->name_servers) == 0)
		return s;
	services_free(net);
	return NULL;
}

/* --- an answer --- */

struct record {
	unsigned priority, weight;
	const struct ares_srv_reply *reply;
};

static int by_priority(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->weight == y->weight ? 0 : x->weight < y->weight ? -1 : 1;
}

/* RFC 2782: the weight of one is its share in being the next among those of its priority. */
static void draw_next(struct record *records, size_t count)
{
	uint64_t sum = 0, drawn;
	struct record chosen;
	size_t same = 0, i = 0;

	while (same < count && records[same].priority == records[0].priority)
		sum += records[same++].weight;
	drawn = rand_u64() % (sum + 1);
	for (sum = records[0].weight; sum < drawn; sum += records[i].weight)
		i++;
	chosen = records[i];
	memmove(records + 1, records, i * sizeof(*records));
	records[0] = chosen;
}

/* @return how many */
static size_t fill_places(struct net_place *places, const struct record *records, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count && n < NET_PLACES_MAX; i++) {
		size_t len = strlen(records[i].reply->host);

		/* The root is nobody: there is no such service here. */
		if (len == 0 || len >= sizeof(places->host)
		    || strcmp(records[i].reply->host, ".") == 0)
			continue;
		memcpy(places[n].host, records[i].reply->host, len + 1);
		places[n++].port = records[i].reply->port;
	}
	return n;
}

static size_t sort(struct net_place *places, const struct ares_srv_reply *replies)
{
	struct record records[4 * NET_PLACES_MAX] = {{0}};
	size_t count = 0;

	for (; replies && count < sizeof(records) / sizeof(records[0]); replies = replies->next)
		records[count++] = (struct record){replies->priority, replies->weight, replies};
	qsort(records, count, sizeof(records[0]), by_priority);
	for (size_t i = 0; i < count; i++)
		draw_next(records + i, count - i);
	return fill_places(places, records, count);
}

size_t net_service_read(struct net_place places[NET_PLACES_MAX], struct slice answer, int *statusp)
{
	struct ares_srv_reply *replies = NULL;
	size_t count;

	*statusp = ares_parse_srv_reply((const unsigned char *)answer.p, (int)answer.len, &replies);
	count = sort(places, replies);
	if (replies)
		ares_free_data(replies);
	return count;
}

/* @return NULL, or why the domain could not be asked */
static const char *failure_of(int status)
{
	return status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_SUCCESS
	    ? NULL
	    : ares_strerror(status);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct net_service *service = arg;
	struct net_place places[NET_PLACES_MAX];
	size_t count = 0;

	(void)timeouts;
	service->services->under_way--;
	if (!service->owner) {
		free(service);
		return;
	}
	*service->owner = NULL;
	if (status == ARES_SUCCESS)
		count = net_service_read(places, (struct slice){(const char *)bytes, (size_t)len},
		    &status);
	service->fn(places, count, failure_of(status), service->arg);
	free(service);
}

/* --- a question --- */

int net_service_start(struct net_service **servicep, struct net *net, const char *name,
    net_service_fn *fn, void *arg)
{
	struct net_services *services = services_of(net);
	struct net_service *service;

	if (!services || services->under_way >= UNDER_WAY_MAX)
		return -ENOMEM;
	service = calloc(1, sizeof(*service));
	if (!service)
		return -ENOMEM;
	*service = (struct net_service){servicep, services, fn, arg};
	*servicep = service;
	services->under_way++;
	ares_query(services->channel, name, ns_c_in, ns_t_srv, on_answer, service);
	set_timeout(services);
	return 0;
}

void net_service_cancel(struct net_service **servicep)
{
	if (!*servicep)
		return;
	(*servicep)->owner = NULL;
	*servicep = NULL;
}
