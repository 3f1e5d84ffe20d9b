/* Services of a domain, while the n-th allocation fails, for each n. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/setting.h>

#include "dns_server.h"
#include "loop.h"
#include "memory.h"
#include "net/net.h"
#include "net/service.h"

struct world {
	struct event_base *base;
	struct dns_server dns;
	unsigned answers;
	size_t count;
};

static void on_places(const struct net_place *places, size_t count, const char *why, void *arg)
{
	struct world *w = arg;

	(void)places;
	assert_true(!count == !!why);
	w->answers++;
	w->count = count;
}

static bool is_answered(void *arg)
{
	return ((struct world *)arg)->answers > 0;
}

/* Whoever was promised an answer gets one.  @return what came of the question */
static int ask(struct world *w, struct net *net)
{
	struct net_service *service = NULL;
	int err = net_service_start(&service, net, "_sip._udp.a.test", on_places, w);

	if (err == 0)
		loop_until(w->base, is_answered, w);
	assert_null(service);
	assert_int_equal(w->answers, err == 0);
	w->answers = 0;
	return err;
}

static void each_allocation(void **state)
{
	static const struct dns_record records[] = {
	    {"_sip._udp.a.test", 10, 0, 1, "one.a.test"},
	    {"_sip._udp.a.test", 20, 0, 2, "two.a.test"},
	};
	struct world w = {.base = event_base_new()};
	char *address = w.dns.address;
	const struct setting_list servers = {&address, 1};
	unsigned n = 0, unasked = 0;
	struct net *net;
	bool failed;

	(void)state;
	dns_server_open(&w.dns, w.base);
	w.dns.records = records;
	w.dns.count = 2;
	do {
		int err;

		assert_int_equal(net_new(&net, w.base), 0);
		net_use_name_servers(net, &servers);
		memory_fail_at(++n);
		err = ask(&w, net);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(err == 0 || err == -ENOMEM);
		unasked += err != 0;
		assert_int_equal(ask(&w, net), 0);
		assert_int_equal(w.count, 2);
		net_free(net);
	} while (failed);
	assert_true(unasked > 1);
	dns_server_close(&w.dns);
	event_base_free(w.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
