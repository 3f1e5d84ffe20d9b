#include "auth/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/nonce.h"

struct auth {
	struct users *users;
	struct nonces *nonces;
};

int auth_new(struct auth **authp, struct users *users, uint64_t nonce_expire_ms)
{
	struct auth *auth = calloc(1, sizeof(*auth));
	int err = auth ? nonces_new(&auth->nonces, nonce_expire_ms) : -ENOMEM;

	if (err < 0) {
		users_free(users);
		free(auth);
		return err;
	}
	auth->users = users;
	*authp = auth;
	return 0;
}

void auth_reload(struct auth *auth, struct users *users, uint64_t nonce_expire_ms)
{
	users_free(auth->users);
	auth->users = users;
	nonces_set_expire(auth->nonces, nonce_expire_ms);
}

int auth_share(struct auth *auth, struct slice secret)
{
	return nonces_share(auth->nonces, secret);
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	users_free(auth->users);
	nonces_free(auth->nonces);
	free(auth);
}

/* Somebody's word for who he is. */
struct auth_claim {
	struct slice user, realm, password;
};

/* Are they over what the terms say, by whoever knows the secret? */
static bool matches(const struct digest *digest, const struct auth_terms *terms,
    const struct digest_secret *secret, struct digest_hash *rspauth)
{
	struct digest_hash ha1, response;
	int known =
	    digest_secret_ha1(secret, digest->algorithm, digest->username, terms->realm, &ha1);
	int err = known == -ENOMEM ? known
				   : digest_response(digest, digest_hash_slice(&ha1), terms->method,
				       terms->uri, &response);

	if (err == 0 && rspauth)
		err = digest_rspauth(digest, digest_hash_slice(&ha1), terms->uri, rspauth);
	explicit_bzero(&ha1, sizeof(ha1));
	return err == 0 && digest_matches(&response, digest->response) && known == 0;
}

enum auth_verdict auth_check(struct auth *auth, const struct digest *digest,
    const struct auth_terms *terms, struct digest_hash *rspauth)
{
	struct digest_secret secret = {.password = {NULL, 0}};

	if (terms->sender.p && !nonces_know(auth->nonces, digest->nonce, terms->sender))
		return AUTH_STALE;
	if (terms->secret)
		secret = *terms->secret;
	else
		users_find(auth->users, digest->username, terms->realm, &secret);
	if (!matches(digest, terms, &secret, rspauth) || !slice_equal(digest->realm, terms->realm)
	    || digest->algorithm != terms->algorithm)
		return AUTH_WRONG;
	return nonces_use(auth->nonces, digest->nonce, terms->sender, digest->nc) == NONCE_FRESH
	    ? AUTH_RIGHT
	    : AUTH_STALE;
}

void auth_write_challenge(struct auth *auth, const struct auth_terms *terms, bool stale,
    struct buffer *b)
{
	char nonce[NONCE_LEN + 1];
	struct digest digest = {
	    .algorithm = terms->algorithm,
	    .realm = terms->realm,
	    .nonce = {nonce, NONCE_LEN},
	    .stale = stale,
	};

	nonces_make(auth->nonces, terms->sender, nonce);
	digest_write_challenge(b, &digest);
}

/* By the hash of one realm, which of a password is any. */
static bool knows(const struct digest_secret *secret, enum digest_algorithm algorithm,
    const struct auth_claim *claim)
{
	struct digest_hash known, claimed;
	int err = digest_secret_ha1(secret, algorithm, claim->user, claim->realm, &known);
	int failed = digest_ha1(algorithm, claim->user, claim->realm, claim->password, &claimed);
	bool same =
	    err != -ENOMEM && !failed && digest_matches(&known, digest_hash_slice(&claimed));

	explicit_bzero(&known, sizeof(known));
	explicit_bzero(&claimed, sizeof(claimed));
	return same && err == 0;
}

static bool is_right(struct auth *auth, const struct auth_claim *claim)
{
	struct digest_secret secret = {.password = {NULL, 0}};
	bool right;

	users_find(auth->users, claim->user, claim->realm, &secret);
	right = knows(&secret, DIGEST_MD5, claim);
	right |= knows(&secret, DIGEST_SHA256, claim);
	return right;
}

bool auth_login(struct auth *auth, struct slice user, struct slice password,
    const struct setting_list *realms)
{
	struct auth_claim claim = {user, SLICE(""), password};
	bool right = is_right(auth, &claim);

	for (size_t i = 0; i < realms->count; i++) {
		claim.realm = slice_of(((char *const *)realms->items)[i]);
		right |= is_right(auth, &claim);
	}
	return right;
}
