/* Webhooks whose events wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/addr.h"
#include "base/stats.h"
#include "loop.h"
#include "numbers.h"
#include "web/hooks.h"

enum { EVENTS = 1000, MIB = 1 << 20 };

static const char *const params[] = {"text", NULL};
static const struct event_type many = {.name = "E_MANY", .params = params};
static const struct event_type other = {.name = "E_OTHER", .params = params};
static const struct event_type *const types[] = {&many, &other, NULL};

/* A server that listens and says nothing. */
struct door {
	int fd;
	char url[64];
};

struct world {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct web_hooks hooks;
	struct door of_many, of_other;
};

static void open_door(struct door *d)
{
	char host[ADDR_TEXT_SIZE];
	union addr addr;

	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(addr_parse(&addr, SLICE("127.0.0.1:0")), 0);
	assert_int_equal(bind(d->fd, &addr.any, addr_len(&addr)), 0);
	assert_int_equal(listen(d->fd, 8), 0);
	addr_of_socket(&addr, d->fd);
	snprintf(d->url, sizeof(d->url), "http://%s/", addr_print(&addr, host));
}

static int setup(void **state)
{
	static struct world w;
	char *name_of_many = (char *)(uintptr_t)many.name;
	char *name_of_other = (char *)(uintptr_t)other.name;
	struct web_hook_settings hooks[] = {
	    {.url = w.of_many.url, .events = {&name_of_many, 1}},
	    {.url = w.of_other.url, .events = {&name_of_other, 1}},
	};
	const struct setting_list list = {hooks, 2};
	struct reason why;

	w = (struct world){.base = event_base_new()};
	assert_int_equal(event_bus_new(&w.bus), 0);
	assert_int_equal(event_bus_add_types(w.bus, types), 0);
	assert_int_equal(stats_new(&w.stats), 0);
	open_door(&w.of_many);
	open_door(&w.of_other);
	assert_int_equal(web_hooks_init(&w.hooks, w.base, w.bus, w.stats), 0);
	assert_int_equal(web_hooks_configure(&w.hooks, &list, &why), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	web_hooks_fini(&w->hooks);
	stats_free(w->stats);
	event_bus_free(w->bus);
	event_base_free(w->base);
	close(w->of_many.fd);
	close(w->of_other.fd);
	return 0;
}

static void emit(struct world *w, const struct event_type *type, size_t len)
{
	static char text[MIB];
	struct event_param param = event_text("text", (struct slice){text, len});

	memset(text, 'x', len);
	event_emit(w->bus, type, &param, 1);
}

static void assert_waiting(struct world *w, uint64_t queued, uint64_t lost)
{
	assert_int_equal(number_of(w->stats, "webhooks", "queued"), queued);
	assert_int_equal(number_of(w->stats, "webhooks", "given_up"), lost);
}

static bool is_called(void *arg)
{
	int fd = accept(((const struct world *)arg)->of_other.fd, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What waits for one of them does not take the other's place. */
static void assert_other_goes_on(struct world *w, uint64_t queued, uint64_t lost)
{
	emit(w, &other, 1);
	assert_waiting(w, queued + 1, lost);
	loop_until(w->base, is_called, w);
}

static void so_many_events(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < EVENTS; i++)
		emit(w, &many, 1);
	assert_waiting(w, EVENTS, 0);
	emit(w, &many, 1);
	assert_waiting(w, EVENTS, 1);
	assert_other_goes_on(w, EVENTS, 1);
}

static void so_many_bytes(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 4; i++)
		emit(w, &many, MIB - 1000);
	assert_waiting(w, 4, 0);
	emit(w, &many, 4000);
	assert_waiting(w, 4, 1);
	emit(w, &many, 1000);
	assert_waiting(w, 5, 1);
	assert_other_goes_on(w, 5, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(so_many_events),
	    CASE(so_many_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
