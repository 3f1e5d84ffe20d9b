#include "base/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cut.h"

static struct guard guard;

/* RFC 7616 3.9.1, but with MSRP's method. */
#define REALM  "http-auth@example.org"
#define NONCE  "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define CNONCE "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
#define OPAQUE "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"

static const struct digest mufasa = {
    .realm = {REALM, sizeof(REALM) - 1},
    .nonce = {NONCE, sizeof(NONCE) - 1},
    .opaque = {OPAQUE, sizeof(OPAQUE) - 1},
    .username = {"Mufasa", 6},
    .cnonce = {CNONCE, sizeof(CNONCE) - 1},
    .nc = 1,
};

static const struct {
	enum digest_algorithm algorithm;
	const char *ha1, *response, *rspauth;
} computed[] = {
    {DIGEST_MD5, "3d78807defe7de2157e2b0b6573a855f", "daa87d09b05c397ff26a99dcd0d899e1",
	"0e8e331ff33e3bf088957f06c5197f07"},
    {DIGEST_SHA256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
	"779b5aec44d8149fd041df0229ee108140f95da5d6a64de0cbdda8e83799ca76",
	"f6bb2fef720d6b6532e57f682bc98ea07ffeea32dd7ff113a782835eb1772ef3"},
};

static void assert_text(struct slice got, const char *expected)
{
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.p, expected, got.len);
}

static void computes(void **state)
{
	struct slice uri = SLICE("msrps://alice@intra.example.com;tcp");

	(void)state;
	for (size_t i = 0; i < sizeof(computed) / sizeof(computed[0]); i++) {
		struct digest_hash ha1, hash;
		struct digest digest = mufasa;

		digest.algorithm = computed[i].algorithm;
		assert_int_equal(digest_ha1(digest.algorithm, digest.username, digest.realm,
				     SLICE("Circle of Life"), &ha1),
		    0);
		assert_text(digest_hash_slice(&ha1), computed[i].ha1);
		assert_int_equal(
		    digest_response(&digest, slice_of(computed[i].ha1), SLICE("AUTH"), uri, &hash),
		    0);
		assert_text(digest_hash_slice(&hash), computed[i].response);
		assert_int_equal(digest_rspauth(&digest, slice_of(computed[i].ha1), uri, &hash), 0);
		assert_text(digest_hash_slice(&hash), computed[i].rspauth);
	}
}

/* RFC 2617 3.5, and the same without qop as RFC 2069 would have it: as HTTP and SIP write them. */
static void computes_for_any_method(void **state)
{
	struct slice uri = SLICE("/dir/index.html");
	struct digest d = {
	    .nonce = SLICE("dcd98b7102dd2f0e8b11d0f600bfb0c093"),
	    .cnonce = SLICE("0a4f113b"),
	    .nc = 1,
	};
	struct digest_hash ha1, hash;

	(void)state;
	assert_int_equal(digest_ha1(DIGEST_MD5, SLICE("Mufasa"), SLICE("testrealm@host.com"),
			     SLICE("Circle Of Life"), &ha1),
	    0);
	assert_int_equal(digest_response(&d, digest_hash_slice(&ha1), SLICE("GET"), uri, &hash), 0);
	assert_text(digest_hash_slice(&hash), "6629fae49393a05397450978507c4ef1");
	d.without_qop = true;
	assert_int_equal(digest_response(&d, digest_hash_slice(&ha1), SLICE("GET"), uri, &hash), 0);
	assert_text(digest_hash_slice(&hash), "670fd8c2df070c60b045671b8b24ff02");
}

