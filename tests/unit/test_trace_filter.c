/* Which messages a trace takes, and the Call-ID that it knows of a session. */
#include "trace/priv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char invite[] = "INVITE sip:bob@example.org;x=y SIP/2.0\r\n"
			     "Via: SIP/2.0/TCP h;branch=z9hG4bK1\r\n"
			     "f: \"A\" <sip:alice@example.org;a=b>;tag=1\r\n"
			     "t: <tel:+1-201-555-0123;c=d>\r\n"
			     "i: the-call\r\n"
			     "CSeq: 1 INVITE\r\n"
			     "l: 0\r\n\r\n";
static const char description[] =
    "v=0\r\na=path:msrp://r.invalid:2855/Granted;tcp msrp://a.invalid:9/Hers;tcp\r\n";
static const char frame[] =
    "MSRP tid1 SEND\r\n"
    "To-Path: msrp://b.invalid:2855/Ours;tcp\r\n"
    "From-Path: msrp://r.invalid:2855/Granted;tcp msrp://a.invalid:9/Hers;tcp\r\n"
    "Message-ID: 1\r\n\r\n";
static const char login[] = "MSRP tid2 AUTH\r\n"
			    "To-Path: msrps://r.invalid:2855;tcp\r\n"
			    "From-Path: msrps://a.invalid:9/Hers;tcp\r\n"
			    "Authorization: Digest username=\"alice\", realm=\"r\"\r\n";

static struct trace_filter *filter(const char *session_id, const char *user, const char *address)
{
	struct trace_filter_options options = {slice_of(session_id), slice_of(user),
	    slice_of(address)};
	struct trace_filter *f = NULL;
	struct reason why;

	assert_int_equal(trace_filter_new(&f, &options, &why), 0);
	return f;
}

static bool takes_sip(struct trace_filter *f)
{
	struct slice call_id;
	bool takes = trace_filter_takes_sip(f, slice_of(invite), slice_of(description), &call_id);

	assert_true(slice_equal(call_id, SLICE("the-call")));
	return takes;
}

static bool takes_frame(struct trace_filter *f, struct slice text, const char *call)
{
	struct slice call_id;
	struct trace_mark mark = {.all = false};
	bool takes = trace_filter_takes_msrp(f, text, &mark, &call_id);

	assert_false(mark.all);
	assert_int_equal(mark.last, takes);
	assert_true(slice_equal(call_id, slice_of(call)));
	return takes;
}

static void test_any(void **state)
{
	struct trace_filter *f = filter(NULL, NULL, NULL);

	(void)state;
	assert_true(takes_frame(f, slice_of(frame), NULL));
	assert_true(takes_sip(f));
	assert_true(takes_frame(f, slice_of(frame), "the-call"));
	trace_filter_free(f);
}

/* The session's own call, and a frame before it was known. */
static void test_session(void **state)
{
	struct trace_filter *f = filter("Hers", NULL, NULL);

	(void)state;
	assert_true(takes_frame(f, slice_of(frame), NULL));
	assert_true(takes_sip(f));
	assert_true(takes_frame(f, slice_of(frame), "the-call"));
	trace_filter_free(f);
	f = filter("Others", NULL, NULL);
	assert_false(takes_frame(f, slice_of(frame), NULL));
	assert_false(takes_sip(f));
	assert_false(takes_frame(f, slice_of(frame), NULL));
	trace_filter_free(f);
}

