/* What a REGISTER says of itself and of each Contact: RFC 3261 10.3, RFC 5626 6, RFC 3327 5.3. */
#include <errno.h>
#include <stdio.h>

#include <msrpd/buffer.h>
#include <msrpd/sip_uri.h>

#include "registrar/priv.h"

static const struct slice none;

static const struct refusal taken = {0, NULL};

static struct refusal refusal(int code, const char *reason)
{
	return (struct refusal){code, reason};
}

/* --- whoever sent it --- */

/* Is it among the option tags of that header? */
static bool is_tagged(const struct sip_request *req, struct slice name, struct slice tag)
{
	struct slice list, each;

	for (size_t i = 0; (list = sip_request_header_at(req, name, i)).p; i++)
		while (slice_cut(&list, ',', &each))
			if (slice_equal_nocase(slice_trim(each), tag))
				return true;
	return false;
}

static bool knows(const struct sip_request *req, struct slice tag)
{
	return is_tagged(req, SLICE("Supported"), tag) || is_tagged(req, SLICE("Require"), tag);
}

static struct refusal read_path(struct registrant *from)
{
	bool first_keeps = false;
	int err = sip_request_path(from->req, &from->path_text, &first_keeps);

	if (err < 0)
		return err == -EBADMSG ? refusal(400, "Bad Path") : refusal(500, NULL);
	if (from->path_text.len > TEXT_MAX)
		return refusal(400, "Path Too Long");
	if (from->path_text.len)
		from->path = buffer_text(&from->path_text);
	from->keeps_flows = first_keeps || sip_request_is_direct(from->req);
	return taken;
}

struct refusal registrant_read(struct registrant *from, const struct registrar *r,
    struct sip_request *req)
{
	uint64_t cseq = 0;

	*from = (struct registrant){.settings = r->settings,
	    .req = req,
	    .call_id = sip_request_field(req, SIP_FIELD_CALL_ID),
	    .user_agent = sip_request_field(req, SIP_FIELD_USER_AGENT),
	    .path_text = {.max = BUFFER_UNBOUNDED},
	    .knows_outbound = knows(req, SLICE("outbound")),
	    .knows_path = knows(req, SLICE("path"))};
	slice_to_u64(sip_request_field(req, SIP_FIELD_CSEQ), UINT32_MAX, &cseq);
	from->cseq = (uint32_t)cseq;
	snprintf(from->source, sizeof(from->source), "%.*s:%.*s:%.*s",
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_PROTO)),
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_SOURCE_ADDRESS)),
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_SOURCE_PORT)));
	return read_path(from);
}

void registrant_fini(struct registrant *from)
{
	buffer_fini(&from->path_text);
	sip_flow_unref(from->flow);
}

/* --- a contact --- */

/* @return -1: not a q (RFC 3261 25.1) */
static int parse_q(struct slice text)
{
	struct slice whole;
	uint64_t ones, part = 0;
	size_t digits;

	slice_cut(&text, '.', &whole);
	digits = text.len;
	if (whole.len != 1 || slice_to_u64(whole, 1, &ones) < 0 || digits > 3
	    || (digits > 0 && slice_to_u64(text, Q_MAX - 1, &part) < 0))
		return -1;
	for (; digits < 3; digits++)
		part *= 10;
	part += ones * Q_MAX;
	return part <= Q_MAX ? (int)part : -1;
}

/* @return false: it is malformed, and counts as absent (RFC 3261 20.10) */
static bool read_seconds(struct slice text, uint64_t *secondsp)
{
	int err = slice_to_u64(text, UINT32_MAX, secondsp);

	if (err == -ERANGE)
		*secondsp = UINT32_MAX;
	return err == 0 || err == -ERANGE;
}

/* Of a Contact, or else of the request. */
static uint64_t wanted_seconds(const struct registrant *from, struct slice contact)
{
	uint64_t seconds;

	if (read_seconds(sip_address_param(contact, SLICE("expires")), &seconds)
	    || read_seconds(sip_request_header(from->req, SLICE("Expires")), &seconds))
		return seconds;
	return from->settings->default_expires_ms / 1000;
}

