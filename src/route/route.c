#include "route/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "base/tree.h"
#include "route/action.h"
#include "route/pattern.h"
#include "route/var.h"

/* One entry of an if: a variable, and patterns of which any must fit. */
struct condition {
	char *own; /* the variable's source */
	struct route_var var;
	struct route_pattern *patterns;
	size_t count;
	bool late; /* reads a late variable, here or in a pattern */
};

struct rule {
	char name[48];                /* where it stands: "routes.sip.0, line 7" */
	struct condition *conditions; /* all must hold */
	size_t condition_count;
	struct route_action *actions;
	size_t action_count;
	bool goes_on; /* continue: true */
	bool ends;    /* the walk, by itself or by an action */
	bool late;    /* reads a late variable */
};

struct route_list {
	unsigned refs; /* of whoever owns it, and of walks that wait */
	bool late;     /* some rule reads a late variable */
	size_t count;
	struct rule rules[];
};

/* --- compiling --- */

/* What is being compiled, for the functions below. */
struct context {
	const struct route_spec *spec;
	struct tree_fault *fault;
};

static size_t count_children(const struct tree *node)
{
	size_t n = 0;

	for (const struct tree *child = node->first; child; child = child->next)
		n++;
	return n;
}

static int compile_patterns(const struct context *c, struct condition *condition,
    const struct tree *node)
{
	const struct tree *n = node->kind == TREE_LIST ? node->first : node;
	size_t count = node->kind == TREE_LIST ? count_children(node) : 1;
	int err = 0;

	if (count == 0)
		return tree_fail(c->fault, node, "no pattern in the list");
	condition->patterns = calloc(count, sizeof(*condition->patterns));
	if (!condition->patterns)
		return tree_fail_memory(c->fault);
	condition->late = condition->var.variable->late;
	for (; err == 0 && count; n = n->next, count--) {
		struct route_pattern *pattern = &condition->patterns[condition->count++];

		err = route_pattern_compile(pattern, n, c->spec, c->fault);
		condition->late |= pattern->expected.late;
	}
	return err;
}

static int check_flag(const struct context *c, const struct tree *node)
{
	if (node->kind == TREE_TEXT
	    && (slice_equal(node->text, SLICE("true")) || slice_equal(node->text, SLICE("false"))))
		return 0;
	return tree_fail(c->fault, node, "%s is true or false", node->key->text.p);
}

static int compile_variable(const struct context *c, struct condition *condition,
    const struct tree *node)
{
	const struct tree *key = node->key;
	ssize_t n = route_var_find_flag(&condition->var, c->spec, key, c->fault);

	if (n != -ENOENT)
		return n < 0 ? (int)n : check_flag(c, node);
	condition->own = slice_dup(key->text);
	if (!condition->own)
		return tree_fail_memory(c->fault);
	n = route_var_parse(&condition->var, (struct slice){condition->own, key->text.len}, c->spec,
	    key, c->fault);
	if (n < 0)
		return (int)n;
	if ((size_t)n < key->text.len)
		return tree_fail(c->fault, key, "if wants one variable, not %.64s", key->text.p);
	return 0;
}

static int compile_condition(const struct context *c, struct rule *rule, const struct tree *node)
{
	struct condition *condition = &rule->conditions[rule->condition_count++];
	int err = compile_variable(c, condition, node);

	return err < 0 ? err : compile_patterns(c, condition, node);
}

static int compile_map(const struct context *c, struct rule *rule, const struct tree *map)
{
	struct condition *more;
	int err = 0;

	if (map->kind != TREE_MAP || !map->first)
		return tree_fail(c->fault, map,
		    "if wants a map of variables to patterns; without if a rule always holds");
	more = reallocarray(rule->conditions, rule->condition_count + count_children(map),
	    sizeof(*more));
	if (!more)
		return tree_fail_memory(c->fault);
	memset(more + rule->condition_count, 0, count_children(map) * sizeof(*more));
	rule->conditions = more;
	for (const struct tree *n = map->first; err == 0 && n; n = n->next)
		err = compile_condition(c, rule, n);
	return err;
}

static int compile_if(const struct context *c, struct rule *rule, const struct tree *node)
{
	int err = 0;

	if (node->kind != TREE_LIST || !node->first)
		return compile_map(c, rule, node);
	for (const struct tree *n = node->first; err == 0 && n; n = n->next)
		err = compile_map(c, rule, n);
	return err;
}

static bool answers_before(const struct rule *rule, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (rule->actions[i].action->answers)
			return true;
	return false;
}

