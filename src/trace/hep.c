/*
 * HEPv3, the protocol between what captures and Homer: chunks of vendor, type, length and value in
 * network byte order ("HEP3 Network Protocol Specification", revision 12).
 */
#include <errno.h>
#include <string.h>

#include "trace/priv.h"

enum {
	IP_FAMILY = 1,
	IP_PROTOCOL,
	IPV4_SOURCE,
	IPV4_DESTINATION,
	IPV6_SOURCE,
	IPV6_DESTINATION,
	SOURCE_PORT,
	DESTINATION_PORT,
	SECONDS,
	MICROSECONDS,
	PROTOCOL,
	CAPTURE_ID,
	PAYLOAD = 15,
	CORRELATION_ID = 17,

	FAMILY_IPV4 = 2,
	FAMILY_IPV6 = 10,
	TCP = 6,
	UDP = 17,
	SIP = 1,
	/* There is none for MSRP: as a text that belongs to a call. */
	LOG = 100,

	CHUNK_HEAD = 6,
	HEAD = 6,             /* "HEP3" and the length of all */
	DATAGRAM_MAX = 65507, /* over IPv4 */
};

int trace_hep_parse(struct slice text, struct slice *host, struct slice *port)
{
	const char *colon = text.len ? memrchr(text.p, ':', text.len) : NULL;
	uint64_t number;

	if (!colon)
		return -EINVAL;
	*host = slice_head(text, (size_t)(colon - text.p));
	*port = slice_from(text, host->len + 1);
	if (host->len > 2 && host->p[0] == '[' && host->p[host->len - 1] == ']')
		*host = slice_head(slice_from(*host, 1), host->len - 2);
	else if (host->len && memchr(host->p, ':', host->len))
		return -EINVAL;
	if (host->len == 0 || !slice_is_one_line(*host) || slice_to_u64(*port, 65535, &number) < 0
	    || number == 0)
		return -EINVAL;
	return 0;
}

static void put(struct buffer *w, uint16_t type, struct slice value)
{
	const uint16_t head[] = {0, htons(type), htons((uint16_t)(CHUNK_HEAD + value.len))};

	buffer_add(w, (struct slice){(const char *)head, sizeof(head)});
	buffer_add(w, value);
}

static void put8(struct buffer *w, uint16_t type, uint8_t n)
{
	put(w, type, (struct slice){(const char *)&n, sizeof(n)});
}

static void put16(struct buffer *w, uint16_t type, uint16_t n)
{
	n = htons(n);
	put(w, type, (struct slice){(const char *)&n, sizeof(n)});
}

static void put32(struct buffer *w, uint16_t type, uint32_t n)
{
	n = htonl(n);
	put(w, type, (struct slice){(const char *)&n, sizeof(n)});
}

static void put_addresses(struct buffer *w, const struct trace_packet *p)
{
	bool ipv6 = p->from->any.sa_family == AF_INET6;

	put8(w, IP_FAMILY, ipv6 ? FAMILY_IPV6 : FAMILY_IPV4);
	put8(w, IP_PROTOCOL, p->udp ? UDP : TCP);
	put(w, ipv6 ? IPV6_SOURCE : IPV4_SOURCE, addr_bytes(p->from));
	put(w, ipv6 ? IPV6_DESTINATION : IPV4_DESTINATION, addr_bytes(p->to));
	put16(w, SOURCE_PORT, addr_port(p->from));
	put16(w, DESTINATION_PORT, addr_port(p->to));
}

void trace_hep_packet(struct buffer *w, const struct trace_packet *p, uint32_t id)
{
	size_t at = w->len, used;
	uint16_t len;

	buffer_add(w, SLICE("HEP3\0\0"));
	put_addresses(w, p);
	put32(w, SECONDS, (uint32_t)p->when.tv_sec);
	put32(w, MICROSECONDS, (uint32_t)(p->when.tv_nsec / 1000));
	put8(w, PROTOCOL, p->sip ? SIP : LOG);
	put32(w, CAPTURE_ID, id);
	if (p->call_id.p)
		put(w, CORRELATION_ID, slice_head(p->call_id, 1024));
	used = w->len - at + CHUNK_HEAD;
	put(w, PAYLOAD, slice_head(p->payload, DATAGRAM_MAX - used));
	if (w->err)
		return;
	len = htons((uint16_t)(w->len - at));
	memcpy(w->p + at + HEAD - sizeof(len), &len, sizeof(len));
}
