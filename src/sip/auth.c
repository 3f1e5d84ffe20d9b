/*
 * Our answers to challenges: RFC 3261 section 22, RFC 7616.  Our own and not Sofia's, which knows
 * MD5 alone, and which when it may repeat requests follows redirects with all they ask for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <sofia-sip/msg_header.h>

#include <msrpd/rand.h>

#include "sip/priv.h"

enum {
	CHALLENGES_MAX = 4, /* realms that one request may have to satisfy */
	ROUNDS_MAX = 4,     /* challenges in a row to one request */
	CNONCE = 16,
	HEX_MAX = 2 * EVP_MAX_MD_SIZE + 1,
};

struct challenge {
	const char *algorithm; /* OpenSSL's name */
	bool proxy, qop;
	bool named; /* the challenge says the algorithm */
	bool tried; /* by the request under way */
	char *realm, *nonce, *opaque;
	uint32_t nc;
};

struct sip_auth {
	struct challenge challenges[CHALLENGES_MAX];
	unsigned count, rounds;
};

/* --- reading a challenge --- */

/* A parameter without its quotes; what is escaped in it stays so. */
static struct slice param(const msg_auth_t *header, const char *name)
{
	struct slice value = slice_of(msg_header_find_param(header->au_common, name));

	if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
		value = (struct slice){value.p + 1, value.len - 2};
	return value;
}

static bool offers_auth(struct slice qop)
{
	struct slice word;

	while (slice_cut(&qop, ',', &word))
		if (slice_equal_nocase(slice_trim(word), SLICE("auth")))
			return true;
	return false;
}

static const char *algorithm_of(struct slice name)
{
	return !name.p || slice_equal_nocase(name, SLICE("MD5")) ? "MD5"
	    : slice_equal_nocase(name, SLICE("SHA-256"))         ? "SHA256"
								 : NULL;
}

static const struct sip_credential *find_credential(const struct sip_stack *stack,
    struct slice realm, const char *algorithm)
{
	for (size_t i = 0; i < stack->credential_count; i++) {
		const struct sip_credential *c = &stack->credentials[i];

		if (slice_equal(slice_of(c->realm), realm)
		    && (c->password || (c->ha1 && strcmp(algorithm, "MD5") == 0)))
			return c;
	}
	return NULL;
}

static bool can_answer(const struct sip_stack *stack, const msg_auth_t *header)
{
	const char *algorithm = algorithm_of(param(header, "algorithm"));
	struct slice qop = param(header, "qop"), realm = param(header, "realm");

	return slice_equal_nocase(slice_of(header->au_scheme), SLICE("Digest")) && algorithm
	    && realm.p && param(header, "nonce").p && (!qop.p || offers_auth(qop))
	    && find_credential(stack, realm, algorithm);
}

static void challenge_clear(struct challenge *c)
{
	free(c->realm);
	free(c->nonce);
	free(c->opaque);
	*c = (struct challenge){0};
}

static int challenge_set(struct challenge *c, const msg_auth_t *header, bool proxy)
{
	struct slice name = param(header, "algorithm"), opaque = param(header, "opaque");

	challenge_clear(c);
	c->proxy = proxy;
	c->named = name.p != NULL;
	c->algorithm = algorithm_of(name);
	c->qop = param(header, "qop").p != NULL;
	c->realm = slice_dup(param(header, "realm"));
	c->nonce = slice_dup(param(header, "nonce"));
	c->opaque = slice_dup(opaque);
	c->tried = true;
	return c->realm && c->nonce && (c->opaque || !opaque.p) ? 0 : -ENOMEM;
}

static struct challenge *find_challenge(struct sip_auth *auth, struct slice realm, bool proxy)
{
	for (unsigned i = 0; i < auth->count; i++)
		if (auth->challenges[i].proxy == proxy
		    && slice_equal(slice_of(auth->challenges[i].realm), realm))
			return &auth->challenges[i];
	return auth->count < CHALLENGES_MAX ? &auth->challenges[auth->count++] : NULL;
}

/* A realm may be challenged for several algorithms in one response: the first counts. */
static bool is_repeated(const msg_auth_t *first, const msg_auth_t *header,
    const struct sip_stack *stack)
{
	for (; first != header; first = first->au_next)
		if (can_answer(stack, first)
		    && slice_equal(param(first, "realm"), param(header, "realm")))
			return true;
	return false;
}

