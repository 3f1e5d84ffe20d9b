/* Settings of every type, read by rows of this test's own. */
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/tree.h"
#include "config_yaml.h"

struct user {
	char *name, *password;
	uint64_t limit;
};

struct all {
	bool flag;
	uint64_t number, bounded, duration, size, mode;
	char *text, *preset, *secret, *file;
	int choice;
	struct setting_list texts, items, users;
	struct {
		uint64_t depth;
		struct {
			char *leaf;
		} inner;
	} group;
};

static const char *const choices[] = {"red", "green", NULL};

static int check_text(const void *value, struct reason *why)
{
	if ((*(char *const *)value)[0] != 'x')
		return 0;
	return reason_set(why, -EINVAL, "must not begin with x");
}

static int check_user(const void *value, struct reason *why)
{
	const struct user *user = value;

	if (!user->name || strcmp(user->name, user->password) != 0)
		return 0;
	return reason_set(why, -EINVAL, "has a password equal to the name");
}

static int check_group(const void *value, struct reason *why)
{
	if (*(const uint64_t *)value != 13)
		return 0;
	return reason_set(why, -EINVAL, "is too deep");
}

#define AT(field) .offset = offsetof(struct all, field)
static const struct setting user_rows[] = {
    {.name = "password",
	.type = SETTING_SECRET,
	.offset = offsetof(struct user, password),
	.flags = SETTING_REQUIRED},
    {.name = "limit",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct user, limit),
	.preset = "7"},
    {0},
};

static const struct setting inner_rows[] = {
    {.name = "leaf", .type = SETTING_TEXT, .offset = 0, .preset = "green", .flags = SETTING_FIXED},
    {0},
};

static const struct setting group_rows[] = {
    {.name = "depth", .type = SETTING_NUMBER, .offset = 0, .preset = "3"},
    {.name = "inner", .type = SETTING_GROUP, .offset = sizeof(uint64_t), .group = inner_rows},
    {0},
};

static const struct setting rows[] = {
    {.name = "flag", .type = SETTING_BOOL, AT(flag), .preset = "true"},
    {.name = "number", .type = SETTING_NUMBER, AT(number), .preset = "5"},
    {.name = "bounded", .type = SETTING_NUMBER, AT(bounded), .preset = "10", .min = 1, .max = 20},
    {.name = "duration", .type = SETTING_DURATION, AT(duration), .preset = "30s", .max = 3600000},
    {.name = "size",
	.type = SETTING_SIZE,
	AT(size),
	.preset = "64KiB",
	.min = 1024,
	.max = 1 << 30},
    {.name = "mode", .type = SETTING_MODE, AT(mode), .preset = "0660", .max = 0777},
    {.name = "text", .type = SETTING_TEXT, AT(text), .check = check_text},
    {.name = "preset", .type = SETTING_TEXT, AT(preset), .preset = "ready"},
    {.name = "secret", .type = SETTING_SECRET, AT(secret), .flags = SETTING_FIXED},
    {.name = "file", .type = SETTING_FILE, AT(file)},
    {.name = "choice", .type = SETTING_CHOICE, AT(choice), .preset = "green", .choices = choices},
    {.name = "texts",
	.type = SETTING_TEXTS,
	AT(texts),
	.check = check_text,
	.flags = SETTING_FIXED},
    {.name = "items",
	.type = SETTING_LIST,
	AT(items),
	.group = user_rows,
	.item_size = sizeof(struct user),
	.check = check_user},
    {.name = "users",
	.type = SETTING_MAP,
	AT(users),
	.group = user_rows,
	.item_size = sizeof(struct user),
	.check = check_user,
	.flags = SETTING_FIXED},
    {.name = "group", .type = SETTING_GROUP, AT(group), .group = group_rows, .check = check_group},
    {.name = "tree", .type = SETTING_TREE},
    {0},
};

static int read_text(struct all *all, const char *yaml, struct tree_fault *fault)
{
	struct tree *root;
	int err = config_compose(&root, slice_of(yaml), fault);

	*all = (struct all){0};
	if (err == 0)
		err = settings_read(all, rows, root, fault);
	tree_free(root);
	return err;
}

static void must_read(struct all *all, const char *yaml)
{
	struct tree_fault fault;

	if (read_text(all, yaml, &fault) < 0)
		fail_msg("%u:%u: %s in: %s", fault.line, fault.column, fault.text, yaml);
}

static char secret_path[] = "/tmp/test_config_secret.XXXXXX";

