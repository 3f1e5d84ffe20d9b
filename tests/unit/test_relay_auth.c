/* AUTH for the relay: RFC 4976 6.3, 9.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/users.h"
#include "hashes.h"
#include "loop.h"
#include "relay_side.h"

static char alice_name[] = "alice", alice_password[] = "secret";
static struct auth_user users[] = {{.name = alice_name, .password = alice_password}};

enum { HEX_SIZE = 2 * 32 + 1 }; /* of SHA-256 */

struct fixture {
	struct relay_side side;
	struct relay_peer peer;
	char to_path[256], nonce[80];
	const char *before; /* relays that it came by, with a space; NULL: none */
	unsigned nc;
	const char *algorithm; /* of the client's digest; NULL: MD5, which it does not say */
};

static int setup_with(void **state, bool plain)
{
	struct fixture *f = calloc(1, sizeof(*f));

	relay_side_init(&f->side);
	f->side.settings.allow_plain_auth = true;
	f->side.settings.users = (struct setting_list){users, 1};
	assert_int_equal(relay_side_start(&f->side), 0);
	relay_peer_open(&f->peer, &f->side, "alice");
	f->side.settings.allow_plain_auth = plain;
	snprintf(f->to_path, sizeof(f->to_path), "msrp://127.0.0.1:%u;tcp", f->side.msrp.port);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, true);
}

static int setup_for_tls_alone(void **state)
{
	return setup_with(state, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	relay_peer_close(&f->peer);
	relay_side_stop(&f->side);
	free(f);
	return 0;
}

/* --- a client's digest, RFC 2617 --- */

static void hash_hex(const struct fixture *f, char hex[HEX_SIZE], const char *format, ...)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char text[1024];
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_int_equal(EVP_Q_digest(NULL, f->algorithm ? f->algorithm : "MD5", NULL, text,
			     strlen(text), hash, &len),
	    1);
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

static void prove(const struct fixture *f, const char *user, const char *password,
    const char *method, char response[HEX_SIZE])
{
	char ha1[HEX_SIZE], ha2[HEX_SIZE];

	hash_hex(f, ha1, "%s:127.0.0.1:%s", user, password);
	hash_hex(f, ha2, "%s:%s", method, f->to_path);
	hash_hex(f, response, "%s:%s:%08x:abcd:auth:%s", ha1, f->nonce, f->nc, ha2);
}

static void say_auth(struct fixture *f, const char *headers)
{
	relay_peer_say(&f->peer,
	    "MSRP auth1234 AUTH\r\nTo-Path: %s\r\nFrom-Path: %s%s\r\n%s"
	    "-------auth1234$\r\n",
	    f->to_path, f->before ? f->before : "", f->peer.own, headers);
	relay_peer_expect(&f->peer, "MSRP auth1234 ");
	msrp_peer_expect(&f->peer.raw, "-------auth1234$\r\n");
}

/* A value of what has come: from behind name to the next end. */
static void take(struct fixture *f, const char *name, char end, char *value, size_t size)
{
	const char *p = strstr(f->peer.raw.got, name);
	const char *stop = p ? strchr(p + strlen(name), end) : NULL;

	assert_non_null(stop);
	p += strlen(name);
	snprintf(value, size, "%.*s", (int)(stop - p), p);
}

static bool said(const struct fixture *f, const char *text)
{
	return strstr(f->peer.raw.got, text) != NULL;
}

static void be_challenged(struct fixture *f)
{
	say_auth(f, "");
	assert_true(said(f, "401 Unauthorized\r\n"));
	take(f, "nonce=\"", '"', f->nonce, sizeof(f->nonce));
	f->nc = 0;
}

/* With the nonce of the last challenge. */
static void answer(struct fixture *f, const char *user, const char *password, const char *headers)
{
	char response[HEX_SIZE], text[1024];

	f->nc++;
	prove(f, user, password, "AUTH", response);
	snprintf(text, sizeof(text),
	    "Authorization: Digest username=\"%s\", realm=\"127.0.0.1\", nonce=\"%s\", qop=auth, "
	    "nc=%08x, cnonce=\"abcd\", response=\"%s\"%s%s\r\n%s",
	    user, f->nonce, f->nc, response, f->algorithm ? ", algorithm=" : "",
	    f->algorithm ? f->algorithm : "", headers);
	say_auth(f, text);
}

/* --- */

static void a_grant(void **state)
{
	struct fixture *f = *state;
	char path[200], again[200], rspauth[HEX_SIZE], proof[HEX_SIZE];

	be_challenged(f);
	assert_true(said(f, "realm=\"127.0.0.1\""));
	assert_true(said(f, "qop=\"auth\""));
	answer(f, "alice", "secret", "");
	assert_true(said(f, "200 OK\r\n"));
	assert_true(said(f, "Expires: 60\r\n"));
	take(f, "Use-Path: ", '\r', path, sizeof(path));
	take(f, "rspauth=\"", '"', rspauth, sizeof(rspauth));
	prove(f, "alice", "secret", "", proof);
	assert_string_equal(rspauth, proof);
	assert_int_equal(relay_service.sessions(f->side.relay), 1);
	/* Again: the same one, for longer. */
	answer(f, "alice", "secret", "Expires: 100\r\n");
	take(f, "Use-Path: ", '\r', again, sizeof(again));
	assert_string_equal(path, again);
	assert_true(said(f, "Expires: 100\r\n"));
	assert_int_equal(relay_service.sessions(f->side.relay), 1);
	assert_int_equal(*f->side.relay->count.refreshed, 1);
}

static void a_count_is_good_once(void **state)
{
	struct fixture *f = *state;

	be_challenged(f);
	answer(f, "alice", "secret", "");
	f->nc--;
	answer(f, "alice", "secret", "");
	assert_true(said(f, "401 "));
	assert_true(said(f, "stale=true"));
}

static void a_nonce_of_somebody_else(void **state)
{
	struct fixture *f = *state;

	be_challenged(f);
	f->nonce[0] = f->nonce[0] == 'a' ? 'b' : 'a';
	answer(f, "alice", "secret", "");
	assert_true(said(f, "401 "));
	assert_true(said(f, "stale=true"));
	assert_int_equal(relay_service.sessions(f->side.relay), 0);
}

/* Nobody learns whether it was the name or the password; the third attempt is the last. */
static void wrong_credentials(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		be_challenged(f);
		answer(f, i % 2 ? "nobody" : "alice", "wrong", "");
		assert_true(said(f, "401 Unauthorized\r\n"));
		assert_false(said(f, "stale=true"));
	}
	msrp_peer_expect_end(&f->peer.raw);
	assert_int_equal(*f->side.relay->count.auth_failures, 3);
}

