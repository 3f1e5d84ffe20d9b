#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cmocka.h>

static union addr host(const char *text)
{
	union addr a;

	assert_int_equal(addr_parse_host(&a, slice_of(text)), 0);
	return a;
}

static void test_parses_hosts(void **state)
{
	static const char *const bad[] = {"", "x", "1.2.3", "1.2.3.4.5", "256.0.0.1", "[::1]",
	    "::1%lo", "1.2.3.4:5", ":::", "0123:4567:89ab:cdef:0123:4567:89ab:cdef:0123:4567:89ab"};
	char text[ADDR_TEXT_SIZE];
	union addr a;

	(void)state;
	a = host("192.0.2.1");
	assert_int_equal(a.any.sa_family, AF_INET);
	assert_int_equal(addr_port(&a), 0);
	assert_int_equal(addr_bytes(&a).len, 4);
	assert_string_equal(addr_print_host(&a, text), "192.0.2.1");
	a = host("2001:DB8:0::1");
	assert_int_equal(a.any.sa_family, AF_INET6);
	assert_int_equal(addr_bytes(&a).len, 16);
	assert_string_equal(addr_print_host(&a, text), "2001:db8::1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(addr_parse_host(&a, slice_of(bad[i])) < 0);
		assert_int_equal(addr_len(&a), 0);
	}
	assert_true(addr_parse_host(&a, (struct slice){NULL, 0}) < 0);
	assert_true(addr_parse_host(&a, SLICE("1.2.3.4\0")) < 0);
}

static void test_parses_ports(void **state)
{
	static const char *const good[] = {"192.0.2.1:80", "[::1]:65535", "0.0.0.0:0",
	    "[2001:db8::1]:1"};
	static const char *const bad[] = {"", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
	    "1.2.3.4:x", "[1.2.3.4]:5", "::1:5", "[::1]", "[::1]5", "[]:5", "x:5"};
	char text[ADDR_TEXT_SIZE];
	union addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(addr_parse(&a, slice_of(good[i])), 0);
		assert_string_equal(addr_print(&a, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(addr_parse(&a, slice_of(bad[i])) < 0);
		assert_string_equal(addr_print(&a, text), "-");
	}
	assert_true(addr_parse(&a, (struct slice){NULL, 0}) < 0);
}

static void test_compares(void **state)
{
	union addr a = host("::1"), b = host("0:0::1"), c = host("::2"), v4 = host("0.0.0.1");

	(void)state;
	assert_true(addr_equal(&a, &b));
	addr_set_port(&b, 5);
	assert_int_equal(addr_port(&b), 5);
	assert_false(addr_equal(&a, &b));
	assert_true(addr_same_host(&a, &b));
	assert_false(addr_same_host(&a, &c));
	assert_false(addr_same_host(&a, &v4));
	b.in6.sin6_scope_id = 7;
	assert_false(addr_same_host(&a, &b));
	b.in6.sin6_scope_id = 0;
	b.in6.sin6_flowinfo = 7;
	assert_true(addr_same_host(&a, &b));
	addr_from(&c, &b.any);
	assert_int_equal(c.in6.sin6_flowinfo, 0);
	assert_true(addr_equal(&b, &c));
	v4 = host("0.0.0.0");
	assert_true(addr_is_any(&v4));
	a = host("::");
	assert_true(addr_is_any(&a));
	assert_false(addr_is_any(&b));
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *address, *prefix;
		unsigned bits;
		bool in;
	} cases[] = {
	    {"192.0.2.1", "192.0.2.1", 32, true},
	    {"192.0.2.1", "192.0.2.0", 32, false},
	    {"192.0.2.1", "192.0.2.0", 31, true},
	    {"192.0.3.1", "192.0.2.0", 24, false},
	    {"192.0.3.1", "192.0.2.0", 23, true},
	    {"10.0.0.1", "192.0.2.0", 0, true},
	    {"10.0.0.1", "::", 0, false},
	    {"10.0.0.1", "10.0.0.1", 33, false},
	    {"2001:db8::1", "2001:db8::", 64, true},
	    {"2001:db8:0:1::1", "2001:db8::", 64, false},
	    {"2001:db8:0:1::1", "2001:db8::", 63, true},
	    {"::1", "::1", 128, true},
	    {"::1", "::1", 129, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		union addr a = host(cases[i].address), prefix = host(cases[i].prefix);

		if (addr_in_prefix(&a, &prefix, cases[i].bits) != cases[i].in)
			fail_msg("%s in %s/%u", cases[i].address, cases[i].prefix, cases[i].bits);
	}
}

static void test_unmaps(void **state)
{
	union addr a = host("::ffff:192.0.2.1"), b = host("2001:db8::1"), c = host("192.0.2.1");

	(void)state;
	addr_set_port(&a, 80);
	addr_unmap(&a);
	assert_true(addr_same_host(&a, &c));
	assert_int_equal(addr_port(&a), 80);
	c = b;
	addr_unmap(&b);
	assert_true(addr_equal(&b, &c));
}

static void test_asks_sockets(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0), pair[2];
	union addr a = host("127.0.0.1"), b;

	(void)state;
	assert_int_equal(bind(fd, &a.any, addr_len(&a)), 0);
	addr_of_socket(&a, fd);
	assert_int_not_equal(addr_port(&a), 0);
	assert_int_equal(connect(other, &a.any, addr_len(&a)), 0);
	addr_of_peer(&b, other);
	assert_true(addr_equal(&a, &b));
	addr_of_peer(&b, fd);
	assert_int_equal(addr_len(&b), 0);
	close(fd);
	close(other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	addr_of_socket(&b, pair[0]);
	assert_int_equal(addr_len(&b), 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parses_hosts),
	    cmocka_unit_test(test_parses_ports),
	    cmocka_unit_test(test_compares),
	    cmocka_unit_test(test_prefixes),
	    cmocka_unit_test(test_unmaps),
	    cmocka_unit_test(test_asks_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
