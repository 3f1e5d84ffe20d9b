/*
 * Where requests in a dialog go: Contact and Record-Route.  Sofia 1.12 recurses without end when
 * she cannot begin a request to what a peer has put there: "tel:1", "*", "http://h".  So she never
 * sees such a URI: our parsers for the two headers write one in its place that leads nowhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sip/priv.h"

static const char nowhere[] = "unusable.invalid"; /* RFC 6761 6.4 */

bool sip_url_usable(const url_t *url)
{
	return (url->url_type == url_sip || url->url_type == url_sips) && url->url_host
	    && *url->url_host && strcmp(url->url_host, nowhere) != 0;
}

static void make_usable(url_t *url)
{
	if (sip_url_usable(url))
		return;
	url_init(url, url_sip);
	url->url_host = nowhere;
}

static issize_t parse_contact(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	issize_t result = sip_contact_d(home, h, s, len);

	if (result >= 0)
		for (sip_contact_t *m = (sip_contact_t *)h; m; m = m->m_next)
			make_usable(m->m_url);
	return result;
}

static issize_t parse_record_route(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	issize_t result = sip_record_route_d(home, h, s, len);

	if (result >= 0)
		for (sip_record_route_t *r = (sip_record_route_t *)h; r; r = r->r_next)
			make_usable(r->r_url);
	return result;
}

/*
 * The table is searched from a slot on, by name when a message is parsed, by class when a header is
 * added to one: so ours takes the place of Sofia's, which moves on to the next free slot.
 */
static bool put_before(msg_mclass_t *mclass, msg_hclass_t *old, msg_hclass_t *new)
{
	msg_href_t *table = mclass->mc_hash, moved;
	int size = mclass->mc_hash_size, at = old->hc_hash % size;
	char letter = old->hc_short[0];

	if (mclass->mc_hash_used + 1 >= size)
		return false;
	while (table[at].hr_class && table[at].hr_class != old)
		at = (at + 1) % size;
	if (!table[at].hr_class)
		return false;
	moved = table[at];
	table[at].hr_class = new;
	if (letter) /* the clone's own, whatever its type says */
		((msg_href_t *)(uintptr_t)mclass->mc_short)[letter - 'a'].hr_class = new;
	while (table[at].hr_class)
		at = (at + 1) % size;
	table[at] = moved;
	mclass->mc_hash_used++;
	return true;
}

int sip_parse_init(struct sip_stack *stack)
{
	struct sip_parse *p = &stack->parse;

	p->contact = *sip_contact_class;
	p->contact.hc_parse = parse_contact;
	p->record_route = *sip_record_route_class;
	p->record_route.hc_parse = parse_record_route;
	p->mclass = msg_mclass_clone(sip_default_mclass(), 0, msg_mclass_copy);
	if (!p->mclass)
		return -ENOMEM;
	return put_before(p->mclass, sip_contact_class, &p->contact)
		&& put_before(p->mclass, sip_record_route_class, &p->record_route)
	    ? 0
	    : -ENOTSUP;
}

void sip_parse_fini(struct sip_stack *stack)
{
	free(stack->parse.mclass);
	stack->parse.mclass = NULL;
}
