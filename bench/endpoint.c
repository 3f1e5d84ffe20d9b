/*
 * What a message costs an endpoint: two processes over loopback TCP, messages of one KiB with
 * Failure-Report yes, 32 and one in flight; and 100 MiB as one message from a source to a stream,
 * with the memory that took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <msrpd/rand.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "endpoint/endpoint.h"
#include "msrp/listener.h"
#include "net/net.h"

enum {
	MESSAGES = 200000,
	BODY = 1024,
	STREAM_BYTES = 100 << 20,
	ID_CHARS = 22,
};

/* One process: sender or receiver. */
struct side {
	struct event_base *base;
	struct stats *stats;
	struct msrp_settings settings;
	struct msrp_listen_settings listen;
	struct net *net;
	struct msrp_stack *stack;
	struct endpoints *all;
	struct endpoint *ep;
	char uri[128];
	unsigned seen, to_send;
	uint64_t bytes;
	double began_us;
	uint64_t began_ms;
	bool over;
	char body[32768];
};

/* What each tells the other before they begin. */
struct card {
	uint16_t port;
	char uri[128];
};

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
	    + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double resident_max_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

static void send_one(struct side *s)
{
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body.bytes = {s->body, BODY}};

	if (s->to_send == 0)
		return;
	s->to_send--;
	if (endpoint_send(s->ep, &out, MSRP_SEND_CONFIRM, NULL) < 0)
		abort();
}

static bool on_accepts(struct slice content_type, void *arg)
{
	(void)content_type;
	(void)arg;
	return true;
}

static int on_message(const struct message *m, void *arg)
{
	struct side *s = arg;

	(void)m;
	if (s->seen++ == 0)
		s->began_us = cpu_us();
	if (s->seen == MESSAGES)
		s->over = true;
	return 0;
}

static int on_begin(const struct message *m, void **streamp, void *arg)
{
	(void)m;
	*streamp = arg;
	((struct side *)arg)->began_us = cpu_us();
	((struct side *)arg)->began_ms = timer_now_ms();
	return 0;
}

static int on_piece(void *stream, struct slice piece, void *arg)
{
	(void)stream;
	((struct side *)arg)->bytes += piece.len;
	return 0;
}

static int on_end(void *stream, int err, void *arg)
{
	struct side *s = arg;

	(void)stream;
	if (err < 0 || s->bytes != STREAM_BYTES)
		abort();
	s->over = true;
	return 0;
}

static void on_report(const struct message_report *report, void *arg)
{
	struct side *s = arg;

	if (report->code != 200)
		abort();
	if (++s->seen == MESSAGES || s->bytes)
		s->over = true;
	send_one(s);
}

static void on_bound(void *arg)
{
	(void)arg;
}

static void on_lost(int err, void *arg)
{
	(void)err;
	((struct side *)arg)->over = true;
}

static const struct endpoint_handler handler = {
    .accepts = on_accepts,
    .message = on_message,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_end,
    .report = on_report,
    .bound = on_bound,
    .lost = on_lost,
};

static int pull(void *arg, size_t want, struct slice *piece)
{
	struct side *s = arg;
	uint64_t left = STREAM_BYTES - s->bytes;
	size_t len = want < sizeof(s->body) ? want : sizeof(s->body);

	if (len > left)
		len = (size_t)left;
	s->bytes += len;
	*piece = (struct slice){s->body, len};
	return 0;
}

static void open_side(struct side *s, bool stream, struct card *card)
{
	struct endpoint_options options = {.handler = &handler,
	    .arg = s,
	    .max_queued_bytes = 8 << 20,
	    .stream = stream};
	struct reason why;
	char id[ID_CHARS + 1];

	s->listen = (struct msrp_listen_settings){.name = (char *)(uintptr_t) "bench",
	    .uri = (char *)(uintptr_t) "msrp://127.0.0.1:0;tcp"};
	s->settings = (struct msrp_settings){
	    .listen = {&s->listen, 1},
	    .transaction_timeout_ms = 30000,
	    .connect_timeout_ms = 10000,
	    .bind_timeout_ms = 30000,
	    .idle_timeout_ms = 300000,
	    .max_connections = 100,
	    .max_header_size = 16384,
	    .max_message_size = 8 << 20,
	    .max_open_messages = 16,
	    .partial_timeout_ms = 300000,
	    .max_memory = 1 << 30,
	    .chunk_size = 32768,
	    .send_queue = 1 << 20,
	    .send_timeout_ms = 30000,
	};
	s->base = event_base_new();
	if (net_new(&s->net, s->base) < 0 || stats_new(&s->stats) < 0
	    || msrp_stack_new(&s->stack, s->net, &s->settings, s->stats, &why) < 0
	    || msrp_listeners_open(s->stack, &why) < 0
	    || endpoints_new(&s->all, s->stack, s->stats) < 0)
		abort();
	card->port = msrp_listener_port(msrp_listener_at(s->stack, 0));
	rand_token(id, ID_CHARS);
	snprintf(s->uri, sizeof(s->uri), "msrp://127.0.0.1:%u/%s;tcp", card->port, id);
	memcpy(card->uri, s->uri, sizeof(card->uri));
	options.own_uri = slice_of(s->uri);
	if (endpoint_new(&s->ep, s->all, &options) < 0)
		abort();
	memset(s->body, 'x', sizeof(s->body));
}

