#include "route/action.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/tree.h"
#include "route/route.h"
#include "route/var.h"
#include "route/text.h"

enum { ARGS_MAX = 16 };

struct route_arg {
	struct arg ready;       /* all of it, but for the text of variables */
	struct route_text text; /* if it holds variables */
};

/* --- the engine's own actions --- */

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

static const struct arg_spec log_args[] = {
    {.name = "level", .kind = ARG_CHOICE, .choices = log_levels},
    {.name = "text", .kind = ARG_TEXT, .required = true},
    {0},
};

static int run_log(const struct route_subject *subject, const struct arg *args, void *state)
{
	enum log_level level = args[0].present ? (enum log_level)args[0].number : LOG_LEVEL_INFO;

	(void)subject;
	(void)state;
	log_at(level, "route: %.*s", SLICE_ARG(args[1].text));
	return 0;
}

static int run_drop(const struct route_subject *subject, const struct arg *args, void *state)
{
	(void)subject;
	(void)args;
	(void)state;
	return 0;
}

enum {
	EVERYWHERE = ROUTE_SIP | ROUTE_MSRP | ROUTE_MSRP_AUTH | ROUTE_MSRP_SOCKET | ROUTE_EVENT,
};

static const struct action builtins[] = {
    {.name = "log", .lists = EVERYWHERE, .args = log_args, .run = run_log},
    {.name = "drop", .lists = EVERYWHERE, .ends_walk = true, .run = run_drop},
    {0},
};

static const struct action_table builtin_table = {builtins, NULL};

bool route_action_drops(const struct route_action *action)
{
	return action->action->run == run_drop;
}

/* --- names --- */

/* Look through one table; sets action if the name is in it, wherever it may stand. */
static bool find_in(const struct action_table *table, struct route_action *action, unsigned list,
    struct nearest *near)
{
	for (const struct action *a = table->actions; a && a->name; a++) {
		if (a->lists & list)
			nearest_offer(near, a->name);
		if (!slice_equal(near->name, slice_of(a->name)))
			continue;
		action->action = a;
		action->statep = table->statep;
		return true;
	}
	return false;
}

static int find_action(struct route_action *action, const struct tree *name,
    const struct route_spec *spec, struct tree_fault *fault)
{
	struct nearest near = {.name = name->text};
	char hint[NEAREST_HINT_SIZE];
	bool found = find_in(&builtin_table, action, spec->list, &near);

	for (const struct action_table *t = spec->actions; !found && t && t->actions; t++)
		found = find_in(t, action, spec->list, &near);
	if (!found)
		return tree_fail(fault, name, "unknown action %.64s%s", name->text.p,
		    nearest_hint(&near, hint));
	if (!(action->action->lists & spec->list))
		return tree_fail(fault, name, "%s cannot stand in routes.%s", action->action->name,
		    spec->name);
	return 0;
}

/* --- arguments --- */

/* What is being compiled, for the functions below. */
struct context {
	const struct route_spec *spec;
	struct tree_fault *fault;
};

static int wants(const struct context *c, const struct arg_spec *spec, const char *what,
    const struct tree *node)
{
	return tree_fail(c->fault, node, "%s wants %s, not %s", spec->name, what,
	    tree_kind_name(node));
}

/* A text without variables is put together here and now. */
static int expand_constant(const struct context *c, struct route_arg *arg)
{
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	char *text;
	size_t len;

	if (arg->text.variables)
		return 0;
	if (route_text_expand(&arg->text, NULL, &out) < 0 || buffer_take(&out, &text, &len) < 0) {
		buffer_fini(&out);
		return tree_fail_memory(c->fault);
	}
	arg->ready.text = (struct slice){text, len};
	route_text_fini(&arg->text);
	return 0;
}

static int compile_text(const struct context *c, struct route_arg *arg, const struct arg_spec *spec,
    const struct tree *node)
{
	int err;

	if (node->kind != TREE_TEXT)
		return wants(c, spec, "a text", node);
	if (node->text.len > ROUTE_VALUE_MAX)
		return tree_fail(c->fault, node, "%s is longer than %d bytes", spec->name,
		    ROUTE_VALUE_MAX);
	err = route_text_compile(&arg->text, node, false, c->spec, c->fault);
	return err < 0 ? err : expand_constant(c, arg);
}

static int parse_number(struct arg *arg)
{
	uint64_t number;

	if (slice_to_u64(arg->text, INT64_MAX, &number) < 0)
		return -EINVAL;
	arg->number = (int64_t)number;
	return 0;
}

static int compile_number(const struct context *c, struct route_arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	int err = compile_text(c, arg, spec, node);

	if (err == 0 && arg->ready.text.p && parse_number(&arg->ready) < 0)
		err = tree_fail(c->fault, node, "%s: \"%.64s\" is not a whole number", spec->name,
		    node->text.p);
	return err;
}

