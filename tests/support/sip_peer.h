/* A SIP peer over UDP that says exactly what a test tells it. */
#pragma once

#include <stddef.h>

struct event_base;

struct peer {
	struct event_base *base;
	int fd;
	char uri[64];        /* "sip:127.0.0.1:PORT" */
	char got[65536];     /* the last message, NUL-terminated */
	char request[65536]; /* the last request among them */
	char remote[64];     /* Contact of the other side, once seen */
	unsigned cseq;
	char to_tag[16];
	/* of the dialog: header values, and the Call-ID's line */
	char ours[256], theirs[256], call_id[128];
};

void peer_open(struct peer *p, struct event_base *base);
void peer_close(struct peer *p);

/**
 * Turn the loop until a message comes that begins with this ("INVITE ", "SIP/2.0 200 "), passing
 * over others; fails the test after a while.  It is in p->got then.
 */
void peer_expect(struct peer *p, const char *beginning);

/** Nothing that begins with this comes within ms milliseconds. */
void peer_expect_none(struct peer *p, const char *beginning, unsigned ms);

/** Does the last message contain this? */
int peer_has(const struct peer *p, const char *text);

/** Is the digest in the last request's (Proxy-)Authorization right?  algorithm: OpenSSL's name. */
int peer_digest_ok(const struct peer *p, const char *algorithm, const char *password);

/**
 * Answer the last request: status is "200 OK", headers further lines each with CRLF, body its
 * SDP or NULL.  The To tag is p->to_tag.
 */
void peer_answer(struct peer *p, const char *status, const char *headers, const char *body);

/**
 * A request within the dialog that an INVITE began whose 2xx was sent, or acknowledged, last.
 *
 * @param cseq  0: the next one
 */
void peer_request(struct peer *p, const char *method, unsigned cseq, const char *headers,
    const char *body);

/** A request of its own, outside any dialog; it is not in p->request. */
void peer_begin(struct peer *p, const char *method, const char *uri, const char *headers,
    const char *body);

/** The 2xx in p->got makes a dialog of the request of peer_begin(): peer_request() goes in it. */
void peer_keep_dialog(struct peer *p);

/** ACK the 2xx that is in p->got, to the INVITE of peer_begin() or peer_request(). */
void peer_ack(struct peer *p, const char *body);

/** Bytes as they are, to sip:127.0.0.1:PORT… */
void peer_send(struct peer *p, const char *uri, const char *text, size_t len);
