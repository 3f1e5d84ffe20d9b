#include "ctl/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "event/bus.h"

enum { DEADLINE_MS = 10000, TURNS_IDLE = 20 };

static const struct event_type type_a = {"E_A", NULL};
static const struct event_type type_b = {"E_B", NULL};
static const struct event_type *const types[] = {&type_a, &type_b, NULL};

struct fixture {
	char			dir[64], path[80];
	struct event_base	*base;
	struct event_bus	*bus;
	struct stats		*stats;
	struct ctl_settings	settings;
	struct ctl_daemon	daemon;
	struct ctl_server	*server;
	unsigned		calls;
};

/* --- methods of a service --- */

static void count(const struct param *params, struct reply *reply, void *state)
{
	struct fixture *f = state;

	(void)params;
	reply_number(reply, NULL, f->calls++);
}

/* An answer of n letters. */
static void letters(const struct param *params, struct reply *reply, void *state)
{
	static char text[1 << 20];
	struct fixture *f = state;

	memset(text, 'a' + (int)(f->calls++ % 26), sizeof(text));
	reply_text(reply, NULL, (struct slice){text, (size_t)params[0].number});
}

static void emit_letters(struct fixture *f, const struct event_type *type, size_t n, char letter)
{
	static char text[4 << 20];
	struct event_param param = event_body("body", (struct slice){text, n});

	memset(text, letter, n);
	event_emit(f->bus, type, &param, 1);
}

/* Events come in while the request of a subscriber is being served. */
static void emit(const struct param *params, struct reply *reply, void *state)
{
	emit_letters(state, &type_a, (size_t)params[0].number, 'x');
	reply_text(reply, NULL, SLICE("emitted"));
}

static const struct param_spec size_params[] = {{"size", PARAM_NUMBER, true}, {0}};
static const struct method methods[] = {
	{"count", NULL, count, "counts"},
	{"letters", size_params, letters, "many"},
	{"emit", size_params, emit, "emits"},
	{0},
};

static void add_status(struct reply *reply, void *arg)
{
	(void)arg;
	reply_text(reply, "mine", SLICE("here"));
}

static void do_reload(struct reply *reply, void *arg)
{
	struct fixture *f = arg;

	if (f->calls++ == 0)
		reply_text(reply, NULL, SLICE("OK"));
	else
		reply_error(reply, 500, "/etc/msrpd/msrpd.yaml:3:1: unknown key");
}

/* --- the fixture --- */

