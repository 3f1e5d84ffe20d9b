/* What a REGISTER says of each Contact: RFC 3261 10.3, RFC 5626 6, RFC 3327 5.3. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "registrar/priv.h"

#define INSTANCE "+sip.instance=\"<urn:uuid:0>\""

struct sip_request {
	const char *expires, *supported, *path;
	int path_err;
	bool first_keeps, direct, nated, by_udp, no_memory;
};

static struct sip_flow *const some_flow = (struct sip_flow *)&some_flow;
static const struct slice absent;

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	(void)req;
	return field == SIP_FIELD_CSEQ       ? SLICE("4294967295")
	    : field == SIP_FIELD_PROTO       ? SLICE("udp")
	    : field == SIP_FIELD_SOURCE_PORT ? SLICE("5060")
					     : SLICE("192.0.2.1");
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal(name, SLICE("Expires")) ? slice_of(req->expires) : absent;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	return index == 0 && slice_equal(name, SLICE("Supported")) ? slice_of(req->supported)
								   : absent;
}

int sip_request_path(const struct sip_request *req, struct buffer *w, bool *keeps_flows)
{
	buffer_add(w, slice_of(req->path));
	*keeps_flows = req->first_keeps;
	return req->path_err;
}

bool sip_request_is_direct(const struct sip_request *req)
{
	return req->direct;
}

bool sip_request_is_nated(const struct sip_request *req)
{
	return req->nated;
}

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	return req->by_udp ? NULL : some_flow;
}

struct sip_flow *sip_request_keep_flow(const struct sip_request *req)
{
	return req->no_memory ? NULL : some_flow;
}

void sip_flow_unref(struct sip_flow *flow)
{
	(void)flow;
}

bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri,
    const struct setting_list *names)
{
	(void)req;
	(void)names;
	return slice_equal(uri, SLICE("sip:us"));
}

/* @return the status that it is refused with; 0: terms are good until registrant_fini() */
static int read_contact(struct registrant *from, struct sip_request *req, const char *contact,
    struct binding_terms *terms)
{
	static const struct registrar_settings settings = {.min_expires_ms = 60000,
	    .default_expires_ms = 3600000,
	    .max_expires_ms = 7200000};
	static const struct registrar r = {.settings = &settings};
	struct refusal no = registrant_read(from, &r, req);

	return no.code ? no.code : contact_read(from, slice_of(contact), terms).code;
}

static void expect_code(struct sip_request req, const char *contact, int code)
{
	struct binding_terms terms;
	struct registrant from;

	if (read_contact(&from, &req, contact, &terms) != code)
		fail_msg("%s", contact);
	registrant_fini(&from);
}

/* --- cases --- */

static void test_refused(void **state)
{
	static const struct {
		const char *contact;
		int code;
	} cases[] = {
	    {"<sip:a@h>", 0},
	    {"sip:a@h", 0},
	    {"<tel:+1>", 400},
	    {"<sip:us>", 403},
	    {"<sip:a@h>;q=1.5", 400},
	    {"<sip:a@h>;q=1.001", 400},
	    {"<sip:a@h>;q=0.0001", 400},
	    {"<sip:a@h>;q=.5", 400},
	    {"<sip:a@h>;q=2", 400},
	    {"<sip:a@h>;q=0.x", 400},
	    {"<sip:a@h>;expires=59", 423},
	    {"<sip:a@h>;expires=60", 0},
	};
	char longest[TEXT_MAX + 32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_code((struct sip_request){.direct = true}, cases[i].contact, cases[i].code);
	snprintf(longest, sizeof(longest), "<sip:%0*d@h>", TEXT_MAX - 6, 0);
	expect_code((struct sip_request){.direct = true}, longest, 0);
	snprintf(longest, sizeof(longest), "<sip:%0*d@h>", TEXT_MAX - 5, 0);
	expect_code((struct sip_request){.direct = true}, longest, 400);
	/* Also the parameters that it is told with later, which are not cut. */
	snprintf(longest, sizeof(longest), "<sip:a@h>;%0*d", TEXT_MAX, 0);
	expect_code((struct sip_request){.direct = true}, longest, 400);
}

static void test_terms(void **state)
{
	struct sip_request req = {.expires = "120", .direct = true};
	struct binding_terms terms;
	struct registrant from;

	(void)state;
	assert_int_equal(read_contact(&from, &req,
			     "\"A\" <sip:a@h;x>;q=0.07;a=b;" INSTANCE ";reg-id=1;c", &terms),
	    0);
	assert_true(slice_equal(terms.contact, SLICE("sip:a@h;x")));
	assert_true(slice_equal(terms.params, SLICE(";a=b;c")));
	assert_true(slice_equal(terms.instance, SLICE("<urn:uuid:0>")));
	assert_true(slice_equal(terms.reg_id, SLICE("1")));
	assert_true(slice_equal(terms.source, SLICE("udp:192.0.2.1:5060")));
	assert_int_equal(terms.cseq, UINT32_MAX);
	assert_int_equal(terms.q, 70);
	assert_true(terms.q_given);
	assert_int_equal(terms.expires_ms, 120000);
	registrant_fini(&from);
}

/* RFC 3261 20.10: what is malformed counts as absent; what is too long is the longest. */
static void test_expires(void **state)
{
	static const struct {
		const char *expires, *contact;
		uint64_t ms;
	} cases[] = {
	    {NULL, "<sip:a@h>", 3600000},
	    {"x", "<sip:a@h>;expires=-1", 3600000},
	    {"100", "<sip:a@h>;expires=x", 100000},
	    {"100", "<sip:a@h>;expires=200", 200000},
	    {"0", "<sip:a@h>", 0},
	    {"100000", "<sip:a@h>", 7200000},
	    {"4294967296", "<sip:a@h>", 7200000},
	    {"99999999999999999999999", "<sip:a@h>", 7200000},
	};
	struct binding_terms terms;
	struct registrant from;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sip_request req = {.expires = cases[i].expires, .direct = true};

		assert_int_equal(read_contact(&from, &req, cases[i].contact, &terms), 0);
		if (terms.expires_ms != cases[i].ms)
			fail_msg("case %zu: %llu", i, (unsigned long long)terms.expires_ms);
		assert_int_equal(terms.q, Q_MAX);
		assert_false(terms.q_given);
		registrant_fini(&from);
	}
}

