/* Tokens that only we can make: so what has one comes from us, by way of the stack. */
#include "edge/token_priv.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include <msrpd/hex.h>

#include "edge/flow_priv.h"
#include "edge/listener_priv.h"
#include "edge/priv.h"

enum {
	NUMBER_LEN = 16,
	HEAD_LEN = 1 + NUMBER_LEN,
	NUMBER_BITS = 48, /* of a flow or listener; in front of it stands the share */
};

/* Sixteen digits, and a NUL. */
static void write_number(char *text, uint64_t number)
{
	uint64_t bytes = htobe64(number);

	hex_write(text, &bytes, sizeof(bytes));
}

void edge_mac(const struct edge *edge, const struct slice *texts, size_t count,
    char mac[EDGE_MAC_LEN + 1])
{
	write_number(mac, hash_texts(edge->hash, texts, count));
}

bool edge_mac_is(struct edge *edge, const struct slice *texts, size_t count, struct slice mac)
{
	char made[EDGE_MAC_LEN + 1];

	if (mac.len != EDGE_MAC_LEN)
		return false;
	edge_mac(edge, texts, count, made);
	return CRYPTO_memcmp(made, mac.p, EDGE_MAC_LEN) == 0;
}

/* Of a datagram the number is the listener's, and both its ports; of a flow its own, and a share. */
static uint64_t number_of(const struct edge_token *token)
{
	return token->kind == TOKEN_DATAGRAM
	    ? token->number << 32 | (uint64_t)addr_port(&token->peer) << 16 | token->reply_port
	    : (uint64_t)token->share << NUMBER_BITS | token->number;
}

static size_t write_host(const struct edge_token *token, char *text)
{
	struct slice host = addr_bytes(&token->peer);

	if (token->kind != TOKEN_DATAGRAM)
		return 0;
	hex_write(text, host.p, host.len);
	return 2 * host.len;
}

void edge_token_write(const struct edge *edge, const struct edge_token *token,
    char text[EDGE_TOKEN_SIZE])
{
	size_t len = HEAD_LEN;

	text[0] = (char)token->kind;
	write_number(text + 1, number_of(token));
	len += write_host(token, text + len);
	edge_mac(edge, &(struct slice){text, len}, 1, text + len);
}

static uint64_t read_number(struct slice text)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.len; i++)
		number = number << 4 | (unsigned)hex_digit(text.p[i]);
	return number;
}

/* We have written it, so it is good. */
static void read_datagram(struct edge_token *token, struct slice host)
{
	unsigned char bytes[16] = {0};
	uint64_t number = token->number;

	hex_read(bytes, host.len / 2, host);
	if (host.len == 8) {
		token->peer.in.sin_family = AF_INET;
		memcpy(&token->peer.in.sin_addr, bytes, 4);
	} else {
		token->peer.in6.sin6_family = AF_INET6;
		memcpy(&token->peer.in6.sin6_addr, bytes, 16);
	}
	addr_set_port(&token->peer, (uint16_t)(number >> 16));
	token->reply_port = (uint16_t)number;
	token->number = number >> 32;
}

int edge_token_parse(struct edge *edge, struct slice text, struct edge_token *token)
{
	struct slice known;

	if (text.len < HEAD_LEN + EDGE_MAC_LEN || text.len >= EDGE_TOKEN_SIZE)
		return -EBADMSG;
	known = slice_head(text, text.len - EDGE_MAC_LEN);
	if (!edge_mac_is(edge, &known, 1, slice_from(text, known.len)))
		return -EBADMSG;
	*token = (struct edge_token){.kind = (unsigned char)text.p[0],
	    .number = read_number((struct slice){text.p + 1, NUMBER_LEN})};
	if (token->kind == TOKEN_DATAGRAM) {
		read_datagram(token, slice_from(known, HEAD_LEN));
		return 0;
	}
	token->share = (edge_share)(token->number >> NUMBER_BITS);
	token->number &= (UINT64_C(1) << NUMBER_BITS) - 1;
	return 0;
}

