/* Lists of rules: what compiles, what is refused and where, what a walk does. */
#include "route/route.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include <msrpd/event.h>

#include "base/tree.h"
#include "config_yaml.h"
#include "route_stubs.h"

/* --- actions that only write down how they were called --- */

static struct {
	char text[4096];
	size_t len;
	int err;       /* what an action named fail… returns */
	unsigned last; /* calls that were told to be the last word */
	unsigned wait; /* so many of the next ones wait */
	struct route_walk *walk;
} calls;

static void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	calls.len +=
	    (size_t)vsnprintf(calls.text + calls.len, sizeof(calls.text) - calls.len, format, args);
	va_end(args);
}

/* One function for every stub: what it is called is found in state. */
static int run_stub(const struct route_subject *subject, const struct arg *args, void *state)
{
	const struct action *action = state;

	note("%s(", action->name);
	for (size_t i = 0; action->args && action->args[i].name; i++) {
		const char *name = action->args[i].name;

		if (!args[i].present)
			continue;
		switch (action->args[i].kind) {
		case ARG_TEXT:
		case ARG_HEADERS:
			note("%s=%.*s;", name, SLICE_ARG(args[i].text));
			break;
		case ARG_TEXTS:
			note("%s=", name);
			for (size_t k = 0; k < args[i].count; k++)
				note("%.*s,", SLICE_ARG(args[i].texts[k]));
			note(";");
			break;
		default:
			note("%s=%lld;", name, (long long)args[i].number);
		}
	}
	note(") ");
	calls.last += subject->last;
	if (calls.wait > 0 && (calls.walk = route_wait(subject))) {
		calls.wait--;
		return -EINPROGRESS;
	}
	return calls.err;
}

static int refuse_answer_behind(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	if (place->last || !args[2].present || args[2].number == 0)
		return 0;
	return reason_set(why, -EINVAL, "answers by itself");
}

static int check_listener(struct slice name, const struct route_env *env, struct reason *why)
{
	(void)env;
	if (slice_equal(name, SLICE("outside")))
		return 0;
	return reason_set(why, -EINVAL, "no listener is named %.*s", SLICE_ARG(name));
}

static const char *const confirms[] = {"accepted", "sent", "delivered", NULL};
static const char *const flags[] = {"no_connect", "close", "1", "2", "3", NULL};

#define TEXTS(text)                                                \
	{                                                          \
		.name = (text), .kind = ARG_TEXT, .required = true \
	}
static const struct arg_spec ua_answer_args[] = {TEXTS("content_types"), {0}};
static const struct arg_spec gw_answer_args[] = {TEXTS("key"), TEXTS("content_types"),
    TEXTS("from"), TEXTS("to"), TEXTS("ruri"), {0}};
static const struct arg_spec to_msrp[] = {TEXTS("key"), TEXTS("content_types"),
    {.name = "confirm", .kind = ARG_CHOICE, .choices = confirms}, {0}};
static const struct arg_spec reply[] = {{.name = "code", .kind = ARG_NUMBER, .required = true},
    TEXTS("reason"), {.name = "headers", .kind = ARG_HEADERS}, {0}};
static const struct arg_spec message[] = {TEXTS("ruri"), TEXTS("from"), TEXTS("to"),
    TEXTS("content_type"), TEXTS("body"), {0}};
static const struct arg_spec secrets[] = {{.name = "password", .kind = ARG_TEXT},
    {.name = "ha1", .kind = ARG_TEXT}, {.name = "ha1_sha256", .kind = ARG_TEXT}, {0}};
static const struct arg_spec paths[] = {TEXTS("to_path"), TEXTS("from_path"), {0}};
static const struct arg_spec dst[] = {TEXTS("addr"),
    {.name = "sock", .kind = ARG_TEXT, .check = check_listener}, {0}};
static const struct arg_spec relay_flags[] = {
    {.name = "flags", .kind = ARG_TEXTS, .required = true, .choices = flags}, {0}};
static const struct arg_spec socket_name[] = {
    {.name = "name", .kind = ARG_TEXT, .required = true, .check = check_listener}, {0}};

