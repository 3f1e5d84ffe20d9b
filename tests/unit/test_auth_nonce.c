/* Nonces that prove themselves: life, counts, forgery, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "auth/nonce.h"

enum { LIFE_MS = 60000 };

static const struct slice nobody;

struct fixture {
	struct event_base *base;
	struct nonces *nonces;
	char nonce[NONCE_LEN + 1];
};

/* Seconds that the world's clock is ahead of what it says. */
static time_t ahead_s;

int clock_gettime(clockid_t id, struct timespec *now)
{
	int err = (int)syscall(SYS_clock_gettime, id, now);

	if (id == CLOCK_REALTIME)
		now->tv_sec += ahead_s;
	return err;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	f->base = event_base_new();
	assert_int_equal(nonces_new(&f->nonces, LIFE_MS), 0);
	nonces_make(f->nonces, nobody, f->nonce);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nonces_free(f->nonces);
	event_base_free(f->base);
	test_free(f);
	return 0;
}

static bool fresh(struct fixture *f, const char *nonce, uint32_t nc)
{
	return nonces_use(f->nonces, slice_of(nonce), nobody, nc) == NONCE_FRESH;
}

static void a_count_is_good_once(void **state)
{
	struct fixture *f = *state;

	assert_true(fresh(f, f->nonce, 1));
	assert_false(fresh(f, f->nonce, 1));
	assert_true(fresh(f, f->nonce, 2));
	assert_false(fresh(f, f->nonce, 2));
	assert_false(fresh(f, f->nonce, 1));
}