/* HA1, HA2, and of both the response and what the answer would prove. @return its hashes */
static struct hashes work_for(struct fixture *f, const char *user)
{
	be_challenged(f);
	hashes_take();
	answer(f, user, "wrong", "");
	assert_true(said(f, "401 Unauthorized\r\n"));
	return hashes_take();
}

/* How long it takes does not tell either. */
static void the_same_work_for_nobody(void **state)
{
	static const char *const names[] = {"alice", "nobody"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		struct hashes work = work_for(f, names[i]);

		assert_int_equal(work.md5, 5);
		assert_int_equal(work.sha256, 0);
	}
}

static void the_same_work_by_sha256(void **state)
{
	static const char *const names[] = {"alice", "nobody"};
	struct fixture *f = *state;

	f->side.settings.auth_algorithm = DIGEST_SHA256;
	f->algorithm = "SHA-256";
	for (size_t i = 0; i < 2; i++) {
		struct hashes work = work_for(f, names[i]);

		assert_int_equal(work.md5, 0);
		assert_int_equal(work.sha256, 5);
	}
	be_challenged(f);
	answer(f, "alice", "secret", "");
	assert_true(said(f, "200 OK\r\n"));
}

static void how_long(void **state)
{
	static const struct {
		const char *asked, *answer;
	} cases[] = {
	    {"Expires: 59\r\n", "423 Interval Out-of-Bounds\r\n"},
	    {"Expires: 59\r\n", "Min-Expires: 60\r\n"},
	    {"Expires: 60\r\n", "Expires: 60\r\n"},
	    {"Expires: 3600\r\n", "Expires: 3600\r\n"},
	    {"Expires: 3601\r\n", "Max-Expires: 3600\r\n"},
	    {"Expires: 99999999999999999999\r\n", "Max-Expires: 3600\r\n"},
	    {"Expires: 0\r\n", "Min-Expires: 60\r\n"},
	    {"Expires: soon\r\n", "400 bad Expires\r\n"},
	};
	struct fixture *f = *state;

	be_challenged(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer(f, "alice", "secret", cases[i].asked);
		if (!said(f, cases[i].answer))
			fail_msg("%s%s", cases[i].asked, f->peer.raw.got);
	}
}

static void the_uri_of_another(void **state)
{
	struct fixture *f = *state;
	struct relay_peer other;

	relay_client_open(&other, &f->side, "other");
	be_challenged(f);
	snprintf(f->to_path, sizeof(f->to_path), "%s", other.granted);
	answer(f, "alice", "secret", "");
	assert_true(said(f, "403 "));
	relay_peer_close(&other);
}

