#include "sip/request_fields_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sofia-sip/su_string.h>

/* A copy without headers (RFC 3261 19.1.1 allows them in no URI of these). */
static url_t without_headers(const url_t *url)
{
	url_t copy = *url;

	copy.url_headers = NULL;
	return copy;
}

struct uri_field {
	enum sip_field field;
	const url_t *url;
};

static int read_uris(struct sip_request_fields *f, const sip_t *sip)
{
	const struct uri_field uris[] = {
	    {SIP_FIELD_RURI, sip->sip_request->rq_url},
	    {SIP_FIELD_FROM_URI, sip->sip_from->a_url},
	    {SIP_FIELD_TO_URI, sip->sip_to->a_url},
	    {SIP_FIELD_CONTACT, sip->sip_contact ? sip->sip_contact->m_url : NULL},
	};
	enum { COUNT = sizeof(uris) / sizeof(uris[0]) };
	url_t clean[COUNT];
	size_t lengths[COUNT] = {0}, total = 0;
	char *p;

	for (size_t i = 0; i < COUNT; i++) {
		if (!uris[i].url)
			continue;
		clean[i] = without_headers(uris[i].url);
		lengths[i] = (size_t)url_e(NULL, 0, &clean[i]);
		total += lengths[i] + 1;
	}
	p = f->uris = malloc(total);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT; i++) {
		if (!uris[i].url)
			continue;
		url_e(p, (isize_t)lengths[i] + 1, &clean[i]);
		f->of[uris[i].field] = (struct slice){p, lengths[i]};
		p += lengths[i] + 1;
	}
	return 0;
}

static void read_source(struct sip_request_fields *f, const struct edge_origin *origin)
{
	addr_print_host(&origin->peer, f->source);
	snprintf(f->source_port, sizeof(f->source_port), "%u", addr_port(&origin->peer));
	f->of[SIP_FIELD_SOURCE_ADDRESS] = slice_of(f->source);
	f->of[SIP_FIELD_SOURCE_PORT] = slice_of(f->source_port);
	f->of[SIP_FIELD_PROTO] = slice_of(origin->transport->name);
}

/* With its display name, if it has one. */
static struct slice address(su_home_t *home, const sip_addr_t *a, struct slice uri)
{
	if (!a->a_display || !*a->a_display)
		return uri;
	return slice_of(su_sprintf(home, "%s <%.*s>", a->a_display, SLICE_ARG(uri)));
}

int sip_request_fields_read(struct sip_request_fields *fields, msg_t *msg, const sip_t *sip,
    const struct edge_origin *origin)
{
	su_home_t *home = msg_home(msg);
	struct slice *f = fields->of;
	int err = read_uris(fields, sip);

	if (err)
		return err;
	f[SIP_FIELD_FROM] = address(home, sip->sip_from, f[SIP_FIELD_FROM_URI]);
	f[SIP_FIELD_TO] = address(home, sip->sip_to, f[SIP_FIELD_TO_URI]);
	f[SIP_FIELD_FROM_TAG] = slice_of(sip->sip_from->a_tag);
	f[SIP_FIELD_METHOD] = slice_of(sip->sip_request->rq_method_name);
	f[SIP_FIELD_CALL_ID] = slice_of(sip->sip_call_id ? sip->sip_call_id->i_id : NULL);
	f[SIP_FIELD_CSEQ] = slice_of(su_sprintf(home, "%u", sip->sip_cseq->cs_seq));
	f[SIP_FIELD_USER_AGENT] =
	    slice_of(sip->sip_user_agent ? sip->sip_user_agent->g_string : NULL);
	if (sip->sip_content_type)
		f[SIP_FIELD_CONTENT_TYPE] = sip_header_value(home, sip->sip_content_type, 0);
	if (sip->sip_payload && sip->sip_payload->pl_len > 0)
		f[SIP_FIELD_BODY] =
		    (struct slice){sip->sip_payload->pl_data, sip->sip_payload->pl_len};
	read_source(fields, origin);
	return 0;
}

void sip_request_fields_clear(struct sip_request_fields *f)
{
	free(f->uris);
	free(f->target);
	free(f->auth_user);
	free(f->auth_realm);
}

void sip_request_fields_set_target(struct sip_request_fields *f, char *uri)
{
	free(f->target);
	f->target = uri;
	f->of[SIP_FIELD_RURI] = slice_of(uri);
}

int sip_request_fields_set_user(struct sip_request_fields *f, struct slice user, struct slice realm)
{
	free(f->auth_user);
	free(f->auth_realm);
	f->auth_user = slice_dup(user);
	f->auth_realm = slice_dup(realm);
	if (!f->auth_user || !f->auth_realm)
		return -ENOMEM;
	f->of[SIP_FIELD_AUTH_USER] = (struct slice){f->auth_user, user.len};
	f->of[SIP_FIELD_AUTH_REALM] = (struct slice){f->auth_realm, realm.len};
	return 0;
}