/* @return index of the text among the spec's choices, or -EINVAL */
static int find_choice(const struct context *c, const struct arg_spec *spec,
    const struct tree *node)
{
	struct nearest near = {.name = node->text};
	char hint[NEAREST_HINT_SIZE];

	if (node->kind != TREE_TEXT)
		return wants(c, spec, "a word", node);
	for (int i = 0; spec->choices[i]; i++) {
		nearest_offer(&near, spec->choices[i]);
		if (slice_equal(node->text, slice_of(spec->choices[i])))
			return i;
	}
	return tree_fail(c->fault, node, "%s: unknown word \"%.64s\"%s", spec->name, node->text.p,
	    nearest_hint(&near, hint));
}

static int compile_choice(const struct context *c, struct route_arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	int i = find_choice(c, spec, node);

	if (i < 0)
		return i;
	arg->ready.number = i;
	return 0;
}

static int compile_one_of_texts(const struct context *c, struct arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	struct slice *texts = (struct slice *)arg->texts;
	int err = spec->choices ? find_choice(c, spec, node) : 0;

	if (err < 0)
		return err;
	if (node->kind != TREE_TEXT)
		return wants(c, spec, "texts", node);
	texts[arg->count] = (struct slice){slice_dup(node->text), node->text.len};
	return texts[arg->count++].p ? 0 : tree_fail_memory(c->fault);
}

static int compile_texts(const struct context *c, struct route_arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	const struct tree *first = node->kind == TREE_LIST ? node->first : node;
	size_t count = 0;
	int err = 0;

	if (node->kind == TREE_MAP)
		return wants(c, spec, "a list", node);
	for (const struct tree *n = first; n; n = node->kind == TREE_LIST ? n->next : NULL)
		count++;
	arg->ready.texts = calloc(count + 1, sizeof(struct slice));
	if (!arg->ready.texts)
		return tree_fail_memory(c->fault);
	for (const struct tree *n = first; err == 0 && count; n = n->next, count--)
		err = compile_one_of_texts(c, &arg->ready, spec, n);
	return err;
}

/* RFC 3261 25.1, token; RFC 4975 section 9, hname, allows no more */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("-.!%*_+`'~", s.p[i]))
			return false;
	return s.len > 0;
}

static int compile_header(const struct context *c, struct route_arg *arg, const struct tree *node)
{
	int err;

	if (!is_token(node->key->text))
		return tree_fail(c->fault, node->key, "\"%.64s\" is not the name of a header",
		    node->key->text.p);
	if (node->kind != TREE_TEXT || !slice_is_one_line(node->text))
		return tree_fail(c->fault, node, "a header's value is one line of text");
	if (route_text_add(&arg->text, node->key->text) < 0
	    || route_text_add(&arg->text, SLICE(": ")) < 0)
		return tree_fail_memory(c->fault);
	err = route_text_compile(&arg->text, node, true, c->spec, c->fault);
	if (err == 0 && route_text_add(&arg->text, SLICE("\r\n")) < 0)
		err = tree_fail_memory(c->fault);
	return err;
}

static int compile_headers(const struct context *c, struct route_arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	int err = 0;

	if (node->kind != TREE_MAP)
		return wants(c, spec, "a map of names to values", node);
	for (const struct tree *n = node->first; err == 0 && n; n = n->next) {
		if (slice_is_listed(n->key->text, spec->choices))
			return tree_fail(c->fault, n->key, "%.64s is not for a rule to write",
			    n->key->text.p);
		err = compile_header(c, arg, n);
	}
	return err < 0 ? err : expand_constant(c, arg);
}

/* What variables bring is for the action to judge. */
static int check_text(const struct context *c, const struct route_arg *arg,
    const struct arg_spec *spec, const struct tree *node)
{
	struct reason why = {"is not possible"};

	if (!spec->check || !arg->ready.text.p
	    || spec->check(arg->ready.text, c->spec->env, &why) == 0)
		return 0;
	return tree_fail(c->fault, node, "%s", why.text);
}

static int compile_arg(const struct context *c, struct route_arg *arg, const struct arg_spec *spec,
    const struct tree *node)
{
	int err;

	if (node->kind == TREE_TEXT && !node->quoted && !node->block && node->text.len == 0)
		return tree_fail(c->fault, node->key ? node->key : node, "%s has no value",
		    spec->name);
	arg->ready.present = true;
	switch (spec->kind) {
	case ARG_TEXT:
		err = compile_text(c, arg, spec, node);
		return err < 0 ? err : check_text(c, arg, spec, node);
	case ARG_NUMBER:
		return compile_number(c, arg, spec, node);
	case ARG_CHOICE:
		return compile_choice(c, arg, spec, node);
	case ARG_TEXTS:
		return compile_texts(c, arg, spec, node);
	default:
		return compile_headers(c, arg, spec, node);
	}
}

