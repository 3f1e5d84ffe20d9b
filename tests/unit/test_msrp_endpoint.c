/* Endpoints: against each other through the stack, and against a raw peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
#include "msrp/endpoint.h"
#include "msrp/listener.h"

enum { GOT_MAX = 4 << 20 };

static const struct slice NONE = {NULL, 0};

/* What one side has been told. */
struct side {
	struct msrp_endpoint	*ep;
	char			uri[160];
	char			*body;		/* of the last message, or the stream so far */
	size_t			body_len;
	char			type[64], id[40];
	unsigned		messages, begins, ends, bound, lost, refused, drained;
	int			end_err, verdict, pause;
	unsigned		reports;
	char			status[80], range[64], reported_id[40];
	int			code;
	bool			free_on_message;
};

struct fixture {
	struct event_base	*base;
	struct stats		*stats;
	struct msrp_stack	*stack;
	struct msrp_endpoints	*all;
	struct msrp_settings	settings;
	struct msrp_listen_settings listen;
	uint16_t		port;
	struct side		a, b;
	int			fd;
	char			*got;
	size_t			got_len;
	const char		*want;
	unsigned		*counter, wanted;
};

static void copy(char *to, size_t size, struct slice s)
{
	snprintf(to, size, "%.*s", SLICE_ARG(s));
}

static bool on_accepts(struct slice type, void *arg)
{
	(void)arg;
	return slice_starts_nocase(type, SLICE("text/plain"));
}

static void keep(struct side *s, struct slice bytes)
{
	s->body = realloc(s->body, s->body_len + bytes.len + 1);
	memcpy(s->body + s->body_len, bytes.p, bytes.len);
	s->body_len += bytes.len;
	s->body[s->body_len] = '\0';
}

static int on_message(const struct message *m, void *arg)
{
	struct side *s = arg;

	s->messages++;
	s->body_len = 0;
	keep(s, m->body);
	copy(s->type, sizeof(s->type), m->content_type);
	copy(s->id, sizeof(s->id), m->message_id);
	if (s->free_on_message) {
		msrp_endpoint_free(s->ep);
		s->ep = NULL;
	}
	return s->verdict;
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
	return s->pause;
}

static int on_stream_end(void *stream, int err, void *arg)
{
	struct side *s = arg;

	(void)stream;
	s->ends++;
	s->end_err = err;
	return s->verdict;
}