static void test_paths(void **state)
{
	struct sip_request req = {.path = "<sip:p;lr>"};
	char longest[TEXT_MAX + 2];
	struct binding_terms terms;
	struct registrant from;

	(void)state;
	assert_int_equal(read_contact(&from, &req, "<sip:a@h>", &terms), 0);
	assert_true(slice_equal(terms.path, SLICE("<sip:p;lr>")));
	assert_null(terms.flow); /* it is reached by that */
	registrant_fini(&from);
	expect_code((struct sip_request){.path_err = -EBADMSG}, "<sip:a@h>", 400);
	expect_code((struct sip_request){.path_err = -ENOMEM}, "<sip:a@h>", 500);
	memset(longest, 'x', sizeof(longest));
	longest[TEXT_MAX + 1] = '\0';
	expect_code((struct sip_request){.path = longest}, "<sip:a@h>", 400);
	longest[TEXT_MAX] = '\0';
	expect_code((struct sip_request){.path = longest}, "<sip:a@h>", 0);
}

/* Which are reached over the connection that they came by, and are kept by reg-id. */
static void test_flows(void **state)
{
	static const struct {
		struct sip_request req;
		const char *contact;
		int code;
		bool flow, reg_id;
	} cases[] = {
	    {{.direct = true}, "<sip:a@h>", 0, true, false},
	    {{.direct = true, .by_udp = true}, "<sip:a@h>", 0, false, false},
	    {{.direct = true, .by_udp = true}, "<sip:a@h;ob>", 0, true, false},
	    {{.direct = true, .by_udp = true}, "<sip:a@h>;" INSTANCE ";reg-id=1", 0, true, true},
	    {{.direct = true, .by_udp = true}, "<sip:a@h>;reg-id=1", 0, false, false},
	    {{.direct = true, .no_memory = true}, "<sip:a@h>", 500, false, false},
	    {{.nated = true, .by_udp = true}, "<sip:a@h>", 0, true, false},
	    {{.by_udp = false}, "<sip:a@h>", 0, false, false},
	    /* Behind a first hop that keeps none. */
	    {{.supported = "path, outbound"}, "<sip:a@h>;" INSTANCE ";reg-id=1", 439, false, false},
	    {{.supported = "path"}, "<sip:a@h>;" INSTANCE ";reg-id=1", 0, false, false},
	    {{.supported = "outbound", .path = "<sip:p;lr;ob>", .first_keeps = true},
		"<sip:a@h>;" INSTANCE ";reg-id=1", 0, false, true},
	};
	struct binding_terms terms;
	struct registrant from;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sip_request req = cases[i].req;
		int code = read_contact(&from, &req, cases[i].contact, &terms);

		if (code != cases[i].code
		    || (!code
			&& (!terms.flow == cases[i].flow || !terms.reg_id.p == cases[i].reg_id)))
			fail_msg("case %zu: %d", i, code);
		registrant_fini(&from);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_expires),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
