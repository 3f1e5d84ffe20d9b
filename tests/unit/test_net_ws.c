/* WebSockets over TCP and over TLS, with a client that is written here: RFC 6455. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <msrpd/setting.h>
#include <msrpd/timer.h>

#include "base/addr.h"
#include "certs.h"
#include "loop.h"
#include "loopback.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/tls.h"

enum { LARGE = 3 << 20, GOT_MAX = 8 << 20 };

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80 };

#define HANDSHAKE                                                                      \
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"   \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Protocol: test\r\n\r\n"

struct fixture {
	struct event_base *base;
	struct net *net;
	struct net_protocol protocol;
	struct net_listener listener;
	struct certs certs;
	struct net_tls_contexts *tls;
	uint64_t counts[7];

	/* the stream that was accepted last */
	struct net_stream *stream;
	char *got;
	size_t got_len, wants;
	bool sips; /* it leaves the rest for later, and does not pause */
	unsigned opened, messages, closed, alive;
	int err;

	/* the client */
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	unsigned char *in;
	size_t in_len, want;
	bool over;
};

static struct fixture *fixture_of(const struct net_stream *s)
{
	return (struct fixture *)(void *)((char *)s->protocol - offsetof(struct fixture, protocol));
}

/* --- the protocol: bytes are kept --- */

static struct net_stream *on_accept(void *arg)
{
	struct fixture *f = arg;

	f->stream = calloc(1, sizeof(*f->stream));
	net_stream_init(f->stream, &f->protocol);
	return f->stream;
}

static void on_opened(struct net_stream *s)
{
	fixture_of(s)->opened++;
}

static ssize_t on_input(struct net_stream *s, struct slice bytes, bool end)
{
	struct fixture *f = fixture_of(s);
	size_t n = f->wants && f->wants < bytes.len ? f->wants : bytes.len;

	memcpy(f->got + f->got_len, bytes.p, n);
	f->got_len += n;
	if (n == bytes.len)
		f->messages += end;
	else if (!f->sips)
		net_stream_pause(s);
	return (ssize_t)n;
}

static void on_room(struct net_stream *s)
{
	(void)s;
}

static void on_closed(struct net_stream *s, int err)
{
	fixture_of(s)->closed++;
	fixture_of(s)->err = err;
}

static void on_free(struct net_stream *s)
{
	free(s);
}

static void on_alive(struct net_stream *s)
{
	fixture_of(s)->alive++;
}

static const struct net_handler handler = {.accept = on_accept,
    .alive = on_alive,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_room,
    .closed = on_closed,
    .free = on_free};

/* --- the fixture --- */

static void make_tls(struct fixture *f)
{
	struct reason why;
	struct net_tls_settings settings = {.verify_server = true};

	certs_make(&f->certs);
	settings.certificate = f->certs.cert;
	settings.private_key = f->certs.key;
	settings.ca_file = f->certs.ca;
	assert_int_equal(net_tls_contexts_new(&f->tls, &settings, &why), 0);
}

static int set_up(void **state, const struct net_transport *transport)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t *c = f->counts;

	signal(SIGPIPE, SIG_IGN);
	f->base = event_base_new();
	f->fd = -1;
	f->got = malloc(GOT_MAX);
	f->in = malloc(GOT_MAX);
	if (transport->encrypted)
		make_tls(f);
	assert_int_equal(net_new(&f->net, f->base), 0);
	f->protocol = (struct net_protocol){.net = f->net,
	    .name = "test",
	    .subprotocol = "test",
	    .handler = &handler,
	    .tls = f->tls,
	    .limits = {.max_streams = 100, .send_queue = 1 << 16, .max_message = LARGE},
	    .count = {&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]}};
	assert_int_equal(net_protocol_init(&f->protocol), 0);
	f->listener = (struct net_listener){.protocol = &f->protocol,
	    .transport = transport,
	    .name = "test",
	    .arg = f};
	loopback_listen(&f->listener);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, &net_ws);
}

