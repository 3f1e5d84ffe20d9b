#!/bin/sh
# libevent's event_active() inside a callback does not wait for the next turn of the loop: the event
# runs again in the same turn, before sockets are polled. Work that is cut in pieces this way, "so
# that others get their turn", keeps whatever arrives meanwhile waiting until its last piece.
. "$(dirname "$0")/lib.sh"
unpack libevent-2.1-7=2.1.12-stable-8+deb12u1 libevent-dev=2.1.12-stable-8+deb12u1
compile event <<'C'
#include <stdio.h>
#include <unistd.h>
#include <event2/event.h>

static struct event *piece;
static int pieces, seen_after, fds[2];

static void on_piece(evutil_socket_t fd, short what, void *arg)
{
	if (++pieces == 1 && write(fds[1], "x", 1) != 1)
		return;
	if (pieces < 1000)
		event_active(piece, EV_TIMEOUT, 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	seen_after = pieces;
	event_base_loopbreak(arg);
}

int main(void)
{
	struct event_base *base = event_base_new();

	if (pipe(fds) < 0)
		return 1;
	piece = event_new(base, -1, 0, on_piece, NULL);
	event_active(piece, EV_TIMEOUT, 0);
	event_add(event_new(base, fds[0], EV_READ, on_readable, base), NULL);
	event_base_dispatch(base);
	printf("what arrived during piece 1 was read after piece %d of 1000\n", seen_after);
	return 0;
}
C
"$tmp/finding" | judge "what arrived during piece 1 was read after piece 1000 of 1000"
