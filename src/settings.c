#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msrpd/slice.h>

#include "base/nearest.h"
#include "base/tree.h"

enum { SECRET_MAX = 4096 }; /* bytes of a secret's file that count */

/* A suffix and what it multiplies by; the largest first, so that printing finds it first. */
struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit durations[] = {
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
    {"", 1000},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"GiB", 1 << 30},
    {"MiB", 1 << 20},
    {"KiB", 1 << 10},
    {"", 1},
    {NULL, 0},
};

static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(const struct setting *row)
{
	switch (row->type) {
	case SETTING_DURATION:
		return durations;
	case SETTING_SIZE:
		return sizes;
	default:
		return plain;
	}
}

static void *at_offset(void *value, size_t offset)
{
	return (char *)value + offset;
}

static const void *at_offset_const(const void *value, size_t offset)
{
	return (const char *)value + offset;
}

/* --- numbers --- */

void settings_print(const struct setting *row, uint64_t number, char *text, size_t size)
{
	const struct unit *u = units_of(row);

	if (row->type == SETTING_MODE) {
		snprintf(text, size, "%04" PRIo64, number);
		return;
	}
	while (number % u->factor != 0)
		u++;
	snprintf(text, size, "%" PRIu64 "%s", number / u->factor, number ? u->suffix : "");
}

static int parse_mode(struct slice text, uint64_t *numberp)
{
	uint64_t number = 0;

	if (text.len == 0 || text.len > 5)
		return -EBADMSG;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '7')
			return -EBADMSG;
		number = number * 8 + (uint64_t)(text.p[i] - '0');
	}
	*numberp = number;
	return number > 07777 ? -ERANGE : 0;
}

static int parse_units(struct slice text, const struct unit *u, uint64_t *numberp)
{
	size_t digits = 0;
	int err;

	while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	for (; u->suffix; u++)
		if (slice_equal(slice_from(text, digits), slice_of(u->suffix)))
			break;
	if (!u->suffix)
		return -EBADMSG;
	err = slice_to_u64(slice_head(text, digits), UINT64_MAX / u->factor, numberp);
	*numberp *= u->factor;
	return err;
}

static int out_of_range(const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	char min[32], max[32];

	settings_print(row, row->min, min, sizeof(min));
	settings_print(row, row->max, max, sizeof(max));
	if (row->max)
		return tree_fail(fault, node, "%s: %.64s is out of range, %s to %s", row->name,
		    node->text.p, min, max);
	return tree_fail(fault, node, "%s: %.64s is out of range", row->name, node->text.p);
}

static const char *number_noun(enum setting_type type)
{
	switch (type) {
	case SETTING_DURATION:
		return "a duration such as 30, 500ms, 30s, 5m, 12h";
	case SETTING_SIZE:
		return "a size such as 4096, 64KiB, 1MiB, 1GiB";
	case SETTING_MODE:
		return "an octal mode such as 0660";
	default:
		return "a whole number";
	}
}

static int read_number(uint64_t *field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	uint64_t number = 0;
	int err = row->type == SETTING_MODE ? parse_mode(node->text, &number)
					    : parse_units(node->text, units_of(row), &number);

	if (err == -EBADMSG)
		return tree_fail(fault, node, "%s: \"%.64s\" is not %s", row->name, node->text.p,
		    number_noun(row->type));
	if (err < 0 || number < row->min || (row->max && number > row->max))
		return out_of_range(row, node, fault);
	*field = number;
	return 0;
}

/* --- words --- */

static int read_bool(bool *field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	*field = slice_equal(node->text, SLICE("true"));
	if (*field || slice_equal(node->text, SLICE("false")))
		return 0;
	return tree_fail(fault, node, "%s: \"%.64s\" is neither true nor false", row->name,
	    node->text.p);
}

static int read_choice(int *field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	char words[128] = "";
	size_t used = 0;

	for (int i = 0; row->choices[i]; i++) {
		if (slice_equal(node->text, slice_of(row->choices[i]))) {
			*field = i;
			return 0;
		}
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s", i ? ", " : "",
		    row->choices[i]);
		assert(used < sizeof(words));
	}
	return tree_fail(fault, node, "%s: \"%.64s\" is none of: %s", row->name, node->text.p,
	    words);
}