static int write_secret(void **state)
{
	int fd = mkstemp(secret_path);

	(void)state;
	return fd < 0 || write(fd, "pa ss\r\nmore\n", 12) != 12 || close(fd) < 0 ? -1 : 0;
}

static int remove_secret(void **state)
{
	(void)state;
	return unlink(secret_path);
}

static void assert_presets(const struct all *all)
{
	assert_true(all->flag);
	assert_int_equal(all->number, 5);
	assert_int_equal(all->bounded, 10);
	assert_int_equal(all->duration, 30000);
	assert_int_equal(all->size, 65536);
	assert_int_equal(all->mode, 0660);
	assert_null(all->text);
	assert_string_equal(all->preset, "ready");
	assert_null(all->secret);
	assert_null(all->file);
	assert_int_equal(all->choice, 1);
	assert_int_equal(all->texts.count, 0);
	assert_int_equal(all->users.count, 0);
	assert_int_equal(all->group.depth, 3);
	assert_string_equal(all->group.inner.leaf, "green");
}

static void test_presets(void **state)
{
	static const char *const nothing[] = {"", "# empty\n", "{}", "---\n...\n", "null",
	    "group:\n", "group: {inner: }", "group: null\ntexts:\nitems:\nusers: ~\ntree:"};

	(void)state;
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		struct all all;

		must_read(&all, nothing[i]);
		assert_presets(&all);
		settings_clear(&all, rows);
	}
}

static void test_values(void **state)
{
	struct all all;
	char yaml[1024];

	(void)state;
	snprintf(yaml, sizeof(yaml),
	    "flag: false\nnumber: 0123\nbounded: \"20\"\nduration: 5m\nsize: 1MiB\nmode: 0700\n"
	    "text: null\npreset: '1.2'\nsecret: {file: %s}\nfile: %s\nchoice: red\n"
	    "texts: [a, 'b c']\nitems: [{password: p}, {password: {file: %s}, limit: 9}]\n"
	    "users: {alice: {password: x}, bob: {password: y, limit: 1}}\n"
	    "group: {depth: 1, inner: {leaf: x}}\ntree: [what, {ever: ''}]\n",
	    secret_path, secret_path, secret_path);
	must_read(&all, yaml);
	assert_false(all.flag);
	assert_int_equal(all.number, 123);
	assert_int_equal(all.bounded, 20);
	assert_int_equal(all.duration, 300000);
	assert_int_equal(all.size, 1 << 20);
	assert_int_equal(all.mode, 0700);
	assert_string_equal(all.text, "null");
	assert_string_equal(all.preset, "1.2");
	assert_string_equal(all.secret, "pa ss");
	assert_string_equal(all.file, secret_path);
	assert_int_equal(all.choice, 0);
	assert_int_equal(all.texts.count, 2);
	assert_string_equal(((char **)all.texts.items)[1], "b c");
	assert_int_equal(all.items.count, 2);
	assert_string_equal(((struct user *)all.items.items)[1].password, "pa ss");
	assert_int_equal(((struct user *)all.items.items)[0].limit, 7);
	assert_int_equal(all.users.count, 2);
	assert_string_equal(((struct user *)all.users.items)[1].name, "bob");
	assert_int_equal(((struct user *)all.users.items)[1].limit, 1);
	assert_int_equal(all.group.depth, 1);
	settings_clear(&all, rows);
}

static void test_one_text_for_a_list(void **state)
{
	struct all all;

	(void)state;
	must_read(&all, "texts: alone");
	assert_int_equal(all.texts.count, 1);
	assert_string_equal(((char **)all.texts.items)[0], "alone");
	settings_clear(&all, rows);
}

static const struct {
	const char *yaml;
	uint64_t ms;
} durations[] = {
    {"0", 0},
    {"30", 30000},
    {"500ms", 500},
    {"30s", 30000},
    {"5m", 300000},
    {"1h", 3600000},
    {"'60'", 60000},
    {"007s", 7000},
};

static void test_durations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		struct all all;
		char yaml[64];

		snprintf(yaml, sizeof(yaml), "duration: %s", durations[i].yaml);
		must_read(&all, yaml);
		assert_int_equal(all.duration, durations[i].ms);
		settings_clear(&all, rows);
	}
}

