/* TLS on the socket: link.state is the SSL, whose app data is the record that it wants again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "net/dial.h"
#include "net/stream.h"
#include "net/tls_priv.h"

enum {
	RECORD_MAX = 16 * 1024, /* RFC 8446 5.1: plaintext of one record */
	ROOM_MIN = 4 * 1024,    /* less is not read into */
};

/* SSL_write() wants to see the same bytes again, whatever became urgent meanwhile. */
struct record {
	size_t len;
	char bytes[];
};

static SSL *ssl_of(const struct net_stream *s)
{
	return s->link.state;
}

/* --- the handshake --- */

static int expect_peer(SSL *ssl, const struct net_stream *s)
{
	bool any = s->dial->fingerprints[0] || !s->protocol->tls->verify_server;

	SSL_set_connect_state(ssl);
	return tls_client_expect(ssl, slice_of(s->dial->host), any);
}

static int tls_open(struct net_stream *s)
{
	const struct net_tls_contexts *tls = s->protocol->tls;
	SSL_CTX *ctx = !tls ? NULL : s->accepted ? tls->server : tls->client;
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;

	if (!ctx)
		return -EPROTONOSUPPORT;
	s->link.state = ssl;
	if (!ssl || SSL_set_fd(ssl, s->fd) != 1)
		return -ENOMEM;
	if (!s->accepted)
		return expect_peer(ssl, s);
	SSL_set_accept_state(ssl);
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
	story_note(LOG_LEVEL_INFO, &of,
	    "%s: conn %" PRIu64 ": %s: certificate has none of the fingerprints offered",
	    s->protocol->name, s->number, s->dial->host);
	return -EACCES;
}

/* What is wrong with the peer's certificate (RFC 5922 7.2); "": something else is. */
static const char *refusal_of(const struct net_stream *s)
{
	return ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED
	    ? X509_verify_cert_error_string(SSL_get_verify_result(ssl_of(s)))
	    : "";
}

/* The alert by its name.  Strangers could fill the log with theirs; whom we call we have chosen. */
static void log_failure(const struct net_stream *s, const char *what)
{
	const struct story of = {.stack = s->protocol->name, .conn = s->number};
	const char *refusal = refusal_of(s), *host = s->dial ? s->dial->host : NULL;
	char why[160];

	tls_error_text(why, sizeof(why));
	story_note(s->accepted ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, &of,
	    "%s: conn %" PRIu64 ": TLS %s%s%s: %s%s%s", s->protocol->name, s->number, what,
	    host ? " with " : "", host ? host : "", why, *refusal ? ": " : "", refusal);
}

static int tls_start(struct net_stream *s)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(ssl_of(s));
	if (n == 1)
		return check_peer(s);
	switch (SSL_get_error(ssl_of(s), n)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_WANT_WRITE:
		return net_stream_want_write(s);
	default:
		log_failure(s, "handshake");
		return -EPROTO;
	}
}

/* --- reading --- */

/* @return as SSL_read(), or -errno; 0: the peer sends no more */
static int read_record(struct net_stream *s, char *p, size_t size)
{
	int n;

	ERR_clear_error();
	n = SSL_read(ssl_of(s), p, (int)size);
	if (n > 0)
		return n;
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
		log_failure(s, "failure");
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

	if (!record || SSL_set_app_data(ssl_of(s), record) != 1) {
		free(record);
		return -ENOMEM;
	}
	record->len = len;
	memcpy(record->bytes, p, len);
	net_stream_hold(s, len);
	return 0;
}

static void drop_record(SSL *ssl)
{
	struct record *record = SSL_get_app_data(ssl);

	if (record)
		SSL_set_app_data(ssl, NULL);
	free(record);
}

static int write_kept(struct net_stream *s)
{
	struct record *record = SSL_get_app_data(ssl_of(s));
	int n = write_bytes(s, record->bytes, record->len);

	if (n < 0)
		return n;
	record->len -= (size_t)n;
	memmove(record->bytes, record->bytes + n, record->len);
	net_stream_hold(s, record->len);
	if (record->len == 0)
		drop_record(ssl_of(s));
	return 0;
}

/* Up to a record's worth of plain text in one piece. @return bytes */
static size_t gather(char *record, const struct iovec *iov, int count)
{
	size_t len = 0;

	for (int i = 0; i < count && len < RECORD_MAX; i++) {
		size_t part = iov[i].iov_len;

		if (part > RECORD_MAX - len)
			part = RECORD_MAX - len;
		memcpy(record + len, iov[i].iov_base, part);
		len += part;
	}
	return len;
}

static ssize_t tls_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	char record[RECORD_MAX];
	size_t len;
	int n;

	(void)ends;
	if (count == 0)
		return write_kept(s);
	len = gather(record, iov, count);
	n = write_bytes(s, record, len);
	if (n != -EAGAIN)
		return n;
	n = keep_record(s, record, len);
	return n < 0 ? n : (ssize_t)len;
}

/* --- the end --- */

static void tls_shutdown(struct net_stream *s)
{
	SSL *ssl = ssl_of(s);

	if (SSL_is_init_finished(ssl)) {
		ERR_clear_error();
		SSL_shutdown(ssl); /* close_notify; its failure is of no interest any more */
	}
	drop_record(ssl);
	SSL_free(ssl);
	ERR_clear_error();
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
