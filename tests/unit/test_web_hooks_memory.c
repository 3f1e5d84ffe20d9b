/*
 * Webhooks while the n-th allocation fails, for each n: each event is posted, or counted as given up;
 * those after it are posted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/addr.h"
#include "base/stats.h"
#include "loop.h"
#include "memory.h"
#include "numbers.h"
#include "web/hooks.h"

enum { ROOM = 65536, LONG = 30000 };

static const char *const params[] = {"text", NULL};
static const struct event_type type = {.name = "E_TEST", .params = params};
static const struct event_type *const types[] = {&type, NULL};

struct world {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct web_hooks hooks;
	unsigned emitted;
	/* where they are posted */
	int door, fd;
	char url[64];
	char in[ROOM];
	size_t len;
};

static uint64_t number(struct world *w, const char *name)
{
	return number_of(w->stats, "webhooks", name);
}

/* What is posted is taken once it is whole: by one connection at a time. */
static void serve(struct world *w)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	const char *end, *length;
	ssize_t n;

	if (w->fd < 0) {
		w->fd = accept4(w->door, NULL, NULL, SOCK_NONBLOCK);
		w->len = 0;
	}
	if (w->fd < 0)
		return;
	n = recv(w->fd, w->in + w->len, ROOM - 1 - w->len, 0);
	w->len += n > 0 ? (size_t)n : 0;
	w->in[w->len] = '\0';
	end = strstr(w->in, "\r\n\r\n");
	length = strcasestr(w->in, "Content-Length:");
	if (n == 0) {
		close(w->fd);
		w->fd = -1;
	} else if (end && length
	    && w->len == (size_t)(end + 4 - w->in) + strtoul(length + 15, NULL, 10)) {
		assert_int_equal(send(w->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL),
		    (ssize_t)sizeof(answer) - 1);
		w->len = 0;
	}
}

static bool is_told(void *arg)
{
	struct world *w = arg;

	serve(w);
	return number(w, "queued") == 0;
}

static void emit(struct world *w, size_t len)
{
	static char text[LONG];
	struct event_param param = event_text("text", (struct slice){text, len});

	memset(text, 'x', len);
	event_emit(w->bus, &type, &param, 1);
	w->emitted++;
}

static int configure(struct world *w, const char *secret)
{
	struct web_hook_settings hook = {.url = w->url, .secret = (char *)(uintptr_t)secret};
	const struct setting_list list = {&hook, 1};
	struct reason why;

	return web_hooks_configure(&w->hooks, &list, &why);
}

/* A reload in their midst, which leaves what waits. */
static void live(struct world *w)
{
	emit(w, 10);
	emit(w, LONG);
	loop_until(w->base, is_told, w);
	emit(w, 20);
	emit(w, 30);
	configure(w, "fedcba9876543210");
	loop_until(w->base, is_told, w);
}

static void open_world(struct world *w)
{
	char host[ADDR_TEXT_SIZE];
	union addr addr;

	*w = (struct world){.base = event_base_new(), .fd = -1};
	assert_int_equal(event_bus_new(&w->bus), 0);
	assert_int_equal(event_bus_add_types(w->bus, types), 0);
	assert_int_equal(stats_new(&w->stats), 0);
	w->door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(addr_parse(&addr, SLICE("127.0.0.1:0")), 0);
	assert_int_equal(bind(w->door, &addr.any, addr_len(&addr)), 0);
	assert_int_equal(listen(w->door, 8), 0);
	addr_of_socket(&addr, w->door);
	snprintf(w->url, sizeof(w->url), "http://%s/", addr_print(&addr, host));
}

static void close_world(struct world *w)
{
	web_hooks_fini(&w->hooks);
	stats_free(w->stats);
	event_bus_free(w->bus);
	event_base_free(w->base);
	close(w->door);
	if (w->fd >= 0)
		close(w->fd);
}

static void each_allocation(void **state)
{
	static struct world w;
	unsigned n = 0, lost = 0;
	bool failed, started;

	(void)state;
	do {
		open_world(&w);
		memory_fail_at(++n);
		started = web_hooks_init(&w.hooks, w.base, w.bus, w.stats) == 0
		    && configure(&w, "0123456789abcdef") == 0;
		if (started)
			live(&w);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || started);
		if (started) {
			lost += number(&w, "given_up") > 0;
			assert_true(number(&w, "given_up") <= failed);
			emit(&w, 5);
			loop_until(w.base, is_told, &w);
			assert_int_equal(number(&w, "delivered") + number(&w, "given_up"),
			    w.emitted);
		}
		close_world(&w);
		assert_true(n < 1000);
	} while (failed);
	assert_true(lost > 2);
	print_message("%u allocations failed in turn, %u lost an event\n", n - 1, lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
