/* src/edge/head.c and head_write.c: RFC 3261 7.3, 8.1, 16.6, 16.7, 18.2.1, 20; RFC 3581 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cut.h"
#include "edge/head.h"

static const struct edge_bounds usual = {.max_message_size = 65536,
    .max_header_size = 8192,
    .max_headers = 128};

#define START "INVITE sip:bob@example.org SIP/2.0\r\n"
#define VIA   "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\n"
#define REST                                      \
	"From: <sip:alice@example.org>;tag=1\r\n" \
	"To: <sip:bob@example.org>\r\n"           \
	"Call-ID: one@example.org\r\n"            \
	"CSeq: 1 INVITE\r\n"

static void scan(struct edge_head *h, const char *text)
{
	*h = (struct edge_head){0};
	assert_int_equal(edge_head_scan(h, slice_of(text), &usual), 0);
	assert_int_equal(h->len, strlen(text));
}

static void scan_good(struct edge_head *h, const char *text)
{
	scan(h, text);
	if (h->status)
		fail_msg("%s: %s", h->why, text);
}

static void assert_slice(struct slice s, const char *expected)
{
	if (!expected) {
		assert_null(s.p);
		return;
	}
	assert_int_equal(s.len, strlen(expected));
	assert_memory_equal(s.p, expected, s.len);
}

/* --- start lines --- */

static const struct {
	const char *line;
	unsigned status;
	const char *method;
} start_lines[] = {
    {"INVITE sip:bob@example.org SIP/2.0", 0, "INVITE"},
    {"INVITE sip:bob@example.org sip/2.0", 0, "INVITE"},
    {"INVITE sips:bob@[2001:db8::1]:5061;transport=tcp;lr SIP/2.0", 0, "INVITE"},
    {"INVITE tel:+15551234;phone-context=example.org SIP/2.0", 0, "INVITE"},
    {"INVITE urn:service:sos SIP/2.0", 0, "INVITE"},
    {"INVITE im:bob@example.org SIP/2.0", 0, "INVITE"},
    {"INVITE sip:*21#@example.org SIP/2.0", 0, "INVITE"},
    {"INVITE  sip:bob@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org  SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org SIP/2.0 ", 400, "INVITE"},
    {"INVITE sip:bob@example.org\tx SIP/2.0", 400, "INVITE"},
    {"INVITE <sip:bob@example.org> SIP/2.0", 400, "INVITE"},
    {"INVITE sip: SIP/2.0", 400, "INVITE"},
    {"INVITE sip:@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@ SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org:x SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org: SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org:65536 SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@[::1 SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@[] SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@[2001;db8::1] SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org/a SIP/2.0", 400, "INVITE"},
    {"INVITE sip:b%4@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:b%zz@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:b\"b@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:b\xc3\xb6@example.org SIP/2.0", 400, "INVITE"},
    {"INVITE sip:bob@example.org?to=x SIP/2.0", 400, "INVITE"},
    {"INVITE bob SIP/2.0", 400, "INVITE"},
    {"INVITE tel: SIP/2.0", 400, "INVITE"},
    {"INVITE http://example.org/ SIP/2.0", 416, "INVITE"},
    {"INVITE sip:bob@example.org SIP/3.0", 505, "INVITE"},
    {"IN+VITE sip:bob@example.org SIP/2.0", 501, "IN+VITE"},
    {"INV(ITE sip:b@b SIP/2.0", 400, "INV(ITE"},
    {"SIP/2.0 99 x", 400, NULL},
    {"SIP/2.0 700 x", 400, NULL},
    {"SIP/2.0 2000 x", 400, NULL},
    {"SIP/2.0", 400, NULL},
    {"SIP/3.0 200 OK", 400, NULL},
    {"SIP/2.0 200 OK", 0, NULL},
    {"SIP/2.0 200 ", 0, NULL},
    {"SIP/2.0 200", 0, NULL},
    {"SIP/2.0 699 any / thing: \xc3\xb6", 0, NULL},
};

