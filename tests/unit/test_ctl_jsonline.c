#include "ctl/jsonline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

static void assert_written(struct buffer *line, const char *expected)
{
	assert_false(line->err);
	assert_int_equal(line->len, strlen(expected));
	assert_memory_equal(line->p, expected, line->len);
	buffer_fini(line);
}

/* What jansson makes of a text that we wrote. */
static json_t *written_text(struct slice text)
{
	struct buffer line = {.max = BUFFER_UNBOUNDED};
	json_t *value;

	jsonline_text(&line, text);
	assert_false(line.err);
	value = json_loadb(line.p, line.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(value);
	buffer_fini(&line);
	return value;
}

static void assert_text_survives(struct slice text)
{
	json_t *value = written_text(text);

	assert_int_equal(json_string_length(value), text.len);
	assert_memory_equal(json_string_value(value), text.p, text.len);
	json_decref(value);
}

static void test_text_forms(void **state)
{
	static const struct {
		struct slice text;
		const char *json;
	} cases[] = {
	    {{"", 0}, "\"\""},
	    {{NULL, 0}, "null"},
	    {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
	    {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
	    {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\x7f\""},
	    {{"\xc3\xbc\xf0\x9f\x98\x80", 6}, "\"\xc3\xbc\xf0\x9f\x98\x80\""},
	    {{"a\xff"
	      "b",
		 3},
		"\"a\xef\xbf\xbd"
		"b\""},
	    {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	    {{"\xed\xa0\x80\n\xc3\xbc", 6}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\n\xc3\xbc\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer line = {.max = BUFFER_UNBOUNDED};

		jsonline_text(&line, cases[i].text);
		assert_written(&line, cases[i].json);
	}
}

/* Each byte, at each place in and around the eight that are looked at together. */
static void test_each_byte_at_each_place(void **state)
{
	char text[20];

	(void)state;
	for (int c = 0; c < 0x80; c++) {
		for (size_t len = 1; len <= sizeof(text); len++) {
			for (size_t at = 0; at < len; at++) {
				memset(text, 'x', sizeof(text));
				text[at] = (char)c;
				assert_text_survives((struct slice){text, len});
			}
		}
	}
}

static void test_random_text(void **state)
{
	static const char *const pieces[] = {"a", "\"", "\\", "\n", "\x01", "\x7f", "\xc2\x80",
	    "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf", "plain words here", "\xe2\x80\xa8"};
	char text[400];

	(void)state;
	srand(1);
	for (int round = 0; round < 3000; round++) {
		size_t len = 0, count = (size_t)rand() % 20;

		for (size_t i = 0; i < count; i++) {
			const char *piece =
			    pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + len, piece, strlen(piece));
			len += strlen(piece);
		}
		assert_text_survives((struct slice){text, len});
	}
}

/* Random bytes: always a string that jansson takes, whatever it makes of them. */
static void test_random_bytes(void **state)
{
	char text[64];

	(void)state;
	srand(2);
	for (int round = 0; round < 3000; round++) {
		size_t len = (size_t)rand() % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = (char)rand();
		json_decref(written_text((struct slice){text, len}));
	}
}

/* Nothing behind the text is read. */
static void test_at_the_end_of_a_page(void **state)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *pages =
	    mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + size, size, PROT_NONE), 0);
	memset(pages, 'x', size);
	memcpy(pages + size - 3, "\xe2\x82\xac", 3);
	for (size_t len = 3; len < 40; len++) {
		struct slice text = {pages + size - len, len};

		assert_text_survives(text);
		json_decref(written_text(slice_head(text, len - 1)));
	}
	pages[size - 1] = '\xe2';
	for (size_t len = 1; len < 40; len++)
		json_decref(written_text((struct slice){pages + size - len, len}));
	munmap(pages, 2 * size);
}

static void test_structure(void **state)
{
	struct buffer line = {.max = BUFFER_UNBOUNDED};

	(void)state;
	jsonline_open(&line, '{');
	jsonline_key(&line, SLICE("a"));
	jsonline_open(&line, '[');
	jsonline_number(&line, INT64_MIN);
	jsonline_number(&line, INT64_MAX);
	jsonline_open(&line, '{');
	jsonline_close(&line, '}');
	jsonline_text(&line, SLICE("{["));
	jsonline_word(&line, SLICE("true"));
	jsonline_close(&line, ']');
	jsonline_key(&line, SLICE("b"));
	jsonline_text(&line, SLICE(":"));
	jsonline_key(&line, SLICE("c"));
	jsonline_word(&line, SLICE("null"));
	jsonline_close(&line, '}');
	assert_written(&line,
	    "{\"a\":[-9223372036854775808,9223372036854775807,{},\"{[\",true],\"b\":\":\",\"c\":null}");
}

static void test_base64(void **state)
{
	static const size_t lengths[] = {0, 1, 2, 3, 4, 1000, (3 << 20) - 1, 3 << 20,
	    (3 << 20) + 1};
	char *bytes = malloc((3 << 20) + 1), *expected = malloc((4 << 20) + 16);

	(void)state;
	for (size_t i = 0; i < (3 << 20) + 1; i++)
		bytes[i] = (char)(i * 7);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buffer line = {.max = BUFFER_UNBOUNDED};
		size_t n;

		jsonline_base64(&line, (struct slice){bytes, lengths[i]});
		n = (size_t)EVP_EncodeBlock((unsigned char *)expected, (unsigned char *)bytes,
		    (int)lengths[i]);
		assert_int_equal(line.len, n + 2);
		assert_memory_equal(line.p + 1, expected, n);
		assert_int_equal(line.p[0], '"');
		assert_int_equal(line.p[n + 1], '"');
		buffer_fini(&line);
	}
	free(bytes);
	free(expected);
}

