#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/body.h"

#define PART "Content-Type: application/sdp\r\n\r\nv=0\r\n"

static const struct {
	const char *type, *body;
	const char *sdp; /* NULL: none to be found */
} cases[] = {
    {"application/sdp", "v=0\r\n", "v=0\r\n"},
    {"Application/SDP; charset=utf-8", "v=0\r\n", "v=0\r\n"},
    {"text/plain", "v=0\r\n", NULL},
    {"", "v=0\r\n", NULL},
    {"multipart/mixed;boundary=b", "--b\r\n" PART "\r\n--b--\r\n", "v=0\r\n"},
    {"multipart/mixed; boundary=\"b\"", "preamble\r\n--b\r\n" PART "\r\n--b--\r\nepilogue",
	"v=0\r\n"},
    {"multipart/mixed;boundary=b", "--b\nContent-Type: application/sdp\n\nv=0\n\n--b--", "v=0\n"},
    {"multipart/mixed;boundary=b", "--b\r\n" PART, "v=0"}, /* the end is missing */
    {"multipart/mixed;boundary=b", "--b\r\nC: application/sdp\r\n\r\nv=0\r\n\r\n--b--", "v=0\r\n"},
    {"multipart/mixed;boundary=b",
	"--b\r\nContent-Type: text/xml\r\n\r\n<a/>\r\n--b\r\n" PART "\r\n--b--", "v=0\r\n"},
    {"multipart/mixed;boundary=b",
	"--b\r\nContent-Type: text/xml\r\n\r\na --b\r\n\r\n--b\r\n" PART "\r\n--b--", "v=0\r\n"},
    {"multipart/mixed;boundary=b", "--b\r\nContent-Transfer-Encoding: base64\r\n" PART "\r\n--b--",
	NULL},
    {"multipart/mixed;boundary=b", "--b\r\n\r\nv=0\r\n--b--", NULL},
    {"multipart/mixed;boundary=b", "--b--\r\n" PART, NULL},
    {"multipart/mixed;boundary=b", "--b", NULL},
    {"multipart/mixed;boundary=b", "--", NULL},
    {"multipart/mixed;boundary=b", "", NULL},
    {"multipart/mixed;boundary=", "--\r\n" PART, NULL},
    {"multipart/mixed", "--\r\n" PART, NULL},
    {"multipart/mixed;boundary=a",
	"--a\r\nContent-Type: multipart/related;boundary=b\r\n\r\n--b\r\n" PART
	"\r\n--b--\r\n--a--",
	"v=0\r\n"},
};

static int parse(struct sip_body *parts, const char *type, struct slice body)
{
	return sip_body_parse(parts, slice_of(type), (struct slice){0}, body);
}

static void test_find(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].body);
		char *body = malloc(len ? len : 1); /* a sanitizer sees what is read behind it */
		const struct sip_part *sdp;
		struct sip_body parts;

		assert_non_null(body);
		memcpy(body, cases[i].body, len);
		assert_int_equal(parse(&parts, cases[i].type, (struct slice){body, len}), 0);
		sdp = sip_body_sdp(&parts);
		if (!sdp != !cases[i].sdp
		    || (sdp && !slice_equal(sdp->body, slice_of(cases[i].sdp))))
			fail_msg("case %zu", i);
		sip_body_fini(&parts);
		free(body);
	}
}

/* A body of nothing but delimiters costs no more than its length. */
static void test_hostile(void **state)
{
	enum { SIZE = 1 << 20 };
	char *body = malloc(SIZE);
	struct sip_body parts;

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < SIZE; i++)
		body[i] = "\n--b"[i % 4];
	assert_int_equal(parse(&parts, "multipart/mixed;boundary=b", (struct slice){body, SIZE}),
	    -EPROTO);
	memset(body, '-', SIZE);
	assert_int_equal(parse(&parts, "multipart/mixed;boundary=-b", (struct slice){body, SIZE}),
	    0);
	assert_int_equal(parts.count, 0);
	sip_body_fini(&parts);
	free(body);
}

/* What there is to know of parts; RFC 2046 5.1.4, RFC 3204 6, RFC 3261 20.11. */
static void test_parts(void **state)
{
	static const char text[] =
	    "--b\r\nContent-Type: text/html\r\nContent-Disposition: icon; handling=optional\r\n"
	    "Content-ID: <a@b>\r\n\r\n<p>\r\n"
	    "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
	    "--c\r\n\r\nlost\r\n--c\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--c\r\n"
	    "Content-Type: application/x\r\n\r\nx\r\n--c--\r\n"
	    "--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n"
	    "--b\r\nContent-Encoding: gzip\r\nContent-Disposition: signal;handling=REQUIRED\r\n"
	    "\r\nx\r\n--b--\r\n";
	struct sip_body parts;

	(void)state;
	assert_int_equal(parse(&parts, "multipart/mixed;boundary=b;", slice_of(text)), 0);
	assert_int_equal(parts.count, 4);
	assert_true(slice_equal(parts.parts[0].id, SLICE("<a@b>")));
	assert_true(slice_equal(parts.parts[0].disposition, SLICE("icon")));
	assert_int_equal(parts.parts[0].handling, SIP_HANDLING_OPTIONAL);
	assert_false(sip_part_is_message(&parts.parts[0]));
	assert_true(slice_equal(parts.parts[1].body, SLICE("v=0")));
	assert_ptr_equal(sip_body_sdp(&parts), &parts.parts[1]);
	assert_true(slice_equal(parts.parts[2].body, SLICE("hello")));
	assert_true(sip_part_is_message(&parts.parts[2]));
	assert_null(parts.parts[3].type.p);
	assert_true(sip_body_is_beyond_us(&parts));
	sip_body_fini(&parts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