static const struct action stubs[] = {
    {.name = "msrp_ua_answer",
	.lists = ROUTE_SIP,
	.args = ua_answer_args,
	.ends_walk = true,
	.answers = true,
	.run = run_stub},
    {.name = "msrp_gw_answer",
	.lists = ROUTE_SIP,
	.args = gw_answer_args,
	.ends_walk = true,
	.answers = true,
	.run = run_stub},
    {.name = "msg_to_msrp",
	.lists = ROUTE_SIP,
	.args = to_msrp,
	.run = run_stub,
	.check = refuse_answer_behind},
    {.name = "send_reply", .lists = ROUTE_SIP, .args = reply, .answers = true, .run = run_stub},
    {.name = "send_message", .lists = ROUTE_SIP | ROUTE_EVENT, .args = message, .run = run_stub},
    {.name = "msrp_relay", .lists = ROUTE_MSRP, .ends_walk = true, .run = run_stub},
    {.name = "msrp_reply",
	.lists = ROUTE_MSRP,
	.args = reply,
	.ends_walk = true,
	.answers = true,
	.run = run_stub},
    {.name = "msrp_credentials", .lists = ROUTE_MSRP_AUTH, .args = secrets, .run = run_stub},
    {.name = "msrp_forward",
	.lists = ROUTE_MSRP,
	.args = paths,
	.ends_walk = true,
	.run = run_stub},
    {.name = "msrp_set_dst", .lists = ROUTE_MSRP, .args = dst, .run = run_stub},
    {.name = "msrp_relay_flags", .lists = ROUTE_MSRP, .args = relay_flags, .run = run_stub},
    {.name = "msrp_reply_flags", .lists = ROUTE_MSRP, .args = relay_flags, .run = run_stub},
    {.name = "msrp_set_socket", .lists = ROUTE_MSRP_SOCKET, .args = socket_name, .run = run_stub},
};

enum { STUBS = sizeof(stubs) / sizeof(stubs[0]) };

static const char *const failed_params[] = {"key", "from_uri", "to_uri", "ruri", "code", "reason",
    NULL};
static const struct event_type failed_event = {.name = "E_MSRP_GW_SETUP_FAILED",
    .params = failed_params};
static const struct event_type *const events[] = {&failed_event, NULL};

/* A table of one action each, so that each is given itself as its state. */
static struct action singles[STUBS][2];
static void *states[STUBS];
static struct action_table tables[STUBS + 1];

/* --- helpers --- */

static const struct route_env env = {.events = events};

static const char *name_of(unsigned list)
{
	return list == ROUTE_SIP ? "sip" : list == ROUTE_MSRP_AUTH ? "msrp_auth" : "other";
}

static int compile(struct route_list **listp, unsigned list, const char *yaml,
    struct tree_fault *fault)
{
	struct route_spec spec = {
	    .list = list,
	    .name = name_of(list),
	    .actions = tables,
	    .variables = route_stub_variables,
	    .transforms = route_stub_transforms,
	    .env = &env,
	};
	struct tree *root;
	int err = config_compose(&root, slice_of(yaml), fault);

	*listp = NULL;
	if (err == 0)
		err = route_list_new(listp, &spec, root, fault);
	tree_free(root);
	return err;
}

struct fact {
	const char *name, *argument, *value;
};

static unsigned asked; /* how often get was called */

static bool get(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	asked++;
	for (const struct fact *f = subject->frame; f->value; f++) {
		if (strcmp(f->name, variable->name) != 0
		    || (f->argument && !slice_equal(argument, slice_of(f->argument))))
			continue;
		/* by the scratch, as a relay gives its numbers */
		snprintf(scratch, ROUTE_SCRATCH_SIZE, "%s", f->value);
		*valuep = slice_of(scratch);
		return true;
	}
	return false;
}

static void walk(unsigned list, const char *yaml, const struct fact *facts, unsigned want,
    const char *want_calls)
{
	struct route_subject subject = {.frame = (void *)facts};
	struct route_list *rules;
	struct tree_fault fault;
	unsigned got;

	if (compile(&rules, list, yaml, &fault) < 0)
		fail_msg("%u:%u: %s in:\n%s", fault.line, fault.column, fault.text, yaml);
	calls.len = 0;
	calls.text[0] = '\0';
	calls.last = 0;
	got = route_run(rules, &subject);
	if (got != want || strcmp(calls.text, want_calls) != 0)
		fail_msg("got %u, %s; wanted %u, %s; of:\n%s", got, calls.text, want, want_calls,
		    yaml);
	route_list_free(rules);
}