static int setup_secure(void **state)
{
	return set_up(state, &net_wss);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_listener_close(&f->listener);
	net_protocol_fini(&f->protocol);
	assert_int_equal(f->protocol.stream_count, 0);
	net_free(f->net);
	event_base_free(f->base);
	SSL_free(f->ssl);
	SSL_CTX_free(f->ctx);
	net_tls_contexts_free(f->tls);
	if (f->certs.dir[0])
		certs_remove(&f->certs);
	if (f->fd >= 0)
		close(f->fd);
	free(f->got);
	free(f->in);
	free(f);
	return 0;
}

/* --- the client --- */

static bool shaken(void *arg)
{
	return SSL_do_handshake(((struct fixture *)arg)->ssl) == 1;
}

static int connect_one(struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &f->listener.addr.any, addr_len(&f->listener.addr)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void connect_client(struct fixture *f)
{
	f->fd = connect_one(f);
	if (!f->tls)
		return;
	f->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(f->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	f->ssl = SSL_new(f->ctx);
	SSL_set_fd(f->ssl, f->fd);
	SSL_set_connect_state(f->ssl);
	loop_until(f->base, shaken, f);
}

static void say(struct fixture *f, const void *bytes, size_t len)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	for (size_t at = 0; at < len;) {
		const char *p = (const char *)bytes + at;
		ssize_t n;

		assert_true(timer_now_ms() < deadline);

		ERR_clear_error();
		n = f->ssl ? SSL_write(f->ssl, p, (int)(len - at))
			   : send(f->fd, p, len - at, MSG_NOSIGNAL);
		if (n > 0)
			at += (size_t)n;
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
}

/* Bytes of one frame with this header's first octet, masked. @return its bytes */
static size_t make_frame(unsigned char *to, unsigned first, const void *payload, size_t len)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t at = 0;

	to[at++] = (unsigned char)first;
	if (len < 126) {
		to[at++] = (unsigned char)(0x80 | len);
	} else if (len < 65536) {
		to[at++] = 0x80 | 126;
		to[at++] = (unsigned char)(len >> 8);
		to[at++] = (unsigned char)len;
	} else {
		to[at++] = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			to[at++] = (unsigned char)((uint64_t)len >> 8 * i);
	}
	memcpy(to + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < len; i++)
		to[at + i] = ((const unsigned char *)payload)[i] ^ mask[i % 4];
	return at + len;
}

static void say_frame(struct fixture *f, unsigned first, const void *payload, size_t len)
{
	unsigned char *frame = malloc(len + 14);

	say(f, frame, make_frame(frame, first, payload, len));
	free(frame);
}

static void say_text(struct fixture *f, unsigned first, const char *payload)
{
	say_frame(f, first, payload, strlen(payload));
}

static bool hear(void *arg)
{
	struct fixture *f = arg;
	unsigned char *p = f->in + f->in_len;
	ssize_t n;

	ERR_clear_error();
	n = f->ssl ? SSL_read(f->ssl, p, (int)(GOT_MAX - f->in_len))
		   : recv(f->fd, p, GOT_MAX - f->in_len, 0);
	if (n > 0)
		f->in_len += (size_t)n;
	else if (f->ssl)
		f->over = SSL_get_error(f->ssl, (int)n) == SSL_ERROR_ZERO_RETURN;
	else
		f->over = n == 0 || errno != EAGAIN;
	return f->in_len >= f->want || f->over;
}

static void expect_bytes(struct fixture *f, const void *bytes, size_t len)
{
	f->want = len;
	loop_until(f->base, hear, f);
	assert_true(f->in_len >= len);
	assert_memory_equal(f->in, bytes, len);
	f->in_len -= len;
	memmove(f->in, f->in + len, f->in_len);
}

static void expect_end(struct fixture *f)
{
	f->want = GOT_MAX;
	loop_until(f->base, hear, f);
	assert_true(f->over);
}

/* A close frame with this code, then the end. */
static void expect_close(struct fixture *f, unsigned code)
{
	const unsigned char frame[] = {FIN | CLOSE, 2, (unsigned char)(code >> 8),
	    (unsigned char)code};

	expect_bytes(f, frame, sizeof(frame));
	expect_end(f);
	assert_int_equal(f->in_len, 0);
	assert_int_equal(f->closed, 1);
}

static void expect_answer(struct fixture *f, const char *start)
{
	f->want = strlen(start);
	loop_until(f->base, hear, f);
	assert_memory_equal(f->in, start, strlen(start));
}

static void shake_hands(struct fixture *f)
{
	static const char answer[] =
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	    "Sec-WebSocket-Protocol: test\r\n\r\n";

	connect_client(f);
	say(f, HANDSHAKE, strlen(HANDSHAKE));
	expect_bytes(f, answer, strlen(answer));
	assert_int_equal(f->opened, 1);
}

static bool has_messages(void *arg)
{
	struct fixture *f = arg;

	return f->messages >= f->want;
}

static void expect_got(struct fixture *f, const char *text, unsigned messages)
{
	f->want = messages;
	loop_until(f->base, has_messages, f);
	assert_int_equal(f->messages, messages);
	assert_int_equal(f->got_len, strlen(text));
	assert_memory_equal(f->got, text, strlen(text));
}

/* --- the handshake --- */

static void messages_go_both_ways(void **state)
{
	static const char heard[] = "\x82\x03two";
	struct fixture *f = *state;

	shake_hands(f);
	say_text(f, FIN | TEXT, "one");
	say_text(f, FIN | BINARY, "and");
	expect_got(f, "oneand", 2);
	net_stream_send(f->stream, SLICE("two"));
	expect_bytes(f, heard, 5);
	assert_int_equal(*f->protocol.count.bytes_in, 6);
	assert_int_equal(*f->protocol.count.bytes_out, 3);
}

static void a_handshake_comes_byte_by_byte_and_with_more_behind_it(void **state)
{
	struct fixture *f = *state;
	unsigned char frames[64];
	size_t len = make_frame(frames, FIN | TEXT, "one", 3);

	len += make_frame(frames + len, FIN | TEXT, "two", 3);
	connect_client(f);
	for (size_t i = 0; i + 1 < strlen(HANDSHAKE); i++)
		say(f, &HANDSHAKE[i], 1);
	assert_int_equal(f->opened, 0);
	memmove(frames + 1, frames, len);
	frames[0] = '\n';
	say(f, frames, len + 1);
	expect_got(f, "onetwo", 2);
}

static void who_does_not_ask_properly_is_told_and_closed(void **state)
{
	static const char *const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct fixture *f = *state;

	connect_client(f);
	say(f, get, strlen(get));
	expect_answer(f, "HTTP/1.1 400 Bad Request\r\n");
	expect_end(f);
	assert_int_equal(f->opened, 0);
	assert_int_equal(f->closed, 1);
}

static void a_head_without_end_is_refused(void **state)
{
	struct fixture *f = *state;
	char junk[20000];

	memset(junk, 'x', sizeof(junk));
	connect_client(f);
	say(f, junk, sizeof(junk));
	expect_answer(f, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
	expect_end(f);
	assert_int_equal(f->closed, 1);
}

static bool is_closed(void *arg)
{
	return ((struct fixture *)arg)->closed;
}

static void the_handshake_has_a_time_out(void **state)
{
	struct fixture *f = *state;
	struct net_limits limits = f->protocol.limits;

	limits.preface_timeout_ms = 50;
	net_protocol_reload(&f->protocol, &limits, f->tls);
	connect_client(f);
	say(f, HANDSHAKE, 20);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->err, -ETIMEDOUT);
}

static void the_end_in_the_middle_of_the_handshake_is_the_end(void **state)
{
	struct fixture *f = *state;

	connect_client(f);
	say(f, HANDSHAKE, 20);
	if (f->ssl)
		SSL_shutdown(f->ssl);
	shutdown(f->fd, SHUT_WR);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->err, -ECONNRESET);
}