static void start_server(struct fixture *f)
{
	const char *why = NULL;

	assert_int_equal(ctl_server_new(&f->server, &f->daemon, &f->settings, &why), 0);
	assert_int_equal(ctl_server_add_methods(f->server, methods, f), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_ctl_server.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/ctl", f->dir);
	f->base = event_base_new();
	assert_int_equal(event_bus_new(&f->bus), 0);
	assert_int_equal(event_bus_add_types(f->bus, types), 0);
	assert_int_equal(stats_new(&f->stats), 0);
	f->settings = (struct ctl_settings){f->path, 0600, NULL, 1 << 20, 4 << 20};
	f->daemon = (struct ctl_daemon){f->base, f->bus, f->stats, add_status, do_reload, f};
	start_server(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ctl_server_free(f->server);
	event_bus_free(f->bus);
	stats_free(f->stats);
	event_base_free(f->base);
	rmdir(f->dir);
	free(f);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Until nothing happens any more. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < TURNS_IDLE; i++)
		turn(f);
}

static void find_stat(const struct stats_item *item, void *arg)
{
	struct stats_item *wanted = arg;

	if (strcmp(item->group, "ctl") == 0 && strcmp(item->name, wanted->name) == 0)
		wanted->value = item->value;
}

static uint64_t stat_of(struct fixture *f, const char *name)
{
	struct stats_item wanted = {.name = name};

	stats_each(f->stats, find_stat, &wanted);
	return wanted.value;
}

/* --- a client's side --- */

struct peer {
	struct fixture	*f;
	int		fd;
	char		*bytes;		/* received, not read yet */
	size_t		len, size;
	bool		eof;
};

static struct peer peer_connect(struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer p = {.f = f, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	uint64_t before = stat_of(f, "clients"), deadline = timer_now_ms() + DEADLINE_MS;

	memcpy(address.sun_path, f->path, strlen(f->path));
	assert_int_equal(connect(p.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	while (stat_of(f, "clients") == before && timer_now_ms() < deadline)
		turn(f);
	return p;
}

static void peer_close(struct peer *p)
{
	close(p->fd);
	free(p->bytes);
}

/* Take what there is.  @return bytes, 0: none */
static size_t peer_receive(struct peer *p)
{
	ssize_t n;

	if (p->size - p->len < 65536) {
		p->size = p->size * 2 + 65536;
		p->bytes = realloc(p->bytes, p->size);
	}
	n = recv(p->fd, p->bytes + p->len, p->size - p->len, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		p->eof = true;
	p->len += n > 0 ? (size_t)n : 0;
	return n > 0 ? (size_t)n : 0;
}

static void peer_send(struct peer *p, const char *text, size_t len)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;

	while (len) {
		ssize_t n = send(p->fd, text, len, MSG_NOSIGNAL);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(p->f);
			assert_true(timer_now_ms() < deadline);
			continue;
		}
		text += n;
		len -= (size_t)n;
	}
}

static void peer_says(struct peer *p, const char *text)
{
	peer_send(p, text, strlen(text));
}

/* The next line, to be freed; NULL at the end of the stream. */
static char *peer_line(struct peer *p)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;
	char *newline, *line;
	size_t scanned = 0;

	for (;;) {
		newline = p->len > scanned ? memchr(p->bytes + scanned, '\n', p->len - scanned) : NULL;
		if (newline || p->eof)
			break;
		scanned = p->len;
		turn(p->f);
		peer_receive(p);
		assert_true(timer_now_ms() < deadline);
	}
	if (!newline) {
		assert_int_equal(p->len, 0);
		return NULL;
	}
	line = slice_dup((struct slice){p->bytes, (size_t)(newline - p->bytes)});
	p->len -= (size_t)(newline + 1 - p->bytes);
	memmove(p->bytes, newline + 1, p->len);
	return line;
}

static void assert_line(struct peer *p, const char *expected)
{
	char *line = peer_line(p);

	assert_non_null(line);
	assert_string_equal(line, expected);
	free(line);
}

static void assert_line_has(struct peer *p, const char *part)
{
	char *line = peer_line(p);

	assert_non_null(line);
	if (!strstr(line, part))
		fail_msg("%s is not in %s", part, line);
	free(line);
}

static void assert_end(struct peer *p)
{
	char *line = peer_line(p);

	assert_null(line);
}

static void assert_silence(struct peer *p)
{
	settle(p->f);
	assert_int_equal(peer_receive(p), 0);
	assert_int_equal(p->len, 0);
	assert_false(p->eof);
}

#define CALL(id, method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}\n"
#define RESULT(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define EVENT(name, params) "{\"jsonrpc\":\"2.0\",\"method\":\"" name "\",\"params\":" params "}"

/* --- requests --- */

static void test_pipelined(void **state)
{
	struct peer p = peer_connect(*state);

	peer_says(&p, CALL("1", "count", "[]") CALL("\"b\"", "count", "{}")
	    "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n\n" CALL("3", "nope", "[]")
	    "[" CALL("4", "count", "[]") "]\n" "rubbish\n" CALL("5", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	assert_line(&p, RESULT("\"b\"", "1"));
	assert_line_has(&p, "\"id\":3,\"error\":{\"code\":-32601,");
	/* a batch over two lines is two broken lines */
	assert_line_has(&p, "-32700");
	assert_line_has(&p, "-32700");
	assert_line_has(&p, "-32700");
	assert_line(&p, RESULT("5", "3"));
	assert_silence(&p);
	peer_close(&p);
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = CALL("1", "count", "[]") CALL("2", "count", "[]");
	struct peer p = peer_connect(*state);

	for (const char *c = text; *c; c++) {
		peer_send(&p, c, 1);
		turn(*state);
	}
	assert_line(&p, RESULT("1", "0"));
	assert_line(&p, RESULT("2", "1"));
	peer_close(&p);
}

static void test_many_lines_at_once(void **state)
{
	enum { LINES = 5000 };
	struct peer p = peer_connect(*state);
	char expected[64];

	for (int i = 0; i < LINES; i++)
		peer_says(&p, CALL("0", "count", "[]"));
	for (int i = 0; i < LINES; i++) {
		snprintf(expected, sizeof(expected), RESULT("0", "%d"), i);
		assert_line(&p, expected);
	}
	assert_silence(&p);
	peer_close(&p);
}

static void test_two_clients(void **state)
{
	struct peer a = peer_connect(*state), b = peer_connect(*state);

	peer_says(&a, "{\"jsonrpc\":\"2.0\",\"id\":\"half ");
	peer_says(&b, CALL("\"b\"", "count", "[]"));
	assert_line(&b, RESULT("\"b\"", "0"));
	peer_says(&a, "a line\",\"method\":\"count\"}\n");
	assert_line(&a, RESULT("\"half a line\"", "1"));
	assert_silence(&b);
	peer_close(&a);
	peer_close(&b);
	settle(*state);
	assert_int_equal(stat_of(*state, "clients"), 0);
}

/* printf … | nc -U: answers come to who has said all that he will say. */
static void test_half_close(void **state)
{
	struct peer p = peer_connect(*state);

	peer_says(&p, CALL("1", "letters", "[900000]") CALL("2", "letters", "[1]")
	    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"count\"}");
	shutdown(p.fd, SHUT_WR);
	assert_line_has(&p, "\"id\":1,\"result\":\"aaa");
	assert_line(&p, RESULT("2", "\"b\""));
	assert_line(&p, RESULT("3", "2"));
	assert_end(&p);
	assert_int_equal(stat_of(*state, "clients"), 0);
	peer_close(&p);
}

static void test_gone_before_the_answer(void **state)
{
	struct peer p = peer_connect(*state);

	peer_says(&p, CALL("1", "letters", "[900000]") CALL("2", "letters", "[900000]"));
	peer_close(&p);
	settle(*state);
	assert_int_equal(stat_of(*state, "clients"), 0);
}

static void test_line_too_long(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f);
	char *line = malloc(200000);
	int len;

	f->settings.max_request = 1024;
	ctl_server_reload(f->server, &f->settings);
	memset(line, ' ', 200000);
	/* 1024 bytes and a newline are a line; one more is not */
	len = snprintf(line, 200000, "%-1024s\n", CALL("1", "count", "[]"));
	line[strlen(CALL("1", "count", "[]")) - 1] = ' ';
	peer_send(&p, line, (size_t)len);
	assert_line(&p, RESULT("1", "0"));
	line[1024] = ' ';
	peer_send(&p, line, 1025);
	peer_says(&p, "\n");
	assert_line_has(&p, "\"id\":null,\"error\":{\"code\":-32600,");
	/* refused once, and before it has ended */
	for (int i = 0; i < 20; i++)
		peer_send(&p, line, 200000);
	assert_line_has(&p, "\"id\":null,\"error\":{\"code\":-32600,");
	assert_silence(&p);
	peer_says(&p, "\n" CALL("2", "count", "[]"));
	assert_line(&p, RESULT("2", "1"));
	assert_silence(&p);
	free(line);
	peer_close(&p);
}

static void test_long_line(void **state)
{
	struct peer p = peer_connect(*state);
	size_t len = (1 << 20) - 200;
	char *body = malloc(len);

	memset(body, ' ', len);
	peer_says(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	peer_send(&p, body, len);
	peer_says(&p, "\"method\":\"count\"}\n");
	assert_line(&p, RESULT("1", "0"));
	free(body);
	peer_close(&p);
}

/* Who asks and does not read is not read either; who reads at last gets every answer. */
static void test_back_pressure(void **state)
{
	enum { REQUESTS = 3000, SIZE = 10000 };
	static const char request[] = CALL("0", "letters", "[10000]");
	struct fixture *f = *state;
	struct peer p = peer_connect(f);
	size_t sent = 0, total = REQUESTS * strlen(request), received = 0;
	char *text = malloc(total);
	unsigned calls;

	for (size_t i = 0; i < REQUESTS; i++)
		memcpy(text + i * strlen(request), request, strlen(request));
	for (int idle = 0; idle < TURNS_IDLE && sent < total;) {
		ssize_t n = send(p.fd, text + sent, total - sent, MSG_NOSIGNAL);

		turn(f);
		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
	}
	settle(f);
	calls = f->calls;
	assert_true(calls * SIZE < 2 << 20);
	settle(f);
	assert_int_equal(f->calls, calls);
	while (received < REQUESTS) {
		char *line;

		if (sent < total) {
			ssize_t n = send(p.fd, text + sent, total - sent, MSG_NOSIGNAL);

			sent += n > 0 ? (size_t)n : 0;
		}
		line = peer_line(&p);
		assert_non_null(line);
		assert_int_equal(strlen(line), SIZE + strlen(RESULT("0", "\"\"")));
		assert_int_equal(line[strlen(line) - 5], 'a' + (int)(received++ % 26));
		free(line);
	}
	assert_silence(&p);
	free(text);
	peer_close(&p);
}

/* --- events --- */

static void test_subscribe(void **state)
{
	struct fixture *f = *state;
	struct peer a = peer_connect(f), b = peer_connect(f), c = peer_connect(f);

	assert_false(event_wanted(f->bus, &type_a));
	peer_says(&a, CALL("1", "event_subscribe", "{}"));
	peer_says(&b, CALL("1", "event_subscribe", "{\"names\":[\"E_B\"]}"));
	assert_line(&a, RESULT("1", "\"OK\""));
	assert_line(&b, RESULT("1", "\"OK\""));
	assert_true(event_wanted(f->bus, &type_a));
	emit_letters(f, &type_a, 3, 'x');
	emit_letters(f, &type_b, 2, 'y');
	assert_line(&a, EVENT("E_A", "{\"body\":\"xxx\"}"));
	assert_line(&a, EVENT("E_B", "{\"body\":\"yy\"}"));
	assert_line(&b, EVENT("E_B", "{\"body\":\"yy\"}"));
	assert_silence(&b);
	assert_silence(&c);
	peer_says(&a, CALL("2", "event_unsubscribe", "[[\"E_A\"]]"));
	assert_line(&a, RESULT("2", "\"OK\""));
	assert_false(event_wanted(f->bus, &type_a));
	emit_letters(f, &type_a, 3, 'x');
	emit_letters(f, &type_b, 1, 'z');
	assert_line(&a, EVENT("E_B", "{\"body\":\"z\"}"));
	assert_line(&b, EVENT("E_B", "{\"body\":\"z\"}"));
	peer_says(&a, CALL("3", "event_unsubscribe", "[]"));
	assert_line(&a, RESULT("3", "\"OK\""));
	peer_close(&b);
	settle(f);
	assert_false(event_wanted(f->bus, &type_b));
	peer_close(&a);
	peer_close(&c);
}

static void test_subscribe_to_unknown(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f);

	peer_says(&p, CALL("1", "event_subscribe", "{\"names\":[\"E_A\",\"E_C\"]}")
	    CALL("2", "event_subscribe", "{\"names\":[]}") CALL("3", "event:unsubscribe", "{\"names\":\"E_A\"}"));
	assert_line_has(&p, "\"id\":1,\"error\":{\"code\":-32602,\"message\":\"unknown event E_C\"");
	assert_line_has(&p, "\"id\":2,\"error\":{\"code\":-32602,");
	assert_line_has(&p, "\"id\":3,\"error\":{\"code\":-32602,");
	assert_false(event_wanted(f->bus, &type_a));
	peer_close(&p);
}

static void subscribe_all(struct peer *p)
{
	peer_says(p, CALL("0", "event_subscribe", "[]"));
	assert_line(p, RESULT("0", "\"OK\""));
}

/* Large events are not copied for each; what each gets is the same. */
static void test_large_events(void **state)
{
	static const size_t sizes[] = {16000, 16300, 16384, 100000, 900000, 10};
	struct fixture *f = *state;
	struct peer a = peer_connect(f), b = peer_connect(f);

	subscribe_all(&a);
	subscribe_all(&b);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		emit_letters(f, &type_a, sizes[i], (char)('a' + i));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *x = peer_line(&a), *y = peer_line(&b);

		assert_int_equal(strlen(x), sizes[i] + strlen(EVENT("E_A", "{\"body\":\"\"}")));
		assert_int_equal(x[strlen(x) - 4], 'a' + (int)i);
		assert_string_equal(x, y);
		free(x);
		free(y);
	}
	peer_close(&a);
	peer_close(&b);
}

/* A subscriber that stops reading is disconnected at the bound; the others miss nothing. */
static void test_slow_subscriber(void **state)
{
	enum { SIZE = 1000 };
	struct fixture *f = *state;
	struct peer slow = peer_connect(f), quick = peer_connect(f);
	unsigned emitted = 0, received = 0;
	char *line;

	subscribe_all(&slow);
	subscribe_all(&quick);
	f->settings.max_backlog = 200000;
	ctl_server_reload(f->server, &f->settings);
	while (stat_of(f, "disconnected") == 0 && emitted < 100000) {
		emit_letters(f, &type_a, SIZE, 'x');
		emitted++;
		free(peer_line(&quick));
	}
	assert_int_equal(stat_of(f, "disconnected"), 1);
	assert_true(emitted > 200000 / (SIZE + 100));
	assert_int_equal(stat_of(f, "clients"), 1);
	emit_letters(f, &type_b, 1, 'y');
	assert_line(&quick, EVENT("E_B", "{\"body\":\"y\"}"));
	/* what it had got before stands; then its line may be cut, and is the last */
	while (!slow.eof)
		peer_receive(&slow);
	while (slow.len && memchr(slow.bytes, '\n', slow.len)) {
		line = peer_line(&slow);
		assert_non_null(strstr(line, "E_A"));
		received++;
		free(line);
	}
	assert_true(received > 0 && received < emitted);
	peer_close(&slow);
	peer_close(&quick);
}

/* An event that its own request brings about comes before the answer, or ends the client. */
static void test_event_inside_request(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f);

	subscribe_all(&p);
	peer_says(&p, CALL("1", "emit", "[1]"));
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	assert_line(&p, RESULT("1", "\"emitted\""));
	f->settings.max_backlog = 100000;
	ctl_server_reload(f->server, &f->settings);
	peer_says(&p, CALL("2", "emit", "[200000]") CALL("3", "emit", "[1]"));
	assert_end(&p);
	assert_int_equal(stat_of(f, "clients"), 0);
	assert_int_equal(stat_of(f, "disconnected"), 1);
	peer_close(&p);
}

static void test_half_closed_subscriber(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f), other;

	peer_says(&p, CALL("1", "event_subscribe", "[]"));
	shutdown(p.fd, SHUT_WR);
	assert_line(&p, RESULT("1", "\"OK\""));
	settle(f);
	emit_letters(f, &type_a, 1, 'x');
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	peer_close(&p);
	settle(f);
	other = peer_connect(f);
	assert_int_equal(stat_of(f, "clients"), 1);
	assert_false(event_wanted(f->bus, &type_a));
	peer_close(&other);
}