static int set_up(void **state)
{
	(void)state;
	route_stubs_init(get);
	for (size_t i = 0; i < STUBS; i++) {
		singles[i][0] = stubs[i];
		states[i] = &singles[i][0];
		tables[i] = (struct action_table){singles[i], &states[i]};
	}
	return 0;
}

/* --- the documented examples --- */

static const char sip_example[] =
    "- if: {$rm: INVITE, $tu: \"sip:assistant@*\"}\n"
    "  do: [{msrp_ua_answer: {content_types: \"text/plain message/cpim\"}}]\n"
    "- if: {$rm: INVITE}\n"
    "  do: [{msrp_gw_answer: {key: \"$fu:$tu\", content_types: text/plain, from: $fu, to: $tu, "
    "ruri: $ru}}]\n"
    "- if: {$rm: MESSAGE}\n"
    "  do:\n"
    "    - msg_to_msrp: {key: \"$tu:$fu\", content_types: text/plain}\n"
    "    - send_reply: {code: 200, reason: OK}\n";

static const char msrp_example[] = "- if: {$si: 198.51.100.0/24}\n"
				   "  do: [{msrp_reply: {code: 403, reason: Not allowed}}]\n"
				   "- do: [msrp_relay]\n";

static const char auth_example[] = "- if: {$ar: example.org, $au: \"guest*\"}\n"
				   "  do: [{msrp_credentials: {password: welcome}}]\n";

static const char socket_example[] = "- if: {$dst_scheme: msrps}\n"
				     "  do: [{msrp_set_socket: {name: outside}}]\n";

static const char event_example[] =
    "- if: {$event: E_MSRP_GW_SETUP_FAILED}\n"
    "  do:\n"
    "    - send_message: {ruri: $param(ruri), from: $param(from_uri), to: $param(to_uri), "
    "content_type: text/plain,\n"
    "                     body: \"Failed to establish session, error: $param(code) "
    "$param(reason)\"}\n";

static void test_sip_example(void **state)
{
	struct fact assistant[] = {{"rm", NULL, "INVITE"}, {"tu", NULL, "sip:assistant@x"}, {0}};
	struct fact invite[] = {{"rm", NULL, "INVITE"}, {"tu", NULL, "sip:b@x"},
	    {"fu", NULL, "sip:a@x"}, {"ru", NULL, "sip:b@y"}, {0}};
	struct fact page[] = {{"rm", NULL, "MESSAGE"}, {"tu", NULL, "sip:b@x"},
	    {"fu", NULL, "sip:a@x"}, {0}};
	struct fact other[] = {{"rm", NULL, "OPTIONS"}, {0}};

	(void)state;
	walk(ROUTE_SIP, sip_example, assistant, ROUTE_HELD,
	    "msrp_ua_answer(content_types=text/plain message/cpim;) ");
	walk(ROUTE_SIP, sip_example, invite, ROUTE_HELD,
	    "msrp_gw_answer(key=sip:a@x:sip:b@x;content_types=text/plain;from=sip:a@x;to=sip:b@x;"
	    "ruri=sip:b@y;) ");
	walk(ROUTE_SIP, sip_example, page, ROUTE_HELD,
	    "msg_to_msrp(key=sip:b@x:sip:a@x;content_types=text/plain;) "
	    "send_reply(code=200;reason=OK;) ");
	assert_int_equal(calls.last, 1);
	walk(ROUTE_SIP, sip_example, other, 0, "");
}

