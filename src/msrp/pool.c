#include "msrp/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "base/log.h"
#include "base/tls.h"

enum { FINGERPRINT_MAX = 256 };

/* A lookup outlives its entry when it is cancelled: its callback still comes. */
struct lookup {
	struct pool_entry *entry;
	struct evdns_getaddrinfo_request *request;
};

struct pool_entry {
	UT_hash_handle hh;
	struct msrp_conn *conn;
	struct lookup *lookup;
	struct evutil_addrinfo *addresses, *next_address; /* NULL once connected */
	struct event *attempt; /* the next address, in a turn of its own */
	int err;               /* of the last attempt */
	bool hidden;           /* not found any more: its connection is on its way out */
	uint16_t port;
	char *host;
	char *fingerprints; /* one a line; empty: name and CA count */
	char key[];
};

/* --- keys --- */

static char *join_fingerprints(const struct msrp_destination *to)
{
	size_t size = 1, at = 0;
	char *text;

	for (size_t i = 0; i < to->fingerprint_count; i++) {
		if (to->fingerprints[i].len > FINGERPRINT_MAX)
			return NULL;
		size += to->fingerprints[i].len + 1;
	}
	text = malloc(size);
	if (!text)
		return NULL;
	for (size_t i = 0; i < to->fingerprint_count; i++) {
		memcpy(text + at, to->fingerprints[i].p, to->fingerprints[i].len);
		at += to->fingerprints[i].len;
		text[at++] = '\n';
	}
	text[at] = '\0';
	return text;
}

/* What two destinations must share to share a connection. */
static int write_key(char *key, size_t size, const struct msrp_destination *to,
    const char *fingerprints)
{
	return snprintf(key, size, "%c %u %p %.*s %s", to->secure ? 's' : '-', to->port,
	    (void *)to->from, SLICE_ARG(to->host), fingerprints);
}

