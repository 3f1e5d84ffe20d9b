#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "web_visitor.h"

enum { READ_MAX = 65536 };

int visited_set_up(void **state, uint64_t timeout_ms)
{
	static struct web_host h;

	web_host_init(&h, event_base_new());
	h.settings.request_timeout_ms = h.settings.idle_timeout_ms = timeout_ms;
	*state = &h;
	return web_host_start(&h);
}

int visited_tear_down(void **state)
{
	struct web_host *h = *state;

	web_host_stop(h);
	event_base_free(h->base);
	return 0;
}

void visitor_open(struct visitor *v, struct web_host *host)
{
	const union addr *addr = &STAILQ_FIRST(&host->web->listeners)->socket.addr;

	*v = (struct visitor){.host = host,
	    .out = {.max = BUFFER_UNBOUNDED},
	    .in = {.max = BUFFER_UNBOUNDED}};
	v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(v->fd, &addr->any, addr_len(addr)), 0);
}

void visitor_say(struct visitor *v, struct slice bytes)
{
	buffer_add(&v->out, bytes);
	assert_int_equal(v->out.err, 0);
}

static void send_some(struct visitor *v)
{
	ssize_t n = send(v->fd, v->out.p, v->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		buffer_drop(&v->out, (size_t)n);
}

static void read_some(struct visitor *v)
{
	ssize_t n;

	assert_int_equal(buffer_reserve(&v->in, READ_MAX), 0);
	n = recv(v->fd, v->in.p + v->in.len, READ_MAX, MSG_DONTWAIT);
	if (n > 0)
		v->in.len += (size_t)n;
	v->over = n == 0 || (n < 0 && errno != EAGAIN);
}

static bool turn(void *arg)
{
	struct visitor *v = arg;

	if (v->out.len)
		send_some(v);
	if (!v->deaf)
		read_some(v);
	return v->over || (v->wanted && visitor_count(v, v->wanted));
}

void visitor_hears(struct visitor *v, const char *text)
{
	v->wanted = text;
	loop_until(v->host->base, turn, v);
	v->wanted = NULL;
	assert_int_not_equal(visitor_count(v, text), 0);
}

void visitor_hears_the_end(struct visitor *v)
{
	loop_until(v->host->base, turn, v);
}

unsigned visitor_count(const struct visitor *v, const char *text)
{
	const char *p = v->in.p, *end = p + v->in.len;
	unsigned count = 0;

	while (p && p < end && (p = memmem(p, (size_t)(end - p), text, strlen(text)))) {
		p += strlen(text);
		count++;
	}
	return count;
}

void visitor_close(struct visitor *v)
{
	close(v->fd);
	buffer_fini(&v->out);
	buffer_fini(&v->in);
}
