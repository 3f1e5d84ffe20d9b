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

static void test_find(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].body);
		char *body = malloc(len ? len : 1); /* a sanitizer sees what is read behind it */
		struct slice sdp = {0};
		int err;

		assert_non_null(body);
		memcpy(body, cases[i].body, len);
		err = sip_body_find_sdp(slice_of(cases[i].type), (struct slice){body, len}, &sdp);
		if (err != (cases[i].sdp ? 0 : -EPROTO)
		    || (cases[i].sdp && !slice_equal(sdp, slice_of(cases[i].sdp))))
			fail_msg("case %zu: %d \"%.*s\"", i, err, SLICE_ARG(sdp));
		free(body);
	}
}

/* A body of nothing but delimiters costs no more than its length. */
static void test_hostile(void **state)
{
	enum { SIZE = 1 << 20 };
	char *body = malloc(SIZE);
	struct slice sdp;

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < SIZE; i++)
		body[i] = "\n--b"[i % 4];
	assert_int_equal(sip_body_find_sdp(SLICE("multipart/mixed;boundary=b"),
			     (struct slice){body, SIZE}, &sdp),
	    -EPROTO);
	memset(body, '-', SIZE);
	assert_int_equal(sip_body_find_sdp(SLICE("multipart/mixed;boundary=-b"),
			     (struct slice){body, SIZE}, &sdp),
	    -EPROTO);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
