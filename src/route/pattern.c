#include "route/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/tree.h"

/* --- compiling --- */

static const struct comparison {
	const char *sign; /* the longer one first */
	enum route_pattern_kind kind;
} comparisons[] = {
    {"<=", PATTERN_LESS_EQUAL},
    {">=", PATTERN_GREATER_EQUAL},
    {"<", PATTERN_LESS},
    {">", PATTERN_GREATER},
    {"=", PATTERN_EQUAL},
};

enum { COMPARISONS = sizeof(comparisons) / sizeof(comparisons[0]) };

static const struct comparison *comparison_of(struct slice text)
{
	for (size_t i = 0; i < COMPARISONS; i++)
		if (slice_starts_nocase(text, slice_of(comparisons[i].sign)))
			return &comparisons[i];
	return NULL;
}

static int compile_number(struct route_pattern *p, const struct comparison *c, struct slice text,
    const struct tree *node, struct tree_fault *fault)
{
	struct slice digits = slice_trim(slice_from(text, strlen(c->sign)));

	p->kind = c->kind;
	if (slice_to_u64(digits, UINT64_MAX, &p->number) < 0)
		return tree_fail(fault, node, "%s wants a whole number behind it, not \"%.*s\"",
		    c->sign, SLICE_ARG(slice_head(digits, 40)));
	return 0;
}

/*
 * What an expression costs to compile is about the number of its characters with all
 * intervals {n,m} written out, and a+ as aa*; glibc sets no bound to that.
 */
enum { REGEX_COST_MAX = 1024, REGEX_DEPTH_MAX = 32 };

struct cost {
	uint64_t groups[REGEX_DEPTH_MAX + 1]; /* of each open group so far */
	size_t depth;
	uint64_t last; /* of the last atom */
	bool repeated; /* a repetition came last */
};

/* Behind a [: to its ], which may stand first without ending it. */
static struct slice skip_bracket(struct slice rest)
{
	size_t n = rest.len && rest.p[0] == '^' ? 1 : 0;

	if (n < rest.len && rest.p[n] == ']')
		n++;
	for (; n < rest.len && rest.p[n] != ']'; n++) {
		const char *end;

		/* [:alpha:], [.x.], [=x=] end with their own sign */
		if (rest.p[n] != '[' || n + 1 >= rest.len || !strchr(":.=", rest.p[n + 1]))
			continue;
		end = memchr(rest.p + n + 2, rest.p[n + 1], rest.len - n - 2);
		if (end)
			n = (size_t)(end - rest.p) + 1;
	}
	return slice_from(rest, n < rest.len ? n + 1 : rest.len);
}

static void repeat_last(struct cost *c, uint64_t times)
{
	c->groups[c->depth] += c->last * (times - 1);
	c->last *= times;
}

/* Behind a {: the larger number multiplies the atom before it. */
static struct slice count_interval(struct cost *c, struct slice rest)
{
	uint64_t number = 0, most = 1;
	size_t n = 0;

	for (; n < rest.len && rest.p[n] != '}'; n++) {
		if (rest.p[n] >= '0' && rest.p[n] <= '9' && number < REGEX_COST_MAX)
			number = number * 10 + (uint64_t)(rest.p[n] - '0');
		else if (rest.p[n] == ',')
			number = 0;
		most = number > most ? number : most;
	}
	repeat_last(c, most);
	return slice_from(rest, n < rest.len ? n + 1 : rest.len);
}

/* Count what rest begins with, one of *, ?, +, {.  @return what follows it */
static struct slice count_repetition(struct cost *c, struct slice rest, const char **why)
{
	char first = rest.p[0];

	/* x+* is x*; each of them in a row can only cost. */
	if (c->repeated)
		*why = "a repetition of a repetition";
	c->repeated = true;
	rest = slice_from(rest, 1);
	if (first == '{')
		return count_interval(c, rest);
	repeat_last(c, first == '+' ? 2 : 1);
	return rest;
}

static void open_group(struct cost *c, const char **why)
{
	if (c->depth == REGEX_DEPTH_MAX)
		*why = "groups are nested too deep";
	else
		c->groups[++c->depth] = 0;
}

static void close_group(struct cost *c)
{
	c->last = c->groups[c->depth] + 1;
	if (c->depth > 0)
		c->groups[--c->depth] += c->last;
}

/* A \ and what it takes away the meaning of.  @return what follows */
static struct slice skip_escaped(struct slice rest, const char **why)
{
	if (rest.len && rest.p[0] >= '1' && rest.p[0] <= '9')
		*why = "back-references are not supported"; /* they take exponential time */
	return slice_from(rest, rest.len ? 1 : 0);
}

