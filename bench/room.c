/*
 * A crowd that comes into a chat room and watches who is there: SIP over connections that a few share,
 * MSRP over one each.  bench/conf.py drives it by lines on standard input:
 *
 *     join COUNT SECONDS   so many more come in, evenly over so many seconds; prints "joined TOOK"
 *     roster               until each of them knows of all; prints "name value unit" lines and
 *                          "known TOOK"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 20000,
	NOTIFIES_MAX = 256, /* of one client, whose times are kept */
	SHARES = 50,        /* of the clients, with a SIP connection each */
	IN_MAX = 4 << 20,
	TEXT_MAX = 4096,
	PATIENCE_S = 120,
};

static const char room[] = "sip:lobby@127.0.0.1";

struct client {
	int number, fd;
	int64_t version; /* of its last document */
	size_t users;    /* that it knows of */
	uint64_t notified[NOTIFIES_MAX];
	size_t notifies;
};

/* A SIP connection. */
struct sip {
	int fd, port;
	char *in, *out;
	size_t in_len, out_len;
};

static struct sip shares[SHARES];
static struct client clients[CLIENTS_MAX];
static int client_count, joined_count;
static bool subscribes;
static int epoll_fd, sip_port;

static void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "bench_room: ");
	vfprintf(stderr, format, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int connect_to(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	inet_pton(AF_INET, "127.0.0.1", &addr.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void watch(int fd, void *who)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

/* --- SIP out --- */

/* What is said while one read is worked off leaves at once. */
static void say(struct sip *sip, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(sip->out + sip->out_len, TEXT_MAX, format, ap);
	va_end(ap);
	if (n < 0 || n >= TEXT_MAX)
		die("a message too long");
	sip->out_len += (size_t)n;
}

static void flush(struct sip *sip)
{
	size_t at = 0;

	while (at < sip->out_len) {
		ssize_t n = send(sip->fd, sip->out + at, sip->out_len - at, MSG_NOSIGNAL);

		if (n < 0)
			die("send: %s", strerror(errno));
		at += (size_t)n;
	}
	sip->out_len = 0;
}

static struct sip *sip_of(const struct client *c)
{
	return &shares[c->number % SHARES];
}

static void say_request(const char *method, const struct client *c, const char *target,
    const char *to_tag, const char *headers, const char *body)
{
	struct sip *sip = sip_of(c);

	say(sip,
	    "%s %s SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:%d;branch=z9hG4bK%s%d\r\n"
	    "From: <sip:user%d@127.0.0.1>;tag=t%d\r\nTo: <%s>%s\r\nCall-ID: %s%d\r\n"
	    "CSeq: 1 %s\r\nMax-Forwards: 70\r\n"
	    "Contact: <sip:user%d@127.0.0.1:%d;transport=tcp>\r\n%sContent-Length: %zu\r\n\r\n%s",
	    method, target, sip->port, method, c->number, c->number, c->number, room, to_tag,
	    strcmp(method, "SUBSCRIBE") == 0 ? "watch" : "call", c->number, method, c->number,
	    sip->port, headers, strlen(body), body);
}

static void invite(void)
{
	struct client *c = &clients[client_count];
	char sdp[1024];

	if (client_count == CLIENTS_MAX)
		die("too many clients");
	*c = (struct client){.number = client_count++, .version = -1};
	snprintf(sdp, sizeof(sdp),
	    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	    "m=message 9 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\n"
	    "a=path:msrp://127.0.0.1:9/client%d;tcp\r\na=setup:active\r\n"
	    "a=chatroom:private-messages\r\n",
	    c->number);
	say_request("INVITE", c, room, "", "Content-Type: application/sdp\r\n", sdp);
	flush(sip_of(c));
}

/* --- SIP in --- */

struct message {
	char *head; /* with a NUL behind it */
	char *body; /* the same */
};

/* The first line that begins so, copied. */
static void copy_header(const struct message *m, const char *name, char *to, size_t size)
{
	const char *line = strcasestr(m->head, name);

	if (!line)
		die("no %s in %s", name + 2, m->head);
	line += strlen(name);
	snprintf(to, size, "%.*s", (int)strcspn(line, "\r"), line);
}

static struct client *client_of(const struct message *m)
{
	char id[256];

	copy_header(m, "\r\nCall-ID:", id, sizeof(id));
	return &clients[strtol(id + strcspn(id, "0123456789"), NULL, 10)];
}

static void say_ok(struct sip *sip, const struct message *m)
{
	static const char *const kept[] = {"Via:", "From:", "To:", "Call-ID:", "CSeq:"};

	say(sip, "SIP/2.0 200 OK\r\n");
	for (const char *line = strstr(m->head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			if (strncasecmp(line, kept[i], strlen(kept[i])) == 0)
				say(sip, "%.*s\r\n", (int)strcspn(line, "\r"), line);
	}
	say(sip, "Content-Length: 0\r\n\r\n");
}

static void bind_session(struct client *c, const char *body)
{
	const char *path = strstr(body, "a=path:");
	char text[1024], uri[256];
	int port;

	if (!path || sscanf(path, "a=path:%255s", uri) != 1
	    || sscanf(uri, "msrp://127.0.0.1:%d/", &port) != 1)
		die("no path in %s", body);
	c->fd = connect_to(port);
	snprintf(text, sizeof(text),
	    "MSRP bind%d SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/client%d;tcp\r\n"
	    "Message-ID: bind%d\r\nByte-Range: 1-0/0\r\n-------bind%d$\r\n",
	    c->number, uri, c->number, c->number, c->number);
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		die("send: %s", strerror(errno));
	watch(c->fd, c);
}

static void on_invited(struct client *c, const struct message *m)
{
	char to[512], contact[512], *tag;

	copy_header(m, "\r\nTo:", to, sizeof(to));
	copy_header(m, "\r\nContact:", contact, sizeof(contact));
	tag = strstr(to, ";tag=");
	strtok(strchr(contact, '<'), ">");
	say_request("ACK", c, strchr(contact, '<') + 1, tag ? tag : "", "", "");
	if (c->fd)
		return; /* a 200 that came again */
	bind_session(c, m->body);
	if (subscribes)
		say_request("SUBSCRIBE", c, room, "", "Event: conference\r\nExpires: 3600\r\n", "");
}

static void on_response(const struct message *m)
{
	int code = (int)strtol(m->head + strlen("SIP/2.0 "), NULL, 10);
	char cseq[128];

	copy_header(m, "\r\nCSeq:", cseq, sizeof(cseq));
	if (code >= 300)
		die("%s", m->head);
	if (code >= 200 && strstr(cseq, "INVITE"))
		on_invited(client_of(m), m);
}

/* Nobody leaves or changes, so a user is in one document of each watcher, after a full one. */
static void on_notify(const struct message *m, uint64_t came)
{
	struct client *c = client_of(m);
	static const char mark[] = "\" version=\"";
	const char *version = strstr(m->body, mark), *user = m->body;

	if (!version || strtoll(version + strlen(mark), NULL, 10) != c->version + 1)
		die("user%d: after version %" PRId64 ": %.300s", c->number, c->version, m->body);
	c->version++;
	if (strstr(m->body, " state=\"full\" version="))
		c->users = 0;
	while ((user = strstr(user, "<user entity="))) {
		user++;
		c->users++;
	}
	if (c->notifies < NOTIFIES_MAX)
		c->notified[c->notifies] = came;
	c->notifies++;
}

static void on_message(struct sip *sip, const struct message *m, uint64_t came)
{
	if (strncmp(m->head, "SIP/2.0 ", 8) == 0) {
		on_response(m);
		return;
	}
	if (strncmp(m->head, "NOTIFY ", 7) == 0)
		on_notify(m, came);
	say_ok(sip, m);
	if (sip->out_len > TEXT_MAX * 16)
		flush(sip);
}

/* @return bytes of the message at the front; 0: it is not whole */
static size_t take_message(struct sip *sip, char *p, size_t len, uint64_t came)
{
	char *end = memmem(p, len, "\r\n\r\n", 4), *length, behind;
	struct message m = {p, NULL};
	size_t size;

	if (!end)
		return 0;
	end[2] = '\0';
	length = strcasestr(p, "\r\nContent-Length:");
	if (!length)
		die("no Content-Length in %s", p);
	size = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	m.body = end + 4;
	if ((size_t)(m.body - p) + size > len) {
		end[2] = '\r';
		return 0;
	}
	behind = m.body[size]; /* there is room for one octet more */
	m.body[size] = '\0';
	on_message(sip, &m, came);
	m.body[size] = behind;
	return (size_t)(m.body - p) + size;
}

static void read_sip(struct sip *sip)
{
	ssize_t n = recv(sip->fd, sip->in + sip->in_len, IN_MAX - 1 - sip->in_len, 0);
	uint64_t came = now_ns();
	size_t at = 0, taken;

	if (n <= 0)
		die("SIP: %s", n ? strerror(errno) : "closed");
	sip->in_len += (size_t)n;
	while (
	    at < sip->in_len && (taken = take_message(sip, sip->in + at, sip->in_len - at, came)))
		at += taken;
	memmove(sip->in, sip->in + at, sip->in_len - at);
	sip->in_len -= at;
	if (sip->in_len == IN_MAX - 1)
		die("a SIP message too large");
	flush(sip);
}

/* The answer to its first SEND is all that comes. */
static void read_msrp(struct client *c)
{
	char text[TEXT_MAX];
	ssize_t n = recv(c->fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		die("user%d: closed", c->number);
	text[n] = '\0';
	if (!strstr(text, " 200 "))
		die("%s", text);
	joined_count++;
}

static void turn(int timeout_ms)
{
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		char *who = events[i].data.ptr;

		if (who >= (char *)shares && who < (char *)(shares + SHARES))
			read_sip((struct sip *)(void *)who);
		else
			read_msrp((struct client *)(void *)who);
	}
}

/* --- commands --- */

static void check_patience(uint64_t began, const char *what)
{
	if (now_ns() - began > PATIENCE_S * UINT64_C(1000000000))
		die("%s: %d of %d have come in", what, joined_count, client_count);
}

static void join(int count, double seconds)
{
	uint64_t began = now_ns();

	for (int i = 0; i < count; i++) {
		uint64_t due = began + (uint64_t)(seconds * 1e9 * i / count), now;

		while ((now = now_ns()) < due)
			turn((int)((due - now) / 1000000));
		invite();
		turn(0);
		/* Without a time: no more at once than a listener's backlog takes. */
		while (client_count - joined_count > 64)
			turn(10);
	}
	while (joined_count < client_count) {
		turn(100);
		check_patience(began, "join");
	}
	printf("joined %.2f\n", (double)(now_ns() - began) / 1e9);
}

static bool knows_all(void)
{
	for (int i = 0; i < client_count; i++)
		if (clients[i].users < (size_t)client_count)
			return false;
	return true;
}

/* The most within a second from one of them on. */
static size_t most_in_a_second(const struct client *c)
{
	size_t most = 0, count = c->notifies < NOTIFIES_MAX ? c->notifies : NOTIFIES_MAX;

	for (size_t i = 0, last = 0; i < count; i++) {
		while (last < count && c->notified[last] - c->notified[i] < 1000000000)
			last++;
		if (last - i > most)
			most = last - i;
	}
	return most;
}

static void roster(void)
{
	uint64_t began = now_ns(), least = UINT64_MAX;
	size_t notifies = 0, most = 0;

	while (!knows_all()) {
		turn(100);
		check_patience(began, "roster");
	}
	for (int i = 0; i < client_count; i++) {
		const struct client *c = &clients[i];
		size_t in_a_second = most_in_a_second(c);

		notifies += c->notifies;
		if (in_a_second > most)
			most = in_a_second;
		for (size_t k = 1; k < c->notifies && k < NOTIFIES_MAX; k++)
			if (c->notified[k] - c->notified[k - 1] < least)
				least = c->notified[k] - c->notified[k - 1];
	}
	printf("notifies %zu NOTIFYs\nleast_gap %.1f ms\nmost_in_a_second %zu NOTIFYs\n", notifies,
	    (double)least / 1e6, most);
	printf("known %.2f\n", (double)(now_ns() - began) / 1e9);
}

static void open_share(struct sip *sip)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);

	sip->in = malloc(IN_MAX);
	sip->out = malloc((size_t)TEXT_MAX * 20);
	sip->fd = connect_to(sip_port);
	getsockname(sip->fd, (struct sockaddr *)&own, &len);
	sip->port = ntohs(own.sin_port);
	watch(sip->fd, sip);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"sip", 1, NULL, 's'}, {"subscribe", 0, NULL, 'w'},
	    {0}};
	struct rlimit files = {65536, 65536};
	char line[128];
	double seconds;
	int c, count;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			sip_port = (int)strtol(optarg, NULL, 10);
		else if (c == 'w')
			subscribes = true;
		else
			return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(0);
	for (int i = 0; i < SHARES; i++)
		open_share(&shares[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "join %d %lf", &count, &seconds) == 2)
			join(count, seconds);
		else if (strcmp(line, "roster\n") == 0)
			roster();
		else
			die("what is %s", line);
	}
	return 0;
}
