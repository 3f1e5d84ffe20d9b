/* What SDP says of a file: RFC 5547 section 6. */
#include "files/selector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HASH "72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E"

/* Ending at memory that may not be read. */
static int parse_exact(struct selector *selector, const char *text, char **copy)
{
	size_t len = strlen(text);

	*copy = malloc(len ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, text, len);
	return selector_parse(selector, (struct slice){*copy, len});
}

/* The example of section 6. */
static void test_example(void **state)
{
	struct selector s;
	char *copy;

	(void)state;
	assert_int_equal(parse_exact(&s,
			     "name:\"My cool picture.jpg\" type:image/jpeg size:32349 "
			     "hash:sha-1:" HASH,
			     &copy),
	    0);
	assert_true(slice_equal(s.name, SLICE("My cool picture.jpg")));
	assert_true(slice_equal(s.type, SLICE("image/jpeg")));
	assert_int_equal(s.size, 32349);
	assert_true(s.has_sha1);
	assert_int_equal(s.sha1[0], 0x72);
	assert_int_equal(s.sha1[19], 0x2e);
	free(copy);
}

static void test_cases(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
	    {"", 0},
	    {"size:0", 0},
	    {"hash:md5:00 hash:sha-1:" HASH, 0},
	    {"unknown:\"a b\" size:1", 0},
	    {"type:text/plain;charset=\"a b\" size:1", 0},
	    {"NAME:\"a%20b\"", 0},
	    {"hash:sha-1:", -EBADMSG},
	    {"hash:sha-1:72", -EBADMSG},
	    {"hash:sha-1", -EBADMSG},
	    {"hash:sha-1:" HASH ":00", -EBADMSG},
	    {"hash:sha-1:7G:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E", -EBADMSG},
	    {"hash:sha-1:72-24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E", -EBADMSG},
	    {"size:", -EBADMSG},
	    {"size:-1", -EBADMSG},
	    {"size:9223372036854775808", -EBADMSG},
	    {"name:x", -EBADMSG},
	    {"name:\"\"", -EBADMSG},
	    {"name:\"", -EBADMSG},
	    {"name:\"x", -EBADMSG},
	    {"name:\"%\"", -EBADMSG},
	    {"name:\"%2\"", -EBADMSG},
	    {"name:\"a\"b\"", -EBADMSG},
	    {"name", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selector s;
		char *copy;

		if (parse_exact(&s, cases[i].text, &copy) != cases[i].err)
			fail_msg("%s", cases[i].text);
		free(copy);
	}
}

static void test_too_long(void **state)
{
	char text[SELECTOR_SIZE_MAX + 1];
	struct selector s;

	(void)state;
	memset(text, ' ', sizeof(text));
	assert_int_equal(selector_parse(&s, (struct slice){text, sizeof(text)}), -EMSGSIZE);
	assert_int_equal(selector_parse(&s, (struct slice){text, sizeof(text) - 1}), 0);
}

/* What is written can be read again. */
static void test_written(void **state)
{
	static const char name[] = "a \"b\" 100%\r\n";
	const uint8_t sha1[SUM_SHA1_SIZE] = {0xab, 1};
	const struct selector_out out = {
	    .name = {name, sizeof(name) - 1},
	    .type = SLICE("text/plain; charset=utf-8;format=\"flowed\""),
	    .size = 12,
	    .sha1 = sha1,
	};
	char text[512], unescaped[64];
	struct buffer w = BUFFER_ON(text);
	struct slice value;
	struct selector s;

	(void)state;
	selector_write(&w, &out);
	assert_int_equal(w.err, 0);
	value = slice_from(buffer_text(&w), strlen("a=file-selector:"));
	value.len -= 2;
	assert_int_equal(selector_parse(&s, value), 0);
	assert_true(slice_equal((struct slice){unescaped, selector_unescape(unescaped, s.name)},
	    slice_of(name)));
	assert_true(slice_equal(s.type, SLICE("text/plain;charset=\"utf-8\";format=\"flowed\"")));
	assert_int_equal(s.size, 12);
	assert_memory_equal(s.sha1, sha1, sizeof(sha1));
}

static void test_range(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t start, stop;
	} cases[] = {
	    {NULL, 0, 1, UINT64_MAX},
	    {"1-*", 0, 1, UINT64_MAX},
	    {"7-32349", 0, 7, 32349},
	    {"7-7", 0, 7, 7},
	    {"7-6", -EBADMSG, 0, 0},
	    {"0-6", -EBADMSG, 0, 0},
	    {"*-6", -EBADMSG, 0, 0},
	    {"1", -EBADMSG, 0, 0},
	    {"1-", -EBADMSG, 0, 0},
	    {"", -EBADMSG, 0, 0},
	    {"1-99999999999999999999", -EBADMSG, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file_range range;
		struct slice text = cases[i].text ? slice_of(cases[i].text) : (struct slice){0};
		int err = file_range_parse(&range, text);

		if (err != cases[i].err
		    || (err == 0 && (range.start != cases[i].start || range.stop != cases[i].stop)))
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
