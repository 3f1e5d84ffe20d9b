/* Credentials of a request: RFC 3261 section 22, RFC 8760. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/story.h>

#include "auth/auth.h"
#include "sip/request_priv.h"

enum {
	CREDENTIALS_MAX = 16, /* of one request, of different realms, that are looked at */
	CHALLENGE_MAX = 1024,
};

static const struct slice none;

/* Who is asked for what. */
struct question {
	struct sip_request *req;
	struct auth *auth;
	const struct sip_digests *digests;
	struct auth_terms terms;
};

static enum digest_algorithm algorithm_of(enum sip_digest digest)
{
	return digest == SIP_DIGEST_SHA256 ? DIGEST_SHA256 : DIGEST_MD5;
}

static bool is_offered(const struct question *q, enum digest_algorithm algorithm)
{
	for (size_t i = 0; i < q->digests->count; i++)
		if (algorithm_of(q->digests->of[i]) == algorithm)
			return true;
	return false;
}

/*
 * Those for the realm and by an algorithm that is offered, if they can be read at all: of other
 * realms' ones another server asked, and others are of the time before a reload.
 */
static bool find_credentials(const struct question *q, struct digest *digest)
{
	struct slice value;

	for (size_t i = 0; i < CREDENTIALS_MAX; i++) {
		value = sip_request_header_at(q->req, SLICE("Authorization"), i);
		if (!value.p)
			return false;
		if (digest_parse_credentials(digest, value) == 0
		    && slice_equal(digest->realm, q->terms.realm)
		    && is_offered(q, digest->algorithm))
			return true;
	}
	return false;
}

static int refuse(struct sip_request *req, int code, int err)
{
	sip_request_reply(req, code, none, none);
	return err;
}

static int refuse_unread(struct sip_request *req)
{
	sip_request_reply(req, 403, SLICE("Too Many Wrong Credentials"), none);
	return -EACCES;
}

/* RFC 8760 2.4: one for each algorithm, the one that is liked best on top. */
static int challenge(struct question *q, bool stale)
{
	char text[SIP_DIGESTS_MAX * CHALLENGE_MAX];
	struct buffer w = BUFFER_ON(text);

	for (size_t i = 0; i < q->digests->count; i++) {
		q->terms.algorithm = algorithm_of(q->digests->of[i]);
		buffer_add(&w, SLICE("WWW-Authenticate: "));
		auth_write_challenge(q->auth, &q->terms, stale, &w);
		buffer_add(&w, SLICE("\r\n"));
	}
	if (w.err || q->terms.realm.len == 0) {
		story_often("sip: a rule challenges with a realm that is none: \"%.*s\"",
		    SLICE_ARG(slice_head(q->terms.realm, 64)));
		return refuse(q->req, 500, -EINVAL);
	}
	sip_request_reply(q->req, 401, none, buffer_text(&w));
	return -EACCES;
}

/* The answer does not tell what was wrong. */
static int refuse_credentials(struct question *q, struct slice username)
{
	story_often("sip: wrong credentials of \"%.*s\" from %.*s", SLICE_ARG(username),
	    SLICE_ARG(sip_request_field(q->req, SIP_FIELD_SOURCE_ADDRESS)));
	sip_request_note_failure(q->req);
	return challenge(q, false);
}

int sip_request_authorize(struct sip_request *req, struct slice realm,
    const struct sip_digests *digests)
{
	static const struct sip_digests usual = {.of = {SIP_DIGEST_MD5}, .count = 1};
	struct digest digest;
	struct question q = {
	    .req = req,
	    .auth = sip_request_auth(req),
	    .digests = digests ? digests : &usual,
	    .terms.realm = realm,
	    .terms.method = sip_request_field(req, SIP_FIELD_METHOD),
	    .terms.sender =
		sip_request_flow(req) ? none : sip_request_field(req, SIP_FIELD_SOURCE_ADDRESS),
	};

	if (sip_request_answered(req))
		return -EEXIST;
	/* A rule before has asked already, and a count is good once. */
	if (realm.len && slice_equal(sip_request_field(req, SIP_FIELD_AUTH_REALM), realm))
		return 0;
	if (sip_request_header(req, SLICE("Authorization")).p && sip_request_is_barred(req))
		return refuse_unread(req);
	if (!find_credentials(&q, &digest))
		return challenge(&q, false);
	q.terms.algorithm = digest.algorithm;
	/* RFC 3261 22.4: proxies may have put another URI in the request line meanwhile. */
	q.terms.uri = digest.uri.p ? digest.uri : sip_request_field(req, SIP_FIELD_RURI);
	switch (auth_check(q.auth, &digest, &q.terms, NULL)) {
	case AUTH_WRONG:
		return refuse_credentials(&q, digest.username);
	case AUTH_STALE:
		return challenge(&q, true);
	case AUTH_RIGHT:
		break;
	}
	return sip_request_authorized(req, digest.username, realm) < 0 ? refuse(req, 500, -ENOMEM)
								       : 0;
}