static void on_report(const struct message_report *r, void *arg)
{
	struct side *s = arg;

	s->reports++;
	copy(s->status, sizeof(s->status), r->status);
	copy(s->range, sizeof(s->range), r->byte_range);
	copy(s->reported_id, sizeof(s->reported_id), r->message_id);
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

static void on_drained(void *arg)
{
	((struct side *)arg)->drained++;
}

static const struct msrp_endpoint_handler handler = {
	.accepts = on_accepts,
	.message = on_message,
	.begin = on_begin,
	.piece = on_piece,
	.end = on_stream_end,
	.report = on_report,
	.bound = on_bound,
	.lost = on_lost,
	.refused = on_refused,
	.drained = on_drained,
};

static void open_side(struct fixture *f, struct side *s, const char *id, bool stream)
{
	struct msrp_endpoint_options options = {.handler = &handler, .arg = s,
		.max_queued_bytes = 16 << 20, .stream = stream};

	snprintf(s->uri, sizeof(s->uri), "msrp://127.0.0.1:%u/%s;tcp", f->port, id);
	options.own_uri = slice_of(s->uri);
	assert_int_equal(msrp_endpoint_new(&s->ep, f->all, &options), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[256];

	f->fd = -1;
	f->listen = (struct msrp_listen_settings){.name = (char *)(uintptr_t)"test",
		.uri = (char *)(uintptr_t)"msrp://127.0.0.1:0;tcp"};
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
	f->base = event_base_new();
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(msrp_stack_new(&f->stack, f->base, &f->settings, f->stats, why, sizeof(why)), 0);
	assert_int_equal(msrp_listeners_open(f->stack, why, sizeof(why)), 0);
	assert_int_equal(msrp_endpoints_new(&f->all, f->stack, f->stats), 0);
	f->port = msrp_listener_port(msrp_listener_at(f->stack, 0));
	f->got = malloc(GOT_MAX);
	f->got[0] = '\0';
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	msrp_endpoint_free(f->a.ep);
	msrp_endpoint_free(f->b.ep);
	if (f->fd >= 0)
		close(f->fd);
	msrp_endpoints_free(f->all);
	msrp_stack_free(f->stack);
	stats_free(f->stats);
	event_base_free(f->base);
	free(f->a.body);
	free(f->b.body);
	free(f->got);
	free(f);
	return 0;
}

/* Two endpoints of one stack, a connected to b through the listener. */
static void connect_sides(struct fixture *f, bool stream)
{
	struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = f->port};

	open_side(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false);
	open_side(f, &f->b, "sidebbbbbbbbbbbbbbbbbbb", stream);
	assert_int_equal(msrp_endpoint_set_path(f->a.ep, NONE, slice_of(f->b.uri)), 0);
	assert_int_equal(msrp_endpoint_set_path(f->b.ep, NONE, slice_of(f->a.uri)), 0);
	msrp_endpoint_start(f->a.ep);
	msrp_endpoint_start(f->b.ep);
	assert_int_equal(msrp_endpoint_connect(f->a.ep, &to, true, 0), 0);
}

static bool counted(void *arg)
{
	struct fixture *f = arg;

	return *f->counter >= f->wanted;
}

static void wait_count(struct fixture *f, unsigned *counter, unsigned wanted)
{
	f->counter = counter;
	f->wanted = wanted;
	loop_until(f->base, counted, f);
}

static int send_text(struct side *s, struct slice body, enum failure_report fr, bool sr, unsigned flags)
{
	struct message_out out = {.content_type = SLICE("text/plain"), .body.bytes = body,
		.failure_report = fr, .success_report = sr};

	return msrp_endpoint_send(s->ep, &out, flags, s->id);
}

static void messages_go_both_ways(void **state)
{
	struct fixture *f = *state;
	char id[40];

	connect_sides(f, false);
	wait_count(f, &f->b.bound, 1);
	assert_int_equal(f->b.messages, 0); /* the greeting is no message */
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM), 0);
	memcpy(id, f->a.id, sizeof(id));
	wait_count(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "hello");
	assert_string_equal(f->b.type, "text/plain");
	assert_string_equal(f->b.id, id);
	wait_count(f, &f->a.reports, 2); /* the 200, then the REPORT */
	assert_string_equal(f->a.status, "000 200");
	assert_string_equal(f->a.range, "1-5/5");
	assert_string_equal(f->a.reported_id, id);
	assert_int_equal(send_text(&f->b, SLICE("you too"), FAILURE_REPORT_NO, false, 0), 0);
	wait_count(f, &f->a.messages, 1);
	assert_string_equal(f->a.body, "you too");
	loop_settle(f->base);
	assert_int_equal(f->b.reports, 0);
	assert_true(f->a.drained > 0 && f->b.drained > 0);
}