static void lower_case(char *p)
{
	for (; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
}

/* --- entries --- */

static void free_entry(struct pool_entry *entry)
{
	if (entry->lookup) {
		entry->lookup->entry = NULL;
		if (entry->lookup->request)
			evdns_getaddrinfo_cancel(entry->lookup->request);
	}
	if (entry->addresses)
		evutil_freeaddrinfo(entry->addresses);
	if (entry->attempt)
		event_free(entry->attempt);
	free(entry->host);
	free(entry->fingerprints);
	free(entry);
}

void msrp_pool_remove(struct msrp_conn *conn)
{
	struct pool_entry *entry = conn->entry;

	if (!entry)
		return;
	conn->entry = NULL;
	if (!entry->hidden)
		HASH_DEL(conn->stack->pool, entry);
	free_entry(entry);
}

void msrp_pool_stop(struct msrp_stack *stack)
{
	if (stack->dns)
		evdns_base_free(stack->dns, 0);
	stack->dns = NULL;
}

static void attempt_soon(struct pool_entry *entry)
{
	static const struct timeval now = {0, 0};

	evtimer_add(entry->attempt, &now);
}

/* --- connecting --- */

static void set_port(struct sockaddr *addr, uint16_t port)
{
	if (addr->sa_family == AF_INET6)
		((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)addr)->sin_port = htons(port);
}

static int leave_from(int fd, const struct msrp_listener *from, int family)
{
	struct sockaddr_storage addr = {0};
	unsigned len;
	const struct sockaddr *own = msrp_listener_address(from, &len);

	if (own->sa_family != family)
		return -EAFNOSUPPORT;
	memcpy(&addr, own, len);
	set_port((struct sockaddr *)&addr, 0);
	return bind(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
}

static int connect_to(struct msrp_conn *conn, struct evutil_addrinfo *address)
{
	struct pool_entry *entry = conn->entry;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = msrp_conn_watch(conn, fd); /* from here on conn closes it */
	if (err == 0 && conn->listener)
		err = leave_from(fd, conn->listener, address->ai_family);
	if (err < 0)
		return err;
	set_port(address->ai_addr, entry->port);
	if (connect(fd, address->ai_addr, (socklen_t)address->ai_addrlen) < 0
	    && errno != EINPROGRESS)
		return -errno;
	conn->state = CONN_CONNECTING;
	msrp_conn_set_life(conn, &conn->stack->connecting);
	return msrp_conn_want_write(conn);
}

static void drop_socket(struct msrp_conn *conn)
{
	if (conn->ev_write)
		event_free(conn->ev_write);
	conn->ev_write = NULL;
	msrp_conn_set_life(conn, NULL);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->state = CONN_RESOLVING;
}

static void on_attempt(evutil_socket_t fd, short what, void *arg)
{
	struct pool_entry *entry = arg;
	struct msrp_conn *conn = entry->conn;

	(void)fd;
	(void)what;
	while (entry->next_address) {
		struct evutil_addrinfo *address = entry->next_address;

		entry->next_address = address->ai_next;
		entry->err = connect_to(conn, address);
		if (entry->err == 0)
			return;
		log_debug("msrp: conn %" PRIu64 ": %s: %s", conn->number, entry->host,
		    strerror(-entry->err));
		drop_socket(conn);
	}
	msrp_conn_close(conn, entry->err ? entry->err : -EHOSTUNREACH);
}

bool msrp_pool_try_next(struct msrp_conn *conn, int err)
{
	struct pool_entry *entry = conn->entry;

	if (!entry || !entry->next_address)
		return false;
	entry->err = err;
	drop_socket(conn);
	attempt_soon(entry);
	return true;
}

static void expect_peer(struct msrp_conn *conn)
{
	struct pool_entry *entry = conn->entry;
	struct msrp_stack *stack = conn->stack;
	bool any = entry->fingerprints[0] || !stack->settings->tls.verify_server;

	if (msrp_conn_start_tls(conn, stack->client_tls) < 0
	    || tls_client_expect(conn->ssl, slice_of(entry->host), any) < 0) {
		msrp_conn_close(conn, -ENOMEM);
		return;
	}
	msrp_conn_connected(conn);
}

void msrp_pool_writable(struct msrp_conn *conn)
{
	struct pool_entry *entry = conn->entry;
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err) {
		if (!msrp_pool_try_next(conn, -err))
			msrp_conn_close(conn, -err);
		return;
	}
	(*conn->stack->count.connected)++;
	entry->next_address = NULL;
	if (entry->addresses)
		evutil_freeaddrinfo(entry->addresses);
	entry->addresses = NULL;
	if (conn->secure)
		expect_peer(conn);
	else
		msrp_conn_connected(conn);
}

bool msrp_pool_accepts(struct msrp_conn *conn)
{
	struct slice rest = slice_of(conn->entry->fingerprints), line;

	if (rest.len == 0)
		return true;
	while (slice_cut(&rest, '\n', &line))
		if (line.len && tls_has_fingerprint(conn->ssl, line))
			return true;
	log_info("msrp: conn %" PRIu64 ": %s: certificate has none of the fingerprints offered",
	    conn->number, conn->entry->host);
	return false;
}

/* --- finding out where to --- */

static void on_addresses(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct lookup *lookup = arg;
	struct pool_entry *entry = lookup->entry;

	free(lookup);
	if (!entry) {
		if (addresses)
			evutil_freeaddrinfo(addresses);
		return;
	}
	entry->lookup = NULL;
	if (result)
		log_info("msrp: %s: %s", entry->host, evutil_gai_strerror(result));
	entry->err = -EHOSTUNREACH;
	entry->addresses = entry->next_address = addresses;
	attempt_soon(entry);
}

static struct evdns_base *resolver(struct msrp_stack *stack)
{
	if (stack->dns)
		return stack->dns;
	stack->dns = evdns_base_new(stack->base,
	    EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!stack->dns) { /* no name server: the hosts file still counts */
		stack->dns = evdns_base_new(stack->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (stack->dns)
			evdns_base_load_hosts(stack->dns, "/etc/hosts");
	}
	return stack->dns;
}

static int start_lookup(struct msrp_stack *stack, struct pool_entry *entry)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_protocol = IPPROTO_TCP,
	};
	struct evdns_base *dns = resolver(stack);
	struct evdns_getaddrinfo_request *request;
	struct lookup *lookup = dns ? calloc(1, sizeof(*lookup)) : NULL;

	if (!lookup)
		return -ENOMEM;
	lookup->entry = entry;
	entry->lookup = lookup;
	request = evdns_getaddrinfo(dns, entry->host, NULL, &hints, on_addresses, lookup);
	if (request && entry->lookup) /* else the answer was at hand, and lookup is gone */
		entry->lookup->request = request;
	return 0;
}