/* What one says has to be what another does, and no pattern that it could be. */
static void test_variables_in_patterns(void **state)
{
	static const char forger[] = "- if: {$fU: \"!$au\"}\n"
				     "  do: [{send_reply: {code: 403, reason: \"\"}}]\n";
	static const char own[] = "- if: {$fu: [\"sip:$au@$(ar)\", \"tel:$au\"]}\n"
				  "  do: [{send_reply: {code: 200, reason: \"\"}}]\n";
	static const struct {
		const char *rules, *from, *user, *realm; /* NULL: no value */
		bool holds;
	} cases[] = {
	    {forger, "alice", "alice", NULL, false},
	    {forger, "alice", "bob", NULL, true},
	    {forger, "alice", "alic", NULL, true},
	    {forger, "alice", "alicex", NULL, true},
	    {forger, "Alice", "alice", NULL, true},
	    {forger, "alice", "*", NULL, true},
	    {forger, "alice", "~.", NULL, true},
	    {forger, "alice", "!x", NULL, true},
	    {forger, "alice", "$fU", NULL, true},
	    {forger, "*", "*", NULL, false},
	    {forger, "alice", NULL, NULL, true},
	    {forger, NULL, "alice", NULL, true},
	    {forger, NULL, NULL, NULL, true},
	    {forger, "", NULL, NULL, true},
	    {own, "sip:alice@x", "alice", "x", true},
	    {own, "tel:alice", "alice", "x", true},
	    {own, "sip:alice@xy", "alice", "x", false},
	    {own, "sip:alice@x", "alice@x", "", false},
	    {own, "sip:@x", NULL, "x", false},
	    {own, "sip:alice@", "alice", NULL, false},
	    {own, "sip:", "alice", "x", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fact facts[5] = {{0}};
		size_t n = 0;

		if (cases[i].from)
			facts[n++] = (struct fact){"fU", NULL, cases[i].from};
		if (cases[i].from)
			facts[n++] = (struct fact){"fu", NULL, cases[i].from};
		if (cases[i].user)
			facts[n++] = (struct fact){"au", NULL, cases[i].user};
		if (cases[i].realm)
			facts[n++] = (struct fact){"ar", NULL, cases[i].realm};
		walk(ROUTE_SIP, cases[i].rules, facts, cases[i].holds ? ROUTE_HELD : 0,
		    !cases[i].holds             ? ""
			: cases[i].rules == own ? "send_reply(code=200;reason=;) "
						: "send_reply(code=403;reason=;) ");
	}
}

static void test_msrp_examples(void **state)
{
	struct fact banned[] = {{"si", NULL, "198.51.100.9"}, {0}};
	struct fact guest[] = {{"ar", NULL, "example.org"}, {"au", NULL, "guest9"}, {0}};
	struct fact plain[] = {{"dst_scheme", NULL, "msrp"}, {0}};
	struct fact secure[] = {{"dst_scheme", NULL, "msrps"}, {0}};

	(void)state;
	walk(ROUTE_MSRP, msrp_example, banned, ROUTE_HELD,
	    "msrp_reply(code=403;reason=Not allowed;) ");
	walk(ROUTE_MSRP, msrp_example, plain, ROUTE_HELD, "msrp_relay() ");
	walk(ROUTE_MSRP_AUTH, auth_example, guest, ROUTE_HELD,
	    "msrp_credentials(password=welcome;) ");
	walk(ROUTE_MSRP_AUTH, auth_example, plain, 0, "");
	walk(ROUTE_MSRP_SOCKET, socket_example, secure, ROUTE_HELD,
	    "msrp_set_socket(name=outside;) ");
	walk(ROUTE_MSRP_SOCKET, socket_example, plain, 0, "");
}

static void test_event_example(void **state)
{
	struct fact failed[] = {{"event", NULL, "E_MSRP_GW_SETUP_FAILED"},
	    {"param", "ruri", "sip:a@x"}, {"param", "from_uri", "sip:b@x"},
	    {"param", "to_uri", "sip:c@x"}, {"param", "code", "486"}, {0}};

	(void)state;
	walk(ROUTE_EVENT, event_example, failed, ROUTE_HELD,
	    "send_message(ruri=sip:a@x;from=sip:b@x;to=sip:c@x;content_type=text/plain;"
	    "body=Failed to establish session, error: 486 ;) ");
}

/* --- walks --- */

static const struct fact a_send[] = {
    {"is_request", NULL, "true"},
    {"method", NULL, "SEND"},
    {"nexthops", NULL, "2"},
    {"si", NULL, "2001:db8::7"},
    {"hdr", "X-Evil", "a\r\nb"},
    {0},
};

static const struct {
	const char *yaml;
	unsigned want;
	const char *calls;
} walks[] = {
    {"", 0, ""},
    {"[]", 0, ""},
    {"- {if: {$msrp(method): AUTH}, do: [msrp_relay]}", 0, ""},
    {"- {if: {$msrp(method): [AUTH, SEND]}, do: [msrp_relay]}", ROUTE_HELD, "msrp_relay() "},
    {"- {if: {$msrp(method): SEND, $si: 10.0.0.0/8}, do: [msrp_relay]}", 0, ""},
    {"- {if: {$msrp(method): SEND, $si: \"2001:db8::/32\"}, do: msrp_relay}", ROUTE_HELD,
	"msrp_relay() "},
    {"- {if: [{$msrp(method): SEND}, {$si: 10.0.0.0/8}], do: [msrp_relay]}", 0, ""},
    {"- {if: [{$msrp(method): SEND}, {$msrp(method): S*}], do: [msrp_relay]}", ROUTE_HELD,
	"msrp_relay() "},
    {"- {if: {is_request: true}, do: [msrp_relay]}", ROUTE_HELD, "msrp_relay() "},
    {"- {if: {is_request: false}, do: [msrp_relay]}", 0, ""},
    {"- {if: {$msrp(nexthops): \">1\"}, do: [msrp_relay]}", ROUTE_HELD, "msrp_relay() "},
    {"- {if: {$au: null}, do: [msrp_relay]}", ROUTE_HELD, "msrp_relay() "},
    {"- {if: {$au: \"*\"}, do: [msrp_relay]}", 0, ""},
    {"- {if: {$msrp(method): null}, do: [msrp_relay]}", 0, ""},
    /* continue */
    {"- {do: [{msrp_set_dst: {addr: a}}], continue: true}\n- {do: [msrp_relay]}", ROUTE_HELD,
	"msrp_set_dst(addr=a;) msrp_relay() "},
    {"- {do: [{msrp_set_dst: {addr: a}}], continue: false}\n- {do: [msrp_relay]}", ROUTE_HELD,
	"msrp_set_dst(addr=a;) "},
    {"- {do: [{msrp_set_dst: {addr: a}}], continue: true}", 0, "msrp_set_dst(addr=a;) "},
    {"- {do: [msrp_relay, {msrp_set_dst: {addr: a}}], continue: true}\n- {do: [msrp_relay]}",
	ROUTE_HELD, "msrp_relay() msrp_set_dst(addr=a;) "},
    /* drop and log */
    {"- {do: [{msrp_set_dst: {addr: a}}, drop, msrp_relay]}\n- {do: [msrp_relay]}",
	ROUTE_HELD | ROUTE_DROPPED, "msrp_set_dst(addr=a;) "},
    {"- {do: [drop], continue: true}\n- {do: [msrp_relay]}", ROUTE_HELD | ROUTE_DROPPED, ""},
    {"- {do: [{log: {level: debug, text: \"from $si\"}}], continue: true}", 0, ""},
    {"- {do: [{log: {text: \"from $si\"}}, msrp_relay]}", ROUTE_HELD, "msrp_relay() "},
    /* arguments */
    {"- do: [{msrp_reply: {code: \"4$msrp(nexthops)\", reason: \"$$ $si\"}}]", ROUTE_HELD,
	"msrp_reply(code=42;reason=$ 2001:db8::7;) "},
    {"- do: [{msrp_reply: {code: 200, reason: \"\", headers: {X-A: b, X-B: "
     "\"<$hdr(X-Evil)>\"}}}]",
	ROUTE_HELD, "msrp_reply(code=200;reason=;headers=X-A: b\r\nX-B: <a  b>\r\n;) "},
    {"- do: [{msrp_reply: {code: $si, reason: x}}, msrp_relay]\n- do: [msrp_relay]",
	ROUTE_HELD | ROUTE_FAILED, ""},
    {"- do: [{msrp_relay_flags: [no_connect, close]}]", ROUTE_HELD,
	"msrp_relay_flags(flags=no_connect,close,;) "},
    {"- do: [{msrp_relay_flags: 3}]", ROUTE_HELD, "msrp_relay_flags(flags=3,;) "},
    {"- do: [{msrp_relay_flags: {flags: close}}]", ROUTE_HELD, "msrp_relay_flags(flags=close,;) "},
    {"- do: [{msrp_relay: }]", ROUTE_HELD, "msrp_relay() "},
    {"- do: {msrp_relay: {}}", ROUTE_HELD, "msrp_relay() "},
};

static void test_walks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++)
		walk(ROUTE_MSRP, walks[i].yaml, a_send, walks[i].want, walks[i].calls);
}