static const struct {
	const char *yaml;
	unsigned line, column;
	const char *text;
} faults[] = {
    {"a text", 1, 1, "a map of keys is wanted, not a text"},
    {"[]", 1, 1, "a map of keys is wanted, not a list"},
    {"flag: true\nnumbr: 1", 2, 1, "unknown key numbr; did you mean number?"},
    {"zzzzzz: 1", 1, 1, "unknown key zzzzzz"},
    {"group: {inner: {laef: x}}", 1, 17, "unknown key laef; did you mean leaf?"},
    {"users: {a: {password: x, limits: 1}}", 1, 26, "unknown key limits; did you mean limit?"},
    {"flag: true\nnumber: 1\nflag: false", 3, 1, "flag is given twice, first in line 1"},
    {"users: {a: {password: x}, 'a': {password: x}}", 1, 27, "a is given twice, first in line 1"},

    {"flag: yes", 1, 7, "flag: \"yes\" is neither true nor false"},
    {"flag: True", 1, 7, "flag: \"True\" is neither true nor false"},
    {"flag: 1", 1, 7, "flag: \"1\" is neither true nor false"},
    {"flag: [true]", 1, 7, "flag wants one value, not a list"},
    {"flag: ", 1, 1, "flag has no value"},
    {"number: -1", 1, 9, "number: \"-1\" is not a whole number"},
    {"number: 1.5", 1, 9, "number: \"1.5\" is not a whole number"},
    {"number: 64KiB", 1, 9, "number: \"64KiB\" is not a whole number"},
    {"number: ''", 1, 9, "number: \"\" is not a whole number"},
    {"number:", 1, 1, "number has no value"},
    {"number: null", 1, 9, "number: \"null\" is not a whole number"},
    {"bounded: 0", 1, 10, "bounded: 0 is out of range, 1 to 20"},
    {"bounded: 21", 1, 10, "bounded: 21 is out of range, 1 to 20"},
    {"bounded: 99999999999999999999", 1, 10,
	"bounded: 99999999999999999999 is out of range, 1 to 20"},
    {"duration: 5 m", 1, 11, "duration: \"5 m\" is not a duration such as"},
    {"duration: 5d", 1, 11, "duration: \"5d\" is not a duration such as"},
    {"duration: s", 1, 11, "duration: \"s\" is not a duration such as"},
    {"duration: 2h", 1, 11, "duration: 2h is out of range, 0 to 1h"},
    {"duration: 18446744073709551615h", 1, 11,
	"duration: 18446744073709551615h is out of range, 0 to 1h"},
    {"size: 64k", 1, 7, "size: \"64k\" is not a size such as"},
    {"size: 64 KiB", 1, 7, "size: \"64 KiB\" is not a size such as"},
    {"size: 2GiB", 1, 7, "size: 2GiB is out of range, 1KiB to 1GiB"},
    {"size: 18014398509481985KiB", 1, 7,
	"size: 18014398509481985KiB is out of range, 1KiB to 1GiB"},
    {"mode: 0888", 1, 7, "mode: \"0888\" is not an octal mode such as 0660"},
    {"mode: 01000", 1, 7, "mode: 01000 is out of range, 0000 to 0777"},
    {"mode: rw", 1, 7, "mode: \"rw\" is not an octal mode such as 0660"},
    {"choice: blue", 1, 9, "choice: \"blue\" is none of: red, green"},
    {"text: xyz", 1, 7, "text must not begin with x"},
    {"text:", 1, 1, "text has no value"},
    {"texts: [a, xyz]", 1, 12, "texts must not begin with x"},
    {"texts: [a, [b]]", 1, 12, "texts wants texts, not a list"},
    {"texts: [a, ~]", 1, 12, "texts has an empty item"},
    {"texts: {a: b}", 1, 8, "texts wants a list, not a map"},
    {"items: {password: x}", 1, 8, "items wants a list, not a map"},
    {"items: x", 1, 8, "items wants a list, not a text"},
    {"items: [x]", 1, 9, "items wants a list of maps, not a text"},
    {"items: [{limit: 1}]", 1, 9, "password is missing"},
    {"users: [{password: x}]", 1, 8, "users wants a map, not a list"},
    {"users: {alice: secret}", 1, 16, "users wants a map of maps, not a text"},
    {"users: {'': {password: x}}", 1, 9, "users has an empty name"},
    {"users:\n  bob:\n    password: bob", 3, 5, "users has a password equal to the name"},
    {"group: x", 1, 8, "group wants a map, not a text"},
    {"group: {depth: 13}", 1, 8, "group is too deep"},
    {"secret: {file: x, y: z}", 1, 9, "secret wants a text or {file: PATH}"},
    {"secret: {flie: x}", 1, 9, "secret wants a text or {file: PATH}"},
    {"secret: {file: [x]}", 1, 9, "secret wants a text or {file: PATH}"},
    {"secret: [x]", 1, 9, "secret wants a text or {file: PATH}"},
    {"secret: {file: /nonexistent}", 1, 16, "secret: /nonexistent: No such file or directory"},
    {"secret: {file: /dev/null}", 1, 16, "secret: /dev/null holds no secret in its first line"},
    {"secret: {file: /dev/zero}", 1, 16, "secret: /dev/zero holds no secret in its first line"},
    {"file: /nonexistent", 1, 7, "file: /nonexistent: No such file or directory"},
    {"file: /", 1, 7, "file: / is not a file"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct tree_fault fault = {0};
		struct all all;
		int err = read_text(&all, faults[i].yaml, &fault);

		settings_clear(&all, rows);
		if (err != -EINVAL)
			fail_msg("%d for: %s", err, faults[i].yaml);
		if (strncmp(fault.text, faults[i].text, strlen(faults[i].text)) != 0
		    || fault.line != faults[i].line || fault.column != faults[i].column)
			fail_msg("%u:%u: %s in: %s", fault.line, fault.column, fault.text,
			    faults[i].yaml);
	}
}

