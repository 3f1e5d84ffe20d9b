/* Bodies on their way across: RFC 3862, RFC 5438, and what SIP has a place for. */
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

#include "gw/priv.h"

#define ENVELOPE "From: <sip:client@b>\r\nTo: <sip:phone@a>\r\n"
#define TEXT     "\r\nContent-Type: text/plain\r\n\r\nhello"

struct sip_request {
	const char *type, *body, *date, *subject;
};

/* What the peer of a session takes, and what of it in envelopes. */
struct ua_session {
	const char *accepts, *wrapped;
};

struct slice sip_request_field(const struct sip_request *req, enum sip_field which)
{
	switch (which) {
	case SIP_FIELD_CONTENT_TYPE:
		return slice_of(req->type);
	case SIP_FIELD_BODY:
		return slice_of(req->body);
	case SIP_FIELD_FROM:
		return SLICE("\"Phone\" <sip:phone@a>");
	case SIP_FIELD_FROM_URI:
		return SLICE("sip:phone@a");
	default:
		return SLICE("sip:client@b");
	}
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal(name, SLICE("Date"))   ? slice_of(req->date)
	    : slice_equal(name, SLICE("Subject")) ? slice_of(req->subject)
						  : (struct slice){NULL, 0};
}

bool ua_accepts(const struct ua_session *s, struct slice type)
{
	return s->accepts && slice_equal(type, slice_of(s->accepts));
}

bool ua_accepts_wrapped(const struct ua_session *s, struct slice type)
{
	return s->wrapped && slice_equal(type, slice_of(s->wrapped));
}

static struct gw_settings settings;
static struct gw gw = {.settings = &settings};

static int set_up(void **state)
{
	(void)state;
	settings = (struct gw_settings){.cpim = GW_CPIM_AUTO};
	return 0;
}

/* --- into MSRP --- */

static void to_msrp(struct gw_content *c, const struct ua_session *s, const struct sip_request *req,
    bool any_wrapped, int err)
{
	struct gw_binding b = {.gw = &gw, .any_wrapped = any_wrapped};

	assert_int_equal(gw_content_for_msrp(c, &b, s, req), err);
}

static void test_as_it_is(void **state)
{
	static const struct ua_session plain = {"text/plain", NULL};
	static const struct sip_request req = {.type = "text/plain", .body = "hello"};
	static const struct sip_request html = {.type = "text/html", .body = "hello"};
	struct gw_content c;

	(void)state;
	to_msrp(&c, &plain, &req, false, 0);
	assert_true(slice_equal(c.type, SLICE("text/plain")));
	assert_true(slice_equal(c.body, SLICE("hello")));
	to_msrp(&c, &plain, &html, false, -EPROTOTYPE);
}

/* What has an envelope already is for him if what is in it is. */
static void test_envelopes_of_others(void **state)
{
	static const struct ua_session s = {"message/cpim", "text/plain"};
	static const struct ua_session html = {"message/cpim", "text/html"};
	static const struct sip_request req = {.type = "message/cpim", .body = ENVELOPE TEXT};
	static const struct sip_request torn = {.type = "message/cpim", .body = "hello"};
	struct gw_content c;

	(void)state;
	to_msrp(&c, &s, &req, false, 0);
	assert_true(slice_equal(c.body, SLICE(ENVELOPE TEXT)));
	to_msrp(&c, &html, &req, false, -EPROTOTYPE);
	to_msrp(&c, &html, &req, true, 0);
	to_msrp(&c, &s, &torn, false, -EBADMSG);
	settings.cpim = GW_CPIM_PASS; /* that is for those at the ends */
	to_msrp(&c, &s, &torn, false, 0);
}

/* @return its DateTime, within the content */
static struct slice wrap(struct gw_content *c, const struct sip_request *req)
{
	static const struct ua_session s = {"message/cpim", "text/plain"};
	struct cpim m;