static void test_choice(void **state)
{
	struct fact none[] = {{0}};

	(void)state;
	walk(ROUTE_SIP, "- do: [{msg_to_msrp: {key: k, content_types: t, confirm: delivered}}]",
	    none, ROUTE_HELD, "msg_to_msrp(key=k;content_types=t;confirm=2;) ");
	assert_int_equal(calls.last, 1);
}

static void test_failing_action(void **state)
{
	(void)state;
	calls.err = -EIO;
	walk(ROUTE_MSRP,
	    "- {do: [{msrp_set_dst: {addr: a}}, msrp_relay], continue: true}\n"
	    "- do: [msrp_relay]",
	    a_send, ROUTE_HELD | ROUTE_FAILED, "msrp_set_dst(addr=a;) ");
	calls.err = 0;
}

/* --- faults --- */

static const struct {
	unsigned list;
	const char *yaml;
	unsigned line, column;
	const char *text;
} faults[] = {
    {ROUTE_SIP, "a text", 1, 1, "rules are a list, not a text"},
    {ROUTE_SIP, "{if: x}", 1, 1, "rules are a list, not a map"},
    {ROUTE_SIP, "- text", 1, 3, "a rule is a map of if and do, not a text"},
    {ROUTE_SIP, "- if: {$rm: INVITE}", 1, 3, "a rule without do"},
    {ROUTE_SIP, "- do: drop\n  iff: x", 2, 3, "a rule has no iff; did you mean if?"},
    {ROUTE_SIP, "- do: []", 1, 7, "do has no action; drop does nothing"},
    {ROUTE_SIP, "- do:", 1, 6, "do has no action; drop does nothing"},
    {ROUTE_SIP, "- do: drop\n  continue: yes", 2, 13, "continue is true or false"},
    {ROUTE_SIP, "- do: drop\n  if:", 2, 6, "if wants a map of variables"},
    {ROUTE_SIP, "- do: drop\n  if: {}", 2, 7, "if wants a map of variables"},
    {ROUTE_SIP, "- do: drop\n  if: []", 2, 7, "if wants a map of variables"},
    {ROUTE_SIP, "- do: drop\n  if: [x]", 2, 8, "if wants a map of variables"},
    {ROUTE_SIP, "- do: drop\n  if: {$rmm: x}", 2, 8,
	"unknown variable here: $rmm; did you mean rm?"},
    {ROUTE_SIP, "- do: drop\n  if: {rm: x}", 2, 8, "a variable begins with $"},
    {ROUTE_SIP, "- do: drop\n  if: {\"$fu:$tu\": x}", 2, 8, "if wants one variable, not $fu:$tu"},
    {ROUTE_SIP, "- do: drop\n  if: {is_request: true}", 2, 8,
	"is_request cannot stand in routes.sip"},
    {ROUTE_MSRP, "- do: drop\n  if: {is_request: maybe}", 2, 20, "is_request is true or false"},
    {ROUTE_SIP, "- do: drop\n  if: {$rm: [a, \"~(\"]}", 2, 17, "~ wants a regular expression: "},
    {ROUTE_SIP, "- do: drop\n  if: {$rm: []}", 2, 13, "no pattern in the list"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: >5\n", 3, 10,
	"a pattern that begins with > or | wants quotes"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: # x", 3, 9,
	"no pattern; one that begins with # wants quotes"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: !x", 3, 10, "tags are not supported"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: ! x", 3, 10, "tags are not supported"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: *x", 3, 10, "aliases are not supported"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: &x y", 3, 10, "anchors are not supported"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: %x", 3, 10,
	"while scanning for the next token: found character that cannot start any token"},
    {ROUTE_SIP, "- do: drop\n  if:\n    $rm: {a}", 3, 10, "a pattern is a text, not a map"},

    {ROUTE_SIP, "- do: [send_replay]", 1, 8,
	"unknown action send_replay; did you mean send_reply?"},
    {ROUTE_SIP, "- do: [msrp_relay]", 1, 8, "msrp_relay cannot stand in routes.sip"},
    {ROUTE_MSRP_AUTH, "- do: [drop, msrp_relay]", 1, 14,
	"msrp_relay cannot stand in routes.msrp_auth"},
    {ROUTE_SIP, "- do: [[drop]]", 1, 8, "an action is NAME or {NAME: {PARAMETERS}}"},
    {ROUTE_SIP, "- do: [{drop: , log: }]", 1, 8, "an action is NAME or {NAME: {PARAMETERS}}"},
    {ROUTE_SIP, "- do: [{drop: x}]", 1, 15, "drop wants its parameters by name, in a map"},
    {ROUTE_SIP, "- do: [{drop: {x: y}}]", 1, 16, "drop has no parameter x"},
    {ROUTE_SIP, "- do: [send_reply]", 1, 8, "send_reply lacks code"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200}}]", 1, 9, "send_reply lacks reason"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: OK, header: {}}}]", 1, 45,
	"send_reply has no parameter header; did you mean headers?"},
    {ROUTE_SIP, "- do: [{send_reply: {code: OK, reason: OK}}]", 1, 28,
	"code: \"OK\" is not a whole number"},
    {ROUTE_SIP, "- do: [{send_reply: {code: [200], reason: OK}}]", 1, 28,
	"code wants a text, not a list"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: }}]", 1, 33, "reason has no value"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: $event}}]", 1, 41,
	"unknown variable here: $event"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: OK, headers: x}}]", 1, 54,
	"headers wants a map of names to values, not a text"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: OK, headers: {\"X: y\": z}}}]", 1, 55,
	"\"X: y\" is not the name of a header"},
    {ROUTE_SIP, "- do: [{send_reply: {code: 200, reason: OK, headers: {X: \"a\\nb\"}}}]", 1, 58,
	"a header's value is one line of text"},
    {ROUTE_SIP, "- do: [{log: {level: loud, text: x}}]", 1, 22, "level: unknown word \"loud\""},
    {ROUTE_SIP, "- do: [{log: {level: inf, text: x}}]", 1, 22,
	"level: unknown word \"inf\"; did you mean info?"},
    {ROUTE_MSRP, "- do: [{msrp_relay_flags: [close, clos]}]", 1, 35,
	"flags: unknown word \"clos\"; did you mean close?"},
    {ROUTE_MSRP, "- do: [{msrp_relay_flags: [[close]]}]", 1, 28, "flags wants a word, not a list"},
    {ROUTE_SIP,
	"- do: [{msg_to_msrp: {key: k, content_types: t, confirm: sent}}, {send_reply: "
	"{code: 200, reason: OK}}]",
	1, 9, "msg_to_msrp answers by itself"},
    {ROUTE_MSRP_SOCKET, "- do: [{msrp_set_socket: {name: outsid}}]", 1, 33,
	"no listener is named outsid"},
    {ROUTE_MSRP, "- do: [{msrp_set_dst: {addr: x, sock: nowhere}}]", 1, 39,
	"no listener is named nowhere"},
    {ROUTE_EVENT, "- do: drop\n  if: {$param(cod): x}", 2, 8,
	"unknown parameter in $param(): cod; did you mean code?"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct tree_fault fault = {0};
		struct route_list *list;
		int err = compile(&list, faults[i].list, faults[i].yaml, &fault);

		if (err != -EINVAL)
			fail_msg("compiles:\n%s", faults[i].yaml);
		if (strncmp(fault.text, faults[i].text, strlen(faults[i].text)) != 0
		    || fault.line != faults[i].line || fault.column != faults[i].column)
			fail_msg("%u:%u: %s in:\n%s", fault.line, fault.column, fault.text,
			    faults[i].yaml);
	}
}

