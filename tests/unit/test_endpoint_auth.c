/* AUTH as a client, against a scripted relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "endpoint/auth.h"
#include "base/digest.h"
#include "wire/frame.h"
#include "msrp_sides.h"
#include "wire/write.h"

#define OWN  "msrp://127.0.0.1:9/ownsession;tcp"
#define NONE ((struct slice){NULL, 0})

struct relay {
	struct sides *sides;
	int listener, fd;
	uint16_t port;
	char uri[64], uris[256];
	char bytes[8192]; /* not yet looked at */
	size_t len;
	unsigned auths;
	struct msrp_frame frame; /* the last AUTH, over text */
	char text[8192];

	struct endpoint_auth *auth;
	bool nobody; /* no credentials for any realm */
	bool by_ha1;
	unsigned granted, failed;
	int code;
	bool from_relay, free_when_told;
	char path[512];
};

/* --- what the client tells --- */

static bool on_credentials(struct slice realm, struct endpoint_credentials *c, void *arg)
{
	struct relay *r = arg;

	if (r->nobody)
		return false;
	assert_true(slice_equal(realm, SLICE("example.org")));
	c->username = SLICE("alice");
	if (r->by_ha1)
		c->ha1 = SLICE("543e1aec5d3614f03141652d6ada51b2");
	else
		c->password = SLICE("secret");
	return true;
}

static void end_if_told(struct relay *r)
{
	if (!r->free_when_told)
		return;
	endpoint_auth_free(r->auth);
	r->auth = NULL;
}

static void on_granted(void *arg)
{
	struct relay *r = arg;

	r->granted++;
	snprintf(r->path, sizeof(r->path), "%.*s", SLICE_ARG(endpoint_auth_path(r->auth)));
	end_if_told(r);
}

static void on_failed(int code, struct slice reason, bool from_relay, void *arg)
{
	struct relay *r = arg;

	(void)reason;
	r->failed++;
	r->code = code;
	r->from_relay = from_relay;
	end_if_told(r);
}

static const struct endpoint_auth_handler handler = {
    .credentials = on_credentials,
    .granted = on_granted,
    .failed = on_failed,
};

/* --- life --- */

static int setup(void **state)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	void *sides;

	sides_setup(&sides);
	r->sides = sides;
	r->fd = -1;
	r->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(r->listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(r->listener, 5), 0);
	fcntl(r->listener, F_SETFL, O_NONBLOCK);
	getsockname(r->listener, (struct sockaddr *)&in, &len);
	r->port = ntohs(in.sin_port);
	snprintf(r->uri, sizeof(r->uri), "msrp://127.0.0.1:%u;tcp", r->port);
	memcpy(r->uris, r->uri, sizeof(r->uri));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct relay *r = *state;
	void *sides = r->sides;

	endpoint_auth_free(r->auth);
	close(r->listener);
	if (r->fd >= 0)
		close(r->fd);
	sides_teardown(&sides);
	free(r);
	return 0;
}

static void start(struct relay *r)
{
	struct endpoint_auth_options options = {.relays = slice_of(r->uris),
	    .own_uri = SLICE(OWN),
	    .handler = &handler,
	    .arg = r};

	assert_int_equal(endpoint_auth_new(&r->auth, r->sides->stack, &options), 0);
}

/* --- the relay --- */

/* Take the next AUTH out of what has come. */
static bool take_auth(struct relay *r)
{
	char *end = strstr(r->bytes, "$\r\n");
	ssize_t n;

	if (!end)
		return false;
	r->len = (size_t)(end + 3 - r->bytes);
	memcpy(r->text, r->bytes, r->len);
	memmove(r->bytes, end + 3, strlen(end + 3) + 1);
	n = msrp_frame_parse(&r->frame, (struct slice){r->text, r->len}, 8192);
	assert_true(n > 0);
	assert_int_equal(r->frame.method, MSRP_AUTH);
	assert_int_equal(msrp_frame_check(&r->frame, NULL), 0);
	assert_true(slice_equal(r->frame.from_path, SLICE(OWN)));
	r->auths++;
	return true;
}

static bool has_auth(void *arg)
{
	struct relay *r = arg;
	size_t have = strlen(r->bytes);
	ssize_t n;

	if (r->fd < 0) {
		r->fd = accept(r->listener, NULL, NULL);
		if (r->fd < 0)
			return false;
		fcntl(r->fd, F_SETFL, O_NONBLOCK);
	}
	n = recv(r->fd, r->bytes + have, sizeof(r->bytes) - have - 1, 0);
	if (n > 0)
		r->bytes[have + (size_t)n] = '\0';
	return take_auth(r);
}

static void expect_auth(struct relay *r)
{
	loop_until(r->sides->base, has_auth, r);
}

