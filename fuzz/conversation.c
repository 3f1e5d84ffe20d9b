#include "conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/stats.h"
#include "msrp/listener.h"
#include "net/dial.h"
#include "net/net.h"
#include "net/priv.h"

enum { FIRST_MAX = 4096, SPEAKS = 14, PAUSE = 16, TURNS = 30, HEAD_MAX = 1 << 16 };

/* Nobody is called: the linker's --wrap names this (fuzz/CMakeLists.txt). */
int __wrap_net_dial(struct net_stream *stream, struct net_dial *dial,
    const struct net_destination *to);

int __wrap_net_dial(struct net_stream *stream, struct net_dial *dial,
    const struct net_destination *to)
{
	(void)to;
	*dial = (struct net_dial){.stream = stream};
	stream->dial = dial;
	return -ENOMEM;
}

/* Contexts of TLS are made for each input: the system's authorities take long to read. */
static void __attribute__((constructor)) trust_nobody(void)
{
	setenv("SSL_CERT_FILE", "/dev/null", 1);
	setenv("SSL_CERT_DIR", "/dev/null", 1);
}

void must(bool holds)
{
	if (!holds)
		abort();
}

static struct {
	struct event_base *base;
	struct net *net;
	struct stats *stats;
	struct msrp_stack *stack;
} once;

/* What its pools keep is seen by nobody who looks for leaks. */
static void end_once(void)
{
	msrp_stack_free(once.stack);
	stats_free(once.stats);
	net_free(once.net);
	event_base_free(once.base);
}

struct msrp_stack *conversation_start(struct conversation *c, const struct msrp_settings *extra,
    struct stats **statsp)
{
	static const struct msrp_listen_settings listen = {
	    .uri = (char *)(uintptr_t) "msrp://127.0.0.1:0;tcp"};
	static struct msrp_settings settings;
	struct reason why;

	if (!once.base) {
		/* A machine that has no time for this one is to run into no time-out. */
		settings = *extra;
		settings.listen = (struct setting_list){(void *)(uintptr_t)&listen, 1};
		settings.transaction_timeout_ms = settings.connect_timeout_ms =
		    settings.bind_timeout_ms = settings.idle_timeout_ms = settings.send_timeout_ms =
			settings.shared_stall_ms = settings.partial_timeout_ms = 3600 * 1000;
		settings.max_connections = 100;
		settings.max_header_size = 2048;
		settings.send_queue = 8192;
		once.base = event_base_new();
		must(once.base != NULL);
		must(net_new(&once.net, once.base) == 0);
		must(stats_new(&once.stats) == 0);
		must(msrp_stack_new(&once.stack, once.net, &settings, once.stats, &why) == 0);
		must(msrp_listeners_open(once.stack, &why) == 0);
		must(atexit(end_once) == 0);
	}
	c->base = once.base;
	c->frames = true;
	*statsp = once.stats;
	return once.stack;
}

/* --- what they hear --- */

static int on_head(const struct msrp_frame *f, void *arg)
{
	struct speaker *s = arg;

	if (msrp_frame_is_request(f))
		s->requests++;
	else
		s->responses++;
	return 0;
}

static int on_body(struct slice piece, void *arg)
{
	(void)arg;
	must(piece.len > 0);
	return 0;
}

static int on_end(enum msrp_flag flag, void *arg)
{
	(void)flag;
	(void)arg;
	return 0;
}

static void on_broken(const struct msrp_frame *f, int err, void *arg)
{
	(void)f;
	(void)err;
	(void)arg;
	abort();
}

static const struct msrp_parser_handler handler = {.head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken};

static void hear(struct conversation *c, struct speaker *s)
{
	char bytes[16384];
	ssize_t n;

	while (s->fd >= 0 && (n = recv(s->fd, bytes, sizeof(bytes), 0)) > 0) {
		size_t kept = FIRST_MAX - s->first_len;

		kept = kept < (size_t)n ? kept : (size_t)n;
		memcpy(s->first + s->first_len, bytes, kept);
		s->first_len += kept;
		s->heard += (size_t)n;
		if (c->frames)
			must(msrp_parser_feed(&s->parser, (struct slice){bytes, (size_t)n},
				 &handler, s)
			    == n);
	}
	if (s->fd >= 0 && n == 0)
		s->over = true;
}

void conversation_settle(struct conversation *c)
{
	for (int i = 0; i < TURNS; i++) {
		event_base_loop(c->base, EVLOOP_NONBLOCK);
		for (size_t k = 0; k < SPEAKERS; k++)
			hear(c, &c->speakers[k]);
	}
}

/* --- what they say --- */

void speaker_open(struct conversation *c, size_t which, const struct net_listener *listener)
{
	struct speaker *s = &c->speakers[which];
	int fds[2];

	*s = (struct speaker){.first = malloc(FIRST_MAX)};
	must(s->first && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	s->fd = fds[0];
	msrp_parser_init(&s->parser, HEAD_MAX);
	must(stream_accept(listener, fds[1], NULL, false) == 0);
}

void speaker_say(struct conversation *c, size_t which, struct slice text)
{
	struct speaker *s = &c->speakers[which];

	if (text.len && s->fd >= 0) {
		ssize_t n = send(s->fd, text.p, text.len, MSG_NOSIGNAL);

		(void)n; /* it is closed, or full */
	}
}

/* One stretch of text, as far as the next turn. @return bytes of it */
static size_t say_stretch(struct conversation *c, size_t which, const char *p, size_t len)
{
	size_t i = 0, from = 0;

	for (; i <= len; i++) {
		unsigned char byte = i < len ? (unsigned char)p[i] : SPEAKS;
		bool name = byte > 0 && byte <= NAMES;

		if (!name && byte != SPEAKS && byte != SPEAKS + 1 && byte != PAUSE)
			continue;
		speaker_say(c, which, (struct slice){p + from, i - from});
		from = i + 1;
		if (!name)
			break;
		if (c->names[byte - 1])
			speaker_say(c, which, slice_of(c->names[byte - 1]));
	}
	return i;
}

void conversation_run(struct conversation *c, const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	size_t which = 0;

	while (size) {
		size_t n = say_stretch(c, which, p, size);

		p += n;
		size -= n;
		if (!size)
			break;
		if (*p == PAUSE)
			conversation_settle(c);
		else
			which = (size_t)(*p - SPEAKS);
		event_base_loop(c->base, EVLOOP_NONBLOCK);
		p++;
		size--;
	}
	conversation_settle(c);
}

void conversation_end(struct conversation *c)
{
	for (size_t i = 0; i < SPEAKERS; i++) {
		struct speaker *s = &c->speakers[i];

		if (!s->first)
			continue;
		shutdown(s->fd, SHUT_WR);
		conversation_settle(c);
		close(s->fd);
		s->fd = -1;
		msrp_parser_fini(&s->parser);
		free(s->first);
		s->first = NULL;
	}
	conversation_settle(c);
}
