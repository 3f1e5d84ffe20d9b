/* Our answer to a challenge: RFC 3261 section 22; Sofia does the digest (MD5 alone). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>

#include "sip/priv.h"

/* A parameter of the challenge without its quotes. */
static struct slice challenge_param(const msg_auth_t *challenge, const char *name)
{
	struct slice value = slice_of(msg_header_find_param(challenge->au_common, name));

	if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
		value = (struct slice){value.p + 1, value.len - 2};
	return value;
}

static bool is_for_us(const msg_auth_t *challenge)
{
	struct slice algorithm = challenge_param(challenge, "algorithm");

	return slice_equal_nocase(slice_of(challenge->au_scheme), SLICE("Digest"))
	    && (!algorithm.p || slice_equal_nocase(algorithm, SLICE("MD5")));
}

static const struct sip_credential *find_credential(const struct sip_stack *stack, struct slice realm)
{
	for (size_t i = 0; i < stack->credential_count; i++)
		if (slice_equal(slice_of(stack->credentials[i].realm), realm))
			return &stack->credentials[i];
	return NULL;
}

static bool was_used(const struct sip_auth *auth, const struct sip_credential *c)
{
	for (unsigned i = 0; i < auth->tries; i++)
		if (auth->used[i] == c)
			return true;
	return false;
}

/* Sofia splits at colons and takes the realm in quotes. */
static char *make_credentials(const struct sip_credential *c)
{
	char *text = NULL;

	if (strchr(c->username, ':') || strchr(c->realm, '"'))
		return NULL;
	if (asprintf(&text, "Digest:\"%s\":%s:%s%s", c->realm, c->username, c->ha1 ? "HA1+" : "",
		c->ha1 ? c->ha1 : c->password) < 0)
		return NULL;
	return text;
}

static int answer_one(struct sip_auth *auth, struct sip_stack *stack, const msg_auth_t *challenge,
    char **textp)
{
	const struct sip_credential *c = find_credential(stack, challenge_param(challenge, "realm"));
	bool stale = slice_equal_nocase(challenge_param(challenge, "stale"), SLICE("true"));

	/* Refused once they are refused for good, unless it was but the nonce that was too old. */
	if (!c || auth->tries == SIP_AUTH_TRIES_MAX || (was_used(auth, c) && !stale))
		return -EACCES;
	*textp = make_credentials(c);
	if (!*textp)
		return -EACCES;
	auth->used[auth->tries++] = c;
	return 0;
}

static const msg_auth_t *first_for_us(const msg_auth_t *challenge)
{
	while (challenge && !is_for_us(challenge))
		challenge = challenge->au_next;
	return challenge;
}

int sip_auth_answer(struct sip_auth *auth, struct sip_stack *stack, const struct sip_event *ev)
{
	const msg_auth_t *server = ev->sip ? first_for_us(ev->sip->sip_www_authenticate) : NULL;
	const msg_auth_t *proxy = ev->sip ? first_for_us(ev->sip->sip_proxy_authenticate) : NULL;
	char *server_text = NULL, *proxy_text = NULL;
	int err = server || proxy ? 0 : -EACCES;

	if (!err && server)
		err = answer_one(auth, stack, server, &server_text);
	if (!err && proxy)
		err = answer_one(auth, stack, proxy, &proxy_text);
	if (!err) {
		nua_authenticate(ev->nh, TAG_IF(server_text, NUTAG_AUTH(server_text)),
		    TAG_IF(proxy_text, NUTAG_AUTH(proxy_text)), TAG_END());
		sip_stack_kick(stack);
	}
	free(server_text);
	free(proxy_text);
	return err;
}
