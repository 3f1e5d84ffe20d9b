#include "sip_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <openssl/evp.h>

#include <msrpd/timer.h>

#include "loop.h"

void peer_open(struct peer *p, struct event_base *base)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	p->base = base;
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(p->fd, (struct sockaddr *)&address, &len), 0);
	snprintf(p->uri, sizeof(p->uri), "sip:127.0.0.1:%u;transport=udp", ntohs(address.sin_port));
	snprintf(p->to_tag, sizeof(p->to_tag), "peer-tag");
	p->cseq = 100;
}

void peer_close(struct peer *p)
{
	close(p->fd);
}

int peer_has(const struct peer *p, const char *text)
{
	return strstr(p->got, text) != NULL;
}

/* --- headers of the last request --- */

/* A line of the request with its CRLF, the first of that name at or behind from. */
static const char *find_line(const char *from, const char *name, size_t *len)
{
	size_t name_len = strlen(name);

	for (const char *p = from; p && *p && *p != '\r'; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncasecmp(p, name, name_len) == 0 && p[name_len] == ':') {
			*len = (size_t)(strchr(p, '\n') - p) + 1;
			return p;
		}
	return NULL;
}

static void copy_lines(char *to, size_t size, const char *message, const char *name)
{
	const char *line = message;
	size_t len, used = strlen(to);

	while ((line = find_line(line, name, &len))) {
		assert_true(used + len < size);
		memcpy(to + used, line, len);
		used += len;
		to[used] = '\0';
		line += len;
	}
}

static void note_contact(struct peer *p)
{
	size_t len;
	const char *line = find_line(p->got, "Contact", &len), *begin, *end;

	if (!line || !(begin = memchr(line, '<', len))
	    || !(end = memchr(begin, '>', len - (size_t)(begin - line))))
		return;
	snprintf(p->remote, sizeof(p->remote), "%.*s", (int)(end - begin - 1), begin + 1);
}

/* --- receiving --- */

static bool receive(struct peer *p)
{
	ssize_t n = recv(p->fd, p->got, sizeof(p->got) - 1, 0);

	if (n < 0)
		return false;
	p->got[n] = '\0';
	if (strncmp(p->got, "SIP/2.0", 7) != 0)
		memcpy(p->request, p->got, (size_t)n + 1);
	note_contact(p);
	return true;
}

static bool wait_for(struct peer *p, const char *beginning, unsigned ms)
{
	uint64_t deadline = timer_now_ms() + ms;

	do {
		while (receive(p))
			if (strncmp(p->got, beginning, strlen(beginning)) == 0)
				return true;
		event_base_loopexit(p->base, &(struct timeval){0, 2000});
		event_base_loop(p->base, EVLOOP_ONCE);
	} while (timer_now_ms() < deadline);
	return false;
}

void peer_expect(struct peer *p, const char *beginning)
{
	if (!wait_for(p, beginning, LOOP_DEADLINE_MS))
		fail_msg("no \"%s\" came; the last was:\n%s", beginning, p->got);
}

void peer_expect_none(struct peer *p, const char *beginning, unsigned ms)
{
	if (wait_for(p, beginning, ms))
		fail_msg("came:\n%s", p->got);
}

/* --- digests --- */

static void hash(char hex[65], const char *algorithm, const char *text)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	size_t len;

	assert_int_equal(EVP_Q_digest(NULL, algorithm, NULL, text, strlen(text), md, &len), 1);
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

static void digest_param(char value[128], const char *line, const char *name)
{
	char key[32];
	const char *p;

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(line, key);
	value[0] = '\0';
	if (!p)
		return;
	p += strlen(key);
	if (*p == '"')
		snprintf(value, 128, "%.*s", (int)strcspn(p + 1, "\""), p + 1);
	else
		snprintf(value, 128, "%.*s", (int)strcspn(p, ",\r\n"), p);
}

int peer_digest_ok(const struct peer *p, const char *algorithm, const char *password)
{
	static const char *const names[] = {
	    "username",
	    "realm",
	    "nonce",
	    "uri",
	    "response",
	    "cnonce",
	    "nc",
	    "qop",
	};
	enum { USER, REALM, NONCE, URI, RESPONSE, CNONCE, NC, QOP, COUNT };
	char v[COUNT][128], line[2048] = "", text[1024], ha1[65], ha2[65], response[65];

	copy_lines(line, sizeof(line), p->got, "Authorization");
	copy_lines(line, sizeof(line), p->got, "Proxy-Authorization");
	for (int i = 0; i < COUNT; i++)
		digest_param(v[i], line, names[i]);
	snprintf(text, sizeof(text), "%s:%s:%s", v[USER], v[REALM], password);
	hash(ha1, algorithm, text);
	snprintf(text, sizeof(text), "%.*s:%s", (int)strcspn(p->got, " "), p->got, v[URI]);
	hash(ha2, algorithm, text);
	if (v[QOP][0])
		snprintf(text, sizeof(text), "%s:%s:%s:%s:%s:%s", ha1, v[NONCE], v[NC], v[CNONCE],
		    v[QOP], ha2);
	else
		snprintf(text, sizeof(text), "%s:%s:%s", ha1, v[NONCE], ha2);
	hash(response, algorithm, text);
	return strcmp(response, v[RESPONSE]) == 0;
}

/* --- sending --- */

void peer_send(struct peer *p, const char *uri, const char *text, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *port = strrchr(uri, ':');

	assert_non_null(port);
	to.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
	assert_int_equal(sendto(p->fd, text, len, 0, (struct sockaddr *)&to, sizeof(to)),
	    (ssize_t)len);
}

