/*
 * What Sofia-SIP 1.12 reads in a message, put right before it acts on it: our parsers stand in
 * front of its own for the request line and some headers.
 *
 * Contact, Record-Route: Sofia recurses without end when it cannot begin a request to what a peer
 * has put there, a URI of another scheme than SIP's say.  So it never sees such a URI, but one in
 * its place that leads nowhere.  So does "*" of a REGISTER, known by where its text lies.
 *
 * These, From, To, Refer-To, Referred-By, request line: Sofia resolves the escapes of reserved
 * characters too, after which two users of RFC 3261 19.1.4 are one.  What was written is put back.
 *
 * Content-Type: Sofia answers 400 to a semicolon at its end, which some write.
 *
 * Request line: Sofia answers 416 to the schemes that it does not know.  Those of service URNs
 * (RFC 5031) are shown to it as im:, which it hands up as they stand.
 *
 * Request line, CSeq: of a REFER outside a dialog Sofia tells its sender by a NOTIFY that it is
 * tried before anybody has been asked, and of one that is refused as well.  So REFER has a number
 * that it does not know, and is an extension to it, which it looks for in Allow by name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sip/priv.h"

enum { SIP_METHOD_HIDDEN = 32 }; /* beyond the bits that Sofia has for methods */

/* RFC 6761 6.4 */
static const char nowhere[] = "unusable.invalid";
static const char everywhere[] = "star.unusable.invalid"; /* for "*" */

bool sip_url_usable(const url_t *url)
{
	return (url->url_type == url_sip || url->url_type == url_sips) && url->url_host
	    && *url->url_host && !url->url_path && strcmp(url->url_host, nowhere) != 0
	    && strcmp(url->url_host, everywhere) != 0;
}

bool sip_url_is_star(const url_t *url)
{
	return url->url_host == everywhere;
}

static void make_usable(url_t *url)
{
	bool star = url->url_type == url_any;

	if (sip_url_usable(url))
		return;
	url_init(url, url_sip);
	url->url_host = star ? everywhere : nowhere;
}

/* --- escapes --- */

/* How much of what was written became this: an escape that is left stands in both. */
static size_t written_length(const char *made, const char *written)
{
	size_t len = 0;

	for (; *made; made++)
		len += written[len] == '%' && *made != '%' ? 3 : 1;
	return len;
}

/* A part of a URL that was parsed in place at s, of which written is a copy from before. */
static void restore_part(su_home_t *home, const char **part, const char *s, const char *written)
{
	const char *begin;
	char *text;
	size_t len;

	if (!*part)
		return;
	begin = written + (*part - s);
	len = written_length(*part, begin);
	text = su_strndup(home, begin, (isize_t)len);
	if (!text)
		return;
	text[sip_escapes_normalize(text, len)] = '\0';
	*part = text;
}

static void restore(su_home_t *home, url_t *url, const char *s, const char *written)
{
	restore_part(home, &url->url_user, s, written);
	restore_part(home, &url->url_password, s, written);
	restore_part(home, &url->url_params, s, written);
}

/*
 * A copy from before Sofia parses in place; NULL: there is nothing to restore.  The text ends with
 * its NUL: of the later ones of a list Sofia gives a length that is too long.
 */
static char *before(su_home_t *home, const char *s)
{
	return strchr(s, '%') ? su_strdup(home, s) : NULL;
}

/* From, To, Contact and Record-Route begin alike; Sofia parses each of a list by its class. */
static issize_t parse_address(su_home_t *home, msg_header_t *h, char *s, isize_t len,
    msg_parse_f *theirs)
{
	char *written = before(home, s);
	issize_t result = theirs(home, h, s, len);

	if (result >= 0 && written)
		restore(home, ((sip_addr_t *)h)->a_url, s, written);
	su_free(home, written);
	return result;
}

_Static_assert(offsetof(sip_addr_t, a_url) == offsetof(sip_contact_t, m_url)
	&& offsetof(sip_addr_t, a_url) == offsetof(sip_record_route_t, r_url)
	&& offsetof(sip_addr_t, a_url) == offsetof(sip_refer_to_t, r_url)
	&& offsetof(sip_addr_t, a_url) == offsetof(sip_referred_by_t, b_url),
    "an address is in the same place in all of them");