static void test_start_lines(void **state)
{
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(start_lines) / sizeof(start_lines[0]); i++) {
		const char *method = start_lines[i].method;
		struct edge_head h;

		snprintf(text, sizeof(text),
		    "%s\r\n" VIA "f: <sip:a@b>;tag=1\r\nt: <sip:b@b>\r\ni: x\r\nCSeq: 1 %s\r\n\r\n",
		    start_lines[i].line, method ? method : "INVITE");
		scan(&h, text);
		if (h.status != start_lines[i].status)
			fail_msg("%s: %u %s", start_lines[i].line, h.status, h.why);
		assert_slice(edge_head_method(&h), method);
		assert_int_equal(h.request, method != NULL);
	}
}

static void test_no_start_line(void **state)
{
	static const char *const lines[] = {"GET / HTTP/1.1\r\n1", "MSRP a SEND\r\n1", "\r\n1",
	    "SIP/ 200 OK\r\n1", "INVITE\r\n1", " INVITE sip:b@b SIP/2.0\r\n1",
	    "INVITE\nsip:b@b SIP/2.0\r\n1"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct edge_head h = {0};

		assert_int_equal(edge_head_scan(&h, slice_of(lines[i]), &usual), -EBADMSG);
		assert_int_equal(h.status, 400);
	}
}

/* --- what a head must have --- */

static const struct {
	const char *lines;
	const char *why;
} heads[] = {
    {VIA REST, NULL},
    {"v: SIP/2.0/TCP a\r\nf:sip:a@b;tag=1\r\nt:sip:b@b\r\ni:x\r\nCSeq:1\tINVITE\r\n", NULL},
    {REST, "no Via"},
    {"Via: SIP/2.0/TCP\r\n" REST, "bad Via"},
    {"Via:\r\n" REST, "an empty list"},
    {"Via: ,\r\n" VIA REST, "an empty list"},
    {VIA "Via: SIP/2.0/TCP a;;b\r\n" REST, "bad Via"},
    {"Via: SIP/2.0/TCP a,,\r\n" REST, NULL},
    {VIA "Via:\r\n" REST, "an empty list"},
    {VIA REST "Route: <sip:a>\r\nRoute: ,\r\n", "an empty list"},
    {"Via: SIP/2.0/TCP a, SIP/2.0 b\r\n" REST, "bad Via"},
    {"Via: SIP/2.0/TCP a;branch=1;branch=2\r\n" REST, "bad Via"},
    {"Via: SIP/2.0/TCP a (comment)\r\n" REST, "bad Via"},
    {VIA REST "Route: \r\n", "an empty list"},
    {VIA REST "Record-Route: ,\r\n", "an empty list"},
    {VIA REST "To: <sip:c@b>\r\n", "a header field twice"},
    {VIA REST "f: <sip:c@b>\r\n", "a header field twice"},
    {VIA REST "I: x\r\n", "a header field twice"},
    {VIA REST "CSEQ: 1 INVITE\r\n", "a header field twice"},
    {VIA "From: a\r\nTo: <sip:b@b>\r\ni: x\r\nCSeq: 1 INVITE\r\n", "no From or a bad one"},
    {VIA "To: <sip:b@b>\r\ni: x\r\nCSeq: 1 INVITE\r\n", "no From or a bad one"},
    {VIA "From: <sip:b@b>\r\ni: x\r\nCSeq: 1 INVITE\r\n", "no To or a bad one"},
    {VIA "From: <sip:b@b>\r\nTo: <sip:b@b>\r\nCSeq: 1 INVITE\r\n", "no Call-ID"},
    {VIA REST "Max-Forwards:\r\n", "bad Max-Forwards"},
    {VIA "Max-Forwards: \r\n \r\n" REST, "bad Max-Forwards"},
    {VIA REST "Max-Forwards: 256\r\n", "bad Max-Forwards"},
    {VIA REST "Max-Forwards: -1\r\n", "bad Max-Forwards"},
    {VIA REST "Max-Forwards: 7\r\nMax-Forwards: 7\r\n", "a header field twice"},
    {VIA "From: <sip:b@b>\r\nTo: <sip:b@b>\r\ni:\r\nCSeq: 1 INVITE\r\n", "no Call-ID"},
    {VIA "From: <sip:b@b>\r\nTo: <sip:b@b>\r\ni: x\r\n", "no CSeq or a bad one"},
    {VIA "f: <sip:b@b>\r\nt: <sip:b@b>\r\ni: x\r\nCSeq: 4294967296 INVITE\r\n",
	"no CSeq or a bad one"},
    {VIA "f: <sip:b@b>\r\nt: <sip:b@b>\r\ni: x\r\nCSeq: 1INVITE\r\n", "no CSeq or a bad one"},
    {VIA "f: <sip:b@b>\r\nt: <sip:b@b>\r\ni: x\r\nCSeq: 1 INVITE x\r\n", "no CSeq or a bad one"},
    {VIA "f: <sip:b@b>\r\nt: <sip:b@b>\r\ni: x\r\nCSeq: 1 ACK\r\n", "another method in CSeq"},
};