/* @return challenges that can be answered, or -EACCES: one was, in vain; -ENOMEM */
static int take_all(struct sip_auth *auth, const struct sip_stack *stack, const msg_auth_t *first,
    bool proxy)
{
	int taken = 0;

	for (const msg_auth_t *header = first; header; header = header->au_next) {
		struct challenge *c;

		if (!can_answer(stack, header) || is_repeated(first, header, stack))
			continue;
		c = find_challenge(auth, param(header, "realm"), proxy);
		if (!c)
			return -EACCES;
		if (c->tried && !slice_equal_nocase(param(header, "stale"), SLICE("true")))
			return -EACCES;
		if (challenge_set(c, header, proxy) < 0)
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
		auth->challenges[i].tried = false;
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

/* Hash of the texts with colons between them, in hexadecimal; count is 2 or more. */
static bool hash(char hex[HEX_MAX], const char *algorithm, const char *const *texts, size_t count)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_get_digestbyname(algorithm), NULL) == 1;

	for (size_t i = 0; ok && i < count; i++)
		ok = (i == 0 || EVP_DigestUpdate(ctx, ":", 1) == 1)
		    && EVP_DigestUpdate(ctx, texts[i], strlen(texts[i])) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, md, &len) == 1;
	EVP_MD_CTX_free(ctx);
	for (unsigned i = 0; ok && i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	return ok;
}

static bool make_response(char response[HEX_MAX], const struct challenge *c,
    const struct sip_credential *credential, const char *method, const char *uri, const char *nc,
    const char *cnonce)
{
	char ha1[HEX_MAX], ha2[HEX_MAX];
	const char *secret[] = {credential->username, c->realm, credential->password};
	const char *request[] = {method, uri};
	const char *with_qop[] = {ha1, c->nonce, nc, cnonce, "auth", ha2};
	const char *without[] = {ha1, c->nonce, ha2};

	if (credential->password
		? !hash(ha1, c->algorithm, secret, 3)
		: snprintf(ha1, sizeof(ha1), "%s", credential->ha1) >= (int)sizeof(ha1))
		return false;
	return hash(ha2, c->algorithm, request, 2)
	    && (c->qop ? hash(response, c->algorithm, with_qop, 6)
		       : hash(response, c->algorithm, without, 3));
}

static void write_line(FILE *out, struct challenge *c, const struct sip_credential *credential,
    const char *method, const char *uri)
{
	char response[HEX_MAX], cnonce[CNONCE + 1], nc[9];

	rand_token(cnonce, CNONCE);
	snprintf(nc, sizeof(nc), "%08x", ++c->nc);
	if (!make_response(response, c, credential, method, uri, nc, cnonce))
		return;
	fprintf(out,
	    "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\"",
	    c->proxy ? "Proxy-Authorization" : "Authorization", credential->username, c->realm,
	    c->nonce, uri, response);
	if (c->named)
		fprintf(out, ", algorithm=%s",
		    strcmp(c->algorithm, "MD5") == 0 ? "MD5" : "SHA-256");
	if (c->opaque)
		fprintf(out, ", opaque=\"%s\"", c->opaque);
	if (c->qop)
		fprintf(out, ", qop=auth, cnonce=\"%s\", nc=%s", cnonce, nc);
	fprintf(out, "\r\n");
}

char *sip_auth_lines(struct sip_auth *auth, const struct sip_stack *stack, const char *method,
    const char *uri)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (!auth || auth->count == 0 || !(out = open_memstream(&text, &len)))
		return NULL;
	for (unsigned i = 0; i < auth->count; i++) {
		struct challenge *c = &auth->challenges[i];
		const struct sip_credential *credential =
		    find_credential(stack, slice_of(c->realm), c->algorithm);

		if (credential)
			write_line(out, c, credential, method, uri);
	}
	if (fclose(out) != 0 || len == 0) {
		free(text);
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
	const msg_auth_t *header = ev->sip && ev->status == 401 ? ev->sip->sip_www_authenticate
	    : ev->sip                                           ? ev->sip->sip_proxy_authenticate
								: NULL;
	char *text;

	while (header && !can_answer(stack, header))
		header = header->au_next;
	text = header ? credentials_for_nua(find_credential(stack, param(header, "realm"), "MD5"))
		      : NULL;
	if (!text)
		return -EACCES;
	nua_authenticate(ev->nh, NUTAG_AUTH(text), TAG_END());
	free(text);
	return 0;
}
