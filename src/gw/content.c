/* Bodies on their way across: as they are, into a CPIM envelope (RFC 3862), or out of one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <msrpd/cpim.h>

#include "gw/priv.h"

#define TYPE_CPIM      "message/cpim"
#define TYPE_IMDN      "message/imdn+xml"
#define TYPE_COMPOSING "application/im-iscomposing+xml"

void gw_content_fini(struct gw_content *c)
{
	free(c->headers);
	free(c->made);
}

bool gw_type_is(struct slice content_type, struct slice name)
{
	struct slice bare;

	return slice_cut(&content_type, ';', &bare) && slice_equal_nocase(slice_trim(bare), name);
}

bool gw_type_is_cpim(struct slice content_type)
{
	return gw_type_is(content_type, SLICE(TYPE_CPIM));
}

static struct slice inner_type(const struct cpim *m)
{
	return m->content_type.p ? m->content_type : SLICE("text/plain");
}

bool gw_is_composing(struct slice content_type, struct slice body)
{
	struct cpim m;

	if (gw_type_is(content_type, SLICE(TYPE_COMPOSING)))
		return true;
	return gw_type_is_cpim(content_type) && cpim_parse(&m, body) == 0
	    && gw_type_is(inner_type(&m), SLICE(TYPE_COMPOSING));
}

/* --- dates: RFC 3261 has those of HTTP in GMT, CPIM those of RFC 3339 --- */

enum { DATE_SIZE = 40 };

static struct slice rfc3339_from_sip(char text[DATE_SIZE], struct slice date)
{
	char copy[DATE_SIZE];
	struct tm tm = {0};
	const char *end;

	if (date.len == 0 || date.len >= sizeof(copy))
		return (struct slice){NULL, 0};
	memcpy(copy, date.p, date.len);
	copy[date.len] = '\0';
	end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return (struct slice){NULL, 0};
	return (struct slice){text, strftime(text, DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm)};
}

