/* Sockets that everybody here is done with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "net/net.h"
#include "net/priv.h"

enum {
	MANY = 256,
	MOST = 256 << 10, /* bytes that are read of what comes */
};

/* @return the peer's end of one that lingers, if it may */
static int part(struct net *net)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	linger_start(net, fds[0]);
	return fds[1];
}

/* Does it linger, so that the peer may go on until it has read our last words? */
static bool is_heard(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1;
}

static bool is_gone(void *arg)
{
	return !is_heard(*(int *)arg);
}

static bool has_room(void *arg)
{
	return ((const struct net *)arg)->linger_count < MANY;
}

static void so_many_at_once(void **state)
{
	struct event_base *base = event_base_new();
	struct net *net;
	int peers[MANY], more;
	char byte;

	(void)state;
	assert_int_equal(net_new(&net, base), 0);
	for (int i = 0; i < MANY; i++)
		peers[i] = part(net);
	more = part(net);
	assert_false(is_heard(more));
	close(more);
	for (int i = 0; i < MANY; i++) {
		assert_true(is_heard(peers[i]));
		assert_int_equal(recv(peers[i], &byte, 1, 0), 0);
	}
	close(peers[0]);
	loop_until(base, has_room, net);
	peers[0] = part(net);
	assert_true(is_heard(peers[0]));
	loop_until(base, is_gone, &peers[0]); /* it is not for ever */
	net_free(net);
	for (int i = 0; i < MANY; i++)
		close(peers[i]);
	event_base_free(base);
}

/** Two ends of a TCP connection, neither of which blocks. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&address, length), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(listener);
	for (int i = 0; i < 2; i++)
		assert_int_equal(evutil_make_socket_nonblocking(fds[i]), 0);
}

static void not_without_end(void **state)
{
	static const char piece[4096];
	struct event_base *base = event_base_new();
	struct net *net;
	size_t sent = 0;
	ssize_t n;
	int fds[2];

	(void)state;
	assert_int_equal(net_new(&net, base), 0);
	tcp_pair(fds);
	linger_start(net, fds[0]);
	while ((n = send(fds[1], piece, sizeof(piece), MSG_NOSIGNAL)) > 0) {
		sent += (size_t)n;
		assert_true(sent < 2 * MOST);
		loop_settle(base);
	}
	assert_true(errno == ECONNRESET || errno == EPIPE);
	assert_true(sent >= MOST);
	close(fds[1]);
	net_free(net);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(so_many_at_once),
	    cmocka_unit_test(not_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