/* --- the parsers --- */

static issize_t parse_from(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	return parse_address(home, h, s, len, sip_from_d);
}

static issize_t parse_to(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	return parse_address(home, h, s, len, sip_to_d);
}

static issize_t parse_contact(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	issize_t result = parse_address(home, h, s, len, sip_contact_d);

	if (result >= 0)
		make_usable(((sip_contact_t *)h)->m_url);
	return result;
}

static issize_t parse_record_route(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	issize_t result = parse_address(home, h, s, len, sip_record_route_d);

	if (result >= 0)
		make_usable(((sip_record_route_t *)h)->r_url);
	return result;
}

static issize_t parse_refer_to(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	return parse_address(home, h, s, len, sip_refer_to_d);
}

static issize_t parse_referred_by(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	return parse_address(home, h, s, len, sip_referred_by_d);
}

static issize_t parse_content_type(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	size_t end = strlen(s);

	while (end > 0 && strchr("; \t\r\n", s[end - 1]))
		s[--end] = '\0';
	return sip_content_type_d(home, h, s, len);
}

static bool is_service_urn(const url_t *url)
{
	return url->url_type == url_unknown && url->url_scheme && url->url_host
	    && strcasecmp(url->url_scheme, "urn") == 0 && strcasecmp(url->url_host, "service") == 0;
}

/* Its name stays. */
static void hide_refer(sip_method_t *method)
{
	if (*method == sip_method_refer)
		*method = (sip_method_t)SIP_METHOD_HIDDEN;
}

static issize_t parse_cseq(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	issize_t result = sip_cseq_d(home, h, s, len);

	if (result >= 0)
		hide_refer(&((sip_cseq_t *)h)->cs_method);
	return result;
}

static issize_t parse_request(su_home_t *home, msg_header_t *h, char *s, isize_t len)
{
	url_t *url = ((sip_request_t *)h)->rq_url;
	char *written = before(home, s);
	issize_t result = sip_request_d(home, h, s, len);

	if (result >= 0 && written)
		restore(home, url, s, written);
	if (result >= 0 && is_service_urn(url))
		url->url_type = url_im;
	if (result >= 0)
		hide_refer(&((sip_request_t *)h)->rq_method);
	su_free(home, written);
	return result;
}

/* --- Sofia's tables --- */

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
	const struct {
		struct msg_hclass_s *ours;
		msg_hclass_t *theirs;
		msg_parse_f *parse;
	} headers[] = {
	    {&p->from, sip_from_class, parse_from},
	    {&p->to, sip_to_class, parse_to},
	    {&p->contact, sip_contact_class, parse_contact},
	    {&p->record_route, sip_record_route_class, parse_record_route},
	    {&p->refer_to, sip_refer_to_class, parse_refer_to},
	    {&p->referred_by, sip_referred_by_class, parse_referred_by},
	    {&p->content_type, sip_content_type_class, parse_content_type},
	    {&p->cseq, sip_cseq_class, parse_cseq},
	};

	p->mclass = msg_mclass_clone(sip_default_mclass(), 0, msg_mclass_copy);
	if (!p->mclass)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		*headers[i].ours = *headers[i].theirs;
		headers[i].ours->hc_parse = headers[i].parse;
		if (!put_before(p->mclass, headers[i].theirs, headers[i].ours))
			return -ENOTSUP;
	}
	p->request = *p->mclass->mc_request->hr_class;
	p->request.hc_parse = parse_request;
	p->mclass->mc_request->hr_class = &p->request;
	return 0;
}

void sip_parse_fini(struct sip_stack *stack)
{
	free(stack->parse.mclass);
	stack->parse.mclass = NULL;
}

/* --- addresses that go out --- */

url_t *sip_url_make(su_home_t *home, const char *uri)
{
	char *parsed = su_strdup(home, uri);
	url_t *url = su_zalloc(home, sizeof(*url));

	if (!parsed || !url || url_d(url, parsed) < 0)
		return NULL;
	restore(home, url, parsed, uri);
	return url;
}

sip_addr_t *sip_address_make(su_home_t *home, struct sip_stack *stack, const char *text)
{
	return (sip_addr_t *)msg_header_make(home, &stack->parse.from, text);
}