static int check_actions(const struct context *c, struct rule *rule)
{
	struct action_place place = {.last = true, .env = c->spec->env};
	int err = 0;

	for (size_t i = rule->action_count; err == 0 && i-- > 0;) {
		place.first = !answers_before(rule, i);
		err = route_action_check(&rule->actions[i], &place, c->fault);
		place.last &= !rule->actions[i].action->answers;
	}
	return err;
}

static int compile_do(const struct context *c, struct rule *rule, const struct tree *node)
{
	const struct tree *n = node->kind == TREE_LIST ? node->first : node;
	size_t count = node->kind == TREE_LIST ? count_children(node) : 1;
	int err = 0;

	if (count == 0 || tree_is_null(node))
		return tree_fail(c->fault, node, "do has no action; drop does nothing");
	rule->actions = calloc(count, sizeof(*rule->actions));
	if (!rule->actions)
		return tree_fail_memory(c->fault);
	for (; err == 0 && count; n = n->next, count--)
		err = route_action_compile(&rule->actions[rule->action_count++], n, c->spec,
		    c->fault);
	return err < 0 ? err : check_actions(c, rule);
}

static int compile_continue(const struct context *c, struct rule *rule, const struct tree *node)
{
	rule->goes_on = node->kind == TREE_TEXT && slice_equal(node->text, SLICE("true"));
	if (rule->goes_on || (node->kind == TREE_TEXT && slice_equal(node->text, SLICE("false"))))
		return 0;
	return tree_fail(c->fault, node, "continue is true or false");
}

static const struct part {
	const char *name;
	int (*compile)(const struct context *c, struct rule *rule, const struct tree *node);
} parts[] = {
    {"if", compile_if},
    {"do", compile_do},
    {"continue", compile_continue},
    {NULL, NULL},
};

static int compile_part(const struct context *c, struct rule *rule, const struct tree *node)
{
	struct nearest near = {.name = node->key->text};
	char hint[NEAREST_HINT_SIZE];

	for (const struct part *p = parts; p->name; p++) {
		nearest_offer(&near, p->name);
		if (slice_equal(node->key->text, slice_of(p->name)))
			return p->compile(c, rule, node);
	}
	return tree_fail(c->fault, node->key, "a rule has no %.64s%s", node->key->text.p,
	    nearest_hint(&near, hint));
}

static int compile_rule(const struct context *c, struct rule *rule, const struct tree *node)
{
	int err = 0;

	if (node->kind != TREE_MAP)
		return tree_fail(c->fault, node, "a rule is a map of if and do, not %s",
		    tree_kind_name(node));
	for (const struct tree *n = node->first; err == 0 && n; n = n->next)
		err = compile_part(c, rule, n);
	if (err == 0 && rule->action_count == 0)
		err = tree_fail(c->fault, node, "a rule without do");
	return err;
}

static bool reads_late(const struct rule *rule)
{
	bool late = false;

	for (size_t i = 0; i < rule->condition_count; i++)
		late |= rule->conditions[i].late;
	for (size_t i = 0; i < rule->action_count; i++)
		late |= rule->actions[i].late;
	return late;
}

static bool rule_ends(const struct rule *rule)
{
	bool ends = !rule->goes_on;

	for (size_t i = 0; i < rule->action_count; i++)
		ends |= rule->actions[i].action->ends_walk;
	return ends;
}

int route_list_new(struct route_list **listp, const struct route_spec *spec,
    const struct tree *rules, struct tree_fault *fault)
{
	struct context c = {.spec = spec, .fault = fault};
	struct route_list *list;
	int err = 0;

	if (!tree_is_null(rules) && rules->kind != TREE_LIST)
		return tree_fail(fault, rules, "rules are a list, not %s", tree_kind_name(rules));
	list = calloc(1, sizeof(*list) + (rules ? count_children(rules) : 0) * sizeof(struct rule));
	if (!list)
		return tree_fail_memory(fault);
	list->refs = 1;
	for (const struct tree *n = rules ? rules->first : NULL; err == 0 && n; n = n->next) {
		struct rule *rule = &list->rules[list->count++];

		err = compile_rule(&c, rule, n);
		snprintf(rule->name, sizeof(rule->name), "routes.%s.%zu, line %u", spec->name,
		    list->count - 1, n->line);
		if (err == 0) {
			rule->ends = rule_ends(rule);
			rule->late = reads_late(rule);
			list->late |= rule->late;
		}
	}
	if (err < 0)
		route_list_free(list);
	else
		*listp = list;
	return err;
}