static void test_event(void **state)
{
	static const struct event_type type = {.name = "E_MSRP_MSG_RECEIVED", .params = NULL};
	const struct event_param params[] = {
	    event_text("session_id", SLICE("s\"1")),
	    event_text("reason", (struct slice){NULL, 0}),
	    event_number("code", 408),
	    event_body("body", SLICE("hi\n")),
	    event_null("none"),
	    event_body("blob", SLICE("\xff\xfe")),
	    event_text("bad", SLICE("\xff")),
	    event_body("empty", (struct slice){NULL, 0}),
	};
	const struct event_notice event = {&type, params, sizeof(params) / sizeof(params[0]), NULL};
	const struct event_notice bare = {&type, NULL, 0, NULL};
	struct buffer line = {.max = BUFFER_UNBOUNDED};

	(void)state;
	jsonline_event(&line, &event, true);
	assert_written(&line,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"E_MSRP_MSG_RECEIVED\",\"params\":{"
	    "\"session_id\":\"s\\\"1\",\"reason\":null,\"code\":408,\"body\":\"hi\\n\",\"none\":null,"
	    "\"blob_base64\":\"//4=\",\"bad\":\"\xef\xbf\xbd\",\"empty\":\"\"}}\n");
	jsonline_event(&line, &bare, true);
	assert_written(&line,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"E_MSRP_MSG_RECEIVED\",\"params\":{}}\n");
}

static void test_event_of_parts(void **state)
{
	static const struct event_type type = {.name = "E_MSRP_SESSION_NEW"};
	const struct event_param parts[] = {
	    event_text("type", SLICE("text/plain")),
	    event_number("size", -1),
	};
	const struct event_param list[] = {
	    {.kind = EVENT_OBJECT, .items = parts, .count = 2},
	    {.kind = EVENT_LIST},
	    {.kind = EVENT_TRUE},
	    {.kind = EVENT_NULL},
	};
	const struct event_param params[] = {
	    {.name = "headers", .kind = EVENT_OBJECT, .items = parts, .count = 1},
	    {.name = "parts", .kind = EVENT_LIST, .items = list, .count = 4},
	    event_true("last"),
	};
	const struct event_notice event = {&type, params, 3, NULL};
	struct buffer line = {.max = BUFFER_UNBOUNDED};

	(void)state;
	jsonline_event(&line, &event, true);
	assert_written(&line,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"E_MSRP_SESSION_NEW\",\"params\":{"
	    "\"headers\":{\"type\":\"text/plain\"},"
	    "\"parts\":[{\"type\":\"text/plain\",\"size\":-1},[],true,null],\"last\":true}}\n");
}

static void test_guarded(void **state)
{
	static const struct event_type type = {.name = "E_MSRP_CONF_JOIN"};
	struct event_param params[] = {
	    event_text("room", SLICE("sip:room@example.org")),
	    event_text("session_id", SLICE("s1")),
	};
	const struct event_notice event = {&type, params, 2, NULL};
	struct buffer line = {.max = BUFFER_UNBOUNDED};

	(void)state;
	params[1].guarded = true;
	jsonline_event(&line, &event, false);
	assert_written(&line,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"E_MSRP_CONF_JOIN\",\"params\":{"
	    "\"room\":\"sip:room@example.org\"}}\n");
	jsonline_event(&line, &event, true);
	assert_written(&line,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"E_MSRP_CONF_JOIN\",\"params\":{"
	    "\"room\":\"sip:room@example.org\",\"session_id\":\"s1\"}}\n");
}

static void test_cut(void **state)
{
	struct buffer line = {.max = BUFFER_UNBOUNDED};
	size_t mark;

	(void)state;
	jsonline_open(&line, '[');
	mark = line.len;
	jsonline_number(&line, 1);
	line.len = mark;
	jsonline_number(&line, 2);
	jsonline_close(&line, ']');
	assert_written(&line, "[2]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_forms),
	    cmocka_unit_test(test_each_byte_at_each_place),
	    cmocka_unit_test(test_random_text),
	    cmocka_unit_test(test_random_bytes),
	    cmocka_unit_test(test_at_the_end_of_a_page),
	    cmocka_unit_test(test_structure),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_event),
	    cmocka_unit_test(test_event_of_parts),
	    cmocka_unit_test(test_guarded),
	    cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
