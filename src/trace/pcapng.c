/*
 * pcap-ng, the file format of Wireshark: draft-ietf-opsawg-pcapng.  Each message is one packet with
 * made-up headers of IP and TCP, so that nothing has to be reassembled.  A WebSocket's messages are
 * exported PDUs with the name of their protocol instead: on ports of the web nobody looks for MSRP.
 */
#include <string.h>

#include "trace/priv.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,

	LINK_RAW_IP = 101,
	LINK_EXPORTED_PDU = 252,

	/* options */
	END_OF_OPTIONS = 0,
	COMMENT = 1,
	INTERFACE_NAME = 2,
	FLAGS = 2,
	SECTION_APPLICATION = 4,

	/* tags of exported PDUs, which are in network byte order: wsutil/exported_pdu_tlvs.h */
	TAG_END = 0,
	TAG_DISSECTOR = 12,
	TAG_IPV4_SOURCE = 20,
	TAG_IPV4_DESTINATION = 21,
	TAG_IPV6_SOURCE = 22,
	TAG_IPV6_DESTINATION = 23,
	TAG_PORT_TYPE = 24,
	TAG_SOURCE_PORT = 25,
	TAG_DESTINATION_PORT = 26,
	PORT_TYPE_TCP = 2,

	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	TCP_HEAD = 20,
	UDP_HEAD = 8,
	TCP_FLAGS = 0x18, /* ACK, PSH */
	HOPS = 64,
	WINDOW = 65535,
};

/* --- numbers --- */

/* In the order of this machine, which the section header tells. */
static void put32(struct buffer *w, uint32_t n)
{
	buffer_add(w, (struct slice){(const char *)&n, sizeof(n)});
}

static void put16(struct buffer *w, uint16_t n)
{
	buffer_add(w, (struct slice){(const char *)&n, sizeof(n)});
}

static void net32(struct buffer *w, uint32_t n)
{
	put32(w, htonl(n));
}

static void net16(struct buffer *w, uint16_t n)
{
	put16(w, htons(n));
}

static void pad(struct buffer *w, size_t len)
{
	static const char zeros[4];

	buffer_add(w, (struct slice){zeros, (4 - len % 4) % 4});
}

/* --- blocks --- */

static size_t begin_block(struct buffer *w, uint32_t type)
{
	size_t at = w->len;

	put32(w, type);
	put32(w, 0);
	return at;
}

/* Its length stands at both ends. */
static void end_block(struct buffer *w, size_t at)
{
	uint32_t len = (uint32_t)(w->len - at + sizeof(len));

	put32(w, len);
	if (!w->err)
		memcpy(w->p + at + sizeof(uint32_t), &len, sizeof(len));
}

static void put_option(struct buffer *w, uint16_t code, struct slice value)
{
	put16(w, code);
	put16(w, (uint16_t)value.len);
	buffer_add(w, value);
	pad(w, value.len);
}

static void put_interface(struct buffer *w, uint16_t link, const char *name)
{
	size_t at = begin_block(w, BLOCK_INTERFACE);

	put16(w, link);
	put16(w, 0);
	put32(w, 0); /* no limit of a packet's length */
	put_option(w, INTERFACE_NAME, slice_of(name));
	put_option(w, END_OF_OPTIONS, SLICE(""));
	end_block(w, at);
}

void trace_pcapng_begin(struct buffer *w)
{
	size_t at = begin_block(w, BLOCK_SECTION);

	put32(w, BYTE_ORDER_MAGIC);
	put16(w, 1); /* version 1.0 */
	put16(w, 0);
	put32(w, UINT32_MAX); /* its length is not known */
	put32(w, UINT32_MAX);
	put_option(w, SECTION_APPLICATION, SLICE("msrpd " MSRPD_VERSION));
	put_option(w, END_OF_OPTIONS, SLICE(""));
	end_block(w, at);
	put_interface(w, LINK_RAW_IP, "msrpd");
	put_interface(w, LINK_EXPORTED_PDU, "msrpd, WebSockets");
}

/* --- headers --- */