/* --- what comes late --- */

static const struct {
	const char *yaml;
	bool waits;
} waits[] = {
    {"- do: [msrp_relay]", false},
    {"- {if: {$msrp(body): x}, do: [msrp_relay]}", true},
    {"- {if: {$msrp(body): x, $msrp(method): AUTH}, do: [msrp_relay]}", false},
    {"- {if: {$msrp(body): x, $msrp(method): SEND}, do: [msrp_relay]}", true},
    {"- {if: {$msrp(method): $msrp(body)}, do: [msrp_relay]}", true},
    {"- {if: {$au: $msrp(body), $msrp(method): AUTH}, do: [msrp_relay]}", false},
    {"- {do: [{log: {text: $msrp(body)}}]}", true},
    {"- {if: {$msrp(method): AUTH}, do: [{log: {text: $msrp(body)}}]}", false},
    {"- {do: [msrp_relay]}\n- {if: {$msrp(body): x}, do: [msrp_relay]}", false},
    {"- {do: [{msrp_set_dst: {addr: a}}], continue: true}\n"
     "- {if: {$msrp(body): x}, do: [msrp_relay]}",
	true},
    {"- {do: [msrp_relay], continue: true}\n- {if: {$msrp(body): x}, do: [msrp_relay]}", false},
    {"- {if: {$msrp(method): AUTH}, do: [msrp_relay]}\n"
     "- {if: {$msrp(body): x}, do: [msrp_relay]}",
	true},
};

