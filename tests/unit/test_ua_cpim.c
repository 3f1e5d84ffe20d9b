/* message/cpim and IMDN: RFC 3862, RFC 5438. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msrpd/cpim.h>

#define assert_slice(s, text)                                \
	do {                                                 \
		struct slice got_ = (s);                     \
		assert_non_null(got_.p);                     \
		assert_int_equal(got_.len, strlen(text));    \
		assert_memory_equal(got_.p, text, got_.len); \
	} while (0)

/* A copy of the text alone on the heap: what reads past it is found out. */
static struct slice alone(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return (struct slice){copy, len};
}

static const char example[] = "From: MR SANDERS <im:piglet@100akerwood.com>\r\n"
			      "To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n"
			      "DateTime: 2000-12-13T13:40:00-08:00\r\n"
			      "Subject: the weather will be fine today\r\n"
			      "Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n"
			      "NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n"
			      "Require: MyFeatures.VitalMessageOption\r\n"
			      "MyFeatures.VitalMessageOption: Confirmation-requested\r\n"
			      "MyFeatures.WackyMessageOption: Use-silly-font\r\n"
			      "\r\n"
			      "Content-type: text/xml; charset=utf-8\r\n"
			      "Content-ID: <1234567890@foo.com>\r\n"
			      "\r\n"
			      "<body>\r\nHere is the text of my message.\r\n</body>\r\n";

/* RFC 3862 5.1 */
static void test_example(void **state)
{
	struct slice text = alone(example, strlen(example));
	struct cpim m;

	(void)state;
	assert_int_equal(cpim_parse(&m, text), 0);
	assert_int_equal(m.header_count, 8);
	assert_slice(cpim_uri(cpim_value(&m, CPIM_CORE, "From")), "im:piglet@100akerwood.com");
	assert_slice(cpim_formal_name(cpim_value(&m, CPIM_CORE, "From")), "MR SANDERS");
	assert_slice(cpim_uri(cpim_value(&m, CPIM_CORE, "to")), "im:eeyore@100akerwood.com");
	assert_slice(cpim_value(&m, CPIM_CORE, "DateTime"), "2000-12-13T13:40:00-08:00");
	assert_slice(m.headers[4].params, ";lang=fr");
	assert_slice(m.headers[4].value, "beau temps prevu pour aujourd'hui");
	assert_slice(cpim_value(&m, "mid:MessageFeatures@id.foo.com", "WackyMessageOption"),
	    "Use-silly-font");
	assert_null(cpim_value(&m, CPIM_CORE, "WackyMessageOption").p);
	assert_slice(m.content_type, "text/xml; charset=utf-8");
	assert_slice(cpim_content_value(&m, "content-id"), "<1234567890@foo.com>");
	assert_slice(m.body, "<body>\r\nHere is the text of my message.\r\n</body>\r\n");
	free((void *)text.p);
}

/* Each beginning of a message is none, and nothing beyond it is looked at. */
static void test_cut(void **state)
{
	const char *end = strstr(example, "<body>");

	(void)state;
	for (size_t len = 0; len < strlen(example); len++) {
		struct slice text = alone(example, len);
		struct cpim m;

		assert_int_equal(cpim_parse(&m, text), example + len < end ? -EBADMSG : 0);
		free((void *)text.p);
	}
}

struct parse_case {
	const char *text;
	int err;
	const char *content_type, *body;
};

