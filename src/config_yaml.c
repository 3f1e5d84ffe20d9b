#include "config_yaml.h"

#include <stdio.h>
#include <stdlib.h>

#include <yaml.h>

#include <msrpd/slice.h>

#include "base/tree.h"

/* Bounds on what a file may cost us, beside its size. */
enum {
	NODES_MAX = 1 << 20, /* texts, lists and maps */
	DEPTH_MAX = 24,      /* of lists and maps in each other */
};

struct composer {
	yaml_parser_t parser;
	struct slice text;
	size_t index, offset; /* a character of text, and its first byte */
	size_t nodes;
	struct tree_fault *fault;
};

static int fail_at(struct composer *c, const yaml_mark_t *mark, const char *what)
{
	struct tree at = {
	    .line = (unsigned)mark->line + 1,
	    .column = (unsigned)mark->column + 1,
	};

	return tree_fail(c->fault, &at, "%s", what);
}

static int next_event(struct composer *c, yaml_event_t *event)
{
	yaml_parser_t *p = &c->parser;
	char what[200];

	if (yaml_parser_parse(p, event))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return tree_fail_memory(c->fault);
	snprintf(what, sizeof(what), "%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
	    p->problem ? p->problem : "not YAML");
	/* A byte that is no UTF-8 is met by the reader, which keeps no mark of its own. */
	return fail_at(c, p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark, what);
}

/* It may be a password. */
static void forget_event(yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		explicit_bzero(event->data.scalar.value, event->data.scalar.length);
	yaml_event_delete(event);
}