/* What was emitted in one turn of the loop leaves in one piece. */
static void test_events_leave_together(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f);
	char bytes[16384];
	ssize_t n;

	subscribe_all(&p);
	for (int i = 0; i < 100; i++)
		emit_letters(f, &type_a, 10, 'x');
	assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), -1);
	turn(f);
	n = recv(p.fd, bytes, sizeof(bytes), 0);
	assert_int_equal(n, 100 * (strlen(EVENT("E_A", "{\"body\":\"\"}")) + 11));
	peer_close(&p);
}

/* --- the built-in methods --- */

static void test_builtins(void **state)
{
	static const struct {
		const char	*line, *part;
	} cases[] = {
		{CALL("1", "which", "[]"), "\"result\":[\"event_subscribe\",\"event_unsubscribe\",\"get_statistics\","
		    "\"status\",\"reload\",\"log_level\",\"which\",\"help\",\"count\",\"letters\",\"emit\"]}"},
		{CALL("1", "help", "[]"), "{\"command\":\"letters\",\"params\":\"size\",\"help\":\"many\"}"},
		{CALL("1", "help", "[]"), "{\"command\":\"log_level\",\"params\":\"level?\","},
		{CALL("1", "status", "[]"), "\"result\":{\"mine\":\"here\"}}"},
		{CALL("1", "reload", "[]"), "\"result\":\"OK\"}"},
		{CALL("1", "reload", "[]"), "\"error\":{\"code\":500,\"message\":\"/etc/msrpd/msrpd.yaml:3:1: unknown key\"}}"},
		{CALL("1", "log_level", "[]"), "\"result\":\"error\"}"},
		{CALL("1", "log_level", "[\"warn\"]"), "\"result\":\"warn\"}"},
		{CALL("1", "log_level", "[\"loud\"]"), "\"error\":{\"code\":400,"},
		{CALL("1", "log_level", "{}"), "\"result\":\"warn\"}"},
		{CALL("1", "log_level", "[5]"), "\"error\":{\"code\":-32602,"},
		{CALL("1", "get_statistics", "[\"test\"]"), "\"result\":{\"test:number\":42}}"},
		{CALL("1", "get_statistics", "[]"), "\"ctl:clients\":1,"},
		{CALL("1", "get_statistics", "[]"), "\"test:number\":42}}"},
		{CALL("1", "get_statistics", "[\"tes\"]"), "\"error\":{\"code\":404,"},
	};
	struct fixture *f = *state;
	struct peer p = peer_connect(f);

	*stats_counter(f->stats, "test", "number", "A number.") = 42;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		peer_says(&p, cases[i].line);
		assert_line_has(&p, cases[i].part);
	}
	peer_close(&p);
}