static const struct parse_case parses[] = {
    {"From: <im:a>\r\n\r\n\r\nhello", 0, NULL, "hello"},
    {"From: <im:a>\n\nContent-Type: text/plain\n\nhello\n", 0, "text/plain", "hello\n"},
    {"From: <im:a>\r\n\r\nContent-Type: text/plain\r\n\r\n", 0, "text/plain", ""},
    {"From: <im:a>\r\n\r\nX: y\r\n folded\r\nContent-Type:text/plain\r\n\r\na", 0, "text/plain",
	"a"},
    {"From: <im:a>\r\n\r\nA: b\nContent-Type: a/b", -EBADMSG, NULL, NULL},
    {"", -EBADMSG, NULL, NULL},
    {"\r\n\r\nhello", -EBADMSG, NULL, NULL},
    {"hello", -EBADMSG, NULL, NULL},
    {"From <im:a>\r\n\r\n\r\n", -EBADMSG, NULL, NULL},
    {": <im:a>\r\n\r\n\r\n", -EBADMSG, NULL, NULL},
    {"Fr om: <im:a>\r\n\r\n\r\n", -EBADMSG, NULL, NULL},
    {"From: <im:a>\x01\r\n\r\n\r\n", -EBADMSG, NULL, NULL},
    {"NS: x\r\nFrom: <im:a>\r\n\r\n\r\n", -EBADMSG, NULL, NULL},
    {"From: <im:a>\r\n\r\n folded first\r\n\r\n", -EBADMSG, NULL, NULL},
    {"From: <im:a>\r\n\r\nno colon\r\n\r\n", -EBADMSG, NULL, NULL},
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(parses) / sizeof(parses[0]); i++) {
		const struct parse_case *c = &parses[i];
		struct slice text = alone(c->text, strlen(c->text));
		struct cpim m;

		assert_int_equal(cpim_parse(&m, text), c->err);
		if (c->err == 0) {
			assert_slice(m.body, c->body);
			if (c->content_type)
				assert_slice(m.content_type, c->content_type);
			else
				assert_null(m.content_type.p);
		}
		free((void *)text.p);
	}
}

static void test_bounds(void **state)
{
	static char text[2 * CPIM_HEAD_MAX];
	struct cpim m;
	size_t len = 0;

	(void)state;
	for (int i = 0; i <= CPIM_HEADERS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "H%d: v\r\n", i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\r\n\r\n");
	assert_int_equal(cpim_parse(&m, (struct slice){text, len}), -EMSGSIZE);
	len = (size_t)snprintf(text, sizeof(text), "H: %0*d\r\n\r\n\r\nbody", CPIM_HEAD_MAX, 0);
	assert_int_equal(cpim_parse(&m, (struct slice){text, len}), -EMSGSIZE);
	len = (size_t)snprintf(text, sizeof(text), "H: v\r\n\r\n\r\n%0*d", CPIM_HEAD_MAX, 0);
	assert_int_equal(cpim_parse(&m, (struct slice){text, len}), 0);
	assert_int_equal(m.body.len, CPIM_HEAD_MAX);
}

struct uri_case {
	const char *value, *uri, *name;
};

static const struct uri_case uris[] = {
    {"<im:a@b>", "im:a@b", NULL},
    {"im:a@b", "im:a@b", NULL},
    {"A B <sip:a@b>", "sip:a@b", "A B"},
    {"\"a \\\" < b\" <sip:a@b>", "sip:a@b", "\"a \\\" < b\""},
    {"A <sip:a@b", "sip:a@b", "A"},
    {"", "", NULL},
};

static void test_uris(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		assert_slice(cpim_uri(slice_of(uris[i].value)), uris[i].uri);
		if (uris[i].name)
			assert_slice(cpim_formal_name(slice_of(uris[i].value)), uris[i].name);
		else
			assert_null(cpim_formal_name(slice_of(uris[i].value)).p);
	}
	assert_null(cpim_uri((struct slice){NULL, 0}).p);
	assert_null(cpim_uri(SLICE("<im:a@b>, <im:c@d>")).p);
	assert_null(cpim_uri(SLICE("A <im:a@b> <im:c@d>")).p);
}

struct escape_case {
	const char *value, *text;
};