/* RFC 4976 5.1: the way back goes by the relays that the AUTH came by. */
static void by_another_relay(void **state)
{
	struct fixture *f = *state;
	char path[256], again[256];

	f->before = "msrp://two:1/b;tcp msrp://one:1/a;tcp ";
	be_challenged(f);
	answer(f, "alice", "secret", "");
	take(f, "Use-Path: ", '\r', path, sizeof(path));
	assert_true(slice_starts_nocase(slice_of(path),
	    SLICE("msrp://one:1/a;tcp msrp://two:1/b;tcp msrp://127.0.0.1:")));
	/* The URI that was granted is asked for more time. */
	snprintf(f->to_path, sizeof(f->to_path), "%s", strrchr(path, ' ') + 1);
	f->before = NULL;
	answer(f, "alice", "secret", "Expires: 100\r\n");
	take(f, "Use-Path: ", '\r', again, sizeof(again));
	assert_string_equal(again, f->to_path);
	assert_int_equal(relay_service.sessions(f->side.relay), 1);
}

static void what_cannot_be_read_is_wrong(void **state)
{
	struct fixture *f = *state;

	say_auth(f, "Authorization: Digest username=\"alice\r\n");
	assert_true(said(f, "401 Unauthorized\r\n"));
	say_auth(f, "Authorization: Basic YWxpY2U6c2VjcmV0\r\n");
	assert_true(said(f, "401 Unauthorized\r\n"));
	assert_int_equal(*f->side.relay->count.auth_failures, 2);
}

static void grants_have_bounds(void **state)
{
	struct fixture *f = *state;
	char before[3000];

	f->side.settings.max_sessions_per_user = 1;
	be_challenged(f);
	memset(before, 'x', sizeof(before));
	memcpy(before, "msrp://", 7);
	snprintf(before + sizeof(before) - 12, 12, ":1/a;tcp ");
	f->before = before;
	answer(f, "alice", "secret", "");
	assert_true(said(f, "400 From-Path is too long\r\n"));
	f->before = NULL;
	answer(f, "alice", "secret", "");
	assert_true(said(f, "200 OK\r\n"));
	f->before = "msrp://one:1/a;tcp ";
	answer(f, "alice", "secret", "");
	assert_true(said(f, "403 Too many sessions of this user\r\n"));
	f->side.settings.max_sessions_per_user = 0;
	f->side.settings.max_sessions = 1;
	answer(f, "alice", "secret", "");
	assert_true(said(f, "408 Out of resources\r\n"));
	assert_int_equal(relay_service.sessions(f->side.relay), 1);
}

static void without_tls(void **state)
{
	struct fixture *f = *state;

	say_auth(f, "");
	assert_true(said(f, "403 TLS is required\r\n"));
}

/* RFC 4976 6.1: requests in vain, and none that was right. */
static void one_that_gets_nothing_right(void **state)
{
	struct fixture *f = *state;

	snprintf(f->to_path, sizeof(f->to_path), "msrp://127.0.0.1:%u/gone;tcp", f->side.msrp.port);
	for (int i = 0; i < 3; i++)
		relay_peer_send(&f->peer, f->to_path, "gone1234", "", "x");
	relay_peer_expect(&f->peer, "MSRP gone1234 481 ");
	msrp_peer_expect_end(&f->peer.raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void settings_are_checked(void **state)
{
	static const struct {
		uint64_t min, preset, max;
		int result;
	} cases[] = {
	    {60, 1800, 3600, 0},
	    {60, 60, 60, 0},
	    {61, 60, 60, -EINVAL},
	    {60, 59, 3600, -EINVAL},
	    {60, 3601, 3600, -EINVAL},
	};
	struct reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct relay_settings s = {
		    .auth_min_expires_ms = cases[i].min * 1000,
		    .auth_expires_ms = cases[i].preset * 1000,
		    .auth_max_expires_ms = cases[i].max * 1000,
		};

		assert_int_equal(relay_service.check(&s, &why), cases[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_grant),
	    TEST(a_count_is_good_once),
	    TEST(a_nonce_of_somebody_else),
	    TEST(wrong_credentials),
	    TEST(the_same_work_for_nobody),
	    TEST(the_same_work_by_sha256),
	    TEST(how_long),
	    TEST(the_uri_of_another),
	    TEST(by_another_relay),
	    TEST(what_cannot_be_read_is_wrong),
	    TEST(grants_have_bounds),
	    cmocka_unit_test_setup_teardown(without_tls, setup_for_tls_alone, teardown),
	    TEST(one_that_gets_nothing_right),
	    cmocka_unit_test(settings_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