static void test_heads(void **state)
{
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct edge_head h;

		snprintf(text, sizeof(text), START "%s\r\n", heads[i].lines);
		scan(&h, text);
		if (!slice_equal(slice_of(h.why), slice_of(heads[i].why)))
			fail_msg("%s: %s", heads[i].lines, h.why ? h.why : "good");
		assert_int_equal(h.status, heads[i].why ? 400 : 0);
	}
}

/* --- addresses --- */

static const struct {
	const char *value;
	bool good;
	const char *uri, *tag;
} addresses[] = {
    {"sip:a@b", true, "sip:a@b", NULL},
    {"sip:a@b;tag=x", true, "sip:a@b", "x"},
    {"<sip:a@b;tag=no>;TAG=x", true, "sip:a@b;tag=no", "x"},
    {"<sip:a@b> ; tag = x ; y", true, "sip:a@b", "x"},
    {"A. Bell<sip:a@b>;tag=x", true, "sip:a@b", "x"},
    {"\"a, \\\" <b>;tag=y\" <sip:a@b>;tag=x", true, "sip:a@b", "x"},
    {"\"a\"<tel:+1>;q=\"a;tag=y\"", true, "tel:+1", NULL},
    {"<http://example.org>;tag=x", true, "http://example.org", "x"},
    {"isbn:2983792873", true, "isbn:2983792873", NULL},
    {"sip:a@b\r\n ;tag=x", true, "sip:a@b", "x"},
    {"<sip:a@b>;h=[::1]", true, "sip:a@b", NULL},
    {"", false, NULL, NULL},
    {"\"a <sip:a@b>", false, NULL, NULL},
    {"\"a\" sip:a@b", false, NULL, NULL},
    {"<sip:a@b", false, NULL, NULL},
    {"< sip:a@b >", false, " sip:a@b ", NULL},
    {"<sip:a@b> x", false, "sip:a@b", NULL},
    {"<sip:a@b>;", false, "sip:a@b", NULL},
    {"<sip:a@b>;=x", false, "sip:a@b", NULL},
    {"<sip:a@b>;x=", false, "sip:a@b", NULL},
    {"<sip:a@b>;x=\"", false, "sip:a@b", NULL},
    {"<sip:a@b>;x=\xc3\xb6", false, "sip:a@b", NULL},
    {"Bell, A. <sip:a@b>", false, "Bell", NULL},
    {"sip:a@b?x=y", false, "sip:a@b", NULL},
    {"a", false, "a", NULL},
};

static void test_addresses(void **state)
{
	struct guard guard;

	(void)state;
	guard_init(&guard, 256);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct slice value = guard_copy(&guard, slice_of(addresses[i].value));

		if (edge_value_is_address(value) != addresses[i].good)
			fail_msg("%s", addresses[i].value);
		assert_slice(edge_value_uri(value), addresses[i].uri);
		assert_slice(edge_value_param(value, SLICE("tag")), addresses[i].tag);
	}
	guard_fini(&guard);
}

static void test_lists(void **state)
{
	struct slice rest = SLICE(" <sip:a,b@c> , ,\"x,\\\"y\" <sip:d>;p=\"a,b\",\r\n e"), value;

	(void)state;
	assert_true(edge_list_cut(&rest, &value));
	assert_slice(value, "<sip:a,b@c>");
	assert_true(edge_list_cut(&rest, &value));
	assert_slice(value, "\"x,\\\"y\" <sip:d>;p=\"a,b\"");
	assert_true(edge_list_cut(&rest, &value));
	assert_slice(value, "e");
	assert_false(edge_list_cut(&rest, &value));
}

/* --- URIs --- */

