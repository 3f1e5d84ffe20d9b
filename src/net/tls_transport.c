/*
 * TLS on the socket.  A step of the handshake is computed by a thread where there are some, which
 * has the SSL to itself meanwhile, and the socket as well: the stream keeps from both.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include <msrpd/story.h>
#include <msrpd/worker.h>

#include "base/log.h"
#include "net/dial.h"
#include "net/priv.h"
#include "net/resume.h"
#include "net/tls_priv.h"

enum {
	RECORD_MAX = 16 * 1024, /* RFC 8446 5.1: plaintext of one record */
	ROOM_MIN = 4 * 1024,    /* less is not read into */
	/* After a pause the first records fit into a segment each: a whole one could not be read
	 * before the last of its segments is there, and TCP begins slowly again. */
	RECORD_SMALL = 1300,
	RECORDS_SMALL = 10, /* RFC 6928: what TCP begins with */
	PAUSE_MS = 1000,    /* RFC 6298: the first retransmission time-out */
	PEER_MAX = 576,     /* two names and what goes with them */
	/* Messages after the handshake, key updates above all, for so many bytes of data.  Nobody
	 * needs as many, and SSL_read() goes on as long as there are more. */
	ASIDES_MAX = 32,
	ASIDES_BYTES = 1 << 20,
};

/* SSL_write() wants to see the same bytes again, whatever became urgent meanwhile. */
struct record {
	size_t len;
	char bytes[];
};

/* What a call of OpenSSL came to: its errors are told to the thread that made it. */
struct outcome {
	int error; /* of SSL_get_error() */
	char why[160];
	const char *refusal; /* what is wrong with the peer's certificate (RFC 5922 7.2) */
};

enum where {
	WAITS, /* for the peer to begin */
	HERE,
	AWAY,     /* with a thread */
	RETURNED, /* its outcome is there */
};

struct handshake {
	struct job job;
	struct tls *tls;
	struct net_stream *stream; /* NULL: it was closed while the thread had it */
	int fd;                    /* that it has left */
	enum where where;
	struct outcome outcome;
};

/* link.state */
struct tls {
	SSL *ssl;
	struct record *record;       /* that is to be written again */
	struct handshake *handshake; /* until it is over */
	uint64_t written_ms;         /* when was last written */
	unsigned small;              /* so many small records from now on */
	unsigned asides;             /* messages after the handshake */
	size_t data;                 /* bytes read since they were counted anew */
};

static struct tls *tls_of(const struct net_stream *s)
{
	return s->link.state;
}

static SSL *ssl_of(const struct net_stream *s)
{
	return tls_of(s)->ssl;
}

/* --- what went wrong --- */

static void explain(struct outcome *outcome, const SSL *ssl)
{
	bool refused = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;

	outcome->refusal = refused ? X509_verify_cert_error_string(SSL_get_verify_result(ssl)) : "";
	tls_error_text(outcome->why, sizeof(outcome->why));
}

/* The alert by its name.  Strangers could fill the log with theirs; whom we call we have chosen. */
static void log_failure(const struct net_stream *s, const char *what, const struct outcome *outcome)
{
	const struct story of = {.stack = s->protocol->name, .conn = s->number};
	const char *refusal = outcome->refusal, *host = s->dial ? s->dial->host : NULL;

	story_note(s->accepted ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, &of,
	    "%s: conn %" PRIu64 ": TLS %s%s%s: %s%s%s", s->protocol->name, s->number, what,
	    host ? " with " : "", host ? host : "", outcome->why, *refusal ? ": " : "", refusal);
}

/* --- the handshake --- */

static int expect_peer(SSL *ssl, const struct net_stream *s)
{
	bool any = s->dial->fingerprints[0] || !s->protocol->tls->verify_server;
	struct slice identity = net_dial_identity(s->dial);
	char peer[PEER_MAX];
	/* Who resumes is not looked at again: a session is for whom it was begun with. */
	int n = snprintf(peer, sizeof(peer), "%s %.*s %s:%u", any ? "any" : "verified",
	    SLICE_ARG(identity), s->dial->host, s->dial->port);

	SSL_set_connect_state(ssl);
	if (n < (int)sizeof(peer) && sessions_offer(ssl, peer) < 0)
		return -ENOMEM;
	return tls_client_expect(ssl, identity, any);
}

