/*
 * The daemon while the n-th allocation fails, for each n: of a config that is read, it says so; of a
 * start, it ends with an error or works; of a reload, all is as it was or all is new.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "config.h"
#include "daemon.h"
#include "loop.h"
#include "memory.h"
#include "net/guard.h"
#include "sip/stack.h"
#include "trace/trace.h"
#include "web/web.h"
#include "directory.h"

enum { TEXT = 4096, MOST = 10000 };

struct place {
	char directory[32], config[64];
	struct daemon daemon;
	/* who asks */
	int fd;
	char sip[96], web[96];
	char text[TEXT];
	size_t len;
	const char *want;
};

/* All that has a life of its own; what two of these differ in is the number. */
static const char format[] =
    "log: {level: warn}\n"
    "control: {socket: \"%1$s/socket\"}\n"
    "sip: {listen: [\"sip:127.0.0.1:0;transport=udp\", \"sip:127.0.0.1:0;transport=tcp\"],\n"
    "  outbound_proxy: \"sip:127.0.0.1:9;lr\", pass_headers: [X-%2$d]}\n"
    "msrp: {listen: [{name: a, uri: \"msrp://127.0.0.1:0;tcp\"}], chunk_size: %2$dKiB}\n"
    "limits: {exempt: [192.0.2.%2$d]}\n"
    "proxy_protocol: [198.51.100.%2$d]\n"
    "dns: {servers: [127.0.0.1:9]}\n"
    "credentials: [{realm: r, username: u%2$d, password: p}]\n"
    "users: {alice: {password: p%2$d}}\n"
    "ua: {my_uri: \"msrp://127.0.0.1:%2$d;tcp\", files: {directory: \"%1$s\", max_size: 64KiB, max_total: 1MiB}}\n"
    "registrar: {domains: [a.test, b%2$d.test]}\n"
    "conference: {rooms: [{uri: \"sip:lobby@a.test\", subject: s%2$d}]}\n"
    "relay: {htdigest: \"%1$s/users\", users: {bob: {password: p%2$d}}, hash_size: 4}\n"
    "trace: {directory: \"%1$s\", max_file: %2$dMiB}\n"
    "metrics: {listen: \"127.0.0.1:0\"}\n"
    "web: {listen: [\"http://127.0.0.1:0\"], root: \"%1$s\", advertise: \"http://h.test\",\n"
    "  origins: [\"http://h%2$d.test\"], metrics: [127.0.0.%2$d], forwarded: [127.0.0.%2$d],\n"
    "  api_token_secret: 0123456789abcdef%2$d,\n"
    "  webhooks: [{url: \"http://127.0.0.1:9/%2$d\", secret: 0123456789abcdef}]}\n"
    "cluster: {redis: \"redis://127.0.0.1:9/0\", node: a}\n"
    "routes:\n"
    "  sip:\n"
    "    - if: [{$rm: MESSAGE, $hdr(X-Kind): \"~^x+\"}]\n"
    "      do: [{send_reply: {code: 4%2$d, reason: \"$fu $rm\"}}]\n"
    "    - do: [{msrp_ua_answer: {content_types: text/plain}}]\n"
    "  msrp: [{do: [msrp_relay]}]\n"
    "  msrp_auth: [{if: {$au: \"guest*\"}, do: [{msrp_credentials: {password: p%2$d}}]}]\n"
    "  event: [{if: {$event: E_MSRP_MSG_RECEIVED}, do: [{log: {text: \"%2$d $param(body)\"}}]}]\n";