static void test_waits(void **state)
{
	struct route_subject subject = {.frame = (void *)a_send};

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		struct route_list *list;
		struct tree_fault fault;

		assert_int_equal(compile(&list, ROUTE_MSRP, waits[i].yaml, &fault), 0);
		if (route_list_waits(list, &subject) != waits[i].waits)
			fail_msg("not %d:\n%s", waits[i].waits, waits[i].yaml);
		route_list_free(list);
	}
}

/* Where nothing that is read is late, nobody is asked. */
static void test_never_waits(void **state)
{
	struct route_subject subject = {.frame = (void *)a_send};
	struct route_list *list;
	struct tree_fault fault;

	(void)state;
	assert_int_equal(
	    compile(&list, ROUTE_MSRP,
		"- {if: {$si: \"*\", is_request: true}, do: [{msrp_set_dst: {addr: \"$hdr(X)\"}}]}",
		&fault),
	    0);
	assert_false(route_list_empty(list));
	asked = 0;
	assert_false(route_list_waits(list, &subject));
	assert_int_equal(asked, 0);
	route_list_free(list);

	assert_int_equal(compile(&list, ROUTE_MSRP, "", &fault), 0);
	assert_true(route_list_empty(list));
	route_list_free(list);
	route_list_free(NULL);
}