/* With too many it is as if the peer had closed: what comes behind is not read. */
static void on_message(int written, int version, int type, const void *bytes, size_t len, SSL *ssl,
    void *arg)
{
	struct tls *tls = arg;

	(void)version;
	(void)bytes;
	(void)len;
	if (!written && type == SSL3_RT_HANDSHAKE && !tls->handshake && ++tls->asides > ASIDES_MAX)
		SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

static int tls_open(struct net_stream *s)
{
	const struct net_tls_contexts *contexts = s->protocol->tls;
	SSL_CTX *ctx = !contexts ? NULL : s->accepted ? contexts->server : contexts->client;
	struct tls *tls = ctx ? calloc(1, sizeof(*tls)) : NULL;

	if (!ctx)
		return -EPROTONOSUPPORT;
	if (!tls)
		return -ENOMEM;
	s->link.state = tls;
	tls->ssl = SSL_new(ctx);
	tls->handshake = calloc(1, sizeof(*tls->handshake));
	if (!tls->ssl || !tls->handshake || SSL_set_fd(tls->ssl, s->fd) != 1)
		return -ENOMEM;
	SSL_set_msg_callback(tls->ssl, on_message);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	tls->handshake->tls = tls;
	tls->handshake->stream = s;
	tls->handshake->where = s->accepted ? WAITS : HERE;
	if (!s->accepted)
		return expect_peer(tls->ssl, s);
	SSL_set_accept_state(tls->ssl);
	return 0;
}

/* A peer that was dialled by fingerprint has to have one of these (RFC 4975 14.4). */
static int check_peer(const struct net_stream *s)
{
	struct slice rest = slice_of(s->accepted ? "" : s->dial->fingerprints), line;
	const struct story of = {.stack = s->protocol->name, .conn = s->number};

	if (rest.len == 0)
		return 1;
	while (slice_cut(&rest, '\n', &line))
		if (line.len && tls_has_fingerprint(ssl_of(s), line))
			return 1;
	story_refuse(&of, EACCES,
	    "%s: conn %" PRIu64 ": %s: certificate has none of the fingerprints offered",
	    s->protocol->name, s->number, s->dial->host);
	return -EACCES;
}

static void take_step(struct job *job)
{
	struct handshake *h = (struct handshake *)job; /* its first member */
	SSL *ssl = h->tls->ssl;
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(ssl);
	h->outcome.error = SSL_get_error(ssl, n);
	if (h->outcome.error != SSL_ERROR_NONE)
		explain(&h->outcome, ssl);
}

static void tls_free(struct tls *tls)
{
	free(tls->record);
	free(tls->handshake);
	SSL_free(tls->ssl);
	free(tls);
	ERR_clear_error();
}

static void step_returns(struct job *job)
{
	struct handshake *h = (struct handshake *)job;

	h->where = RETURNED;
	if (h->stream) {
		net_stream_handshake_returns(h->stream);
		return;
	}
	close(h->fd);
	tls_free(h->tls);
}

/* Who resumes has no share in the sums of a whole handshake. */
static bool step_leaves(struct net_stream *s, struct handshake *h)
{
	struct worker *workers = s->protocol->net->workers;

	h->job.work = take_step;
	h->job.done = step_returns;
	if (!workers || SSL_session_reused(ssl_of(s)))
		return false;
	h->where = AWAY;
	net_stream_handshake_leaves(s);
	worker_put(workers, &h->job);
	return true;
}

/* @return as start() */
static int judge_step(struct net_stream *s, struct handshake *h)
{
	switch (h->outcome.error) {
	case SSL_ERROR_NONE:
		tls_of(s)->handshake = NULL;
		free(h);
		return check_peer(s);
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_WANT_WRITE:
		return net_stream_want_write(s);
	default:
		log_failure(s, "handshake", &h->outcome);
		return -EPROTO;
	}
}

static int tls_start(struct net_stream *s)
{
	struct handshake *h = tls_of(s)->handshake;
	enum where where = h->where;

	h->where = HERE;
	if (where == WAITS)
		return 0;
	if (where == HERE) {
		if (step_leaves(s, h))
			return 0;
		take_step(&h->job);
	}
	return judge_step(s, h);
}

/* --- reading --- */

static void count_data(struct tls *tls, size_t n)
{
	tls->data += n;
	if (tls->data < ASIDES_BYTES)
		return;
	tls->data = 0;
	tls->asides = 0;
}

/* @return as SSL_read(), or -errno; 0: the peer sends no more */
static int read_record(struct net_stream *s, char *p, size_t size)
{
	struct outcome outcome;
	int n;

	ERR_clear_error();
	n = SSL_read(ssl_of(s), p, (int)size);
	if (n > 0) {
		count_data(tls_of(s), (size_t)n);
		return n;
	}
	switch (SSL_get_error(ssl_of(s), n)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		/* An answer to a key update has to leave first. */
		return net_stream_read_wants_write(s) < 0 ? -ENOMEM : -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SSL:
		/* In TLS 1.3 a server that misses our certificate says so behind the handshake. */
		explain(&outcome, ssl_of(s));
		log_failure(s, "failure", &outcome);
		return -ECONNRESET;
	default:
		return -ECONNRESET;
	}
}

/* As many records as there are; a record more may wait when there is no room for it. */
static ssize_t tls_read(struct net_stream *s, char *p, size_t size, unsigned *flags)
{
	size_t got = 0;

	do {
		int n = read_record(s, p + got, size - got);

		if (n <= 0 && got == 0)
			return n;
		if (n == -EAGAIN)
			return (ssize_t)got;
		if (n <= 0)
			break; /* and comes again */
		got += (size_t)n;
		/* The socket tells of what comes now; a long run goes on without its turn. */
		if (got < RECORD_MAX && !SSL_has_pending(ssl_of(s)))
			return (ssize_t)got;
	} while (size - got >= ROOM_MIN);
	*flags |= NET_READ_MORE;
	return (ssize_t)got;
}

/* --- writing --- */

/* @return bytes, -EAGAIN or another negative errno */
static int write_bytes(struct net_stream *s, const char *p, size_t len)
{
	int n;

	ERR_clear_error();
	n = SSL_write(ssl_of(s), p, (int)len);
	if (n > 0)
		return n;
	switch (SSL_get_error(ssl_of(s), n)) {
	case SSL_ERROR_WANT_READ:
		/* The peer began a key update and has not ended it: room to write will not help. */
		return net_stream_write_wants_read(s) < 0 ? -ENOMEM : -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -ECONNRESET;
	default:
		return -ECONNRESET;
	}
}

static int keep_record(struct net_stream *s, const char *p, size_t len)
{
	struct record *record = malloc(sizeof(*record) + len);

	if (!record)
		return -ENOMEM;
	tls_of(s)->record = record;
	record->len = len;
	memcpy(record->bytes, p, len);
	net_stream_hold(s, len);
	return 0;
}

static int write_kept(struct net_stream *s)
{
	struct record *record = tls_of(s)->record;
	int n = write_bytes(s, record->bytes, record->len);

	if (n < 0)
		return n;
	record->len -= (size_t)n;
	memmove(record->bytes, record->bytes + n, record->len);
	net_stream_hold(s, record->len);
	if (record->len == 0) {
		tls_of(s)->record = NULL;
		free(record);
	}
	return 0;
}

/* Plain text of the next record, at most. */
static size_t record_room(struct tls *tls)
{
	uint64_t now = timer_now_ms();

	if (now - tls->written_ms > PAUSE_MS)
		tls->small = RECORDS_SMALL;
	tls->written_ms = now;
	if (!tls->small)
		return RECORD_MAX;
	tls->small--;
	return RECORD_SMALL;
}

/* The first bytes of all pieces in one. */
static struct slice gather(char *record, size_t room, const struct iovec *iov, int count)
{
	size_t len = 0;

	if (iov[0].iov_len >= room)
		return (struct slice){iov[0].iov_base, room};
	for (int i = 0; i < count && len < room; i++) {
		size_t part = iov[i].iov_len;

		if (part > room - len)
			part = room - len;
		memcpy(record + len, iov[i].iov_base, part);
		len += part;
	}
	return (struct slice){record, len};
}

static ssize_t tls_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	char record[RECORD_MAX];
	struct slice bytes;
	int n;

	(void)ends;
	if (count == 0)
		return write_kept(s);
	bytes = gather(record, record_room(tls_of(s)), iov, count);
	n = write_bytes(s, bytes.p, bytes.len);
	if (n != -EAGAIN)
		return n;
	n = keep_record(s, bytes.p, bytes.len);
	return n < 0 ? n : (ssize_t)bytes.len;
}

