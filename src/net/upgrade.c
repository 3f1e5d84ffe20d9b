#include "net/upgrade.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <msrpd/reason.h>
#include <msrpd/setting.h>

#include "base/buffer.h"
#include "base/chars.h"

enum { KEY_LEN = 24, KEY_BYTES = 18, ACCEPT_SIZE = 29 }; /* base64 of 16 octets, and of 20 */

/* --- the head: RFC 9112 sections 3 and 5, and nothing more lenient than that --- */

/* What counts of it. */
struct request {
	struct slice host, key, version, origin, length, coding; /* absent: not there */
	bool websocket, upgrade, subprotocol; /* is the token in the list that it belongs in? */
};

static bool list_has(struct slice list, struct slice token)
{
	struct slice item;

	while (slice_cut(&list, ',', &item))
		if (slice_equal_nocase(slice_trim(item), token))
			return true;
	return false;
}

/* Only a list may come in several lines (RFC 9110 5.3). @return false: this one did */
static bool take_field(struct request *r, struct slice name, struct slice value,
    struct slice subprotocol)
{
	const struct {
		struct slice name, *slot;
	} single[] = {
	    {SLICE("Host"), &r->host},
	    {SLICE("Sec-WebSocket-Key"), &r->key},
	    {SLICE("Sec-WebSocket-Version"), &r->version},
	    {SLICE("Origin"), &r->origin},
	    {SLICE("Content-Length"), &r->length},
	    {SLICE("Transfer-Encoding"), &r->coding},
	};
	const struct {
		struct slice name, token;
		bool *found;
	} lists[] = {
	    {SLICE("Upgrade"), SLICE("websocket"), &r->websocket},
	    {SLICE("Connection"), SLICE("upgrade"), &r->upgrade},
	    {SLICE("Sec-WebSocket-Protocol"), subprotocol, &r->subprotocol},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (slice_equal_nocase(name, lists[i].name))
			*lists[i].found |= list_has(value, lists[i].token);
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		if (!slice_equal_nocase(name, single[i].name))
			continue;
		if (single[i].slot->p)
			return false;
		*single[i].slot = value;
	}
	return true;
}

static bool parse_field(struct request *r, struct slice line, struct slice subprotocol)
{
	struct slice name, value = line;

	return slice_cut(&value, ':', &name) && value.p && slice_is_token(name)
	    && take_field(r, name, slice_trim(value), subprotocol);
}

/* Cut a line off, without its CRLF. @return false: there is no proper one */
static bool cut_line(struct slice *rest, struct slice *line)
{
	struct slice tabless;

	if (!slice_cut(rest, '\n', line) || !rest->p || !line->len
	    || line->p[line->len - 1] != '\r')
		return false;
	line->len--;
	/* Tabs may stand in values. */
	for (struct slice left = *line; slice_cut(&left, '\t', &tabless);)
		if (!slice_is_one_line(tabless))
			return false;
	return true;
}

static unsigned parse_request_line(struct slice line)
{
	struct slice method, target;

	if (!slice_cut(&line, ' ', &method) || !slice_cut(&line, ' ', &target) || !line.p
	    || !slice_is_token(method) || !target.len)
		return 400;
	if (!slice_equal(line, SLICE("HTTP/1.1")))
		return slice_starts_nocase(line, SLICE("HTTP/")) ? 505 : 400;
	return slice_equal(method, SLICE("GET")) ? 0 : 405;
}

/* @return 0, or the status to refuse it with */
static unsigned parse_request(struct request *r, struct slice head, struct slice subprotocol)
{
	struct slice line;
	unsigned status;

	*r = (struct request){0};
	if (!cut_line(&head, &line))
		return 400;
	status = parse_request_line(line);
	while (status == 0) {
		if (!cut_line(&head, &line))
			return 400;
		if (line.len == 0)
			return head.len ? 400 : 0;
		if (!parse_field(r, line, subprotocol))
			return 400;
	}
	return status;
}