static void test_add_methods_twice(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ctl_server_add_methods(f->server, methods, f), -EEXIST);
	assert_int_equal(ctl_server_add_methods(f->server, NULL, f), 0);
}

/* --- the socket --- */

static void test_too_many_clients(void **state)
{
	enum { MAX = 256 };
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer peers[MAX], last = {.f = f};

	for (size_t i = 0; i < MAX; i++)
		peers[i] = peer_connect(f);
	memcpy(address.sun_path, f->path, strlen(f->path));
	last.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(last.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_end(&last);
	peer_close(&last);
	assert_int_equal(stat_of(f, "clients"), MAX);
	peer_close(&peers[7]);
	settle(f);
	peers[7] = peer_connect(f);
	peer_says(&peers[7], CALL("1", "count", "[]"));
	assert_line(&peers[7], RESULT("1", "0"));
	for (size_t i = 0; i < MAX; i++)
		peer_close(&peers[i]);
}

static void test_mode(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0};
	struct fixture *f = *state;
	struct stat st;
	mode_t mask = umask(0077);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ctl_server_free(f->server);
		assert_int_equal(stat(f->path, &st), -1);
		f->settings.mode = modes[i];
		start_server(f);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | modes[i]);
	}
	assert_int_equal(umask(mask), 0077);
}

