/* What one address may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/stats.h"
#include "loop.h"
#include "net/guard.h"
#include "net/guard_priv.h"

struct fixture {
	struct event_base *base;
	struct stats *stats;
	struct net_guard_settings settings;
	struct net_guard *guard;
};

static char *exempt[] = {"127.0.0.0/8", "2001:db8:ffff::/48", "203.0.113.9"};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	assert_int_equal(stats_new(&f->stats), 0);
	f->settings = (struct net_guard_settings){.connections_per_address = 3,
	    .auth_failures = 2,
	    .auth_failure_window_ms = 60000,
	    .exempt = {exempt, 3}};
	assert_int_equal(net_guard_new(&f->guard, f->base, &f->settings, f->stats), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_guard_free(f->guard);
	stats_free(f->stats);
	event_base_free(f->base);
	free(f);
	return 0;
}

static union addr address(const char *text)
{
	union addr a;

	assert_int_equal(addr_parse_host(&a, slice_of(text)), 0);
	return a;
}

static struct net_guard_host *enter(struct fixture *f, const char *text, int err)
{
	union addr a = address(text);
	struct net_guard_host *host;

	assert_int_equal(net_guard_enter(f->guard, &a, false, &host), err);
	return host;
}

static void fail_over(struct fixture *f, const char *text, bool over_stream)
{
	union addr a = address(text);

	net_guard_note_failure(f->guard, &a, over_stream);
}

static void fail_once(struct fixture *f, const char *text)
{
	fail_over(f, text, true);
}

static bool barred(struct fixture *f, const char *text)
{
	union addr a = address(text);

	return net_guard_bars(f->guard, &a);
}

static void an_address_has_so_many_connections(void **state)
{
	struct fixture *f = *state;
	struct net_guard_host *hosts[3], *other;

	for (int i = 0; i < 3; i++)
		hosts[i] = enter(f, "192.0.2.1", 0);
	assert_null(enter(f, "192.0.2.1", -EMFILE));
	other = enter(f, "192.0.2.2", 0);
	net_guard_leave(hosts[0]);
	hosts[0] = enter(f, "192.0.2.1", 0);
	assert_null(enter(f, "192.0.2.1", -EMFILE));
	for (int i = 0; i < 3; i++)
		net_guard_leave(hosts[i]);
	net_guard_leave(other);
}

static void an_ipv6_address_counts_by_its_64(void **state)
{
	static const char *const same[] = {"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"};
	struct fixture *f = *state;
	struct net_guard_host *hosts[4];

	for (int i = 0; i < 3; i++)
		hosts[i] = enter(f, same[i], 0);
	enter(f, "2001:db8::4", -EMFILE);
	hosts[3] = enter(f, "2001:db8:0:1::1", 0);
	for (int i = 0; i < 4; i++)
		net_guard_leave(hosts[i]);
}

static void the_exempt_have_no_limit(void **state)
{
	static const char *const free_ones[] = {"127.0.0.1", "2001:db8:ffff:1::1", "203.0.113.9"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		for (int k = 0; k < 10; k++) {
			assert_null(enter(f, free_ones[i], 0));
			fail_once(f, free_ones[i]);
		}
		assert_false(barred(f, free_ones[i]));
	}
}

static void wrong_credentials_bar_an_address(void **state)
{
	struct fixture *f = *state;

	fail_once(f, "192.0.2.1");
	assert_false(barred(f, "192.0.2.1"));
	fail_once(f, "192.0.2.1");
	assert_true(barred(f, "192.0.2.1"));
	assert_false(barred(f, "192.0.2.2"));
	fail_once(f, "2001:db8::1");
	fail_once(f, "2001:db8::2");
	assert_true(barred(f, "2001:db8::3"));
}

/* What is asked for without credentials is answered all the same, but a handshake is dear. */
static void who_is_barred_has_no_handshake(void **state)
{
	struct fixture *f = *state;
	union addr a = address("192.0.2.1"), free_one = address("203.0.113.9");
	struct net_guard_host *host;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_guard_enter(f->guard, &a, true, &host), 0);
		net_guard_leave(host);
		fail_once(f, "192.0.2.1");
		fail_once(f, "203.0.113.9");
	}
	assert_int_equal(net_guard_enter(f->guard, &a, true, &host), -EACCES);
	assert_null(host);
	assert_int_equal(net_guard_enter(f->guard, &a, false, &host), 0);
	net_guard_leave(host);
	assert_int_equal(net_guard_enter(f->guard, &free_one, true, &host), 0);
	f->settings.connections_per_address = 0;
	assert_int_equal(net_guard_reload(f->guard, &f->settings), 0);
	assert_int_equal(net_guard_enter(f->guard, &a, true, &host), -EACCES);
}