static void uses_the_secret_that_fits(void **state)
{
	static const struct {
		struct digest_secret secret;
		int err[2]; /* by algorithm */
	} cases[] = {
	    {{.password = {"Circle of Life", 14}}, {0, 0}},
	    {{.ha1 = {"3D78807DEFE7DE2157E2B0B6573A855F", 32}}, {0, -ENOENT}},
	    {{.ha1_sha256 = {"7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
		  64}},
		{-ENOENT, 0}},
	    {{.ha1 = {"3d78807d", 8}}, {-ENOENT, -ENOENT}},
	    {{.password = {NULL, 0}}, {-ENOENT, -ENOENT}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t k = 0; k < 2; k++) {
			struct digest_hash ha1 = {0};

			assert_int_equal(digest_secret_ha1(&cases[i].secret, computed[k].algorithm,
					     mufasa.username, mufasa.realm, &ha1),
			    cases[i].err[k]);
			assert_int_equal(ha1.len, strlen(computed[k].ha1));
			if (cases[i].err[k] == 0)
				assert_text(digest_hash_slice(&ha1), computed[k].ha1);
		}
}

/* One more nc, another nonce, cnonce, URI, HA1: another response. */
static void everything_counts(void **state)
{
	struct slice uri = SLICE("msrps://a;tcp"), ha1 = SLICE("00112233445566778899aabbccddeeff");
	struct digest digest[4] = {mufasa, mufasa, mufasa, mufasa};
	struct digest_hash first, other;

	(void)state;
	digest[1].nc = 2;
	digest[2].nonce = SLICE("other");
	digest[3].cnonce = SLICE("other");
	assert_int_equal(digest_response(&digest[0], ha1, SLICE("AUTH"), uri, &first), 0);
	for (size_t i = 1; i < 4; i++) {
		assert_int_equal(digest_response(&digest[i], ha1, SLICE("AUTH"), uri, &other), 0);
		assert_false(digest_matches(&first, digest_hash_slice(&other)));
	}
	assert_int_equal(
	    digest_response(&mufasa, ha1, SLICE("AUTH"), SLICE("msrps://b;tcp"), &other), 0);
	assert_false(digest_matches(&first, digest_hash_slice(&other)));
	assert_int_equal(digest_response(&mufasa, SLICE("x"), SLICE("AUTH"), uri, &other), 0);
	assert_false(digest_matches(&first, digest_hash_slice(&other)));
}

static void matches_all_or_nothing(void **state)
{
	struct digest_hash hash = {.len = 32, .hex = "00112233445566778899aabbccddeeff"};
	struct slice text = digest_hash_slice(&hash);

	(void)state;
	assert_true(digest_matches(&hash, text));
	assert_true(digest_matches(&hash, guard_copy(&guard, text)));
	assert_false(digest_matches(&hash, slice_head(text, 31)));
	assert_false(digest_matches(&hash, SLICE("00112233445566778899aabbccddeefF")));
	assert_false(digest_matches(&hash, SLICE("00112233445566778899aabbccddeeff0")));
	assert_false(digest_matches(&hash, (struct slice){NULL, 0}));
}

/* --- challenges --- */

static const struct {
	const char *value;
	enum digest_algorithm algorithm;
	bool stale;
	const char *realm, *nonce, *opaque;
} challenges[] = {
    /* RFC 4976 5.1 */
    {"Digest realm=\"intra.example.com\", qop=\"auth\", "
     "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
	DIGEST_MD5, false, "intra.example.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", NULL},
    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\", stale=true, opaque=\"o\"", DIGEST_MD5, true,
	"r", "n", "o"},
    /* RFC 7616 3.9.1 */
    {"Digest realm=\"r\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"n\"", DIGEST_SHA256,
	false, "r", "n", NULL},
    {"Digest realm=\"r\", qop=\"auth-int,auth\", algorithm=MD5, nonce=\"n\", charset=UTF-8",
	DIGEST_MD5, false, "r", "n", NULL},
    /* RFC 4976 9.1: domain is ignored */
    {"Digest domain=\"x y\", realm=\"r\", nonce=\"n\", qop=\"auth\"", DIGEST_MD5, false, "r", "n",
	NULL},
    /* quotes where none belong, none where they do, any case, any blanks */
    {"digest REALM=r,NONCE=n==,QOP=auth,STALE=\"TRUE\",ALGORITHM=\"sha-256\"", DIGEST_SHA256, true,
	"r", "n==", NULL},
    {"Digest\trealm = \"r\" ,, nonce\t=\t\"n\"\t,qop=\"auth\",", DIGEST_MD5, false, "r", "n", NULL},
    {"Digest realm=\"\", nonce=\"a, b=c\", qop=\"auth\", stale=no", DIGEST_MD5, false, "", "a, b=c",
	NULL},
    /* escapes */
    {"Digest realm=\"a\\\"b\\\\c\", nonce=\"\\n\", qop=\"auth\"", DIGEST_MD5, false, "a\"b\\c", "n",
	NULL},
};