/* --- the end --- */

/* The thread has it, so whatever is left goes when that is done. */
static void leave_behind(struct net_stream *s, struct handshake *h)
{
	shutdown(s->fd, SHUT_RDWR);
	h->stream = NULL;
	h->fd = s->fd;
	s->fd = -1;
}

static void tls_shutdown(struct net_stream *s)
{
	struct tls *tls = tls_of(s);

	if (s->away && !worker_cancel(s->protocol->net->workers, &tls->handshake->job)) {
		leave_behind(s, tls->handshake);
		return;
	}
	if (tls->ssl && SSL_is_init_finished(tls->ssl)) {
		ERR_clear_error();
		SSL_shutdown(tls->ssl); /* close_notify; its failure is of no interest any more */
	}
	tls_free(tls);
}

/* --- the peer --- */

static bool peer_certified(const struct net_stream *s)
{
	return tls_peer_verified(ssl_of(s));
}

static bool peer_is(const struct net_stream *s, struct slice host)
{
	return tls_peer_is(ssl_of(s), host);
}

static bool peer_has_fingerprint(const struct net_stream *s, struct slice fingerprint)
{
	return tls_has_fingerprint(ssl_of(s), fingerprint);
}

const struct net_transport net_tls = {
    .name = "tls",
    .encrypted = true,
    .open = tls_open,
    .start = tls_start,
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .peer_certified = peer_certified,
    .peer_is = peer_is,
    .peer_has_fingerprint = peer_has_fingerprint,
};
