/*
 * The reference is held against the rows: docs/config.md has a table of each section,
 * docs/msrpd.yaml.5 a list, msrpd.yaml.example has each key.  With --write tables and lists are
 * written anew.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tree.h"
#include "config.h"
#include "config_msrp.h"
#include "config_yaml.h"
#include "relay/relay.h"
#include "routes.h"
#include "services.h"
#include "sip/rules.h"
#include "settings.h"

static const char example_path[] = "msrpd.yaml.example";
static const char routes_path[] = "docs/routes.md";

static char *read_file(const char *path)
{
	size_t size = 1 << 20;
	char *text = calloc(1, size);
	FILE *f = fopen(path, "r");

	assert_non_null(text);
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(fread(text, 1, size - 1, f) < size - 1);
	fclose(f);
	return text;
}

/* --- the rows --- */

static struct config *load_empty(void)
{
	struct config_env env = {.services = services};
	struct reason why;
	struct config *cfg = NULL;

	if (config_parse(&cfg, SLICE(""), "empty", &env, &why) < 0)
		fail_msg("%s", why.text);
	return cfg;
}

/* --- two forms of the reference --- */

/* A page where the keys of each section stand between two marks. */
struct page {
	const char *path;
	const char *mark_begin, *mark_end; /* the section's name follows the first */
	const char *code[2];               /* around what one types */
	void (*text)(FILE *out, const char *text);
	const char *head; /* above the keys of a section */
	void (*row)(FILE *out, const struct setting *row, const char *prefix, bool fixed);
};

static const struct page markdown, man;

static void print_code(FILE *out, const struct page *page, const char *text)
{
	fputs(page->code[0], out);
	page->text(out, text);
	fputs(page->code[1], out);
}

static void print_range(FILE *out, const struct page *page, const struct setting *row)
{
	char min[32], max[32], text[80] = "";

	settings_print(row, row->min, min, sizeof(min));
	settings_print(row, row->max, max, sizeof(max));
	if (row->max)
		snprintf(text, sizeof(text), ", %s to %s", min, max);
	else if (row->min)
		snprintf(text, sizeof(text), ", at least %s", min);
	page->text(out, text);
}

static void print_type(FILE *out, const struct page *page, const struct setting *row)
{
	static const char *const nouns[] = {
	    [SETTING_BOOL] = "true or false",
	    [SETTING_NUMBER] = "number",
	    [SETTING_DURATION] = "duration",
	    [SETTING_SIZE] = "size",
	    [SETTING_TEXT] = "text",
	    [SETTING_SECRET] = "secret",
	    [SETTING_FILE] = "file",
	    [SETTING_CHOICE] = "",
	    [SETTING_MODE] = "mode",
	    [SETTING_TEXTS] = "list of texts",
	    [SETTING_GROUP] = "map",
	    [SETTING_LIST] = "list of maps",
	    [SETTING_MAP] = "map of maps",
	    [SETTING_TREE] = "list of rules",
	};

	fputs(nouns[row->type], out);
	for (size_t i = 0; row->type == SETTING_CHOICE && row->choices[i]; i++) {
		fputs(i ? ", " : "", out);
		print_code(out, page, row->choices[i]);
	}
	if (row->type == SETTING_NUMBER || row->type == SETTING_DURATION
	    || row->type == SETTING_SIZE)
		print_range(out, page, row);
}

static const char *change(bool fixed)
{
	return fixed ? "restart" : "reload";
}

static const char *help(const struct setting *row)
{
	if (!row->help)
		fail_msg("%s has no help", row->name);
	return row->help;
}

/* A | would end the cell. */
static void print_markdown(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_markdown_row(FILE *out, const struct setting *row, const char *prefix, bool fixed)
{
	fprintf(out, "| `%s%s` | ", prefix, row->name);
	print_type(out, &markdown, row);
	fputs(" | ", out);
	if (row->preset)
		print_code(out, &markdown, row->preset);
	else
		fputs(row->flags & SETTING_REQUIRED ? "required" : "–", out);
	fprintf(out, " | %s | ", change(fixed));
	print_markdown(out, help(row));
	fputs(" |\n", out);
}

static const struct page markdown = {
    .path = "docs/config.md",
    .mark_begin = "<!-- keys of ",
    .mark_end = "<!-- end -->\n",
    .code = {"`", "`"},
    .text = print_markdown,
    .head = "| key | value | default | change | |\n| --- | --- | --- | --- | --- |\n",
    .row = print_markdown_row,
};

static void print_man(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '\\' ? "\\e" : *text == '-' ? "\\-" : "%c", *text);
}

static void print_man_row(FILE *out, const struct setting *row, const char *prefix, bool fixed)
{
	fputs(".TP\n\\fB", out);
	print_man(out, prefix);
	print_man(out, row->name);
	fputs("\\fR (", out);
	print_type(out, &man, row);
	if (row->preset) {
		fputs("; default ", out);
		print_code(out, &man, row->preset);
	} else if (row->flags & SETTING_REQUIRED) {
		fputs("; required", out);
	}
	fprintf(out, "; %s)\n\\&", change(fixed));
	print_man(out, help(row));
	fputs("\n", out);
}