/* --- texts --- */

static int copy_text(char **field, struct slice text, struct tree_fault *fault)
{
	*field = slice_dup(text);
	return *field ? 0 : tree_fail_memory(fault);
}

/* Open what must be a file that can be read; a FIFO must not make us wait. */
static int open_file(const struct setting *row, const struct tree *node, struct tree_fault *fault)
{
	struct stat st;
	int fd = open(node->text.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return tree_fail(fault, node, "%s: %.128s: %s", row->name, node->text.p,
		    strerror(errno));
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		return fd;
	close(fd);
	return tree_fail(fault, node, "%s: %.128s is not a file", row->name, node->text.p);
}

static int read_file_name(char **field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	int fd = open_file(row, node, fault);

	if (fd < 0)
		return fd;
	close(fd);
	return copy_text(field, node->text, fault);
}

static int take_secret(char **field, const struct setting *row, const struct tree *node,
    struct slice bytes, struct tree_fault *fault)
{
	struct slice line;

	slice_cut(&bytes, '\n', &line);
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0 || line.len == SECRET_MAX || memchr(line.p, '\0', line.len))
		return tree_fail(fault, node, "%s: %.128s holds no secret in its first line",
		    row->name, node->text.p);
	return copy_text(field, line, fault);
}

static int read_secret_file(char **field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	char bytes[SECRET_MAX];
	ssize_t n;
	int err, fd = open_file(row, node, fault);

	if (fd < 0)
		return fd;
	n = read(fd, bytes, sizeof(bytes));
	err = n < 0
	    ? tree_fail(fault, node, "%s: %.128s: %s", row->name, node->text.p, strerror(errno))
	    : take_secret(field, row, node, (struct slice){bytes, (size_t)n}, fault);
	close(fd);
	explicit_bzero(bytes, sizeof(bytes));
	return err;
}

static int wants(const struct setting *row, const char *what, const struct tree *node,
    struct tree_fault *fault)
{
	return tree_fail(fault, node, "%s wants %s, not %s", row->name, what, tree_kind_name(node));
}

static int read_secret(char **field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	const struct tree *file;

	if (node->kind == TREE_TEXT)
		return copy_text(field, node->text, fault);
	file = tree_find(node, SLICE("file"));
	if (!file || file->next || file != node->first || file->kind != TREE_TEXT)
		return tree_fail(fault, node, "%s wants a text or {file: PATH}", row->name);
	return read_secret_file(field, row, file, fault);
}

/* --- all types --- */

static int read_rows(void *value, const struct setting *rows, const struct tree *map,
    const struct tree *at, struct tree_fault *fault);

static int check(const void *field, const struct setting *row, const struct tree *at,
    struct tree_fault *fault)
{
	struct reason why = {"is not valid"};
	int err = row->check ? row->check(field, &why) : 0;

	if (err == 0 || err == -ENOMEM)
		return err ? tree_fail_memory(fault) : 0;
	return tree_fail(fault, at, "%s %s", row->name, why.text);
}

static int read_scalar(void *field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	if (node->kind == TREE_TEXT && !node->quoted && !node->block && node->text.len == 0)
		return tree_fail(fault, node->key ? node->key : node, "%s has no value", row->name);
	if (row->type == SETTING_SECRET)
		return read_secret(field, row, node, fault);
	if (node->kind != TREE_TEXT)
		return wants(row, "one value", node, fault);
	switch (row->type) {
	case SETTING_BOOL:
		return read_bool(field, row, node, fault);
	case SETTING_CHOICE:
		return read_choice(field, row, node, fault);
	case SETTING_TEXT:
		return copy_text(field, node->text, fault);
	case SETTING_FILE:
		return read_file_name(field, row, node, fault);
	default:
		return read_number(field, row, node, fault);
	}
}

