/* Notifications of what became of a message: RFC 5438. */
#include <msrpd/cpim.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/buffer.h"

/* --- Disposition-Notification --- */

static const struct {
	enum imdn_want want;
	const char *word;
} words[] = {
    {IMDN_WANT_POSITIVE_DELIVERY, "positive-delivery"},
    {IMDN_WANT_NEGATIVE_DELIVERY, "negative-delivery"},
    {IMDN_WANT_PROCESSING, "processing"},
    {IMDN_WANT_DISPLAY, "display"},
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

unsigned imdn_wants(struct slice value)
{
	struct slice entry, word;
	unsigned wants = 0;

	while (slice_cut(&value, ',', &entry)) {
		slice_cut(&entry, ';', &word);
		for (size_t i = 0; i < WORDS; i++)
			if (slice_equal_nocase(slice_trim(word), slice_of(words[i].word)))
				wants |= words[i].want;
	}
	return wants;
}

size_t imdn_wants_text(char text[IMDN_WANTS_SIZE], unsigned wants)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < WORDS; i++)
		if (wants & words[i].want)
			len += (size_t)snprintf(text + len, IMDN_WANTS_SIZE - len, "%s%s",
			    len ? ", " : "", words[i].word);
	return len;
}

/* --- message/imdn+xml --- */

static const char *const kinds[] = {
    [IMDN_DELIVERY] = "delivery-notification",
    [IMDN_PROCESSING] = "processing-notification",
    [IMDN_DISPLAY] = "display-notification",
};

static const char *const statuses[] = {
    [IMDN_DELIVERED] = "delivered",
    [IMDN_FAILED] = "failed",
    [IMDN_PROCESSED] = "processed",
    [IMDN_STORED] = "stored",
    [IMDN_DISPLAYED] = "displayed",
    [IMDN_FORBIDDEN] = "forbidden",
    [IMDN_ERROR] = "error",
};

enum {
	KINDS = sizeof(kinds) / sizeof(kinds[0]),
	STATUSES = sizeof(statuses) / sizeof(statuses[0]),
	ENTITY_MAX = 10, /* letters of an entity's name */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_end(char c)
{
	return c == '>' || c == '/' || is_space(c);
}

/*
 * The next element's start tag: "<p:name …>".
 *
 * @param rest  moved behind the tag
 * @param name  without prefix
 * @return false: there is none any more
 */
static bool next_tag(struct slice *rest, struct slice *name)
{
	struct slice before, tag, prefix;
	size_t len = 0;

	do {
		if (!slice_cut(rest, '<', &before) || !rest->p)
			return false;
		tag = *rest;
	} while (tag.len == 0 || tag.p[0] == '/' || tag.p[0] == '?' || tag.p[0] == '!');
	while (len < tag.len && !is_name_end(tag.p[len]))
		len++;
	*name = slice_head(tag, len);
	tag = *name;
	if (slice_cut(&tag, ':', &prefix) && tag.p)
		*name = tag;
	return slice_cut(rest, '>', &before) && rest->p;
}

/* Text up to the next tag. */
static struct slice content(struct slice rest)
{
	struct slice text;

	slice_cut(&rest, '<', &text);
	while (text.len && is_space(text.p[0]))
		text = slice_from(text, 1);
	while (text.len && is_space(text.p[text.len - 1]))
		text.len--;
	return text;
}

static bool find_word(const char *const *names, size_t count, struct slice name, unsigned *indexp)
{
	for (unsigned i = 0; i < count; i++) {
		if (slice_equal(name, slice_of(names[i]))) {
			*indexp = i;
			return true;
		}
	}
	return false;
}

/* By it the message is found again, so nothing of it may get lost in XML. */
static bool is_message_id(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.len > 0 && slice_is_utf8(s);
}

int imdn_parse(struct imdn *n, struct slice xml)
{
	struct imdn parsed = {0};
	bool has_kind = false, has_status = false;
	struct slice name;
	unsigned index;

	while (next_tag(&xml, &name)) {
		if (slice_equal(name, SLICE("message-id")))
			parsed.message_id = content(xml);
		else if (slice_equal(name, SLICE("datetime")))
			parsed.datetime = content(xml);
		else if (slice_equal(name, SLICE("recipient-uri")))
			parsed.recipient_uri = content(xml);
		else if (slice_equal(name, SLICE("original-recipient-uri")))
			parsed.original_recipient_uri = content(xml);
		else if (!has_kind && find_word(kinds, KINDS, name, &index)) {
			parsed.kind = (enum imdn_kind)index;
			has_kind = true;
		} else if (has_kind && !has_status && find_word(statuses, STATUSES, name, &index)) {
			parsed.status = (enum imdn_status)index;
			has_status = true;
		}
	}
	if (!is_message_id(parsed.message_id) || !has_status)
		return -EBADMSG;
	*n = parsed;
	return 0;
}

/* Does "&name;" or "&#32;" begin here?  What imdn_parse() gave has its entities still. */
static bool is_entity(struct slice s)
{
	size_t len = 1;

	while (len < s.len && len <= ENTITY_MAX
	    && (isalnum((unsigned char)s.p[len]) || s.p[len] == '#'))
		len++;
	return len > 1 && len < s.len && s.p[len] == ';';
}

/* Characters that XML does not have at all are left out. */
static void write_xml(struct buffer *b, struct slice s)
{
	for (; s.len; s = slice_from(s, 1)) {
		unsigned char c = (unsigned char)s.p[0];

		if (c == '<')
			buffer_add(b, SLICE("&lt;"));
		else if (c == '>')
			buffer_add(b, SLICE("&gt;"));
		else if (c == '&' && !is_entity(s))
			buffer_add(b, SLICE("&amp;"));
		else if (c >= ' ' || is_space((char)c))
			buffer_add(b, slice_head(s, 1));
	}
}

static void write_element(struct buffer *b, const char *name, struct slice value)
{
	if (!value.p)
		return;
	buffer_printf(b, "<%s>", name);
	write_xml(b, value);
	buffer_printf(b, "</%s>\r\n", name);
}

int imdn_build(char **textp, size_t *lenp, const struct imdn *n)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	if (!is_message_id(n->message_id))
		return -EINVAL;
	buffer_add(&b,
	    SLICE("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		  "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n"));
	write_element(&b, "message-id", n->message_id);
	write_element(&b, "datetime", n->datetime.p ? n->datetime : SLICE(""));
	write_element(&b, "recipient-uri", n->recipient_uri);
	write_element(&b, "original-recipient-uri", n->original_recipient_uri);
	buffer_printf(&b, "<%s><status><%s/></status></%s>\r\n</imdn>\r\n", kinds[n->kind],
	    statuses[n->status], kinds[n->kind]);
	return buffer_take(&b, textp, lenp);
}
