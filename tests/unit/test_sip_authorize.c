/* Which credentials of a request are looked at, and what it is told without: RFC 3261 22, RFC 8760. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "hashes.h"
#include "sip/request_priv.h"

#define REALM "example.org"
#define NONE  ((struct slice){NULL, 0})

enum { CREDENTIALS_MAX = 20, LOOKED_AT = 16, TEXT_SIZE = 1024 };

struct sip_request {
	struct auth *auth;
	char credentials[CREDENTIALS_MAX][TEXT_SIZE];
	size_t count;
	bool by_udp, barred, no_memory;
	int code;
	char headers[2 * TEXT_SIZE];
	unsigned failures;
	char user[32], realm[32];
};

/* --- the request --- */

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	switch (field) {
	case SIP_FIELD_METHOD:
		return SLICE("REGISTER");
	case SIP_FIELD_RURI:
		return SLICE("sip:" REALM);
	case SIP_FIELD_SOURCE_ADDRESS:
		return SLICE("192.0.2.1");
	case SIP_FIELD_AUTH_REALM:
		return req->realm[0] ? slice_of(req->realm) : NONE;
	default:
		return NONE;
	}
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	assert_true(slice_equal(name, SLICE("Authorization")));
	return index < req->count ? slice_of(req->credentials[index]) : NONE;
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return sip_request_header_at(req, name, 0);
}

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	return req->by_udp ? NULL : (struct sip_flow *)(uintptr_t)req;
}

struct auth *sip_request_auth(const struct sip_request *req)
{
	return req->auth;
}

bool sip_request_answered(const struct sip_request *req)
{
	return req->code != 0;
}

bool sip_request_is_barred(const struct sip_request *req)
{
	return req->barred;
}

void sip_request_note_failure(struct sip_request *req)
{
	req->failures++;
}

int sip_request_authorized(struct sip_request *req, struct slice user, struct slice realm)
{
	if (req->no_memory)
		return -ENOMEM;
	snprintf(req->user, sizeof(req->user), "%.*s", SLICE_ARG(user));
	snprintf(req->realm, sizeof(req->realm), "%.*s", SLICE_ARG(realm));
	return 0;
}

int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers)
{
	(void)reason;
	assert_int_equal(req->code, 0);
	req->code = code;
	snprintf(req->headers, sizeof(req->headers), "%.*s", SLICE_ARG(headers));
	return 0;
}

/* --- who sends it --- */

static int set_up(void **state)
{
	static struct auth_user rows[] = {{"alice", "secret", NULL, NULL}};
	static const struct setting_list map = {rows, 1};
	const struct auth_sources sources = {.maps = {&map}};
	struct sip_request *req = calloc(1, sizeof(*req));
	struct users *users;
	struct reason why;

	assert_non_null(req);
	assert_int_equal(users_new(&users, &sources, &why), 0);
	assert_int_equal(auth_new(&req->auth, users, 60000), 0);
	*state = req;
	return 0;
}

static int tear_down(void **state)
{
	struct sip_request *req = *state;

	auth_free(req->auth);
	free(req);
	return 0;
}

/* To a challenge of that realm, which need not be ours. */
static void add_answer_of(struct sip_request *req, const char *user,
    enum digest_algorithm algorithm, const char *realm, const char *password)
{
	char challenge[TEXT_SIZE];
	struct buffer w = BUFFER_ON(challenge),
		      out = {.p = req->credentials[req->count], .cap = TEXT_SIZE - 1};
	const struct auth_terms terms = {.realm = slice_of(realm), .algorithm = algorithm};
	struct digest_hash ha1, response;
	struct digest d;

	auth_write_challenge(req->auth, &terms, false, &w);
	assert_int_equal(digest_parse_challenge(&d, buffer_text(&w)), 0);
	d.username = slice_of(user);
	d.uri = SLICE("sip:" REALM);
	d.cnonce = SLICE("0a4f113b");
	d.nc = 1;
	digest_ha1(algorithm, d.username, d.realm, slice_of(password), &ha1);
	digest_response(&d, digest_hash_slice(&ha1), SLICE("REGISTER"), d.uri, &response);
	d.response = digest_hash_slice(&response);
	digest_write_credentials(&out, &d);
	assert_int_equal(out.err, 0);
	req->credentials[req->count++][out.len] = '\0';
}

static void add_answer(struct sip_request *req, enum digest_algorithm algorithm, const char *realm,
    const char *password)
{
	add_answer_of(req, "alice", algorithm, realm, password);
}

static void again(struct sip_request *req)
{
	req->code = 0;
	req->count = req->failures = 0;
	req->user[0] = req->realm[0] = '\0';
}

static int authorize(struct sip_request *req, const struct sip_digests *digests)
{
	return sip_request_authorize(req, SLICE(REALM), digests);
}

static void expect_challenge(struct sip_request *req, const struct sip_digests *digests)
{
	assert_int_equal(authorize(req, digests), -EACCES);
	assert_int_equal(req->code, 401);
	assert_non_null(strstr(req->headers, "WWW-Authenticate: Digest "));
	assert_int_equal(req->user[0], '\0');
}

/* --- cases --- */