static void write_file(const struct place *p, const char *name, const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", p->directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void write_config(struct place *p, int number)
{
	char text[TEXT];

	snprintf(text, sizeof(text), format, p->directory, number);
	write_file(p, "config", text);
}

static int set_up(void **state)
{
	struct place *p;

	memory_fail_at(0);
	p = calloc(1, sizeof(*p));

	setenv("SSL_CERT_FILE", "/dev/null", 1); /* the system's take long to read, each time */
	strcpy(p->directory, "/tmp/msrpd-memory-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->config, sizeof(p->config), "%s/config", p->directory);
	write_file(p, "users", "carol:r:0123456789abcdef0123456789abcdef\n# and no more\n");
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	directory_remove(p->directory);
	free(p);
	return 0;
}

static int load(struct place *p, struct reason *why)
{
	p->daemon = (struct daemon){
	    .options = {.config = p->config, .to_stderr = true},
	    .sandbox = {.ruleset = -1},
	    .notify = {.fd = -1},
	};
	return daemon_load(&p->daemon, NULL, why);
}

/* --- does it work? --- */

static bool has_come(void *arg)
{
	struct place *p = arg;
	ssize_t n = recv(p->fd, p->text + p->len, TEXT - 1 - p->len, MSG_DONTWAIT);

	p->len += n > 0 ? (size_t)n : 0;
	p->text[p->len] = '\0';
	return strstr(p->text, p->want) != NULL;
}

static void ask(struct place *p, const struct sockaddr *to, socklen_t len, int type,
    const char *question, const char *answer)
{
	p->fd = socket(to->sa_family, type, 0);
	p->len = 0;
	p->want = answer;
	assert_int_equal(connect(p->fd, to, len), 0);
	assert_int_equal(send(p->fd, question, strlen(question), 0), (ssize_t)strlen(question));
	loop_until(p->daemon.base, has_come, p);
	close(p->fd);
}

static void ask_at(struct place *p, const char *hostport, int type, const char *question,
    const char *answer)
{
	union addr to;

	assert_int_equal(addr_parse(&to, slice_head(slice_of(hostport), strcspn(hostport, ";/"))),
	    0);
	ask(p, &to.any, addr_len(&to), type, question, answer);
}

static void keep_udp(const char *uri, void *arg)
{
	struct place *p = arg;

	if (strstr(uri, "udp"))
		snprintf(p->sip, sizeof(p->sip), "%s", uri + strlen("sip:"));
}

static void keep_web(const char *url, void *arg)
{
	struct place *p = arg;

	snprintf(p->web, sizeof(p->web), "%s", url + strlen("http://"));
}

static bool exempts(const struct place *p, int number)
{
	union addr addr;
	char text[32];

	snprintf(text, sizeof(text), "192.0.2.%d", number);
	assert_int_equal(addr_parse_host(&addr, slice_of(text)), 0);
	return net_guard_exempts(p->daemon.guard, &addr);
}

static void expect(struct place *p, int number)
{
	static unsigned asked;
	struct sockaddr_un control = {.sun_family = AF_UNIX};
	char question[512], answer[64];

	assert_true(exempts(p, number));
	sip_stack_each_listener(p->daemon.sip, keep_udp, p);
	snprintf(question, sizeof(question),
	    "MESSAGE sip:x@a.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK%u\r\n"
	    "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: %u\r\nCSeq: 1 MESSAGE\r\nX-Kind: xx\r\n"
	    "Content-Length: 0\r\n\r\n",
	    asked, asked);
	asked++;
	snprintf(answer, sizeof(answer), "SIP/2.0 4%d sip:a@h MESSAGE", number);
	ask_at(p, p->sip, SOCK_DGRAM, question, answer);
	web_each_listener(p->daemon.web.web, keep_web, p);
	ask_at(p, p->web, SOCK_STREAM, "GET /users HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
	    "carol:r:");
	snprintf(control.sun_path, sizeof(control.sun_path), "%s/socket", p->directory);
	ask(p, (struct sockaddr *)&control, sizeof(control), SOCK_STREAM,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n", "\"result\":{");
}

/* --- the walks --- */

static void each_load(void **state)
{
	struct place *p = *state;
	struct reason why;
	unsigned n = 0;
	int err;

	write_config(p, 10);
	do {
		memory_fail_at(++n);
		err = load(p, &why);
		if ((err < 0) != memory_has_failed())
			fail_msg("allocation %u: %s", n, err < 0 ? why.text : "not noticed");
		memory_fail_at(0);
		daemon_unload(&p->daemon);
		assert_true(n < MOST);
	} while (err < 0);
	assert_true(n > 100);
	print_message("%u allocations failed in turn\n", n - 1);
}

static void each_start(void **state)
{
	struct place *p = *state;
	struct reason why;
	unsigned n = 0, borne = 0;
	bool failed;
	int err;

	write_config(p, 10);
	do {
		if (load(p, &why) < 0)
			fail_msg("%s", why.text);
		memory_fail_at(++n);
		err = daemon_start(&p->daemon, &why);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || err == 0);
		if (err == 0)
			expect(p, 10);
		borne += err == 0;
		daemon_finish(&p->daemon);
		assert_true(n < MOST);
	} while (failed);
	assert_true(n > 100);
	print_message("%u allocations failed in turn, %u could be done without\n", n - 1,
	    borne - 1);
}

static void each_reload(void **state)
{
	struct place *p = *state;
	int number = 10, err;
	struct reason why;
	unsigned n = 0;
	bool failed;

	write_config(p, number);
	if (load(p, &why) < 0 || daemon_start(&p->daemon, &why) < 0)
		fail_msg("%s", why.text);
	do {
		write_config(p, number + 1);
		memory_fail_at(++n);
		err = daemon_reload(&p->daemon, &why);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || err == 0);
		number += err == 0;
		expect(p, number);
		assert_false(exempts(p, number + 1));
		assert_true(n < MOST && number < 90);
	} while (failed);
	daemon_finish(&p->daemon);
	assert_true(n > 100);
	print_message("%u allocations failed in turn\n", n - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_load),
	    TEST(each_start),
	    TEST(each_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
