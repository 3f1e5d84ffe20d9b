/*
 * AUTH as a client at two relays, one behind the other, while the n-th allocation fails, for each n:
 * a grant or a failure is told, and the next one asks as if nothing had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "endpoint/auth.h"
#include "loop.h"
#include "memory.h"
#include "msrp_sides.h"
#include "wire/frame.h"
#include "wire/write.h"

enum { ROUNDS = 2 }; /* the second one with the nonce of the first */

struct world {
	struct sides sides;
	int listener, fd;
	char relays[128];
	char bytes[16384]; /* that the relay has not answered */
	size_t len;
	unsigned granted, failed, rounds;
};

static bool on_credentials(struct slice realm, struct endpoint_credentials *c, void *arg)
{
	(void)realm;
	(void)arg;
	c->username = SLICE("alice");
	c->password = SLICE("secret");
	return true;
}

static void on_granted(void *arg)
{
	((struct world *)arg)->granted++;
}

static void on_failed(int code, struct slice reason, bool from_relay, void *arg)
{
	(void)reason;
	(void)from_relay;
	assert_int_equal(code, 503);
	((struct world *)arg)->failed++;
}

static const struct endpoint_auth_handler handler = {
    .credentials = on_credentials,
    .granted = on_granted,
    .failed = on_failed,
};

/* --- the relay, which is both --- */

static void respond(struct world *w, const struct msrp_frame *auth)
{
	bool second = memmem(auth->to_path.p, auth->to_path.len, "two", 3);
	char text[2048];
	struct buffer out = BUFFER_ON(text);

	if (!auth->authorization.p) {
		msrp_write_response_head(&out, auth, 401, SLICE("Unauthorized"));
		buffer_add(&out,
		    SLICE("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"));
	} else {
		msrp_write_response_head(&out, auth, 200, SLICE("OK"));
		buffer_add(&out,
		    second ? SLICE("Use-Path: msrp://one:1/a;tcp msrp://two:1/b;tcp")
			   : SLICE("Use-Path: msrp://one:1/a;tcp"));
		buffer_printf(&out, "%s\r\nExpires: 1\r\n", second && w->rounds++ ? "x" : "");
	}
	msrp_write_end_line(&out, auth->tid, MSRP_COMPLETE, false);
	assert_int_equal(out.err, 0);
	send(w->fd, text, out.len, MSG_NOSIGNAL);
}

static void serve(struct world *w)
{
	struct msrp_frame frame;
	char *end;
	ssize_t n;

	if (w->fd < 0 && (w->fd = accept(w->listener, NULL, NULL)) < 0)
		return;
	n = recv(w->fd, w->bytes + w->len, sizeof(w->bytes) - w->len - 1, MSG_DONTWAIT);
	w->len += n > 0 ? (size_t)n : 0;
	w->bytes[w->len] = '\0';
	while ((end = strstr(w->bytes, "$\r\n"))) {
		size_t len = (size_t)(end + 3 - w->bytes);

		assert_true(msrp_frame_parse(&frame, (struct slice){w->bytes, len}, 8192) > 0);
		respond(w, &frame);
		w->len -= len;
		memmove(w->bytes, end + 3, w->len + 1);
	}
}

static bool is_over(void *arg)
{
	struct world *w = arg;

	serve(w);
	return w->granted == ROUNDS || w->failed;
}

/* --- the walk --- */

static void open_relay(struct world *w)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	w->fd = -1;
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(w->listener, 5), 0);
	getsockname(w->listener, (struct sockaddr *)&in, &len);
	snprintf(w->relays, sizeof(w->relays), "msrp://127.0.0.1:%u;tcp msrp://two:2855;tcp",
	    ntohs(in.sin_port));
}

static void close_relay(struct world *w)
{
	if (w->fd >= 0)
		close(w->fd);
	close(w->listener);
}

/* @return was the last grant told? */
static bool log_in(struct world *w)
{
	const struct endpoint_auth_options options = {.relays = slice_of(w->relays),
	    .own_uri = SLICE("msrp://127.0.0.1:9/own;tcp"),
	    .handler = &handler,
	    .arg = w};
	struct endpoint_auth *auth;

	w->granted = w->failed = w->rounds = 0;
	w->len = 0;
	if (endpoint_auth_new(&auth, w->sides.stack, &options) < 0)
		return false;
	loop_until(w->sides.base, is_over, w);
	if (w->granted == ROUNDS)
		assert_true(slice_equal(endpoint_auth_path(auth),
		    SLICE("msrp://one:1/a;tcp msrp://two:1/b;tcpx")));
	endpoint_auth_free(auth);
	loop_settle(w->sides.base);
	return w->granted == ROUNDS;
}

static void each_allocation(void **state)
{
	unsigned n = 0, refused = 0;
	bool failed;

	(void)state;
	do {
		struct world *w = calloc(1, sizeof(*w));
		bool good;

		assert_non_null(w);
		w->sides.base = event_base_new();
		assert_int_equal(sides_init(&w->sides), 0);
		open_relay(w);
		memory_fail_at(++n);
		good = log_in(w);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(good || failed);
		refused += !good;
		if (!good) {
			close_relay(w);
			open_relay(w);
			assert_true(log_in(w));
		}
		close_relay(w);
		sides_fini(&w->sides);
		event_base_free(w->sides.base);
		free(w);
		assert_true(n < 500);
	} while (failed);
	assert_true(refused > 10);
	print_message("%u allocations failed in turn, %u logins by them\n", n - 1, refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