static size_t count_children(const struct tree *node)
{
	size_t n = 0;

	for (const struct tree *child = node->first; child; child = child->next)
		n++;
	return n;
}

static int make_room(struct setting_list *list, size_t count, size_t size, struct tree_fault *fault)
{
	if (count == 0)
		return 0;
	list->items = calloc(count, size);
	return list->items ? 0 : tree_fail_memory(fault);
}

static int read_text_item(struct setting_list *list, const struct setting *row,
    const struct tree *node, struct tree_fault *fault)
{
	char **item = (char **)list->items + list->count++;
	int err;

	if (node->kind != TREE_TEXT)
		return wants(row, "texts", node, fault);
	if (tree_is_null(node))
		return tree_fail(fault, node, "%s has an empty item", row->name);
	err = copy_text(item, node->text, fault);
	return err < 0 ? err : check(item, row, node, fault);
}

static int read_texts(struct setting_list *list, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	bool alone = node->kind == TREE_TEXT;
	int err;

	if (node->kind == TREE_MAP)
		return wants(row, "a list", node, fault);
	if (tree_is_null(node))
		return 0;
	err = make_room(list, alone ? 1 : count_children(node), sizeof(char *), fault);
	if (err == 0 && alone)
		return read_text_item(list, row, node, fault);
	for (const struct tree *n = node->first; err == 0 && n; n = n->next)
		err = read_text_item(list, row, n, fault);
	return err;
}

static int read_item(struct setting_list *list, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	void *item = at_offset(list->items, row->item_size * list->count++);
	int err;

	if (row->type == SETTING_MAP) {
		if (node->key->text.len == 0)
			return tree_fail(fault, node->key, "%s has an empty name", row->name);
		err = copy_text(item, node->key->text, fault);
		if (err < 0)
			return err;
	}
	if (node->kind != TREE_MAP)
		return wants(row, row->type == SETTING_MAP ? "a map of maps" : "a list of maps",
		    node, fault);
	err = read_rows(item, row->group, node, node, fault);
	return err < 0 ? err : check(item, row, node, fault);
}

static int read_items(struct setting_list *list, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	enum tree_kind kind = row->type == SETTING_MAP ? TREE_MAP : TREE_LIST;
	int err;

	if (tree_is_null(node))
		return 0;
	if (node->kind != kind)
		return wants(row, kind == TREE_MAP ? "a map" : "a list", node, fault);
	err = make_room(list, count_children(node), row->item_size, fault);
	for (const struct tree *n = node->first; err == 0 && n; n = n->next)
		err = read_item(list, row, n, fault);
	return err;
}

static int read_group(void *field, const struct setting *row, const struct tree *node,
    const struct tree *at, struct tree_fault *fault)
{
	int err;

	if (node && node->kind != TREE_MAP && !tree_is_null(node))
		return wants(row, "a map", node, fault);
	if (row->flags & SETTING_OPTIONAL)
		*(bool *)field = node != NULL;
	err = read_rows(field, row->group, node, node ? node : at, fault);
	return err < 0 ? err : check(field, row, node ? node : at, fault);
}

static int read_given(void *field, const struct setting *row, const struct tree *node,
    struct tree_fault *fault)
{
	int err;

	switch (row->type) {
	case SETTING_TEXTS:
		return read_texts(field, row, node, fault);
	case SETTING_LIST:
	case SETTING_MAP:
		return read_items(field, row, node, fault);
	default:
		err = read_scalar(field, row, node, fault);
		return err < 0 ? err : check(field, row, node, fault);
	}
}

/* Of a list it has the items, separated by spaces. */
enum { PRESET_WORDS_MAX = 8 };

static int read_preset(void *field, const struct setting *row, struct tree_fault *fault)
{
	struct tree words[PRESET_WORDS_MAX], *end = words;
	struct tree node = {.kind = TREE_TEXT, .text = slice_of(row->preset), .quoted = true};
	struct slice rest = node.text;

	if (!row->preset)
		return 0;
	if (row->type != SETTING_TEXTS)
		return read_given(field, row, &node, fault);
	for (; end < words + PRESET_WORDS_MAX && rest.p; end++) {
		*end = (struct tree){.kind = TREE_TEXT, .quoted = true, .next = end + 1};
		slice_cut(&rest, ' ', &end->text);
	}
	end[-1].next = NULL;
	node = (struct tree){.kind = TREE_LIST, .first = words};
	return read_given(field, row, &node, fault);
}

