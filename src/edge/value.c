#include "edge/value.h"

#include <errno.h>

#include "base/chars.h"
#include "edge/uri.h"

static const struct slice absent;

struct slice edge_trim(struct slice s)
{
	while (s.len && edge_is_blank(s.p[s.len - 1]))
		s.len--;
	while (s.len && edge_is_blank(s.p[0]))
		s = slice_from(s, 1);
	return s;
}

static void skip_blanks(struct slice *rest)
{
	while (rest->len && edge_is_blank(rest->p[0]))
		*rest = slice_from(*rest, 1);
}

static struct slice take(struct slice *rest, size_t n)
{
	struct slice taken = slice_head(*rest, n);

	*rest = slice_from(*rest, taken.len);
	return taken;
}

/* --- lists --- */

/* Of the quoted string at the front of s, quotes included; 0: it has no end. */
static size_t quoted_len(struct slice s)
{
	for (size_t n = 1; n < s.len; n++) {
		if (s.p[n] == '"')
			return n + 1;
		if (s.p[n] == '\\')
			n++;
	}
	return 0;
}

/* Where the first c is from n on, but at most end. */
static size_t find_char(struct slice s, size_t n, size_t end, char c)
{
	return n + chars_find((struct slice){s.p + n, end - n}, c);
}

/* Up to the first c outside of quotes and angle brackets. */
static size_t span_until(struct slice s, char c)
{
	size_t n = 0, end = find_char(s, 0, s.len, c), angle = find_char(s, 0, end, '<');
	size_t quote, quoted;

	/* What was found stays found until it is passed: no byte is looked at often. */
	for (;;) {
		if (end < n)
			end = find_char(s, n, s.len, c);
		if (angle < n)
			angle = find_char(s, n, end, '<');
		quote = find_char(s, n, angle, '"');
		if (quote < angle) {
			quoted = quoted_len(slice_from(s, quote));
			if (!quoted)
				return s.len;
			n = quote + quoted;
		} else if (angle < end) {
			n = find_char(s, angle, s.len, '>') + 1;
			if (n > s.len)
				return s.len;
		} else {
			return end;
		}
	}
}

bool edge_list_cut(struct slice *rest, struct slice *value)
{
	while (rest->len) {
		*value = edge_trim(take(rest, span_until(*rest, ',')));
		chars_take_char(rest, ',');
		if (value->len)
			return true;
	}
	return false;
}

/* --- parameters --- */

/* A token; Sofia-SIP has "/", ":", "[" and "]" among them, for hosts. */
static struct slice take_plain_value(struct slice *rest)
{
	size_t n = 0, span;

	for (; n < rest->len; n += span) {
		span = chars_span(slice_from(*rest, n), CHARS_SIP_TOKEN);
		if (span)
			continue;
		if (!chars_one_of(rest->p[n], "/:[]"))
			break;
		span = 1;
	}
	return take(rest, n);
}

static struct slice take_param_value(struct slice *rest)
{
	skip_blanks(rest);
	if (rest->len && rest->p[0] == '"')
		return take(rest, quoted_len(*rest));
	return take_plain_value(rest);
}

int edge_param_cut(struct slice *rest, struct edge_param *param)
{
	const char *start = rest->p;

	if (rest->len == 0)
		return 0;
	*param = (struct edge_param){.value = absent};
	if (!chars_take_char(rest, ';'))
		return -EBADMSG;
	skip_blanks(rest);
	param->name = chars_take(rest, CHARS_SIP_TOKEN);
	skip_blanks(rest);
	if (chars_take_char(rest, '=')) {
		param->value = take_param_value(rest);
		if (param->value.len == 0)
			return -EBADMSG;
		skip_blanks(rest);
	}
	if (param->name.len == 0 || (rest->len && rest->p[0] != ';'))
		return -EBADMSG;
	param->whole = edge_trim((struct slice){start, (size_t)(rest->p - start)});
	return 1;
}

static bool are_params(struct slice rest)
{
	struct edge_param param;
	int err;

	while ((err = edge_param_cut(&rest, &param)) > 0)
		;
	return err == 0;
}

struct slice edge_value_params(struct slice value)
{
	size_t n = span_until(value, ';');

	return n < value.len ? slice_from(value, n) : absent;
}

struct slice edge_value_param(struct slice value, struct slice name)
{
	struct slice rest = edge_value_params(value);
	struct edge_param param;

	while (edge_param_cut(&rest, &param) > 0)
		if (slice_equal_nocase(param.name, name))
			return param.value.p ? param.value
					     : (struct slice){param.name.p + param.name.len, 0};
	return absent;
}