static void test_uris(void **state)
{
	struct edge_uri uri;

	(void)state;
	assert_int_equal(edge_uri_parse(&uri, SLICE("sip:h")), 0);
	assert_false(uri.secure);
	assert_null(uri.user.p);
	assert_slice(uri.host, "h");
	assert_int_equal(uri.port, 0);
	assert_null(uri.params.p);
	assert_int_equal(
	    edge_uri_parse(&uri, SLICE("SIPS:a;b:pw@[2001:db8::1]:5061;x;transport=TLS?h=v")), 0);
	assert_true(uri.secure);
	assert_slice(uri.user, "a;b");
	assert_slice(uri.host, "2001:db8::1");
	assert_int_equal(uri.port, 5061);
	assert_slice(edge_uri_param(&uri, SLICE("transport")), "TLS");
	assert_slice(edge_uri_param(&uri, SLICE("x")), "");
	assert_slice(edge_uri_param(&uri, SLICE("h")), NULL);
	assert_int_equal(edge_uri_parse(&uri, SLICE("tel:+1")), -EBADMSG);
	assert_int_equal(edge_uri_parse(&uri, SLICE("sip:a@b ")), -EBADMSG);
}

/* --- Via --- */

static void test_via(void **state)
{
	struct edge_head h, own = {0};
	struct edge_via via;
	char copy[512];

	(void)state;
	scan_good(&h,
	    START "v:  SIP  / 2.0\r\n / TCP     host.example.com : 5070  ;\r\n"
		  "  branch  =   z9hG4bK9  ;rport, SIP/2.0/UDP [2001:db8::2]\r\n" REST "\r\n");
	assert_int_equal(edge_head_via(&h, &via), 0);
	assert_slice(via.transport, "TCP");
	assert_slice(via.host, "host.example.com");
	assert_slice(via.sent_by, "host.example.com : 5070");
	assert_int_equal(via.port, 5070);
	assert_slice(via.branch, "z9hG4bK9");
	assert_null(via.received.p);
	assert_true(via.wants_rport);
	/* Its bytes may lie elsewhere by then. */
	snprintf(copy, sizeof(copy), "%.*s", SLICE_ARG(edge_head_text(&h)));
	h.p = copy;
	assert_int_equal(edge_head_via(&h, &via), 0);
	assert_ptr_equal(via.branch.p, strstr(copy, "z9hG4bK9"));
	assert_ptr_equal(via.host.p, strstr(copy, "host."));
	assert_null(via.received.p);
	assert_int_equal(edge_via_parse(&via, SLICE("SIP/2.0/WSS [::1];received=::2")), 0);
	assert_slice(via.host, "::1");
	assert_slice(via.sent_by, "[::1]");
	assert_slice(via.received, "::2");
	assert_int_equal(edge_head_scan_own(&own, slice_of(copy)), 0);
	assert_int_equal(edge_head_via(&own, &via), 0);
	assert_slice(via.branch, "z9hG4bK9");
	own = (struct edge_head){0};
	assert_int_equal(edge_head_scan_own(&own, SLICE("SIP/2.0 200 OK\r\n")), -EAGAIN);
}

/* --- what else is read --- */

static void test_reading(void **state)
{
	struct edge_head h;
	struct slice method;
	uint32_t number;

	(void)state;
	scan_good(&h,
	    START VIA REST "Route: <sip:one;lr>, <sip:two;lr>\r\nRoute: <sip:three;lr>\r\n"
			   "m: \"x, y\" <sip:a@c>;ob, <sip:d>\r\n\r\n");
	assert_slice(edge_head_uri(&h), "sip:bob@example.org");
	assert_slice(edge_head_tag(&h, EDGE_FROM), "1");
	assert_slice(edge_head_tag(&h, EDGE_TO), NULL);
	assert_slice(edge_head_value(&h, EDGE_CALL_ID), "one@example.org");
	assert_slice(edge_head_top(&h, EDGE_CONTACT), "\"x, y\" <sip:a@c>;ob");
	assert_int_equal(edge_head_cseq(&h, &number, &method), 0);
	assert_int_equal(number, 1);
	assert_slice(edge_head_next_hop(&h, 0), "sip:one;lr");
	assert_slice(edge_head_next_hop(&h, 1), "sip:two;lr");
	assert_slice(edge_head_next_hop(&h, 2), "sip:three;lr");
	assert_slice(edge_head_next_hop(&h, 3), "sip:bob@example.org");
	assert_false(edge_head_has(&h, EDGE_CONTENT_LENGTH));
}

