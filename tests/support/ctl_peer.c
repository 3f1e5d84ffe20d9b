#include "ctl_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "event/bus.h"

enum { DEADLINE_MS = 60000 };

const struct event_type ctl_type_a = {.name = "E_A", .params = NULL};
const struct event_type ctl_type_b = {.name = "E_B", .params = NULL};
static const struct event_type *const types[] = {&ctl_type_a, &ctl_type_b, NULL};

/* --- methods of a service --- */

static void count(const struct param *params, struct reply *reply, void *state)
{
	struct ctl_fixture *f = state;

	(void)params;
	reply_number(reply, NULL, f->calls++);
}

/* An answer of n letters. */
static void letters(const struct param *params, struct reply *reply, void *state)
{
	static char text[1 << 20];
	struct ctl_fixture *f = state;

	memset(text, 'a' + (int)(f->calls++ % 26), sizeof(text));
	reply_text(reply, NULL, (struct slice){text, (size_t)params[0].number});
}

void ctl_emit(struct ctl_fixture *f, const struct event_type *type, size_t n, char letter)
{
	static char text[4 << 20];
	struct event_param param = event_body("body", (struct slice){text, n});

	memset(text, letter, n);
	event_emit(f->bus, type, &param, 1);
}

/* Events come in while the request of a subscriber is being served. */
static void emit(const struct param *params, struct reply *reply, void *state)
{
	ctl_emit(state, &ctl_type_a, (size_t)params[0].number, 'x');
	reply_text(reply, NULL, SLICE("emitted"));
}

static const struct param_spec size_params[] = {
    {.name = "size", .kind = PARAM_NUMBER, .required = true},
    {0},
};
static const struct method methods[] = {
    {.name = "count", .call = count, .help = "counts"},
    {.name = "letters", .params = size_params, .call = letters, .help = "many"},
    {.name = "emit", .params = size_params, .call = emit, .help = "emits"},
    {0},
};

static void add_status(struct reply *reply, void *arg)
{
	(void)arg;
	reply_text(reply, "mine", SLICE("here"));
}

static void do_reload(struct reply *reply, void *arg)
{
	struct ctl_fixture *f = arg;

	if (f->calls++ == 0)
		reply_text(reply, NULL, SLICE("OK"));
	else
		reply_error(reply, 500, "/etc/msrpd/msrpd.yaml:3:1: unknown key");
}

/* --- the fixture --- */

void ctl_start(struct ctl_fixture *f)
{
	struct reason why = {""};

	assert_int_equal(ctl_server_new(&f->server, &f->daemon, &f->settings, &why), 0);
	assert_int_equal(ctl_server_add_methods(f->server, methods, f), 0);
}

bool ctl_no_memory;

static void *failing_malloc(size_t size)
{
	return ctl_no_memory ? NULL : malloc(size);
}

static void *failing_realloc(void *p, size_t size)
{
	return ctl_no_memory ? NULL : realloc(p, size);
}

int ctl_setup(void **state)
{
	struct ctl_fixture *f = calloc(1, sizeof(*f));

	event_set_mem_functions(failing_malloc, failing_realloc, free);
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
	ctl_start(f);
	*state = f;
	return 0;
}

int ctl_teardown(void **state)
{
	struct ctl_fixture *f = *state;

	ctl_server_free(f->server);
	event_bus_free(f->bus);
	stats_free(f->stats);
	event_base_free(f->base);
	rmdir(f->dir);
	free(f);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

void ctl_turn(struct ctl_fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Until nothing happens any more. */
void ctl_settle(struct ctl_fixture *f)
{
	for (int i = 0; i < TURNS_IDLE; i++)
		ctl_turn(f);
}

static void find_stat(const struct stats_item *item, void *arg)
{
	struct stats_item *wanted = arg;

	if (strcmp(item->group, "ctl") == 0 && strcmp(item->name, wanted->name) == 0)
		wanted->value = item->value;
}

uint64_t ctl_stat(struct ctl_fixture *f, const char *name)
{
	struct stats_item wanted = {.name = name};

	stats_each(f->stats, find_stat, &wanted);
	return wanted.value;
}

/* --- a client's side --- */

struct ctl_peer ctl_peer_connect(struct ctl_fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ctl_peer p = {.f = f, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};

	memcpy(address.sun_path, f->path, strlen(f->path));
	assert_int_equal(connect(p.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ctl_settle(f); /* it waits in the socket's backlog, to be accepted or turned away */
	return p;
}

void ctl_peer_close(struct ctl_peer *p)
{
	close(p->fd);
	free(p->bytes);
}

/* Take what there is.  @return bytes, 0: none */
size_t ctl_peer_receive(struct ctl_peer *p)
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

void ctl_peer_send(struct ctl_peer *p, const char *text, size_t len)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;

	while (len) {
		ssize_t n = send(p->fd, text, len, MSG_NOSIGNAL);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			ctl_turn(p->f);
			assert_true(timer_now_ms() < deadline);
			continue;
		}
		text += n;
		len -= (size_t)n;
	}
}

void ctl_peer_says(struct ctl_peer *p, const char *text)
{
	ctl_peer_send(p, text, strlen(text));
}

/* The next line, to be freed; NULL at the end of the stream. */
char *ctl_peer_line(struct ctl_peer *p)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;
	char *newline, *line;
	size_t scanned = 0;

	for (;;) {
		newline =
		    p->len > scanned ? memchr(p->bytes + scanned, '\n', p->len - scanned) : NULL;
		if (newline || p->eof)
			break;
		scanned = p->len;
		ctl_turn(p->f);
		ctl_peer_receive(p);
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

void assert_line(struct ctl_peer *p, const char *expected)
{
	char *line = ctl_peer_line(p);

	assert_non_null(line);
	assert_string_equal(line, expected);
	free(line);
}

void assert_line_has(struct ctl_peer *p, const char *part)
{
	char *line = ctl_peer_line(p);

	assert_non_null(line);
	if (!strstr(line, part))
		fail_msg("%s is not in %s", part, line);
	free(line);
}

void assert_end(struct ctl_peer *p)
{
	char *line = ctl_peer_line(p);

	assert_null(line);
}

void assert_silence(struct ctl_peer *p)
{
	ctl_settle(p->f);
	assert_int_equal(ctl_peer_receive(p), 0);
	assert_int_equal(p->len, 0);
	assert_false(p->eof);
}

void ctl_peer_subscribe(struct ctl_peer *p)
{
	ctl_peer_says(p, CALL("0", "event_subscribe", "[]"));
	assert_line(p, RESULT("0", "\"OK\""));
}