static void test_who_shows_none_is_asked(void **state)
{
	static const struct sip_digests both = {{SIP_DIGEST_SHA256, SIP_DIGEST_MD5}, 2};
	struct sip_request *req = *state;
	const char *first;

	expect_challenge(req, NULL);
	assert_non_null(strstr(req->headers, "realm=\"" REALM "\""));
	assert_null(strstr(req->headers, "stale=true"));
	assert_null(strstr(req->headers + 1, "WWW-Authenticate"));
	again(req);
	expect_challenge(req, &both);
	first = strstr(req->headers, "SHA-256");
	assert_non_null(first);
	assert_non_null(strstr(first, "WWW-Authenticate: Digest ")); /* what is liked less */
	assert_int_equal(req->failures, 0);
}

static void test_who_proves_it_is_known(void **state)
{
	static const struct sip_digests strong = {{SIP_DIGEST_SHA256}, 1};
	struct sip_request *req = *state;

	add_answer(req, DIGEST_MD5, REALM, "secret");
	assert_int_equal(authorize(req, NULL), 0);
	assert_string_equal(req->user, "alice");
	assert_string_equal(req->realm, REALM);
	assert_int_equal(req->code, 0);
	/* Another rule asks again: the count has been used. */
	assert_int_equal(authorize(req, NULL), 0);
	again(req);
	add_answer(req, DIGEST_SHA256, REALM, "secret");
	assert_int_equal(authorize(req, &strong), 0);
	again(req);
	req->no_memory = true;
	add_answer(req, DIGEST_MD5, REALM, "secret");
	assert_int_equal(authorize(req, NULL), -ENOMEM);
	assert_int_equal(req->code, 500);
}

static void test_those_of_others_are_passed_over(void **state)
{
	struct sip_request *req = *state;

	strcpy(req->credentials[req->count++], "Basic YWxpY2U6c2VjcmV0");
	strcpy(req->credentials[req->count++], "Digest username=\"alice");
	add_answer(req, DIGEST_MD5, "elsewhere", "secret");
	add_answer(req, DIGEST_SHA256, REALM, "secret"); /* not offered */
	add_answer(req, DIGEST_MD5, REALM, "secret");
	assert_int_equal(authorize(req, NULL), 0);
	again(req);
	while (req->count < LOOKED_AT)
		add_answer(req, DIGEST_MD5, "elsewhere", "secret");
	add_answer(req, DIGEST_MD5, REALM, "secret");
	expect_challenge(req, NULL);
	again(req);
	add_answer(req, DIGEST_SHA256, REALM, "secret");
	expect_challenge(req, NULL);
	assert_int_equal(req->failures, 0);
}

static void test_wrong_ones_count(void **state)
{
	struct sip_request *req = *state;

	add_answer(req, DIGEST_MD5, REALM, "wrong");
	expect_challenge(req, NULL);
	assert_int_equal(req->failures, 1);
	assert_null(strstr(req->headers, "stale=true"));
	/* Right, but for a connection: who sent the datagram may not have got that nonce. */
	again(req);
	add_answer(req, DIGEST_MD5, REALM, "secret");
	req->by_udp = true;
	expect_challenge(req, NULL);
	assert_non_null(strstr(req->headers, "stale=true"));
	assert_int_equal(req->failures, 0);
}

/* How long it takes does not tell whether there is such a user. */
static void test_the_same_work_for_nobody(void **state)
{
	static const struct sip_digests both = {{SIP_DIGEST_SHA256, SIP_DIGEST_MD5}, 2};
	static const char *const users[] = {"alice", "nobody"};
	static const enum digest_algorithm algorithms[] = {DIGEST_MD5, DIGEST_SHA256};
	struct sip_request *req = *state;

	for (size_t i = 0; i < 2 * 2; i++) {
		bool md5 = algorithms[i / 2] == DIGEST_MD5;
		struct hashes work;

		again(req);
		add_answer_of(req, users[i % 2], algorithms[i / 2], REALM, "wrong");
		hashes_take();
		expect_challenge(req, &both);
		work = hashes_take();
		assert_int_equal(work.md5, md5 ? 3 : 0); /* HA1, HA2 and both */
		assert_int_equal(work.sha256, md5 ? 0 : 3);
		assert_int_equal(req->failures, 1);
	}
}

static void test_who_is_barred_is_not_looked_at(void **state)
{
	struct sip_request *req = *state;

	req->barred = true;
	expect_challenge(req, NULL);
	again(req);
	add_answer(req, DIGEST_MD5, REALM, "secret");
	assert_int_equal(authorize(req, NULL), -EACCES);
	assert_int_equal(req->code, 403);
	assert_int_equal(authorize(req, NULL), -EEXIST); /* it is answered */
}

static void test_a_realm_is_needed(void **state)
{
	struct sip_request *req = *state;
	static char longest[3 * TEXT_SIZE];

	assert_int_equal(sip_request_authorize(req, SLICE(""), NULL), -EINVAL);
	assert_int_equal(req->code, 500);
	again(req);
	memset(longest, 'r', sizeof(longest) - 1);
	assert_int_equal(sip_request_authorize(req, slice_of(longest), NULL), -EINVAL);
	assert_int_equal(req->code, 500);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_who_shows_none_is_asked),
	    TEST(test_who_proves_it_is_known),
	    TEST(test_those_of_others_are_passed_over),
	    TEST(test_wrong_ones_count),
	    TEST(test_the_same_work_for_nobody),
	    TEST(test_who_is_barred_is_not_looked_at),
	    TEST(test_a_realm_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
