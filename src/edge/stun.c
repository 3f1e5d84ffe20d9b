#include "edge/stun.h"

#include <stdbool.h>
#include <string.h>

enum {
	HEAD_SIZE = 20, /* type, length, cookie, and 12 bytes of the transaction */
	ATTRIBUTE_SIZE = 4,
	BINDING_REQUEST = 0x0001,
	BINDING_RESPONSE = 0x0101,
	XOR_MAPPED_ADDRESS = 0x0020,
	OPTIONAL = 0x8000, /* attributes that whoever does not know them passes over */
};

static const unsigned char cookie[] = {0x21, 0x12, 0xa4, 0x42};

static unsigned read_u16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void write_u16(unsigned char *p, unsigned number)
{
	p[0] = (unsigned char)(number >> 8);
	p[1] = (unsigned char)number;
}

/* RFC 5389 15: each is padded to four bytes. */
static bool are_known(const unsigned char *p, size_t len)
{
	while (len >= ATTRIBUTE_SIZE && read_u16(p) >= OPTIONAL) {
		size_t size = ATTRIBUTE_SIZE + ((read_u16(p + 2) + 3U) & ~3U);

		if (size > len)
			return false;
		p += size;
		len -= size;
	}
	return len == 0;
}

static bool is_binding(struct slice request)
{
	const unsigned char *p = (const unsigned char *)request.p;

	return request.len >= HEAD_SIZE && read_u16(p) == BINDING_REQUEST
	    && read_u16(p + 2) == request.len - HEAD_SIZE
	    && memcmp(p + 4, cookie, sizeof(cookie)) == 0
	    && are_known(p + HEAD_SIZE, request.len - HEAD_SIZE);
}

/* RFC 5389 15.2: behind the first two bytes all is XORed with what begins at the cookie. */
static size_t write_address(unsigned char *p, const union addr *from, const unsigned char *key)
{
	struct slice host = addr_bytes(from);

	write_u16(p, XOR_MAPPED_ADDRESS);
	write_u16(p + 2, (unsigned)host.len + 4);
	write_u16(p + 4, host.len == 4 ? 1 : 2);
	write_u16(p + 6, addr_port(from) ^ read_u16(key));
	for (size_t i = 0; i < host.len; i++)
		p[8 + i] = (unsigned char)((unsigned char)host.p[i] ^ key[i]);
	return host.len + 8;
}

size_t stun_answer(unsigned char answer[STUN_ANSWER_SIZE], const union addr *from,
    struct slice request)
{
	size_t len;

	if (!is_binding(request))
		return 0;
	memcpy(answer, request.p, HEAD_SIZE);
	write_u16(answer, BINDING_RESPONSE);
	len = write_address(answer + HEAD_SIZE, from, answer + 4);
	write_u16(answer + 2, (unsigned)len);
	return HEAD_SIZE + len;
}
