/* The config file: YAML and its faults, services, hooks, warnings, reloads. */
#include "config.h"
#include "relay/relay.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/tree.h"

/* --- services --- */

struct one_settings {
	uint64_t limit;
	char *name;
};

struct two_settings {
	bool on;
};

static const struct setting one_rows[] = {
    {.name = "limit",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct one_settings, limit),
	.preset = "3"},
    {.name = "name",
	.type = SETTING_TEXT,
	.offset = offsetof(struct one_settings, name),
	.preset = "one",
	.flags = SETTING_FIXED},
    {0},
};

static const struct setting two_rows[] = {
    {.name = "on",
	.type = SETTING_BOOL,
	.offset = offsetof(struct two_settings, on),
	.preset = "false"},
    {0},
};

static const struct service one = {.name = "one",
    .section = "one",
    .settings = one_rows,
    .settings_size = sizeof(struct one_settings)};
static const struct service mute = {.name = "mute"};
static const struct service two = {.name = "two",
    .section = "two",
    .settings = two_rows,
    .settings_size = sizeof(struct two_settings)};
static const struct service *const services[] = {&one, &mute, &two, &relay_service, NULL};

static int parse(struct config **cfgp, const char *yaml, struct reason *why)
{
	struct config_env env = {.services = services};

	*cfgp = NULL;
	return config_parse(cfgp, slice_of(yaml), "test.yaml", &env, why);
}

static struct config *must_parse(const char *yaml)
{
	struct reason why;
	struct config *cfg;

	if (parse(&cfg, yaml, &why) < 0)
		fail_msg("%s", why.text);
	return cfg;
}

static void test_empty_file(void **state)
{
	struct config *cfg = must_parse("");
	const struct one_settings *section = config_service(cfg, &one);
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	(void)state;
	assert_int_equal(cfg->shutdown_grace_ms, 5000);
	assert_string_equal(cfg->log.ident, "msrpd");
	assert_string_equal(cfg->control.socket, "/run/msrpd/msrpd.sock");
	assert_int_equal(cfg->control.mode, 0660);
	assert_int_equal(cfg->control.max_request, 16 << 20);
	assert_int_equal(cfg->msrp.transaction_timeout_ms, 30000);
	assert_int_equal(cfg->msrp.max_connections, 65536);
	assert_int_equal(cfg->sip.listen.count, 0);
	assert_int_equal(cfg->credentials.count, 0);
	assert_true(relay->enabled);
	assert_int_equal(relay->auth_expires_ms, 1800000);
	assert_null(cfg->metrics.listen);
	assert_int_equal(section->limit, 3);
	config_free(cfg);
	config_free(NULL);
}

static void test_services(void **state)
{
	struct config *cfg = must_parse("one: {limit: 9, name: x}\ntwo:\n  on: true\n");
	const struct one_settings *first = config_service(cfg, &one);
	const struct two_settings *second = config_service(cfg, &two);

	(void)state;
	assert_int_equal(first->limit, 9);
	assert_string_equal(first->name, "x");
	assert_true(second->on);
	assert_null(config_service(cfg, &mute));
	config_free(cfg);
}

/* --- faults --- */