static const struct {
	const char *old, *fresh, *key; /* key NULL: may change */
} changes[] = {
    {"", "", NULL},
    {"", "flag: false\nnumber: 9\ntext: a\nitems: [{password: x}]\ngroup: {depth: 9}", NULL},
    {"secret: a", "secret: a", NULL},
    {"secret: a", "secret: b", "secret"},
    {"secret: a", "", "secret"},
    {"", "texts: a", "texts"},
    {"texts: [a]", "texts: a", NULL},
    {"texts: [a, b]", "texts: [a, c]", "texts"},
    {"users: {a: {password: x}}", "users: {a: {password: x}}", NULL},
    {"users: {a: {password: x}}", "users: {b: {password: x}}", "users"},
    {"users: {a: {password: x}}", "users: {a: {password: x, limit: 1}}", "users"},
    {"", "group: {inner: {leaf: red}}", "group.inner.leaf"},
    {"", "group: {inner: {leaf: green}}", NULL},
};

static void test_fixed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct all old, fresh;
		char key[SETTINGS_KEY_SIZE] = "";
		bool differs;

		must_read(&old, changes[i].old);
		must_read(&fresh, changes[i].fresh);
		differs = settings_fixed_differs(&old, &fresh, rows, key);
		if (differs != (changes[i].key != NULL)
		    || (differs && strcmp(key, changes[i].key) != 0))
			fail_msg("%s -> %s: %d %s", changes[i].old, changes[i].fresh, differs, key);
		settings_clear(&old, rows);
		settings_clear(&fresh, rows);
	}
}

static void test_find(void **state)
{
	struct all all;
	const void *value = NULL;

	(void)state;
	must_read(&all, "");
	assert_ptr_equal(settings_find(rows, "size", &all, &value), &rows[4]);
	assert_ptr_equal(value, &all.size);
	assert_ptr_equal(settings_find(rows, "group.inner.leaf", &all, &value), &inner_rows[0]);
	assert_ptr_equal(value, &all.group.inner.leaf);
	assert_null(settings_find(rows, "group.outer", &all, NULL));
	assert_null(settings_find(rows, "size.inner", &all, NULL));
	settings_clear(&all, rows);
}

static void test_print(void **state)
{
	static const struct {
		enum setting_type type;
		uint64_t number;
		const char *text;
	} prints[] = {
	    {SETTING_DURATION, 0, "0"},
	    {SETTING_DURATION, 30000, "30s"},
	    {SETTING_DURATION, 90000, "90s"},
	    {SETTING_DURATION, 1500, "1500ms"},
	    {SETTING_DURATION, 7200000, "2h"},
	    {SETTING_SIZE, 65536, "64KiB"},
	    {SETTING_SIZE, 1000, "1000"},
	    {SETTING_SIZE, 1 << 30, "1GiB"},
	    {SETTING_MODE, 0660, "0660"},
	    {SETTING_NUMBER, 65536, "65536"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		struct setting row = {.type = prints[i].type};
		char text[32];

		settings_print(&row, prints[i].number, text, sizeof(text));
		assert_string_equal(text, prints[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_presets),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_one_text_for_a_list),
	    cmocka_unit_test(test_durations),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_fixed),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, write_secret, remove_secret);
}
