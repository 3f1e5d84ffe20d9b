/*
 * Our answers to challenges: RFC 3261 section 22, RFC 7616.  Our own and not Sofia's, which knows
 * MD5 alone, and which when it may repeat requests follows redirects with all they ask for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>
#include <sofia-sip/msg_header.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "sip/priv.h"

enum {
	CHALLENGES_MAX = 4, /* realms that one request may have to satisfy */
	ROUNDS_MAX = 4,     /* challenges in a row to one request */
	CNONCE = 16,
	HEADER_MAX = 4096,
};

struct challenge {
	enum digest_algorithm algorithm;
	bool proxy, says_algorithm, without_qop;
	unsigned round; /* of the request under way that it came in; 0: none so far */
	char *realm, *nonce, *opaque;
	uint32_t nc;
};

struct sip_auth {
	struct challenge challenges[CHALLENGES_MAX];
	unsigned count, rounds;
};

/* --- reading a challenge --- */

/* A header as it came, and what is in it. */
struct header {
	char text[HEADER_MAX];
	struct digest digest;
};

static const struct sip_credential *find_credential(const struct sip_stack *stack,
    struct slice realm, enum digest_algorithm algorithm)
{
	for (size_t i = 0; i < stack->credential_count; i++) {
		const struct sip_credential *c = &stack->credentials[i];

		if (slice_equal(slice_of(c->realm), realm)
		    && (c->password || (c->ha1 && algorithm == DIGEST_MD5)))
			return c;
	}
	return NULL;
}

/* @return whom to answer as; NULL: a challenge without an answer */
static const struct sip_credential *read_header(struct header *h, const struct sip_stack *stack,
    const msg_auth_t *auth)
{
	issize_t len = msg_header_field_e(h->text, sizeof(h->text), (const msg_header_t *)auth, 0);

	if (len <= 0 || (size_t)len >= sizeof(h->text)
	    || digest_parse_challenge(&h->digest, (struct slice){h->text, (size_t)len}) < 0)
		return NULL;
	return find_credential(stack, h->digest.realm, h->digest.algorithm);
}

static void challenge_clear(struct challenge *c)
{
	free(c->realm);
	free(c->nonce);
	free(c->opaque);
	*c = (struct challenge){0};
}

static int challenge_set(struct challenge *c, const struct digest *d, bool proxy, unsigned round)
{
	challenge_clear(c);
	c->algorithm = d->algorithm;
	c->proxy = proxy;
	c->says_algorithm = d->says_algorithm;
	c->without_qop = d->without_qop;
	c->round = round;
	c->realm = slice_dup(d->realm);
	c->nonce = slice_dup(d->nonce);
	c->opaque = slice_dup(d->opaque);
	return c->realm && c->nonce && (c->opaque || !d->opaque.p) ? 0 : -ENOMEM;
}

static struct challenge *find_challenge(struct sip_auth *auth, struct slice realm, bool proxy)
{
	for (unsigned i = 0; i < auth->count; i++)
		if (auth->challenges[i].proxy == proxy
		    && slice_equal(slice_of(auth->challenges[i].realm), realm))
			return &auth->challenges[i];
	return auth->count < CHALLENGES_MAX ? &auth->challenges[auth->count++] : NULL;
}

/* @return challenges that can be answered, or -EACCES: one was, in vain; -ENOMEM */
static int take_all(struct sip_auth *auth, const struct sip_stack *stack, const msg_auth_t *first,
    bool proxy)
{
	int taken = 0;

	for (const msg_auth_t *next = first; next; next = next->au_next) {
		struct header h;
		struct challenge *c;

		if (!read_header(&h, stack, next))
			continue;
		c = find_challenge(auth, h.digest.realm, proxy);
		if (!c)
			return -EACCES;
		/* A response may offer a realm several algorithms: the first counts. */
		if (c->round == auth->rounds)
			continue;
		if (c->round && !h.digest.stale)
			return -EACCES;
		if (challenge_set(c, &h.digest, proxy, auth->rounds) < 0)
			return -ENOMEM;
		taken++;
	}
	return taken;
}

void sip_auth_begin(struct sip_auth *auth)
{
	if (!auth)
		return;
	auth->rounds = 0;
	for (unsigned i = 0; i < auth->count; i++)
		auth->challenges[i].round = 0;
}