static int read_row(void *field, const struct setting *row, const struct tree *map,
    const struct tree *at, struct tree_fault *fault)
{
	const struct tree *node = tree_find(map, slice_of(row->name));

	if (row->type == SETTING_TREE)
		return 0;
	if (row->type == SETTING_GROUP)
		return read_group(field, row, node, at, fault);
	if (node)
		return read_given(field, row, node, fault);
	if (row->flags & SETTING_REQUIRED)
		return tree_fail(fault, at, "%s is missing", row->name);
	return read_preset(field, row, fault);
}

static int refuse_unknown(const struct setting *rows, const struct tree *map,
    struct tree_fault *fault)
{
	for (const struct tree *n = map->first; n; n = n->next) {
		struct nearest near = {.name = n->key->text};
		char hint[NEAREST_HINT_SIZE];
		const struct setting *row = rows;

		while (row->name && !slice_equal(n->key->text, slice_of(row->name)))
			nearest_offer(&near, row++->name);
		if (!row->name)
			return tree_fail(fault, n->key, "unknown key %.64s%s", n->key->text.p,
			    nearest_hint(&near, hint));
	}
	return 0;
}

/* at: the nearest node of the file, for what is wrong with something that is not in it */
static int read_rows(void *value, const struct setting *rows, const struct tree *map,
    const struct tree *at, struct tree_fault *fault)
{
	int err = map && map->kind == TREE_MAP ? refuse_unknown(rows, map, fault) : 0;

	for (const struct setting *row = rows; err == 0 && row->name; row++)
		err = read_row(at_offset(value, row->offset), row, map, at, fault);
	return err;
}

int settings_read(void *value, const struct setting *rows, const struct tree *map,
    struct tree_fault *fault)
{
	if (map && map->kind != TREE_MAP && !tree_is_null(map))
		return tree_fail(fault, map, "a map of keys is wanted, not %s",
		    tree_kind_name(map));
	return read_rows(value, rows, map, map, fault);
}

static const struct tree *find_file(const struct setting *row, const struct tree *node)
{
	if (row->type == SETTING_SECRET)
		return tree_find(node, SLICE("file"));
	return row->type == SETTING_FILE || row->flags & SETTING_WRITTEN ? node : NULL;
}

void settings_each_file(const struct setting *rows, const struct tree *map,
    void (*fn)(const char *path, bool written, void *arg), void *arg)
{
	for (const struct setting *row = rows; row->name; row++) {
		const struct tree *node = tree_find(map, slice_of(row->name));
		const struct tree *file = find_file(row, node);

		if (file && file->text.p)
			fn(file->text.p, row->flags & SETTING_WRITTEN, arg);
		if (row->type == SETTING_GROUP && row->group)
			settings_each_file(row->group, node, fn, arg);
		if (node && (row->type == SETTING_LIST || row->type == SETTING_MAP))
			for (const struct tree *item = node->first; item; item = item->next)
				settings_each_file(row->group, item, fn, arg);
	}
}

/* --- what was read --- */

static size_t item_size(const struct setting *row)
{
	return row->type == SETTING_TEXTS ? sizeof(char *) : row->item_size;
}

static void clear_item(void *item, const struct setting *row)
{
	/* A map's key is the item's first member, a text of a list is the item. */
	if (row->type != SETTING_LIST) {
		free(*(char **)item);
		*(char **)item = NULL;
	}
	if (row->type != SETTING_TEXTS)
		settings_clear(item, row->group);
}

static void clear_list(struct setting_list *list, const struct setting *row)
{
	for (size_t i = 0; i < list->count; i++)
		clear_item(at_offset(list->items, i * item_size(row)), row);
	free(list->items);
	*list = (struct setting_list){NULL, 0};
}