static void respond(struct relay *r, unsigned code, const char *headers)
{
	char text[4096];
	struct buffer w = BUFFER_ON(text);

	msrp_write_response_head(&w, &r->frame, code, SLICE("Word"));
	buffer_add(&w, slice_of(headers));
	msrp_write_end_line(&w, r->frame.tid, MSRP_COMPLETE, false);
	assert_false(w.err);
	assert_int_equal(send(r->fd, text, w.len, 0), w.len);
}

#define CHALLENGE(more) \
	"WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n1\", qop=\"auth\"" more "\r\n"

/* Are the credentials those of alice, over this relay's URI, with that nonce? @return their nc */
static uint32_t check_credentials(struct relay *r, const char *uri, const char *nonce,
    struct digest *d)
{
	struct digest_hash ha1, response;

	assert_int_equal(digest_parse_credentials(d, r->frame.authorization), 0);
	assert_true(slice_equal(d->username, SLICE("alice")));
	assert_true(slice_equal(d->nonce, slice_of(nonce)));
	assert_int_equal(digest_ha1(d->algorithm, d->username, d->realm, SLICE("secret"), &ha1), 0);
	assert_int_equal(
	    digest_response(d, digest_hash_slice(&ha1), SLICE("AUTH"), slice_of(uri), &response),
	    0);
	assert_true(digest_matches(&response, d->response));
	return d->nc;
}

/* 200 with Authentication-Info; nextnonce NULL: none. */
static void grant(struct relay *r, const char *use_path, unsigned expires, const char *nextnonce)
{
	struct digest d;
	struct digest_hash ha1, rspauth;
	char text[1024], info[512];
	struct buffer w = BUFFER_ON(info);

	assert_int_equal(digest_parse_credentials(&d, r->frame.authorization), 0);
	digest_ha1(d.algorithm, d.username, d.realm, SLICE("secret"), &ha1);
	digest_rspauth(&d, digest_hash_slice(&ha1), slice_of(r->uri), &rspauth);
	d.rspauth = digest_hash_slice(&rspauth);
	d.nextnonce = slice_of(nextnonce);
	digest_write_info(&w, &d);
	snprintf(text, sizeof(text), "Use-Path: %s\r\nExpires: %u\r\nAuthentication-Info: %.*s\r\n",
	    use_path, expires, SLICE_ARG(buffer_text(&w)));
	respond(r, 200, text);
}

static bool told(void *arg)
{
	struct relay *r = arg;

	return *r->sides->counter >= r->sides->wanted;
}

static void wait_told(struct relay *r, unsigned *counter, unsigned wanted)
{
	r->sides->counter = counter;
	r->sides->wanted = wanted;
	loop_until(r->sides->base, told, r);
}

static void check_failure(struct relay *r, int code, bool from_relay, unsigned auths)
{
	wait_told(r, &r->failed, 1);
	loop_settle(r->sides->base);
	assert_int_equal(r->code, code);
	assert_int_equal(r->from_relay, from_relay);
	assert_false(r->fd >= 0 && has_auth(r));
	assert_int_equal(r->auths, auths);
	assert_int_equal(r->failed, 1);
}

/* --- cases --- */

static void a_grant_is_refreshed_in_time(void **state)
{
	struct relay *r = *state;
	struct digest d;

	start(r);
	assert_null(endpoint_auth_path(r->auth).p);
	expect_auth(r);
	assert_null(r->frame.authorization.p);
	assert_true(slice_equal(r->frame.to_path, slice_of(r->uri)));
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	assert_int_equal(check_credentials(r, r->uri, "n1", &d), 1);
	grant(r, "msrp://relay:1/a;tcp", 1, "n2");
	wait_told(r, &r->granted, 1);
	assert_string_equal(r->path, "msrp://relay:1/a;tcp");
	/* at four fifths of the second, without a challenge: the nonce is known */
	expect_auth(r);
	assert_int_equal(check_credentials(r, r->uri, "n2", &d), 1);
	grant(r, "msrp://relay:1/a;tcp", 1, NULL);
	expect_auth(r);
	assert_int_equal(check_credentials(r, r->uri, "n2", &d), 2);
	assert_int_equal(r->granted, 1);
	grant(r, "msrp://relay:1/b;tcp", 600, NULL);
	wait_told(r, &r->granted, 2);
	assert_string_equal(r->path, "msrp://relay:1/b;tcp");
}

static void a_refresh_with_an_old_nonce_is_challenged_once_more(void **state)
{
	struct relay *r = *state;
	struct digest d;

	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	grant(r, "msrp://relay:1/a;tcp", 1, NULL);
	expect_auth(r);
	respond(r, 401,
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n9\", qop=\"auth\"\r\n");
	expect_auth(r);
	assert_int_equal(check_credentials(r, r->uri, "n9", &d), 1);
	respond(r, 401, CHALLENGE(""));
	check_failure(r, 401, true, 4);
}