/* --- frames --- */

static void fragments_are_one_message(void **state)
{
	static const char pong[] = "\x8a\x02hi";
	struct fixture *f = *state;

	shake_hands(f);
	say_text(f, TEXT, "a");
	say_text(f, 0, "");
	say_text(f, FIN | PING, "hi");
	say_text(f, 0, "b");
	expect_bytes(f, pong, 4);
	say_text(f, FIN | PONG, "unasked");
	assert_int_equal(f->messages, 0);
	say_text(f, FIN, "");
	expect_got(f, "ab", 1);
	say_text(f, FIN | BINARY, "");
	expect_got(f, "ab", 2);
}

static void frames_come_byte_by_byte(void **state)
{
	static const char pong[] = "\x8a\x03now";
	struct fixture *f = *state;
	unsigned char frames[1000];
	char payload[301] = "";
	size_t len = 0;

	memset(payload, 'p', 300);
	shake_hands(f);
	len += make_frame(frames, TEXT, payload, 100);
	len += make_frame(frames + len, FIN | PING, "now", 3);
	len += make_frame(frames + len, FIN, payload, 200);
	for (size_t i = 0; i < len; i++)
		say(f, frames + i, 1);
	expect_got(f, payload, 1);
	expect_bytes(f, pong, 5);
}