int edge_branch_write(struct edge *edge, const char *token, struct slice branch, unsigned attempt,
    char wire[EDGE_BRANCH_SIZE])
{
	struct buffer w = {.p = wire, .cap = EDGE_BRANCH_SIZE};
	char mac[EDGE_MAC_LEN + 1];

	buffer_add(&w, branch);
	if (attempt) {
		buffer_add_char(&w, '~');
		buffer_add_number(&w, attempt);
	}
	if (w.err)
		return -EMSGSIZE;
	edge_mac(edge, (struct slice[]){slice_of(token), buffer_text(&w)}, 2, mac);
	buffer_add_char(&w, '.');
	buffer_add(&w, (struct slice){mac, sizeof(mac)});
	return w.err ? -EMSGSIZE : 0;
}

/* The stack's have no tilde. */
static struct slice cut_attempt(struct slice branch, unsigned *attemptp)
{
	struct slice rest = branch, stacks;
	uint64_t number = 0;

	if (slice_cut(&rest, '~', &stacks) && rest.p)
		slice_to_u64(rest, UINT_MAX, &number);
	*attemptp = (unsigned)number;
	return stacks;
}

struct slice edge_branch_parse(struct edge *edge, const char *token, struct slice wire,
    unsigned *attemptp)
{
	struct slice branch = wire;

	if (wire.len <= EDGE_MAC_LEN + 1)
		return (struct slice){0};
	branch.len -= EDGE_MAC_LEN + 1;
	if (wire.p[branch.len] != '.'
	    || !edge_mac_is(edge, (struct slice[]){slice_of(token), branch}, 2,
		slice_from(wire, branch.len + 1)))
		return (struct slice){0};
	return cut_attempt(branch, attemptp);
}

bool edge_branch_cut(struct slice *branch)
{
	static const struct slice cookie = SLICE("z9hG4bK"); /* RFC 3261 8.1.1.7 */

	if (!slice_equal(slice_head(*branch, cookie.len), cookie))
		return false;
	*branch = slice_from(*branch, cookie.len);
	return true;
}

int edge_branch_token(struct edge *edge, struct slice branch, struct edge_token *token,
    struct slice *mac)
{
	struct slice text;

	if (!edge_branch_cut(&branch))
		return -EBADMSG;
	*mac = branch;
	slice_cut(mac, '.', &text);
	return edge_token_parse(edge, text, token);
}

int edge_token_origin(struct edge *edge, const struct edge_token *token, struct edge_origin *origin)
{
	*origin = (struct edge_origin){.flow = NULL};
	if (token->kind == TOKEN_FLOW && (origin->flow = flow_find_asker(edge, token->number))) {
		origin->listener = origin->flow->listener;
		origin->transport = origin->flow->transport;
		origin->peer = origin->flow->peer;
	} else if (token->kind == TOKEN_DATAGRAM
	    && (origin->listener = edge_listener_at(edge, token->number))) {
		origin->transport = origin->listener->transport;
		origin->peer = token->peer;
		edge_set_scope(&origin->peer, origin->listener);
	}
	return origin->listener ? 0 : -ENOENT;
}

int edge_origin_of_branch(struct edge *edge, struct slice branch, struct edge_origin *origin)
{
	struct edge_token token;
	struct slice mac;

	return edge_branch_token(edge, branch, &token, &mac) < 0
	    ? -ENOENT
	    : edge_token_origin(edge, &token, origin);
}

void edge_route_write(const struct edge *edge, const char *token, char text[EDGE_ROUTE_SIZE])
{
	snprintf(text, EDGE_ROUTE_SIZE, "<sip:%s@127.0.0.1:%u;transport=tcp;lr>", token,
	    addr_port(&edge->link.listener.addr));
}