static void meet(struct side *s, const struct card *peer)
{
	if (endpoint_set_path(s->ep, (struct slice){NULL, 0}, slice_of(peer->uri)) < 0)
		abort();
	endpoint_start(s->ep);
}

static void run_until_over(struct side *s)
{
	while (!s->over)
		event_base_loop(s->base, EVLOOP_ONCE);
}

static void close_side(struct side *s)
{
	endpoint_free(s->ep);
	endpoints_free(s->all);
	msrp_stack_free(s->stack);
	net_free(s->net);
	stats_free(s->stats);
	event_base_free(s->base);
}

static void exchange(int in, int out, const struct card *mine, struct card *theirs)
{
	if (write(out, mine, sizeof(*mine)) != sizeof(*mine)
	    || read(in, theirs, sizeof(*theirs)) != sizeof(*theirs))
		abort();
}

static void receive(int in, int out, unsigned in_flight)
{
	static struct side s;
	struct card mine, theirs;
	double spent;

	open_side(&s, in_flight == 0, &mine);
	exchange(in, out, &mine, &theirs);
	meet(&s, &theirs);
	run_until_over(&s);
	spent = cpu_us() - s.began_us;
	if (in_flight) {
		printf("endpoint_receive_%u_in_flight %.2f us\n", in_flight, spent / MESSAGES);
	} else {
		printf("endpoint_stream_receive %.0f MiB/s\n",
		    (double)STREAM_BYTES / (1 << 20) / (spent / 1e6));
		printf("endpoint_stream_rate %.0f MiB/s\n",
		    (double)STREAM_BYTES / (1 << 20)
			/ ((double)(timer_now_ms() - s.began_ms) / 1e3));
		printf("endpoint_stream_receive_resident %.1f MiB\n", resident_max_mib());
	}
	fflush(stdout);
	/* The last answer has to leave: the sender closes. */
	s.over = false;
	run_until_over(&s);
	close_side(&s);
}

static void transmit(int in, int out, unsigned in_flight)
{
	static struct side s;
	struct card mine, theirs;
	struct message_out stream = {.content_type = SLICE("application/octet-stream"),
	    .body = {.total = STREAM_BYTES, .pull = pull, .arg = &s}};
	struct msrp_destination to = {.host = SLICE("127.0.0.1")};
	double began;

	open_side(&s, false, &mine);
	exchange(in, out, &mine, &theirs);
	meet(&s, &theirs);
	to.port = theirs.port;
	if (endpoint_connect(s.ep, &to, true, 0) < 0)
		abort();
	s.to_send = in_flight ? MESSAGES : 0;
	for (unsigned i = 0; i < in_flight; i++)
		send_one(&s);
	if (!in_flight && endpoint_send(s.ep, &stream, MSRP_SEND_CONFIRM, NULL) < 0)
		abort();
	began = cpu_us();
	run_until_over(&s);
	if (in_flight) {
		printf("endpoint_send_%u_in_flight %.2f us\n", in_flight,
		    (cpu_us() - began) / MESSAGES);
	} else {
		printf("endpoint_stream_send %.0f MiB/s\n",
		    (double)STREAM_BYTES / (1 << 20) / ((cpu_us() - began) / 1e6));
		printf("endpoint_stream_send_resident %.1f MiB\n", resident_max_mib());
	}
	close_side(&s);
}

/* Each run in processes of its own, so that nothing of it is left for the next. */
static void run(unsigned in_flight)
{
	int to_receiver[2], to_sender[2];
	pid_t receiver, sender;

	if (pipe(to_receiver) < 0 || pipe(to_sender) < 0)
		abort();
	fflush(stdout);
	receiver = fork();
	if (receiver == 0) {
		receive(to_receiver[0], to_sender[1], in_flight);
		exit(0);
	}
	sender = fork();
	if (sender == 0) {
		transmit(to_sender[0], to_receiver[1], in_flight);
		exit(0);
	}
	waitpid(receiver, NULL, 0);
	waitpid(sender, NULL, 0);
	for (int i = 0; i < 2; i++) {
		close(to_receiver[i]);
		close(to_sender[i]);
	}
}

/* "stream": that alone. */
int main(int argc, char **argv)
{
	log_set_level(LOG_LEVEL_WARN);
	if (argc < 2 || strcmp(argv[1], "stream") != 0) {
		run(32);
		run(1);
	}
	run(0);
	return 0;
}