static void many_messages_come_at_once(void **state)
{
	enum { MANY = 3000 };
	struct fixture *f = *state;
	unsigned char *frames = malloc(MANY * 20);
	size_t len = 0;

	shake_hands(f);
	for (unsigned i = 0; i < MANY; i++)
		len += make_frame(frames + len, FIN | TEXT, "0123456789", 10);
	say(f, frames, len);
	f->want = MANY;
	loop_until(f->base, has_messages, f);
	assert_int_equal(f->got_len, MANY * 10);
	free(frames);
}

static bool drinks(void *arg)
{
	struct fixture *f = arg;

	net_stream_resume(f->stream);
	return f->messages;
}

static void a_large_message_comes_in_pieces_and_pauses(void **state)
{
	struct fixture *f = *state;
	char *bytes = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i % 251);
	shake_hands(f);
	say_frame(f, BINARY, bytes, LARGE - 5000);
	f->wants = 700;
	say_frame(f, FIN, bytes + LARGE - 5000, 5000);
	loop_until(f->base, drinks, f);
	assert_int_equal(f->got_len, LARGE);
	assert_memory_equal(f->got, bytes, LARGE);
	free(bytes);
}

static bool drinks_to_the_end(void *arg)
{
	struct fixture *f = arg;

	if (!f->closed)
		net_stream_resume(f->stream);
	return f->closed;
}

/* What was read together with messages that wait ends them once they are read, and once. */
static void a_close_behind_what_waits_is_one(struct fixture *f, bool sips)
{
	unsigned char frames[128];
	size_t len = 0;

	shake_hands(f);
	f->wants = 3;
	f->sips = sips;
	for (unsigned i = 0; i < 3; i++)
		len += make_frame(frames + len, FIN | TEXT, "0123456789", 10);
	len += make_frame(frames + len, FIN | CLOSE, "", 0);
	say(f, frames, len);
	loop_until(f->base, drinks_to_the_end, f);
	assert_int_equal(f->messages, 3);
	assert_int_equal(f->got_len, 30);
	assert_memory_equal(f->got, "012345678901234567890123456789", 30);
}

static void a_close_behind_a_pause_is_one(void **state)
{
	a_close_behind_what_waits_is_one(*state, false);
}

static void a_close_behind_a_rest_is_one(void **state)
{
	a_close_behind_what_waits_is_one(*state, true);
}

/* @return bytes of the frame's header, 0: it is not whole; *lenp: bytes of its payload */
static size_t read_header(const unsigned char *p, size_t size, uint64_t *lenp)
{
	size_t octets = size < 2 || p[1] < 126 ? 0 : p[1] == 126 ? 2 : 8;

	if (size < 2 + octets)
		return 0;
	*lenp = octets ? 0 : p[1];
	for (size_t i = 0; i < octets; i++)
		*lenp = *lenp << 8 | p[2 + i];
	return 2 + octets;
}

/* Have as many final frames come as are wanted, pongs among them? */
static bool hear_frames(void *arg)
{
	struct fixture *f = arg;
	size_t wanted = f->want, fins = 0, header;
	uint64_t len;

	f->want = GOT_MAX;
	hear(f);
	f->want = wanted;
	for (size_t at = 0; (header = read_header(f->in + at, f->in_len - at, &len))
	     && len <= f->in_len - at - header;
	     at += header + len)
		fins += f->in[at] >> 7;
	return fins >= wanted;
}

