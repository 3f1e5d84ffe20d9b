/*
 * Clients that come and go: TLS handshakes with an MSRP listener, whole ones or with a ticket, as
 * many as it takes or a number a second, and how long an established connection waits for an
 * answer meanwhile.  bench/handshakes.py runs it against several daemons.
 *
 * Prints "name value unit" lines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "cpu.h"

enum {
	THREADS_MAX = 64,
	SAMPLES_MAX = 1 << 20,
	PROBE_EVERY_NS = 1000 * 1000,
	ANSWER_S = 10,
};

static struct {
	int port, probe, threads, rate;
	struct cpu_pids pids;
	bool resume;
	double seconds;
	const char *ca;
} opt = {.threads = 4, .seconds = 3};

static SSL_CTX *ctx;
static atomic_uint_fast64_t done_count, failures;
static atomic_bool over;
static uint64_t begun_ns;

static void die(const char *what)
{
	fprintf(stderr, "bench_handshakes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* --- clients --- */

static int connect_to(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {ANSWER_S, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The server is done when it has seen our end, behind its ticket.  @return its session, or NULL */
static SSL_SESSION *shake_hands(SSL_SESSION *session)
{
	SSL_SESSION *got = NULL;
	int fd = connect_to(opt.port);
	SSL *ssl = fd < 0 ? NULL : SSL_new(ctx);
	char byte;

	if (!ssl)
		goto out;
	SSL_set_fd(ssl, fd);
	if (session)
		SSL_set_session(ssl, session);
	if (SSL_connect(ssl) != 1 || SSL_session_reused(ssl) != (session != NULL))
		goto out;
	shutdown(fd, SHUT_WR);
	SSL_read(ssl, &byte, 1);
	got = SSL_get1_session(ssl);
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
out:
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	ERR_clear_error();
	if (got && SSL_SESSION_is_resumable(got))
		return got;
	SSL_SESSION_free(got);
	return NULL;
}

static void *client(void *arg)
{
	const int number = *(const int *)arg;
	SSL_SESSION *session = opt.resume ? shake_hands(NULL) : NULL;

	if (opt.resume && !session)
		die("no ticket");
	for (uint64_t i = 0; !over; i++) {
		SSL_SESSION *got;

		if (opt.rate)
			sleep_until(begun_ns
			    + (i * (uint64_t)opt.threads + (uint64_t)number) * 1000000000
				/ (uint64_t)opt.rate);
		got = shake_hands(session);
		atomic_fetch_add(got ? &done_count : &failures, 1);
		SSL_SESSION_free(session ? session : got);
		session = opt.resume ? got : NULL;
		if (opt.resume && !session)
			session = shake_hands(NULL);
	}
	SSL_SESSION_free(session);
	return NULL;
}

/* --- the one that is there already --- */

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Requests for a session that does not exist are answered at once. */
static void probe(void)
{
	static uint32_t samples[SAMPLES_MAX];
	static const char request[] =
	    "MSRP probe1234 SEND\r\nTo-Path: msrp://127.0.0.1:%d/none;tcp\r\n"
	    "From-Path: msrp://127.0.0.1:9/probe;tcp\r\nMessage-ID: m\r\nByte-Range: 1-0/0\r\n"
	    "-------probe1234$\r\n";
	char text[512], answer[2048];
	int fd = connect_to(opt.probe);
	int len = snprintf(text, sizeof(text), request, opt.probe);
	uint64_t end = begun_ns + (uint64_t)(opt.seconds * 1e9), next = begun_ns;
	size_t count = 0;

	if (fd < 0)
		die("probe");
	while (next < end && count < SAMPLES_MAX) {
		uint64_t sent;

		sleep_until(next);
		sent = now_ns();
		if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len
		    || recv(fd, answer, sizeof(answer), 0) <= 0)
			die("probe");
		samples[count++] = (uint32_t)((now_ns() - sent) / 100);
		next += PROBE_EVERY_NS;
		if (next < now_ns())
			next = now_ns();
	}
	close(fd);
	qsort(samples, count, sizeof(samples[0]), compare);
	if (count) {
		printf("round_trip_p50 %.1f us\n", samples[count / 2] / 10.0);
		printf("round_trip_p99 %.1f us\n", samples[count * 99 / 100] / 10.0);
	}
}

static void wait_to_the_end(void)
{
	if (opt.probe)
		probe();
	else
		sleep_until(begun_ns + (uint64_t)(opt.seconds * 1e9));
}

/* --- options --- */

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {
	    {"port", required_argument, NULL, 'p'},
	    {"probe", required_argument, NULL, 'b'},
	    {"pids", required_argument, NULL, 'i'},
	    {"threads", required_argument, NULL, 't'},
	    {"rate", required_argument, NULL, 'r'},
	    {"seconds", required_argument, NULL, 's'},
	    {"ca", required_argument, NULL, 'a'},
	    {"resume", no_argument, NULL, 'R'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.port = atoi(optarg);
			break;
		case 'b':
			opt.probe = atoi(optarg);
			break;
		case 'i':
			cpu_read_pids(&opt.pids, optarg);
			break;
		case 't':
			opt.threads = atoi(optarg);
			break;
		case 'r':
			opt.rate = atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'a':
			opt.ca = optarg;
			break;
		case 'R':
			opt.resume = true;
			break;
		default:
			exit(1);
		}
	}
	if (!opt.port || !opt.pids.count || opt.threads < 0 || opt.threads > THREADS_MAX) {
		fprintf(stderr,
		    "usage: bench_handshakes --port N --pids PID,… [--ca FILE] [--resume] "
		    "[--threads N] [--rate N] [--probe PORT] [--seconds S]\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	int numbers[THREADS_MAX];
	uint64_t cpu, took;

	read_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (opt.ca && SSL_CTX_load_verify_locations(ctx, opt.ca, NULL) != 1)
		die("ca");
	begun_ns = now_ns() + 100000000;
	sleep_until(begun_ns);
	cpu = cpu_ns(&opt.pids);
	for (int i = 0; i < opt.threads; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, client, &numbers[i]))
			die("thread");
	}
	wait_to_the_end();
	over = true;
	for (int i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	took = now_ns() - begun_ns;
	cpu = cpu_ns(&opt.pids) - cpu;
	if (done_count) {
		printf("handshakes %.1f 1/s\n", (double)done_count * 1e9 / (double)took);
		printf("cpu_per_handshake %.1f us\n", (double)cpu / 1e3 / (double)done_count);
	}
	printf("cpu %.2f cores\n", (double)cpu / (double)took);
	printf("failures %" PRIuFAST64 " count\n", (uint_fast64_t)failures);
	SSL_CTX_free(ctx);
	return 0;
}