static const struct {
	const char *yaml, *why;
} faults[] = {
    {"contrl: {}", "test.yaml:1:1: unknown key contrl; did you mean control?"},
    {"mute: {}", "test.yaml:1:1: unknown key mute"},
    {"control:\n  sokcet: x", "test.yaml:2:3: unknown key sokcet; did you mean socket?"},
    {"routes: {spi: []}", "test.yaml:1:10: unknown key spi; did you mean sip?"},
    {"two: {on: maybe}", "test.yaml:1:11: on: \"maybe\" is neither true nor false"},
    {"shutdown_grace: 5 s", "test.yaml:1:17: shutdown_grace: \"5 s\" is not a duration"},
    {"credentials: [{username: a, password: b}]",
	"test.yaml:1:15: credentials want a realm and a username each"},
    {"credentials: [{realm: r, username: a}]",
	"test.yaml:1:15: credentials want either a password or a ha1 each"},

    /* YAML's own */
    {"a: b: c", "test.yaml:1:5: mapping values are not allowed in this context"},
    {"log: {", "test.yaml:2:1: while parsing a flow node: did not find expected node content"},
    {"log: 'x", "test.yaml:1:8: while scanning a quoted scalar: found unexpected end of stream"},
    {"\tlog: x", "test.yaml:1:1: while scanning for the next token"},
    {"log: \"\xff\"", "test.yaml:1:"},
    {"log: \"a\\0b\"", "test.yaml:1:6: a NUL in a text"},
    {"log: {}\nlog: {}", "test.yaml:2:1: log is given twice, first in line 1"},
    {"log: {}\n---\nlog: {}", "test.yaml:2:1: a second document"},
    {"? [a]\n: b", "test.yaml:1:3: a key must be a text"},
    {"log: &a {}", "test.yaml:1:6: anchors are not supported"},
    {"log: *a", "test.yaml:1:6: aliases are not supported"},
    {"*a : x", "test.yaml:1:1: aliases are not supported"},
    {"log: !x {}", "test.yaml:1:6: tags are not supported"},
    {"log: ! {}", "test.yaml:1:6: tags are not supported"},
    {"log: {ident: ! x}", "test.yaml:1:14: tags are not supported"},
    /* a place is counted in characters */
    {"log: {ident: \"\xc3\xbc\", \xe2\x82\xac: 1, x: ! y}",
	"test.yaml:1:28: tags are not supported"},
    {"log: {ident: \"\xc3\xbc\", \xe2\x82\xac: 1}", "test.yaml:1:19: unknown key \xe2\x82\xac"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct reason why = {""};
		struct config *cfg;
		int err = parse(&cfg, faults[i].yaml, &why);

		if (err != -EINVAL || cfg)
			fail_msg("%d for: %s", err, faults[i].yaml);
		if (strncmp(why.text, faults[i].why, strlen(faults[i].why)) != 0)
			fail_msg("%s for: %s", why.text, faults[i].yaml);
	}
}

/* --- bounds --- */

static void assert_refused(char *yaml, const char *want)
{
	struct reason why = {""};
	struct config *cfg;

	assert_int_equal(parse(&cfg, yaml, &why), -EINVAL);
	if (!strstr(why.text, want))
		fail_msg("%s", why.text);
	free(yaml);
}

static char *repeat(const char *begin, const char *what, size_t count)
{
	size_t len = strlen(begin), each = strlen(what);
	char *text = malloc(len + each * count + 1);

	assert_non_null(text);
	memcpy(text, begin, len);
	for (size_t i = 0; i < count; i++)
		memcpy(text + len + i * each, what, each);
	text[len + each * count] = '\0';
	return text;
}

static void test_bounds(void **state)
{
	(void)state;
	assert_refused(repeat("log: ", "[", 100000), "nested too deep");
	assert_refused(repeat("log: ", "{a: ", 1000), "nested too deep");
	assert_refused(repeat("log:\n", "- a\n", (1 << 20) + 1), "too many values");
	assert_refused(repeat("# ", "x", (16 << 20) + 1), "larger than 16 MiB");
	assert_refused(repeat("a: &a [x]\nb: &b ", "[*a, *a]", 1), "anchors are not supported");
}

/* As many users as a large site has are read in no time to speak of. */
static void test_many_keys(void **state)
{
	size_t count = 20000, used = 0, size = count * 40;
	char *yaml = malloc(size);
	clock_t begin = clock();
	const struct relay_settings *relay;
	struct config *cfg;

	(void)state;
	used += (size_t)snprintf(yaml, size, "relay:\n  users:\n");
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(yaml + used, size - used, "    u%zu: {password: p}\n", i);
	cfg = must_parse(yaml);
	relay = config_service(cfg, &relay_service);
	assert_int_equal(relay->users.count, count);
	config_free(cfg);
	free(yaml);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 10);
}

/* --- files --- */

static void test_file(void **state)
{
	static const char yaml[] = "shutdown_grace: 7s\n";
	char path[] = "/tmp/test_config.XXXXXX";
	struct reason why = {""};
	struct config_env env = {0};
	struct config *cfg = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, yaml, sizeof(yaml) - 1), sizeof(yaml) - 1);
	assert_int_equal(config_load(&cfg, path, &env, &why), 0);
	assert_int_equal(cfg->shutdown_grace_ms, 7000);
	config_free(cfg);
	cfg = NULL;

	assert_int_equal(write(fd, "x: y\n", 5), 5);
	assert_int_equal(config_load(&cfg, path, &env, &why), -EINVAL);
	assert_memory_equal(why.text, path, strlen(path));
	assert_string_equal(why.text + strlen(path), ":2:1: unknown key x");
	close(fd);
	unlink(path);

	assert_int_equal(config_load(&cfg, path, &env, &why), -ENOENT);
	assert_non_null(strstr(why.text, ": No such file or directory"));
	assert_int_equal(config_load(&cfg, "/", &env, &why), -EISDIR);
	assert_string_equal(why.text, "/: Is a directory");
	assert_null(cfg);
}

