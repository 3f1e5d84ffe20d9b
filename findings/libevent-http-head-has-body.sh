#!/bin/sh
# libevent's evhttp sends the body that evhttp_send_reply() is given also to a HEAD request, although
# a response to HEAD has none (RFC 9110 9.3.2): whoever answers GET and HEAD alike has to drop it.
. "$(dirname "$0")/lib.sh"
unpack libevent-2.1-7=2.1.12-stable-8+deb12u1 libevent-dev=2.1.12-stable-8+deb12u1
compile event <<'C'
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

static void on_request(struct evhttp_request *request, void *arg)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "this is a body");
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

int main(void)
{
	static const char head[] = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	char text[4096] = "", *body;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	evhttp_set_gencb(http, on_request, NULL);
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
	if (connect(fd, (struct sockaddr *)&address, len) < 0 || write(fd, head, strlen(head)) < 0)
		return 1;
	for (size_t got = 0; got < sizeof(text) - 1;) {
		ssize_t n;

		event_base_loop(base, EVLOOP_NONBLOCK);
		n = recv(fd, text + got, sizeof(text) - 1 - got, MSG_DONTWAIT);
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	body = strstr(text, "\r\n\r\n");
	printf("behind the head of the answer to HEAD: \"%s\"\n", body ? body + 4 : "(no head)");
	return 0;
}
C
timeout 20 "$tmp/finding" | judge 'behind the head of the answer to HEAD: "this is a body"'