static const struct page man = {
    .path = "docs/msrpd.yaml.5",
    .mark_begin = ".\\\" keys of ",
    .mark_end = ".\\\" end\n",
    .code = {"\\fB", "\\fR"},
    .text = print_man,
    .head = "",
    .row = print_man_row,
};

static void print_rows(FILE *out, const struct page *page, const struct setting *rows,
    const char *prefix, unsigned flags);

static void print_row(FILE *out, const struct page *page, const struct setting *row,
    const char *prefix, unsigned flags)
{
	static const char *const ends[] =
	    {[SETTING_GROUP] = ".", [SETTING_LIST] = "[].", [SETTING_MAP] = ".NAME."};
	char below[256];

	flags |= row->flags & SETTING_FIXED;
	if (row->type != SETTING_GROUP)
		page->row(out, row, prefix, flags & SETTING_FIXED);
	if (!row->group)
		return;
	snprintf(below, sizeof(below), "%s%s%s", prefix, row->name, ends[row->type]);
	print_rows(out, page, row->group, below, flags);
}

static void print_rows(FILE *out, const struct page *page, const struct setting *rows,
    const char *prefix, unsigned flags)
{
	for (const struct setting *row = rows; row->name; row++)
		print_row(out, page, row, prefix, flags);
}

static void print_section(FILE *out, const struct page *page, const struct setting *row)
{
	fputs(page->head, out);
	if (row->type == SETTING_GROUP)
		print_rows(out, page, row->group, "", row->flags);
	else
		print_row(out, page, row, "", 0);
}

/* --- from one mark to the other the keys of a section --- */

static const struct setting *find_section(const struct page *page, const struct setting *rows,
    const char *mark)
{
	const char *name = mark + strlen(page->mark_begin);
	size_t len = strcspn(name, " \n");

	for (; rows->name; rows++)
		if (strlen(rows->name) == len && strncmp(name, rows->name, len) == 0)
			return rows;
	fail_msg("%s: no section is named %.*s", page->path, (int)len, name);
	return NULL;
}

/* The page with every marked part as the rows have it. */
static char *render(const struct page *page, const char *docs, const struct setting *rows)
{
	char *text = NULL;
	size_t len = 0, sections = 0, count = 0;
	FILE *out = open_memstream(&text, &len);
	const char *mark;

	while ((mark = strstr(docs, page->mark_begin))) {
		const char *line = strchr(mark, '\n'), *end = strstr(mark, page->mark_end);

		if (!line || !end)
			fail_msg("%s: a section has no end", page->path);
		fwrite(docs, 1, (size_t)(line + 1 - docs), out);
		print_section(out, page, find_section(page, rows, mark));
		fputs(page->mark_end, out);
		docs = end + strlen(page->mark_end);
		sections++;
	}
	fputs(docs, out);
	fclose(out);
	while (rows[count].name)
		count++;
	if (sections != count)
		fail_msg("%s: %zu tables for %zu sections", page->path, sections, count);
	return text;
}

static void must_be_fresh(const struct page *page)
{
	struct config *cfg = load_empty();
	char *docs = read_file(page->path), *want = render(page, docs, config_rows(cfg));
	size_t same = 0;

	while (docs[same] && docs[same] == want[same])
		same++;
	if (docs[same] != want[same])
		fail_msg("%s is stale, write it with %s --write\nhas:   %.120s\nwants: %.120s",
		    page->path, "test_config_docs", docs + same, want + same);
	free(want);
	free(docs);
	config_free(cfg);
}

static void test_docs(void **state)
{
	(void)state;
	must_be_fresh(&markdown);
	must_be_fresh(&man);
}

static int write_page(const struct page *page)
{
	struct config *cfg = load_empty();
	char *docs = read_file(page->path), *want = render(page, docs, config_rows(cfg));
	FILE *f = fopen(page->path, "w");
	int failed = !f || fputs(want, f) < 0;

	failed |= f && fclose(f) != 0;
	free(want);
	free(docs);
	config_free(cfg);
	return failed;
}

/* --- msrpd.yaml.example --- */

/* The text with all that is commented out, "#key" as against "# words", put in. */
static char *uncomment(const char *text)
{
	char *out = malloc(strlen(text) + 1), *p = out;
	bool at_start = true;

	assert_non_null(out);
	for (; *text; text++) {
		if (at_start && *text == '#' && text[1] != ' ' && text[1] != '\n') {
			at_start = false;
			continue;
		}
		at_start = *text == '\n' || (at_start && *text == ' ');
		*p++ = *text;
	}
	*p = '\0';
	return out;
}

static void check_keys(const struct setting *rows, const struct tree *map, const char *prefix);

/* Every key of the items' rows is in one of the items. */
static void check_items(const struct setting *row, const struct tree *items, const char *path)
{
	if (!items->first)
		fail_msg("%s: %s has no item", example_path, path);
	for (const struct setting *r = row->group; r->name; r++) {
		const struct tree *item = items->first;

		while (item && !tree_find(item, slice_of(r->name)))
			item = item->next;
		if (!item)
			fail_msg("%s: no item of %s has a %s", example_path, path, r->name);
	}
}

