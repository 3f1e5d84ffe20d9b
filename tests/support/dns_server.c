#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/nameser.h>
#include <event2/event.h>

enum { HEAD = NS_HFIXEDSZ, MESSAGE = 4096, LABEL_MAX = 63 };

/* A message being written, or read. */
struct text {
	unsigned char bytes[MESSAGE];
	size_t len;
};

static void put16(struct text *t, unsigned value)
{
	t->bytes[t->len++] = (unsigned char)(value >> 8);
	t->bytes[t->len++] = (unsigned char)value;
}

static void put_name(struct text *t, const char *name)
{
	while (*name && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");

		t->bytes[t->len++] = (unsigned char)n;
		memcpy(t->bytes + t->len, name, n);
		t->len += n;
		name += n + (name[n] == '.');
	}
	t->bytes[t->len++] = 0;
}

/* The name that is asked for; t->len is behind it then. */
static void take_name(struct text *t, char name[NS_MAXDNAME])
{
	size_t used = 0, n;

	for (t->len = HEAD; (n = t->bytes[t->len]); t->len += n + 1) {
		assert_in_range(n, 1, LABEL_MAX);
		memcpy(name + used, t->bytes + t->len + 1, n);
		used += n;
		name[used++] = '.';
	}
	t->len++;
	name[used ? used - 1 : 0] = '\0';
}

/* What every answer begins with: the name of the question, its type and class, and its time. */
static void put_answer(struct text *t, unsigned type)
{
	put16(t, 0xc000 | HEAD);
	put16(t, type);
	put16(t, ns_c_in);
	put16(t, 0);
	put16(t, 60);
}

static unsigned put_services(const struct dns_server *server, struct text *t, const char *name)
{
	unsigned count = 0;

	for (size_t i = 0; i < server->count; i++) {
		const struct dns_record *r = &server->records[i];
		struct text host = {.len = 0};

		if (strcasecmp(r->name, name) != 0)
			continue;
		put_name(&host, r->host);
		put_answer(t, ns_t_srv);
		put16(t, 6 + (unsigned)host.len);
		put16(t, r->priority);
		put16(t, r->weight);
		put16(t, r->port);
		memcpy(t->bytes + t->len, host.bytes, host.len);
		t->len += host.len;
		count++;
	}
	return count;
}

static unsigned put_loopback(const struct dns_server *server, struct text *t, const char *name)
{
	size_t i = 0;

	while (i < server->count && strcasecmp(server->records[i].host, name) != 0)
		i++;
	if (i == server->count)
		return 0;
	put_answer(t, ns_t_a);
	put16(t, 4);
	put16(t, 0x7f00);
	put16(t, 1);
	return 1;
}

static void set16(struct text *t, size_t at, unsigned value)
{
	size_t len = t->len;

	t->len = at;
	put16(t, value);
	t->len = len;
}

/* In place of the question. */
static void answer(const struct dns_server *server, struct text *t)
{
	char name[NS_MAXDNAME];
	unsigned type, count = 0, code;

	take_name(t, name);
	type = (unsigned)t->bytes[t->len] << 8 | t->bytes[t->len + 1];
	t->len += 4;
	if (type == ns_t_srv)
		count = put_services(server, t, name);
	else if (type == ns_t_a)
		count = put_loopback(server, t, name);
	code = server->mood == DNS_REFUSES    ? ns_r_refused
	    : count == 0 && type != ns_t_aaaa ? ns_r_nxdomain
					      : ns_r_noerror;
	set16(t, 2, 0x8580 | code);
	set16(t, 6, count);
	set16(t, 8, 0);
	set16(t, 10, 0); /* what EDNS has added */
	if (server->mood == DNS_CUT)
		t->len -= 3;
}

static bool asks_for_services(const struct text *t)
{
	struct text copy = *t;
	char name[NS_MAXDNAME];

	take_name(&copy, name);
	return copy.bytes[copy.len + 1] == ns_t_srv;
}

static bool knows(const struct dns_server *server, const struct text *t)
{
	struct text copy = *t;
	char name[NS_MAXDNAME];

	take_name(&copy, name);
	for (size_t i = 0; i < server->count; i++)
		if (strcasecmp(server->records[i].name, name) == 0
		    || strcasecmp(server->records[i].host, name) == 0)
			return true;
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct dns_server *server = arg;
	struct text t;
	union addr peer;
	socklen_t peer_len = sizeof(peer);
	ssize_t n = recvfrom(fd, t.bytes, sizeof(t.bytes), MSG_DONTWAIT, &peer.any, &peer_len);

	(void)what;
	if (n <= HEAD)
		return;
	server->asked += asks_for_services(&t);
	if (server->mood == DNS_SILENT || (server->mood == DNS_CHOOSY && !knows(server, &t)))
		return;
	answer(server, &t);
	sendto(fd, t.bytes, t.len, 0, &peer.any, peer_len);
}

void dns_server_open(struct dns_server *server, struct event_base *base)
{
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};

	*server = (struct dns_server){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(bind(server->fd, &any.any, addr_len(&any)), 0);
	addr_of_socket(&any, server->fd);
	addr_print(&any, server->address);
	server->readable = event_new(base, server->fd, EV_READ | EV_PERSIST, on_readable, server);
	assert_int_equal(event_add(server->readable, NULL), 0);
}

void dns_server_close(struct dns_server *server)
{
	event_free(server->readable);
	close(server->fd);
}
