#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

/* A syslogd: a datagram socket in a directory of its own. */
struct syslogd {
	char dir[64], path[80];
	int fd;
};

static void syslogd_listen(struct syslogd *d)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(d->fd >= 0);
	memcpy(address.sun_path, d->path, strlen(d->path));
	assert_int_equal(bind(d->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void syslogd_stop(struct syslogd *d)
{
	close(d->fd);
	unlink(d->path);
}

static int setup(void **state)
{
	struct syslogd *d = calloc(1, sizeof(*d));

	snprintf(d->dir, sizeof(d->dir), "%s", "/tmp/test_base_log.XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof(d->path), "%s/log", d->dir);
	syslogd_listen(d);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct syslogd *d = *state;

	log_close();
	syslogd_stop(d);
	rmdir(d->dir);
	free(d);
	return 0;
}

static struct log_settings settings_for(struct syslogd *d)
{
	return (struct log_settings){.target = LOG_TO_SYSLOG,
	    .facility = "local3",
	    .ident = "tester",
	    .level = LOG_LEVEL_DEBUG,
	    .syslog_path = d->path};
}

/* @return bytes of the next line, which is behind its "]: " in text; 0: there is none */
static size_t next_line(const struct syslogd *d, char *text, size_t size)
{
	char bytes[8192], *body;
	ssize_t n = recv(d->fd, bytes, sizeof(bytes) - 1, 0);

	if (n < 0)
		return 0;
	bytes[n] = '\0';
	body = strstr(bytes, "]: ");
	assert_non_null(body);
	assert_true(strlen(body + 3) < size);
	memcpy(text, body + 3, strlen(body + 3) + 1);
	return (size_t)n;
}

static void assert_logged(const struct syslogd *d, const char *expected)
{
	char text[8192];

	assert_true(next_line(d, text, sizeof(text)) > 0);
	assert_string_equal(text, expected);
}

static void test_syslog_form(void **state)
{
	static const struct {
		enum log_level level;
		const char *priority; /* local3 is 19: 19 * 8 + severity */
	} cases[] = {
	    {LOG_LEVEL_ERROR, "<155>"},
	    {LOG_LEVEL_WARN, "<156>"},
	    {LOG_LEVEL_INFO, "<158>"},
	    {LOG_LEVEL_DEBUG, "<159>"},
	};
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);
	char bytes[512], tail[64];

	assert_int_equal(log_open(&settings), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ssize_t n;

		log_line(cases[i].level, "number %d", 7);
		n = recv(d->fd, bytes, sizeof(bytes) - 1, 0);
		assert_true(n > 0);
		bytes[n] = '\0';
		assert_memory_equal(bytes, cases[i].priority, 5);
		/* "<155>Jan  2 03:04:05 tester[1]: number 7" */
		snprintf(tail, sizeof(tail), " tester[%d]: number 7", (int)getpid());
		assert_string_equal(bytes + 5 + 15, tail);
		assert_int_equal(bytes[5 + 3], ' ');
		assert_int_equal(bytes[5 + 9], ':');
	}
}

static void test_level(void **state)
{
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);
	char text[64];

	settings.level = LOG_LEVEL_WARN;
	assert_int_equal(log_open(&settings), 0);
	log_info("not this");
	log_warn("this");
	assert_logged(d, "this");
	log_set_level(LOG_LEVEL_INFO);
	log_info("now this");
	assert_logged(d, "now this");
	assert_int_equal(next_line(d, text, sizeof(text)), 0);
}

static void test_escapes(void **state)
{
	static const struct {
		const char *text, *logged;
	} cases[] = {
	    {"plain", "plain"},
	    {"a\nb\rc\td", "a\\nb\\rc\\td"},
	    {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
	    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
	    {"\xc2\x9b"
	     "31m",
		"\\xc2\\x9b"
		"31m"}, /* CSI in one character */
	    {"\xff\xc3", "\\xff\\xc3"},
	    {"\xc0\xaf", "\\xc0\\xaf"},
	    {"", ""},
	};
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);

	assert_int_equal(log_open(&settings), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_info("%s", cases[i].text);
		assert_logged(d, cases[i].logged);
	}
}

static void test_long_lines_are_cut(void **state)
{
	static const int lengths[] = {4000, 4095, 4096, 10000};
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);
	static char text[10001], logged[8192];

	assert_int_equal(log_open(&settings), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (int escaped = 0; escaped < 2; escaped++) {
			bool cut = escaped || lengths[i] > 4050;
			size_t n;

			memset(text, escaped ? '\1' : 'x', sizeof(text) - 1);
			log_info("%.*s", lengths[i], text);
			n = next_line(d, logged, sizeof(logged));
			assert_true(n > 3900 && n <= 4096);
			assert_int_equal(strcmp(logged + strlen(logged) - 3, "...") == 0, cut);
		}
	}
}

static void test_errno_survives(void **state)
{
	struct log_settings settings = settings_for(*state);

	settings.syslog_path = "/nonexistent/log";
	assert_int_equal(log_open(&settings), 0);
	log_set_level(LOG_LEVEL_DEBUG);
	errno = ENOTTY;
	log_debug("%s", "to a log that is not there");
	assert_int_equal(errno, ENOTTY);
}