static void check_row(const struct setting *row, const struct tree *map, const char *prefix)
{
	const struct tree *node = tree_find(map, slice_of(row->name));
	char path[256];

	snprintf(path, sizeof(path), "%s%s", prefix, row->name);
	if (!node)
		fail_msg("%s lacks %s", example_path, path);
	if (row->preset && row->type != SETTING_TEXTS
	    && (node->kind != TREE_TEXT || !slice_equal(node->text, slice_of(row->preset))))
		fail_msg("%s: %s is not %s", example_path, path, row->preset);
	if (row->type == SETTING_LIST || row->type == SETTING_MAP)
		check_items(row, node, path);
	if (row->type == SETTING_GROUP) {
		snprintf(path, sizeof(path), "%s%s.", prefix, row->name);
		check_keys(row->group, node, path);
	}
}

static void check_keys(const struct setting *rows, const struct tree *map, const char *prefix)
{
	for (const struct tree *n = map->first; n; n = n->next)
		if (!settings_find(rows, n->key->text.p, NULL, NULL))
			fail_msg("%s: there is no %s%s", example_path, prefix, n->key->text.p);
	for (const struct setting *row = rows; row->name; row++)
		check_row(row, map, prefix);
}

static void test_example_has_every_key(void **state)
{
	struct config *cfg = load_empty();
	char *example = read_file(example_path), *all = uncomment(example);
	struct tree_fault fault = {0};
	struct tree *root = NULL;

	(void)state;
	if (config_compose(&root, slice_of(all), &fault) < 0)
		fail_msg("%s:%u:%u: %s", example_path, fault.line, fault.column, fault.text);
	check_keys(config_rows(cfg), root, "");
	tree_free(root);
	free(all);
	free(example);
	config_free(cfg);
}

/* --- rules --- */

static int compile_routes(const struct config *cfg, struct config_load *load, void *arg)
{
	void *states[SERVICES] = {NULL}, *page = NULL;
	struct routes routes;
	int err = routes_compile(&routes, states, &page, cfg, load);

	(void)arg;
	routes_fini(&routes);
	return err;
}

static void must_load(const char *text)
{
	struct config_hook hooks[] = {{config_check_msrp, NULL}, {compile_routes, NULL},
	    {NULL, NULL}};
	struct config_env env = {.services = services, .hooks = hooks};
	struct reason why;
	struct config *cfg = NULL;

	if (config_parse(&cfg, slice_of(text), example_path, &env, &why) < 0)
		fail_msg("%s", why.text);
	config_free(cfg);
}

static void test_example_loads(void **state)
{
	char *example = read_file(example_path);

	(void)state;
	must_load(example);
	free(example);
}

/* Make words of what is commented out and names files or addresses that nobody has. */
static void silence(char *text, const char *setting)
{
	char *p = text;

	while ((p = strstr(p, setting))) {
		assert_int_equal(*p, '#');
		p[1] = ' ';
	}
}

/* The one outside is silenced, so rules name the other. */
static void rename_listener(char *text)
{
	for (char *p = text; (p = strstr(p, "name: outside"));)
		memcpy(p, "name: inside ", strlen("name: outside"));
}

/* Those of files have to be there. */
static void rename_directory(char *text, const char *from)
{
	char *p = strstr(text, from);

	assert_non_null(p);
	memset(p, '/', strlen(from));
}

static void test_whole_example_loads(void **state)
{
	static const char *const settings[] = {"#certificate:", "#private_key:", "#ca_file:",
	    "#htdigest:", "#- {name: outside", "#- {name: web",
	    "#- sips:", "#- sip:203.0.113.5:8443", "#my_uri:", "#directory: /var/lib/msrpd/trace"};
	char *example = read_file(example_path), *all;

	(void)state;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		silence(example, settings[i]);
	all = uncomment(example);
	rename_listener(all);
	rename_directory(all, "/var/lib/msrpd/files");
	rename_directory(all, "/srv/outbox");
	must_load(all);
	free(all);
	free(example);
}

static void must_mention(const char *docs, const struct action *actions)
{
	char text[80];

	for (const struct action *a = actions; a && a->name; a++) {
		snprintf(text, sizeof(text), "`%s", a->name);
		if (!strstr(docs, text))
			fail_msg("%s says nothing of %s", routes_path, a->name);
	}
}

static void test_actions(void **state)
{
	char *docs = read_file(routes_path);

	(void)state;
	must_mention(docs, sip_actions);
	for (size_t i = 0; i < SERVICES; i++)
		must_mention(docs, services[i]->actions);
	free(docs);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_docs),
	    cmocka_unit_test(test_example_has_every_key),
	    cmocka_unit_test(test_example_loads),
	    cmocka_unit_test(test_whole_example_loads),
	    cmocka_unit_test(test_actions),
	};

	if (argc > 1 && strcmp(argv[1], "--write") == 0)
		return write_page(&markdown) | write_page(&man);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
