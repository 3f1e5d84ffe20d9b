#include "event/logline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <msrpd/timer.h>

#include "base/log.h"

static const struct event_type type = {.name = "E_TEST", .params = NULL};
static const struct event_type often = {.name = "E_OFTEN", .often = true};
static const struct event_type *const types[] = {&type, &often, NULL};

struct fixture {
	char dir[64], path[80];
	int fd; /* where syslog lines arrive */
	struct event_bus *bus;
	struct event_logline logline;
};

static int setup(void **state)
{
	static struct fixture f;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct log_settings settings = {.target = LOG_TO_SYSLOG,
	    .level = LOG_LEVEL_INFO,
	    .syslog_path = f.path};

	snprintf(f.dir, sizeof(f.dir), "/tmp/test_event_logline.XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.path, sizeof(f.path), "%s/log", f.dir);
	f.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, f.path, strlen(f.path));
	assert_int_equal(bind(f.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(log_open(&settings), 0);
	assert_int_equal(event_bus_new(&f.bus), 0);
	assert_int_equal(event_bus_add_types(f.bus, types), 0);
	event_logline_start(&f.logline, f.bus, false);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_logline_stop(&f->logline);
	event_logline_stop(&f->logline);
	event_bus_free(f->bus);
	log_close();
	close(f->fd);
	unlink(f->path);
	rmdir(f->dir);
	return 0;
}

static void assert_line(struct fixture *f, const struct event_param *params, size_t count,
    const char *expected)
{
	char bytes[8192], *text;
	ssize_t n;

	event_emit(f->bus, &type, params, count);
	n = recv(f->fd, bytes, sizeof(bytes) - 1, 0);
	assert_true(n > 0);
	bytes[n] = '\0';
	text = strstr(bytes, "]: ");
	assert_non_null(text);
	assert_string_equal(text + 3, expected);
	assert_true(recv(f->fd, bytes, sizeof(bytes), 0) < 0);
}

static void test_values(void **state)
{
	static const struct {
		struct event_param param;
		const char *line;
	} cases[] = {
	    {{"k", EVENT_TEXT, {"sip:a@b;x", 9}, 0, NULL, 0, false}, "E_TEST k=sip:a@b;x"},
	    {{"k", EVENT_TEXT, {"", 0}, 0, NULL, 0, false}, "E_TEST k=\"\""},
	    {{"k", EVENT_TEXT, {"two words", 9}, 0, NULL, 0, false}, "E_TEST k=\"two words\""},
	    {{"k", EVENT_TEXT, {"a=b", 3}, 0, NULL, 0, false}, "E_TEST k=\"a=b\""},
	    {{"k", EVENT_TEXT, {"say \"hi\" \\", 10}, 0, NULL, 0, false},
		"E_TEST k=\"say \\\"hi\\\" \\\\\""},
	    {{"k", EVENT_TEXT, {"a\r\nb\0c\x1b", 7}, 0, NULL, 0, false},
		"E_TEST k=\"a\\r\\nb\\x00c\\x1b\""},
	    {{"k", EVENT_TEXT, {"\xc3\xbc", 2}, 0, NULL, 0, false}, "E_TEST k=\"\xc3\xbc\""},
	    {{"k", EVENT_TEXT, {"\xff", 1}, 0, NULL, 0, false}, "E_TEST k=\"\\xff\""},
	    {{"k", EVENT_TEXT, {"null", 4}, 0, NULL, 0, false}, "E_TEST k=\"null\""},
	    {{"k", EVENT_NULL, {NULL, 0}, 0, NULL, 0, false}, "E_TEST k=null"},
	    {{"k", EVENT_NUMBER, {NULL, 0}, -408, NULL, 0, false}, "E_TEST k=-408"},
	    {{"k", EVENT_BODY, {"secret", 6}, 0, NULL, 0, false}, "E_TEST"},
	};
	struct fixture *f = *state;

	assert_line(f, NULL, 0, "E_TEST");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_line(f, &cases[i].param, 1, cases[i].line);
}

/* What has items: a field for each, named by its way there. */
static void test_items(void **state)
{
	const struct event_param values[] = {event_text(NULL, SLICE("a b")),
	    event_text(NULL, SLICE("c"))};
	const struct event_param names[] = {
	    {.name = "To", .kind = EVENT_LIST, .items = values, .count = 2}};
	const struct event_param part[] = {event_text("type", SLICE("x/y")),
	    event_body("body", SLICE("secret"))};
	const struct event_param parts[] = {{.kind = EVENT_OBJECT, .items = part, .count = 2}};
	const struct event_param params[] = {
	    {.name = "headers", .kind = EVENT_OBJECT, .items = names, .count = 1},
	    {.name = "parts", .kind = EVENT_LIST, .items = parts, .count = 1},
	    event_true("in_dialog"),
	};

	assert_line(*state, params, 3,
	    "E_TEST headers.To=\"a b\" headers.To=c parts.type=x/y in_dialog=true");
}

static void test_body(void **state)
{
	struct fixture *f = *state;
	const struct event_param params[] = {
	    event_text("session_id", SLICE("s1")),
	    event_body("body", SLICE("Hello, world")),
	    event_number("n", 1),
	};

	assert_line(f, params, 3, "E_TEST session_id=s1 n=1");
	f->logline.body = true;
	assert_line(f, params, 3, "E_TEST session_id=s1 body=\"Hello, world\" n=1");
}

/* 256 bytes at most, and no half character. */
static void test_long_body(void **state)
{
	struct fixture *f = *state;
	char body[300], expected[400];

	f->logline.body = true;
	memset(body, 'x', sizeof(body));
	snprintf(expected, sizeof(expected), "E_TEST b=%.256s", body);
	assert_line(f,
	    &(struct event_param){"b", EVENT_BODY, {body, sizeof(body)}, 0, NULL, 0, false}, 1,
	    expected);
	assert_line(f, &(struct event_param){"b", EVENT_BODY, {body, 256}, 0, NULL, 0, false}, 1,
	    expected);
	memcpy(body + 254, "\xe2\x82\xac", 3);
	snprintf(expected, sizeof(expected), "E_TEST b=%.254s", body);
	assert_line(f,
	    &(struct event_param){"b", EVENT_BODY, {body, sizeof(body)}, 0, NULL, 0, false}, 1,
	    expected);
}

static void test_huge_text_is_cut(void **state)
{
	static char text[20000], bytes[8192];
	struct fixture *f = *state;
	struct event_param params[2];
	ssize_t n;

	memset(text, '"', sizeof(text));
	params[0] = event_text("k", (struct slice){text, sizeof(text)});
	params[1] = event_text("l", (struct slice){text, sizeof(text)});
	event_emit(f->bus, &type, params, 2);
	n = recv(f->fd, bytes, sizeof(bytes), 0);
	assert_true(n > 3900 && n <= 4096);
	assert_memory_equal(bytes + n - 3, "...", 3);
}

/* Nobody builds events for a log that does not take them. */
static void test_level(void **state)
{
	struct fixture *f = *state;
	char bytes[512];

	assert_true(event_wanted(f->bus, &type));
	log_set_level(LOG_LEVEL_WARN);
	assert_false(event_wanted(f->bus, &type));
	event_emit(f->bus, &type, NULL, 0);
	assert_true(recv(f->fd, bytes, sizeof(bytes), 0) < 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- how many lines --- */

/* The lines that have come so far, and of which something more is told. */
static unsigned count_lines(struct fixture *f, unsigned long *morep)
{
	char bytes[8192], *more;
	unsigned count = 0;
	ssize_t n;

	while ((n = recv(f->fd, bytes, sizeof(bytes) - 1, 0)) > 0) {
		bytes[n] = '\0';
		more = strstr(bytes, "]: info: events: ");
		if (!more)
			more = strstr(bytes, "]: events: ");
		if (more)
			*morep += strtoul(strstr(more, "events: ") + 8, NULL, 10);
		else
			count++;
	}
	return count;
}

/* Of a session so many a second; others and their ends are logged all the same. */
static void test_often(void **state)
{
	enum { EVENTS = 5000 };
	struct fixture *f = *state;
	struct event_param id = event_text("session_id", SLICE("one"));
	unsigned lines = 0, seconds;
	unsigned long more = 0;
	uint64_t began = timer_now_ms() / 1000;

	for (unsigned i = 0; i < EVENTS; i++) {
		event_emit(f->bus, &often, &id, 1);
		lines += count_lines(f, &more);
	}
	seconds = (unsigned)(timer_now_ms() / 1000 - began) + 1;
	assert_true(lines >= EVENT_LOGLINE_A_SECOND);
	assert_true(lines <= EVENT_LOGLINE_A_SECOND * seconds);
	event_emit(f->bus, &type, &id, 1);
	id.text = SLICE("another");
	event_emit(f->bus, &often, &id, 1);
	assert_int_equal(count_lines(f, &more), 2);
	event_logline_stop(&f->logline);
	assert_int_equal(count_lines(f, &more), 0);
	assert_int_equal(lines + more, EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_values),
	    CASE(test_items),
	    CASE(test_body),
	    CASE(test_long_body),
	    CASE(test_huge_text_is_cut),
	    CASE(test_level),
	    CASE(test_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