	to_msrp(c, &s, req, false, 0);
	assert_true(slice_equal(c->type, SLICE("message/cpim")));
	assert_int_equal(cpim_parse(&m, c->body), 0);
	assert_true(slice_equal(m.body, slice_of(req->body)));
	assert_true(slice_equal(m.content_type, slice_of(req->type)));
	assert_true(slice_equal(cpim_uri(cpim_value(&m, CPIM_CORE, "From")), SLICE("sip:phone@a")));
	assert_true(slice_equal(cpim_uri(cpim_value(&m, CPIM_CORE, "To")), SLICE("sip:client@b")));
	assert_true(slice_equal(cpim_value(&m, CPIM_CORE, "Subject"), slice_of(req->subject)));
	return cpim_value(&m, CPIM_CORE, "DateTime");
}

static void test_envelopes_of_ours(void **state)
{
	static const char *const no_dates[] = {NULL, "", "yesterday",
	    "Sat, 21 Nov 2026 12:00:00 CET", "Sat, 21 Nov 2026 12:00:00 GMT and then some more"};
	struct sip_request req = {.type = "text/plain",
	    .body = "hello",
	    .subject = "Dinner",
	    .date = "Sat, 21 Nov 2026 12:00:00 GMT"};
	struct gw_content c;
	struct slice date;

	(void)state;
	assert_true(slice_equal(wrap(&c, &req), SLICE("2026-11-21T12:00:00Z")));
	gw_content_fini(&c);
	/* Without one that can be read it is now. */
	for (size_t i = 0; i < sizeof(no_dates) / sizeof(no_dates[0]); i++) {
		req.date = no_dates[i];
		date = wrap(&c, &req);
		assert_true(date.len > 10 && date.p[10] == 'T');
		gw_content_fini(&c);
	}
	settings.cpim = GW_CPIM_PASS;
	to_msrp(&c, &(struct ua_session){"message/cpim", "text/plain"}, &req, false, -EPROTOTYPE);
}

/* --- out of MSRP --- */

static int from_msrp(struct gw_content *c, struct gw_imdn_request *imdn, const char *body)
{
	struct gw_binding b = {.gw = &gw};
	struct message m = {.content_type = SLICE("message/cpim"), .body = slice_of(body)};

	return gw_content_for_page(c, imdn, &b, &m);
}

static void expect_headers(const char *cpim, const char *headers)
{
	struct gw_imdn_request imdn;
	struct gw_content c;
	char body[1024];

	snprintf(body, sizeof(body), "%s%s", ENVELOPE, cpim);
	assert_int_equal(from_msrp(&c, &imdn, body), 0);
	if (strcmp(c.headers ? c.headers : "none", headers) != 0)
		fail_msg("%s: %s", cpim, c.headers ? c.headers : "none");
	gw_content_fini(&c);
}

static void test_dates(void **state)
{
	static const struct {
		const char *datetime, *date;
	} cases[] = {
	    {"2026-11-21T12:00:00Z", "Sat, 21 Nov 2026 12:00:00"},
	    {"2026-11-21T12:00:00z", "Sat, 21 Nov 2026 12:00:00"},
	    {"2026-11-21T12:00:00.25Z", "Sat, 21 Nov 2026 12:00:00"},
	    {"2026-11-21T00:30:00+01:00", "Fri, 20 Nov 2026 23:30:00"},
	    {"2026-12-31T23:30:00-01:30", "Fri, 01 Jan 2027 01:00:00"},
	    {"2026-11-21T12:00:00", NULL},
	    {"2026-11-21T12:00:00+1", NULL},
	    {"2026-11-21T12:00:00+01:00Z", NULL},
	    {"2026-11-21T12:00:00*01:00", NULL},
	    {"2026-11-21T12:00:00+-1:00", NULL},
	    {"2026-11-21T12:00:00Zulu", NULL},
	    {"2026-11-21 12:00:00Z", NULL},
	    {"yesterday", NULL},
	    {"2026-11-21T12:00:00.0000000000000000000000000Z", NULL},
	};
	char cpim[256], headers[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(cpim, sizeof(cpim), "DateTime: %s\r\n" TEXT, cases[i].datetime);
		headers[0] = '\0';
		if (cases[i].date)
			snprintf(headers, sizeof(headers), "Date: %s GMT\r\n", cases[i].date);
		expect_headers(cpim, headers);
	}
}