static void an_empty_body_is_a_message(void **state)
{
	struct fixture *f = *state;

	connect_sides(f, false);
	assert_int_equal(send_text(&f->a, SLICE(""), FAILURE_REPORT_YES, true, 0), 0);
	wait_count(f, &f->b.messages, 1);
	assert_int_equal(f->b.body_len, 0);
	wait_count(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-0/0");
}

static void long_messages_are_chunked_and_joined(void **state)
{
	struct fixture *f = *state;
	size_t len = 200000;
	char *big = malloc(len);

	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 7 + i / 251);
	connect_sides(f, false);
	assert_int_equal(send_text(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	/* a short one does not wait for it */
	assert_int_equal(send_text(&f->a, SLICE("short"), FAILURE_REPORT_YES, false, 0), 0);
	wait_count(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "short");
	wait_count(f, &f->b.messages, 2);
	assert_int_equal(f->b.body_len, len);
	assert_memory_equal(f->b.body, big, len);
	wait_count(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-200000/200000");
	free(big);
}

static bool nothing_queued(void *arg)
{
	struct msrp_endpoint_info info;

	msrp_endpoint_info(((struct side *)arg)->ep, &info);
	return info.queued_bytes == 0 && info.drained;
}

static void too_long_a_message_is_refused_and_given_up(void **state)
{
	struct fixture *f = *state;
	size_t len = 2 << 20;
	char *big = calloc(1, len);

	connect_sides(f, false);
	assert_int_equal(send_text(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	wait_count(f, &f->a.reports, 1);
	assert_int_equal(f->a.code, 413);
	loop_until(f->base, nothing_queued, &f->a);
	assert_int_equal(f->b.messages, 0);
	assert_int_equal(f->a.reports, 1);
	free(big);
}

static void unwelcome_types_are_refused(void **state)
{
	struct fixture *f = *state;
	struct message_out out = {.content_type = SLICE("image/png"), .body.bytes = SLICE("x")};

	connect_sides(f, false);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	wait_count(f, &f->a.reports, 1);
	assert_memory_equal(f->a.status, "000 415", 7);
	out.content_type = SLICE("Multipart/Mixed; boundary=x");
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	wait_count(f, &f->b.messages, 1);
}

static void the_service_may_report_later(void **state)
{
	struct fixture *f = *state;

	connect_sides(f, false);
	f->b.verdict = MSRP_REPORT_LATER;
	assert_int_equal(send_text(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, 0), 0);
	wait_count(f, &f->b.messages, 1);
	loop_settle(f->base);
	assert_int_equal(f->a.reports, 0);
	assert_int_equal(msrp_endpoint_report(f->b.ep, SLICE("nosuch"), 200, NONE), -ENOENT);
	assert_int_equal(msrp_endpoint_report(f->b.ep, slice_of(f->b.id), 404, SLICE("Gone")), 0);
	wait_count(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 404 Gone");
	assert_int_equal(msrp_endpoint_report(f->b.ep, slice_of(f->b.id), 404, NONE), -ENOENT);
}

static void the_endpoint_may_be_freed_in_its_callback(void **state)
{
	struct fixture *f = *state;

	connect_sides(f, false);
	f->b.free_on_message = true;
	assert_int_equal(send_text(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM), 0);
	wait_count(f, &f->a.reports, 1);
	assert_int_equal(f->a.code, 200);
	assert_null(f->b.ep);
}

static void streams_pass_in_pieces(void **state)
{
	struct fixture *f = *state;
	size_t len = 250000;
	char *big = malloc(len);

	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 13 + i / 255);
	connect_sides(f, true);
	assert_int_equal(send_text(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	wait_count(f, &f->b.ends, 1);
	assert_int_equal(f->b.end_err, 0);
	assert_int_equal(f->b.body_len, len);
	assert_memory_equal(f->b.body, big, len);
	wait_count(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-250000/250000");
	free(big);
}

static void a_paused_stream_holds_the_sender(void **state)
{
	struct fixture *f = *state;
	size_t len = 12 << 20, before;
	char *big = calloc(1, len);

	f->settings.max_memory = 64 << 20;
	connect_sides(f, true);
	f->b.pause = -EAGAIN;
	assert_int_equal(send_text(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	wait_count(f, &f->b.begins, 1);
	loop_settle(f->base);
	before = f->b.body_len;
	assert_true(before < len / 2);
	loop_settle(f->base);
	assert_int_equal(f->b.body_len, before);
	f->b.pause = 0;
	msrp_endpoint_resume(f->b.ep, &f->b);
	wait_count(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, len);
	free(big);
}

/* --- sources --- */

struct source {
	struct side	*side;
	size_t		left, given;
	unsigned	dones;
	bool		stall, fail;
	char		bytes[40000];
};

static int pull(void *arg, size_t want, struct slice *piece)
{
	struct source *s = arg;

	if (s->fail)
		return -EIO;
	if (s->stall)
		return -EAGAIN;
	if (want > s->left)
		want = s->left;
	if (want > sizeof(s->bytes))
		want = sizeof(s->bytes);
	memset(s->bytes, 'a' + (int)(s->given / 1000 % 26), sizeof(s->bytes));
	*piece = (struct slice){s->bytes, want};
	s->left -= want;
	s->given += want;
	return 0;
}

static void source_done(void *arg)
{
	((struct source *)arg)->dones++;
}

static void sources_are_asked_as_bytes_can_leave(void **state)
{
	struct fixture *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"), .success_report = true,
		.body = {.total = UINT64_MAX, .pull = pull, .done = source_done, .arg = s}};
	char id[MSRP_MESSAGE_ID_SIZE];

	s->left = 100000;
	s->stall = true;
	connect_sides(f, true);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, id), 0);
	wait_count(f, &f->b.bound, 1);
	assert_int_equal(f->b.begins, 0);
	s->stall = false;
	msrp_endpoint_ready(f->a.ep, slice_of(id));
	wait_count(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, 100000);
	assert_int_equal(s->dones, 1);
	wait_count(f, &f->a.reports, 1);
	free(s);
}

static void a_source_that_fails_aborts_its_message(void **state)
{
	struct fixture *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
		.body = {.total = 500000, .pull = pull, .done = source_done, .arg = s}};

	s->left = 40000;
	connect_sides(f, true);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	wait_count(f, &f->b.ends, 1);
	assert_int_equal(f->b.end_err, -ECANCELED);
	assert_int_equal(s->dones, 1);
	free(s);
}

/* --- a raw peer --- */

static void raw_open(struct fixture *f)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	open_side(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false);
	assert_int_equal(msrp_endpoint_set_path(f->a.ep, NONE, SLICE("msrp://127.0.0.1:9/peer;tcp")), 0);
	msrp_endpoint_start(f->a.ep);
	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
}

static void raw_chunk(struct fixture *f, const char *mid, const char *range, const char *body, char flag)
{
	char frame[2048];
	int n = snprintf(frame, sizeof(frame),
	    "MSRP tid%s SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: %s\r\nSuccess-Report: yes\r\n%s%s%sContent-Type: text/plain\r\n\r\n%s\r\n-------tid%s%c\r\n",
	    mid, f->a.uri, mid, range ? "Byte-Range: " : "", range ? range : "", range ? "\r\n" : "",
	    body, mid, flag);

	assert_int_equal(send(f->fd, frame, (size_t)n, 0), n);
}

static bool has_text(void *arg)
{
	struct fixture *f = arg;
	ssize_t n = recv(f->fd, f->got + f->got_len, GOT_MAX - f->got_len - 1, 0);

	if (n > 0)
		f->got_len += (size_t)n;
	f->got[f->got_len] = '\0';
	return strstr(f->got, f->want) != NULL;
}

static void expect(struct fixture *f, const char *text)
{
	f->want = text;
	loop_until(f->base, has_text, f);
}

static unsigned count_text(const struct fixture *f, const char *text)
{
	unsigned n = 0;

	for (const char *p = f->got; (p = strstr(p, text)); p++)
		n++;
	return n;
}

static void chunks_come_in_any_order(void **state)
{
	struct fixture *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "7-9/9", "ghi", '$');
	raw_chunk(f, "m1m1", "1-3/9", "abc", '+');
	raw_chunk(f, "m2m2", "1-2/*", "xy", '+');
	raw_chunk(f, "m1m1", "3-7/9", "cdefg", '+');
	wait_count(f, &f->a.messages, 1);
	assert_string_equal(f->a.body, "abcdefghi");
	expect(f, "Status: 000 200\r\n");
	assert_non_null(strstr(f->got, "Byte-Range: 1-9/9\r\n"));
	raw_chunk(f, "m2m2", "3-*/*", "z", '$');
	wait_count(f, &f->a.messages, 2);
	assert_string_equal(f->a.body, "xyz");
	/* again: acknowledged and reported (RFC 4975 5.4), not delivered */
	raw_chunk(f, "m2m2", "1-3/3", "xyz", '$');
	raw_chunk(f, "m3m3", NULL, "no range", '$');
	wait_count(f, &f->a.messages, 3);
	assert_string_equal(f->a.body, "no range");
	expect(f, "m3m3 200");
	assert_int_equal(count_text(f, "m2m2 200"), 3);
	assert_int_equal(count_text(f, "REPORT\r\n"), 4);
}

static void incomplete_messages_are_bounded(void **state)
{
	struct fixture *f = *state;

	raw_open(f);
	for (int i = 0; i < 4; i++) {
		char mid[24];

		snprintf(mid, sizeof(mid), "open%d", i);
		raw_chunk(f, mid, "1-1/10", "x", '+');
	}
	raw_chunk(f, "open4", "1-1/10", "x", '+');
	expect(f, "open4 413");
	raw_chunk(f, "open0", "2-3/10", "yz", '#');
	raw_chunk(f, "open5", "1-1/10", "x", '+');
	expect(f, "open5 200");
	raw_chunk(f, "claim", "1-1/400000", "x", '$');
	expect(f, "claim 413");
}

static void another_connection_is_506(void **state)
{
	struct fixture *f = *state;
	int first;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	expect(f, "m1m1 200");
	first = f->fd;
	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(connect(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	expect(f, "m2m2 506");
	assert_int_equal(f->a.messages, 1);
	close(first);
	wait_count(f, &f->a.lost, 1);
}

static void silence_is_408_and_loss_is_481(void **state)
{
	struct fixture *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	expect(f, "m1m1 200");
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	wait_count(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 408");
	assert_string_equal(f->a.range, "1-5/5");
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_PARTIAL, false, 0), 0);
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_NO, false, 0), 0);
	wait_count(f, &f->a.drained, 2);
	assert_int_equal(f->a.reports, 1);
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	close(f->fd);
	f->fd = -1;
	wait_count(f, &f->a.lost, 1);
	assert_int_equal(f->a.reports, 1);
	msrp_endpoint_give_up(f->a.ep);
	assert_int_equal(f->a.reports, 2);
	assert_string_equal(f->a.status, "000 481");
}

static void what_was_not_answered_is_sent_again_on_the_next_connection(void **state)
{
	struct fixture *f = *state;
	char id[64];

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	expect(f, "m1m1 200");
	assert_int_equal(send_text(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	snprintf(id, sizeof(id), "Message-ID: %s\r\n", f->a.id);
	expect(f, id);
	close(f->fd);
	wait_count(f, &f->a.lost, 1);
	f->got_len = 0;
	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(connect(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	expect(f, id);
	expect(f, "hello");
}

static void unknown_methods_and_longer_paths_are_refused(void **state)
{
	struct fixture *f = *state;
	char frame[1024];
	int n;

	raw_open(f);
	n = snprintf(frame, sizeof(frame),
	    "MSRP foo12345 FOO\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n-------foo12345$\r\n"
	    "MSRP bar12345 SEND\r\nTo-Path: %s msrp://h:1/x;tcp\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: abcd\r\n-------bar12345$\r\n"
	    "MSRP rep12345 REPORT\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: abcd\r\nByte-Range: 1-1/1\r\nStatus: 000 200\r\n-------rep12345$\r\n",
	    f->a.uri, f->a.uri, f->a.uri);
	assert_int_equal(send(f->fd, frame, (size_t)n, 0), n);
	expect(f, "MSRP foo12345 501");
	expect(f, "MSRP bar12345 481");
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	expect(f, "m1m1 200");
	assert_null(strstr(f->got, "rep12345"));
	assert_int_equal(f->a.reports, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(messages_go_both_ways),
		CASE(an_empty_body_is_a_message),
		CASE(long_messages_are_chunked_and_joined),
		CASE(too_long_a_message_is_refused_and_given_up),
		CASE(unwelcome_types_are_refused),
		CASE(the_service_may_report_later),
		CASE(the_endpoint_may_be_freed_in_its_callback),
		CASE(streams_pass_in_pieces),
		CASE(a_paused_stream_holds_the_sender),
		CASE(sources_are_asked_as_bytes_can_leave),
		CASE(a_source_that_fails_aborts_its_message),
		CASE(chunks_come_in_any_order),
		CASE(incomplete_messages_are_bounded),
		CASE(another_connection_is_506),
		CASE(silence_is_408_and_loss_is_481),
		CASE(what_was_not_answered_is_sent_again_on_the_next_connection),
		CASE(unknown_methods_and_longer_paths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
