#include "edge_side.h"

#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/stats.h"
#include "edge/head.h"
#include "loop.h"
#include "numbers.h"
#include "net/net.h"

static void on_link_lost(void *arg)
{
	(void)arg;
}

/* --- the stack --- */

void edge_stack_send(struct edge_side *w, const char *text)
{
	assert_int_equal(write(w->stack, text, strlen(text)), (ssize_t)strlen(text));
}

/* Whole messages without bodies. */
bool edge_stack_has(void *arg)
{
	struct edge_side *w = arg;
	ssize_t n = recv(w->stack, w->waiting + w->waiting_len,
	    sizeof(w->waiting) - 1 - w->waiting_len, MSG_DONTWAIT);
	const char *end;
	size_t len;

	if (n > 0) {
		w->waiting_len += (size_t)n;
		edge_link_step(w->edge, 0);
	}
	w->waiting[w->waiting_len] = '\0';
	end = strstr(w->waiting, "\r\n\r\n");
	if (!end)
		return false;
	len = (size_t)(end + 4 - w->waiting);
	memcpy(w->text, w->waiting, len);
	w->text[len] = '\0';
	memmove(w->waiting, w->waiting + len, w->waiting_len - len);
	w->waiting_len -= len;
	return true;
}

void edge_stack_wait(struct edge_side *w, const char *start)
{
	loop_until(w->base, edge_stack_has, w);
	if (strncmp(w->text, start, strlen(start)) != 0)
		fail_msg("wanted %s, got %s", start, w->text);
}

void edge_socket_hurry(int fd)
{
	int on = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

void edge_stack_connect(struct edge_side *w)
{
	union addr link = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	char text[EDGE_SIDE_TEXT];
	unsigned port;

	edge_link_route(w->edge, w->link);
	assert_int_equal(sscanf(strchr(w->link, '@'), "@127.0.0.1:%u", &port), 1);
	addr_set_port(&link, (uint16_t)port);
	w->stack = socket(AF_INET, SOCK_STREAM, 0);
	edge_socket_hurry(w->stack);
	assert_int_equal(connect(w->stack, &link.any, addr_len(&link)), 0);
	snprintf(text, sizeof(text),
	    "OPTIONS sip:edge@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK0\r\n"
	    "Route: %s\r\nFrom: <sip:s@h>;tag=1\r\nTo: <sip:edge@h>\r\nCall-ID: 0\r\n"
	    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
	    w->link);
	edge_stack_send(w, text);
	edge_stack_wait(w, "SIP/2.0 200 ");
}

/* --- the peer --- */

void edge_peer_send(struct edge_side *w, const char *text)
{
	const union addr *to = edge_listener_address(w->listener);

	assert_int_equal(sendto(w->peer, text, strlen(text), 0, &to->any, addr_len(to)),
	    (ssize_t)strlen(text));
}

static bool peer_has(void *arg)
{
	struct edge_side *w = arg;
	ssize_t n = recv(w->peer, w->text, sizeof(w->text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return false;
	w->text[n] = '\0';
	return true;
}

/* What comes again before it, on a slow machine, is passed over. */
void edge_peer_wait(struct edge_side *w, const char *start)
{
	do
		loop_until(w->base, peer_has, w);
	while (strncmp(w->text, start, strlen(start)) != 0);
}

/* --- numbers --- */

uint64_t edge_number(struct edge_side *w, const char *name)
{
	return number_of(w->stats, "sip", name);
}

bool edge_side_is_quiet(void *arg)
{
	return edge_number(arg, "transactions") == 0;
}

/* --- messages --- */

const char *edge_request(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *method,
    const char *branch)
{
	char host[ADDR_TEXT_SIZE];

	addr_print(&w->peer_addr, host);
	snprintf(text, EDGE_SIDE_TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s\r\nFrom: <sip:a@h>;tag=1\r\n"
	    "To: <sip:b@h>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
	    method, host, host, branch, branch, method);
	return text;
}

/* What the stack has to say to the request in w->text. */
const char *edge_answer(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *status)
{
	struct edge_head head = {0};
	struct edge_bounds bounds = {EDGE_SIDE_TEXT, EDGE_SIDE_TEXT, 100};
	struct edge_line line;
	size_t at = 0, len;

	assert_int_equal(edge_head_scan(&head, slice_of(w->text), &bounds), 0);
	len = (size_t)snprintf(text, EDGE_SIDE_TEXT, "SIP/2.0 %s\r\n", status);
	while (edge_head_next_line(&head, &at, &line))
		if (line.field != EDGE_OTHER && line.field != EDGE_MAX_FORWARDS
		    && line.field != EDGE_ROUTE && line.field != EDGE_CONTACT) {
			memcpy(text + len, line.text.p, line.text.len);
			len += line.text.len;
		}
	memcpy(text + len, "\r\n", 3);
	return text;
}

const char *edge_stack_request(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *method,
    const char *branch)
{
	snprintf(text, EDGE_SIDE_TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=%s\r\nRoute: %s\r\n"
	    "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n"
	    "Content-Length: 0\r\n\r\n",
	    method, w->to, branch, w->own, branch, method);
	return text;
}

/* --- life --- */

void edge_side_open(struct edge_side *w, char *name_server)
{
	struct edge_options options = {.settings = &w->settings,
	    .transaction_timeout_ms = EDGE_SIDE_TIMEOUT_MS,
	    .link_lost = on_link_lost};
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	struct reason why;

	*w = (struct edge_side){.base = event_base_new(),
	    .name_server = name_server,
	    .name_servers = {&w->name_server, name_server ? 1 : 0},
	    .settings = {.max_message_size = 65536,
		.max_headers = 128,
		.max_header_size = 8192,
		.message_timeout_ms = 10000,
		.idle_timeout_ms = 600000,
		.max_connections = 10,
		.transaction_memory = 1 << 20}};
	assert_int_equal(stats_new(&w->stats), 0);
	assert_int_equal(net_new(&w->net, w->base), 0);
	net_use_name_servers(w->net, &w->name_servers);
	options.net = w->net;
	options.stats = w->stats;
	assert_int_equal(edge_new(&w->edge, &options, &why), 0);
	assert_int_equal(
	    edge_listen(w->edge, edge_transport_find(SLICE("UDP")), &any, NULL, &w->listener, &why),
	    0);
	edge_listener_route(w->listener, w->own);
	w->peer = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(w->peer, &any.any, addr_len(&any)), 0);
	addr_of_socket(&w->peer_addr, w->peer);
	addr_print(&w->peer_addr, w->to);
	edge_stack_connect(w);
}

void edge_side_close(struct edge_side *w)
{
	edge_free(w->edge);
	loop_settle(w->base); /* what it has asked for is forgotten then */
	close(w->peer);
	close(w->stack);
	net_free(w->net);
	assert_int_equal(edge_number(w, "transaction_memory"), 0);
	assert_int_equal(edge_number(w, "transactions"), 0);
	stats_free(w->stats);
	event_base_free(w->base);
}
