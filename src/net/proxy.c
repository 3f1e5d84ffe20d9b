#include "net/proxy.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <msrpd/slice.h>

enum {
	SIGNATURE = 12, /* octets; less than the shortest line of version 1 */
	FIXED = 16,     /* of version 2: signature, command, family, length */
	COMMAND = 12,
	FAMILY = 13,
	LENGTH = 14,
	TCP4 = 0x11,
	TCP6 = 0x21,
};

static const unsigned char signature[SIGNATURE] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q',
    'U', 'I', 'T', '\n'};

/* --- reading --- */

/* @return bytes, or negative errno */
static ssize_t take(struct proxy_header *h, int fd, size_t max, int flags)
{
	ssize_t n;

	do
		n = recv(fd, h->bytes + h->len, max, flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? n : -ECONNRESET;
}

/* Up to len bytes of it. @return 1: they are here, 0: not yet; or negative errno */
static int fill(struct proxy_header *h, int fd, size_t len)
{
	while (h->len < len) {
		ssize_t n = take(h, fd, len - h->len, 0);

		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		h->len += (size_t)n;
	}
	return 1;
}

/* Up to the end of the line. @return as fill() */
static int fill_line(struct proxy_header *h, int fd)
{
	while (h->bytes[h->len - 1] != '\n') {
		ssize_t n = h->len < PROXY_TEXT_MAX ? take(h, fd, PROXY_TEXT_MAX - h->len, MSG_PEEK)
						    : -EPROTO;
		const unsigned char *end;

		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		end = memchr(h->bytes + h->len, '\n', (size_t)n);
		if (end)
			n = end + 1 - (h->bytes + h->len);
		n = take(h, fd, (size_t)n, 0);
		if (n < 0)
			return (int)n;
		h->len += (size_t)n;
	}
	return 1;
}

static int skip_rest(struct proxy_header *h, int fd, size_t rest)
{
	char scratch[256];

	while (h->skipped < rest) {
		size_t left = rest - h->skipped;
		ssize_t n = recv(fd, scratch, left < sizeof(scratch) ? left : sizeof(scratch), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
		h->skipped += (size_t)n;
	}
	return 1;
}

/* --- version 1: PROXY TCP4 192.0.2.1 192.0.2.9 50000 5061 --- */

static bool parse_end(union addr *addr, struct slice host, struct slice port, sa_family_t family)
{
	uint64_t number;

	if (addr_parse_host(addr, host) < 0 || addr->any.sa_family != family || !port.len
	    || slice_to_u64(port, UINT16_MAX, &number) < 0)
		return false;
	addr_set_port(addr, (uint16_t)number);
	return true;
}

static int parse_line(struct slice line, union addr *peer)
{
	struct slice word[6] = {{NULL, 0}};
	sa_family_t family;
	union addr own;

	if (line.len < 2 || line.p[line.len - 2] != '\r')
		return -EPROTO;
	line.len -= 2;
	for (int i = 0; i < 6; i++)
		slice_cut(&line, ' ', &word[i]);
	if (!slice_equal(word[0], SLICE("PROXY")))
		return -EPROTO;
	if (slice_equal(word[1], SLICE("UNKNOWN")))
		return 1;
	family = slice_equal(word[1], SLICE("TCP6")) ? AF_INET6 : AF_INET;
	if ((family == AF_INET && !slice_equal(word[1], SLICE("TCP4"))) || line.p
	    || !parse_end(&own, word[3], word[5], family)
	    || !parse_end(peer, word[2], word[4], family)) {
		peer->any.sa_family = AF_UNSPEC;
		return -EPROTO;
	}
	return 1;
}

static int read_line(struct proxy_header *h, int fd, union addr *peer)
{
	int n = memcmp(h->bytes, "PROXY ", 6) == 0 ? fill_line(h, fd) : -EPROTO;

	return n <= 0 ? n : parse_line((struct slice){(char *)h->bytes, h->len}, peer);
}

/* --- version 2 --- */

/* Octets of both addresses and ports. */
static size_t addresses_len(unsigned family)
{
	return family == TCP4 ? 12 : family == TCP6 ? 36 : 0;
}

static void parse_addresses(const struct proxy_header *h, union addr *peer)
{
	const unsigned char *p = h->bytes + FIXED;

	if (h->bytes[COMMAND] != 0x21)
		return;
	if (h->bytes[FAMILY] == TCP4) {
		peer->in = (struct sockaddr_in){.sin_family = AF_INET};
		memcpy(&peer->in.sin_addr, p, 4);
		memcpy(&peer->in.sin_port, p + 8, 2);
	} else if (h->bytes[FAMILY] == TCP6) {
		peer->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
		memcpy(&peer->in6.sin6_addr, p, 16);
		memcpy(&peer->in6.sin6_port, p + 32, 2);
	}
}

static int read_binary(struct proxy_header *h, int fd, union addr *peer)
{
	int n = fill(h, fd, FIXED);
	size_t len, known;

	if (n <= 0)
		return n;
	len = (size_t)h->bytes[LENGTH] << 8 | h->bytes[LENGTH + 1];
	known = addresses_len(h->bytes[FAMILY]);
	if ((h->bytes[COMMAND] != 0x20 && h->bytes[COMMAND] != 0x21) || len > PROXY_LENGTH_MAX
	    || (h->bytes[COMMAND] == 0x21 && len < known))
		return -EPROTO;
	if (known > len)
		known = len;
	n = fill(h, fd, FIXED + known);
	if (n <= 0)
		return n;
	n = skip_rest(h, fd, len - known);
	if (n > 0)
		parse_addresses(h, peer);
	return n;
}

int proxy_header_read(struct proxy_header *h, int fd, union addr *peer)
{
	int n = h->len < SIGNATURE ? fill(h, fd, SIGNATURE) : 1;

	*peer = (union addr){.any.sa_family = AF_UNSPEC};
	if (n <= 0)
		return n;
	n = memcmp(h->bytes, signature, SIGNATURE) == 0 ? read_binary(h, fd, peer)
							: read_line(h, fd, peer);
	addr_unmap(peer); /* of a proxy that listens for both families on one socket */
	return n;
}