static struct refusal read_expires(const struct registrant *from, struct slice contact,
    struct binding_terms *terms)
{
	const struct registrar_settings *s = from->settings;
	uint64_t wanted_ms = wanted_seconds(from, contact) * 1000;

	if (wanted_ms > 0 && wanted_ms < s->min_expires_ms)
		return refusal(423, NULL);
	terms->expires_ms = wanted_ms < s->max_expires_ms ? wanted_ms : s->max_expires_ms;
	return taken;
}

static struct refusal read_q(struct slice contact, struct binding_terms *terms)
{
	struct slice text = sip_address_param(contact, SLICE("q"));
	int q = text.p ? parse_q(text) : Q_MAX;

	if (q < 0)
		return refusal(400, "Bad q");
	terms->q = (unsigned)q;
	terms->q_given = text.p;
	return taken;
}

/* Those that have no member of their own, as they came. */
static struct slice read_params(struct slice contact, char *text, size_t size)
{
	static const char *const known[] = {"q", "expires", "+sip.instance", "reg-id", NULL};
	struct slice rest = sip_address_params(contact), name, param;
	struct buffer w = {.p = text, .cap = size};

	while (sip_param_cut(&rest, &name, &param))
		if (!slice_is_listed(name, known))
			buffer_add(&w, param);
	return w.err ? (struct slice){text, size + 1} : buffer_text(&w);
}

static bool fits(const struct binding_terms *terms)
{
	return terms->contact.len <= TEXT_MAX && terms->call_id.len <= TEXT_MAX
	    && terms->instance.len <= TEXT_MAX && terms->reg_id.len <= TEXT_MAX
	    && terms->user_agent.len <= TEXT_MAX && terms->params.len <= TEXT_MAX
	    && slice_is_one_line(terms->instance) && slice_is_one_line(terms->params);
}

/*
 * What has come through somebody who keeps no flows is reached where its Contact says, or its Path:
 * the connection that it came over is another's.  By UDP most contacts are reached where they say.
 */
static bool is_reached_by_flow(const struct registrant *from, const struct binding_terms *terms)
{
	if (from->path.p)
		return false;
	if (sip_request_is_nated(from->req))
		return true;
	return sip_request_is_direct(from->req)
	    && (sip_request_flow(from->req) || terms->reg_id.p
		|| sip_uri_has_param(terms->contact, SLICE("ob")));
}

/* RFC 5626 6 */
static struct refusal judge_flow(struct registrant *from, struct binding_terms *terms)
{
	if (!terms->instance.p) /* without it a reg-id says nothing */
		terms->reg_id = none;
	if (terms->reg_id.p && !from->keeps_flows) {
		if (from->knows_outbound)
			return refusal(439, "First Hop Lacks Outbound Support");
		terms->reg_id = none;
	}
	if (!is_reached_by_flow(from, terms))
		return taken;
	if (!from->flow)
		from->flow = sip_request_keep_flow(from->req);
	terms->flow = from->flow;
	return terms->flow ? taken : refusal(500, NULL);
}

struct refusal contact_read(struct registrant *from, struct slice contact,
    struct binding_terms *terms)
{
	struct refusal no;

	*terms = (struct binding_terms){
	    .contact = sip_address_uri(contact),
	    .call_id = from->call_id,
	    .instance = sip_address_param(contact, SLICE("+sip.instance")),
	    .reg_id = sip_address_param(contact, SLICE("reg-id")),
	    .params = read_params(contact, from->params, sizeof(from->params)),
	    .path = from->path,
	    .user_agent = from->user_agent,
	    .source = slice_of(from->source),
	    .cseq = from->cseq,
	};
	if (!sip_uri_is_sip(terms->contact))
		return refusal(400, "Contact Is Not A SIP URI");
	/* A loop, once somebody is called. */
	if (sip_request_uri_is_ours(from->req, terms->contact, &from->settings->domains))
		return refusal(403, "Contact Is This Server");
	if (!fits(terms))
		return refusal(400, "Contact Too Long");
	no = judge_flow(from, terms);
	if (!no.code)
		no = read_q(contact, terms);
	return no.code ? no : read_expires(from, contact, terms);
}
