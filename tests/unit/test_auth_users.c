/* The users of a config: maps, lines of htdigest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/users.h"

#define HA1 "0123456789abcdef0123456789ABCDEF"

struct fixture {
	struct auth_user rows[3], more[2];
	struct setting_list map, second;
	struct auth_sources sources;
	char path[64];
	struct users *users;
	struct reason why;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	f->rows[0] = (struct auth_user){"alice", "secret", NULL, NULL};
	f->rows[1] = (struct auth_user){"bob", NULL, HA1, NULL};
	f->rows[2] = (struct auth_user){"carol", NULL, NULL, HA1 HA1};
	f->more[0] = (struct auth_user){"alice", "another", NULL, NULL};
	f->more[1] = (struct auth_user){"erin", "hers", NULL, NULL};
	f->map = (struct setting_list){f->rows, 3};
	f->second = (struct setting_list){f->more, 2};
	f->sources = (struct auth_sources){.maps = {&f->map, &f->second}};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	users_free(f->users);
	if (f->path[0])
		unlink(f->path);
	test_free(f);
	return 0;
}

static int load(struct fixture *f, const char *lines)
{
	if (lines) {
		int fd;

		snprintf(f->path, sizeof(f->path), "/tmp/htdigest-XXXXXX");
		fd = mkstemp(f->path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, lines, strlen(lines)), strlen(lines));
		close(fd);
		f->sources.htdigest = f->path;
	}
	return users_new(&f->users, &f->sources, &f->why);
}

static bool find(struct fixture *f, const char *name, const char *realm,
    struct digest_secret *secret)
{
	return users_find(f->users, slice_of(name), slice_of(realm), secret);
}

static void rows_of_the_maps(void **state)
{
	struct fixture *f = *state;
	struct digest_secret secret;

	assert_int_equal(load(f, NULL), 0);
	assert_true(find(f, "alice", "any", &secret));
	assert_true(slice_equal(secret.password, SLICE("secret")));
	assert_null(secret.ha1.p);
	assert_true(find(f, "bob", "any", &secret));
	assert_true(slice_equal(secret.ha1, SLICE(HA1)));
	assert_true(find(f, "carol", "any", &secret));
	assert_true(slice_equal(secret.ha1_sha256, SLICE(HA1 HA1)));
	assert_true(find(f, "erin", "any", &secret));
	assert_true(slice_equal(secret.password, SLICE("hers")));
	assert_false(find(f, "Alice", "any", &secret));
	assert_false(find(f, "", "any", &secret));
	assert_false(find(f, "alice:", "any", &secret));
}

static void lines_of_htdigest(void **state)
{
	struct fixture *f = *state;
	struct digest_secret secret;
	char *long_name = malloc(5000);

	assert_int_equal(load(f,
			     "# comment\n\ndave:example.org:" HA1 "\r\n"
			     "dave:other.org:ffffffffffffffffffffffffffffffff\n"
			     "dave:example.org:00000000000000000000000000000000\n"
			     "alice:example.org:" HA1),
	    0);
	assert_true(find(f, "dave", "example.org", &secret));
	assert_true(slice_equal(secret.ha1, SLICE("00000000000000000000000000000000")));
	assert_true(find(f, "dave", "other.org", &secret));
	assert_false(find(f, "dave", "example.com", &secret));
	assert_false(find(f, "dave:example.org", "", &secret));
	/* The config's row comes first. */
	assert_true(find(f, "alice", "example.org", &secret));
	assert_true(slice_equal(secret.password, SLICE("secret")));
	memset(long_name, 'x', 4999);
	long_name[4999] = '\0';
	assert_false(find(f, long_name, "example.org", &secret));
	free(long_name);
}

static void bad_lines(void **state)
{
	static const char *const lines[] = {
	    "dave\n",
	    "dave:example.org\n",
	    "dave:example.org:\n",
	    "dave:" HA1 "\n",
	    "dave:example.org:0123\n",
	    "dave:example.org:x123456789abcdef0123456789abcdef\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (load(f, lines[i]) != -EINVAL)
			fail_msg("accepted: %s", lines[i]);
		assert_non_null(strstr(f->why.text, ":1: "));
		unlink(f->path);
		f->path[0] = '\0';
	}
	f->sources.htdigest = "/nonexistent/htdigest";
	assert_int_equal(load(f, NULL), -ENOENT);
	assert_non_null(strstr(f->why.text, "/nonexistent/htdigest"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(rows_of_the_maps, setup, teardown),
	    cmocka_unit_test_setup_teardown(lines_of_htdigest, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