/* An address needs no lookup, but its attempt waits for the next turn all the same. */
static int take_literal(struct pool_entry *entry)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_protocol = IPPROTO_TCP,
	    .ai_flags = EVUTIL_AI_NUMERICHOST,
	};

	if (evutil_getaddrinfo(entry->host, NULL, &hints, &entry->addresses) != 0)
		return -ENOENT;
	entry->next_address = entry->addresses;
	attempt_soon(entry);
	return 0;
}

static int new_entry(struct pool_entry **entryp, struct msrp_conn *conn,
    const struct msrp_destination *to, const char *key, char *fingerprints)
{
	size_t size = strlen(key) + 1;
	struct pool_entry *entry = calloc(1, sizeof(*entry) + size);

	if (!entry) {
		free(fingerprints);
		return -ENOMEM;
	}
	memcpy(entry->key, key, size);
	entry->conn = conn;
	entry->port = to->port;
	entry->fingerprints = fingerprints;
	entry->host = slice_dup(to->host);
	entry->attempt = evtimer_new(conn->stack->base, on_attempt, entry);
	if (!entry->host || !entry->attempt) {
		free_entry(entry);
		return -ENOMEM;
	}
	*entryp = entry;
	return 0;
}

static int open_new(struct msrp_stack *stack, const struct msrp_destination *to, const char *key,
    char *fingerprints, struct msrp_conn **connp)
{
	struct msrp_conn *conn;
	int err;

	if (stack->conn_count >= stack->settings->max_connections) {
		free(fingerprints);
		return -EMFILE;
	}
	err = msrp_conn_new(&conn, stack, -1, to->secure, to->from, false);
	if (err < 0) {
		free(fingerprints);
		return err;
	}
	err = new_entry(&conn->entry, conn, to, key, fingerprints);
	if (err < 0) {
		msrp_conn_close(conn, err);
		return err;
	}
	HASH_ADD_STR(stack->pool, key, conn->entry);
	conn->entry->hidden = !conn->entry->hh.tbl; /* without memory for that it is not shared */
	msrp_conn_set_life(conn, &stack->connecting);
	if (take_literal(conn->entry) < 0)
		err = start_lookup(stack, conn->entry);
	if (err < 0) {
		msrp_conn_close(conn, err);
		return err;
	}
	*connp = conn;
	return 0;
}

int msrp_pool_get(struct msrp_stack *stack, const struct msrp_destination *to,
    struct msrp_conn **connp)
{
	char *fingerprints, key[1024];
	struct pool_entry *entry;
	int n;

	if (stack->stopping)
		return -ESHUTDOWN;
	if (!to->host.len || !to->port || to->host.len > 255)
		return -EINVAL;
	fingerprints = join_fingerprints(to);
	if (!fingerprints)
		return -ENOMEM;
	n = write_key(key, sizeof(key), to, fingerprints);
	if (n < 0 || (size_t)n >= sizeof(key)) {
		free(fingerprints);
		return -EINVAL;
	}
	lower_case(key);
	HASH_FIND_STR(stack->pool, key, entry);
	if (entry && entry->conn->close_when_sent) {
		HASH_DEL(stack->pool, entry);
		entry->hidden = true;
		entry = NULL;
	}
	if (!entry && !to->existing)
		return open_new(stack, to, key, fingerprints, connp);
	free(fingerprints);
	if (!entry)
		return -ENOENT;
	*connp = entry->conn;
	return 0;
}