static void wrong_credentials_are_tried_once(void **state)
{
	struct relay *r = *state;

	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	check_failure(r, 401, true, 2);
}

static void stale_nonces_are_replaced_but_not_for_ever(void **state)
{
	struct relay *r = *state;

	start(r);
	for (int i = 0; i < 4; i++) {
		expect_auth(r);
		respond(r, 401, i ? CHALLENGE(", stale=true") : CHALLENGE(""));
	}
	check_failure(r, 401, true, 4);
}

static void nobody_does_not_try(void **state)
{
	struct relay *r = *state;

	r->nobody = true;
	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	check_failure(r, 401, true, 1);
}

static void challenges_of_other_kinds_are_not_answered(void **state)
{
	static const char *const challenges[] = {
	    "",
	    "WWW-Authenticate: Basic realm=\"example.org\"\r\n",
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", qop=\"auth-int\"\r\n",
	    "WWW-Authenticate: Digest realm=\"\",nonce=\"\",qop=\"auth\",algorithm=MD5-sess\r\n",
	};
	struct relay *r = *state;

	for (size_t i = 0; i < sizeof(challenges) / sizeof(*challenges); i++) {
		r->auths = r->failed = 0;
		start(r);
		expect_auth(r);
		respond(r, 401, challenges[i]);
		check_failure(r, 401, true, 1);
		endpoint_auth_free(r->auth);
		r->auth = NULL;
	}
}

static void a_hash_does_for_md5_alone(void **state)
{
	struct relay *r = *state;
	struct digest d;

	r->by_ha1 = true;
	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	check_credentials(r, r->uri, "n1", &d);
	respond(r, 401,
	    "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\", qop=\"auth\", "
	    "stale=true, "
	    "algorithm=SHA-256\r\n");
	check_failure(r, 401, true, 2);
}

static void sha256_is_answered(void **state)
{
	struct relay *r = *state;
	struct digest d;

	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(", algorithm=SHA-256, opaque=\"o\", domain=\"x\""));
	expect_auth(r);
	check_credentials(r, r->uri, "n1", &d);
	assert_int_equal(d.algorithm, DIGEST_SHA256);
	assert_true(slice_equal(d.opaque, SLICE("o")));
	grant(r, "msrp://relay:1/a;tcp", 60, NULL);
	wait_told(r, &r->granted, 1);
}

static void another_time_is_asked_for_once(void **state)
{
	struct relay *r = *state;

	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	assert_null(r->frame.expires.p);
	respond(r, 423, "Min-Expires: 70\r\n");
	expect_auth(r);
	assert_true(slice_equal(r->frame.expires, SLICE("70")));
	respond(r, 423, "Max-Expires: 7\r\n");
	check_failure(r, 423, true, 3);
}

static void refusals_are_told_as_they_are(void **state)
{
	struct relay *r = *state;

	r->free_when_told = true;
	start(r);
	expect_auth(r);
	respond(r, 403, "");
	wait_told(r, &r->failed, 1);
	assert_int_equal(r->code, 403);
	assert_true(r->from_relay);
	assert_null(r->auth);
}

static void a_relay_that_proves_nothing_is_not_believed(void **state)
{
	struct relay *r = *state;

	start(r);
	expect_auth(r);
	respond(r, 401, CHALLENGE(""));
	expect_auth(r);
	respond(r, 200,
	    "Use-Path: msrp://relay:1/a;tcp\r\nExpires: 60\r\n"
	    "Authentication-Info: qop=auth, cnonce=\"x\", nc=00000001, "
	    "rspauth=\"00000000000000000000000000000000\"\r\n");
	check_failure(r, 403, false, 2);
}

static void a_grant_may_be_the_first_answer(void **state)
{
	struct relay *r = *state;

	r->free_when_told = true;
	start(r);
	expect_auth(r);
	respond(r, 200, "Use-Path: msrp://relay:1/a;tcp\r\n");
	wait_told(r, &r->granted, 1);
	assert_null(r->auth);
}

static void a_grant_has_a_path(void **state)
{
	struct relay *r = *state;

	start(r);
	expect_auth(r);
	respond(r, 200, "Expires: 60\r\n");
	check_failure(r, 503, true, 1);
}

