/* Digest as a server: what is right, wrong and stale (RFC 7616; RFC 3261 section 22). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "auth/auth.h"
#include "hashes.h"

#define REALM   "example.org"
#define NO_USER "nobody"

/* H(bob:example.org:secret) by md5sum. */
static char bob_md5[] = "3d43f24c71b71cdd4be54e0721962a79";

struct fixture {
	struct auth_user rows[2];
	struct setting_list map;
	struct auth *auth;
	char challenge[512], credentials[1024];
	struct digest digest; /* the client's */
	struct hashes work;   /* of the last verdict */
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct auth_sources sources = {.maps = {&f->map}};
	struct users *users;
	struct reason why;

	f->rows[0] = (struct auth_user){"alice", "secret", NULL, NULL};
	f->rows[1] = (struct auth_user){"bob", NULL, bob_md5, NULL};
	f->map = (struct setting_list){f->rows, 2};
	assert_int_equal(users_new(&users, &sources, &why), 0);
	assert_int_equal(auth_new(&f->auth, users, 60000), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	auth_free(f->auth);
	test_free(f);
	return 0;
}

static struct auth_terms terms_by(enum digest_algorithm algorithm)
{
	return (struct auth_terms){
	    .realm = SLICE(REALM),
	    .algorithm = algorithm,
	    .method = SLICE("REGISTER"),
	    .uri = SLICE("sip:example.org"),
	};
}

/* A client takes a challenge. */
static void ask(struct fixture *f, enum digest_algorithm algorithm, bool stale)
{
	struct auth_terms terms = terms_by(algorithm);
	struct buffer w = BUFFER_ON(f->challenge);

	auth_write_challenge(f->auth, &terms, stale, &w);
	assert_int_equal(w.err, 0);
	assert_int_equal(digest_parse_challenge(&f->digest, buffer_text(&w)), 0);
	assert_true(slice_equal(f->digest.realm, SLICE(REALM)));
	assert_int_equal(f->digest.algorithm, algorithm);
	assert_int_equal(f->digest.stale, stale);
}

/* The same by datagram. */
static void ask_from(struct fixture *f, const struct auth_terms *terms)
{
	struct buffer w = BUFFER_ON(f->challenge);

	auth_write_challenge(f->auth, terms, false, &w);
	assert_int_equal(digest_parse_challenge(&f->digest, buffer_text(&w)), 0);
}

/* It answers, and the server judges. */
static enum auth_verdict answer(struct fixture *f, const char *user, const char *password,
    uint32_t nc, const struct auth_terms *terms)
{
	struct digest_hash ha1, response, rspauth;
	struct buffer w = BUFFER_ON(f->credentials);
	struct digest parsed;
	enum auth_verdict verdict;

	f->digest.username = slice_of(user);
	f->digest.uri = SLICE("sip:example.org");
	f->digest.cnonce = SLICE("0a4f113b");
	f->digest.nc = nc;
	assert_int_equal(digest_ha1(f->digest.algorithm, f->digest.username, f->digest.realm,
			     slice_of(password), &ha1),
	    0);
	assert_int_equal(digest_response(&f->digest, digest_hash_slice(&ha1), SLICE("REGISTER"),
			     f->digest.uri, &response),
	    0);
	f->digest.response = digest_hash_slice(&response);
	digest_write_credentials(&w, &f->digest);
	assert_int_equal(digest_parse_credentials(&parsed, buffer_text(&w)), 0);
	hashes_take(); /* the client's */
	verdict = auth_check(f->auth, &parsed, terms, &rspauth);
	f->work = hashes_take();
	if (verdict == AUTH_RIGHT) {
		assert_int_equal(
		    digest_rspauth(&f->digest, digest_hash_slice(&ha1), f->digest.uri, &response),
		    0);
		assert_true(digest_matches(&response, digest_hash_slice(&rspauth)));
	}
	return verdict;
}

static void who_knows_the_password(void **state)
{
	static const struct {
		const char *user, *password;
		enum digest_algorithm algorithm;
		enum auth_verdict verdict;
	} cases[] = {
	    {"alice", "secret", DIGEST_MD5, AUTH_RIGHT},
	    {"alice", "secret", DIGEST_SHA256, AUTH_RIGHT},
	    {"alice", "wrong", DIGEST_MD5, AUTH_WRONG},
	    {"alice", "", DIGEST_MD5, AUTH_WRONG},
	    {"Alice", "secret", DIGEST_MD5, AUTH_WRONG},
	    {NO_USER, "secret", DIGEST_MD5, AUTH_WRONG},
	    {NO_USER, "no password at all", DIGEST_MD5, AUTH_WRONG},
	    {"bob", "secret", DIGEST_MD5, AUTH_RIGHT},
	    {"bob", "no password at all", DIGEST_MD5, AUTH_WRONG},
	    {"bob", "secret", DIGEST_SHA256, AUTH_WRONG}, /* known by his MD5 alone */
	    {"bob", "no password at all", DIGEST_SHA256, AUTH_WRONG},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct auth_terms terms = terms_by(cases[i].algorithm);

		ask(f, cases[i].algorithm, false);
		if (answer(f, cases[i].user, cases[i].password, 1, &terms) != cases[i].verdict)
			fail_msg("case %zu", i);
	}
}

/* How long it takes tells nobody who is there: HA1, then HA2 and the hash of both, twice. */
static void the_same_work_for_whoever_it_is(void **state)
{
	static const char *const users[] = {"alice", "bob", NO_USER},
				 *const passwords[] = {"secret", "wrong"};
	static const enum digest_algorithm algorithms[] = {DIGEST_MD5, DIGEST_SHA256};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2 * 3 * 2; i++) {
		bool md5 = algorithms[i % 2] == DIGEST_MD5;
		struct auth_terms terms = terms_by(algorithms[i % 2]);

		ask(f, algorithms[i % 2], false);
		answer(f, users[i / 4], passwords[i / 2 % 2], 1, &terms);
		assert_int_equal(f->work.md5, md5 ? 5 : 0);
		assert_int_equal(f->work.sha256, md5 ? 0 : 5);
		assert_int_equal(f->work.others, 0);
	}
}

