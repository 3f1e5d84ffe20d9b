/* What of the disk may be sent, and what is opened when somebody swaps it meanwhile. */
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
#include <unistd.h>

#include <cmocka.h>

#include "files/priv.h"
#include "directory.h"

/* below it: in/file, in/deep/er/file, out/file */
struct place {
	char directory[32], in[48];
	struct ua_files settings;
};

static const char *name_of(const struct place *p, const char *name)
{
	static char text[2][128];
	static int which;

	which = !which;
	snprintf(text[which], sizeof(text[which]), "%s/%s", p->directory, name);
	return text[which];
}

static void put(const struct place *p, const char *name, const char *content)
{
	FILE *f = fopen(name_of(p, name), "w");

	assert_non_null(f);
	fputs(content, f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->directory, "/tmp/msrpd-source-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->in, sizeof(p->in), "%s/in", p->directory);
	p->settings.directory = p->in;
	assert_int_equal(mkdir(p->in, 0700), 0);
	assert_int_equal(mkdir(name_of(p, "in/deep"), 0700), 0);
	assert_int_equal(mkdir(name_of(p, "in/deep/er"), 0700), 0);
	assert_int_equal(mkdir(name_of(p, "out"), 0700), 0);
	put(p, "in/file", "i");
	put(p, "in/deep/er/file", "d");
	put(p, "out/file", "o");
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

static const char *find(const struct place *p, struct source *source, const char *name)
{
	return source_find(source, slice_of(name_of(p, name)), &p->settings);
}

static void assert_content(const struct source *source, char expected)
{
	int fd = source_open(source);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(c, expected);
	close(fd);
}

static void test_inside(void **state)
{
	struct place *p = *state;
	struct source source;

	assert_null(find(p, &source, "in/file"));
	assert_content(&source, 'i');
	assert_null(find(p, &source, "in/deep/er/file"));
	assert_content(&source, 'd');
	/* all of the disk */
	p->settings.directory = (char *)"/";
	assert_null(find(p, &source, "out/file"));
	assert_content(&source, 'o');
}

static void test_links(void **state)
{
	const struct place *p = *state;
	struct source source;

	assert_int_equal(symlink("deep/er/file", name_of(p, "in/link")), 0);
	assert_int_equal(symlink(name_of(p, "in"), name_of(p, "also")), 0);
	assert_int_equal(symlink("../out/file", name_of(p, "in/away")), 0);
	assert_null(find(p, &source, "in/link"));
	assert_content(&source, 'd');
	assert_null(find(p, &source, "also/file"));
	assert_content(&source, 'i');
	assert_non_null(find(p, &source, "in/away"));
	assert_non_null(find(p, &source, "out/file"));
	assert_non_null(find(p, &source, "in"));
	assert_non_null(find(p, &source, "in/nothing"));
	assert_non_null(source_find(&source, SLICE("in/file"), &p->settings));
}

/* The name was good when it was judged. */
static void test_swapped(void **state)
{
	const struct place *p = *state;
	struct source source;

	assert_null(find(p, &source, "in/file"));
	assert_int_equal(unlink(name_of(p, "in/file")), 0);
	assert_int_equal(symlink("../out/file", name_of(p, "in/file")), 0);
	assert_int_equal(source_open(&source), -ELOOP);
	assert_null(find(p, &source, "in/deep/er/file"));
	assert_int_equal(rename(name_of(p, "in/deep/er"), name_of(p, "in/deep/was")), 0);
	assert_int_equal(symlink("../../out", name_of(p, "in/deep/er")), 0);
	assert_int_equal(source_open(&source), -ENOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_inside),
	    TEST(test_links),
	    TEST(test_swapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