/* What libyaml has read, and read ahead of a fault. */
static void forget_parser(yaml_parser_t *p)
{
	for (yaml_token_t *t = p->tokens.head; t < p->tokens.tail; t++)
		if (t->type == YAML_SCALAR_TOKEN)
			explicit_bzero(t->data.scalar.value, t->data.scalar.length);
	explicit_bzero(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
	explicit_bzero(p->raw_buffer.start, (size_t)(p->raw_buffer.end - p->raw_buffer.start));
	yaml_parser_delete(p);
}

/* The byte of the text at a mark.  Marks count characters, and only ever go forward. */
static char byte_at(struct composer *c, const yaml_mark_t *mark)
{
	while (c->offset < c->text.len && c->index < mark->index) {
		c->offset++;
		while (c->offset < c->text.len && (c->text.p[c->offset] & 0xc0) == 0x80)
			c->offset++;
		c->index++;
	}
	return c->offset < c->text.len ? c->text.p[c->offset] : '\0';
}

/*
 * Anchors, aliases and tags would let a pattern that lacks its quotes vanish.  libyaml
 * itself swallows the tag "!", so the text has to be looked at.
 */
static int refuse_marks(struct composer *c, const yaml_event_t *event)
{
	if (event->type == YAML_ALIAS_EVENT)
		return fail_at(c, &event->start_mark,
		    "aliases are not supported; a text that begins with * wants quotes");
	switch (byte_at(c, &event->start_mark)) {
	case '!':
		return fail_at(c, &event->start_mark,
		    "tags are not supported; a text that begins with ! wants quotes");
	case '&':
		return fail_at(c, &event->start_mark,
		    "anchors are not supported; a text that begins with & wants quotes");
	default:
		return 0;
	}
}

static struct tree *make_node(const yaml_event_t *event)
{
	enum tree_kind kind = event->type == YAML_SCALAR_EVENT ? TREE_TEXT
	    : event->type == YAML_MAPPING_START_EVENT          ? TREE_MAP
							       : TREE_LIST;

	return tree_new(kind, (unsigned)event->start_mark.line + 1,
	    (unsigned)event->start_mark.column + 1);
}

static int fill_text(struct composer *c, struct tree *node, const yaml_event_t *event)
{
	yaml_scalar_style_t style = event->data.scalar.style;

	node->text =
	    (struct slice){(const char *)event->data.scalar.value, event->data.scalar.length};
	if (memchr(node->text.p, '\0', node->text.len)) {
		node->text = (struct slice){NULL, 0};
		return fail_at(c, &event->start_mark, "a NUL in a text");
	}
	node->text.p = slice_dup(node->text);
	if (!node->text.p)
		return tree_fail_memory(c->fault);
	node->quoted =
	    style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	node->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
	return 0;
}

static int compose(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree **nodep);

static int compose_value(struct composer *c, unsigned depth, struct tree *parent, struct tree *key)
{
	yaml_event_t event;
	struct tree *value = NULL;
	int err = next_event(c, &event);

	if (err < 0)
		goto out;
	err = compose(c, &event, depth, &value);
	forget_event(&event);
	if (err < 0)
		goto out;
	value->key = key;
	tree_append(parent, value);
	return 0;
out:
	tree_free(key);
	return err;
}

static int compose_entry(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree *map)
{
	struct tree *key = NULL;
	int err;

	if (event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT)
		return fail_at(c, &event->start_mark, "a key must be a text");
	err = compose(c, event, depth, &key);
	return err < 0 ? err : compose_value(c, depth, map, key);
}

static int by_name(const void *a, const void *b)
{
	const struct tree *x = *(const struct tree *const *)a, *y = *(const struct tree *const *)b;
	int order = strcmp(x->key->text.p, y->key->text.p);

	if (order)
		return order;
	if (x->key->line != y->key->line)
		return x->key->line < y->key->line ? -1 : 1;
	return x->key->column < y->key->column ? -1 : x->key->column > y->key->column;
}

static int refuse_twins(struct composer *c, const struct tree *map)
{
	const struct tree **all, *n;
	size_t count = 0, i;
	int err = 0;

	for (n = map->first; n; n = n->next)
		count++;
	all = calloc(count + 1, sizeof(struct tree *));
	if (!all)
		return tree_fail_memory(c->fault);
	for (n = map->first, i = 0; n; n = n->next)
		all[i++] = n;
	qsort(all, count, sizeof(struct tree *), by_name);
	for (i = 1; i < count && err == 0; i++)
		if (slice_equal(all[i - 1]->key->text, all[i]->key->text))
			err = tree_fail(c->fault, all[i]->key,
			    "%.64s is given twice, first in line %u", all[i]->key->text.p,
			    all[i - 1]->key->line);
	free(all);
	return err;
}

static int compose_children(struct composer *c, unsigned depth, struct tree *parent)
{
	yaml_event_type_t end =
	    parent->kind == TREE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	yaml_event_t event;
	bool ended = false;
	int err = 0;

	while (err == 0 && !ended) {
		struct tree *item = NULL;

		err = next_event(c, &event);
		if (err < 0)
			return err;
		ended = event.type == end;
		if (!ended && parent->kind == TREE_MAP) {
			err = compose_entry(c, &event, depth, parent);
		} else if (!ended) {
			err = compose(c, &event, depth, &item);
			if (err == 0)
				tree_append(parent, item);
		}
		forget_event(&event);
	}
	return err == 0 && parent->kind == TREE_MAP ? refuse_twins(c, parent) : err;
}

/* The node that begins with an event, and all that is in it. */
static int compose(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree **nodep)
{
	struct tree *node;
	int err = refuse_marks(c, event);

	if (err < 0)
		return err;
	if (depth > DEPTH_MAX)
		return fail_at(c, &event->start_mark, "lists and maps are nested too deep");
	if (++c->nodes > NODES_MAX)
		return fail_at(c, &event->start_mark, "too many values");
	node = make_node(event);
	if (!node)
		return tree_fail_memory(c->fault);
	err = node->kind == TREE_TEXT ? fill_text(c, node, event)
				      : compose_children(c, depth + 1, node);
	if (err < 0)
		tree_free(node);
	else
		*nodep = node;
	return err;
}

/* The stream's one document; none, or an empty one, leaves *rootp NULL. */
static int compose_document(struct composer *c, struct tree **rootp)
{
	yaml_event_t event;
	bool ended = false;
	int err = 0;

	while (err == 0 && !ended) {
		err = next_event(c, &event);
		if (err < 0)
			return err;
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			ended = true;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (*rootp)
				err = fail_at(c, &event.start_mark, "a second document");
			break;
		default:
			err = compose(c, &event, 0, rootp);
		}
		forget_event(&event);
	}
	return err;
}

int config_compose(struct tree **rootp, struct slice text, struct tree_fault *fault)
{
	struct composer c = {.text = text, .fault = fault};
	struct tree *root = NULL;
	int err;

	*rootp = NULL;
	if (text.len > CONFIG_TEXT_MAX)
		return tree_fail(fault, NULL, "larger than %d MiB", CONFIG_TEXT_MAX >> 20);
	if (!yaml_parser_initialize(&c.parser))
		return tree_fail_memory(fault);
	yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&c.parser, (const unsigned char *)text.p, text.len);
	err = compose_document(&c, &root);
	forget_parser(&c.parser);
	if (err < 0)
		tree_free(root);
	else
		*rootp = root;
	return err;
}