/* OpenSIPS 4.1 writes an Authentication-Info that cannot be read, and others a time that is none. */
static void what_cannot_be_read_counts_as_absent(void **state)
{
	static const char *const expires[] = {"x", "0", "99999999999999999999"};
	struct relay *r = *state;
	char text[256];

	for (size_t i = 0; i < sizeof(expires) / sizeof(*expires); i++) {
		r->granted = 0;
		start(r);
		expect_auth(r);
		respond(r, 401, CHALLENGE(""));
		expect_auth(r);
		snprintf(text, sizeof(text),
		    "Use-Path: msrp://relay:1/a;tcp\r\nExpires: %s\r\nAuthentication-Info: \"\r\n",
		    expires[i]);
		respond(r, 200, text);
		wait_told(r, &r->granted, 1);
		assert_string_equal(r->path, "msrp://relay:1/a;tcp");
		endpoint_auth_free(r->auth);
		r->auth = NULL;
	}
}

static void silence_and_loss_are_failures(void **state)
{
	struct relay *r = *state;

	start(r);
	expect_auth(r);
	check_failure(r, 408, false, 1);
	endpoint_auth_free(r->auth);
	r->failed = r->auths = 0;
	start(r);
	expect_auth(r);
	respond(r, 200, "Use-Path: msrp://relay:1/a;tcp\r\nExpires: 600\r\n");
	wait_told(r, &r->granted, 1);
	close(r->fd);
	r->fd = -1;
	wait_told(r, &r->failed, 1);
	assert_int_equal(r->code, 503);
	assert_false(r->from_relay);
	endpoint_auth_free(r->auth);
	close(r->listener); /* nobody listens any more */
	r->listener = -1;
	r->failed = 0;
	start(r);
	wait_told(r, &r->failed, 1);
	assert_int_equal(r->code, 503);
}

/* RFC 4976 5.1: the second relay is asked through the first; its Use-Path is the whole one. */
static void a_chain_is_asked_one_after_the_other(void **state)
{
	static const char *const answers[] = {
	    "msrp://one:1/a;tcp msrp://two:1/b;tcp", /* as the RFC has it */
	    "msrp://two:1/b;tcp",                    /* as some relays do */
	};
	struct relay *r = *state;
	struct digest d;

	snprintf(r->uris, sizeof(r->uris), "%s msrp://two:2855;tcp", r->uri);
	for (int i = 0; i < 2; i++) {
		char answer[256];

		r->granted = 0;
		start(r);
		expect_auth(r);
		assert_true(slice_equal(r->frame.to_path, slice_of(r->uri)));
		respond(r, 200, "Use-Path: msrp://one:1/a;tcp\r\nExpires: 600\r\n");
		expect_auth(r);
		assert_true(
		    slice_equal(r->frame.to_path, SLICE("msrp://one:1/a;tcp msrp://two:2855;tcp")));
		assert_int_equal(r->granted, 0);
		respond(r, 401, CHALLENGE(""));
		expect_auth(r);
		assert_true(
		    slice_equal(r->frame.to_path, SLICE("msrp://one:1/a;tcp msrp://two:2855;tcp")));
		assert_int_equal(check_credentials(r, "msrp://two:2855;tcp", "n1", &d), 1);
		snprintf(answer, sizeof(answer), "Use-Path: %s\r\nExpires: 700\r\n", answers[i]);
		respond(r, 200, answer);
		wait_told(r, &r->granted, 1);
		assert_string_equal(r->path, "msrp://one:1/a;tcp msrp://two:1/b;tcp");
		endpoint_auth_free(r->auth);
		r->auth = NULL;
	}
}

static void what_is_no_path_is_refused(void **state)
{
	static const char *const paths[] = {"", "relay.example.org",
	    "msrp://a:1;tcp  msrp://b:1;tcp"};
	struct relay *r = *state;
	struct endpoint_auth_options options = {.own_uri = SLICE(OWN),
	    .handler = &handler,
	    .arg = r};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		options.relays = slice_of(paths[i]);
		assert_int_equal(endpoint_auth_new(&r->auth, r->sides->stack, &options), -EINVAL);
	}
	options.relays = slice_of(r->uri);
	options.own_uri = SLICE("ownsession");
	assert_int_equal(endpoint_auth_new(&r->auth, r->sides->stack, &options), -EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_grant_is_refreshed_in_time),
	    CASE(a_refresh_with_an_old_nonce_is_challenged_once_more),
	    CASE(wrong_credentials_are_tried_once),
	    CASE(stale_nonces_are_replaced_but_not_for_ever),
	    CASE(nobody_does_not_try),
	    CASE(challenges_of_other_kinds_are_not_answered),
	    CASE(a_hash_does_for_md5_alone),
	    CASE(sha256_is_answered),
	    CASE(another_time_is_asked_for_once),
	    CASE(refusals_are_told_as_they_are),
	    CASE(a_relay_that_proves_nothing_is_not_believed),
	    CASE(a_grant_may_be_the_first_answer),
	    CASE(a_grant_has_a_path),
	    CASE(what_cannot_be_read_counts_as_absent),
	    CASE(silence_and_loss_are_failures),
	    CASE(a_chain_is_asked_one_after_the_other),
	    CASE(what_is_no_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