static void clear_field(void *field, const struct setting *row)
{
	switch (row->type) {
	case SETTING_SECRET:
	case SETTING_TEXT: /* a URL with a password, say */
	case SETTING_FILE:
		slice_free_secret(*(char **)field);
		*(char **)field = NULL;
		break;
	case SETTING_TEXTS:
	case SETTING_LIST:
	case SETTING_MAP:
		clear_list(field, row);
		break;
	case SETTING_GROUP:
		settings_clear(field, row->group);
		break;
	default:
		break;
	}
}

void settings_clear(void *value, const struct setting *rows)
{
	for (const struct setting *row = rows; row->name; row++)
		clear_field(at_offset(value, row->offset), row);
}

static bool texts_differ(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) != 0 : a != b;
}

static bool rows_differ(const void *a, const void *b, const struct setting *rows);

static bool items_differ(const void *a, const void *b, const struct setting *row)
{
	if (row->type != SETTING_LIST && texts_differ(*(char *const *)a, *(char *const *)b))
		return true;
	return row->type != SETTING_TEXTS && rows_differ(a, b, row->group);
}

static bool lists_differ(const struct setting_list *a, const struct setting_list *b,
    const struct setting *row)
{
	if (a->count != b->count)
		return true;
	for (size_t i = 0; i < a->count; i++) {
		size_t offset = i * item_size(row);

		if (items_differ(at_offset_const(a->items, offset),
			at_offset_const(b->items, offset), row))
			return true;
	}
	return false;
}

static bool fields_differ(const void *a, const void *b, const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL:
		return *(const bool *)a != *(const bool *)b;
	case SETTING_CHOICE:
		return *(const int *)a != *(const int *)b;
	case SETTING_TEXT:
	case SETTING_SECRET:
	case SETTING_FILE:
		return texts_differ(*(char *const *)a, *(char *const *)b);
	case SETTING_TEXTS:
	case SETTING_LIST:
	case SETTING_MAP:
		return lists_differ(a, b, row);
	case SETTING_GROUP:
		return rows_differ(a, b, row->group);
	case SETTING_TREE:
		return false;
	default:
		return *(const uint64_t *)a != *(const uint64_t *)b;
	}
}

static bool rows_differ(const void *a, const void *b, const struct setting *rows)
{
	for (const struct setting *row = rows; row->name; row++)
		if (fields_differ(at_offset_const(a, row->offset), at_offset_const(b, row->offset),
			row))
			return true;
	return false;
}

bool settings_fixed_differs(const void *a, const void *b, const struct setting *rows,
    char key[SETTINGS_KEY_SIZE])
{
	char below[SETTINGS_KEY_SIZE];

	for (const struct setting *row = rows; row->name; row++) {
		const void *x = at_offset_const(a, row->offset);
		const void *y = at_offset_const(b, row->offset);

		if (((row->flags & SETTING_FIXED) && fields_differ(x, y, row))
		    || ((row->flags & SETTING_OPTIONAL) && *(const bool *)x != *(const bool *)y)) {
			snprintf(key, SETTINGS_KEY_SIZE, "%s", row->name);
			return true;
		}
		if (row->type == SETTING_GROUP && settings_fixed_differs(x, y, row->group, below)) {
			snprintf(key, SETTINGS_KEY_SIZE, "%.40s.%.80s", row->name, below);
			return true;
		}
	}
	return false;
}

const struct setting *settings_find(const struct setting *rows, const char *key, const void *value,
    const void **valuep)
{
	struct slice rest = slice_of(key), name;

	slice_cut(&rest, '.', &name);
	for (const struct setting *row = rows; row->name; row++) {
		const void *field = value ? at_offset_const(value, row->offset) : NULL;

		if (!slice_equal(name, slice_of(row->name)))
			continue;
		if (rest.p)
			return row->type == SETTING_GROUP
			    ? settings_find(row->group, rest.p, field, valuep)
			    : NULL;
		if (valuep)
			*valuep = field;
		return row;
	}
	return NULL;
}
