/* URIs as names of rooms and participants. */
#include <ctype.h>
#include <errno.h>

#include <msrpd/hex.h>

#include "conf/priv.h"

/* Of a telephone number: RFC 3966 section 3. */
static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')';
}

static bool is_unreserved(int c)
{
	return isalnum(c) || (c && strchr("-_.!~*'()", c));
}

struct key {
	char *text;
	size_t len;
};

static void add_char(struct key *key, int c)
{
	key->text[key->len++] = (char)c;
}

/*
 * The escape at the front of s: that of an unreserved character is that one (RFC 3261 19.1.4),
 * others stay, in capitals (RFC 3986 6.2.2.1).
 *
 * @return its bytes; 0: it is none
 */
static size_t add_escape(struct key *key, struct slice s)
{
	int value = hex_byte(slice_from(s, 1));

	if (value < 0)
		return 0;
	if (value <= 0x7f && is_unreserved(value)) {
		add_char(key, value);
		return 3;
	}
	for (size_t i = 0; i < 3; i++)
		add_char(key, toupper((unsigned char)s.p[i]));
	return 3;
}

static void add_lower(struct key *key, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		add_char(key, tolower((unsigned char)s.p[i]));
}

static int add_user(struct key *key, struct slice s)
{
	size_t n;

	for (; s.len; s = slice_from(s, n)) {
		n = 1;
		if (s.p[0] == '%')
			n = add_escape(key, s);
		else
			add_char(key, s.p[0]);
		if (n == 0)
			return -EINVAL;
	}
	return 0;
}

static int add_number(struct key *key, struct slice s)
{
	size_t before = key->len;

	for (size_t i = 0; i < s.len; i++)
		if (!is_separator(s.p[i]))
			add_char(key, s.p[i]);
	return key->len > before ? 0 : -EINVAL;
}

static bool is_printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("<>\"", s.p[i]))
			return false;
	return true;
}

/* "alice:secret@host;params?headers", the scheme being off. */
static int add_address(struct key *key, struct slice rest)
{
	const char *at = memchr(rest.p, '@', rest.len);
	struct slice user, password, host;

	if (at) {
		user = slice_head(rest, (size_t)(at - rest.p));
		rest = slice_from(rest, user.len + 1);
		password = user;
		slice_cut(&password, ':', &user);
		if (user.len == 0 || add_user(key, user) < 0)
			return -EINVAL;
		add_char(key, '@');
	}
	slice_cut(&rest, '?', &host);
	slice_cut(&host, ';', &rest);
	if (rest.len == 0)
		return -EINVAL;
	add_lower(key, rest);
	return 0;
}

int conf_uri_key(char text[CONF_URI_MAX + 1], struct slice uri)
{
	struct key key = {.text = text};
	struct slice rest = uri, scheme, number;
	int err = 0;

	if (uri.len > CONF_URI_MAX)
		return -EMSGSIZE;
	if (!slice_cut(&rest, ':', &scheme) || scheme.len == 0 || rest.len == 0
	    || !is_printable(uri))
		return -EINVAL;
	add_lower(&key, scheme);
	text[key.len++] = ':';
	if (slice_equal_nocase(scheme, SLICE("tel")) && slice_cut(&rest, ';', &number))
		err = add_number(&key, number);
	else if (slice_equal_nocase(scheme, SLICE("urn")))
		add_lower(&key, rest);
	else
		err = add_address(&key, rest);
	text[key.len] = '\0';
	return err;
}

int conf_uri_room_key(char text[CONF_URI_MAX + 1], struct slice uri)
{
	int err = conf_uri_key(text, uri);

	if (err < 0)
		return err;
	return strncmp(text, "sip:", 4) == 0 || strncmp(text, "sips:", 5) == 0 ? 0 : -EINVAL;
}

bool conf_uri_is_anonymous(struct slice uri)
{
	char key[CONF_URI_MAX + 1];
	const char *host = conf_uri_key(key, uri) == 0 ? strchr(key, '@') : NULL;

	return host && strcmp(host, "@anonymous.invalid") == 0;
}

struct slice conf_uri_user(struct slice key)
{
	struct slice rest = key, user;

	slice_cut(&rest, ':', &user);
	if (slice_equal(user, SLICE("tel")))
		return rest;
	slice_cut(&rest, '@', &user);
	return rest.p ? user : (struct slice){NULL, 0};
}
