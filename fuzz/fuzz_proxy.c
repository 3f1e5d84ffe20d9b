/* The header of a proxy: however it comes, it says the same, and not a byte behind it is taken. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = PROXY_LENGTH_MAX + 64 };

struct outcome {
	int result;
	size_t taken; /* bytes */
	union addr peer;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static size_t waiting(int fd)
{
	static char rest[INPUT_MAX];
	ssize_t n = recv(fd, rest, sizeof(rest), MSG_PEEK);

	return n > 0 ? (size_t)n : 0;
}

/* @param step  bytes that come at once */
static struct outcome run(const uint8_t *data, size_t size, size_t step)
{
	struct proxy_header header = {.len = 0};
	struct outcome o = {.result = 0};
	size_t sent = 0;
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	while (o.result == 0 && sent < size) {
		size_t n = size - sent < step ? size - sent : step;

		must(send(fds[0], data + sent, n, 0) == (ssize_t)n);
		sent += n;
		o.result = proxy_header_read(&header, fds[1], &o.peer);
	}
	o.taken = sent - waiting(fds[1]);
	must(o.result == 1 || o.result == 0 || o.result == -EPROTO);
	must(o.result > 0 || o.peer.any.sa_family == AF_UNSPEC);
	close(fds[0]);
	if (o.result == 0)
		must(proxy_header_read(&header, fds[1], &o.peer) == -ECONNRESET);
	close(fds[1]);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 3, 16, 107};
	struct outcome whole, pieces;

	if (size > INPUT_MAX || size == 0)
		return 0;
	whole = run(data, size, size);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		pieces = run(data, size, steps[i]);
		must(pieces.result == whole.result);
		if (whole.result < 0)
			continue;
		must(pieces.taken == whole.taken);
		must(addr_equal(&pieces.peer, &whole.peer)
		    || (pieces.peer.any.sa_family == AF_UNSPEC
			&& whole.peer.any.sa_family == AF_UNSPEC));
	}
	return 0;
}
