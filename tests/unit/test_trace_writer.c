/* The files of a trace: whose they are, and what is in them when the disk does not take all. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <msrpd/timer.h>

#include "loop.h"
#include "trace/priv.h"
#include "directory.h"

#define BEGIN  "head:"
#define RECORD "0123456789"

enum {
	BEGIN_SIZE = sizeof(BEGIN) - 1,
	RECORD_SIZE = sizeof(RECORD) - 1,
	ONE = BEGIN_SIZE + RECORD_SIZE, /* a file with one record */
};

struct place {
	char directory[32], path[64];
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->directory, "/tmp/msrpd-trace-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->path, sizeof(p->path), "%s/t.pcapng", p->directory);
	signal(SIGXFSZ, SIG_IGN);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	directory_remove(p->directory);
	free(p);
	return 0;
}

/* --- files --- */

static void name_of(char name[96], const struct place *p, unsigned number)
{
	if (number)
		snprintf(name, 96, "%s/t.%u.pcapng", p->directory, number);
	else
		snprintf(name, 96, "%s", p->path);
}

/* "" if there is none */
static const char *text_of(const struct place *p, unsigned number)
{
	static char text[256];
	char name[96];
	FILE *f;
	size_t n = 0;

	name_of(name, p, number);
	f = fopen(name, "r");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

static void limit_file_size(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* --- a writer --- */

static int begin(struct trace_writer **wp, const struct place *p, uint64_t max_file, unsigned files)
{
	const struct trace_writer_options options = {
	    .queue = 4096,
	    .path = p->path,
	    .begin = SLICE(BEGIN),
	    .max_file = max_file,
	    .files = files,
	};
	struct reason why;

	return trace_writer_new(wp, &options, &why);
}

static void put(struct trace_writer *w, const char *record)
{
	assert_int_equal(trace_writer_put(w, slice_of(record)), 0);
}

static void end(struct trace_writer *w)
{
	unsigned lost;
	int err;

	assert_true(trace_writer_stop(w, LOOP_DEADLINE_MS, &lost, &err));
	assert_int_equal(lost, 0);
}

static void wait_lost(struct trace_writer *w, unsigned count)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;
	unsigned lost = 0;
	int err;

	while (lost < count) {
		assert_true(timer_now_ms() < deadline);
		lost += trace_writer_lost(w, &err);
		sched_yield();
	}
	assert_int_equal(lost, count);
}

static void wait_text(const struct place *p, unsigned number, const char *text)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (strcmp(text_of(p, number), text) != 0) {
		assert_true(timer_now_ms() < deadline);
		sched_yield();
	}
}

/* --- tests --- */

/* A second trace of a name leaves the files of the first alone, and loses nothing. */
static void test_same_name_again(void **state)
{
	static const char *const left[] = {"", "head:second..1", "head:second..2", "head:first...3",
	    "head:first...4", "head:second..3", ""};
	const struct place *p = *state;
	struct trace_writer *w;
	char record[16];
	int err;

	assert_int_equal(begin(&w, p, ONE, 2), 0);
	for (int i = 0; i < 5; i++) {
		snprintf(record, sizeof(record), "first...%d", i);
		put(w, record);
	}
	end(w);
	assert_int_equal(begin(&w, p, ONE, 3), 0);
	for (int i = 0; i < 4; i++) {
		snprintf(record, sizeof(record), "second..%d", i);
		put(w, record);
	}
	wait_text(p, 5, "head:second..3");
	assert_int_equal(trace_writer_lost(w, &err), 0);
	end(w);
	for (unsigned i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		assert_string_equal(text_of(p, i), left[i]);
}

/* What is lost only when it has been stopped already is told as well. */
static void test_lost_at_the_end(void **state)
{
	const struct place *p = *state;
	struct trace_writer *w;
	unsigned lost = 0;
	char name[96];
	int err;

	assert_int_equal(begin(&w, p, ONE, 2), 0);
	put(w, "record...0");
	wait_text(p, 0, "head:record...0");
	limit_file_size(0);
	put(w, "record...1");
	assert_true(trace_writer_stop(w, LOOP_DEADLINE_MS, &lost, &err));
	limit_file_size(RLIM_INFINITY);
	assert_int_equal(lost, 1);
	assert_int_equal(err, -EFBIG);
	name_of(name, p, 1);
	assert_int_equal(access(name, F_OK), -1);
}

/* While nothing can be opened nothing is removed either. */
static void test_no_directory(void **state)
{
	const struct place *p = *state;
	struct trace_writer *w;
	char away[40];

	snprintf(away, sizeof(away), "%s-", p->directory);
	assert_int_equal(begin(&w, p, ONE, 2), 0);
	put(w, "record...0");
	put(w, "record...1");
	wait_text(p, 1, "head:record...1");
	assert_int_equal(rename(p->directory, away), 0);
	for (int i = 0; i < 3; i++)
		put(w, "record...x");
	wait_lost(w, 3);
	assert_int_equal(rename(away, p->directory), 0);
	assert_string_equal(text_of(p, 0), "head:record...0");
	put(w, "record...2");
	end(w);
	assert_string_equal(text_of(p, 0), "");
	assert_string_equal(text_of(p, 1), "head:record...1");
	assert_string_equal(text_of(p, 2), "head:record...2");
}

/* What is after half a record can be read only if that half is gone. */
static void test_full_in_a_record(void **state)
{
	const struct place *p = *state;
	struct trace_writer *w;

	assert_int_equal(begin(&w, p, 1 << 20, 2), 0);
	put(w, "record...0");
	wait_text(p, 0, "head:record...0");
	limit_file_size(ONE + RECORD_SIZE / 2);
	put(w, "record...1");
	wait_lost(w, 1);
	assert_string_equal(text_of(p, 0), "head:record...0");
	limit_file_size(RLIM_INFINITY);
	put(w, "record...2");
	end(w);
	assert_string_equal(text_of(p, 0), "head:record...0record...2");
}

/* A file that has no header is none. */
static void test_full_in_a_header(void **state)
{
	const struct place *p = *state;
	struct trace_writer *w;
	char name[96];

	limit_file_size(BEGIN_SIZE / 2);
	assert_int_equal(begin(&w, p, ONE, 2), -EFBIG);
	assert_int_equal(access(p->path, F_OK), -1);
	limit_file_size(RLIM_INFINITY);
	assert_int_equal(begin(&w, p, ONE, 2), 0);
	put(w, "record...0");
	wait_text(p, 0, "head:record...0");
	limit_file_size(BEGIN_SIZE / 2);
	put(w, "record...1");
	wait_lost(w, 1);
	name_of(name, p, 1);
	assert_int_equal(access(name, F_OK), -1);
	limit_file_size(RLIM_INFINITY);
	put(w, "record...2");
	end(w);
	assert_string_equal(text_of(p, 0), "head:record...0");
	assert_string_equal(text_of(p, 1), "head:record...2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_same_name_again),
	    TEST(test_lost_at_the_end),
	    TEST(test_no_directory),
	    TEST(test_full_in_a_record),
	    TEST(test_full_in_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
