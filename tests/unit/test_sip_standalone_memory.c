/*
 * Requests that stand alone while the n-th allocation fails, for each n: over a connection each is
 * answered, or that is closed.  The next one goes through.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/addr.h"
#include "loop.h"
#include "memory.h"
#include "sip_side.h"

struct client {
	int fd;
	unsigned wanted; /* answers */
	bool ended;
	char got[16384];
	size_t len;
};

static const struct {
	const char *method, *lines, *answer;
} cases[] = {
    {"MESSAGE", "", "SIP/2.0 200 "},
    {"OPTIONS", "", "SIP/2.0 200 "},
    {"MESSAGE", "Require: x, timer, y\r\n", "SIP/2.0 420 "},
    {"FOO", "", "SIP/2.0 501 "},
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void dial(struct client *c, const struct side *s)
{
	union addr to = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	unsigned port;

	*c = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	assert_int_equal(sscanf(s->tcp, "sip:127.0.0.1:%u", &port), 1);
	addr_set_port(&to, (uint16_t)port);
	assert_int_equal(connect(c->fd, &to.any, addr_len(&to)), 0);
}

static void ask(struct client *c, unsigned i)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
	    "%s sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%u\r\n"
	    "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: %u\r\nCSeq: 1 %s\r\n"
	    "%sContent-Length: 0\r\n\r\n",
	    cases[i].method, i, i, cases[i].method, cases[i].lines);

	/* He may have been hung up on already. */
	c->ended |= send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len;
	c->wanted++;
}

static unsigned answers(const struct client *c)
{
	unsigned count = 0;

	for (const char *p = c->got; (p = strstr(p, "SIP/2.0 ")); p++)
		count += p == c->got || p[-1] == '\n';
	return count;
}

static bool is_done(void *arg)
{
	struct client *c = arg;
	ssize_t n = recv(c->fd, c->got + c->len, sizeof(c->got) - 1 - c->len, MSG_DONTWAIT);

	if (n > 0)
		c->len += (size_t)n;
	c->ended |= n == 0 || (n < 0 && errno != EAGAIN);
	c->got[c->len] = '\0';
	return c->ended || answers(c) == c->wanted;
}

static void each_allocation(void **state)
{
	struct side s = {.log = ""};
	struct event_base *base = event_base_new();
	struct client c;
	unsigned n = 0, closed = 0;
	bool failed;

	(void)state;
	side_open(&s, base);
	do {
		s.log[0] = '\0';
		dial(&c, &s);
		memory_fail_at(++n);
		for (unsigned i = 0; i < CASES; i++)
			ask(&c, i);
		loop_until(base, is_done, &c);
		failed = memory_has_failed();
		memory_fail_at(0);
		closed += c.ended;
		close(c.fd);
		loop_settle(base);
		for (unsigned i = 0; i < CASES; i++) {
			dial(&c, &s);
			ask(&c, i);
			loop_until(base, is_done, &c);
			assert_int_equal(strncmp(c.got, cases[i].answer, 12), 0);
			close(c.fd);
			loop_settle(base);
		}
	} while (failed);
	assert_in_range(n, 20, 1000);
	assert_true(closed < n / 2);
	side_close(&s);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