static void test_group(void **state)
{
	struct fixture *f = *state;
	const struct group *group = getgrgid(getegid());
	struct stat st;

	assert_non_null(group);
	ctl_server_free(f->server);
	f->settings.group = group->gr_name;
	start_server(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
}

static void test_socket_left_behind(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer p;
	int fd;

	ctl_server_free(f->server);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(address.sun_path, f->path, strlen(f->path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	start_server(f);
	p = peer_connect(f);
	peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	peer_close(&p);
}

static void assert_cannot_start(struct fixture *f, int err, const char *word)
{
	struct ctl_server *server = NULL;
	const char *why = NULL;

	assert_int_equal(ctl_server_new(&server, &f->daemon, &f->settings, &why), err);
	assert_null(server);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("%s is not in %s", word, why);
}

static void test_living_daemon(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	assert_cannot_start(f, -EADDRINUSE, "another process listens there");
	p = peer_connect(f);
	peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	peer_close(&p);
}

static void test_bad_paths(void **state)
{
	struct fixture *f = *state;
	char path[200], file[100];
	int fd;

	f->settings.socket = path;
	snprintf(path, sizeof(path), "%s/nowhere/ctl", f->dir);
	assert_cannot_start(f, -ENOENT, "directory");
	snprintf(path, sizeof(path), "%s", f->dir);
	assert_cannot_start(f, -EEXIST, "something else");
	snprintf(file, sizeof(file), "%s/file", f->dir);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s", file);
	assert_cannot_start(f, -EEXIST, "something else");
	assert_int_equal(unlink(file), 0);
	snprintf(path, sizeof(path), "relative");
	assert_cannot_start(f, -EINVAL, "absolute");
	snprintf(path, sizeof(path), "/tmp/%0120d", 1);
	assert_cannot_start(f, -ENAMETOOLONG, "longer");
	f->settings.socket = file;
	f->settings.group = (char *)"no such group here";
	assert_cannot_start(f, -ENOENT, "group");
	assert_int_equal(access(file, F_OK), -1);
	f->settings.socket = f->path;
}

/* A daemon that stops late leaves the socket of its successor alone. */
static void test_successors_socket(void **state)
{
	struct fixture *f = *state;
	struct ctl_server *old = f->server;
	struct peer p;

	assert_int_equal(unlink(f->path), 0);
	start_server(f);
	ctl_server_free(old);
	p = peer_connect(f);
	peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	peer_close(&p);
}

/* Whoever is connected when the daemon stops has got what was emitted before. */
static void test_stop(void **state)
{
	struct fixture *f = *state;
	struct peer p = peer_connect(f);

	subscribe_all(&p);
	emit_letters(f, &type_a, 1, 'x');
	ctl_server_free(f->server);
	f->server = NULL;
	ctl_server_free(NULL);
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	assert_end(&p);
	assert_int_equal(access(f->path, F_OK), -1);
	event_emit(f->bus, &type_a, NULL, 0);
	peer_close(&p);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pipelined), CASE(test_byte_by_byte), CASE(test_many_lines_at_once),
		CASE(test_two_clients), CASE(test_half_close), CASE(test_gone_before_the_answer),
		CASE(test_line_too_long), CASE(test_long_line), CASE(test_back_pressure),
		CASE(test_subscribe), CASE(test_subscribe_to_unknown), CASE(test_large_events),
		CASE(test_slow_subscriber), CASE(test_event_inside_request),
		CASE(test_half_closed_subscriber), CASE(test_events_leave_together),
		CASE(test_builtins), CASE(test_add_methods_twice), CASE(test_too_many_clients),
		CASE(test_mode), CASE(test_group), CASE(test_socket_left_behind), CASE(test_living_daemon),
		CASE(test_bad_paths), CASE(test_successors_socket), CASE(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
