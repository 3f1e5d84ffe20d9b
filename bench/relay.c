/*
 * Load for whatever passes MSRP on: pairs of a sender, which connects to the proxy, and a
 * receiver, which listens for what comes out of it.  Both ends are here, so delivery is
 * counted and timed by one clock.  bench/relay.py runs it against several proxies in turn.
 *
 * Prints "name value unit" lines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/digest.h"
#include "cpu.h"
#include "websocket.h"
#include "wire/frame.h"
#include "wire/path.h"
#include "wire/write.h"

enum {
	PAIRS_MAX = 256,
	BUFFER = 512 * 1024,
	RING = 1 << 16, /* send times on their way; a power of two */
	SAMPLES_MAX = 1 << 22,
	URI_MAX = 256,
	PACE_NS = 200 * 1000,
};

struct options {
	const char *host, *by; /* by: where senders come to, another node */
	int proxies[PAIRS_MAX], receivers[PAIRS_MAX];
	int proxy_count, receiver_count;
	struct cpu_pids pids; /* of the proxy's processes */
	int pairs, size, chunk, window, rate, idle, messages;
	double seconds, warmup;
	bool auth, tls, present; /* present: senders show the certificate, too */
	bool ws, behind;         /* behind: receivers authenticate as well, instead of listening */
	const char *ca, *certificate, *key;
};

static struct options opt =
    {.host = "127.0.0.1", .pairs = 4, .size = 1024, .window = 64, .seconds = 3, .warmup = 0.5};

enum role { SENDER, RECEIVER, LISTENER };

struct io {
	int fd;
	SSL *ssl;
	char *in, *out;
	char *raw; /* of a WebSocket */
	struct websocket_in ws;
	size_t in_len, out_len, out_at;
	bool armed; /* EPOLLOUT is asked for */
	struct pair *pair;
	enum role role;
};

struct pair {
	struct io sender, receiver, listener;
	char to_path[2 * URI_MAX], from[URI_MAX];
	char *template; /* headers of a SEND behind its start line, up to Byte-Range's value */
	uint64_t sent, received; /* messages */
	uint64_t answered;       /* frames */
	size_t at;               /* bytes of the message in hand that were sent */
	size_t got;              /* and received */
	uint64_t frames;
	uint64_t times[RING];
};

static struct pair *pairs[PAIRS_MAX];
static int epoll_fd;
static SSL_CTX *server_ctx, *client_ctx;
static char *body;
static uint32_t *samples; /* of latency, in 100 ns */
static size_t sample_count;
static bool measuring, verbose;
static uint64_t delivered, delivered_bytes, errors;

static void die(const char *what)
{
	fprintf(stderr, "bench_relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- sockets --- */

static struct sockaddr_in address(const char *host, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, host, &addr.sin_addr);
	return addr;
}

static void watch(struct io *io, bool out)
{
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = io};

	if (epoll_ctl(epoll_fd, io->armed || out ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &event)
	    < 0)
		die("epoll_ctl");
	io->armed = out;
}

static void prepare(struct io *io, struct pair *pair, enum role role, int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	io->fd = fd;
	io->pair = pair;
	io->role = role;
	if (role != LISTENER && !io->in) {
		io->in = malloc(BUFFER);
		io->out = malloc(BUFFER);
		io->raw = opt.ws ? malloc(BUFFER) : NULL;
	}
	io->in_len = io->out_len = io->out_at = 0;
}