/* --- hooks and warnings --- */

struct hook_arg {
	const char *key;  /* NULL: nothing is wrong */
	const char *text; /* of the tree under routes.sip.0 */
	unsigned calls;
};

static int check(const struct config *cfg, struct config_load *load, void *arg)
{
	struct hook_arg *hook = arg;
	const struct tree *node = config_tree(load, "routes.sip.0");

	assert_int_equal(cfg->shutdown_grace_ms, 9000);
	hook->calls++;
	if (hook->text)
		assert_true(node && slice_equal(node->text, slice_of(hook->text)));
	else
		assert_null(node);
	return hook->key ? config_fail(load, hook->key, "is %s", "wrong") : 0;
}

static int run_hooks(const char *yaml, struct hook_arg *first, struct hook_arg *second,
    struct reason *why)
{
	struct config_hook hooks[] = {{check, first}, {check, second}, {NULL, NULL}};
	struct config_env env = {.services = services, .hooks = hooks};
	struct config *cfg = NULL;
	int err = config_parse(&cfg, slice_of(yaml), "h", &env, why);

	config_free(cfg);
	return err;
}

static void test_hooks(void **state)
{
	static const char yaml[] = "shutdown_grace: 9s\nroutes:\n  sip:\n    - rule\nrelay:\n"
				   "  my_uri:\n  - msrp://a;tcp\n  - msrp://b;tcp\n";
	static const struct {
		const char *key, *why;
	} places[] = {
	    {"relay.my_uri.1", "h:8:5: is wrong"},
	    {"relay.my_uri", "h:7:3: is wrong"},
	    {"relay.my_uri.7", "h:7:3: is wrong"},
	    {"relay.auth_realm", "h:6:3: is wrong"},
	    {"msrp.listen.0", "h:1:1: is wrong"},
	};
	struct reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct hook_arg good = {.text = "rule"};
		struct hook_arg bad = {.text = "rule", .key = places[i].key};

		assert_int_equal(run_hooks(yaml, &good, &bad, &why), -EINVAL);
		assert_string_equal(why.text, places[i].why);
		assert_int_equal(good.calls, 1);
		/* the first that refuses is the last that is asked */
		assert_int_equal(run_hooks(yaml, &bad, &good, &why), -EINVAL);
		assert_int_equal(good.calls, 1);
	}
	assert_int_equal(
	    run_hooks("shutdown_grace: 9s", &(struct hook_arg){0}, &(struct hook_arg){0}, &why), 0);
	assert_int_equal(run_hooks("shutdown_grace: 9s", &(struct hook_arg){0},
			     &(struct hook_arg){.key = "x"}, &why),
	    -EINVAL);
	assert_string_equal(why.text, "h:1:1: is wrong");
}

static void keep_warning(const char *line, void *arg)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, REASON_SIZE - len, "%s\n", line);
}

#define OPEN(uri)        "sip: {listen: [" uri "]}\nroutes:\n  sip:\n"
#define RULE(when, what) "    - if: {" when "}\n      do: [{" what "}]\n"
#define ASKED(when)      "    - if: {" when "}\n      do: [{www_authorize: {}}]\n      continue: true\n"
#define WEB(text)        "web: {" text "}\n" OPEN("sip:127.0.0.1")
#define PROXIED          "listen: [\"http://127.0.0.1:80\"], advertise: \"https://im.example.org\""
#define CALL_WARNING     "w:4:7: this rule lets anybody call others: www_authorize asks who it is\n"
#define OPEN_WARNING(line) \
	"w:" #line ":7: this rule lets anybody use the gateway: www_authorize asks who it is\n"

