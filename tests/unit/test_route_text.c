/* Texts with variables: what is known where, what comes out. */
#include "route/text.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/event.h>

#include "base/tree.h"
#include "route/route.h"
#include "route/var.h"
#include "route_stubs.h"

static const char *const params[] = {"code", "reason", NULL};
static const struct event_type event = {.name = "E_TEST", .params = params};
static const struct event_type *const events[] = {&event, NULL};

static const struct route_env env = {.events = events};

static const struct route_spec *spec_of(unsigned list)
{
	static struct route_spec spec;

	spec = (struct route_spec){
	    .list = list,
	    .name = "test",
	    .variables = route_stub_variables,
	    .transforms = route_stub_transforms,
	    .env = &env,
	};
	return &spec;
}

static int compile(struct route_text *t, const char *text, unsigned list, bool one_line,
    struct tree_fault *fault)
{
	struct tree node = {.kind = TREE_TEXT, .text = slice_of(text), .line = 3, .column = 9};

	*t = (struct route_text){0};
	return route_text_compile(t, &node, one_line, spec_of(list), fault);
}

/* The value that the test has fixed, or what it was asked for: [name argument] */
static bool get(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	const struct slice *fixed = subject->frame;

	if (fixed) {
		*valuep = *fixed;
		return fixed->p != NULL;
	}
	snprintf(scratch, ROUTE_SCRATCH_SIZE, "[%s %.*s]", variable->name, SLICE_ARG(argument));
	*valuep = slice_of(scratch);
	return true;
}

static int set_up(void **state)
{
	(void)state;
	route_stubs_init(get);
	return 0;
}

