/* Addresses of names, asked of a name server in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <event2/event.h>

#include <msrpd/setting.h>

#include "dns_server.h"
#include "loop.h"
#include "net/lookup.h"
#include "net/net.h"

enum { CROWD = 100 };

static void on_addresses(struct addrinfo *addresses, const char *why, void *arg)
{
	(void)why;
	*(bool *)arg = true;
	net_addresses_free(addresses);
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

/* Names whose servers say nothing are waited for, but keep no other name waiting. */
static void dead_names(void **state)
{
	static const struct dns_record record = {.name = "", .host = "alive.test"};
	struct event_base *base = event_base_new();
	struct net_lookup *lookups[CROWD], *of_alive;
	bool dead = false, alive = false;
	struct setting_list servers;
	struct dns_server dns;
	struct net *net;
	char name[32], *address = dns.address;

	(void)state;
	dns_server_open(&dns, base);
	dns.records = &record;
	dns.count = 1;
	dns.mood = DNS_CHOOSY;
	servers = (struct setting_list){&address, 1};
	assert_int_equal(net_new(&net, base), 0);
	net_use_name_servers(net, &servers);
	for (int i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "dead%d.test", i);
		assert_int_equal(net_lookup_start(&lookups[i], net, name, on_addresses, &dead), 0);
	}
	loop_settle(base);
	assert_int_equal(net_lookup_start(&of_alive, net, "alive.test", on_addresses, &alive), 0);
	loop_until(base, is_true, &alive);
	assert_false(dead);
	for (int i = 0; i < CROWD; i++)
		net_lookup_cancel(&lookups[i]);
	loop_settle(base);
	net_free(net);
	dns_server_close(&dns);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dead_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