/* Count the first atom or sign of rest.  @return what follows it; why is set if it is refused */
static struct slice count_one(struct cost *c, struct slice rest, const char **why)
{
	char first = rest.p[0];

	if (strchr("*?+{", first))
		return count_repetition(c, rest, why);
	c->repeated = false;
	rest = slice_from(rest, 1);
	if (first == '(') {
		open_group(c, why);
		return rest;
	}
	if (first == ')') {
		close_group(c);
		return rest;
	}
	c->last = 1;
	c->groups[c->depth]++;
	/* Behind the end nothing can stand: it was meant for another thing. */
	if (first == '$' && rest.len && (rest.p[0] == '(' || isalnum((unsigned char)rest.p[0])))
		*why = "variables cannot stand in it";
	if (first == '[')
		return skip_bracket(rest);
	return first == '\\' ? skip_escaped(rest, why) : rest;
}

static const char *refuse_regex(struct slice text)
{
	struct cost c = {0};
	const char *why = NULL;

	while (text.len && !why) {
		text = count_one(&c, text, &why);
		if (!why && c.groups[c.depth] > REGEX_COST_MAX)
			why = "too many repetitions";
	}
	return why;
}

static int compile_regex(struct route_pattern *p, struct slice text, const struct tree *node,
    struct tree_fault *fault)
{
	const char *why = text.len == 0 ? "it is empty" : refuse_regex(text);
	char reason[128];
	int code;

	if (why)
		return tree_fail(fault, node, "~ wants a regular expression: %s", why);
	code = regcomp(&p->regex, text.p, REG_EXTENDED | REG_NOSUB);
	if (code == REG_ESPACE)
		return tree_fail_memory(fault);
	if (code) {
		regerror(code, &p->regex, reason, sizeof(reason));
		return tree_fail(fault, node, "~ wants a regular expression: %s", reason);
	}
	p->kind = PATTERN_REGEX;
	return 0;
}

static bool is_wild(struct slice text)
{
	return memchr(text.p, '*', text.len) || memchr(text.p, '?', text.len);
}

static int compile_variables(struct route_pattern *p, struct slice text, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault)
{
	struct tree rest = *node; /* where it stands, but for the ! */

	rest.text = text;
	p->kind = PATTERN_TEXT;
	if (is_wild(text))
		return tree_fail(fault, node, "* and ? cannot stand beside a variable");
	return route_text_compile(&p->expected, &rest, false, spec, fault);
}

static int compile_text(struct route_pattern *p, struct slice text, const struct tree *node,
    struct tree_fault *fault)
{
	int err;

	p->kind = PATTERN_LITERAL;
	p->text = text;
	if (is_wild(text)) {
		p->kind = PATTERN_WILD;
		return 0;
	}
	err = addr_parse_prefix(&p->prefix, &p->bits, text);
	if (err == -ERANGE)
		return tree_fail(fault, node, "the length of a prefix is 0 to %u", p->bits);
	if (err == 0)
		p->kind = PATTERN_PREFIX;
	return 0;
}

static int compile_any(struct route_pattern *p, struct slice text, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault)
{
	const struct comparison *c = comparison_of(text);

	if (c)
		return compile_number(p, c, text, node, fault);
	if (text.len && text.p[0] == '~')
		return compile_regex(p, slice_from(text, 1), node, fault);
	if (memchr(text.p, '$', text.len))
		return compile_variables(p, text, node, spec, fault);
	return compile_text(p, text, node, fault);
}

/* Quotes or none, the way YAML reads a pattern must be the way it was meant. */
static int refuse_unquoted(const struct tree *node, struct tree_fault *fault)
{
	if (node->kind != TREE_TEXT)
		return tree_fail(fault, node,
		    "a pattern is a text, not %s; with { or [ it wants quotes",
		    tree_kind_name(node));
	if (node->block)
		return tree_fail(fault, node, "a pattern that begins with > or | wants quotes");
	if (!node->quoted && node->text.len == 0)
		return tree_fail(fault, node, "no pattern; one that begins with # wants quotes");
	if (node->text.len > ROUTE_PATTERN_MAX)
		return tree_fail(fault, node, "a pattern longer than %d bytes", ROUTE_PATTERN_MAX);
	return 0;
}

