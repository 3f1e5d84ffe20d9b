/* The first line as a pattern and as a text with variables, the rest as a value. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/tree.h"
#include "route/pattern.h"
#include "route/route.h"
#include "route/text.h"
#include "route_stubs.h"
#include <msrpd/sip_uri.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool get(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)variable;
	(void)argument;
	(void)scratch;
	*valuep = *(const struct slice *)subject->frame;
	return true;
}

static const struct event_type *const no_events[] = {NULL};
static const struct route_env env = {.events = no_events};

static void match(const struct tree *node, struct slice value, const struct route_spec *spec)
{
	struct route_subject subject = {.frame = &value};
	struct route_pattern pattern = {0};
	struct tree_fault fault;

	if (route_pattern_compile(&pattern, node, spec, &fault) == 0)
		route_pattern_matches(&pattern, &subject, value);
	route_pattern_fini(&pattern);
}

static void expand(const struct tree *node, struct slice value, const struct route_spec *spec)
{
	struct route_subject subject = {.frame = &value};
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	struct route_text text = {0};
	struct tree_fault fault;

	if (route_text_compile(&text, node, true, spec, &fault) == 0)
		route_text_expand(&text, &subject, &out);
	for (size_t i = 0; i < out.len; i++)
		if (out.p[i] == '\n' && !memchr(node->text.p, '\n', node->text.len))
			abort();
	buffer_fini(&out);
	route_text_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line, value = {(const char *)data, size};
	struct tree node = {.kind = TREE_TEXT, .line = 1, .column = 1, .quoted = true};

	route_stubs_init(get);
	slice_cut(&value, '\n', &line);
	/* A tree's text holds no NUL, and has one behind it. */
	if (line.len && memchr(line.p, '\0', line.len))
		return 0;
	node.text =
	    (struct slice){slice_dup((struct slice){line.p ? line.p : "", line.len}), line.len};
	for (unsigned list = ROUTE_SIP; list <= ROUTE_EVENT; list <<= 1) {
		struct route_spec spec = {
		    .list = list,
		    .name = "any",
		    .variables = route_stub_variables,
		    .transforms = route_stub_transforms,
		    .env = &env,
		};

		match(&node, value.p ? value : SLICE(""), &spec);
		expand(&node, value, &spec);
	}
	sip_uri_user(value);
	sip_uri_domain(value);
	sip_uri_same(value, line);
	sip_address_param(value, SLICE("x"));
	free((char *)node.text.p);
	return 0;
}
