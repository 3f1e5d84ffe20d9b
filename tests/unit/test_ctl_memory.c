/*
 * A life of the control socket while the n-th allocation fails, for each n, libevent's included: who
 * asks is answered or disconnected, who wants events has each of them or is disconnected, and whoever
 * comes next is served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <jansson.h>

#include "ctl_peer.h"
#include "memory.h"

enum { ROOM = 1 << 20 };

/* What it receives has its room beforehand. */
static struct ctl_peer come(struct ctl_fixture *f)
{
	struct ctl_peer p = ctl_peer_connect(f);

	p.size = ROOM;
	p.bytes = memory_spared(ROOM);
	return p;
}

/* All is in one loop: when it has nothing to do, whatever can come has come. */
static bool hears(struct ctl_peer *p, const char *text)
{
	ctl_settle(p->f);
	while (ctl_peer_receive(p) > 0)
		ctl_settle(p->f);
	return memmem(p->bytes, p->len, text, strlen(text)) != NULL;
}

/* @return did it get what it has asked for? */
static bool ask(struct ctl_peer *p, const char *line, const char *answer)
{
	bool has;

	p->len = 0;
	send(p->fd, line, strlen(line), MSG_NOSIGNAL);
	has = hears(p, answer);
	if (!has && !p->eof && !hears(p, "\"error\":{\"code\":500,"))
		fail_msg("%s: %.*s", line, (int)(p->len < 500 ? p->len : 500), p->bytes);
	return has;
}

static bool is_told(struct ctl_peer *p, size_t len)
{
	bool has;

	p->len = 0;
	ctl_emit(p->f, &ctl_type_a, len, 'x');
	has = hears(p, "\"method\":\"E_A\"") && p->len > len && p->bytes[p->len - 1] == '\n';
	assert_true(has || p->eof);
	return has;
}

/* @return how much of it came about */
static unsigned live(struct ctl_fixture *f)
{
	static const char batch[] = "[{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"which\"},"
				    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"help\"}]\n";
	static const char halves[] = CALL("5", "count", "[]");
	struct ctl_peer p = come(f), subscriber = come(f);
	unsigned good = 0;

	good += ask(&subscriber, CALL("1", "event_subscribe", "{\"names\":[\"E_A\"]}"), "\"OK\"");
	if (good) {
		good += is_told(&subscriber, 10);
		good += is_told(&subscriber, 30000);
	}
	good += ask(&p, CALL("1", "count", "[]"), "\"result\":");
	good += ask(&p, CALL("2", "letters", "[100000]"), "\"id\":2,\"result\":\"");
	good += ask(&p, CALL("3", "get_statistics", "[\"ctl\"]"), "\"ctl:clients\":");
	good += ask(&p, batch, "\"help\"");
	good += ask(&p, CALL("6", "log_level", "[\"\\ud800\"]"), "\"error\":");
	send(p.fd, halves, 10, MSG_NOSIGNAL);
	ctl_settle(f);
	good += ask(&p, halves + 10, "\"id\":5,\"result\":");
	ctl_peer_close(&p);
	ctl_peer_close(&subscriber);
	return good;
}

enum { ALL = 9 };

static void go_on(struct ctl_fixture *f)
{
	struct ctl_peer p = ctl_peer_connect(f);

	ctl_settle(f);
	assert_int_equal(ctl_stat(f, "clients"), 1);
	ctl_peer_subscribe(&p);
	ctl_emit(f, &ctl_type_b, 3, 'y');
	assert_line(&p, EVENT("E_B", "{\"body\":\"yyy\"}"));
	ctl_peer_close(&p);
	ctl_settle(f);
	assert_int_equal(ctl_stat(f, "clients"), 0);
}

static void each_allocation(void **unused)
{
	unsigned n = 0, good, hurt = 0;
	bool failed;

	(void)unused;
	do {
		struct ctl_fixture *f;
		void *state;

		ctl_setup(&state);
		/* Of jansson's own, one that fails ends the daemon: src/ctl/rpc.c. */
		json_set_alloc_funcs(memory_spared, free);
		f = state;
		memory_fail_at(++n);
		good = live(f);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || good == ALL);
		hurt += good < ALL;
		go_on(f);
		ctl_teardown(&state);
		assert_true(n < 2000);
	} while (failed);
	assert_true(hurt > 10);
	print_message("%u allocations failed in turn, %u were noticed\n", n - 1, hurt);
}

/* A server that cannot be made leaves nothing behind, not even its socket. */
static void each_start(void **unused)
{
	struct ctl_fixture *f;
	struct reason why;
	unsigned n = 0;
	void *state;

	(void)unused;
	ctl_setup(&state);
	f = state;
	ctl_server_free(f->server);
	f->server = NULL;
	for (memory_fail_at(++n); ctl_server_new(&f->server, &f->daemon, &f->settings, &why) < 0;
	     memory_fail_at(++n)) {
		assert_true(memory_has_failed());
		assert_string_equal(why.text, "out of memory");
		assert_null(f->server);
	}
	memory_fail_at(0);
	assert_true(n > 3);
	go_on(f);
	ctl_teardown(&state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	    cmocka_unit_test(each_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
