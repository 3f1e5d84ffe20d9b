#include "notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

struct manager {
	struct event_base *base;
	int fd;
	char path[64];
};

/* A service manager: path begins with '/', or with '@' for an abstract address. */
static void manager_listen(struct manager *m, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static int setup(void **state)
{
	struct manager *m = calloc(1, sizeof(*m));

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	m->base = event_base_new();
	m->fd = -1;
	snprintf(m->path, sizeof(m->path), "/tmp/test_notify.%d", (int)getpid());
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	if (m->fd >= 0)
		close(m->fd);
	unlink(m->path);
	event_base_free(m->base);
	free(m);
	return 0;
}

static void assert_told(struct manager *m, const char *expected)
{
	char text[1024];
	ssize_t n = recv(m->fd, text, sizeof(text) - 1, 0);

	if (!expected) {
		assert_int_equal(n, -1);
		return;
	}
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void test_nobody_to_tell(void **state)
{
	struct manager *m = *state;
	struct notify n;

	assert_int_equal(notify_init(&n, m->base), 0);
	assert_int_equal(n.fd, -1);
	notify_ready(&n);
	notify_status(&n, "%d", 1);
	notify_fini(&n);
}

static void test_messages(void **state)
{
	struct manager *m = *state;
	char abstract[64];

	snprintf(abstract, sizeof(abstract), "@msrpd-test-notify-%d", (int)getpid());
	for (int i = 0; i < 2; i++) {
		struct notify n;

		manager_listen(m, i ? abstract : m->path);
		assert_int_equal(notify_init(&n, m->base), 0);
		notify_ready(&n);
		assert_told(m, "READY=1");
		notify_stopping(&n);
		assert_told(m, "STOPPING=1");
		notify_status(&n, "%d sessions\nREADY=1", 5);
		assert_told(m, "STATUS=5 sessions READY=1");
		assert_told(m, NULL);
		notify_fini(&n);
		close(m->fd);
		m->fd = -1;
	}
}

static void test_reloading_says_when(void **state)
{
	struct manager *m = *state;
	unsigned long long usec, now;
	struct timespec ts;
	struct notify n;
	char text[256];
	ssize_t len;

	manager_listen(m, m->path);
	assert_int_equal(notify_init(&n, m->base), 0);
	notify_reloading(&n);
	len = recv(m->fd, text, sizeof(text) - 1, 0);
	assert_true(len > 0);
	text[len] = '\0';
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000;
	assert_in_range(usec, now - 10000000, now);
	notify_fini(&n);
}

static void test_long_status_is_cut(void **state)
{
	struct manager *m = *state;
	struct notify n;
	char text[1024];

	manager_listen(m, m->path);
	assert_int_equal(notify_init(&n, m->base), 0);
	notify_status(&n, "%02000d", 1);
	assert_in_range(recv(m->fd, text, sizeof(text), 0), 400, 600);
	notify_fini(&n);
}

static void test_bad_addresses(void **state)
{
	static const char *const paths[] = {"", "@", "/", "relative", "vsock:2:1"};
	struct manager *m = *state;
	struct notify n;
	char path[200];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		setenv("NOTIFY_SOCKET", paths[i], 1);
		assert_int_equal(notify_init(&n, m->base), -EINVAL);
		assert_int_equal(n.fd, -1);
		notify_fini(&n);
	}
	snprintf(path, sizeof(path), "/%0150d", 1);
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_init(&n, m->base), -EINVAL);
	setenv("NOTIFY_SOCKET", m->path, 1);
	assert_int_equal(notify_init(&n, m->base), -ENOENT);
	notify_ready(&n);
	notify_fini(&n);
}

/* A manager that does not read does not hold the daemon up. */
static void test_never_blocks(void **state)
{
	struct manager *m = *state;
	struct notify n;

	manager_listen(m, m->path);
	assert_int_equal(notify_init(&n, m->base), 0);
	alarm(20);
	for (int i = 0; i < 5000; i++)
		notify_status(&n, "%0400d", i);
	alarm(0);
	notify_fini(&n);
}

static void test_watchdog(void **state)
{
	static const struct {
		const char *usec;
		int pid; /* ours plus this; -1: not given */
		uint64_t period_ms;
	} cases[] = {
	    {"30000000", -1, 15000},
	    {"30000000", 0, 15000},
	    {"30000000", 1, 0},
	    {NULL, 0, 0},
	    {"0", 0, 0},
	    {"1000", 0, 1},
	    {"rubbish", 0, 0},
	    {"", 0, 0},
	};
	struct manager *m = *state;
	struct notify n;
	char pid[16];

	manager_listen(m, m->path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		snprintf(pid, sizeof(pid), "%d", (int)getpid() + cases[i].pid);
		if (cases[i].usec)
			setenv("WATCHDOG_USEC", cases[i].usec, 1);
		if (cases[i].pid >= 0)
			setenv("WATCHDOG_PID", pid, 1);
		assert_int_equal(notify_init(&n, m->base), 0);
		assert_int_equal(n.watchdog_ms, cases[i].period_ms);
		assert_told(m, cases[i].period_ms ? "WATCHDOG=1" : NULL);
		notify_fini(&n);
	}
}

static void test_watchdog_goes_on(void **state)
{
	struct manager *m = *state;
	struct notify n;

	manager_listen(m, m->path);
	setenv("WATCHDOG_USEC", "10000", 1);
	assert_int_equal(notify_init(&n, m->base), 0);
	assert_told(m, "WATCHDOG=1");
	for (int i = 0; i < 3; i++) {
		assert_told(m, NULL);
		event_base_loop(m->base, EVLOOP_ONCE);
		assert_told(m, "WATCHDOG=1");
	}
	notify_fini(&n);
	assert_int_equal(event_base_loop(m->base, EVLOOP_NONBLOCK), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_nobody_to_tell),
	    CASE(test_messages),
	    CASE(test_reloading_says_when),
	    CASE(test_long_status_is_cut),
	    CASE(test_bad_addresses),
	    CASE(test_never_blocks),
	    CASE(test_watchdog),
	    CASE(test_watchdog_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