static const struct {
	unsigned list;
	const char *text;
	const char *name, *argument, *transform; /* of the rows found; NULL: absent */
} variables[] = {
    {ROUTE_SIP, "$rm", "rm", NULL, NULL},
    {ROUTE_SIP, "$ru", "ru", NULL, NULL},
    {ROUTE_SIP, "$fu", "fu", NULL, NULL},
    {ROUTE_SIP, "$tu", "tu", NULL, NULL},
    {ROUTE_SIP, "$rU", "rU", NULL, NULL},
    {ROUTE_SIP, "$fU", "fU", NULL, NULL},
    {ROUTE_SIP, "$tU", "tU", NULL, NULL},
    {ROUTE_SIP, "$rd", "rd", NULL, NULL},
    {ROUTE_SIP, "$fd", "fd", NULL, NULL},
    {ROUTE_SIP, "$td", "td", NULL, NULL},
    {ROUTE_SIP, "$ci", "ci", NULL, NULL},
    {ROUTE_SIP, "$si", "si", NULL, NULL},
    {ROUTE_SIP, "$sp", "sp", NULL, NULL},
    {ROUTE_SIP, "$proto", "proto", NULL, NULL},
    {ROUTE_SIP, "$ct", "ct", NULL, NULL},
    {ROUTE_SIP, "$cT", "cT", NULL, NULL},
    {ROUTE_SIP, "$ua", "ua", NULL, NULL},
    {ROUTE_SIP, "$rb", "rb", NULL, NULL},
    {ROUTE_SIP, "$hdr(X-Foo)", "hdr", "X-Foo", NULL},
    {ROUTE_SIP, "$(rU)", "rU", NULL, NULL},
    {ROUTE_MSRP, "$msrp(method)", "method", NULL, NULL},
    {ROUTE_MSRP, "$msrp(code)", "code", NULL, NULL},
    {ROUTE_MSRP, "$msrp(reason)", "reason", NULL, NULL},
    {ROUTE_MSRP, "$msrp(transid)", "transid", NULL, NULL},
    {ROUTE_MSRP, "$msrp(msgid)", "msgid", NULL, NULL},
    {ROUTE_MSRP, "$msrp(sessid)", "sessid", NULL, NULL},
    {ROUTE_MSRP, "$msrp(crthop)", "crthop", NULL, NULL},
    {ROUTE_MSRP, "$msrp(nexthop)", "nexthop", NULL, NULL},
    {ROUTE_MSRP, "$msrp(prevhop)", "prevhop", NULL, NULL},
    {ROUTE_MSRP, "$msrp(firsthop)", "firsthop", NULL, NULL},
    {ROUTE_MSRP, "$msrp(lasthop)", "lasthop", NULL, NULL},
    {ROUTE_MSRP, "$msrp(nexthops)", "nexthops", NULL, NULL},
    {ROUTE_MSRP, "$msrp(prevhops)", "prevhops", NULL, NULL},
    {ROUTE_MSRP, "$msrp(hdrs)", "hdrs", NULL, NULL},
    {ROUTE_MSRP, "$msrp(body)", "body", NULL, NULL},
    {ROUTE_MSRP, "$msrp(bodylen)", "bodylen", NULL, NULL},
    {ROUTE_MSRP, "$msrp(buf)", "buf", NULL, NULL},
    {ROUTE_MSRP, "$msrp(buflen)", "buflen", NULL, NULL},
    {ROUTE_MSRP, "$msrp(conid)", "conid", NULL, NULL},
    {ROUTE_MSRP, "$msrp(srcaddr)", "srcaddr", NULL, NULL},
    {ROUTE_MSRP, "$msrp(srcsock)", "srcsock", NULL, NULL},
    {ROUTE_MSRP, "$hdr(X)", "hdr", "X", NULL},
    {ROUTE_MSRP, "$si", "si", NULL, NULL},
    {ROUTE_MSRP, "$sp", "sp", NULL, NULL},
    {ROUTE_MSRP, "$au", "au", NULL, NULL},
    {ROUTE_MSRP, "$ar", "ar", NULL, NULL},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.user})", "crthop", NULL, "msrpuri.user"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.userinfo})", "crthop", NULL, "msrpuri.userinfo"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.host})", "crthop", NULL, "msrpuri.host"},
    {ROUTE_MSRP, "$(msrp(nexthop){msrpuri.port})", "nexthop", NULL, "msrpuri.port"},
    {ROUTE_MSRP, "$(msrp(lasthop){msrpuri.session})", "lasthop", NULL, "msrpuri.session"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.proto})", "crthop", NULL, "msrpuri.proto"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.scheme})", "crthop", NULL, "msrpuri.scheme"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.params})", "crthop", NULL, "msrpuri.params"},
    {ROUTE_MSRP, "$(hdr(Use-Path){msrpuri.host})", "hdr", "Use-Path", "msrpuri.host"},
    {ROUTE_MSRP_AUTH, "$au", "au", NULL, NULL},
    {ROUTE_MSRP_AUTH, "$ar", "ar", NULL, NULL},
    {ROUTE_MSRP_AUTH, "$si", "si", NULL, NULL},
    {ROUTE_MSRP_AUTH, "$msrp(crthop)", "crthop", NULL, NULL},
    {ROUTE_MSRP_SOCKET, "$msrp(crthop)", "crthop", NULL, NULL},
    {ROUTE_MSRP_SOCKET, "$dst_scheme", "dst_scheme", NULL, NULL},
    {ROUTE_MSRP_SOCKET, "$dst_host", "dst_host", NULL, NULL},
    {ROUTE_EVENT, "$event", "event", NULL, NULL},
    {ROUTE_EVENT, "$param(reason)", "param", "reason", NULL},
};

static void test_variables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		struct slice text = slice_of(variables[i].text);
		struct tree_fault fault = {0};
		struct route_var var;

		if (route_var_parse(&var, text, spec_of(variables[i].list), NULL, &fault)
		    != (ssize_t)text.len)
			fail_msg("%s: %s", variables[i].text, fault.text);
		assert_string_equal(var.variable->name, variables[i].name);
		assert_true(slice_equal(slice_of(var.transform ? var.transform->name : NULL),
		    slice_of(variables[i].transform)));
		assert_true(slice_equal(var.argument, slice_of(variables[i].argument)));
	}
}