static void on_finished(const struct route_subject *subject, unsigned result)
{
	*(unsigned *)(uintptr_t)subject->arg = result;
}

/* Actions that wait: the walk goes on behind them, also when its list has been given up. */
static void test_goes_on(void **state)
{
	static const char yaml[] =
	    "- do: [msg_to_msrp: {key: a, content_types: t}, "
	    "send_message: {ruri: r, from: f, to: t, content_type: c, body: b}]\n"
	    "  continue: true\n"
	    "- do: {send_reply: {code: 200, reason: OK}}\n";
	static const char first[] = "msg_to_msrp(key=a;content_types=t;) ";
	static const char second[] = "msg_to_msrp(key=a;content_types=t;) "
				     "send_message(ruri=r;from=f;to=t;content_type=c;body=b;) ";
	static const char all[] = "msg_to_msrp(key=a;content_types=t;) "
				  "send_message(ruri=r;from=f;to=t;content_type=c;body=b;) "
				  "send_reply(code=200;reason=OK;) ";
	unsigned result = 77;
	struct route_walk *walk = NULL;
	struct route_subject subject = {.frame = (void *)(const struct fact[]){{0}},
	    .finished = on_finished,
	    .arg = &result,
	    .walkp = &walk};
	struct route_list *list;
	struct tree_fault fault;

	(void)state;
	for (unsigned fails = 0; fails < 2; fails++) {
		assert_int_equal(compile(&list, ROUTE_SIP, yaml, &fault), 0);
		calls.len = 0;
		calls.text[0] = '\0';
		calls.wait = 2;
		result = 77;
		assert_int_equal(route_run(list, &subject), ROUTE_HELD | ROUTE_WAITS);
		route_list_free(list);
		assert_string_equal(calls.text, first);
		route_go_on(calls.walk, 0); /* and waits once more */
		assert_string_equal(calls.text, second);
		assert_int_equal(result, 77);
		route_go_on(calls.walk, fails ? -ENOENT : 0);
		assert_string_equal(calls.text, fails ? second : all);
		assert_int_equal(result, fails ? ROUTE_HELD | ROUTE_FAILED : ROUTE_HELD);
	}
	/* Where nobody can wait it is told so. */
	assert_int_equal(compile(&list, ROUTE_SIP, yaml, &fault), 0);
	subject.walkp = NULL;
	calls.wait = 1;
	assert_int_equal(route_run(list, &subject), ROUTE_HELD);
	calls.wait = 0;
	route_list_free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sip_example),
	    cmocka_unit_test(test_variables_in_patterns),
	    cmocka_unit_test(test_msrp_examples),
	    cmocka_unit_test(test_event_example),
	    cmocka_unit_test(test_walks),
	    cmocka_unit_test(test_choice),
	    cmocka_unit_test(test_failing_action),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_waits),
	    cmocka_unit_test(test_never_waits),
	    cmocka_unit_test(test_goes_on),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
