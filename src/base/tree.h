/*
 * A config file as a tree of texts, lists and maps, each with its place in the
 * file.  Knows no file format: src/config_yaml.c grows it, the settings reader and
 * the rules engine read it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/slice.h>

enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

/** A node; it owns all below it. */
struct tree {
	enum tree_kind kind;
	struct slice text;         /* of a TREE_TEXT: no NUL inside, one behind */
	bool quoted;               /* text in quotes: "null" is a word then */
	bool block;                /* text in block style, | or > */
	unsigned line, column;     /* from 1 */
	struct tree *key;          /* of a value in a map: its name, a TREE_TEXT; else NULL */
	struct tree *next;         /* sibling */
	struct tree *first, *last; /* children of a list or map, in the order of the file */
};

/** What is wrong, and where.  line 0: nowhere in particular. */
struct tree_fault {
	unsigned line, column;
	char text[240];
};

/** @return a node without children or text, or NULL when memory is out */
struct tree *tree_new(enum tree_kind kind, unsigned line, unsigned column);

/** With all below; accepts NULL. */
void tree_free(struct tree *node);

/** Hang child below a list or map.  Takes child. */
void tree_append(struct tree *parent, struct tree *child);

/** The value under a name of a map; NULL if there is none, or map is none (or NULL). */
const struct tree *tree_find(const struct tree *map, struct slice name);

/**
 * The node that a path leads to: names and, in lists, indices from 0, joined by dots.
 * Where the path leads nowhere exactp becomes false and the result is the last node on its way.
 */
const struct tree *tree_walk(const struct tree *root, const char *path, bool *exactp);

/** Does the node stand for nothing: no node, no text, or an unquoted null or ~? */
bool tree_is_null(const struct tree *node);

/** "a text", "a list", "a map", for messages */
const char *tree_kind_name(const struct tree *node);

/** Note what is wrong at a node (NULL: nowhere).  @return -EINVAL, for the caller to return */
int tree_fail(struct tree_fault *fault, const struct tree *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same for memory that is out.  @return -ENOMEM */
int tree_fail_memory(struct tree_fault *fault);