static void condition_fini(struct condition *condition)
{
	for (size_t i = 0; i < condition->count; i++)
		route_pattern_fini(&condition->patterns[i]);
	free(condition->patterns);
	free(condition->own);
}

void route_list_free(struct route_list *list)
{
	if (list && --list->refs > 0)
		return;
	for (size_t i = 0; list && i < list->count; i++) {
		struct rule *rule = &list->rules[i];

		for (size_t k = 0; k < rule->condition_count; k++)
			condition_fini(&rule->conditions[k]);
		for (size_t k = 0; k < rule->action_count; k++)
			route_action_fini(&rule->actions[k]);
		free(rule->conditions);
		free(rule->actions);
	}
	free(list);
}

/* --- walking --- */

bool route_list_empty(const struct route_list *list)
{
	return list->count == 0;
}

static bool condition_holds(const struct condition *condition, const struct route_subject *subject)
{
	char scratch[ROUTE_SCRATCH_SIZE];
	struct slice value = {NULL, 0};

	if (!route_var_get(&condition->var, subject, scratch, &value))
		value = (struct slice){NULL, 0};
	else if (!value.p)
		value = SLICE("");
	for (size_t i = 0; i < condition->count; i++)
		if (route_pattern_matches(&condition->patterns[i], subject, value))
			return true;
	return false;
}

/* Do all conditions hold, those on late variables perhaps left out? */
static bool rule_holds(const struct rule *rule, const struct route_subject *subject, bool skip_late)
{
	for (size_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];

		if (!(skip_late && condition->late) && !condition_holds(condition, subject))
			return false;
	}
	return true;
}

bool route_list_waits(const struct route_list *list, const struct route_subject *subject)
{
	if (!list->late)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		if (!rule_holds(rule, subject, true))
			continue;
		if (rule->late)
			return true;
		if (rule->ends)
			return false;
	}
	return false;
}

/* Where a walk goes on. */
struct route_walk {
	struct route_list *list; /* a reference */
	struct route_subject subject;
	size_t rule, action;
};

struct route_walk *route_wait(const struct route_subject *subject)
{
	struct route_walk *walk = subject->walkp ? calloc(1, sizeof(*walk)) : NULL;

	if (walk)
		*subject->walkp = walk;
	return walk;
}

static void wait_here(struct route_list *list, const struct route_subject *subject, size_t rule,
    size_t action)
{
	list->refs++;
	**subject->walkp = (struct route_walk){list, *subject, rule, action};
}

/* From that action on.  @return bits of route_run(); 0: the walk goes on */
static unsigned run_actions(struct route_list *list, const struct route_subject *subject,
    size_t number, size_t i)
{
	const struct rule *rule = &list->rules[number];

	for (; i < rule->action_count; i++) {
		const struct route_action *action = &rule->actions[i];
		int err;

		if (route_action_drops(action))
			return ROUTE_HELD | ROUTE_DROPPED;
		err = route_action_run(action, subject);
		if (err == -EINPROGRESS) {
			wait_here(list, subject, number, i + 1);
			return ROUTE_HELD | ROUTE_WAITS;
		}
		if (err < 0)
			return ROUTE_HELD | ROUTE_FAILED;
	}
	return rule->ends ? ROUTE_HELD : 0;
}

static unsigned run_rules(struct route_list *list, const struct route_subject *subject, size_t i)
{
	unsigned result = 0;

	for (; i < list->count && result == 0; i++)
		if (rule_holds(&list->rules[i], subject, false)) {
			if (subject->chosen)
				subject->chosen(subject, list->rules[i].name);
			result = run_actions(list, subject, i, 0);
		}
	return result;
}

unsigned route_run(struct route_list *list, const struct route_subject *subject)
{
	return run_rules(list, subject, 0);
}

void route_go_on(struct route_walk *walk, int err)
{
	struct route_subject subject = walk->subject;
	struct route_list *list = walk->list;
	struct route_walk *next = NULL;
	size_t rule = walk->rule, action = walk->action;
	unsigned result = ROUTE_HELD | ROUTE_FAILED;

	free(walk);
	subject.walkp = &next;
	if (err >= 0)
		result = run_actions(list, &subject, rule, action);
	if (result == 0)
		result = run_rules(list, &subject, rule + 1);
	route_list_free(list);
	if (!(result & ROUTE_WAITS))
		subject.finished(&subject, result);
}