/* RFC 1071: of bytes, the first at an even place. */
static uint32_t sum(uint32_t sum, struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;

	for (; i + 1 < s.len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (i < s.len)
		sum += (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void set_checksum(struct buffer *w, size_t at, uint16_t value)
{
	value = htons(value);
	if (!w->err)
		memcpy(w->p + at, &value, sizeof(value));
}

static void put_ipv4(struct buffer *w, const struct trace_packet *p, size_t len)
{
	size_t at = w->len;

	net16(w, 0x4500);
	net16(w, (uint16_t)(20 + len));
	net32(w, 0x4000); /* do not fragment */
	buffer_add_char(w, HOPS);
	buffer_add_char(w, p->udp ? PROTOCOL_UDP : PROTOCOL_TCP);
	net16(w, 0);
	buffer_add(w, addr_bytes(p->from));
	buffer_add(w, addr_bytes(p->to));
	if (!w->err)
		set_checksum(w, at + 10, checksum(sum(0, slice_from(buffer_text(w), at))));
}

static void put_ipv6(struct buffer *w, const struct trace_packet *p, size_t len)
{
	net32(w, 6u << 28);
	net16(w, (uint16_t)len);
	buffer_add_char(w, p->udp ? PROTOCOL_UDP : PROTOCOL_TCP);
	buffer_add_char(w, HOPS);
	buffer_add(w, addr_bytes(p->from));
	buffer_add(w, addr_bytes(p->to));
}

/* RFC 9293 3.1, RFC 768: with a pseudo header. */
static uint16_t checksum_of(const struct trace_packet *p, struct slice head, size_t len)
{
	uint32_t all = (uint32_t)len + (p->udp ? PROTOCOL_UDP : PROTOCOL_TCP);

	all = sum(sum(all, addr_bytes(p->from)), addr_bytes(p->to));
	return checksum(sum(sum(all, head), p->payload));
}

static void put_tcp(struct buffer *w, const struct trace_packet *p, size_t len)
{
	size_t at = w->len;

	net16(w, addr_port(p->from));
	net16(w, addr_port(p->to));
	net32(w, p->seq);
	net32(w, p->ack);
	net16(w, 5 << 12 | TCP_FLAGS);
	net16(w, WINDOW);
	net32(w, 0); /* checksum, urgent pointer */
	if (!w->err)
		set_checksum(w, at + 16, checksum_of(p, slice_from(buffer_text(w), at), len));
}

static void put_udp(struct buffer *w, const struct trace_packet *p, size_t len)
{
	size_t at = w->len;

	net16(w, addr_port(p->from));
	net16(w, addr_port(p->to));
	net16(w, (uint16_t)len);
	net16(w, 0);
	if (!w->err)
		set_checksum(w, at + 6, checksum_of(p, slice_from(buffer_text(w), at), len));
}

/* @return bytes of the packet, had nothing been cut */
static size_t put_headers(struct buffer *w, const struct trace_packet *p)
{
	size_t at = w->len, len = (p->udp ? UDP_HEAD : TCP_HEAD) + p->length;

	if (p->from->any.sa_family == AF_INET6)
		put_ipv6(w, p, len);
	else
		put_ipv4(w, p, len);
	if (p->udp)
		put_udp(w, p, len);
	else
		put_tcp(w, p, len);
	return w->len - at + p->length;
}

static void put_tag(struct buffer *w, uint16_t tag, struct slice value)
{
	net16(w, tag);
	net16(w, (uint16_t)((value.len + 3) / 4 * 4));
	buffer_add(w, value);
	pad(w, value.len);
}

static void put_tag_number(struct buffer *w, uint16_t tag, uint32_t number)
{
	number = htonl(number);
	put_tag(w, tag, (struct slice){(const char *)&number, sizeof(number)});
}

static size_t put_tags(struct buffer *w, const struct trace_packet *p)
{
	bool ipv6 = p->from->any.sa_family == AF_INET6;
	size_t at = w->len;

	put_tag(w, TAG_DISSECTOR, p->sip ? SLICE("sip") : SLICE("msrp"));
	put_tag(w, ipv6 ? TAG_IPV6_SOURCE : TAG_IPV4_SOURCE, addr_bytes(p->from));
	put_tag(w, ipv6 ? TAG_IPV6_DESTINATION : TAG_IPV4_DESTINATION, addr_bytes(p->to));
	put_tag_number(w, TAG_PORT_TYPE, PORT_TYPE_TCP);
	put_tag_number(w, TAG_SOURCE_PORT, addr_port(p->from));
	put_tag_number(w, TAG_DESTINATION_PORT, addr_port(p->to));
	put_tag(w, TAG_END, SLICE(""));
	return w->len - at + p->length;
}

static void put_comment(struct buffer *w, const struct trace_packet *p)
{
	char text[512];
	struct buffer comment = BUFFER_ON(text);

	if (p->udp)
		buffer_printf(&comment, "udp");
	else
		buffer_printf(&comment, "conn %llu %s", (unsigned long long)p->conn, p->carrier);
	if (p->call_id.p)
		buffer_printf(&comment, " call %.*s", SLICE_ARG(p->call_id));
	if (p->broken)
		buffer_printf(&comment, " not whole");
	if (!comment.err)
		put_option(w, COMMENT, buffer_text(&comment));
}

void trace_pcapng_packet(struct buffer *w, const struct trace_packet *p)
{
	uint64_t us = (uint64_t)p->when.tv_sec * 1000000 + (uint64_t)p->when.tv_nsec / 1000;
	uint32_t flags = p->way == NET_IN ? 1 : 2, captured;
	size_t at = begin_block(w, BLOCK_PACKET), lengths, data, original;

	put32(w, p->web);
	put32(w, (uint32_t)(us >> 32));
	put32(w, (uint32_t)us);
	lengths = w->len;
	put32(w, 0);
	put32(w, 0);
	data = w->len;
	original = p->web ? put_tags(w, p) : put_headers(w, p);
	buffer_add(w, p->payload);
	if (w->err)
		return;
	captured = (uint32_t)(w->len - data);
	memcpy(w->p + lengths, &captured, sizeof(captured));
	memcpy(w->p + lengths + sizeof(captured), &(uint32_t){(uint32_t)original}, 4);
	pad(w, captured);
	put_option(w, FLAGS, (struct slice){(const char *)&flags, sizeof(flags)});
	put_comment(w, p);
	put_option(w, END_OF_OPTIONS, SLICE(""));
	end_block(w, at);
}