static void counts_may_overtake_each_other(void **state)
{
	static const struct {
		uint32_t nc;
		bool fresh;
	} steps[] = {
	    {10, true},
	    {7, true},
	    {7, false},
	    {9, true},
	    {10, false},
	    {41, true},
	    {10, false}, /* seen */
	    {11, true},
	    {9, false}, /* 32 behind the highest: too far */
	    {200, true},
	    {168, false},
	    {169, true},
	    {UINT32_MAX, true},
	    {200, false},
	    {UINT32_MAX - 31, true},
	    {UINT32_MAX - 32, false},
	    {UINT32_MAX, false},
	    {0, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (fresh(f, f->nonce, steps[i].nc) != steps[i].fresh)
			fail_msg("step %zu, nc %u", i, steps[i].nc);
}

static void nonces_do_not_share_counts(void **state)
{
	struct fixture *f = *state;
	char other[NONCE_LEN + 1];

	nonces_make(f->nonces, nobody, other);
	assert_string_not_equal(other, f->nonce);
	assert_true(fresh(f, f->nonce, 1));
	assert_true(fresh(f, other, 1));
}

static void one_is_for_whom_it_was_made(void **state)
{
	const struct slice addresses[] = {SLICE("192.0.2.1"), SLICE("192.0.2.11"),
	    SLICE("2001:db8::1"), nobody};
	enum { COUNT = sizeof(addresses) / sizeof(addresses[0]) };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT; i++) {
		nonces_make(f->nonces, addresses[i], f->nonce);
		for (size_t k = 0; k < COUNT; k++) {
			assert_int_equal(nonces_know(f->nonces, slice_of(f->nonce), addresses[k]),
			    i == k);
			assert_int_equal(nonces_use(f->nonces, slice_of(f->nonce), addresses[k], 1),
			    i == k ? NONCE_FRESH : NONCE_STALE);
		}
		/* Also when its count is used up. */
		assert_true(nonces_know(f->nonces, slice_of(f->nonce), addresses[i]));
	}
	assert_false(nonces_know(f->nonces, SLICE("00"), nobody));
}

static void what_we_did_not_make_is_stale(void **state)
{
	struct fixture *f = *state;
	struct nonces *others;
	char foreign[NONCE_LEN + 1];

	for (size_t i = 0; i < NONCE_LEN; i++) {
		char forged[NONCE_LEN + 1];

		memcpy(forged, f->nonce, sizeof(forged));
		forged[i] = forged[i] == 'a' ? 'b' : 'a';
		assert_false(fresh(f, forged, 1));
	}
	assert_false(fresh(f, "", 1));
	assert_false(fresh(f, "0123456789abcdef", 1));
	assert_int_equal(nonces_new(&others, LIFE_MS), 0);
	nonces_make(others, nobody, foreign);
	assert_false(fresh(f, foreign, 1));
	nonces_free(others);
	assert_true(fresh(f, f->nonce, 1));
}

static void nodes_have_one_secret(void **state)
{
	struct fixture *f = *state;
	struct nonces *others;
	char foreign[NONCE_LEN + 1];

	assert_int_equal(nonces_new(&others, LIFE_MS), 0);
	assert_int_equal(nonces_share(others, SLICE("secret")), 0);
	nonces_make(others, nobody, foreign);
	assert_false(fresh(f, foreign, 1));
	assert_int_equal(nonces_share(f->nonces, SLICE("secret")), 0);
	assert_false(fresh(f, f->nonce, 1)); /* it was made before */
	assert_true(fresh(f, foreign, 1));
	assert_false(fresh(f, foreign, 1));
	assert_true(fresh(f, foreign, 2));
	foreign[40] ^= 1;
	assert_false(fresh(f, foreign, 3));
	/* As many as fit are remembered; one that does not is stale rather than good twice. */
	for (int i = 0; i < 20000; i++) {
		nonces_make(others, nobody, foreign);
		if (fresh(f, foreign, 1))
			assert_false(fresh(f, foreign, 1));
	}
	assert_false(fresh(f, foreign, 1));
	nonces_free(others);
}

/* @return is the first use of a nonce good that another node made when its clock said so? */
static bool fresh_of_another(struct fixture *f, time_t made_s)
{
	struct nonces *others;
	char foreign[NONCE_LEN + 1];
	bool good;

	assert_int_equal(nonces_new(&others, LIFE_MS), 0);
	assert_int_equal(nonces_share(others, SLICE("secret")), 0);
	ahead_s = made_s;
	nonces_make(others, nobody, foreign);
	ahead_s = 0;
	good = fresh(f, foreign, 1);
	assert_false(fresh(f, foreign, 1));
	nonces_free(others);
	return good;
}

/* Clocks of nodes differ; and an older one may have been used where nobody remembers. */
static void others_have_clocks_of_their_own(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(nonces_share(f->nonces, SLICE("secret")), 0);
	assert_true(fresh_of_another(f, 0));
	assert_true(fresh_of_another(f, 1));
	assert_false(fresh_of_another(f, 3600));
	assert_true(fresh_of_another(f, -20));
	assert_false(fresh_of_another(f, -40));
	nonces_set_expire(f->nonces, 10000);
	assert_false(fresh_of_another(f, -20));
}

static void the_ring_passes_by(void **state)
{
	struct fixture *f = *state;
	char other[NONCE_LEN + 1];

	for (int i = 0; i < 65535; i++)
		nonces_make(f->nonces, nobody, other);
	assert_true(fresh(f, f->nonce, 1));
	nonces_make(f->nonces, nobody, other);
	assert_false(fresh(f, f->nonce, 2));
	assert_true(fresh(f, other, 1));
}

static bool is_stale(void *arg)
{
	static uint32_t nc = 1;

	return !fresh(arg, ((struct fixture *)arg)->nonce, ++nc);
}

static void a_nonce_dies_of_age(void **state)
{
	struct fixture *f = *state;

	assert_true(fresh(f, f->nonce, 1));
	nonces_set_expire(f->nonces, 50);
	loop_until(f->base, is_stale, f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_count_is_good_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(counts_may_overtake_each_other, setup, teardown),
	    cmocka_unit_test_setup_teardown(nonces_do_not_share_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(nodes_have_one_secret, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_is_for_whom_it_was_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_we_did_not_make_is_stale, setup, teardown),
	    cmocka_unit_test_setup_teardown(others_have_clocks_of_their_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_ring_passes_by, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_nonce_dies_of_age, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