int route_pattern_compile(struct route_pattern *p, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault)
{
	struct slice text;
	int err = refuse_unquoted(node, fault);

	if (err < 0)
		return err;
	p->own = slice_dup(node->text);
	if (!p->own)
		return tree_fail_memory(fault);
	text = (struct slice){p->own, node->text.len};
	p->negated = text.len && text.p[0] == '!';
	if (p->negated)
		text = slice_from(text, 1);
	/* Behind a ! there are always quotes, so that "!null" can only mean the one thing. */
	if (slice_equal(text, SLICE("null")) && (!node->quoted || p->negated)) {
		p->kind = PATTERN_NULL;
		return 0;
	}
	return compile_any(p, text, node, spec, fault);
}

void route_pattern_fini(struct route_pattern *p)
{
	if (p->kind == PATTERN_REGEX)
		regfree(&p->regex);
	route_text_fini(&p->expected);
	free(p->own);
	*p = (struct route_pattern){0};
}

/* --- matching --- */

static bool is_inside_character(char c)
{
	return (c & 0xc0) == 0x80;
}

/* Does value begin with a segment, in which ? is any character of UTF-8?  Cuts it off then. */
static bool eat(struct slice *value, struct slice segment)
{
	struct slice rest = *value;

	for (size_t i = 0; i < segment.len; i++) {
		if (rest.len == 0 || (segment.p[i] != '?' && segment.p[i] != rest.p[0]))
			return false;
		rest = slice_from(rest, 1);
		while (segment.p[i] == '?' && rest.len && is_inside_character(rest.p[0]))
			rest = slice_from(rest, 1);
	}
	*value = rest;
	return true;
}

static bool ends_with(struct slice value, struct slice segment)
{
	for (size_t i = segment.len; i > 0; i--) {
		char want = segment.p[i - 1];

		if (value.len == 0 || (want != '?' && want != value.p[value.len - 1]))
			return false;
		value.len--;
		while (want == '?' && value.len && is_inside_character(value.p[value.len]))
			value.len--;
	}
	return true;
}

/* Find the segment anywhere in value, and cut off all up to its end. */
static bool seek(struct slice *value, struct slice segment)
{
	if (segment.len == 0)
		return true;
	if (!memchr(segment.p, '?', segment.len)) {
		const char *found = memmem(value->p, value->len, segment.p, segment.len);

		if (found)
			*value = slice_from(*value, (size_t)(found - value->p) + segment.len);
		return found != NULL;
	}
	for (; value->len; *value = slice_from(*value, 1))
		if (eat(value, segment))
			return true;
	return false;
}

/* The first fit of each segment between two * is as good as any: nothing is tried twice. */
static bool match_wild(struct slice pattern, struct slice value)
{
	struct slice segment;

	slice_cut(&pattern, '*', &segment);
	if (!eat(&value, segment))
		return false;
	if (!pattern.p)
		return value.len == 0;
	while (slice_cut(&pattern, '*', &segment) && pattern.p)
		if (!seek(&value, segment))
			return false;
	return ends_with(value, segment);
}

/* re_search() is what glibc's regexec() is made of, and takes a length instead of a NUL. */
static bool match_regex(const struct route_pattern *p, struct slice value)
{
	regoff_t len = (regoff_t)value.len;

	return re_search((regex_t *)&p->regex, value.p, len, 0, len, NULL) >= 0;
}

static bool match_prefix(const struct route_pattern *p, struct slice value)
{
	union addr address;

	return addr_parse_literal(&address, value) == 0
	    && addr_in_prefix(&address, &p->prefix, p->bits);
}

static bool match_number(const struct route_pattern *p, struct slice value)
{
	uint64_t n = UINT64_MAX; /* of more digits than it takes */

	if (slice_to_u64(value, UINT64_MAX, &n) == -EBADMSG)
		return false;
	switch (p->kind) {
	case PATTERN_LESS:
		return n < p->number;
	case PATTERN_LESS_EQUAL:
		return n <= p->number;
	case PATTERN_EQUAL:
		return n == p->number;
	case PATTERN_GREATER_EQUAL:
		return n >= p->number;
	default:
		return n > p->number;
	}
}

static bool match(const struct route_pattern *p, const struct route_subject *subject,
    struct slice value)
{
	switch (p->kind) {
	case PATTERN_LITERAL:
		return slice_equal(p->text, value);
	case PATTERN_TEXT:
		return route_text_is(&p->expected, subject, value);
	case PATTERN_WILD:
		return match_wild(p->text, value);
	case PATTERN_REGEX:
		return match_regex(p, value);
	case PATTERN_PREFIX:
		return match_prefix(p, value);
	default:
		return match_number(p, value);
	}
}

bool route_pattern_matches(const struct route_pattern *p, const struct route_subject *subject,
    struct slice value)
{
	bool matches = p->kind == PATTERN_NULL ? !value.p : value.p && match(p, subject, value);

	return matches != p->negated;
}