static const struct {
	const char *yaml, *warnings;
} doubts[] = {
    {"", ""},
    {"msrp: {max_message_size: 10MiB}", ""},
    {"msrp: {max_message_size: 11MiB}",
	"w:1:1: control.max_request is less than 1.5 times msrp.max_message_size\n"},
    {"control:\n  max_request: 12MiB\n", ""},
    {"control:\n  max_request: 11MiB\n",
	"w:2:16: control.max_request is less than 1.5 times msrp.max_message_size\n"},
    {"control: {max_backlog: 31MiB}",
	"w:1:24: control.max_backlog is less than twice control.max_request\n"},
    {"relay: {allow_plain_auth: true}",
	"w:1:27: relay.allow_plain_auth serves AUTH without TLS, which RFC 4976 forbids\n"},
    {"relay: {allow_plain_auth: true, enabled: false}", ""},
    {OPEN("sip:192.0.2.1:5060") RULE("$rm: MESSAGE", "msg_to_msrp: {}"), OPEN_WARNING(4)},
    {OPEN("sip:im.example.org") RULE("$rm: INVITE", "msrp_gw_answer: {}"), OPEN_WARNING(4)},
    {OPEN("sip:im.example.org") RULE("$rm: INVITE", "msrp_anchor: {}"), CALL_WARNING},
    {OPEN("sip:im.example.org") RULE("$rm: REFER", "msrp_conf_refer: {}"), CALL_WARNING},
    {OPEN("sip:*:5060") RULE("$rm: INVITE", "msrp_gw_answer: {}"), OPEN_WARNING(4)},
    {OPEN("\"sip:[2001:db8::1]:5060\"") RULE("$rm: INVITE", "msrp_gw_answer: {}"), OPEN_WARNING(4)},
    {OPEN("sip:127.1.2.3:5060") RULE("$rm: MESSAGE", "msg_to_msrp: {}"), ""},
    {OPEN("\"sip:[::1]:5060\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"), ""},
    {OPEN("sip:localhost") RULE("$rm: MESSAGE", "msg_to_msrp: {}"), ""},
    {OPEN("sip:192.0.2.1") RULE("$rm: MESSAGE", "www_authorize: {}}, {msg_to_msrp: {}"), ""},
    {OPEN("sip:192.0.2.1") RULE("$rm: MESSAGE", "msg_to_msrp: {}}, {www_authorize: {}"),
	OPEN_WARNING(4)},
    {OPEN("sip:192.0.2.1") RULE("$si: 192.0.2.9", "msg_to_msrp: {}"), ""},
    {OPEN("sip:192.0.2.1") "    - if: [{$si: 192.0.2.9}, {$rm: MESSAGE}]\n"
			   "      do: [{msg_to_msrp: {}}]\n",
	""},
    {OPEN("sip:192.0.2.1") "    - do: [{www_authorize: {}}]\n      continue: true\n" RULE(
	 "$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    {OPEN("sip:192.0.2.1") RULE("$rm: INVITE", "www_authorize: {}")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(6)},
    /* who is asked before, and what is an address */
    {OPEN("sip:192.0.2.1") ASKED("$rm: REGISTER") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$ua: \"Friendly*\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$rm: MESSAGE") RULE("$rm: MESSAGE, $td: a", "msg_to_msrp: {}"),
	""},
    {OPEN("sip:192.0.2.1") ASKED("$rm: \"!REGISTER\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"), ""},
    {OPEN("sip:192.0.2.1") ASKED("$rm: \"!MESSAGE\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$rm: \"!M*\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$rm: MESSAGE, $td: b") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$si: \"!127.0.0.0/8\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    {OPEN("sip:192.0.2.1") ASKED("$si: \"!*\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") ASKED("$si: 10.0.0.0/8") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(7)},
    {OPEN("sip:192.0.2.1") RULE("$si: \"*\"", "msg_to_msrp: {}"), OPEN_WARNING(4)},
    {OPEN("sip:192.0.2.1") RULE("$si: \"!10.0.0.0/8\"", "msg_to_msrp: {}"), OPEN_WARNING(4)},
    {OPEN("sip:192.0.2.1") RULE("$si: 0.0.0.0/0", "msg_to_msrp: {}"), OPEN_WARNING(4)},
    {OPEN("sip:192.0.2.1") RULE("$si: [10.0.0.0/8, \"*\"]", "msg_to_msrp: {}"), OPEN_WARNING(4)},
    {OPEN("sip:192.0.2.1") RULE("$si: [10.0.0.0/8, \"2001:db8::1\"]", "msg_to_msrp: {}"), ""},
    /* the web port is a door as well */
    {WEB("listen: [\"http://0.0.0.0:80\"], msrp: false") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(5)},
    {WEB("listen: [\"http://0.0.0.0:80\"], msrp: false, sip: false")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    {WEB("listen: [\"http://[2001:db8::1]:80\"]") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(5)},
    {WEB("listen: [\"http://127.0.0.1:80\", \"http://[::1]:80\"]")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    {WEB("listen: [\"http://127.0.0.1:80\"], advertise: \"http://127.0.0.1:81\"")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    /* behind a proxy; who it speaks for is known, or not */
    {WEB(PROXIED) RULE("$rm: MESSAGE", "msg_to_msrp: {}"), OPEN_WARNING(5)},
    {WEB(PROXIED) ASKED("$si: \"!127.0.0.0/8\"") RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(8)},
    {WEB(PROXIED) RULE("$si: 127.0.0.1", "msg_to_msrp: {}"), OPEN_WARNING(5)},
    {WEB(PROXIED ", forwarded: [127.0.0.1]") ASKED("$si: \"!127.0.0.0/8\"")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	""},
    {WEB("listen: [\"http://127.0.0.1:80\"], forwarded: [127.0.0.1]")
	    RULE("$rm: MESSAGE", "msg_to_msrp: {}"),
	OPEN_WARNING(5)},
    {OPEN("sip:192.0.2.1") RULE("$rm: INVITE", "msrp_ua_answer: {}"), ""},
    {"share_ports: true\nsip: {listen: [\"sip:192.0.2.1;transport=tcp\"]}", ""},
    {"share_ports: true\nsip: {listen: [\"sip:192.0.2.1:5071\", \"sip:192.0.2.1\"]}", ""},
    {"share_ports: true\nsip: {listen: [\"sip:192.0.2.1\"]}",
	"w:2:15: with share_ports an answer by UDP may come to another process: a listener of "
	"this one's own has to stand before the one of all\n"},
};

static void test_doubts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(doubts) / sizeof(doubts[0]); i++) {
		char text[REASON_SIZE] = "";
		struct reason why;
		struct config_env env = {.services = services,
		    .warn = keep_warning,
		    .warn_arg = text};
		struct config *cfg = NULL;

		assert_int_equal(config_parse(&cfg, slice_of(doubts[i].yaml), "w", &env, &why), 0);
		assert_string_equal(text, doubts[i].warnings);
		config_free(cfg);
	}
}

/* --- reloads --- */

static const struct {
	const char *old, *fresh, *why; /* why NULL: may be */
} reloads[] = {
    {"", "", NULL},
    {"", "shutdown_grace: 1s\nlog: {level: debug}\none: {limit: 8}\ntwo: {on: true}", NULL},
    {"", "relay: {users: {a: {password: x}}, allow_plain_auth: true}", NULL},
    {"", "credentials: [{realm: r, username: u, password: p}]", NULL},
    {"", "msrp: {transaction_timeout: 1s, max_message_size: 1MiB}", NULL},
    {"", "routes: {sip: [{do: drop}]}", NULL},
    {"", "one: {name: x}", "one.name cannot change while msrpd runs: restart it"},
    {"", "control: {socket: /x}", "control.socket cannot change while msrpd runs: restart it"},
    {"", "metrics: {listen: '127.0.0.1:1'}",
	"metrics.listen cannot change while msrpd runs: restart it"},
    {"sip: {listen: sip:127.0.0.1}", "sip: {listen: sip:127.0.0.2}",
	"sip.listen cannot change while msrpd runs: restart it"},
    {"msrp: {listen: [{uri: 'msrp://127.0.0.1:2855;tcp'}]}",
	"msrp: {listen: [{uri: 'msrp://127.0.0.1:2856;tcp'}]}",
	"msrp.listen cannot change while msrpd runs: restart it"},
};

static void test_reloads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reloads) / sizeof(reloads[0]); i++) {
		struct config *old = must_parse(reloads[i].old);
		struct config *fresh = must_parse(reloads[i].fresh);
		struct reason why = {""};
		int err = config_changes_fixed(old, fresh, &why);

		assert_int_equal(err, reloads[i].why ? -EPERM : 0);
		if (reloads[i].why)
			assert_string_equal(why.text, reloads[i].why);
		config_free(old);
		config_free(fresh);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty_file),
	    cmocka_unit_test(test_services),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_many_keys),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_hooks),
	    cmocka_unit_test(test_doubts),
	    cmocka_unit_test(test_reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