static void for_what_it_was_made(void **state)
{
	struct fixture *f = *state;
	struct auth_terms terms = terms_by(DIGEST_MD5);

	ask(f, DIGEST_MD5, false);
	terms.method = SLICE("MESSAGE");
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	terms = terms_by(DIGEST_MD5);
	terms.uri = SLICE("sip:example.com");
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	terms = terms_by(DIGEST_MD5);
	terms.realm = SLICE("example.com");
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	/* No way down from the algorithm that is asked for. */
	terms = terms_by(DIGEST_SHA256);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	terms = terms_by(DIGEST_MD5);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_RIGHT);
}

static void a_secret_from_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct digest_secret welcome = {.password = SLICE("welcome")}, none = {.ha1 = {NULL, 0}};
	struct auth_terms terms = terms_by(DIGEST_MD5);

	ask(f, DIGEST_MD5, false);
	terms.secret = &welcome;
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	assert_int_equal(answer(f, "guest", "welcome", 1, &terms), AUTH_RIGHT);
	terms.secret = &none;
	assert_int_equal(answer(f, "alice", "secret", 2, &terms), AUTH_WRONG);
}

static void counts_and_nonces(void **state)
{
	struct fixture *f = *state;
	struct auth_terms terms = terms_by(DIGEST_MD5);

	ask(f, DIGEST_MD5, false);
	assert_int_equal(answer(f, "alice", "wrong", 1, &terms), AUTH_WRONG);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_RIGHT);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_STALE);
	assert_int_equal(answer(f, "alice", "secret", 2, &terms), AUTH_RIGHT);
	ask(f, DIGEST_MD5, true);
	f->digest.nonce = SLICE("0123456789abcdef");
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_STALE);
	assert_int_equal(answer(f, "alice", "wrong", 1, &terms), AUTH_WRONG);
}