static void expect_frames(struct fixture *f, size_t fins)
{
	f->want = fins;
	loop_until(f->base, hear_frames, f);
}

/* Take the frames out of what was heard. @return bytes of payload, which stand at the front */
static size_t unframe(struct fixture *f, unsigned *finsp, unsigned *pongsp)
{
	size_t to = 0;

	for (size_t at = 0; at < f->in_len;) {
		const unsigned char *p = f->in + at;
		unsigned opcode = p[0] & 15u;
		uint64_t len = 0;
		size_t header = read_header(p, f->in_len - at, &len);

		assert_true(header);
		at += header + len;
		assert_true(at <= f->in_len);
		if (opcode == PONG) {
			++*pongsp;
			continue;
		}
		assert_int_equal(opcode, *finsp || to ? 0 : BINARY);
		*finsp += p[0] >> 7;
		memmove(f->in + to, p + header, len);
		to += len;
	}
	return to;
}

/* What the socket does not take goes on in the same frame; a pong waits for its end. */
static void a_large_message_leaves_in_whole_frames(void **state)
{
	struct fixture *f = *state;
	unsigned fins = 0, pongs = 0;
	char *bytes = malloc(LARGE);
	size_t len = 0;

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i % 251);
	shake_hands(f);
	net_stream_borrow(f->stream, (struct slice){bytes, LARGE / 2});
	loop_settle(f->base);
	net_stream_borrow(f->stream, (struct slice){bytes + LARGE / 2, LARGE / 2 - 1});
	net_stream_end(f->stream, (struct slice){bytes + LARGE - 1, 1});
	loop_settle(f->base);
	for (int i = 0; i < 10; i++)
		say_text(f, FIN | PING, "hi");
	loop_settle(f->base);
	assert_true(net_stream_backlog(f->stream) > 0);
	expect_frames(f, 2);
	len = unframe(f, &fins, &pongs);
	assert_int_equal(len, LARGE);
	assert_memory_equal(f->in, bytes, LARGE);
	assert_int_equal(fins, 1);
	assert_int_equal(pongs, 1);
	free(bytes);
}

/* A socket that takes a byte at a time would not do it: the urgent stay behind what has begun. */
static void a_message_whose_header_alone_has_left_goes_on(void **state)
{
	struct fixture *f = *state;
	unsigned fins = 0, pongs = 0;
	int small = 1;
	char *bytes = calloc(1, LARGE);

	shake_hands(f);
	setsockopt(f->stream->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 200; i++) {
		net_stream_end(f->stream, (struct slice){bytes, 1 + (size_t)i * 37 % 5000});
		net_stream_send(f->stream, (struct slice){bytes, 1 + (size_t)i * 53 % 500});
		f->want = f->in_len + 1;
		loop_until(f->base, hear, f);
	}
	expect_frames(f, 400);
	for (size_t at = 0; at < f->in_len; fins++) { /* each message is one frame or more */
		size_t len = f->in[at + 1] < 126 ? f->in[at + 1]
						 : (size_t)f->in[at + 2] << 8 | f->in[at + 3];

		assert_int_equal(f->in[at] & 15, (f->in[at] & 15) ? BINARY : 0);
		fins -= !(f->in[at] >> 7);
		at += len + (f->in[at + 1] < 126 ? 2 : 4);
		assert_true(at <= f->in_len);
	}
	assert_int_equal(fins, 400);
	assert_int_equal(pongs, 0);
	free(bytes);
}

