/*
 * Tokens: one that we wrote is read as what was written, one that was changed in a single bit is
 * refused, and so is whatever somebody writes who does not have the secret.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/hash.h>

#include "base/mac.h"
#include "edge/priv.h"
#include "edge/token_priv.h"
#include "web/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 512 };

static const struct slice secret = SLICE("0123456789abcdef");

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* --- what the input says --- */

static uint64_t take(struct slice *input, size_t bytes)
{
	size_t count = bytes < input->len ? bytes : input->len;
	uint64_t number = 0;

	for (size_t i = 0; i < count; i++)
		number = number << 8 | (unsigned char)input->p[i];
	*input = slice_from(*input, count);
	return number;
}

static void change(char *text, size_t len, struct slice *input)
{
	text[take(input, 2) % len] ^= (char)(1 << take(input, 1) % 8);
}

static void take_peer(struct slice *input, union addr *peer)
{
	if (take(input, 1) % 2) {
		peer->in.sin_family = AF_INET;
		peer->in.sin_addr.s_addr = (in_addr_t)take(input, 4);
	} else {
		peer->in6.sin6_family = AF_INET6;
		for (size_t i = 0; i < sizeof(peer->in6.sin6_addr); i++)
			peer->in6.sin6_addr.s6_addr[i] = (uint8_t)take(input, 1);
	}
	addr_set_port(peer, (uint16_t)take(input, 2));
}

static struct edge_token take_token(struct slice *input)
{
	static const char kinds[] = {TOKEN_FLOW, TOKEN_DATAGRAM, TOKEN_OUT, TOKEN_WHOLE, TOKEN_LINK,
	    TOKEN_NODE};
	struct edge_token token = {.kind = (unsigned char)kinds[take(input, 1) % sizeof(kinds)]};

	if (token.kind == TOKEN_DATAGRAM) {
		token.number = take(input, 4);
		token.reply_port = (uint16_t)take(input, 2);
		take_peer(input, &token.peer);
	} else {
		token.number = take(input, 6);
		token.share = (edge_share)take(input, 2);
	}
	return token;
}

/* --- the edge's --- */

static bool edge_reads(struct edge *edge, struct slice text)
{
	struct edge_token token;

	return edge_token_parse(edge, text, &token) == 0;
}

static void check_strange(struct edge *edge, const char *token, struct slice text)
{
	struct edge_token read;
	struct slice mac;
	unsigned attempt;

	must(!edge_reads(edge, text));
	must(edge_branch_token(edge, text, &read, &mac) < 0);
	must(!edge_branch_parse(edge, token, text, &attempt).p);
}

static void check_written(struct edge *edge, const struct edge_token *token, const char *text)
{
	char branch[EDGE_OWN_BRANCH_SIZE];
	struct buffer w = BUFFER_ON(branch);
	struct edge_token read;
	struct slice mac;

	must(edge_token_parse(edge, slice_of(text), &read) == 0);
	must(read.kind == token->kind && read.number == token->number);
	must(read.share == token->share && read.reply_port == token->reply_port);
	must(memcmp(&read.peer, &token->peer, sizeof(read.peer)) == 0);
	buffer_printf(&w, "z9hG4bK%s.mac", text);
	must(!w.err && edge_branch_token(edge, buffer_text(&w), &read, &mac) == 0);
	must(read.number == token->number && slice_equal(mac, SLICE("mac")));
}

/* The stack's branch with that token: to nobody else's. */
static void check_branch(struct edge *edge, const char *token, const char *other,
    struct slice branch, struct slice input)
{
	unsigned attempt = (unsigned)take(&input, 1), read;
	char wire[EDGE_BRANCH_SIZE];

	if (!branch.len || memchr(branch.p, '~', branch.len) || memchr(branch.p, '\0', branch.len)
	    || edge_branch_write(edge, token, branch, attempt, wire) < 0)
		return;
	must(slice_equal(edge_branch_parse(edge, token, slice_of(wire), &read), branch));
	must(read == attempt);
	must(!edge_branch_parse(edge, other, slice_of(wire), &read).p);
	change(wire, branch.len, &input);
	must(!edge_branch_parse(edge, token, (struct slice){wire, strlen(wire)}, &read).p);
}

static void check_edge(struct edge *edge, struct slice input)
{
	struct edge_token token = take_token(&input);
	char text[EDGE_TOKEN_SIZE], changed[EDGE_TOKEN_SIZE];
	size_t len;

	edge_token_write(edge, &token, text);
	len = strlen(text);
	must(len < sizeof(text));
	check_written(edge, &token, text);
	memcpy(changed, text, sizeof(text));
	change(changed, len, &input);
	must(!edge_reads(edge, (struct slice){changed, len}));
	must(!edge_reads(edge, slice_head(slice_of(text), take(&input, 1) % len)));
	check_strange(edge, text, input);
	check_branch(edge, text, changed, input, input);
}

/* --- those of the API --- */

static bool web_reads(struct slice text, uint64_t now, char user[TOKEN_USER_MAX + 1],
    uint64_t *expiryp)
{
	return token_check(text, secret, now, user, expiryp);
}

static void check_made(struct slice name, uint64_t expiry, struct slice input)
{
	char token[TOKEN_SIZE], user[TOKEN_USER_MAX + 1];
	uint64_t read;

	if (!token_is_user(name) || expiry == 0)
		return;
	must(token_make(token, secret, name, expiry) == 0);
	must(web_reads(slice_of(token), expiry - 1, user, &read) && read == expiry);
	must(slice_equal(slice_of(user), name));
	must(!web_reads(slice_of(token), expiry, user, &read));
	change(token, strlen(token), &input);
	must(!web_reads((struct slice){token, strlen(token)}, 0, user, &read));
}

/* By another program that has the secret: for somebody, whatever stands there. */
static void check_signed(struct slice text, uint64_t now)
{
	char token[TEXT_MAX + MAC_HEX_SIZE + 32], code[MAC_HEX_SIZE], user[TOKEN_USER_MAX + 1];
	struct buffer w = BUFFER_ON(token);
	uint64_t expiry;

	buffer_add(&w, SLICE("msrpd token "));
	buffer_add(&w, text);
	must(mac_hex(code, secret, buffer_text(&w)) == 0);
	w.len = 0;
	buffer_add(&w, text);
	buffer_printf(&w, ".%s", code);
	must(!w.err);
	if (web_reads(buffer_text(&w), now, user, &expiry))
		must(expiry > now && token_is_user(slice_of(user)));
}

static void check_web(struct slice input)
{
	uint64_t number = take(&input, 8), expiry;
	char user[TOKEN_USER_MAX + 1];

	must(!web_reads(input, 0, user, &expiry));
	check_made(slice_head(input, TOKEN_USER_MAX), number, input);
	check_signed(input, number >> 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct edge *edge;
	struct slice input = {(const char *)data, size};

	if (size > TEXT_MAX)
		return 0;
	if (!edge)
		must((edge = calloc(1, sizeof(*edge))) && hash_new(&edge->hash) == 0);
	check_edge(edge, input);
	check_web(input);
	return 0;
}
