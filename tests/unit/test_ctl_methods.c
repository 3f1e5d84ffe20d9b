#include "ctl/server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/stats.h"
#include "ctl_peer.h"

static void test_builtins(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
	    {CALL("1", "which", "[]"),
		"\"result\":[\"event_subscribe\",\"event_unsubscribe\",\"get_statistics\","
		"\"status\",\"reload\",\"log_level\",\"why\",\"which\",\"help\",\"count\",\"letters\",\"emit\"]}"},
	    {CALL("1", "help", "[]"),
		"{\"command\":\"letters\",\"params\":\"size\",\"help\":\"many\"}"},
	    {CALL("1", "help", "[]"), "{\"command\":\"log_level\",\"params\":\"level?\","},
	    {CALL("1", "status", "[]"), "\"result\":{\"mine\":\"here\"}}"},
	    {CALL("1", "reload", "[]"), "\"result\":\"OK\"}"},
	    {CALL("1", "reload", "[]"),
		"\"error\":{\"code\":500,\"message\":\"/etc/msrpd/msrpd.yaml:3:1: unknown key\"}}"},
	    {CALL("1", "log_level", "[]"), "\"result\":\"error\"}"},
	    {CALL("1", "log_level", "[\"warn\"]"), "\"result\":\"warn\"}"},
	    {CALL("1", "log_level", "[\"loud\"]"), "\"error\":{\"code\":400,"},
	    {CALL("1", "log_level", "{}"), "\"result\":\"warn\"}"},
	    {CALL("1", "log_level", "[5]"), "\"error\":{\"code\":-32602,"},
	    {CALL("1", "get_statistics", "[\"test\"]"), "\"result\":{\"test:number\":42}}"},
	    {CALL("1", "get_statistics", "[]"), "\"ctl:clients\":1,"},
	    {CALL("1", "get_statistics", "[]"), "\"test:number\":42}}"},
	    {CALL("1", "get_statistics", "[\"tes\"]"), "\"error\":{\"code\":404,"},
	};
	static const struct stats_row numbers[] = {{.name = "number", .help = "A number."}, {0}};
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);
	uint64_t *number;

	assert_int_equal(stats_register(f->stats, "test", numbers, &number), 0);
	*number = 42;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ctl_peer_says(&p, cases[i].line);
		assert_line_has(&p, cases[i].part);
	}
	ctl_peer_close(&p);
}

static void test_add_methods_twice(void **state)
{
	static const struct method builtin[] = {
	    {.name = "which", .help = ""},
	    {0},
	};
	static const struct method added[] = {
	    {.name = "count", .help = ""},
	    {0},
	};
	struct ctl_fixture *f = *state;

	assert_int_equal(ctl_server_add_methods(f->server, builtin, f), -EEXIST);
	assert_int_equal(ctl_server_add_methods(f->server, added, f), -EEXIST);
	assert_int_equal(ctl_server_add_methods(f->server, NULL, f), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, ctl_setup, ctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_builtins),
	    CASE(test_add_methods_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
