#include "base/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct tree *tree_new(enum tree_kind kind, unsigned line, unsigned column)
{
	struct tree *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = line;
	node->column = column;
	return node;
}

void tree_free(struct tree *node)
{
	struct tree *child, *next;

	if (!node)
		return;
	for (child = node->first; child; child = next) {
		next = child->next;
		tree_free(child);
	}
	tree_free(node->key);
	/* It may be a password. */
	slice_free_secret((char *)node->text.p);
	free(node);
}

void tree_append(struct tree *parent, struct tree *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

const struct tree *tree_find(const struct tree *map, struct slice name)
{
	if (!map || map->kind != TREE_MAP)
		return NULL;
	for (const struct tree *n = map->first; n; n = n->next)
		if (slice_equal(n->key->text, name))
			return n;
	return NULL;
}

static const struct tree *list_item(const struct tree *list, struct slice index)
{
	const struct tree *n = list->first;
	uint64_t i;

	if (slice_to_u64(index, SIZE_MAX, &i) < 0)
		return NULL;
	while (n && i--)
		n = n->next;
	return n;
}

const struct tree *tree_walk(const struct tree *root, const char *path, bool *exactp)
{
	struct slice rest = slice_of(path), step;
	const struct tree *node = root, *next;

	*exactp = false;
	while (node && slice_cut(&rest, '.', &step)) {
		next = node->kind == TREE_LIST ? list_item(node, step) : tree_find(node, step);
		if (!next)
			return node;
		node = next;
	}
	*exactp = node != NULL;
	return node;
}

bool tree_is_null(const struct tree *node)
{
	if (!node)
		return true;
	if (node->kind != TREE_TEXT || node->quoted || node->block)
		return false;
	return node->text.len == 0 || slice_equal(node->text, SLICE("null"))
	    || slice_equal(node->text, SLICE("~"));
}

const char *tree_kind_name(const struct tree *node)
{
	static const char *const names[] = {"a text", "a list", "a map"};

	return names[node->kind];
}

int tree_fail(struct tree_fault *fault, const struct tree *at, const char *format, ...)
{
	va_list args;

	fault->line = at ? at->line : 0;
	fault->column = at ? at->column : 0;
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return -EINVAL;
}

int tree_fail_memory(struct tree_fault *fault)
{
	tree_fail(fault, NULL, "out of memory");
	return -ENOMEM;
}