/* May all that is given stand there?  given is not NULL. */
static int refuse_unknown(const struct context *c, const struct route_action *compiled,
    const struct tree *given)
{
	const struct action *action = compiled->action;

	if (given->kind != TREE_MAP && compiled->count != 1)
		return tree_fail(c->fault, given, "%s wants its parameters by name, in a map",
		    action->name);
	if (given->kind != TREE_MAP)
		return 0;
	for (const struct tree *n = given->first; n; n = n->next) {
		struct nearest near = {.name = n->key->text};
		char hint[NEAREST_HINT_SIZE];
		const struct arg_spec *s = action->args;

		while (s && s->name && !slice_equal(n->key->text, slice_of(s->name)))
			nearest_offer(&near, s++->name);
		if (!s || !s->name)
			return tree_fail(c->fault, n->key, "%s has no parameter %.64s%s",
			    action->name, n->key->text.p, nearest_hint(&near, hint));
	}
	return 0;
}

/* The node of one argument.  An action of one argument may be given just that. */
static const struct tree *given_to(const struct route_action *action, size_t i,
    const struct tree *given)
{
	if (given && given->kind != TREE_MAP)
		return given;
	return tree_find(given, slice_of(action->action->args[i].name));
}

static int compile_args(const struct context *c, struct route_action *action,
    const struct tree *given, const struct tree *at)
{
	int err = given ? refuse_unknown(c, action, given) : 0;

	for (size_t i = 0; err == 0 && i < action->count; i++) {
		const struct arg_spec *spec = &action->action->args[i];
		const struct tree *node = given_to(action, i, given);

		if (!node && spec->required)
			return tree_fail(c->fault, at, "%s lacks %s", action->action->name,
			    spec->name);
		if (node)
			err = compile_arg(c, &action->args[i], spec, node);
		action->late |= action->args[i].text.late;
	}
	return err;
}

static size_t count_specs(const struct action *action)
{
	size_t n = 0;

	while (action->args && action->args[n].name)
		n++;
	assert(n <= ARGS_MAX);
	return n;
}

int route_action_compile(struct route_action *action, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault)
{
	struct context c = {.spec = spec, .fault = fault};
	const struct tree *name = node, *given = NULL;
	int err;

	if (node->kind == TREE_MAP && node->first && node->first == node->last) {
		name = node->first->key;
		given = tree_is_null(node->first) ? NULL : node->first;
	}
	if (name->kind != TREE_TEXT)
		return tree_fail(fault, node, "an action is NAME or {NAME: {PARAMETERS}}");
	err = find_action(action, name, spec, fault);
	if (err < 0)
		return err;
	action->line = name->line;
	action->column = name->column;
	action->count = count_specs(action->action);
	action->args = calloc(action->count + 1, sizeof(*action->args));
	if (!action->args)
		return tree_fail_memory(fault);
	return compile_args(&c, action, given, name);
}

int route_action_check(struct route_action *action, const struct action_place *place,
    struct tree_fault *fault)
{
	struct tree at = {.line = action->line, .column = action->column};
	struct reason why = {"is not possible like this"};
	struct arg args[ARGS_MAX];

	action->last = place->last;
	for (size_t i = 0; i < action->count; i++)
		args[i] = action->args[i].ready;
	if (!action->action->check || action->action->check(args, place, &why) == 0)
		return 0;
	return tree_fail(fault, &at, "%s %s", action->action->name, why.text);
}

static void arg_fini(struct route_arg *arg)
{
	for (size_t i = 0; i < arg->ready.count; i++)
		slice_free_secret((char *)arg->ready.texts[i].p);
	free((struct slice *)arg->ready.texts);
	slice_free_secret((char *)arg->ready.text.p);
	route_text_fini(&arg->text);
}

void route_action_fini(struct route_action *action)
{
	for (size_t i = 0; action->args && i < action->count; i++)
		arg_fini(&action->args[i]);
	free(action->args);
	*action = (struct route_action){0};
}

/* --- running --- */

static int expand(const struct route_action *action, const struct route_subject *subject,
    struct arg *args, struct buffer *buffer)
{
	size_t begin[ARGS_MAX];
	int err = 0;

	for (size_t i = 0; err == 0 && i < action->count; i++) {
		args[i] = action->args[i].ready;
		begin[i] = buffer->len;
		if (action->args[i].text.count)
			err = route_text_expand(&action->args[i].text, subject, buffer);
		if (action->args[i].text.count)
			args[i].text.len = buffer->len - begin[i];
	}
	/* The buffer has moved while it grew: only now it is known where the texts are. */
	for (size_t i = 0; err == 0 && i < action->count; i++) {
		if (!action->args[i].text.count)
			continue;
		args[i].text.p = buffer->p ? buffer->p + begin[i] : "";
		if (action->action->args[i].kind == ARG_NUMBER)
			err = parse_number(&args[i]);
	}
	return err;
}

int route_action_run(const struct route_action *action, const struct route_subject *subject)
{
	struct route_subject own = *subject;
	struct arg args[ARGS_MAX];
	struct buffer buffer = {.max = BUFFER_UNBOUNDED};
	int err = expand(action, subject, args, &buffer);

	own.last = action->last;
	if (err == 0)
		err = action->action->run(&own, args, action->statep ? *action->statep : NULL);
	if (err < 0)
		log_debug("route: line %u: %s: %s", action->line, action->action->name,
		    strerror(-err));
	buffer_fini(&buffer);
	return err;
}
