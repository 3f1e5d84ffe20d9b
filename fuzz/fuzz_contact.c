/*
 * A Contact of a REGISTER, behind a first line that is its Expires: what is taken of it is within
 * bounds, and lines of its own.
 */
#include <stdint.h>
#include <stdlib.h>

#include <msrpd/sip_uri.h>

#include "registrar/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- a request that says nothing else --- */

struct sip_request {
	struct slice expires;
};

static const struct slice absent;
static struct sip_flow *const some_flow = (struct sip_flow *)&some_flow;

static void must(bool ok)
{
	if (!ok)
		abort();
}

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	(void)req;
	(void)field;
	return SLICE("1");
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal(name, SLICE("Expires")) ? req->expires : absent;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	return index == 0 && slice_equal(name, SLICE("Supported")) ? req->expires : absent;
}

int sip_request_path(const struct sip_request *req, struct buffer *w, bool *keeps_flows)
{
	(void)req;
	(void)w;
	(void)keeps_flows;
	return 0;
}

bool sip_request_is_direct(const struct sip_request *req)
{
	(void)req;
	return true;
}

bool sip_request_is_nated(const struct sip_request *req)
{
	(void)req;
	return false;
}

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	(void)req;
	return NULL;
}

struct sip_flow *sip_request_keep_flow(const struct sip_request *req)
{
	(void)req;
	return some_flow;
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
	return slice_equal(sip_uri_domain(uri), SLICE("ours"));
}

/* --- what is made of it --- */

static void check_terms(const struct binding_terms *t, const struct registrar_settings *settings)
{
	must(t->contact.len && t->contact.len <= TEXT_MAX && t->q <= Q_MAX);
	must(t->expires_ms == 0
	    || (t->expires_ms >= settings->min_expires_ms
		&& t->expires_ms <= settings->max_expires_ms));
	must(slice_is_one_line(t->contact) && slice_is_one_line(t->params));
	must(slice_is_one_line(t->instance) && slice_is_one_line(t->reg_id));
	must(t->params.len == 0 || t->params.p[0] == ';');
	must(!t->reg_id.p || t->instance.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct registrar_settings settings = {.min_expires_ms = 60000,
	    .default_expires_ms = 3600000,
	    .max_expires_ms = 7200000};
	struct registrar r = {.settings = &settings};
	struct sip_request req;
	struct slice contact = {(const char *)data, size};
	struct registrant from;
	struct binding_terms terms;

	/* As headers come: without line breaks. */
	if (!slice_cut(&contact, '\n', &req.expires) || !contact.p || !slice_is_one_line(contact)
	    || !slice_is_one_line(req.expires))
		return 0;
	if (registrant_read(&from, &r, &req).code == 0
	    && contact_read(&from, contact, &terms).code == 0)
		check_terms(&terms, &settings);
	registrant_fini(&from);
	return 0;
}
