/* Parameters of a call: each kind, what it takes, and what it says of the rest. */
#include "ctl/params.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct param_spec specs[] = {
    {"text", PARAM_TEXT, false},
    {"body", PARAM_BODY, false},
    {"word", PARAM_WORD, false},
    {"number", PARAM_NUMBER, false},
    {"bytes", PARAM_BASE64, false},
    {"texts", PARAM_TEXTS, false},
    {"headers", PARAM_HEADERS, false},
    {NULL},
};

static json_t *parse(const char *text)
{
	json_t *given = json_loads(text, JSON_ALLOW_NUL, NULL);

	assert_non_null(given);
	return given;
}

static void assert_read(const char *text, int err, const char *why)
{
	struct params params = {.why = ""};
	json_t *given = parse(text);

	assert_int_equal(params_read(&params, specs, given), err);
	assert_string_equal(params.why, why);
	params_fini(&params);
	json_decref(given);
}

static void assert_text(struct slice text, const char *expected)
{
	assert_true(slice_equal(text, slice_of(expected)));
}

static void test_kinds(void **state)
{
	struct params params = {.why = ""};
	json_t *given = parse("{\"text\":\"a\",\"body\":\"b\\u0000\",\"word\":\"on\",\"number\":-3,"
			      "\"bytes\":\"AP8=\",\"texts\":[\"x\",\"\"],"
			      "\"headers\":{\"X-A\":\"1\",\"X-B\":\"\"}}");
	const struct param *p = params.values;

	(void)state;
	assert_int_equal(params_read(&params, specs, given), 0);
	assert_text(p[0].text, "a");
	assert_int_equal(p[1].text.len, 2);
	assert_text(p[2].text, "on");
	assert_int_equal(p[3].number, -3);
	assert_int_equal(p[4].text.len, 2);
	assert_memory_equal(p[4].text.p, "\0\xff", 2);
	assert_int_equal(p[5].count, 2);
	assert_text(p[5].texts[0], "x");
	assert_text(p[6].text, "X-A: 1\r\nX-B: \r\n");
	params_fini(&params);
	json_decref(given);
}

static void test_words(void **state)
{
	static const char *const texts[] = {"[null,null,true]", "[null,null,false]"};
	static const char *const words[] = {"true", "false"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct params params = {.why = ""};
		json_t *given = parse(texts[i]);

		assert_int_equal(params_read(&params, specs, given), 0);
		assert_false(params.values[0].present);
		assert_text(params.values[2].text, words[i]);
		params_fini(&params);
		json_decref(given);
	}
}

static void test_wrong(void **state)
{
	(void)state;
	assert_read("{\"text\":1}", -EPROTO, "parameter text is not a string");
	assert_read("{\"text\":\"\\u0000\"}", -EINVAL,
	    "parameter text is not a string without NUL");
	assert_read("{\"body\":[]}", -EPROTO, "parameter body is not a string");
	assert_read("{\"word\":1}", -EPROTO, "parameter word is not a string or a boolean");
	assert_read("{\"number\":1.5}", -EPROTO, "parameter number is not a whole number");
	assert_read("{\"bytes\":1}", -EPROTO, "parameter bytes is not a string in base64");
	assert_read("{\"bytes\":\"AP8\"}", -EINVAL, "parameter bytes is not a string in base64");
	assert_read("{\"bytes\":\"A*8=\"}", -EINVAL, "parameter bytes is not a string in base64");
	assert_read("{\"texts\":\"x\"}", -EPROTO, "parameter texts is not a list of strings");
	assert_read("{\"texts\":[1]}", -EPROTO, "parameter texts is not a list of strings");
	assert_read("{\"texts\":[\"\\u0000\"]}", -EINVAL,
	    "parameter texts is not a list without NUL");
	assert_read("{\"headers\":[]}", -EPROTO, "parameter headers is not an object of strings");
	assert_read("{\"headers\":{\"X\":1,\"Y\":\"2\"}}", -EPROTO,
	    "parameter headers is not an object of strings");
	assert_read("{\"other\":1}", -EPROTO, "unknown parameter other");
	assert_read("[null,null,null,null,null,null,null,null]", -EPROTO,
	    "too many parameters, it takes 7");
}

static void test_required(void **state)
{
	static const struct param_spec required[] = {{"text", PARAM_TEXT, true}, {NULL}};
	struct params params = {.why = ""};

	(void)state;
	assert_int_equal(params_read(&params, required, NULL), -EPROTO);
	assert_string_equal(params.why, "parameter text is missing");
	params_fini(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_required),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