/* Sessions that are older than the trace. */
static void test_known(void **state)
{
	static const struct ua_session_info info = {.call_id = SLICE("a-call"),
	    .from_uri = SLICE("sip:alice@example.org"),
	    .to_uri = SLICE("sip:bob@example.org"),
	    .ruri = SLICE("sip:bob@192.0.2.1")};
	static const struct {
		const char *session, *user, *call;
		bool takes;
	} cases[] = {
	    {NULL, NULL, "a-call", true},
	    {"Ours", NULL, "a-call", true},
	    {"Others", NULL, NULL, false},
	    {NULL, "bob", "a-call", true},
	    {NULL, "carol", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_filter *f = filter(cases[i].session, cases[i].user, NULL);

		trace_filter_know(f, SLICE("Ours"), &info);
		assert_int_equal(takes_frame(f, slice_of(frame), cases[i].call), cases[i].takes);
		trace_filter_free(f);
	}
}

static void test_user(void **state)
{
	static const struct {
		const char *user;
		bool takes;
	} cases[] = {
	    {"alice", true},
	    {"alice@example.org", true},
	    {"sip:alice@example.org", true},
	    {"bob", true},
	    {"+1-201-555-0123", true},
	    {"tel:+1-201-555-0123", true},
	    {"example.org", false},
	    {"alic", false},
	    {"alice@example.or", false},
	    {"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_filter *f = filter(NULL, cases[i].user, NULL);

		print_message("%s\n", cases[i].user);
		assert_false(takes_frame(f, slice_of(frame), NULL));
		assert_int_equal(takes_sip(f), cases[i].takes);
		assert_int_equal(
		    takes_frame(f, slice_of(frame), cases[i].takes ? "the-call" : NULL),
		    cases[i].takes);
		trace_filter_free(f);
	}
}

static void test_credentials(void **state)
{
	struct trace_filter *f = filter(NULL, "alice", NULL);
	struct slice call_id;
	struct trace_mark mark = {.all = false};

	(void)state;
	assert_true(trace_filter_takes_msrp(f, slice_of(login), &mark, &call_id));
	assert_true(mark.all);
	/* Whatever else comes over that connection. */
	assert_true(trace_filter_takes_msrp(f, slice_of(frame), &mark, &call_id));
	trace_filter_free(f);
}

/* A head that was cut before its paths goes with the frame before it on its connection. */
static void test_names_nobody(void **state)
{
	static const char others[] =
	    "MSRP tid3 SEND\r\nTo-Path: msrp://b.invalid:2855/Others;tcp\r\n";
	static const char *const cut[] = {"MS", "MSRP tid4 SE", "MSRP tid4 SEND\r\n",
	    "MSRP tid4 SEND\r\nTo-Path: msrp://b.invalid:2855/Oth"};
	struct trace_filter *f = filter("Hers", NULL, NULL);
	struct slice call_id;

	(void)state;
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		struct trace_mark mark = {.all = false};
		struct slice text = slice_of(cut[i]);

		assert_false(trace_filter_takes_msrp(f, text, &mark, &call_id));
		assert_true(trace_filter_takes_msrp(f, slice_of(frame), &mark, &call_id));
		assert_true(trace_filter_takes_msrp(f, text, &mark, &call_id));
		assert_true(trace_filter_takes_msrp(f, text, &mark, &call_id));
		assert_false(trace_filter_takes_msrp(f, slice_of(others), &mark, &call_id));
		assert_false(trace_filter_takes_msrp(f, text, &mark, &call_id));
	}
	trace_filter_free(f);
}

static void test_address(void **state)
{
	static const struct {
		const char *address, *peer;
		bool takes;
	} cases[] = {
	    {"192.0.2.1", "192.0.2.1:5", true},
	    {"192.0.2.1:5", "192.0.2.1:5", true},
	    {"192.0.2.1:5", "192.0.2.1:6", false},
	    {"192.0.2.0/24", "192.0.2.200:6", true},
	    {"192.0.3.0/24", "192.0.2.200:6", false},
	    {"0.0.0.0/0", "192.0.2.200:6", true},
	    {"2001:db8::/32", "[2001:db8:1::1]:6", true},
	    {"[2001:db8::1]:7", "[2001:db8::1]:7", true},
	    {"2001:db8::/32", "192.0.2.1:7", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_filter *f = filter(NULL, NULL, cases[i].address);
		union addr peer;

		assert_int_equal(addr_parse(&peer, slice_of(cases[i].peer)), 0);
		assert_int_equal(trace_filter_takes_peer(f, &peer), cases[i].takes);
		trace_filter_free(f);
	}
}

static void test_bad_address(void **state)
{
	static const char *const bad[] = {"", "example.org", "192.0.2.1/33", "192.0.2.1:x"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct trace_filter_options options = {.address = slice_of(bad[i])};
		struct trace_filter *f = NULL;
		struct reason why;

		assert_int_equal(trace_filter_new(&f, &options, &why), -EINVAL);
		assert_null(f);
	}
}

/* Peers may name as many sessions as they like; what is known stays bounded. */
static void test_many_names(void **state)
{
	struct trace_filter *f = filter(NULL, NULL, NULL), *one = filter("Hers", NULL, NULL);
	struct slice call_id;
	char body[128];

	(void)state;
	for (int i = 0; i < 40000; i++) {
		int n = snprintf(body, sizeof(body), "a=path:msrp://x.invalid:1/S%d;tcp\r\n", i);
		struct slice named = {body, (size_t)n};

		trace_filter_takes_sip(f, slice_of(invite), named, &call_id);
		assert_false(trace_filter_takes_sip(one, slice_of(invite), named, &call_id));
	}
	takes_frame(f, SLICE("MSRP t SEND\r\nTo-Path: msrp://x.invalid:1/S0;tcp\r\n"), NULL);
	takes_frame(f, SLICE("MSRP t SEND\r\nTo-Path: msrp://x.invalid:1/S39999;tcp\r\n"),
	    "the-call");
	assert_true(takes_sip(one));
	trace_filter_free(f);
	trace_filter_free(one);
}

/* Of any bytes nothing comes but an answer. */
static void test_nonsense(void **state)
{
	static const char *const texts[] = {"", "\n", "\r\n\r\n", "To-Path:", "To-Path: \n",
	    "a=path:", "a=path:msrp://", "Authorization: username=\"", "MSRP", "To-Path: x y z",
	    "i:\r\n\r\n", "From: <\r\n\r\n"};
	struct trace_filter *f = filter(NULL, "alice", NULL);
	struct slice call_id;
	struct trace_mark mark = {.all = false};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct slice text = slice_of(texts[i]);

		assert_false(trace_filter_takes_msrp(f, text, &mark, &call_id));
		assert_false(trace_filter_takes_sip(f, text, text, &call_id));
	}
	trace_filter_free(f);
}

static void test_hep_place(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} cases[] = {
	    {"192.0.2.1:9060", "192.0.2.1", "9060"},
	    {"[2001:db8::1]:9060", "2001:db8::1", "9060"},
	    {"homer.example.org:1", "homer.example.org", "1"},
	    {.text = "homer.example.org"},
	    {.text = "homer:0"},
	    {.text = "homer:65536"},
	    {.text = ":9060"},
	    {.text = "2001:db8::1:9060"},
	    {.text = "a\nb:9060"},
	    {.text = ""},
	};
	struct slice host, port;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = trace_hep_parse(slice_of(cases[i].text), &host, &port);

		assert_int_equal(err, cases[i].host ? 0 : -EINVAL);
		if (err == 0)
			assert_true(slice_equal(host, slice_of(cases[i].host))
			    && slice_equal(port, slice_of(cases[i].port)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any),
	    cmocka_unit_test(test_session),
	    cmocka_unit_test(test_known),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_credentials),
	    cmocka_unit_test(test_names_nobody),
	    cmocka_unit_test(test_address),
	    cmocka_unit_test(test_bad_address),
	    cmocka_unit_test(test_many_names),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_hep_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
