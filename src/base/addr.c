#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

int addr_parse_host(union addr *a, struct slice text)
{
	char copy[INET6_ADDRSTRLEN];

	*a = (union addr){.any.sa_family = AF_UNSPEC};
	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.p, '\0', text.len))
		return -EINVAL;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	if (memchr(copy, ':', text.len)) {
		if (inet_pton(AF_INET6, copy, &a->in6.sin6_addr) == 1)
			a->any.sa_family = AF_INET6;
	} else if (inet_pton(AF_INET, copy, &a->in.sin_addr) == 1) {
		a->any.sa_family = AF_INET;
	}
	return a->any.sa_family ? 0 : -EINVAL;
}

int addr_parse(union addr *a, struct slice text)
{
	const char *colon = text.len ? memrchr(text.p, ':', text.len) : NULL;
	size_t len = colon ? (size_t)(colon - text.p) : 0;
	struct slice host = slice_head(text, len);
	bool brackets = len > 2 && host.p[0] == '[' && host.p[len - 1] == ']';
	uint64_t port;

	if (brackets)
		host = (struct slice){host.p + 1, len - 2};
	if (addr_parse_host(a, host) < 0)
		return -EINVAL;
	if (brackets != (a->any.sa_family == AF_INET6)
	    || slice_to_u64(slice_from(text, len + 1), UINT16_MAX, &port) < 0) {
		*a = (union addr){.any.sa_family = AF_UNSPEC};
		return -EINVAL;
	}
	addr_set_port(a, (uint16_t)port);
	return 0;
}

int addr_parse_literal(union addr *a, struct slice text)
{
	if (text.len > 2 && text.p[0] == '[' && text.p[text.len - 1] == ']')
		text = (struct slice){text.p + 1, text.len - 2};
	return addr_parse_host(a, text);
}

int addr_parse_prefix(union addr *a, unsigned *bits, struct slice text)
{
	struct slice length = text, host;
	uint64_t number;

	if (!slice_cut(&length, '/', &host) || addr_parse_literal(a, host) < 0)
		return -EINVAL;
	*bits = 8 * (unsigned)addr_bytes(a).len;
	if (!length.p)
		return 0;
	if (slice_to_u64(length, *bits, &number) < 0)
		return -ERANGE;
	*bits = (unsigned)number;
	return 0;
}

void addr_from(union addr *a, const struct sockaddr *from)
{
	*a = (union addr){.any.sa_family = AF_UNSPEC};
	if (from->sa_family == AF_INET) {
		memcpy(&a->in, from, sizeof(a->in));
	} else if (from->sa_family == AF_INET6) {
		memcpy(&a->in6, from, sizeof(a->in6));
		a->in6.sin6_flowinfo = 0;
	}
}

void addr_of_socket(union addr *a, int fd)
{
	struct sockaddr_storage found = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(found);

	getsockname(fd, (struct sockaddr *)&found, &len);
	addr_from(a, (struct sockaddr *)&found);
}

void addr_of_peer(union addr *a, int fd)
{
	struct sockaddr_storage found = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(found);

	getpeername(fd, (struct sockaddr *)&found, &len);
	addr_from(a, (struct sockaddr *)&found);
}

socklen_t addr_len(const union addr *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->in)
	    : a->any.sa_family == AF_INET6 ? sizeof(a->in6)
					   : 0;
}

/* sin_port and sin6_port lie at the same place. */
uint16_t addr_port(const union addr *a)
{
	return ntohs(a->in.sin_port);
}

void addr_set_port(union addr *a, uint16_t port)
{
	a->in.sin_port = htons(port);
}

struct slice addr_bytes(const union addr *a)
{
	return a->any.sa_family == AF_INET
	    ? (struct slice){(const char *)&a->in.sin_addr, sizeof(a->in.sin_addr)}
	    : a->any.sa_family == AF_INET6
	    ? (struct slice){(const char *)&a->in6.sin6_addr, sizeof(a->in6.sin6_addr)}
	    : (struct slice){NULL, 0};
}

bool addr_is_any(const union addr *a)
{
	return a->any.sa_family == AF_INET
	    ? a->in.sin_addr.s_addr == htonl(INADDR_ANY)
	    : a->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

bool addr_same_host(const union addr *a, const union addr *b)
{
	return a->any.sa_family == b->any.sa_family && slice_equal(addr_bytes(a), addr_bytes(b))
	    && (a->any.sa_family != AF_INET6 || a->in6.sin6_scope_id == b->in6.sin6_scope_id);
}

bool addr_equal(const union addr *a, const union addr *b)
{
	return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

bool addr_in_prefix(const union addr *a, const union addr *prefix, unsigned bits)
{
	struct slice x = addr_bytes(a), y = addr_bytes(prefix);
	unsigned whole = bits / 8, rest = bits % 8;

	if (a->any.sa_family != prefix->any.sa_family || bits > 8 * x.len)
		return false;
	return memcmp(x.p, y.p, whole) == 0
	    && (rest == 0 || (unsigned char)(x.p[whole] ^ y.p[whole]) >> (8 - rest) == 0);
}

void addr_unmap(union addr *a)
{
	union addr v4 = {.in = {.sin_family = AF_INET, .sin_port = a->in.sin_port}};

	if (a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	memcpy(&v4.in.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof(v4.in.sin_addr));
	*a = v4;
}

static void print_host(const union addr *a, char *text, socklen_t size)
{
	if (!addr_len(a)
	    || getnameinfo(&a->any, addr_len(a), text, size, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(text, size, "-");
}

const char *addr_print_host(const union addr *a, char text[ADDR_TEXT_SIZE])
{
	print_host(a, text, ADDR_TEXT_SIZE);
	return text;
}

const char *addr_print(const union addr *a, char text[ADDR_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE];

	print_host(a, host, sizeof(host));
	if (a->any.sa_family == AF_INET)
		snprintf(text, ADDR_TEXT_SIZE, "%s:%u", host, addr_port(a));
	else if (a->any.sa_family == AF_INET6)
		snprintf(text, ADDR_TEXT_SIZE, "[%s]:%u", host, addr_port(a));
	else
		snprintf(text, ADDR_TEXT_SIZE, "%s", host);
	return text;
}
