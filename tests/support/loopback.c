#include "loopback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <msrpd/slice.h>

void loopback_listen(struct net_listener *listener)
{
	assert_int_equal(addr_parse_host(&listener->addr, SLICE("127.0.0.1")), 0);
	assert_int_equal(net_listener_open(listener), 0);
}