/* Where the protocol wants it so, what is UTF-8 says so, wherever it is cut for writing. */
static void messages_of_text_say_so(void **state)
{
	static const struct {
		const char *text;
		unsigned opcode;
	} cases[] = {
	    {"plain", TEXT},
	    {"gr\xc3\xbc\xc3\x9f"
	     "e",
		TEXT},
	    {"\xf0\x9f\x98\x80", TEXT},
	    {"\xc3", BINARY},
	    {"a\xc3(", BINARY},
	    {"\x9f", BINARY},
	    {"\xed\xa0\x80", BINARY}, /* a surrogate */
	    {"\xf8\x88\x80\x80\x80", BINARY},
	};
	struct fixture *f = *state;

	f->protocol.text = true;
	shake_hands(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = slice_of(cases[i].text);
		unsigned char frame[16] = {(unsigned char)(FIN | cases[i].opcode),
		    (unsigned char)text.len};

		memcpy(frame + 2, text.p, text.len);
		net_stream_send(f->stream, text);
		expect_bytes(f, frame, 2 + text.len);
		for (size_t n = 0; n + 1 < text.len; n++)
			(n % 2 ? net_stream_copy : net_stream_borrow)(f->stream,
			    (struct slice){text.p + n, 1});
		net_stream_end(f->stream, slice_from(text, text.len - 1));
		expect_bytes(f, frame, 2 + text.len);
	}
}

/* A long one lies in many pieces, whose ends are in the middle of characters. */
static void a_long_text_says_so(void **state)
{
	enum { CHARS = 50000 };
	struct fixture *f = *state;
	char *text = malloc(3 * CHARS);

	for (size_t i = 0; i < CHARS; i++)
		memcpy(text + 3 * i, "\xe2\x82\xac", 3);
	f->protocol.text = true;
	shake_hands(f);
	net_stream_send(f->stream, (struct slice){text, 3 * CHARS});
	expect_bytes(f, "\x81\x7f\0\0\0\0\0\x02\x49\xf0", 10);
	expect_bytes(f, text, 3 * CHARS);
	text[3 * CHARS - 1] = 'x';
	net_stream_send(f->stream, (struct slice){text, 3 * CHARS});
	expect_bytes(f, "\x82", 1);
	free(text);
}

static bool heard_of(void *arg)
{
	return ((struct fixture *)arg)->alive > 0;
}

/* RFC 6455 5.5.2: whoever is there answers, and what asks shows as much. */
static void a_ping_asks_who_is_there(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	assert_true(net_stream_ping(f->stream));
	expect_bytes(f, "\x89\0", 2);
	assert_int_equal(f->alive, 0);
	say_frame(f, FIN | PONG, "", 0);
	loop_until(f->base, heard_of, f);
	f->alive = 0;
	say_text(f, FIN | PING, "hi");
	expect_bytes(f, "\x8a\x02hi", 4);
	assert_int_equal(f->alive, 1);
	assert_int_equal(f->messages, 0);
}

static void a_peer_that_closes_is_answered(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	say_frame(f, FIN | CLOSE, "\x0f\xa1why", 5);
	expect_close(f, 4001);
	assert_int_equal(f->err, -ECONNRESET);
}

static void a_close_without_code_is_answered_as_well(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	say_frame(f, FIN | CLOSE, "", 0);
	expect_close(f, 1000);
}

static void the_end_of_the_protocol_is_told(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	net_protocol_fini(&f->protocol);
	expect_close(f, 1001);
}

static void what_was_written_comes_before_the_close(void **state)
{
	static const char bye[] = "\x82\x03"
				  "bye";
	struct fixture *f = *state;

	shake_hands(f);
	net_stream_send(f->stream, SLICE("bye"));
	net_stream_close_after_send(f->stream);
	expect_bytes(f, bye, 5);
	expect_close(f, 1000);
}

static void the_end_in_the_middle_of_a_frame_is_the_end(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	say(f,
	    "\x81\x85"
	    "abcdef",
	    8);
	if (f->ssl)
		SSL_shutdown(f->ssl);
	shutdown(f->fd, SHUT_WR);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->messages, 0);
}