static void add(char *to, size_t size, const char *format, ...)
{
	size_t used = strlen(to);
	va_list args;

	va_start(args, format);
	assert_true((size_t)vsnprintf(to + used, size - used, format, args) < size - used);
	va_end(args);
}

static void add_body(char *to, size_t size, const char *headers, const char *body)
{
	if (headers)
		add(to, size, "%s", headers);
	if (body && !(headers && strstr(headers, "Content-Type")))
		add(to, size, "Content-Type: application/sdp\r\n");
	add(to, size, "Content-Length: %zu\r\n\r\n%s", body ? strlen(body) : 0, body ? body : "");
}

/* The value of a header line without its name and line end. */
static void keep_value(char *to, size_t size, const char *line)
{
	const char *value = strchr(line, ':');

	assert_non_null(value);
	snprintf(to, size, "%.*s", (int)strcspn(value + 2, "\r\n"), value + 2);
}

static void keep_header(char *to, size_t size, const char *message, const char *name)
{
	char line[1024] = "";

	copy_lines(line, sizeof(line), message, name);
	keep_value(to, size, line);
}

static void keep_dialog(struct peer *p, const char *message, const char *ours, const char *theirs)
{
	keep_header(p->ours, sizeof(p->ours), message, ours);
	keep_header(p->theirs, sizeof(p->theirs), message, theirs);
	p->call_id[0] = '\0';
	copy_lines(p->call_id, sizeof(p->call_id), message, "Call-ID");
}

void peer_answer(struct peer *p, const char *status, const char *headers, const char *body)
{
	char text[8192] = "", to[1024] = "", via[1024] = "";
	const char *port;

	add(text, sizeof(text), "SIP/2.0 %s\r\n", status);
	copy_lines(text, sizeof(text), p->request, "Via");
	copy_lines(via, sizeof(via), p->request, "Via");
	copy_lines(text, sizeof(text), p->request, "Record-Route");
	copy_lines(text, sizeof(text), p->request, "From");
	copy_lines(to, sizeof(to), p->request, "To");
	to[strcspn(to, "\r\n")] = '\0';
	add(text, sizeof(text), "%s%s%s\r\n", to,
	    strstr(to, ";tag=") ? "" : ";tag=", strstr(to, ";tag=") ? "" : p->to_tag);
	copy_lines(text, sizeof(text), p->request, "Call-ID");
	copy_lines(text, sizeof(text), p->request, "CSeq");
	if (!(headers && strstr(headers, "Contact")))
		add(text, sizeof(text), "Contact: <%s>\r\n", p->uri);
	add_body(text, sizeof(text), headers, body);
	if (status[0] == '2' && strncmp(p->request, "INVITE", 6) == 0)
		keep_dialog(p, text, "To", "From");
	port = strchr(via, ' '); /* "Via: SIP/2.0/UDP 127.0.0.1:PORT;…" */
	port = port ? strchr(port + 1, ' ') : NULL;
	assert_non_null(port);
	port = strchr(port, ':');
	assert_non_null(port);
	peer_send(p, port, text, strlen(text));
}

void peer_request(struct peer *p, const char *method, unsigned cseq, const char *headers,
    const char *body)
{
	char text[8192] = "";

	if (!cseq)
		cseq = ++p->cseq;
	add(text, sizeof(text),
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %.*s;branch=z9hG4bK-%s-%u\r\n"
	    "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n%s",
	    method, p->remote, (int)(strcspn(p->uri, ";") - 4), p->uri + 4, method, cseq, p->ours,
	    p->theirs, p->call_id);
	add(text, sizeof(text), "CSeq: %u %s\r\nContact: <%s>\r\n", cseq, method, p->uri);
	add_body(text, sizeof(text), headers, body);
	peer_send(p, p->remote, text, strlen(text));
}

void peer_begin(struct peer *p, const char *method, const char *uri, const char *headers,
    const char *body)
{
	char text[8192] = "";

	p->cseq++;
	add(text, sizeof(text),
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %.*s;branch=z9hG4bK-%s-%u\r\n"
	    "Max-Forwards: 70\r\nFrom: <sip:peer@p.example>;tag=%s\r\nTo: <sip:msrpd@m.example>\r\n"
	    "Call-ID: begin-%u-%s\r\nCSeq: %u %s\r\n",
	    method, uri, (int)(strcspn(p->uri, ";") - 4), p->uri + 4, method, p->cseq, p->to_tag,
	    p->cseq, p->uri + 14, p->cseq, method);
	if (strcmp(method, "MESSAGE") != 0 && !(headers && strstr(headers, "Contact:")))
		add(text, sizeof(text), "Contact: <%s>\r\n", p->uri);
	add_body(text, sizeof(text), headers, body);
	peer_send(p, uri, text, strlen(text));
}

void peer_keep_dialog(struct peer *p)
{
	keep_dialog(p, p->got, "From", "To");
}

void peer_ack(struct peer *p, const char *body)
{
	char text[8192] = "";
	size_t len;
	const char *cseq = find_line(p->got, "CSeq", &len);

	assert_non_null(cseq);
	peer_keep_dialog(p);
	add(text, sizeof(text),
	    "ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %.*s;branch=z9hG4bK-ack-%lu\r\n"
	    "Max-Forwards: 70\r\n",
	    p->remote, (int)(strcspn(p->uri, ";") - 4), p->uri + 4, strtoul(cseq + 5, NULL, 10));
	copy_lines(text, sizeof(text), p->got, "From");
	copy_lines(text, sizeof(text), p->got, "To");
	copy_lines(text, sizeof(text), p->got, "Call-ID");
	add(text, sizeof(text), "CSeq: %lu ACK\r\n", strtoul(cseq + 5, NULL, 10));
	add_body(text, sizeof(text), NULL, body);
	peer_send(p, p->remote, text, strlen(text));
}
