#include "route/var.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/nearest.h"
#include "base/tree.h"
#include "route/route.h"

/* A variable while it is parsed: what is left of the text, and whom to tell. */
struct cursor {
	struct slice rest;
	const struct route_spec *spec;
	const struct tree *at;
	struct tree_fault *fault;
};

static bool take(struct cursor *c, char what)
{
	if (c->rest.len == 0 || c->rest.p[0] != what)
		return false;
	c->rest = slice_from(c->rest, 1);
	return true;
}

static struct slice take_name(struct cursor *c)
{
	struct slice name = slice_head(c->rest, 0);

	while (name.len < c->rest.len
	    && (isalnum((unsigned char)c->rest.p[name.len]) || c->rest.p[name.len] == '_'))
		name.len++;
	c->rest = slice_from(c->rest, name.len);
	return name;
}

/* What stands up to a closing mark, which is dropped. */
static int take_until(struct cursor *c, char end, struct slice *inside)
{
	struct slice rest = c->rest;

	if (!slice_cut(&rest, end, inside) || !rest.p)
		return tree_fail(c->fault, c->at, "a variable lacks its %c", end);
	c->rest = rest;
	return 0;
}

static int unknown(const struct cursor *c, const char *what, struct nearest *near)
{
	char hint[NEAREST_HINT_SIZE];

	return tree_fail(c->fault, c->at, "unknown %s%.*s%s", what,
	    SLICE_ARG(slice_head(near->name, 64)), nearest_hint(near, hint));
}

static int find_name(const struct cursor *c, struct slice name,
    const struct route_variable **foundp)
{
	struct nearest near = {.name = name};

	for (const struct route_variable *const *t = c->spec->variables; *t; t++) {
		for (const struct route_variable *v = *t; v->name; v++) {
			if (!(v->lists & c->spec->list) || v->flag)
				continue;
			nearest_offer(&near, v->name);
			if (slice_equal(name, slice_of(v->name))) {
				*foundp = v;
				return 0;
			}
		}
	}
	return unknown(c, "variable here: $", &near);
}

static int unknown_argument(const struct cursor *c, const struct route_variable *v,
    struct nearest *near)
{
	char what[64];

	snprintf(what, sizeof(what), "%s in $%s(): ", v->argument, v->name);
	return unknown(c, what, near);
}

static int find_key(const struct cursor *c, struct route_var *var)
{
	struct nearest near = {.name = var->argument};

	for (const struct route_variable *k = var->variable->keys; k->name; k++) {
		nearest_offer(&near, k->name);
		if (slice_equal(var->argument, slice_of(k->name))) {
			*var = (struct route_var){.variable = k};
			return 0;
		}
	}
	return unknown_argument(c, var->variable, &near);
}

static int find_known(const struct cursor *c, const struct route_var *var)
{
	struct nearest near = {.name = var->argument};
	const char *name;

	for (size_t i = 0; (name = var->variable->known(c->spec->env, i)); i++) {
		nearest_offer(&near, name);
		if (slice_equal(var->argument, slice_of(name)))
			return 0;
	}
	return unknown_argument(c, var->variable, &near);
}

static int check_header(const struct cursor *c, const struct route_var *var)
{
	for (size_t i = 0; i < var->argument.len; i++)
		if (!isgraph((unsigned char)var->argument.p[i]) || var->argument.p[i] == ':')
			return tree_fail(c->fault, c->at, "$%s() wants the name of a header",
			    var->variable->name);
	return 0;
}

static int take_argument(struct cursor *c, struct route_var *var)
{
	const struct route_variable *v = var->variable;
	int err;

	if (!v->argument)
		return 0;
	if (!take(c, '('))
		return tree_fail(c->fault, c->at, "$%s wants parentheses: $%s(…)", v->name,
		    v->name);
	err = take_until(c, ')', &var->argument);
	if (err < 0)
		return err;
	if (var->argument.len == 0)
		return tree_fail(c->fault, c->at, "$%s() lacks a name", v->name);
	if (v->keys)
		return find_key(c, var);
	if (v->known)
		return find_known(c, var);
	return check_header(c, var);
}

/* name or name(argument) */
static int take_variable(struct cursor *c, struct route_var *var)
{
	int err = find_name(c, take_name(c), &var->variable);

	return err < 0 ? err : take_argument(c, var);
}

/* {transformation} */
static int take_transform(struct cursor *c, struct route_var *var)
{
	struct nearest near = {0};
	int err;

	if (!take(c, '{'))
		return 0;
	err = take_until(c, '}', &near.name);
	if (err < 0)
		return err;
	for (const struct route_transform *const *t = c->spec->transforms; *t; t++) {
		for (const struct route_transform *row = *t; row->name; row++) {
			if (!(row->lists & c->spec->list))
				continue;
			nearest_offer(&near, row->name);
			if (slice_equal(near.name, slice_of(row->name))) {
				var->transform = row;
				return 0;
			}
		}
	}
	return unknown(c, "transformation here: ", &near);
}

static int take_wrapped(struct cursor *c, struct route_var *var)
{
	int err = take_variable(c, var);

	if (err == 0)
		err = take_transform(c, var);
	if (err == 0 && !take(c, ')'))
		err = tree_fail(c->fault, c->at, "a variable lacks its )");
	return err;
}

ssize_t route_var_parse(struct route_var *var, struct slice text, const struct route_spec *spec,
    const struct tree *at, struct tree_fault *fault)
{
	struct cursor c = {.rest = text, .spec = spec, .at = at, .fault = fault};
	struct route_var found = {0};
	int err;

	if (!take(&c, '$'))
		return tree_fail(fault, at, "a variable begins with $");
	err = take(&c, '(') ? take_wrapped(&c, &found) : take_variable(&c, &found);
	if (err < 0)
		return err;
	*var = found;
	return (ssize_t)(text.len - c.rest.len);
}

int route_var_find_flag(struct route_var *var, const struct route_spec *spec,
    const struct tree *name, struct tree_fault *fault)
{
	for (const struct route_variable *const *t = spec->variables; *t; t++) {
		for (const struct route_variable *v = *t; v->name; v++) {
			if (!v->flag || !slice_equal(name->text, slice_of(v->name)))
				continue;
			if (!(v->lists & spec->list))
				return tree_fail(fault, name, "%s cannot stand in routes.%s",
				    v->name, spec->name);
			*var = (struct route_var){.variable = v};
			return 0;
		}
	}
	return -ENOENT;
}
