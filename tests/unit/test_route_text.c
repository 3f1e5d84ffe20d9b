/* Texts with variables: what is known where, what comes out. */
#include "route/text.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tree.h"
#include "route/route.h"

static const char *const params[] = {"code", "reason", NULL};
static const struct event_type event = {"E_TEST", params};
static const struct event_type *const events[] = {&event, NULL};

static int compile(struct route_text *t, const char *text, unsigned list, bool one_line,
    struct tree_fault *fault)
{
	struct route_spec spec = {.list = list, .events = events};
	struct tree node = {.kind = TREE_TEXT, .text = slice_of(text), .line = 3, .column = 9};

	*t = (struct route_text){0};
	return route_text_compile(t, &node, one_line, &spec, fault);
}

/* Says what it was asked for: [id argument part] */
static bool get(const void *facts, const struct route_var *var, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	const struct slice *fixed = facts;

	if (fixed) {
		*valuep = *fixed;
		return fixed->p != NULL;
	}
	snprintf(scratch, ROUTE_SCRATCH_SIZE, "[%d %.*s %d]", var->id, SLICE_ARG(var->argument),
	    var->part);
	*valuep = slice_of(scratch);
	return true;
}

static const struct {
	unsigned list;
	const char *text;
	enum route_var_id id;
	const char *argument;
	enum route_part part;
} variables[] = {
    {ROUTE_SIP, "$rm", ROUTE_VAR_SIP_METHOD, NULL, 0},
    {ROUTE_SIP, "$ru", ROUTE_VAR_SIP_RURI, NULL, 0},
    {ROUTE_SIP, "$fu", ROUTE_VAR_SIP_FROM, NULL, 0},
    {ROUTE_SIP, "$tu", ROUTE_VAR_SIP_TO, NULL, 0},
    {ROUTE_SIP, "$rU", ROUTE_VAR_SIP_RURI_USER, NULL, 0},
    {ROUTE_SIP, "$fU", ROUTE_VAR_SIP_FROM_USER, NULL, 0},
    {ROUTE_SIP, "$tU", ROUTE_VAR_SIP_TO_USER, NULL, 0},
    {ROUTE_SIP, "$rd", ROUTE_VAR_SIP_RURI_DOMAIN, NULL, 0},
    {ROUTE_SIP, "$fd", ROUTE_VAR_SIP_FROM_DOMAIN, NULL, 0},
    {ROUTE_SIP, "$td", ROUTE_VAR_SIP_TO_DOMAIN, NULL, 0},
    {ROUTE_SIP, "$ci", ROUTE_VAR_SIP_CALL_ID, NULL, 0},
    {ROUTE_SIP, "$si", ROUTE_VAR_SOURCE_ADDRESS, NULL, 0},
    {ROUTE_SIP, "$sp", ROUTE_VAR_SOURCE_PORT, NULL, 0},
    {ROUTE_SIP, "$proto", ROUTE_VAR_SIP_PROTO, NULL, 0},
    {ROUTE_SIP, "$ct", ROUTE_VAR_SIP_CONTACT, NULL, 0},
    {ROUTE_SIP, "$cT", ROUTE_VAR_SIP_CONTENT_TYPE, NULL, 0},
    {ROUTE_SIP, "$ua", ROUTE_VAR_SIP_USER_AGENT, NULL, 0},
    {ROUTE_SIP, "$rb", ROUTE_VAR_SIP_BODY, NULL, 0},
    {ROUTE_SIP, "$hdr(X-Foo)", ROUTE_VAR_HEADER, "X-Foo", 0},
    {ROUTE_SIP, "$(rU)", ROUTE_VAR_SIP_RURI_USER, NULL, 0},
    {ROUTE_MSRP, "$msrp(method)", ROUTE_VAR_MSRP_METHOD, NULL, 0},
    {ROUTE_MSRP, "$msrp(code)", ROUTE_VAR_MSRP_CODE, NULL, 0},
    {ROUTE_MSRP, "$msrp(reason)", ROUTE_VAR_MSRP_REASON, NULL, 0},
    {ROUTE_MSRP, "$msrp(transid)", ROUTE_VAR_MSRP_TRANSID, NULL, 0},
    {ROUTE_MSRP, "$msrp(msgid)", ROUTE_VAR_MSRP_MSGID, NULL, 0},
    {ROUTE_MSRP, "$msrp(sessid)", ROUTE_VAR_MSRP_SESSID, NULL, 0},
    {ROUTE_MSRP, "$msrp(crthop)", ROUTE_VAR_MSRP_CRTHOP, NULL, 0},
    {ROUTE_MSRP, "$msrp(nexthop)", ROUTE_VAR_MSRP_NEXTHOP, NULL, 0},
    {ROUTE_MSRP, "$msrp(prevhop)", ROUTE_VAR_MSRP_PREVHOP, NULL, 0},
    {ROUTE_MSRP, "$msrp(firsthop)", ROUTE_VAR_MSRP_FIRSTHOP, NULL, 0},
    {ROUTE_MSRP, "$msrp(lasthop)", ROUTE_VAR_MSRP_LASTHOP, NULL, 0},
    {ROUTE_MSRP, "$msrp(nexthops)", ROUTE_VAR_MSRP_NEXTHOPS, NULL, 0},
    {ROUTE_MSRP, "$msrp(prevhops)", ROUTE_VAR_MSRP_PREVHOPS, NULL, 0},
    {ROUTE_MSRP, "$msrp(hdrs)", ROUTE_VAR_MSRP_HDRS, NULL, 0},
    {ROUTE_MSRP, "$msrp(body)", ROUTE_VAR_MSRP_BODY, NULL, 0},
    {ROUTE_MSRP, "$msrp(bodylen)", ROUTE_VAR_MSRP_BODYLEN, NULL, 0},
    {ROUTE_MSRP, "$msrp(buf)", ROUTE_VAR_MSRP_BUF, NULL, 0},
    {ROUTE_MSRP, "$msrp(buflen)", ROUTE_VAR_MSRP_BUFLEN, NULL, 0},
    {ROUTE_MSRP, "$msrp(conid)", ROUTE_VAR_MSRP_CONID, NULL, 0},
    {ROUTE_MSRP, "$msrp(srcaddr)", ROUTE_VAR_MSRP_SRCADDR, NULL, 0},
    {ROUTE_MSRP, "$msrp(srcsock)", ROUTE_VAR_MSRP_SRCSOCK, NULL, 0},
    {ROUTE_MSRP, "$hdr(X)", ROUTE_VAR_HEADER, "X", 0},
    {ROUTE_MSRP, "$si", ROUTE_VAR_SOURCE_ADDRESS, NULL, 0},
    {ROUTE_MSRP, "$sp", ROUTE_VAR_SOURCE_PORT, NULL, 0},
    {ROUTE_MSRP, "$au", ROUTE_VAR_AUTH_USER, NULL, 0},
    {ROUTE_MSRP, "$ar", ROUTE_VAR_AUTH_REALM, NULL, 0},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.user})", ROUTE_VAR_MSRP_CRTHOP, NULL, ROUTE_PART_USER},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.userinfo})", ROUTE_VAR_MSRP_CRTHOP, NULL,
	ROUTE_PART_USERINFO},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.host})", ROUTE_VAR_MSRP_CRTHOP, NULL, ROUTE_PART_HOST},
    {ROUTE_MSRP, "$(msrp(nexthop){msrpuri.port})", ROUTE_VAR_MSRP_NEXTHOP, NULL, ROUTE_PART_PORT},
    {ROUTE_MSRP, "$(msrp(lasthop){msrpuri.session})", ROUTE_VAR_MSRP_LASTHOP, NULL,
	ROUTE_PART_SESSION},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.proto})", ROUTE_VAR_MSRP_CRTHOP, NULL, ROUTE_PART_PROTO},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.scheme})", ROUTE_VAR_MSRP_CRTHOP, NULL, ROUTE_PART_SCHEME},
    {ROUTE_MSRP, "$(msrp(crthop){msrpuri.params})", ROUTE_VAR_MSRP_CRTHOP, NULL, ROUTE_PART_PARAMS},
    {ROUTE_MSRP, "$(hdr(Use-Path){msrpuri.host})", ROUTE_VAR_HEADER, "Use-Path", ROUTE_PART_HOST},
    {ROUTE_MSRP_AUTH, "$au", ROUTE_VAR_AUTH_USER, NULL, 0},
    {ROUTE_MSRP_AUTH, "$ar", ROUTE_VAR_AUTH_REALM, NULL, 0},
    {ROUTE_MSRP_AUTH, "$si", ROUTE_VAR_SOURCE_ADDRESS, NULL, 0},
    {ROUTE_MSRP_AUTH, "$msrp(crthop)", ROUTE_VAR_MSRP_CRTHOP, NULL, 0},
    {ROUTE_MSRP_SOCKET, "$msrp(crthop)", ROUTE_VAR_MSRP_CRTHOP, NULL, 0},
    {ROUTE_MSRP_SOCKET, "$dst_scheme", ROUTE_VAR_DST_SCHEME, NULL, 0},
    {ROUTE_MSRP_SOCKET, "$dst_host", ROUTE_VAR_DST_HOST, NULL, 0},
    {ROUTE_EVENT, "$event", ROUTE_VAR_EVENT, NULL, 0},
    {ROUTE_EVENT, "$param(reason)", ROUTE_VAR_EVENT_PARAM, "reason", 0},
};

static void test_variables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		struct route_spec spec = {.list = variables[i].list, .events = events};
		struct slice text = slice_of(variables[i].text);
		struct tree_fault fault = {0};
		struct route_var var;

		if (route_var_parse(&var, text, &spec, NULL, &fault) != (ssize_t)text.len)
			fail_msg("%s: %s", variables[i].text, fault.text);
		assert_int_equal(var.id, variables[i].id);
		assert_int_equal(var.part, variables[i].part);
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
	struct route_facts facts = {get, fixed};
	struct route_buffer out = {0};
	struct tree_fault fault;
	struct route_text t;
	int err;

	assert_int_equal(compile(&t, text, ROUTE_SIP, one_line, &fault), 0);
	err = route_text_expand(&t, &facts, &out);
	assert_int_equal(err, want_err);
	if (err == 0 && !slice_equal((struct slice){out.p, out.len}, want))
		fail_msg("%s: %.*s", text, (int)out.len, out.p);
	free(out.p);
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
	expand("$hdr(A)$hdr(B)", NULL, false, 0, SLICE("[18 A 0][18 B 0]"));
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