/* Right or wrong, without a nonce that has reached the address it is nobody's word. */
static void by_datagram(void **state)
{
	static const char *const passwords[] = {"secret", "wrong"};
	struct fixture *f = *state;
	struct auth_terms terms = terms_by(DIGEST_MD5);

	for (size_t i = 0; i < 2; i++) {
		terms.sender = SLICE("192.0.2.1");
		ask(f, DIGEST_MD5, false); /* over a connection */
		assert_int_equal(answer(f, "alice", passwords[i], 1, &terms), AUTH_STALE);
		ask_from(f, &terms);
		terms.sender = SLICE("192.0.2.2");
		assert_int_equal(answer(f, "alice", passwords[i], 1, &terms), AUTH_STALE);
		terms.sender = SLICE("192.0.2.1");
		f->digest.nonce = SLICE("00");
		assert_int_equal(answer(f, "alice", passwords[i], 1, &terms), AUTH_STALE);
	}
	ask_from(f, &terms);
	assert_int_equal(answer(f, "alice", "wrong", 1, &terms), AUTH_WRONG);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_RIGHT);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_STALE);
}

static void other_users_by_a_reload(void **state)
{
	struct fixture *f = *state;
	struct auth_terms terms = terms_by(DIGEST_MD5);
	struct auth_sources sources = {.maps = {&f->map}};
	struct users *users;
	struct reason why;

	ask(f, DIGEST_MD5, false);
	f->rows[0].password = "changed";
	assert_int_equal(users_new(&users, &sources, &why), 0);
	auth_reload(f->auth, users, 60000);
	assert_int_equal(answer(f, "alice", "secret", 1, &terms), AUTH_WRONG);
	assert_int_equal(answer(f, "alice", "changed", 1, &terms), AUTH_RIGHT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* By a password, and by a hash for those of its realm. */
static void a_password(void **state)
{
	struct fixture *f = *state;
	char *names[] = {(char *)(uintptr_t) "example.net", (char *)(uintptr_t)REALM};
	const struct setting_list realms = {names, 2}, none = {NULL, 0};

	assert_true(auth_login(f->auth, SLICE("alice"), SLICE("secret"), &realms));
	assert_true(auth_login(f->auth, SLICE("alice"), SLICE("secret"), &none));
	assert_true(auth_login(f->auth, SLICE("bob"), SLICE("secret"), &realms));
	assert_false(auth_login(f->auth, SLICE("bob"), SLICE("secret"), &none));
	assert_false(auth_login(f->auth, SLICE("bob"), slice_of(bob_md5), &realms));
	assert_false(auth_login(f->auth, SLICE("alice"), SLICE("Secret"), &realms));
	assert_false(auth_login(f->auth, SLICE("alice"), SLICE(""), &realms));
	assert_false(auth_login(f->auth, SLICE(NO_USER), SLICE("secret"), &realms));
	assert_false(auth_login(f->auth, SLICE(NO_USER), SLICE(""), &realms));
}

/* By each realm, and by none: what is known of him and what he says, by either algorithm. */
static void the_same_work_for_a_password(void **state)
{
	static const char *const users[] = {"alice", "bob", NO_USER},
				 *const passwords[] = {"secret", "wrong", ""};
	struct fixture *f = *state;
	char *names[] = {(char *)(uintptr_t) "example.net", (char *)(uintptr_t)REALM};
	const struct setting_list realms = {names, 2};

	for (size_t i = 0; i < 3 * 3; i++) {
		struct hashes work;

		hashes_take();
		auth_login(f->auth, slice_of(users[i / 3]), slice_of(passwords[i % 3]), &realms);
		work = hashes_take();
		assert_int_equal(work.md5, 3 * 2);
		assert_int_equal(work.sha256, 3 * 2);
		assert_int_equal(work.others, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(who_knows_the_password),
	    TEST(the_same_work_for_whoever_it_is),
	    TEST(for_what_it_was_made),
	    TEST(a_secret_from_elsewhere),
	    TEST(counts_and_nonces),
	    TEST(by_datagram),
	    TEST(other_users_by_a_reload),
	    TEST(a_password),
	    TEST(the_same_work_for_a_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