static const struct {
	unsigned list;
	const char *text, *fault;
} faults[] = {
    {ROUTE_SIP, "a $ b", "unknown variable here: $"},
    {ROUTE_SIP, "costs 5$", "unknown variable here: $"},
    {ROUTE_SIP, "$ruu", "unknown variable here: $ruu; did you mean ru?"},
    {ROUTE_SIP, "$msrp(body)", "unknown variable here: $msrp"},
    {ROUTE_SIP, "$event", "unknown variable here: $event"},
    {ROUTE_SIP, "$hdr", "$hdr wants parentheses: $hdr(…)"},
    {ROUTE_SIP, "$hdr()", "$hdr() lacks a name"},
    {ROUTE_SIP, "$hdr(X", "a variable lacks its )"},
    {ROUTE_SIP, "$hdr(X Y)", "$hdr() wants the name of a header"},
    {ROUTE_SIP, "$(ru", "a variable lacks its )"},
    {ROUTE_SIP, "$(ru{msrpuri.host})", "unknown transformation here: msrpuri.host"},
    {ROUTE_MSRP, "$ru", "unknown variable here: $ru"},
    {ROUTE_MSRP, "$dst_host", "unknown variable here: $dst_host"},
    {ROUTE_MSRP, "$msrp(bodyy)", "unknown key in $msrp(): bodyy; did you mean body?"},
    {ROUTE_MSRP, "$msrp", "$msrp wants parentheses"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.hots})",
	"unknown transformation here: msrpuri.hots; did you mean msrpuri.host?"},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.host)", "a variable lacks its }"},
    {ROUTE_MSRP, "$(msrp(crthop){s.len})", "unknown transformation here: s.len"},
    {ROUTE_EVENT, "$param(codes)", "unknown parameter in $param(): codes; did you mean code?"},
    {ROUTE_EVENT, "$param(from_uri)", "unknown parameter in $param(): from_uri"},
    {ROUTE_EVENT, "$ru", "unknown variable here: $ru"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct tree_fault fault = {0};
		struct route_text t;

		if (compile(&t, faults[i].text, faults[i].list, false, &fault) != -EINVAL)
			fail_msg("%s compiles", faults[i].text);
		if (strncmp(fault.text, faults[i].fault, strlen(faults[i].fault)) != 0)
			fail_msg("%s: %s", faults[i].text, fault.text);
		assert_int_equal(fault.line, 3);
		assert_int_equal(fault.column, 9);
		route_text_fini(&t);
	}
}

static void expand(const char *text, const struct slice *fixed, bool one_line, int want_err,
    struct slice want)
{
	struct route_subject subject = {.frame = (void *)fixed};
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	struct tree_fault fault;
	struct route_text t;
	int err;

	assert_int_equal(compile(&t, text, ROUTE_SIP, one_line, &fault), 0);
	err = route_text_expand(&t, &subject, &out);
	assert_int_equal(err, want_err);
	if (err == 0 && !slice_equal(buffer_text(&out), want))
		fail_msg("%s: %.*s", text, (int)out.len, out.p);
	buffer_fini(&out);
	route_text_fini(&t);
}

static void test_expand(void **state)
{
	struct slice value = SLICE("v"), nothing = {NULL, 0}, lines = SLICE("a\r\nEvil: 1\x01");

	(void)state;
	expand("", &value, false, 0, SLICE(""));
	expand("plain", NULL, false, 0, SLICE("plain"));
	expand("$$", NULL, false, 0, SLICE("$"));
	expand("$$$rm$$$$", &value, false, 0, SLICE("$v$$"));
	expand("$fu:$tu", &value, false, 0, SLICE("v:v"));
	expand("$fu$tu", &value, false, 0, SLICE("vv"));
	expand("<$(fu)x>", &value, false, 0, SLICE("<vx>"));
	expand("<$fu>", &nothing, false, 0, SLICE("<>"));
	expand("$hdr(A)$hdr(B)", NULL, false, 0, SLICE("[hdr A][hdr B]"));
	expand("<$fu>", &lines, false, 0, SLICE("<a\r\nEvil: 1\x01>"));
	expand("<$fu>", &lines, true, 0, SLICE("<a  Evil: 1 >"));
}

static void test_bound(void **state)
{
	struct slice half, whole;
	char *bytes = calloc(1, ROUTE_VALUE_MAX);

	(void)state;
	half = (struct slice){bytes, ROUTE_VALUE_MAX / 2};
	whole = (struct slice){bytes, ROUTE_VALUE_MAX};
	expand("$rb", &whole, false, 0, whole);
	expand("$rb$rb", &half, false, 0, whole);
	expand("$rb$rb ", &half, false, -EMSGSIZE, whole);
	expand("$rb$rb$rb", &half, false, -EMSGSIZE, whole);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_variables),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_expand),
	    cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