static const struct escape_case escapes[] = {
    {"plain", "plain"},
    {"\\\\ \\\" \\' \\b\\t\\n\\r", "\\ \" ' \b\t\n\r"},
    {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
    {"\\u004", "\\u004"},
    {"\\ud800", "\\ud800"},
    {"\\u00g0", "\\u00g0"},
    {"\\x", "\\x"},
    {"end\\", "end\\"},
};

/* RFC 3862 2.3.1 */
static void test_escapes(void **state)
{
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		struct slice value = alone(escapes[i].value, strlen(escapes[i].value));
		size_t len = cpim_unescape(text, sizeof(text), value);

		assert_true(len <= value.len);
		assert_slice(((struct slice){text, len}), escapes[i].text);
		free((void *)value.p);
	}
	assert_int_equal(cpim_unescape(text, 2, SLICE("ab\\u20ac")), 2);
	assert_int_equal(cpim_unescape(text, 4, SLICE("ab\\u20ac")), 2);
	assert_int_equal(cpim_unescape(text, 0, SLICE("ab")), 0);
}

static void test_build(void **state)
{
	struct cpim_out out = {
	    .from_uri = SLICE("sip:a@example.org"),
	    .to_uri = SLICE("sip:b@example.org"),
	    .datetime = SLICE("2026-11-21T12:00:00.000Z"),
	    .subject = SLICE("back\\slash\nand \x01"),
	    .message_id = SLICE("id1"),
	    .dispositions = IMDN_WANT_POSITIVE_DELIVERY | IMDN_WANT_DISPLAY,
	    .content_type = SLICE("text/plain"),
	    .content_headers = SLICE("Content-Disposition: render\r\n"),
	    .body = SLICE("hello\0there"),
	};
	struct cpim m;
	struct slice subject;
	char *text, plain[64];
	size_t len;

	(void)state;
	assert_int_equal(cpim_build(&text, &len, &out), 0);
	assert_int_equal(cpim_parse(&m, (struct slice){text, len}), 0);
	assert_slice(cpim_uri(cpim_value(&m, CPIM_CORE, "From")), "sip:a@example.org");
	assert_slice(cpim_uri(cpim_value(&m, CPIM_CORE, "To")), "sip:b@example.org");
	assert_slice(cpim_value(&m, CPIM_CORE, "DateTime"), "2026-11-21T12:00:00.000Z");
	subject = cpim_value(&m, CPIM_CORE, "Subject");
	assert_slice(subject, "back\\\\slash\\nand \\u0001");
	len = cpim_unescape(plain, sizeof(plain), subject);
	assert_slice(((struct slice){plain, len}), "back\\slash\nand \x01");
	assert_slice(cpim_value(&m, CPIM_IMDN, "Message-ID"), "id1");
	assert_int_equal(imdn_wants(cpim_value(&m, CPIM_IMDN, "Disposition-Notification")),
	    out.dispositions);
	assert_slice(m.content_type, "text/plain");
	assert_slice(cpim_content_value(&m, "Content-Disposition"), "render");
	assert_int_equal(m.body.len, 11);
	assert_memory_equal(m.body.p, "hello\0there", 11);
	free(text);
}

static void test_build_least(void **state)
{
	struct cpim_out out = {.from_uri = SLICE("im:a"),
	    .to_uri = SLICE("im:b"),
	    .body = SLICE("x")};
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(cpim_build(&text, &len, &out), 0);
	assert_string_equal(text,
	    "From: <im:a>\r\nTo: <im:b>\r\n\r\n"
	    "Content-Type: text/plain;charset=UTF-8\r\n\r\nx");
	free(text);
}

static void test_build_refused(void **state)
{
	static const char *const bad[] = {"", "im:a\r\nX: y", "im:a>", "<im:a", "im:a b",
	    "im:a\x7f"};
	struct cpim_out out = {.from_uri = SLICE("im:a"), .to_uri = SLICE("im:b")};
	char *text;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cpim_out one = out;

		one.from_uri = slice_of(bad[i]);
		assert_int_equal(cpim_build(&text, &len, &one), -EINVAL);
		one = out;
		one.to_uri = slice_of(bad[i]);
		assert_int_equal(cpim_build(&text, &len, &one), -EINVAL);
	}
	out.content_type = SLICE("a/b\r\nX: y");
	assert_int_equal(cpim_build(&text, &len, &out), -EINVAL);
}

