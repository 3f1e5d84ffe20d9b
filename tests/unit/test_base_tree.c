/* Trees by hand: what is found in them, and how faults are told. */
#include "base/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct tree *text(const char *bytes, bool quoted)
{
	struct tree *node = tree_new(TREE_TEXT, 1, 1);

	assert_non_null(node);
	node->text = (struct slice){slice_dup(slice_of(bytes)), strlen(bytes)};
	node->quoted = quoted;
	return node;
}

static struct tree *named(const char *name, struct tree *value)
{
	value->key = text(name, false);
	return value;
}

/* {a: x, b: [y, {c: z}]} */
static struct tree *sample(void)
{
	struct tree *root = tree_new(TREE_MAP, 1, 1), *list = tree_new(TREE_LIST, 2, 1);
	struct tree *map = tree_new(TREE_MAP, 3, 1);

	tree_append(map, named("c", text("z", false)));
	tree_append(list, text("y", false));
	tree_append(list, map);
	tree_append(root, named("a", text("x", false)));
	tree_append(root, named("b", list));
	return root;
}

static void test_find(void **state)
{
	struct tree *root = sample();

	(void)state;
	assert_true(slice_equal(tree_find(root, SLICE("a"))->text, SLICE("x")));
	assert_null(tree_find(root, SLICE("A")));
	assert_null(tree_find(root->first, SLICE("a")));
	assert_null(tree_find(NULL, SLICE("a")));
	tree_free(root);
	tree_free(NULL);
}

static void test_walk(void **state)
{
	static const struct {
		const char *path;
		unsigned line; /* of the node that is found */
		bool exact;
	} cases[] = {
	    {"a", 1, true},
	    {"b", 2, true},
	    {"b.0", 1, true},
	    {"b.1", 3, true},
	    {"b.1.c", 1, true},
	    {"b.1.d", 3, false},
	    {"b.2", 2, false},
	    {"b.x", 2, false},
	    {"b.99999999999999999999", 2, false},
	    {"z", 1, false},
	    {"a.b.c", 1, false},
	};
	struct tree *root = sample();
	bool exact = true;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tree *node = tree_walk(root, cases[i].path, &exact);

		assert_int_equal(node->line, cases[i].line);
		assert_int_equal(exact, cases[i].exact);
	}
	assert_null(tree_walk(NULL, "a", &exact));
	assert_false(exact);
	tree_free(root);
}

static void test_null(void **state)
{
	static const struct {
		const char *bytes;
		bool quoted, null;
	} cases[] = {
	    {"", false, true},
	    {"null", false, true},
	    {"~", false, true},
	    {"", true, false},
	    {"null", true, false},
	    {"Null", false, false},
	    {"0", false, false},
	};

	(void)state;
	assert_true(tree_is_null(NULL));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tree *node = text(cases[i].bytes, cases[i].quoted);

		assert_int_equal(tree_is_null(node), cases[i].null);
		node->block = true;
		assert_false(tree_is_null(node));
		tree_free(node);
	}
}

static void test_faults(void **state)
{
	struct tree at = {.line = 4, .column = 2};
	struct tree_fault fault;

	(void)state;
	assert_int_equal(tree_fail(&fault, &at, "%s is wrong", "this"), -EINVAL);
	assert_int_equal(fault.line, 4);
	assert_int_equal(fault.column, 2);
	assert_string_equal(fault.text, "this is wrong");
	assert_int_equal(tree_fail_memory(&fault), -ENOMEM);
	assert_int_equal(fault.line, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_walk),
	    cmocka_unit_test(test_null),
	    cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
