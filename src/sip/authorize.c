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

/* Those for the realm, if they can be read at all; of other realms' ones another server asked. */
static bool find_credentials(const struct sip_request *req, struct slice realm,
    struct digest *digest)
{
	struct slice value;

	for (size_t i = 0; i < CREDENTIALS_MAX; i++) {
		value = sip_request_header_at(req, SLICE("Authorization"), i);
		if (!value.p)
			return false;
		if (digest_parse_credentials(digest, value) == 0
		    && slice_equal(digest->realm, realm))
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

static int challenge(struct sip_request *req, struct auth *auth, const struct auth_terms *terms,
    bool stale)
{
	char text[CHALLENGE_MAX];
	struct buffer w = BUFFER_ON(text);

	buffer_add(&w, SLICE("WWW-Authenticate: "));
	auth_write_challenge(auth, terms, stale, &w);
	buffer_add(&w, SLICE("\r\n"));
	if (w.err || terms->realm.len == 0) {
		story_often("sip: a rule challenges with a realm that is none: \"%.*s\"",
		    SLICE_ARG(slice_head(terms->realm, 64)));
		return refuse(req, 500, -EINVAL);
	}
	sip_request_reply(req, 401, none, buffer_text(&w));
	return -EACCES;
}

/* The answer does not tell what was wrong. */
static int refuse_credentials(struct sip_request *req, struct auth *auth,
    const struct auth_terms *terms, struct slice username)
{
	story_often("sip: wrong credentials of \"%.*s\" from %.*s", SLICE_ARG(username),
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_SOURCE_ADDRESS)));
	sip_request_note_failure(req);
	return challenge(req, auth, terms, false);
}

int sip_request_authorize(struct sip_request *req, struct slice realm, enum sip_digest algorithm)
{
	struct auth *auth = sip_request_auth(req);
	struct digest digest;
	struct auth_terms terms = {
	    .realm = realm,
	    .algorithm = algorithm == SIP_DIGEST_SHA256 ? DIGEST_SHA256 : DIGEST_MD5,
	    .method = sip_request_field(req, SIP_FIELD_METHOD),
	    .sender =
		sip_request_flow(req) ? none : sip_request_field(req, SIP_FIELD_SOURCE_ADDRESS),
	};

	if (sip_request_answered(req))
		return -EEXIST;
	/* A rule before has asked already, and a count is good once. */
	if (realm.len && slice_equal(sip_request_field(req, SIP_FIELD_AUTH_REALM), realm))
		return 0;
	if (sip_request_header(req, SLICE("Authorization")).p && sip_request_is_barred(req))
		return refuse_unread(req);
	if (!find_credentials(req, realm, &digest))
		return challenge(req, auth, &terms, false);
	/* RFC 3261 22.4: proxies may have put another URI in the request line meanwhile. */
	terms.uri = digest.uri.p ? digest.uri : sip_request_field(req, SIP_FIELD_RURI);
	switch (auth_check(auth, &digest, &terms, NULL)) {
	case AUTH_WRONG:
		return refuse_credentials(req, auth, &terms, digest.username);
	case AUTH_STALE:
		return challenge(req, auth, &terms, true);
	case AUTH_RIGHT:
		break;
	}
	return sip_request_authorized(req, digest.username, realm) < 0 ? refuse(req, 500, -ENOMEM)
								       : 0;
}