/* --- the terms --- */

/* RFC 6455 4.2.1, item 5: 16 octets in base64. */
static bool is_key(struct slice key)
{
	unsigned char octets[KEY_BYTES];

	return key.len == KEY_LEN && key.p[21] != '=' && key.p[22] == '='
	    && EVP_DecodeBlock(octets, (const unsigned char *)key.p, KEY_LEN) == KEY_BYTES;
}

/* A page of a browser tells where it comes from; who tells nothing is no page. */
static bool is_welcome(struct slice origin, const struct setting_list *origins)
{
	if (!origin.p || !origins)
		return true;
	for (size_t i = 0; i < origins->count; i++) {
		struct slice known = slice_of(((char *const *)origins->items)[i]);

		if (slice_equal(known, SLICE("*")) || slice_equal_nocase(known, origin))
			return true;
	}
	return false;
}

static unsigned judge(const struct request *r, const struct upgrade_terms *terms)
{
	if (!r->host.len || r->coding.p || (r->length.p && !slice_equal(r->length, SLICE("0"))))
		return 400;
	if (!r->websocket || !r->upgrade || !is_key(r->key) || !r->version.p)
		return 400;
	if (!slice_equal(r->version, SLICE("13")))
		return 426;
	if (!is_welcome(r->origin, terms->origins))
		return 403;
	return r->subprotocol ? 101 : 400;
}

/* --- the answer --- */

static void refuse(unsigned status, struct slice headers, struct buffer *answer)
{
	static const struct {
		unsigned status;
		const char *phrase, *headers;
	} rows[] = {
	    {400, "Bad Request", ""},
	    {403, "Forbidden", ""},
	    {405, "Method Not Allowed", "Allow: GET\r\n"},
	    {426, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
	    {431, "Request Header Fields Too Large", ""},
	    {505, "HTTP Version Not Supported", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			buffer_printf(answer,
			    "HTTP/1.1 %u %s\r\n%s%.*sConnection: close\r\nContent-Length: 0\r\n\r\n",
			    status, rows[i].phrase, rows[i].headers, SLICE_ARG(headers));
}

void upgrade_refuse(unsigned status, struct buffer *answer)
{
	const struct slice none = {NULL, 0};

	refuse(status, none, answer);
}

static void accept_upgrade(struct slice key, const struct upgrade_terms *terms,
    struct buffer *answer)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char sum[SHA_DIGEST_LENGTH], text[ACCEPT_SIZE];
	char joined[KEY_LEN + sizeof(guid)];

	memcpy(joined, key.p, KEY_LEN);
	memcpy(joined + KEY_LEN, guid, sizeof(guid));
	SHA1((const unsigned char *)joined, sizeof(joined) - 1, sum);
	EVP_EncodeBlock(text, sum, sizeof(sum));
	buffer_printf(answer,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %.*s\r\n%.*s\r\n",
	    (const char *)text, SLICE_ARG(terms->subprotocol), SLICE_ARG(terms->headers));
}

unsigned upgrade_answer(struct slice head, const struct upgrade_terms *terms, struct buffer *answer)
{
	struct request request;
	unsigned status = parse_request(&request, head, terms->subprotocol);

	if (status == 0)
		status = judge(&request, terms);
	if (status == 101)
		accept_upgrade(request.key, terms, answer);
	else
		refuse(status, terms->headers, answer);
	return status;
}

int upgrade_check_origin(const void *value, struct reason *why)
{
	struct slice text = slice_of(*(char *const *)value), scheme = text;
	const char *rest = memmem(text.p, text.len, "://", 3);

	if (slice_equal(text, SLICE("*")))
		return 0;
	scheme.len = rest ? (size_t)(rest - text.p) : 0;
	if (slice_is_token(scheme) && rest[3] && !strpbrk(rest + 3, "/?# "))
		return 0;
	return reason_set(why, -EINVAL, "is not an origin: https://HOST[:PORT] or *");
}