/* Minutes east of Greenwich: "Z", "+01:00".  @return false if it is none */
static bool parse_zone(const char *p, int *minutesp)
{
	int hours, minutes, end = 0;
	char sign;

	*minutesp = 0;
	if ((*p == 'Z' || *p == 'z') && !p[1])
		return true;
	if (sscanf(p, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || p[end]
	    || (sign != '+' && sign != '-') || hours < 0 || minutes < 0)
		return false;
	*minutesp = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

/* As a SIP header line; empty when there is no such time. */
static int date_line(char *text, size_t size, struct slice datetime)
{
	char copy[DATE_SIZE], *p;
	struct tm tm = {0};
	time_t at;
	int zone;

	if (datetime.len == 0 || datetime.len >= sizeof(copy))
		return 0;
	memcpy(copy, datetime.p, datetime.len);
	copy[datetime.len] = '\0';
	p = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p)
		return 0;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (!parse_zone(p, &zone))
		return 0;
	at = timegm(&tm) - (time_t)zone * 60;
	if (!gmtime_r(&at, &tm))
		return 0;
	return (int)strftime(text, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

/* --- into MSRP --- */

static int wrap(struct gw_content *c, const struct sip_request *message)
{
	char date[DATE_SIZE], now[CPIM_DATETIME_SIZE];
	struct cpim_out out = {
	    .from_uri = sip_request_field(message, SIP_FIELD_FROM_URI),
	    .to_uri = sip_request_field(message, SIP_FIELD_TO_URI),
	    .from_name = sip_address_name(sip_request_field(message, SIP_FIELD_FROM)),
	    .to_name = sip_address_name(sip_request_field(message, SIP_FIELD_TO)),
	    .datetime = rfc3339_from_sip(date, sip_request_header(message, SLICE("Date"))),
	    .subject = sip_request_header(message, SLICE("Subject")),
	    .content_type = c->type,
	    .body = c->body,
	};
	size_t len;
	int err;

	if (!out.datetime.p) {
		cpim_datetime(now);
		out.datetime = slice_of(now);
	}
	err = cpim_build(&c->made, &len, &out);
	if (err < 0)
		return err;
	c->type = SLICE(TYPE_CPIM);
	c->body = (struct slice){c->made, len};
	return 0;
}

/*
 * What is inside has to be of a type for the peer, too.  Many list message/cpim and nothing
 * of what they take in it: they mean anything.
 */
static bool takes_wrapped(const struct gw_binding *b, const struct ua_session *s, struct slice type)
{
	return ua_accepts(s, SLICE(TYPE_CPIM)) && (b->any_wrapped || ua_accepts_wrapped(s, type));
}

static int check_envelope(const struct gw_binding *b, const struct ua_session *s, struct slice body)
{
	struct cpim m;

	if (cpim_parse(&m, body) < 0)
		return -EBADMSG;
	return takes_wrapped(b, s, inner_type(&m)) ? 0 : -EPROTOTYPE;
}

int gw_content_for_msrp(struct gw_content *c, const struct gw_binding *b,
    const struct ua_session *s, const struct sip_request *message)
{
	bool automatic = b->gw->settings->cpim == GW_CPIM_AUTO;

	*c = (struct gw_content){
	    .type = sip_request_field(message, SIP_FIELD_CONTENT_TYPE),
	    .body = sip_request_field(message, SIP_FIELD_BODY),
	};
	if (ua_accepts(s, c->type))
		return automatic && gw_type_is_cpim(c->type) ? check_envelope(b, s, c->body) : 0;
	if (automatic && takes_wrapped(b, s, c->type))
		return wrap(c, message);
	return -EPROTOTYPE;
}

/* --- out of MSRP --- */

static size_t end_line(char *text, size_t n)
{
	slice_make_one_line(text, n);
	text[n++] = '\r';
	text[n++] = '\n';
	return n;
}

/* What SIP has a place for beside Content-Type: RFC 3261 20.11, 20.13, 20.17, 20.36. */
static int header_lines(char **linesp, const struct cpim *m)
{
	static const char *const content_names[] = {"Content-Disposition", "Content-Language",
	    "Content-Encoding"};
	struct slice subject = cpim_value(m, CPIM_CORE, "Subject"), value;
	char *text;
	size_t size = sizeof("Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n") + 32 + subject.len
	    + sizeof("Subject: \r\n") + m->content_headers.len + 32,
	       n;

	text = malloc(size);
	if (!text)
		return -ENOMEM;
	n = (size_t)date_line(text, size, cpim_value(m, CPIM_CORE, "DateTime"));
	if (subject.len) {
		n += (size_t)snprintf(text + n, size - n, "Subject: ");
		n += end_line(text + n, cpim_unescape(text + n, size - n, subject));
	}
	for (size_t i = 0; i < sizeof(content_names) / sizeof(content_names[0]); i++) {
		value = cpim_content_value(m, content_names[i]);
		if (value.len)
			n += end_line(text + n,
			    (size_t)snprintf(text + n, size - n, "%s: %.*s", content_names[i],
				SLICE_ARG(value)));
	}
	text[n] = '\0';
	*linesp = text;
	return 0;
}

/*
 * Can the content stand alone?  SIP has no Content-Transfer-Encoding (RFC 3261 7.4.1), and a
 * notification means nothing without the envelope that says whose it is.
 */
static bool may_unwrap(const struct cpim *m)
{
	struct slice encoding = cpim_content_value(m, "Content-Transfer-Encoding");

	return (!encoding.len || slice_equal_nocase(encoding, SLICE("binary"))
		   || slice_equal_nocase(encoding, SLICE("8bit"))
		   || slice_equal_nocase(encoding, SLICE("7bit")))
	    && !gw_type_is(inner_type(m), SLICE(TYPE_IMDN));
}

static int unwrap(struct gw_content *c, struct gw_imdn_request *imdn)
{
	struct cpim m;
	int err;

	if (cpim_parse(&m, c->body) < 0 || !slice_is_one_line(inner_type(&m)))
		return -EBADMSG;
	if (!may_unwrap(&m))
		return 0;
	err = header_lines(&c->headers, &m);
	if (err < 0)
		return err;
	/* Who sends notifications is left behind with the envelope: that is for us to do, then. */
	*imdn = (struct gw_imdn_request){
	    .wants = imdn_wants(cpim_value(&m, CPIM_IMDN, "Disposition-Notification")),
	    .message_id = cpim_value(&m, CPIM_IMDN, "Message-ID"),
	    .datetime = cpim_value(&m, CPIM_CORE, "DateTime"),
	    .from = cpim_uri(cpim_value(&m, CPIM_CORE, "From")),
	    .to = cpim_uri(cpim_value(&m, CPIM_CORE, "To")),
	};
	c->type = inner_type(&m);
	c->body = m.body;
	return 0;
}

int gw_content_for_page(struct gw_content *c, struct gw_imdn_request *imdn,
    const struct gw_binding *b, const struct message *m)
{
	*c = (struct gw_content){.type = m->content_type, .body = m->body};
	*imdn = (struct gw_imdn_request){0};
	if (b->gw->settings->cpim == GW_CPIM_PASS || b->page_cpim
	    || !gw_type_is_cpim(m->content_type))
		return 0;
	return unwrap(c, imdn);
}

/* --- notifications --- */

int gw_content_imdn(struct gw_content *c, const struct gw_imdn_request *imdn, bool delivered)
{
	unsigned wanted = delivered ? IMDN_WANT_POSITIVE_DELIVERY : IMDN_WANT_NEGATIVE_DELIVERY;
	struct imdn n = {
	    .kind = IMDN_DELIVERY,
	    .status = delivered ? IMDN_DELIVERED : IMDN_FAILED,
	    .message_id = imdn->message_id,
	    .datetime = imdn->datetime,
	    .recipient_uri = imdn->to,
	    .original_recipient_uri = imdn->to,
	};
	char now[CPIM_DATETIME_SIZE];
	struct cpim_out out = {
	    .from_uri = imdn->to,
	    .to_uri = imdn->from,
	    .content_type = SLICE(TYPE_IMDN),
	    .content_headers = SLICE("Content-Disposition: notification\r\n"),
	};
	char *xml;
	size_t len;
	int err;

	*c = (struct gw_content){.type = SLICE(TYPE_CPIM)};
	if (!(imdn->wants & wanted) || !imdn->message_id.len || !imdn->from.len || !imdn->to.len)
		return -ENOENT;
	err = imdn_build(&xml, &len, &n);
	if (err < 0)
		return err;
	cpim_datetime(now);
	out.datetime = slice_of(now);
	out.body = (struct slice){xml, len};
	err = cpim_build(&c->made, &len, &out);
	free(xml);
	c->body = (struct slice){c->made, len};
	return err;
}
