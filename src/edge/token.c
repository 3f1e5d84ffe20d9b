/* Tokens that only we can make: so what has one comes from us, by way of the stack. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "edge/priv.h"

int edge_mac(struct edge *edge, const struct slice *texts, size_t count, char mac[EDGE_MAC_LEN + 1])
{
	uint64_t value;
	int err = hash_texts(edge->hash, texts, count, &value);

	if (err == 0)
		snprintf(mac, EDGE_MAC_LEN + 1, "%016" PRIx64, value);
	return err;
}

int edge_token_write(struct edge *edge, const struct edge_token *token,
    char text[EDGE_TOKEN_LEN + 1])
{
	snprintf(text, EDGE_TOKEN_LEN + 1, "%c%016" PRIx64, token->kind, token->number);
	return edge_mac(edge, &(struct slice){text, EDGE_TOKEN_LEN - EDGE_MAC_LEN}, 1,
	    text + EDGE_TOKEN_LEN - EDGE_MAC_LEN);
}

static int digit_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int edge_token_parse(struct edge *edge, struct slice text, struct edge_token *token)
{
	char made[EDGE_TOKEN_LEN + 1];

	if (text.len != EDGE_TOKEN_LEN)
		return -EBADMSG;
	*token = (struct edge_token){.kind = (unsigned char)text.p[0]};
	for (size_t i = 1; i < EDGE_TOKEN_LEN - EDGE_MAC_LEN; i++) {
		int value = digit_value(text.p[i]);

		if (value < 0)
			return -EBADMSG;
		token->number = token->number << 4 | (unsigned)value;
	}
	if (edge_token_write(edge, token, made) < 0)
		return -EBADMSG;
	return memcmp(made, text.p, EDGE_TOKEN_LEN) == 0 ? 0 : -EBADMSG;
}

void edge_route_write(const struct edge *edge, const char *token, char text[EDGE_ROUTE_SIZE])
{
	snprintf(text, EDGE_ROUTE_SIZE, "<sip:%s@127.0.0.1:%u;transport=tcp;lr>", token,
	    addr_port(&edge->link.listener.addr));
}
