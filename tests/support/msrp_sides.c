#include "msrp_sides.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/stats.h"
#include "loop.h"
#include "net/net.h"
#include "wire/byte_range.h"
#include "base/buffer.h"

static const struct slice NONE = {NULL, 0};

/* --- what endpoints tell --- */

static void copy(char *to, size_t size, struct slice s)
{
	snprintf(to, size, "%.*s", SLICE_ARG(s));
}

static bool on_accepts(struct slice type, void *arg)
{
	(void)arg;
	return slice_starts_nocase(type, SLICE("text/plain"));
}

/* Into memory that is there: a test in which allocations fail does not mean its own. */
static void keep(struct side *s, struct slice bytes)
{
	assert_true(s->body_len + bytes.len < SIDES_GOT_MAX);
	memcpy(s->body + s->body_len, bytes.p, bytes.len);
	s->body_len += bytes.len;
	s->pieces++;
	s->body[s->body_len] = '\0';
}

static void free_side(struct side *s)
{
	endpoint_free(s->ep);
	s->ep = NULL;
}

/* @return whether it said so itself */
static bool report_itself(struct side *s)
{
	struct report_out report = {.code = s->own_report,
	    .content_type = SLICE("message/cpim"),
	    .body = SLICE("From: <sip:a@x>\r\n\r\n\r\n")};

	if (!s->own_report)
		return false;
	assert_int_equal(endpoint_report(s->ep, slice_of(s->id), &report), 0);
	assert_int_equal(endpoint_report(s->ep, slice_of(s->id), &report), -ENOENT);
	return true;
}

static int on_message(const struct message *m, void *arg)
{
	struct side *s = arg;

	s->messages++;
	s->body_len = 0;
	keep(s, m->body);
	copy(s->type, sizeof(s->type), m->content_type);
	copy(s->id, sizeof(s->id), m->message_id);
	if (s->free_on_message)
		free_side(s);
	return report_itself(s) ? MSRP_REPORT_LATER : s->verdict;
}

static int on_begin(const struct message *m, void **streamp, void *arg)
{
	struct side *s = arg;

	s->begins++;
	s->body_len = 0;
	copy(s->id, sizeof(s->id), m->message_id);
	*streamp = s;
	return 0;
}

static int on_piece(void *stream, struct slice piece, void *arg)
{
	struct side *s = arg;

	assert_ptr_equal(stream, s);
	keep(s, piece);
	if (s->free_on_piece)
		free_side(s);
	else if (s->give_up_on_piece)
		endpoint_give_up(s->ep);
	return s->pause;
}

static int on_stream_end(void *stream, int err, void *arg)
{
	struct side *s = arg;

	(void)stream;
	s->ends++;
	s->end_err = err;
	return report_itself(s) ? MSRP_REPORT_LATER : s->verdict;
}

static void on_report(const struct message_report *r, void *arg)
{
	struct side *s = arg;
	char range[64];
	struct buffer w = BUFFER_ON(range);

	s->reports++;
	snprintf(s->status, sizeof(s->status), "%03u %03d%s%.*s", r->namespace, r->code,
	    r->phrase.len ? " " : "", SLICE_ARG(r->phrase));
	s->range[0] = '\0';
	if (r->range.start) {
		msrp_byte_range_write(&w, &r->range);
		copy(s->range, sizeof(s->range), buffer_text(&w));
	}
	copy(s->reported_id, sizeof(s->reported_id), r->message_id);
	copy(s->reported_type, sizeof(s->reported_type), r->content_type);
	copy(s->report_body_type, sizeof(s->report_body_type), r->body_type);
	copy(s->report_body, sizeof(s->report_body), r->body);
	s->code = r->code;
}

static void on_bound(void *arg)
{
	((struct side *)arg)->bound++;
}

static void on_lost(int err, void *arg)
{
	(void)err;
	((struct side *)arg)->lost++;
}

static void on_refused(int code, void *arg)
{
	((struct side *)arg)->refused = (unsigned)code;
}

static void on_room(void *arg)
{
	((struct side *)arg)->room++;
}

static void on_drained(void *arg)
{
	((struct side *)arg)->drained++;
}

static int on_nickname(struct slice nickname, void *arg)
{
	struct side *s = arg;

	snprintf(s->nickname, sizeof(s->nickname), "%.*s",
	    SLICE_ARG(nickname.p ? nickname : SLICE("malformed")));
	return s->nickname_code;
}

static const struct endpoint_handler handler = {
    .accepts = on_accepts,
    .message = on_message,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_stream_end,
    .nickname = on_nickname,
    .report = on_report,
    .bound = on_bound,
    .lost = on_lost,
    .refused = on_refused,
    .room = on_room,
    .drained = on_drained,
};

/* --- life --- */

int sides_init(struct sides *f)
{
	struct reason why;
	int err;

	f->fd = -1;
	f->listen = (struct msrp_listen_settings){.name = (char *)(uintptr_t) "test",
	    .uri = (char *)(uintptr_t) "msrp://127.0.0.1:0;tcp"};
	f->settings = (struct msrp_settings){
	    .listen = {&f->listen, 1},
	    .transaction_timeout_ms = 300,
	    .connect_timeout_ms = 2000,
	    .bind_timeout_ms = 5000,
	    .idle_timeout_ms = 5000,
	    .max_connections = 100,
	    .max_header_size = 16384,
	    .max_message_size = 300000,
	    .max_open_messages = 4,
	    .partial_timeout_ms = 300,
	    .max_memory = 8 << 20,
	    .chunk_size = 32768,
	    .send_queue = 64 * 1024,
	    .send_timeout_ms = 5000,
	};
	err = net_new(&f->net, f->base);
	if (err == 0)
		err = stats_new(&f->stats);
	if (err == 0)
		err = msrp_stack_new(&f->stack, f->net, &f->settings, f->stats, &why);
	if (err == 0)
		err = msrp_listeners_open(f->stack, &why);
	if (err == 0)
		err = endpoints_new(&f->all, f->stack, f->stats);
	if (err == 0)
		f->port = msrp_listener_port(msrp_listener_at(f->stack, 0));
	return err;
}