static void what_no_client_may_send_is_refused(void **state)
{
#define BYTES(literal)                       \
	{                                    \
		literal, sizeof(literal) - 1 \
	}
	static const struct {
		struct slice bytes;
		unsigned code;
	} cases[] = {
	    {BYTES("\x81\x03one"), 1002},                           /* no mask */
	    {BYTES("\xc1\x81mmmmx"), 1002},                         /* an extension's bit */
	    {BYTES("\x83\x81mmmmx"), 1002},                         /* unknown */
	    {BYTES("\x8b\x81mmmmx"), 1002},                         /* unknown control */
	    {BYTES("\x80\x81mmmmx"), 1002},                         /* goes on with nothing */
	    {BYTES("\x01\x81mmmmx\x81\x81mmmmx"), 1002},            /* not over yet */
	    {BYTES("\x09\x81mmmmx"), 1002},                         /* a ping in fragments */
	    {BYTES("\x89\xfe\x00\x7emmmm"), 1002},                  /* a ping too long */
	    {BYTES("\x81\xfe\x00\x05mmmmabcde"), 1002},             /* not the shortest */
	    {BYTES("\x81\xff\x80\0\0\0\0\0\0\0mmmmx"), 1002},       /* 2^63 */
	    {BYTES("\x88\x81mmmmx"), 1002},                         /* half a code */
	    {BYTES("\x88\x82\0\0\0\0\x03\xed"), 1002},              /* 1005 */
	    {BYTES("\x88\x82\0\0\0\0\x27\x10"), 1002},              /* 10000 */
	    {BYTES("\x82\xff\0\0\0\0\x00\x30\x00\x01mmmmx"), 1009}, /* a byte more */
	    {BYTES("\x02\x81mmmmx\x80\xff\0\0\0\0\x00\x30\x00\x00mmmmx"), 1009}, /* together */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f;

		assert_int_equal(setup(state), 0);
		f = *state;
		shake_hands(f);
		say(f, cases[i].bytes.p, cases[i].bytes.len);
		expect_close(f, cases[i].code);
		assert_int_equal(f->err, -EPROTO);
		teardown(state);
	}
}

/* Who is there takes the connection, and has no part in the test. */
static void nobody_is_dialled(void **state)
{
	struct fixture *f = *state;
	int there = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_dial dial;
	struct net_destination to = {.transport = &net_ws,
	    .host = SLICE("127.0.0.1"),
	    .fingerprints = ""};
	union addr addr;

	assert_int_equal(addr_parse_host(&addr, SLICE("127.0.0.1")), 0);
	assert_int_equal(bind(there, &addr.any, addr_len(&addr)), 0);
	assert_int_equal(listen(there, 1), 0);
	addr_of_socket(&addr, there);
	to.port = addr_port(&addr);
	on_accept(f);
	assert_int_equal(net_dial(f->stream, &dial, &to), 0);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->err, -EPROTONOSUPPORT);
	close(there);
}

#define CASE(name)                                 \
	{                                          \
#name, name, setup, teardown, NULL \
	}
#define BOTH(name)                                                 \
	CASE(name),                                                \
	{                                                          \
#name " (TLS)", name, setup_secure, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(messages_go_both_ways),
	    BOTH(a_handshake_comes_byte_by_byte_and_with_more_behind_it),
	    BOTH(who_does_not_ask_properly_is_told_and_closed),
	    BOTH(a_head_without_end_is_refused),
	    BOTH(the_handshake_has_a_time_out),
	    BOTH(the_end_in_the_middle_of_the_handshake_is_the_end),
	    BOTH(fragments_are_one_message),
	    BOTH(frames_come_byte_by_byte),
	    BOTH(many_messages_come_at_once),
	    BOTH(a_large_message_comes_in_pieces_and_pauses),
	    BOTH(a_close_behind_a_pause_is_one),
	    BOTH(a_close_behind_a_rest_is_one),
	    BOTH(a_large_message_leaves_in_whole_frames),
	    BOTH(a_message_whose_header_alone_has_left_goes_on),
	    BOTH(messages_of_text_say_so),
	    BOTH(a_long_text_says_so),
	    BOTH(a_ping_asks_who_is_there),
	    BOTH(a_peer_that_closes_is_answered),
	    BOTH(a_close_without_code_is_answered_as_well),
	    BOTH(the_end_of_the_protocol_is_told),
	    BOTH(what_was_written_comes_before_the_close),
	    BOTH(the_end_in_the_middle_of_a_frame_is_the_end),
	    cmocka_unit_test(what_no_client_may_send_is_refused),
	    CASE(nobody_is_dialled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
