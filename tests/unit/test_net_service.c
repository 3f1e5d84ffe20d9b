/* Services of a domain, asked of a name server in the same loop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/setting.h>

#include "dns_server.h"
#include "loop.h"
#include "net/net.h"
#include "net/service.h"

struct world {
	struct event_base *base;
	struct dns_server dns;
	char *address;
	struct setting_list servers;
	struct net *net;
	struct net_service *service;
	unsigned answers;
	bool failed;
	size_t count;
	struct net_place places[NET_PLACES_MAX];
};

static int set_up(void **state)
{
	static struct world w;

	w = (struct world){.base = event_base_new(), .address = w.dns.address};
	dns_server_open(&w.dns, w.base);
	w.servers = (struct setting_list){&w.address, 1};
	assert_int_equal(net_new(&w.net, w.base), 0);
	net_use_name_servers(w.net, &w.servers);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	net_free(w->net);
	dns_server_close(&w->dns);
	event_base_free(w->base);
	return 0;
}

static void on_places(const struct net_place *places, size_t count, const char *why, void *arg)
{
	struct world *w = arg;

	w->answers++;
	w->failed = why;
	w->count = count;
	memcpy(w->places, places, count * sizeof(*places));
}

static bool is_answered(void *arg)
{
	return ((struct world *)arg)->answers > 0;
}

static void ask(struct world *w, const char *name)
{
	w->answers = 0;
	assert_int_equal(net_service_start(&w->service, w->net, name, on_places, w), 0);
	loop_until(w->base, is_answered, w);
	assert_int_equal(w->answers, 1);
	assert_null(w->service);
}

static void in_their_order(void **state)
{
	static const struct dns_record records[] = {
	    {"_sip._udp.a.test", 20, 0, 2, "second.a.test"},
	    {"_sip._udp.a.test", 10, 7, 1, "first.a.test"},
	    {"_sip._tcp.a.test", 1, 0, 9, "other.a.test"},
	    {"_sip._udp.a.test", 65535, 0, 3, "third.a.test"},
	};
	struct world *w = *state;

	w->dns.records = records;
	w->dns.count = 4;
	ask(w, "_sip._udp.a.test");
	assert_false(w->failed);
	assert_int_equal(w->count, 3);
	assert_string_equal(w->places[0].host, "first.a.test");
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(w->places[i].port, i + 1);
}

/* RFC 2782: that of weight 0 is for when there is nothing else, those of one weight share. */
static void by_their_weight(void **state)
{
	static const struct dns_record records[] = {
	    {"_sip._udp.a.test", 1, 65535, 1, "a.test"},
	    {"_sip._udp.a.test", 1, 0, 2, "a.test"},
	    {"_sip._udp.a.test", 1, 65535, 3, "a.test"},
	};
	struct world *w = *state;
	unsigned first[4] = {0};

	w->dns.records = records;
	w->dns.count = 3;
	for (int i = 0; i < 200; i++) {
		ask(w, "_sip._udp.a.test");
		assert_int_equal(w->count, 3);
		first[w->places[0].port]++;
	}
	assert_true(first[1] > 0 && first[3] > 0); /* a chance of 2 to the -199 */
	assert_true(first[2] < 10);
}

static void nobody(void **state)
{
	static const struct dns_record records[] = {{"_sip._udp.a.test", 0, 0, 0, "."}};
	struct world *w = *state;

	ask(w, "_sip._udp.b.test");
	assert_false(w->failed);
	assert_int_equal(w->count, 0);
	w->dns.records = records;
	w->dns.count = 1;
	ask(w, "_sip._udp.a.test");
	assert_false(w->failed);
	assert_int_equal(w->count, 0);
}

/* Those that come first count. */
static void one_too_many(void **state)
{
	static struct dns_record records[NET_PLACES_MAX + 1];
	struct world *w = *state;

	for (uint16_t i = 0; i <= NET_PLACES_MAX; i++)
		records[i] = (struct dns_record){"_sip._udp.a.test", i, 0, i, "a.test"};
	w->dns.records = records;
	w->dns.count = NET_PLACES_MAX + 1;
	ask(w, "_sip._udp.a.test");
	assert_int_equal(w->count, NET_PLACES_MAX);
	assert_int_equal(w->places[NET_PLACES_MAX - 1].port, NET_PLACES_MAX - 1);
}

static void a_bad_server(void **state)
{
	static const struct dns_record records[] = {{"_sip._udp.a.test", 0, 0, 1, "a.test"}};
	struct world *w = *state;

	w->dns.records = records;
	w->dns.count = 1;
	for (w->dns.mood = DNS_SILENT; w->dns.mood <= DNS_CUT; w->dns.mood++) {
		ask(w, "_sip._udp.a.test");
		assert_true(w->failed);
		assert_int_equal(w->count, 0);
	}
}

static void not_wanted_any_more(void **state)
{
	struct world *w = *state;

	net_service_cancel(&w->service);
	assert_int_equal(net_service_start(&w->service, w->net, "_sip._udp.a.test", on_places, w),
	    0);
	net_service_cancel(&w->service);
	assert_null(w->service);
	ask(w, "_sip._udp.b.test");
	assert_int_equal(w->dns.asked, 2);
	/* And one that is asked for when all ends, by somebody who is gone, and by one who is not. */
	w->dns.mood = DNS_SILENT;
	w->answers = 0;
	assert_int_equal(net_service_start(&w->service, w->net, "_sip._udp.a.test", on_places, w),
	    0);
	net_service_cancel(&w->service);
	assert_int_equal(net_service_start(&w->service, w->net, "_sip._udp.a.test", on_places, w),
	    0);
	net_free(w->net);
	assert_null(w->service);
	assert_int_equal(w->answers, 1);
	assert_true(w->failed);
	w->net = NULL;
}

static bool are_answered(void *arg)
{
	return ((struct world *)arg)->answers == 256;
}

static void so_many_at_once(void **state)
{
	struct world *w = *state;
	static struct net_service *services[256], *one_more;

	for (int i = 0; i < 256; i++)
		assert_int_equal(
		    net_service_start(&services[i], w->net, "_sip._udp.a.test", on_places, w), 0);
	assert_int_equal(net_service_start(&one_more, w->net, "_sip._udp.a.test", on_places, w),
	    -ENOMEM);
	loop_until(w->base, are_answered, w);
	ask(w, "_sip._udp.a.test");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(in_their_order),
	    TEST(by_their_weight),
	    TEST(nobody),
	    TEST(one_too_many),
	    TEST(a_bad_server),
	    TEST(not_wanted_any_more),
	    TEST(so_many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
