#include "route/text.h"

#include <errno.h>
#include <stdlib.h>

#include "base/tree.h"
#include "route/route.h"
#include "route/var.h"

struct route_piece {
	char *own;          /* the bytes, or the variable's source */
	struct slice bytes; /* of own; absent: a variable */
	struct route_var var;
	bool one_line;
};

static int add_piece(struct route_text *t, const struct route_piece *piece)
{
	struct route_piece *more = reallocarray(t->pieces, t->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	more[t->count++] = *piece;
	t->pieces = more;
	return 0;
}

int route_text_add(struct route_text *t, struct slice bytes)
{
	struct route_piece piece = {.own = slice_dup(bytes)};
	int err;

	piece.bytes = (struct slice){piece.own, bytes.len};
	err = piece.own ? add_piece(t, &piece) : -ENOMEM;
	if (err < 0)
		slice_free_secret(piece.own);
	return err;
}

/* text: the variable and nothing else */
static int add_variable(struct route_text *t, struct slice text, const struct route_var *var,
    bool one_line)
{
	struct route_piece piece = {.own = slice_dup(text), .var = *var, .one_line = one_line};
	int err;

	if (piece.own && var->argument.p)
		piece.var.argument.p = piece.own + (var->argument.p - text.p);
	err = piece.own ? add_piece(t, &piece) : -ENOMEM;
	if (err < 0)
		slice_free_secret(piece.own);
	else
		t->late |= var->variable->late;
	t->variables = true;
	return err;
}

/* rest begins with a dollar sign */
static int compile_dollar(struct route_text *t, struct slice *rest, bool one_line,
    const struct route_spec *spec, const struct tree *at, struct tree_fault *fault)
{
	struct route_var var;
	ssize_t n = 2;
	int err;

	if (rest->len > 1 && rest->p[1] == '$') {
		err = route_text_add(t, SLICE("$"));
	} else {
		n = route_var_parse(&var, *rest, spec, at, fault);
		if (n < 0)
			return (int)n;
		err = add_variable(t, slice_head(*rest, (size_t)n), &var, one_line);
	}
	*rest = slice_from(*rest, (size_t)n);
	return err < 0 ? tree_fail_memory(fault) : 0;
}

int route_text_compile(struct route_text *t, const struct tree *node, bool one_line,
    const struct route_spec *spec, struct tree_fault *fault)
{
	struct slice rest = node->text;
	int err = 0;

	while (err == 0 && rest.len) {
		const char *dollar = memchr(rest.p, '$', rest.len);
		size_t plain = dollar ? (size_t)(dollar - rest.p) : rest.len;

		if (plain && route_text_add(t, slice_head(rest, plain)) < 0)
			return tree_fail_memory(fault);
		rest = slice_from(rest, plain);
		if (dollar)
			err = compile_dollar(t, &rest, one_line, spec, node, fault);
	}
	return err;
}

void route_text_fini(struct route_text *t)
{
	for (size_t i = 0; i < t->count; i++)
		slice_free_secret(t->pieces[i].own);
	free(t->pieces);
	*t = (struct route_text){0};
}

/* @return false: a variable without a value */
static bool piece_get(const struct route_piece *piece, const struct route_subject *subject,
    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	*valuep = piece->bytes;
	return valuep->p || route_var_get(&piece->var, subject, scratch, valuep);
}

int route_text_expand(const struct route_text *t, const struct route_subject *subject,
    struct buffer *out)
{
	size_t begin = out->len;

	for (size_t i = 0; i < t->count; i++) {
		const struct route_piece *piece = &t->pieces[i];
		char scratch[ROUTE_SCRATCH_SIZE];
		struct slice value;
		size_t before = out->len;

		if (!piece_get(piece, subject, scratch, &value))
			continue;
		if (value.len > ROUTE_VALUE_MAX - (before - begin))
			return -EMSGSIZE;
		buffer_add(out, value);
		if (out->err)
			return out->err;
		/* Or else a peer would write headers of ours (RFC 3261 7.3.1, RFC 4975 9). */
		if (piece->one_line && value.len)
			slice_make_one_line(out->p + before, value.len);
	}
	return 0;
}

bool route_text_is(const struct route_text *t, const struct route_subject *subject,
    struct slice value)
{
	for (size_t i = 0; i < t->count; i++) {
		char scratch[ROUTE_SCRATCH_SIZE];
		struct slice part;

		if (!piece_get(&t->pieces[i], subject, scratch, &part)
		    || !slice_equal(slice_head(value, part.len), part))
			return false;
		value = slice_from(value, part.len);
	}
	return value.len == 0;
}