static void test_headers(void **state)
{
	(void)state;
	expect_headers("Subject: Din\\u006eer\r\n" TEXT, "Subject: Dinner\r\n");
	expect_headers("Subject: a\\rX-Evil: b\r\n" TEXT, "Subject: a X-Evil: b\r\n");
	expect_headers("\r\nContent-Type: text/plain\r\nContent-Language: de\r\n"
		       "Content-Disposition: render\r\nContent-ID: <a>\r\n\r\nhello",
	    "Content-Disposition: render\r\nContent-Language: de\r\n");
	expect_headers("\r\n\r\nhello", "");
	/* What cannot stand alone stays in there. */
	expect_headers(
	    "\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=",
	    "none");
	expect_headers("\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8BIT\r\n\r\nhi",
	    "");
	expect_headers("\r\nContent-Type: message/imdn+xml\r\n\r\n<imdn/>", "none");
}

static void test_unwrapped(void **state)
{
	struct gw_imdn_request imdn;
	struct gw_content c;

	(void)state;
	assert_int_equal(from_msrp(&c, &imdn, "hello"), -EBADMSG);
	gw_content_fini(&c);
	assert_int_equal(from_msrp(&c, &imdn, ENVELOPE TEXT), 0);
	assert_true(slice_equal(c.type, SLICE("text/plain")));
	assert_true(slice_equal(c.body, SLICE("hello")));
	gw_content_fini(&c);
	settings.cpim = GW_CPIM_PASS;
	assert_int_equal(from_msrp(&c, &imdn, ENVELOPE TEXT), 0);
	assert_true(slice_equal(c.type, SLICE("message/cpim")));
	gw_content_fini(&c);
}

static void test_composing(void **state)
{
	static const struct {
		const char *type, *body;
		bool is;
	} cases[] = {
	    {"application/im-iscomposing+xml", "", true},
	    {"application/IM-isComposing+xml ;charset=utf-8", "", true},
	    {"message/cpim",
		ENVELOPE "\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n<isComposing/>",
		true},
	    {"message/cpim", ENVELOPE TEXT, false},
	    {"message/cpim", "application/im-iscomposing+xml", false},
	    {"text/plain", "application/im-iscomposing+xml", false},
	    {"", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(gw_is_composing(slice_of(cases[i].type), slice_of(cases[i].body)),
		    cases[i].is);
}

/* --- notifications --- */

static void test_notifications(void **state)
{
	static const char asked[] = "From: <sip:client@b>\r\nTo: <sip:phone@a>\r\n"
				    "DateTime: 2026-11-21T12:00:00Z\r\n"
				    "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m1\r\n"
				    "imdn.Disposition-Notification: positive-delivery\r\n" TEXT;
	struct gw_imdn_request imdn;
	struct gw_content c, n;
	struct cpim m;
	struct imdn read;

	(void)state;
	assert_int_equal(from_msrp(&c, &imdn, asked), 0);
	assert_int_equal(gw_content_imdn(&n, &imdn, true), 0);
	assert_int_equal(cpim_parse(&m, n.body), 0);
	assert_true(slice_equal(cpim_uri(cpim_value(&m, CPIM_CORE, "From")), SLICE("sip:phone@a")));
	assert_true(slice_equal(cpim_uri(cpim_value(&m, CPIM_CORE, "To")), SLICE("sip:client@b")));
	assert_true(
	    slice_equal(cpim_content_value(&m, "Content-Disposition"), SLICE("notification")));
	assert_int_equal(imdn_parse(&read, m.body), 0);
	assert_int_equal(read.status, IMDN_DELIVERED);
	assert_true(slice_equal(read.message_id, SLICE("m1")));
	gw_content_fini(&n);
	/* He has not asked for what did not come. */
	assert_int_equal(gw_content_imdn(&n, &imdn, false), -ENOENT);
	gw_content_fini(&n);
	imdn.message_id = (struct slice){NULL, 0};
	assert_int_equal(gw_content_imdn(&n, &imdn, true), -ENOENT);
	gw_content_fini(&n);
	gw_content_fini(&c);
}

#define TEST(fn) cmocka_unit_test_setup(fn, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_as_it_is),
	    TEST(test_envelopes_of_others),
	    TEST(test_envelopes_of_ours),
	    TEST(test_dates),
	    TEST(test_headers),
	    TEST(test_unwrapped),
	    TEST(test_composing),
	    TEST(test_notifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