static void test_lost_lines_are_counted(void **state)
{
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);
	uint64_t before = log_lost(), lost;
	char text[8192], report[64];
	unsigned written = 0, read = 0;

	assert_int_equal(log_open(&settings), 0);
	while (log_lost() == before && written < 100000) {
		log_info("line %u", written);
		written++;
	}
	assert_int_equal(log_lost(), before + 1);
	log_info("this is lost as well");
	lost = log_lost() - before;
	assert_int_equal(lost, 2);
	while (next_line(d, text, sizeof(text)))
		read++;
	assert_int_equal(read, written - 1);
	log_info("after");
	snprintf(report, sizeof(report), "log: %d lines were lost", 2);
	assert_logged(d, report);
	assert_logged(d, "after");
	log_info("and no more of it");
	assert_logged(d, "and no more of it");
}

static void test_reconnects(void **state)
{
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);

	assert_int_equal(log_open(&settings), 0);
	log_info("before");
	assert_logged(d, "before");
	syslogd_stop(d);
	syslogd_listen(d);
	log_info("after");
	assert_logged(d, "after");
}

/* Standard error is a pipe for as long as one runs. */
struct pipe_stderr {
	int saved, read_end;
};

static struct pipe_stderr redirect_stderr(void)
{
	int fds[2];
	struct pipe_stderr p;

	fflush(stderr);
	p.saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	p.read_end = fds[0];
	return p;
}

static void restore_stderr(struct pipe_stderr *p)
{
	dup2(p->saved, STDERR_FILENO);
	close(p->saved);
	close(p->read_end);
}

static void test_stderr(void **state)
{
	struct log_settings settings = {.target = LOG_TO_STDERR, .level = LOG_LEVEL_INFO};
	struct pipe_stderr p;
	char bytes[512], tail[64];
	ssize_t n;

	(void)state;
	p = redirect_stderr();
	log_open(&settings);
	log_warn("a\nb");
	n = read(p.read_end, bytes, sizeof(bytes) - 1);
	restore_stderr(&p);
	assert_true(n > 0);
	bytes[n] = '\0';
	snprintf(tail, sizeof(tail), " msrpd[%d] warn: a\\nb\n", (int)getpid());
	assert_string_equal(bytes + 15, tail);
}

/* Whoever reads our standard error may stop: the daemon goes on, and says later what it lost. */
static void test_full_pipe_does_not_block(void **state)
{
	struct log_settings settings = {.target = LOG_TO_STDERR, .level = LOG_LEVEL_INFO};
	uint64_t before = log_lost();
	static char bytes[1 << 20];
	struct pipe_stderr p;
	unsigned written = 0;
	int flags;
	ssize_t n;

	(void)state;
	p = redirect_stderr();
	log_open(&settings);
	alarm(20);
	while (log_lost() == before && written++ < 100000)
		log_info("%0200d", 1);
	alarm(0);
	flags = fcntl(STDERR_FILENO, F_GETFL);
	fcntl(p.read_end, F_SETFL, O_NONBLOCK);
	while (read(p.read_end, bytes, sizeof(bytes)) > 0)
		;
	log_info("after");
	n = read(p.read_end, bytes, sizeof(bytes) - 1);
	restore_stderr(&p);
	assert_int_equal(log_lost(), before + 1);
	assert_false(flags & O_NONBLOCK);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(strstr(bytes, "warn: log: 1 lines were lost\n"));
	assert_non_null(strstr(bytes, "info: after\n"));
}

static void test_without_syslog_to_stderr(void **state)
{
	struct syslogd *d = *state;
	struct log_settings settings = settings_for(d);
	uint64_t before = log_lost();
	struct pipe_stderr p;
	char bytes[512];
	ssize_t n;

	syslogd_stop(d);
	p = redirect_stderr();
	log_open(&settings);
	log_error("nobody there");
	n = read(p.read_end, bytes, sizeof(bytes) - 1);
	restore_stderr(&p);
	syslogd_listen(d);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(strstr(bytes, "nobody there\n"));
	assert_int_equal(log_lost(), before);
}

static void test_facility(void **state)
{
	struct log_settings settings = settings_for(*state);
	const struct setting *row = log_settings_rows;
	struct reason why = {""};
	char *bad = "local8", *good = "authpriv";

	settings.facility = bad;
	assert_int_equal(log_open(&settings), -EINVAL);
	while (strcmp(row->name, "facility") != 0)
		row++;
	assert_int_equal(row->check(&bad, &why), -EINVAL);
	assert_true(why.text[0]);
	assert_int_equal(row->check(&good, &why), 0);
}

static void test_level_names(void **state)
{
	enum log_level level;

	(void)state;
	for (unsigned i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		assert_int_equal(
		    log_level_parse(slice_of(log_level_name((enum log_level)i)), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse(SLICE("Info"), &level), -EINVAL);
	assert_int_equal(log_level_parse(SLICE(""), &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_syslog_form),
	    CASE(test_level),
	    CASE(test_escapes),
	    CASE(test_long_lines_are_cut),
	    CASE(test_errno_survives),
	    CASE(test_lost_lines_are_counted),
	    CASE(test_reconnects),
	    CASE(test_stderr),
	    CASE(test_full_pipe_does_not_block),
	    CASE(test_without_syslog_to_stderr),
	    CASE(test_facility),
	    CASE(test_level_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
