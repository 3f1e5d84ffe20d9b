/* Listening sockets when descriptors run out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "msrp_side.h"

static void accepting_pauses_without_descriptors(void **state)
{
	struct rlimit before, none;
	struct msrp_side side;
	struct msrp_peer peer;
	uint64_t end;
	unsigned loops = 0;

	(void)state;
	msrp_side_init(&side, NULL);
	msrp_side_start(&side);
	msrp_peer_open(&peer, &side, NULL, false);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)peer.fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	end = timer_now_ms() + 100;
	while (timer_now_ms() < end) {
		struct timeval limit = {0, 20000};

		event_base_loopexit(side.base, &limit);
		event_base_loop(side.base, EVLOOP_ONCE);
		loops++;
	}
	assert_in_range(loops, 1, 20); /* it waits instead of trying again and again */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	msrp_peer_send(&peer, "msrp://127.0.0.1:1/nobody;tcp", "hello", "");
	msrp_peer_expect(&peer, "MSRP abcd1234 481");
	msrp_peer_close(&peer);
	msrp_side_stop(&side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepting_pauses_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