int sip_auth_challenge(struct sip_auth **authp, const struct sip_stack *stack, const sip_t *sip)
{
	int server, proxy;

	if (!*authp && !(*authp = calloc(1, sizeof(**authp))))
		return -ENOMEM;
	if (!sip || (*authp)->rounds++ == ROUNDS_MAX)
		return -EACCES;
	server = take_all(*authp, stack, sip->sip_www_authenticate, false);
	proxy = take_all(*authp, stack, sip->sip_proxy_authenticate, true);
	if (server < 0 || proxy < 0)
		return -EACCES;
	return server + proxy > 0 ? 0 : -EACCES;
}

void sip_auth_free(struct sip_auth *auth)
{
	if (!auth)
		return;
	for (unsigned i = 0; i < auth->count; i++)
		challenge_clear(&auth->challenges[i]);
	free(auth);
}

/* --- the answer --- */

static void write_line(struct buffer *b, struct challenge *c,
    const struct sip_credential *credential, struct slice method, struct slice uri)
{
	const struct digest_secret secret = {
	    .password = slice_of(credential->password),
	    .ha1 = slice_of(credential->ha1),
	};
	struct digest_hash ha1, response;
	char cnonce[CNONCE + 1];
	struct digest digest = {
	    .algorithm = c->algorithm,
	    .says_algorithm = c->says_algorithm,
	    .without_qop = c->without_qop,
	    .realm = slice_of(c->realm),
	    .nonce = slice_of(c->nonce),
	    .opaque = slice_of(c->opaque),
	    .username = slice_of(credential->username),
	    .uri = uri,
	    .nc = ++c->nc,
	};
	int err;

	rand_token(cnonce, CNONCE);
	digest.cnonce = slice_of(cnonce);
	err = digest_secret_ha1(&secret, digest.algorithm, digest.username, digest.realm, &ha1);
	if (err == 0)
		err = digest_response(&digest, digest_hash_slice(&ha1), method, uri, &response);
	explicit_bzero(&ha1, sizeof(ha1));
	if (err < 0)
		return;
	digest.response = digest_hash_slice(&response);
	buffer_add(b, c->proxy ? SLICE("Proxy-Authorization: ") : SLICE("Authorization: "));
	digest_write_credentials(b, &digest);
	buffer_add(b, SLICE("\r\n"));
}

char *sip_auth_lines(struct sip_auth *auth, const struct sip_stack *stack, const char *method,
    const char *uri)
{
	struct buffer lines = {.max = BUFFER_UNBOUNDED};
	char *text;
	size_t len;

	for (unsigned i = 0; auth && i < auth->count; i++) {
		struct challenge *c = &auth->challenges[i];
		const struct sip_credential *credential =
		    find_credential(stack, slice_of(c->realm), c->algorithm);

		if (credential)
			write_line(&lines, c, credential, slice_of(method), slice_of(uri));
	}
	if (lines.len == 0 || buffer_take(&lines, &text, &len) < 0) {
		buffer_fini(&lines);
		return NULL;
	}
	return text;
}

/* --- the one request that nua must repeat by itself --- */

/* Sofia splits at colons, takes the realm in quotes, and marks a hash at both ends. */
static char *credentials_for_nua(const struct sip_credential *c)
{
	const char *mark = c->password ? "" : "HA1+";
	char *text = NULL;

	if (strchr(c->username, ':')
	    || asprintf(&text, "%sDigest:\"%s\":%s:%s%s", mark, c->realm, c->username, mark,
		   c->password ? c->password : c->ha1)
		< 0)
		return NULL;
	return text;
}

int sip_auth_answer_bye(const struct sip_stack *stack, const struct sip_event *ev)
{
	const msg_auth_t *auth = ev->sip && ev->status == 401 ? ev->sip->sip_www_authenticate
	    : ev->sip                                         ? ev->sip->sip_proxy_authenticate
							      : NULL;
	const struct sip_credential *credential = NULL;
	struct header h;
	char *text;

	for (; auth && !credential; auth = auth->au_next)
		credential = read_header(&h, stack, auth);
	/* Sofia's nua knows MD5 alone. */
	if (credential)
		credential = find_credential(stack, h.digest.realm, DIGEST_MD5);
	text = credential ? credentials_for_nua(credential) : NULL;
	if (!text)
		return -EACCES;
	nua_authenticate(ev->nh, NUTAG_AUTH(text), TAG_END());
	slice_free_secret(text);
	return 0;
}
