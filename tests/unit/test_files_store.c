/* The directory of files: what gives way to what. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/store.h"
#include "directory.h"

enum { MAX = 100 };

struct place {
	char directory[32];
	struct store store;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct reason why;

	strcpy(p->directory, "/tmp/msrpd-store-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	assert_int_equal(store_open(&p->store, p->directory, &why), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	store_close(&p->store);
	directory_remove(p->directory);
	free(p);
	return 0;
}

static void put(const struct place *p, const char *name, unsigned size, time_t age)
{
	int fd = openat(p->store.fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static bool is_there(const struct place *p, const char *name)
{
	return faccessat(p->store.fd, name, F_OK, 0) == 0;
}

static bool is_busy(const char *part, void *arg)
{
	(void)arg;
	return strcmp(part, ".part-busy") == 0;
}

static int promise(struct place *p, uint64_t bytes)
{
	const struct store_work work = {.busy = is_busy, .promised = 10};

	p->store.used = MAX; /* as it was counted before */
	return store_promise(&p->store, bytes, MAX, &work);
}

static void fill(const struct place *p)
{
	put(p, "file-whole", 50, 1000);
	put(p, ".part-new", 5, 10);
	put(p, ".part-busy", 5, 500); /* has promised 10 */
	put(p, ".part-old", 15, 300);
	put(p, ".part-older", 20, 400);
}

/* What does not fit anyhow takes nothing from anybody. */
static void test_refused(void **state)
{
	struct place *p = *state;

	fill(p);
	assert_int_equal(promise(p, 41), -ENOSPC);
	assert_true(is_there(p, ".part-new"));
	assert_true(is_there(p, ".part-old"));
	assert_true(is_there(p, ".part-older"));
	assert_int_equal(p->store.used, MAX);
}

static void test_oldest_give_way(void **state)
{
	struct place *p = *state;

	fill(p);
	assert_int_equal(promise(p, 19), 0);
	assert_false(is_there(p, ".part-older"));
	assert_true(is_there(p, ".part-old"));
	assert_true(is_there(p, ".part-new"));
	assert_true(is_there(p, ".part-busy"));
	assert_true(is_there(p, "file-whole"));
	assert_int_equal(p->store.used, MAX - 20 + 19);
}

static void test_all_give_way(void **state)
{
	struct place *p = *state;

	fill(p);
	assert_int_equal(promise(p, 40), 0);
	assert_false(is_there(p, ".part-older"));
	assert_false(is_there(p, ".part-old"));
	assert_false(is_there(p, ".part-new"));
	assert_true(is_there(p, ".part-busy"));
	assert_true(is_there(p, "file-whole"));
	assert_int_equal(p->store.used, MAX);
}

/* It was counted wrongly: nothing needs to go. */
static void test_room_after_all(void **state)
{
	struct place *p = *state;

	put(p, "file-whole", 50, 1000);
	put(p, ".part-old", 15, 300);
	assert_int_equal(promise(p, 20), 0);
	assert_true(is_there(p, ".part-old"));
	assert_int_equal(p->store.used, 50 + 15 + 10 + 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_refused),
	    TEST(test_oldest_give_way),
	    TEST(test_all_give_way),
	    TEST(test_room_after_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