/* Datagrams in his name, and what other nodes count of those, keep nobody's connections out. */
static void a_datagram_proves_nothing(void **state)
{
	struct fixture *f = *state;
	union addr a = address("192.0.2.1");
	struct net_guard_host *host;

	fail_over(f, "192.0.2.1", true);
	fail_over(f, "192.0.2.1", false);
	net_guard_learn(f->guard, addr_bytes(&a), 99);
	assert_true(barred(f, "192.0.2.1"));
	assert_int_equal(net_guard_enter(f->guard, &a, true, &host), 0);
	net_guard_leave(host);
	fail_over(f, "192.0.2.1", true);
	assert_int_equal(net_guard_enter(f->guard, &a, true, &host), -EACCES);
}

static bool is_let_in_again(void *arg)
{
	return !barred(arg, "192.0.2.1");
}

static void the_window_ends(void **state)
{
	struct fixture *f = *state;

	f->settings.auth_failure_window_ms = 30;
	assert_int_equal(net_guard_reload(f->guard, &f->settings), 0);
	fail_once(f, "192.0.2.1");
	fail_once(f, "192.0.2.1");
	assert_true(barred(f, "192.0.2.1"));
	loop_until(f->base, is_let_in_again, f);
	fail_once(f, "192.0.2.1");
	assert_false(barred(f, "192.0.2.1"));
}

static void an_address_that_has_both_is_kept_for_either(void **state)
{
	struct fixture *f = *state;
	struct net_guard_host *host = enter(f, "192.0.2.1", 0);

	fail_once(f, "192.0.2.1");
	net_guard_leave(host);
	fail_once(f, "192.0.2.1");
	assert_true(barred(f, "192.0.2.1"));
}

static void on_failure(struct slice key, void *arg)
{
	*(struct slice *)arg = key;
}

/* What others have seen counts, of who has failed here as well. */
static void others_have_seen_some(void **state)
{
	static const char *const texts[] = {"192.0.2.1", "2001:db8::1"};
	struct fixture *f = *state;
	struct slice key = {NULL, 0};

	net_guard_on_failure(f->guard, on_failure, &key);
	for (size_t i = 0; i < 2; i++) {
		fail_once(f, texts[i]);
		assert_int_equal(key.len, i == 0 ? 4 : 8);
		assert_false(barred(f, texts[i]));
		net_guard_learn(f->guard, key, f->settings.auth_failures);
		assert_true(barred(f, texts[i]));
		net_guard_learn(f->guard, key, 1); /* it is never less */
		assert_true(barred(f, texts[i]));
	}
	net_guard_learn(f->guard, SLICE("\x0a\x00\x00\x01"), 99);
	assert_false(barred(f, "10.0.0.1"));
	net_guard_on_failure(f->guard, NULL, NULL);
}

/* What is remembered of strangers is bounded: the oldest goes. */
static void the_table_is_bounded(void **state)
{
	struct fixture *f = *state;
	union addr a = address("10.0.0.0");

	fail_once(f, "192.0.2.1");
	fail_once(f, "192.0.2.1");
	for (uint32_t i = 0; i < 65535; i++) {
		a.in.sin_addr.s_addr = htonl(0x0a000000 + i);
		net_guard_note_failure(f->guard, &a, false);
	}
	assert_true(barred(f, "192.0.2.1"));
	fail_once(f, "192.0.2.2");
	assert_false(barred(f, "192.0.2.1"));
}

static void zero_is_no_limit_and_so_is_no_guard(void **state)
{
	struct fixture *f = *state;
	union addr a = address("192.0.2.1");
	struct net_guard_host *host = enter(f, "192.0.2.1", 0);

	fail_once(f, "192.0.2.1");
	fail_once(f, "192.0.2.1");
	f->settings.connections_per_address = f->settings.auth_failures = 0;
	assert_int_equal(net_guard_reload(f->guard, &f->settings), 0);
	for (int i = 0; i < 10; i++)
		assert_null(enter(f, "192.0.2.1", 0));
	assert_false(barred(f, "192.0.2.1"));
	net_guard_leave(host);
	net_guard_note_failure(NULL, &a, true);
	assert_false(net_guard_bars(NULL, &a));
	assert_int_equal(net_guard_enter(NULL, &a, true, &host), 0);
	net_guard_leave(host);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(an_address_has_so_many_connections),
	    CASE(an_ipv6_address_counts_by_its_64),
	    CASE(the_exempt_have_no_limit),
	    CASE(wrong_credentials_bar_an_address),
	    CASE(who_is_barred_has_no_handshake),
	    CASE(a_datagram_proves_nothing),
	    CASE(the_window_ends),
	    CASE(an_address_that_has_both_is_kept_for_either),
	    CASE(others_have_seen_some),
	    CASE(the_table_is_bounded),
	    CASE(zero_is_no_limit_and_so_is_no_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