/* --- addresses --- */

/* Display names are tokens. */
static void skip_display(struct slice *rest)
{
	while (rest->len && (edge_is_blank(rest->p[0]) || chars_is(rest->p[0], CHARS_SIP_TOKEN)))
		*rest = slice_from(*rest, 1);
}

static bool take_angle(struct slice *rest, struct slice *uri)
{
	const char *end = rest->len ? memchr(rest->p, '>', rest->len) : NULL;

	if (!end || !chars_take_char(rest, '<'))
		return false;
	*uri = take(rest, (size_t)(end - rest->p));
	return chars_take_char(rest, '>');
}

/* Without angle brackets what follows is the header's, not the URI's: RFC 3261 20.10. */
static struct slice take_addr_spec(struct slice *rest)
{
	size_t n = 0;

	while (n < rest->len && !edge_is_blank(rest->p[n]) && !chars_one_of(rest->p[n], ",;?"))
		n++;
	return take(rest, n);
}

/* @return false: it is not even an address */
static bool take_address(struct slice *rest, struct slice *uri)
{
	struct slice behind = *rest;

	if (rest->len && rest->p[0] == '"') {
		take(rest, quoted_len(*rest));
		skip_blanks(rest);
		return take_angle(rest, uri);
	}
	skip_display(&behind);
	if (behind.len && behind.p[0] == '<') {
		*rest = behind;
		return take_angle(rest, uri);
	}
	*uri = take_addr_spec(rest);
	return uri->len > 0;
}

struct slice edge_value_uri(struct slice value)
{
	struct slice uri;

	return take_address(&value, &uri) ? uri : absent;
}

bool edge_value_is_address(struct slice value)
{
	struct slice uri;

	if (!take_address(&value, &uri) || !edge_uri_is_good(uri))
		return false;
	skip_blanks(&value);
	return are_params(value);
}

/* --- Via --- */

/* token, and a slash with blanks around it */
static bool take_protocol_part(struct slice *rest)
{
	struct slice token = chars_take(rest, CHARS_SIP_TOKEN);

	skip_blanks(rest);
	if (token.len == 0 || !chars_take_char(rest, '/'))
		return false;
	skip_blanks(rest);
	return true;
}

/* @return false: there is a colon, but no port */
static bool take_port(struct slice *rest, uint16_t *portp)
{
	struct slice behind = *rest;
	uint64_t port;

	skip_blanks(&behind);
	if (!chars_take_char(&behind, ':'))
		return true;
	skip_blanks(&behind);
	if (slice_to_u64(chars_take(&behind, CHARS_DIGIT), UINT16_MAX, &port) < 0)
		return false;
	*portp = (uint16_t)port;
	*rest = behind;
	return true;
}

static bool take_sent_by(struct slice *rest, struct edge_via *via)
{
	const char *start;
	size_t blanks = rest->len;

	skip_blanks(rest);
	start = rest->p;
	if (blanks == rest->len || !edge_host_cut(rest, &via->host) || !take_port(rest, &via->port))
		return false;
	via->sent_by = (struct slice){start, (size_t)(rest->p - start)};
	return true;
}

/* @return false: it has come before */
static bool note_via_param(struct edge_via *via, const struct edge_param *param)
{
	bool first = true;

	if (slice_equal_nocase(param->name, SLICE("branch"))) {
		first = !via->branch.p;
		via->branch = param->value;
	} else if (slice_equal_nocase(param->name, SLICE("received"))) {
		first = !via->received.p;
		via->received = param->value;
	} else if (slice_equal_nocase(param->name, SLICE("rport"))) {
		first = !via->wants_rport;
		via->wants_rport = true;
	} else if (slice_equal_nocase(param->name, SLICE("alias"))) {
		via->alias = true;
	}
	return first;
}

static int note_via_params(struct edge_via *via)
{
	struct slice rest = via->params;
	struct edge_param param;
	int err;

	while ((err = edge_param_cut(&rest, &param)) > 0)
		if (!note_via_param(via, &param))
			return -EBADMSG;
	return err;
}

int edge_via_parse(struct edge_via *via, struct slice value)
{
	struct slice rest = edge_trim(value);

	*via = (struct edge_via){.value = rest};
	if (!take_protocol_part(&rest) || !take_protocol_part(&rest))
		return -EBADMSG;
	via->transport = chars_take(&rest, CHARS_SIP_TOKEN);
	if (via->transport.len == 0 || !take_sent_by(&rest, via))
		return -EBADMSG;
	skip_blanks(&rest);
	if (rest.len)
		via->params = rest;
	return note_via_params(via);
}