/* --- changes --- */

static const struct {
	const char *lines;
	struct edge_change change;
	const char *expected;
} changes[] = {
    {VIA REST, {.drop_via = false}, VIA REST},
    {VIA REST, {.push_via = {"SIP/2.0/TCP me", 14}}, "Via: SIP/2.0/TCP me\r\n" VIA REST},
    {"Via: SIP/2.0/TCP me\r\n" VIA REST, {.drop_via = true}, VIA REST},
    {"Via: SIP/2.0/TCP me , SIP/2.0/TCP b\r\n" REST, {.drop_via = true},
	"Via: SIP/2.0/TCP b\r\n" REST},
    /* RFC 3261 18.2.1, RFC 3581 4 */
    {VIA REST, {.via_received = {"192.0.2.9", 9}, .via_rport = 1024},
	"Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa;received=192.0.2.9\r\n" REST},
    {"v: SIP/2.0/TCP a;rport;branch=x,SIP/2.0/TCP b\r\n" REST,
	{.via_received = {"192.0.2.9", 9}, .via_rport = 65535},
	"v: SIP/2.0/TCP a;branch=x;received=192.0.2.9;rport=65535,SIP/2.0/TCP b\r\n" REST},
    {"Via: SIP/2.0/TCP a;received=1.1.1.1 ;rport=9\r\n" REST,
	{.via_received = {"::2", 3}, .via_rport = 1},
	"Via: SIP/2.0/TCP a ;received=::2;rport=1\r\n" REST},
    {"Via: SIP/2.0/TCP a;rport\r\n" REST,
	{.via_received = {"::2", 3}, .via_rport = 1, .push_via = {"SIP/2.0/TCP me", 14}},
	"Via: SIP/2.0/TCP me\r\nVia: SIP/2.0/TCP a;received=::2;rport=1\r\n" REST},
    {"Via: SIP / 2.0 / TCP a : 1 ; branch = x;y\r\n" REST,
	{.via_transport = {"WSS", 3}, .via_sent_by = {"b:2", 3}, .via_branch = {"z", 1}},
	"Via: SIP / 2.0 / WSS b:2 ; branch = z;y\r\n" REST},
    {"Via: SIP/2.0/TCP a\r\n" REST, {.via_branch = {"z", 1}},
	"Via: SIP/2.0/TCP a;branch=z\r\n" REST},
    /* routes */
    {VIA "Route: <sip:a;lr>\r\n" REST, {.drop_routes = 1}, VIA REST},
    {VIA "Route: <sip:a;lr>,\r\n <sip:b;lr>\r\n" REST, {.drop_routes = 1},
	VIA "Route: <sip:b;lr>\r\n" REST},
    {VIA "Route: <sip:a;lr>\r\nroute: <sip:b;lr>\r\n" REST, {.drop_routes = 1},
	VIA "route: <sip:b;lr>\r\n" REST},
    {VIA "Route: <sip:a;lr>, <sip:b;lr>, <sip:c;lr>\r\n" REST, {.drop_routes = 2},
	VIA "Route: <sip:c;lr>\r\n" REST},
    {VIA "Route: <sip:a;lr>\r\nRoute: <sip:b;lr>, <sip:c;lr>\r\n" REST,
	{.drop_routes = 2, .push_route = {"<sip:d;lr>", 10}},
	VIA "Route: <sip:d;lr>\r\nRoute: <sip:c;lr>\r\n" REST},
    {VIA "Route: <sip:a;lr>, <sip:b;lr>\r\n" REST, {.drop_routes = 2}, VIA REST},
    {VIA "Route: <sip:a;lr>, <sip:b;lr> , <sip:c>\r\n" REST, {.drop_routes = 2},
	VIA "Route: <sip:c>\r\n" REST},
    {VIA "Route: <sip:a;lr>\r\n" REST "Route: <sip:b;lr>,<sip:c>\r\n", {.drop_routes = 2},
	VIA REST "Route: <sip:c>\r\n"},
    {VIA "Route: <sip:a;lr>\r\n" REST, {.drop_routes = 2}, VIA REST},
    {VIA "Max-Forwards: 70\r\n" REST, {.max_forwards = {"69", 2}, .add_max_forwards = true},
	VIA "Max-Forwards: 69\r\n" REST},
    {VIA REST, {.max_forwards = {"69", 2}, .add_max_forwards = true},
	VIA REST "Max-Forwards: 70\r\n"},
    {VIA REST, {.drop_routes = 1, .drop_record_route = true}, VIA REST},
    {VIA REST, {.push_record_route = {"<sip:me;lr>", 11}},
	VIA REST "Record-Route: <sip:me;lr>\r\n"},
    {VIA "Record-Route: <sip:a>\r\n" REST, {.push_record_route = {"<sip:me;lr>", 11}},
	VIA "Record-Route: <sip:me;lr>\r\nRecord-Route: <sip:a>\r\n" REST},
    {VIA "Record-Route: <sip:a>, <sip:b>\r\nRecord-Route: <sip:c>\r\n" REST,
	{.drop_record_route = true}, VIA "Record-Route: <sip:b>\r\nRecord-Route: <sip:c>\r\n" REST},
    {"Record-Route: <sip:a>\r\n" VIA "Record-Route: <sip:c>\r\n" REST,
	{.append_record_route = {"<sip:me;lr>", 11}},
	"Record-Route: <sip:a>\r\n" VIA
	"Record-Route: <sip:c>\r\nRecord-Route: <sip:me;lr>\r\n" REST},
    {VIA REST, {.append_record_route = {"<sip:me;lr>", 11}},
	VIA REST "Record-Route: <sip:me;lr>\r\n"},
    /* the rest */
    {VIA REST, {.add_content_length = true, .content_length = 12},
	VIA REST "Content-Length: 12\r\n"},
    {VIA REST, {.add_max_forwards = true}, VIA REST "Max-Forwards: 70\r\n"},
    {VIA REST "max-forwards : 3\r\n", {.add_max_forwards = true}, VIA REST "max-forwards : 3\r\n"},
    {VIA REST "l: 7\r\n", {.add_content_length = true}, VIA REST "l: 7\r\n"},
    {VIA REST "Subject: a\r\n\tb\r\n \r\n", {.drop_routes = 1}, VIA REST "Subject: a  \tb   \r\n"},
};