void sides_fini(struct sides *f)
{
	free_side(&f->a);
	free_side(&f->b);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	endpoints_free(f->all);
	msrp_stack_free(f->stack);
	net_free(f->net);
	stats_free(f->stats);
	f->all = NULL;
	f->stack = NULL;
	f->net = NULL;
	f->stats = NULL;
}

int sides_setup(void **state)
{
	struct sides *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	f->got = calloc(1, SIDES_GOT_MAX);
	f->a.body = calloc(1, SIDES_GOT_MAX);
	f->b.body = calloc(1, SIDES_GOT_MAX);
	assert_int_equal(sides_init(f), 0);
	*state = f;
	return 0;
}

int sides_teardown(void **state)
{
	struct sides *f = *state;

	sides_fini(f);
	event_base_free(f->base);
	free(f->a.body);
	free(f->b.body);
	free(f->got);
	free(f);
	return 0;
}

/* --- endpoints --- */

int sides_open_one(struct sides *f, struct side *s, const char *id, bool stream)
{
	struct endpoint_options options = {.handler = &handler,
	    .arg = s,
	    .max_queued_bytes = 16 << 20,
	    .stream = stream};

	snprintf(s->uri, sizeof(s->uri), "msrp://127.0.0.1:%u/%s;tcp", f->port, id);
	options.own_uri = slice_of(s->uri);
	return endpoint_new(&s->ep, f->all, &options);
}

void sides_connect(struct sides *f, bool stream)
{
	struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = f->port};

	assert_int_equal(sides_open_one(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false), 0);
	assert_int_equal(sides_open_one(f, &f->b, "sidebbbbbbbbbbbbbbbbbbb", stream), 0);
	assert_int_equal(endpoint_set_path(f->a.ep, NONE, slice_of(f->b.uri)), 0);
	assert_int_equal(endpoint_set_path(f->b.ep, NONE, slice_of(f->a.uri)), 0);
	endpoint_start(f->a.ep);
	endpoint_start(f->b.ep);
	assert_int_equal(endpoint_connect(f->a.ep, &to, true, 0), 0);
}

static bool counted(void *arg)
{
	struct sides *f = arg;

	return *f->counter >= f->wanted;
}

void sides_wait(struct sides *f, unsigned *counter, unsigned wanted)
{
	f->counter = counter;
	f->wanted = wanted;
	loop_until(f->base, counted, f);
}

int side_send(struct side *s, struct slice body, enum failure_report fr, bool sr, unsigned flags)
{
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body.bytes = body,
	    .failure_report = fr,
	    .success_report = sr};

	return endpoint_send(s->ep, &out, flags, s->id);
}

/* --- the raw peer --- */

int raw_connect(struct sides *f)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(f->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int before = f->fd;

	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	f->got_len = 0;
	return before;
}

static void open_for_raw(struct sides *f, bool stream)
{
	assert_int_equal(sides_open_one(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", stream), 0);
	assert_int_equal(endpoint_set_path(f->a.ep, NONE, SLICE("msrp://127.0.0.1:9/peer;tcp")), 0);
	endpoint_start(f->a.ep);
	raw_connect(f);
}

void raw_open(struct sides *f)
{
	open_for_raw(f, false);
}

void raw_open_stream(struct sides *f)
{
	open_for_raw(f, true);
}

void raw_send(struct sides *f, const char *text)
{
	assert_int_equal(send(f->fd, text, strlen(text), 0), strlen(text));
}

void raw_chunk(struct sides *f, const char *mid, const char *range, const char *body, char flag)
{
	char frame[4096];

	snprintf(frame, sizeof(frame),
	    "MSRP tid%s SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: %s\r\nSuccess-Report: yes\r\n%s%s%sContent-Type: text/plain\r\n\r\n%s\r\n"
	    "-------tid%s%c\r\n",
	    mid, f->a.uri, mid, range ? "Byte-Range: " : "", range ? range : "",
	    range ? "\r\n" : "", body, mid, flag);
	raw_send(f, frame);
}

void raw_read(struct sides *f)
{
	ssize_t n;

	while ((n = recv(f->fd, f->got + f->got_len, SIDES_GOT_MAX - f->got_len - 1, 0)) > 0)
		f->got_len += (size_t)n;
	f->got[f->got_len] = '\0';
}

static bool has_text(void *arg)
{
	struct sides *f = arg;
	size_t len = strlen(f->want);

	raw_read(f);
	if (strstr(f->got + f->searched, f->want))
		return true;
	f->searched = f->got_len > len ? f->got_len - len : 0;
	return false;
}

void raw_expect(struct sides *f, const char *text)
{
	f->want = text;
	f->searched = 0;
	loop_until(f->base, has_text, f);
}

unsigned raw_count(const struct sides *f, const char *text)
{
	unsigned n = 0;

	for (const char *p = f->got; (p = strstr(p, text)); p++)
		n++;
	return n;
}