static void parses_challenges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++) {
		struct slice value = guard_copy(&guard, slice_of(challenges[i].value));
		struct digest d;

		if (digest_parse_challenge(&d, value) != 0)
			fail_msg("refused: %s", challenges[i].value);
		assert_int_equal(d.algorithm, challenges[i].algorithm);
		assert_int_equal(d.stale, challenges[i].stale);
		assert_text(d.realm, challenges[i].realm);
		assert_text(d.nonce, challenges[i].nonce);
		if (challenges[i].opaque)
			assert_text(d.opaque, challenges[i].opaque);
		else
			assert_null(d.opaque.p);
	}
}

static void refuses_challenges(void **state)
{
	static const struct {
		const char *value;
		int err;
	} cases[] = {
	    /* what has no answer */
	    {"Basic realm=\"r\"", -EPROTO},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", -EPROTO},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"\"", -EPROTO},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess", -EPROTO},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-512-256", -EPROTO},
	    /* broken */
	    {"", -EBADMSG},
	    {"Digest", -EBADMSG},
	    {"Digest,", -EBADMSG},
	    {"Digest\"", -EBADMSG},
	    {"Digest realm=\"r\", qop=\"auth\"", -EBADMSG},
	    {"Digest nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth", -EBADMSG},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\\", -EBADMSG},
	    {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\\\"", -EBADMSG},
	    {"Digest realm=\"r\" nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest realm, nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest realm=, nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest =\"r\", nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest realm=\"r\"x, nonce=\"n\", qop=\"auth\"", -EBADMSG},
	    {"Digest realm=\"r\", realm=\"s\", nonce=\"n\", qop=\"auth\"", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct digest d;
		int err = digest_parse_challenge(&d, guard_copy(&guard, slice_of(cases[i].value)));

		if (err != cases[i].err)
			fail_msg("%d for %s", err, cases[i].value);
	}
}

static void refuses_what_is_absent(void **state)
{
	struct slice absent = {NULL, 0};
	struct digest d;

	(void)state;
	assert_int_equal(digest_parse_challenge(&d, absent), -EBADMSG);
	assert_int_equal(digest_parse_credentials(&d, absent), -EBADMSG);
	assert_int_equal(digest_parse_info(&d, absent), -EBADMSG);
}

static void bounds_escapes(void **state)
{
	char value[2 * DIGEST_UNESCAPED_MAX + 64] = "Digest nonce=\"n\", qop=\"auth\", realm=\"";
	size_t start = strlen(value);
	struct digest d;

	(void)state;
	for (size_t n = DIGEST_UNESCAPED_MAX; n <= DIGEST_UNESCAPED_MAX + 1; n++) {
		for (size_t i = 0; i < n; i++)
			memcpy(value + start + 2 * i, "\\x", 2);
		value[start + 2 * n] = '"';
		assert_int_equal(
		    digest_parse_challenge(&d, (struct slice){value, start + 2 * n + 1}),
		    n > DIGEST_UNESCAPED_MAX ? -EBADMSG : 0);
	}
}

/* --- credentials --- */

#define CREDENTIALS                                                             \
	"Digest username=\"Alice\", realm=\"intra.example.com\", "              \
	"nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", qop=auth, nc=00000001, " \
	"cnonce=\"0a4f113b\", "                                                 \
	"response=\"6629fae49393a05397450978507c4ef1\""

static void parses_credentials(void **state)
{
	struct digest d;

	(void)state;
	/* RFC 4976 5.1 */
	assert_int_equal(digest_parse_credentials(&d, guard_copy(&guard, SLICE(CREDENTIALS))), 0);
	assert_text(d.username, "Alice");
	assert_text(d.realm, "intra.example.com");
	assert_text(d.nonce, "dcd98b7102dd2f0e8b11d0f600bfb0c093");
	assert_text(d.cnonce, "0a4f113b");
	assert_text(d.response, "6629fae49393a05397450978507c4ef1");
	assert_int_equal(d.nc, 1);
	assert_null(d.uri.p);
	assert_null(d.opaque.p);
	assert_int_equal(digest_parse_credentials(&d, SLICE(CREDENTIALS ", uri=\"msrps://x;tcp\"")),
	    0);
	assert_text(d.uri, "msrps://x;tcp");
}