static void test_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char text[1024], expected[1024], written[1024];
		struct buffer w = BUFFER_ON(written);
		struct edge_head h;

		snprintf(text, sizeof(text), START "%s\r\n", changes[i].lines);
		snprintf(expected, sizeof(expected), START "%s\r\n", changes[i].expected);
		scan_good(&h, text);
		edge_head_write(&w, &h, &changes[i].change);
		assert_int_equal(w.err, 0);
		if (!slice_equal(buffer_text(&w), slice_of(expected)))
			fail_msg("%.*s", SLICE_ARG(buffer_text(&w)));
		scan_good(&h, expected);
	}
}

/* What is empty stands in its own line all the same. */
static void test_empty(void **state)
{
	char written[1024];
	struct buffer w = BUFFER_ON(written);
	struct edge_head h = {0};
	static const char text[] = START VIA "Max-Forwards:\r\n" REST "\r\n",
			  expected[] = START VIA "Max-Forwards:69\r\n" REST "\r\n";

	(void)state;
	assert_int_equal(edge_head_scan(&h, slice_of(text), &usual), 0);
	assert_int_equal(h.status, 400);
	edge_head_write(&w, &h, &(struct edge_change){.max_forwards = SLICE("69")});
	assert_int_equal(w.err, 0);
	assert_true(slice_equal(buffer_text(&w), slice_of(expected)));
}

static void test_no_room(void **state)
{
	char text[32];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h;

	(void)state;
	scan_good(&h, START VIA REST "Subject: a\r\n b\r\n\r\n");
	edge_head_write(&w, &h, &(struct edge_change){.drop_via = true});
	assert_int_equal(w.err, -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_start_lines),
	    cmocka_unit_test(test_no_start_line),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_uris),
	    cmocka_unit_test(test_via),
	    cmocka_unit_test(test_reading),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