static void test_datetime(void **state)
{
	char text[CPIM_DATETIME_SIZE];

	(void)state;
	cpim_datetime(text);
	assert_int_equal(strlen(text), CPIM_DATETIME_SIZE - 1);
	assert_int_equal(text[4], '-');
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[23], 'Z');
}

static void test_wants(void **state)
{
	char text[IMDN_WANTS_SIZE];
	size_t len;

	(void)state;
	assert_int_equal(imdn_wants(SLICE("positive-delivery, negative-delivery")), 3);
	assert_int_equal(imdn_wants(SLICE(" Display;x=y ,processing,unknown")), 12);
	assert_int_equal(imdn_wants((struct slice){NULL, 0}), 0);
	len = imdn_wants_text(text, 15);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, "positive-delivery, negative-delivery, processing, display");
	assert_int_equal(imdn_wants(slice_of(text)), 15);
	assert_int_equal(imdn_wants_text(text, 0), 0);
}

static void test_imdn(void **state)
{
	(void)state;
	for (int status = IMDN_DELIVERED; status <= IMDN_ERROR; status++) {
		struct imdn n = {
		    .kind = status == IMDN_DISPLAYED ? IMDN_DISPLAY : IMDN_DELIVERY,
		    .status = (enum imdn_status)status,
		    .message_id = SLICE("34jk324j"),
		    .datetime = SLICE("2008-04-04T12:16:49-05:00"),
		    .recipient_uri = SLICE("sip:b@example.org?a&b&amp;c<"),
		};
		struct imdn got;
		char *xml;
		size_t len;

		assert_int_equal(imdn_build(&xml, &len, &n), 0);
		assert_int_equal(imdn_parse(&got, (struct slice){xml, len}), 0);
		assert_int_equal(got.kind, n.kind);
		assert_int_equal(got.status, n.status);
		assert_slice(got.message_id, "34jk324j");
		assert_slice(got.datetime, "2008-04-04T12:16:49-05:00");
		assert_slice(got.recipient_uri, "sip:b@example.org?a&amp;b&amp;c&lt;");
		assert_null(got.original_recipient_uri.p);
		free(xml);
	}
}

/* As others write it. */
static void test_imdn_foreign(void **state)
{
	static const char xml[] = "<?xml version=\"1.0\"?><!-- hi --><i:imdn xmlns:i=\"urn:x\">"
				  "<i:message-id >\n a1 \n</i:message-id>"
				  "<i:display-notification><i:status>"
				  "<i:displayed />\n</i:status></i:display-notification></i:imdn>";
	struct imdn got;

	(void)state;
	for (size_t len = 0; len < strlen(xml); len++) {
		struct slice text = alone(xml, len);

		imdn_parse(&got, text);
		free((void *)text.p);
	}
	assert_int_equal(imdn_parse(&got, slice_of(xml)), 0);
	assert_slice(got.message_id, "a1");
	assert_int_equal(got.kind, IMDN_DISPLAY);
	assert_int_equal(got.status, IMDN_DISPLAYED);
	assert_int_equal(imdn_parse(&got, SLICE("<imdn></imdn>")), -EBADMSG);
	assert_int_equal(imdn_parse(&got, SLICE("")), -EBADMSG);
	assert_int_equal(imdn_parse(&got, (struct slice){NULL, 0}), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_uris),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_build),
	    cmocka_unit_test(test_build_least),
	    cmocka_unit_test(test_build_refused),
	    cmocka_unit_test(test_datetime),
	    cmocka_unit_test(test_wants),
	    cmocka_unit_test(test_imdn),
	    cmocka_unit_test(test_imdn_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