static void connect_blocking(struct io *io, enum role role, int port)
{
	struct sockaddr_in addr = address(role == SENDER && opt.by ? opt.by : opt.host, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("connect");
	prepare(io, io->pair, role, fd);
	if (opt.ws && !websocket_open(fd, "/", "msrp"))
		die("WebSocket");
	if (!opt.tls)
		return;
	io->ssl = SSL_new(client_ctx);
	SSL_set_fd(io->ssl, fd);
	if (SSL_connect(io->ssl) != 1) {
		ERR_print_errors_fp(stderr);
		die("TLS");
	}
}

static ssize_t io_read(struct io *io, char *p, size_t size)
{
	ssize_t n;

	if (opt.ws) {
		do {
			n = recv(io->fd, io->raw, size, 0);
			if (n > 0)
				n = (ssize_t)websocket_unwrap(&io->ws, io->raw, (size_t)n, p);
			else
				return n;
		} while (n == 0);
		return n;
	}
	if (!io->ssl)
		return recv(io->fd, p, size, 0);
	n = SSL_read(io->ssl, p, (int)size);
	if (n > 0)
		return n;
	errno = SSL_get_error(io->ssl, (int)n) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
	return -1;
}

static ssize_t io_write(struct io *io, const char *p, size_t size)
{
	ssize_t n;

	if (!io->ssl)
		return send(io->fd, p, size, MSG_NOSIGNAL);
	n = SSL_write(io->ssl, p, (int)size);
	if (n > 0)
		return n;
	errno = SSL_get_error(io->ssl, (int)n) == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

static void flush(struct io *io)
{
	while (io->out_at < io->out_len) {
		ssize_t n = io_write(io, io->out + io->out_at, io->out_len - io->out_at);

		if (n < 0 && errno != EAGAIN)
			die("write");
		if (n < 0) {
			if (!io->armed)
				watch(io, true);
			return;
		}
		io->out_at += (size_t)n;
	}
	io->out_at = io->out_len = 0;
	if (io->armed)
		watch(io, false);
}

static void put(struct io *io, const char *p, size_t len)
{
	if (io->out_len + len > BUFFER) {
		fprintf(stderr, "bench_relay: output overflow\n");
		exit(1);
	}
	memcpy(io->out + io->out_len, p, len);
	io->out_len += len;
}

/* What is put from here on is a frame. */
static size_t begin_frame(struct io *io)
{
	size_t at = io->out_len;

	io->out_len += opt.ws ? WEBSOCKET_HEAD : 0;
	return at;
}

static void end_frame(struct io *io, size_t at)
{
	if (opt.ws)
		io->out_len = at
		    + websocket_seal(io->out + at, WEBSOCKET_BINARY,
			io->out_len - at - WEBSOCKET_HEAD);
}

/* --- AUTH --- */

/* Ask and wait for the answer, before the loop runs. */
static ssize_t ask(struct io *io, const char *request, struct msrp_frame *answer, char *text,
    size_t size)
{
	size_t len = 0, at = begin_frame(io);
	ssize_t n;

	put(io, request, strlen(request));
	end_frame(io, at);
	if (io_write(io, io->out, io->out_len) != (ssize_t)io->out_len)
		die("AUTH");
	io->out_len = 0;
	do {
		n = io_read(io, text + len, size - len);
		if (n <= 0)
			die("answer to AUTH");
		len += (size_t)n;
		n = msrp_frame_parse(answer, (struct slice){text, len}, size);
	} while (n == -EAGAIN);
	return n;
}

static void authenticate(struct io *io, const char *relay, const char *from, char *granted)
{
	char request[2048], text[4096], value[1024];
	struct buffer w = BUFFER_ON(value);
	struct digest digest;
	struct digest_hash ha1, response;
	struct msrp_frame answer;

	snprintf(request, sizeof(request),
	    "MSRP auth1234 AUTH\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------auth1234$\r\n", relay,
	    from);
	ask(io, request, &answer, text, sizeof(text));
	if (answer.code == 401) {
		if (digest_parse_challenge(&digest, answer.www_authenticate) < 0)
			die("challenge");
		digest.username = SLICE("bench");
		digest.cnonce = SLICE("0123456789");
		digest.nc = 1;
		digest_ha1(digest.algorithm, digest.username, digest.realm, SLICE("bench"), &ha1);
		digest_response(&digest, digest_hash_slice(&ha1), SLICE("AUTH"), slice_of(relay),
		    &response);
		digest.response = digest_hash_slice(&response);
		digest_write_credentials(&w, &digest);
		snprintf(request, sizeof(request),
		    "MSRP auth5678 AUTH\r\nTo-Path: %s\r\nFrom-Path: %s\r\n"
		    "Authorization: %.*s\r\n-------auth5678$\r\n",
		    relay, from, SLICE_ARG(buffer_text(&w)));
		ask(io, request, &answer, text, sizeof(text));
	}
	if (answer.code != 200 || !answer.use_path.p) {
		fprintf(stderr, "bench_relay: AUTH: %.*s\n", SLICE_ARG(answer.head));
		exit(1);
	}
	snprintf(granted, URI_MAX, "%.*s", SLICE_ARG(answer.use_path));
}

/* --- pairs --- */

static void open_listener(struct pair *pair, int port)
{
	struct sockaddr_in addr = address(opt.host, port);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
		die("listen");
	prepare(&pair->listener, pair, LISTENER, fd);
	watch(&pair->listener, false);
}

/* A receiver that is the relay's client: what is sent to what it was granted comes to it. */
static void open_behind(struct pair *pair, int proxy, const char *relay, const char *from,
    char *granted)
{
	connect_blocking(&pair->receiver, RECEIVER, proxy);
	authenticate(&pair->receiver, relay, from, granted);
	fcntl(pair->receiver.fd, F_SETFL, O_NONBLOCK);
	watch(&pair->receiver, false);
}

static struct pair *open_pair(int i)
{
	const char *scheme = opt.tls ? "msrps" : "msrp";
	int proxy = opt.proxies[i % opt.proxy_count],
	    receiver = opt.behind ? 9 : opt.receivers[i % opt.receiver_count];
	struct pair *pair = calloc(1, sizeof(*pair));
	char relay[URI_MAX], first[URI_MAX], to[URI_MAX];
	const char *transport = opt.ws ? "ws" : "tcp";

	pair->sender.pair = pair->receiver.pair = pair;
	snprintf(relay, sizeof(relay), "%s://%s:%d;%s", scheme, opt.host, proxy, transport);
	snprintf(first, sizeof(first), "%s://%s:%d/noauth%d;tcp", scheme, opt.host, proxy, i);
	snprintf(pair->from, sizeof(pair->from), "%s://%s:9/sender%d;%s", scheme, opt.host, i,
	    transport);
	snprintf(to, sizeof(to), "%s://%s:%d/receiver%d;%s", scheme, opt.host, receiver, i,
	    transport);
	connect_blocking(&pair->sender, SENDER, proxy);
	if (opt.behind)
		open_behind(pair, proxy, relay, to, first);
	else
		open_listener(pair, receiver);
	if (opt.auth && !opt.behind)
		authenticate(&pair->sender, relay, pair->from, first);
	snprintf(pair->to_path, sizeof(pair->to_path), "%s %s", first, to);
	pair->template = malloc(4 * URI_MAX);
	snprintf(pair->template, 4 * URI_MAX,
	    "To-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: ", pair->to_path, pair->from);
	fcntl(pair->sender.fd, F_SETFL, O_NONBLOCK);
	watch(&pair->sender, false);
	return pair;
}

/* --- sending --- */

/* The next frame of the message in hand. */
static void send_frame(struct pair *pair)
{
	char head[4 * URI_MAX], end[64];
	size_t size = (size_t)opt.size, chunk = opt.chunk ? (size_t)opt.chunk : size;
	size_t len = size - pair->at < chunk ? size - pair->at : chunk;
	bool last = pair->at + len == size;
	size_t at;
	uint64_t id = pair->frames++;
	int n = snprintf(head, sizeof(head),
	    "MSRP t%015" PRIx64 " SEND\r\n%sm%015" PRIx64 "\r\nByte-Range: %zu-%zu/%zu\r\n"
	    "Content-Type: text/plain\r\n\r\n",
	    id, pair->template, pair->sent, pair->at + 1, pair->at + len, size);

	at = begin_frame(&pair->sender);
	if (pair->at == 0)
		pair->times[pair->sent & (RING - 1)] = now_ns();
	put(&pair->sender, head, (size_t)n);
	put(&pair->sender, body + pair->at % 64, len);
	n = snprintf(end, sizeof(end), "\r\n-------t%015" PRIx64 "%c\r\n", id, last ? '$' : '+');
	put(&pair->sender, end, (size_t)n);
	end_frame(&pair->sender, at);
	pair->at += len;
	if (last) {
		pair->at = 0;
		pair->sent++;
	}
}

/* As many as the window and the buffer allow. */
static void fill(struct pair *pair)
{
	size_t frame = (size_t)(opt.chunk && opt.chunk < opt.size ? opt.chunk : opt.size) + 1024;

	while (pair->sender.out_len + frame < BUFFER / 2
	    && (pair->at || pair->sent - pair->received < (uint64_t)opt.window))
		send_frame(pair);
	flush(&pair->sender);
}

/* --- receiving --- */

static void answer(struct io *io, const struct msrp_frame *f)
{
	char text[2 * URI_MAX + 128];
	struct buffer w = BUFFER_ON(text);
	size_t at;

	msrp_write_response_head(&w, f, 200, SLICE("OK"));
	msrp_write_end_line(&w, f->tid, MSRP_COMPLETE, false);
	at = begin_frame(io);
	put(io, text, w.len);
	end_frame(io, at);
}

static void message_arrived(struct pair *pair)
{
	uint64_t took = now_ns() - pair->times[pair->received & (RING - 1)];

	pair->received++;
	if (!measuring)
		return;
	delivered++;
	if (sample_count < SAMPLES_MAX)
		samples[sample_count++] =
		    (uint32_t)(took / 100 > UINT32_MAX ? UINT32_MAX : took / 100);
}

/* @return bytes of the frame at the front, 0 if it is not whole */
static size_t take_frame(struct io *io, const char *p, size_t len)
{
	char end[64];
	struct msrp_frame f;
	ssize_t head = msrp_frame_parse(&f, (struct slice){p, len}, len);
	const char *hit;
	int n;

	if (head == -EAGAIN)
		return 0;
	if (head < 0) {
		fprintf(stderr, "bench_relay: broken frame\n");
		exit(1);
	}
	n = snprintf(end, sizeof(end), "%s-------%.*s", f.has_body ? "\r\n" : "", SLICE_ARG(f.tid));
	hit = memmem(p + head, len - (size_t)head, end, (size_t)n);
	if (!hit || (size_t)(hit - p) + (size_t)n + 3 > len)
		return 0;
	if (f.method == MSRP_NO_METHOD)
		io->pair->answered++;
	if (f.method == MSRP_NO_METHOD || f.method == MSRP_REPORT) {
		if (f.method == MSRP_REPORT || f.code != 200) {
			if (verbose || errors == 0)
				fprintf(stderr, "bench_relay: %.*s\n", SLICE_ARG(f.head));
			errors++;
		}
	} else {
		io->pair->got += (size_t)(hit - p) - (size_t)head;
		if (measuring)
			delivered_bytes += (size_t)(hit - p) - (size_t)head;
		answer(io, &f);
		if (hit[n] == '$') {
			if (io->pair->got != (size_t)opt.size)
				errors++;
			io->pair->got = 0;
			message_arrived(io->pair);
		}
	}
	return (size_t)(hit - p) + (size_t)n + 3;
}

static void on_input(struct io *io)
{
	size_t at = 0, taken;
	ssize_t n;

	do {
		n = io_read(io, io->in + io->in_len, BUFFER - io->in_len);
		if (n <= 0) {
			if (n < 0 && errno == EAGAIN)
				break;
			fprintf(stderr, "bench_relay: the proxy closed a connection\n");
			exit(1);
		}
		io->in_len += (size_t)n;
		while (at < io->in_len && (taken = take_frame(io, io->in + at, io->in_len - at)))
			at += taken;
		memmove(io->in, io->in + at, io->in_len - at);
		io->in_len -= at;
		at = 0;
	} while (io->ssl && SSL_pending(io->ssl));
	if (io->role == RECEIVER)
		flush(io);
}

static void on_accept(struct io *listener)
{
	struct io *io = &listener->pair->receiver;
	int fd = accept(listener->fd, NULL, NULL);

	if (fd < 0)
		die("accept");
	if (io->fd)
		close(io->fd);
	prepare(io, listener->pair, RECEIVER, fd);
	if (opt.tls) {
		SSL_free(io->ssl);
		io->ssl = SSL_new(server_ctx);
		SSL_set_fd(io->ssl, fd);
		if (SSL_accept(io->ssl) != 1)
			die("TLS accept");
	}
	io->armed = false;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	watch(io, false);
}

/* --- the loop --- */

static void pace(uint64_t begun)
{
	static uint64_t sent;
	uint64_t due = (now_ns() - begun) * (uint64_t)opt.rate / 1000000000;

	for (; sent < due; sent++) {
		struct pair *pair = pairs[sent % (uint64_t)opt.pairs];

		do
			send_frame(pair);
		while (pair->at);
		flush(&pair->sender);
	}
}

static void on_event(struct io *io, uint32_t events)
{
	if (io->role == LISTENER) {
		on_accept(io);
		return;
	}
	if (events & EPOLLOUT)
		flush(io);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_input(io);
}

static void run_until(uint64_t end, uint64_t begun, int timer)
{
	struct epoll_event events[64];

	while (now_ns() < end) {
		int n = epoll_wait(epoll_fd, events, 64, 10);

		for (int i = 0; i < n; i++) {
			uint64_t ticks;

			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else if (read(timer, &ticks, sizeof(ticks)) > 0)
				pace(begun);
		}
		for (int i = 0; !opt.rate && i < opt.pairs; i++)
			if (pairs[i]->sender.out_at == pairs[i]->sender.out_len)
				fill(pairs[i]);
	}
}

static int start_timer(void)
{
	struct itimerspec spec = {{0, PACE_NS}, {0, PACE_NS}};
	struct epoll_event event = {.events = EPOLLIN};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	timerfd_settime(fd, 0, &spec, NULL);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return fd;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile(double p)
{
	return sample_count ? samples[(size_t)((double)(sample_count - 1) * p)] / 10.0 : 0;
}

static void measure(void)
{
	uint64_t begun = now_ns(), cpu, start;
	int timer = opt.rate ? start_timer() : -1;
	double elapsed;

	run_until(begun + (uint64_t)(opt.warmup * 1e9), begun, timer);
	measuring = true;
	cpu = cpu_ns(&opt.pids);
	start = now_ns();
	run_until(start + (uint64_t)(opt.seconds * 1e9), begun, timer);
	elapsed = (double)(now_ns() - start) / 1e9;
	cpu = cpu_ns(&opt.pids) - cpu;
	qsort(samples, sample_count, sizeof(*samples), compare);
	printf("messages %" PRIu64 " count\n", delivered);
	printf("rate %.0f 1/s\n", (double)delivered / elapsed);
	printf("throughput %.1f MB/s\n", (double)delivered_bytes / elapsed / 1e6);
	if (delivered && opt.pids.count) {
		printf("cpu_per_message %.3f us\n", (double)cpu / 1e3 / (double)delivered);
		printf("cpu_per_byte %.4f ns\n", (double)cpu / (double)delivered_bytes);
		printf("cpu_share %.1f %%\n", (double)cpu / 1e7 / elapsed);
	}
	printf("latency_p50 %.1f us\n", percentile(0.5));
	printf("latency_p99 %.1f us\n", percentile(0.99));
	printf("errors %" PRIu64 " count\n", errors);
}

/* --- the same work whenever it runs, for those who count instructions --- */

/* A window of one pair, until all of it has been received and answered. */
static void run_window(struct pair *pair)
{
	uint64_t end = pair->sent + (uint64_t)opt.window;
	struct epoll_event events[64];
	int n;

	while (pair->received < end || pair->answered < pair->frames) {
		if (pair->sender.out_at == pair->sender.out_len && pair->sent < end)
			fill(pair);
		n = epoll_wait(epoll_fd, events, 64, -1);
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
	}
}

static void run_windows(int messages)
{
	for (int done = 0; done < messages; done += opt.pairs * opt.window)
		for (int i = 0; i < opt.pairs; i++)
			run_window(pairs[i]);
}

/* After a warm-up: a line is printed before and behind the messages, and one waited for. */
static void count(void)
{
	char line[16];

	run_windows(opt.messages / 4);
	for (int i = 0; i < 2; i++) {
		puts(i == 0 ? "ready" : "done");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			exit(1);
		if (i == 0)
			run_windows(opt.messages);
	}
}

/* Clients that have authenticated and say nothing: until standard input ends. */
static void idle(void)
{
	char relay[URI_MAX], from[URI_MAX], granted[URI_MAX], c;

	snprintf(relay, sizeof(relay), "%s://%s:%d;%s", opt.tls ? "msrps" : "msrp", opt.host,
	    opt.proxies[0], opt.ws ? "ws" : "tcp");
	for (int i = 0; i < opt.idle; i++) {
		struct io io = {0};

		/* Five times the source ports there are: loopback has many addresses. */
		connect_blocking(&io, SENDER, opt.proxies[0]);
		snprintf(from, sizeof(from), "%s://%s:9/idle%d;%s", opt.tls ? "msrps" : "msrp",
		    opt.host, i, opt.ws ? "ws" : "tcp");
		if (opt.auth)
			authenticate(&io, relay, from, granted);
		free(io.in);
		free(io.out);
		free(io.raw);
	}
	printf("idle %d count\n", opt.idle);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* --- options --- */

static int parse_list(const char *text, int *list, int max)
{
	int n = 0;

	for (char *end; *text && n < max; text = *end ? end + 1 : end)
		list[n++] = (int)strtol(text, &end, 10);
	return n;
}

static void parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"proxy", 1, NULL, 'p'},
	    {"receivers", 1, NULL, 'r'},
	    {"pids", 1, NULL, 'P'},
	    {"pairs", 1, NULL, 'n'},
	    {"size", 1, NULL, 's'},
	    {"chunk", 1, NULL, 'c'},
	    {"window", 1, NULL, 'w'},
	    {"rate", 1, NULL, 'R'},
	    {"seconds", 1, NULL, 't'},
	    {"warmup", 1, NULL, 'u'},
	    {"idle", 1, NULL, 'i'},
	    {"messages", 1, NULL, 'm'},
	    {"auth", 0, NULL, 'a'},
	    {"ca", 1, NULL, 'C'},
	    {"certificate", 1, NULL, 'e'},
	    {"key", 1, NULL, 'k'},
	    {"present", 0, NULL, 'x'},
	    {"ws", 0, NULL, 'W'},
	    {"behind", 0, NULL, 'b'},
	    {"by", 1, NULL, 'B'},
	    {"verbose", 0, NULL, 'v'},
	    {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.proxy_count = parse_list(optarg, opt.proxies, PAIRS_MAX);
			break;
		case 'r':
			opt.receiver_count = parse_list(optarg, opt.receivers, PAIRS_MAX);
			break;
		case 'P':
			cpu_read_pids(&opt.pids, optarg);
			break;
		case 'n':
			opt.pairs = (int)strtol(optarg, NULL, 10);
			break;
		case 's':
			opt.size = (int)strtol(optarg, NULL, 10);
			break;
		case 'c':
			opt.chunk = (int)strtol(optarg, NULL, 10);
			break;
		case 'w':
			opt.window = (int)strtol(optarg, NULL, 10);
			break;
		case 'R':
			opt.rate = (int)strtol(optarg, NULL, 10);
			break;
		case 't':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'u':
			opt.warmup = strtod(optarg, NULL);
			break;
		case 'i':
			opt.idle = (int)strtol(optarg, NULL, 10);
			break;
		case 'm':
			opt.messages = (int)strtol(optarg, NULL, 10);
			break;
		case 'a':
			opt.auth = true;
			break;
		case 'C':
			opt.ca = optarg;
			opt.tls = true;
			break;
		case 'e':
			opt.certificate = optarg;
			break;
		case 'k':
			opt.key = optarg;
			break;
		case 'x':
			opt.present = true;
			break;
		case 'W':
			opt.ws = true;
			break;
		case 'b':
			opt.behind = true;
			break;
		case 'B':
			opt.by = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			exit(2);
		}
	}
	if (!opt.proxy_count || (!opt.idle && !opt.behind && !opt.receiver_count)
	    || opt.pairs > PAIRS_MAX) {
		fprintf(stderr,
		    "usage: bench_relay --proxy PORT,… --receivers PORT,… [--pairs N] "
		    "[--size BYTES] [--chunk BYTES] [--window N | --rate N] …\n");
		exit(2);
	}
}

static void make_tls(void)
{
	client_ctx = SSL_CTX_new(TLS_client_method());
	server_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_mode(client_ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_mode(server_ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (opt.present
	    && (SSL_CTX_use_certificate_chain_file(client_ctx, opt.certificate) != 1
		|| SSL_CTX_use_PrivateKey_file(client_ctx, opt.key, SSL_FILETYPE_PEM) != 1))
		die("certificate");
	if (opt.certificate
	    && (SSL_CTX_use_certificate_chain_file(server_ctx, opt.certificate) != 1
		|| SSL_CTX_use_PrivateKey_file(server_ctx, opt.key, SSL_FILETYPE_PEM) != 1))
		die("certificate");
}

int main(int argc, char **argv)
{
	struct rlimit files = {65536, 65536};

	parse_options(argc, argv);
	setrlimit(RLIMIT_NOFILE, &files);
	if (opt.tls)
		make_tls();
	if (opt.idle) {
		idle();
		return 0;
	}
	epoll_fd = epoll_create1(0);
	body = malloc((size_t)opt.size + 64);
	memset(body, 'x', (size_t)opt.size + 64);
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	for (int i = 0; i < opt.pairs; i++)
		pairs[i] = open_pair(i);
	if (opt.messages)
		count();
	else
		measure();
	return errors ? 1 : 0;
}
