/* The headers of a request, as they came. */
#include <stdlib.h>

#include <sofia-sip/msg_header.h>

#include "sip/request_priv.h"

static bool is_named(const msg_header_t *h, struct slice name)
{
	const msg_hclass_t *class = h->sh_class;

	return class->hc_name
	    && (slice_equal_nocase(slice_of(class->hc_name), name)
		|| (class->hc_short[0] && slice_equal_nocase(slice_of(class->hc_short), name)));
}

/* The edge puts its own on top of the sender's. */
static bool is_edges_via(const sip_t *sip, const msg_header_t *h)
{
	return (const void *)h == sip->sip_via;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	msg_t *msg = sip_request_msg(req);
	struct sip_request_parts parts;

	sip_request_look(req, &parts);
	if (name.len == 0)
		return (struct slice){0}; /* what Sofia keeps beside headers has no name */
	for (msg_header_t *h = *msg_chain_head(msg); h; h = h->sh_succ)
		if (is_named(h, name) && !is_edges_via(parts.sip, h) && index-- == 0)
			return sip_header_value(msg_home(msg), h, 0);
	for (const sip_unknown_t *u = parts.sip->sip_unknown; u; u = u->un_next)
		if (slice_equal_nocase(slice_of(u->un_name), name) && index-- == 0)
			return slice_of(u->un_value);
	return (struct slice){0};
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return sip_request_header_at(req, name, 0);
}

/* As it came, but for what Sofia is not to see. */
static struct slice contact_text(const struct sip_request *req, const sip_contact_t *m)
{
	sip_contact_t bare = *m;

	if (sip_url_is_star(m->m_url))
		return SLICE("*");
	if (!sip_url_usable(m->m_url))
		return SLICE("<>");
	bare.m_display = NULL;
	bare.m_url->url_headers = NULL;
	return sip_header_value(msg_home(sip_request_msg(req)), &bare, MSG_DO_CANONIC);
}

struct slice sip_request_contact(const struct sip_request *req, size_t index)
{
	struct sip_request_parts parts;
	const sip_contact_t *m;

	sip_request_look(req, &parts);
	m = parts.sip->sip_contact;
	while (m && index-- > 0)
		m = m->m_next;
	return m ? contact_text(req, m) : (struct slice){0};
}

bool sip_request_is_damaged(const struct sip_request *req, struct slice name)
{
	struct sip_request_parts parts;

	sip_request_look(req, &parts);
	for (const sip_error_t *e = parts.sip->sip_error; e; e = e->er_next)
		if (slice_equal_nocase(slice_of(e->er_name), name))
			return true;
	return false;
}

const char *sip_request_passed(const struct sip_request *req, size_t index)
{
	struct sip_request_parts parts;
	const struct setting_list *names;

	sip_request_look(req, &parts);
	names = &parts.agent->stack->settings->pass_headers;
	return index < names->count ? ((char *const *)names->items)[index] : NULL;
}

void sip_request_add_passed(const struct sip_request *req, struct buffer *lines)
{
	const char *name;

	for (size_t i = 0; (name = sip_request_passed(req, i)); i++) {
		struct slice value;

		for (size_t n = 0; (value = sip_request_header_at(req, slice_of(name), n)).p; n++)
			buffer_printf(lines, "%s: %.*s\r\n", name, SLICE_ARG(value));
	}
}