#define WITH(nc, qop, rest) \
	"Digest username=\"u\", realm=\"r\", nonce=\"n\", response=\"x\"" nc qop rest

static void refuses_credentials(void **state)
{
	static const struct {
		const char *value;
		int err;
	} cases[] = {
	    {WITH(", nc=ffffffff", ", qop=auth", ", cnonce=\"c\""), 0},
	    {WITH(", nc=\"0000000a\"", ", qop=\"auth\"", ", cnonce=c"), 0},
	    {WITH("", ", qop=auth", ", cnonce=\"c\""), -EBADMSG},
	    {WITH(", nc=1", ", qop=auth", ", cnonce=\"c\""), -EBADMSG},
	    {WITH(", nc=0000000A", ", qop=auth", ", cnonce=\"c\""), -EBADMSG},
	    {WITH(", nc=000000001", ", qop=auth", ", cnonce=\"c\""), -EBADMSG},
	    {WITH(", nc=0000000g", ", qop=auth", ", cnonce=\"c\""), -EBADMSG},
	    {WITH(", nc=00000001", ", qop=auth", ""), -EBADMSG},
	    {WITH(", nc=00000001", "", ", cnonce=\"c\""), -EPROTO},
	    {WITH(", nc=00000001", ", qop=auth-int", ", cnonce=\"c\""), -EPROTO},
	    {WITH(", nc=00000001", ", qop=\"auth,auth-int\"", ", cnonce=\"c\""), -EPROTO},
	    {WITH(", nc=00000001", ", qop=auth", ", cnonce=\"c\", algorithm=MD5-sess"), -EPROTO},
	    {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", -EPROTO},
	    {"Digest realm=\"r\", nonce=\"n\", response=\"x\", nc=00000001, qop=auth, cnonce=c",
		-EBADMSG},
	    {"Digest username=u, realm=\"r\", nonce=\"n\", nc=00000001, qop=auth, cnonce=c",
		-EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct digest d;
		int err =
		    digest_parse_credentials(&d, guard_copy(&guard, slice_of(cases[i].value)));

		if (err != cases[i].err)
			fail_msg("%d for %s", err, cases[i].value);
	}
}

static void parses_info(void **state)
{
	static const struct {
		const char *value;
		int err;
	} cases[] = {
	    /* RFC 4976 5.1 */
	    {"nextnonce=\"40f2e879449675f288476d772627370a\", "
	     "rspauth=\"7327570c586207eca2afae94fc20903d\", cnonce=\"0a4f113b\", nc=00000001, "
	     "qop=auth",
		0},
	    {"rspauth=\"r\", cnonce=\"c\", nc=00000001", 0},
	    {"rspauth=\"r\", cnonce=\"c\", nc=00000001, qop=auth-int", -EPROTO},
	    {"cnonce=\"c\", nc=00000001, qop=auth", -EBADMSG},
	    {"rspauth=\"r\", nc=00000001, qop=auth", -EBADMSG},
	    {"rspauth=\"r\", cnonce=\"c\", qop=auth", -EBADMSG},
	    {"rspauth=\"r\" cnonce=\"c\" nc=00000001 qop=auth", -EBADMSG},
	    {"", -EBADMSG},
	};
	struct digest d;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = digest_parse_info(&d, guard_copy(&guard, slice_of(cases[i].value)));

		if (err != cases[i].err)
			fail_msg("%d for %s", err, cases[i].value);
	}
	assert_int_equal(digest_parse_info(&d, slice_of(cases[0].value)), 0);
	assert_text(d.nextnonce, "40f2e879449675f288476d772627370a");
	assert_text(d.rspauth, "7327570c586207eca2afae94fc20903d");
}

/* --- writing --- */

static void writes_challenges(void **state)
{
	struct digest d = {.realm = SLICE("r"), .nonce = SLICE("n")}, again;
	char text[256];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	digest_write_challenge(&w, &d);
	assert_text(buffer_text(&w), "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"");
	d = (struct digest){.realm = SLICE("a\"b\\c"),
	    .nonce = SLICE("n"),
	    .opaque = SLICE("o"),
	    .stale = true,
	    .algorithm = DIGEST_SHA256};
	w.len = 0;
	digest_write_challenge(&w, &d);
	assert_text(buffer_text(&w),
	    "Digest realm=\"a\\\"b\\\\c\", nonce=\"n\", qop=\"auth\", "
	    "algorithm=SHA-256, stale=true, opaque=\"o\"");
	assert_int_equal(digest_parse_challenge(&again, buffer_text(&w)), 0);
	assert_text(again.realm, "a\"b\\c");
	assert_true(again.stale);
	assert_int_equal(again.algorithm, DIGEST_SHA256);
}

static void leaves_qop_as_it_was(void **state)
{
	struct digest d;
	char text[256];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	assert_int_equal(
	    digest_parse_challenge(&d, SLICE("Digest realm=\"r\", nonce=\"n\", algorithm=MD5")), 0);
	assert_true(d.without_qop);
	d.username = SLICE("u");
	d.response = SLICE("0");
	digest_write_credentials(&w, &d);
	assert_text(buffer_text(&w),
	    "Digest username=\"u\", realm=\"r\", nonce=\"n\", response=\"0\", algorithm=MD5");
}

static void writes_credentials(void **state)
{
	struct digest d, again;
	char text[512];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	assert_int_equal(digest_parse_credentials(&d, SLICE(CREDENTIALS)), 0);
	digest_write_credentials(&w, &d);
	assert_text(buffer_text(&w), CREDENTIALS);
	w.len = 0;
	d.algorithm = DIGEST_SHA256;
	d.uri = SLICE("msrps://x;tcp");
	d.opaque = SLICE("");
	d.nc = 0xfedcba98;
	digest_write_credentials(&w, &d);
	assert_int_equal(digest_parse_credentials(&again, buffer_text(&w)), 0);
	assert_int_equal(again.algorithm, DIGEST_SHA256);
	assert_int_equal(again.nc, 0xfedcba98);
	assert_text(again.uri, "msrps://x;tcp");
	assert_non_null(again.opaque.p);
}

static void writes_info(void **state)
{
	struct digest d = {.cnonce = SLICE("c"), .nc = 16, .rspauth = SLICE("r")};
	char text[256];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	digest_write_info(&w, &d);
	assert_text(buffer_text(&w), "qop=auth, nc=00000010, cnonce=\"c\", rspauth=\"r\"");
	w.len = 0;
	d.nextnonce = SLICE("nn");
	digest_write_info(&w, &d);
	assert_text(buffer_text(&w),
	    "qop=auth, nc=00000010, cnonce=\"c\", rspauth=\"r\", nextnonce=\"nn\"");
}

static void lets_nothing_break_out(void **state)
{
	static const char *const evil[] = {"a\r\nX: y", "a\nb", "a\x7f", "\x01"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		struct digest d = {.realm = slice_of(evil[i]), .nonce = SLICE("n")};
		struct buffer w = BUFFER_ON(text);

		digest_write_challenge(&w, &d);
		assert_int_equal(buffer_result(&w), -EBADMSG);
	}
}

static void writes_within_bounds(void **state)
{
	struct digest d;

	(void)state;
	assert_int_equal(digest_parse_credentials(&d, SLICE(CREDENTIALS)), 0);
	for (size_t cap = 0; cap < sizeof(CREDENTIALS); cap++) {
		struct buffer w = {.p = guard.end - cap, .cap = cap};

		digest_write_credentials(&w, &d);
		assert_int_equal(w.err != 0, cap < sizeof(CREDENTIALS) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(computes),
	    cmocka_unit_test(computes_for_any_method),
	    cmocka_unit_test(uses_the_secret_that_fits),
	    cmocka_unit_test(everything_counts),
	    cmocka_unit_test(matches_all_or_nothing),
	    cmocka_unit_test(parses_challenges),
	    cmocka_unit_test(refuses_challenges),
	    cmocka_unit_test(refuses_what_is_absent),
	    cmocka_unit_test(bounds_escapes),
	    cmocka_unit_test(parses_credentials),
	    cmocka_unit_test(refuses_credentials),
	    cmocka_unit_test(parses_info),
	    cmocka_unit_test(writes_challenges),
	    cmocka_unit_test(leaves_qop_as_it_was),
	    cmocka_unit_test(writes_credentials),
	    cmocka_unit_test(writes_info),
	    cmocka_unit_test(lets_nothing_break_out),
	    cmocka_unit_test(writes_within_bounds),
	};
	int failed;

	guard_init(&guard, 4096);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_fini(&guard);
	return failed;
}
