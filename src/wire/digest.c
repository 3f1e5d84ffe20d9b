#include "wire/digest.h"

#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "wire/chars.h"

static const char hex_digits[] = "0123456789abcdef";

/* --- parsing --- */

/* Parameters whose text is not kept but read into something else. */
struct raw {
	struct slice qop, algorithm, stale, nc;
};

static struct slice *find_raw(struct raw *raw, struct slice name)
{
	if (slice_equal_nocase(name, SLICE("qop")))
		return &raw->qop;
	if (slice_equal_nocase(name, SLICE("algorithm")))
		return &raw->algorithm;
	if (slice_equal_nocase(name, SLICE("stale")))
		return &raw->stale;
	if (slice_equal_nocase(name, SLICE("nc")))
		return &raw->nc;
	return NULL;
}

/* Where the value of a parameter goes; NULL for those that do not matter. */
static struct slice *find_param(struct msrp_digest *d, struct raw *raw, struct slice name)
{
	static const struct {
		struct slice name;
		size_t offset;
	} params[] = {
	    {{"realm", 5}, offsetof(struct msrp_digest, realm)},
	    {{"nonce", 5}, offsetof(struct msrp_digest, nonce)},
	    {{"opaque", 6}, offsetof(struct msrp_digest, opaque)},
	    {{"username", 8}, offsetof(struct msrp_digest, username)},
	    {{"uri", 3}, offsetof(struct msrp_digest, uri)},
	    {{"response", 8}, offsetof(struct msrp_digest, response)},
	    {{"cnonce", 6}, offsetof(struct msrp_digest, cnonce)},
	    {{"rspauth", 7}, offsetof(struct msrp_digest, rspauth)},
	    {{"nextnonce", 9}, offsetof(struct msrp_digest, nextnonce)},
	};

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (slice_equal_nocase(name, params[i].name))
			return (struct slice *)((char *)d + params[i].offset);
	return find_raw(raw, name);
}

static void skip_blanks(struct slice *rest)
{
	while (msrp_take_char(rest, ' ') || msrp_take_char(rest, '\t'))
		;
}

/* A quoted value with backslashes, plain, in the struct's own memory. */
static int unescape(struct msrp_digest *d, struct slice escaped, struct slice *value)
{
	struct slice plain = {d->unescaped + d->unescaped_len, 0};

	for (size_t i = 0; i < escaped.len; i++) {
		if (escaped.p[i] == '\\')
			i++;
		if (d->unescaped_len == sizeof(d->unescaped))
			return -EBADMSG;
		d->unescaped[d->unescaped_len++] = escaped.p[i];
		plain.len++;
	}
	*value = plain;
	return 0;
}

/* Behind the opening quote. */
static int parse_quoted(struct msrp_digest *d, struct slice *rest, struct slice *value)
{
	struct slice text = {rest->p, 0};
	bool escapes = false;

	while (text.len < rest->len && rest->p[text.len] != '"') {
		if (rest->p[text.len] == '\\') {
			escapes = true;
			text.len++;
		}
		text.len++;
	}
	if (text.len >= rest->len)
		return -EBADMSG;
	*rest = slice_from(*rest, text.len + 1);
	if (escapes)
		return unescape(d, text, value);
	*value = text;
	return 0;
}

/* What should be quoted and is not is taken as well, and the other way round. */
static int parse_value(struct msrp_digest *d, struct slice *rest, struct slice *value)
{
	size_t n = 0;

	if (msrp_take_char(rest, '"'))
		return parse_quoted(d, rest, value);
	while (n < rest->len && !memchr(", \t\"", rest->p[n], 4))
		n++;
	*value = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	return n ? 0 : -EBADMSG;
}

/* name = value, and the comma behind it unless it is the last. */
static int parse_param(struct msrp_digest *d, struct raw *raw, struct slice *rest)
{
	struct slice name = msrp_take(rest, MSRP_TOKEN), value, *field;
	int err;

	skip_blanks(rest);
	if (name.len == 0 || !msrp_take_char(rest, '='))
		return -EBADMSG;
	skip_blanks(rest);
	err = parse_value(d, rest, &value);
	if (err)
		return err;
	skip_blanks(rest);
	if (rest->len && !msrp_take_char(rest, ','))
		return -EBADMSG;
	field = find_param(d, raw, name);
	if (!field)
		return 0;
	if (field->p)
		return -EBADMSG;
	*field = value;
	return 0;
}

static int parse_params(struct msrp_digest *d, struct raw *raw, struct slice rest)
{
	int err = 0;

	*raw = (struct raw){.qop = {NULL, 0}};
	memset(d, 0, offsetof(struct msrp_digest, unescaped));
	d->unescaped_len = 0;
	while (!err) {
		skip_blanks(&rest);
		if (rest.len == 0)
			break;
		if (!msrp_take_char(&rest, ','))
			err = parse_param(d, raw, &rest);
	}
	return err;
}

/* 8LHEX; absent is not grammatical, for RFC 4976 9.1 demands it. */
static int parse_nc(struct slice text, uint32_t *ncp)
{
	uint32_t nc = 0;

	if (text.len != 8)
		return -EBADMSG;
	for (size_t i = 0; i < text.len; i++) {
		const char *digit = memchr(hex_digits, text.p[i], 16);

		if (!digit)
			return -EBADMSG;
		nc = nc * 16 + (uint32_t)(digit - hex_digits);
	}
	*ncp = nc;
	return 0;
}

static int parse_algorithm(struct slice text, enum msrp_digest_algorithm *algorithmp)
{
	if (!text.p || slice_equal_nocase(text, SLICE("MD5")))
		*algorithmp = MSRP_DIGEST_MD5;
	else if (slice_equal_nocase(text, SLICE("SHA-256")))
		*algorithmp = MSRP_DIGEST_SHA256;
	else
		return -EPROTO;
	return 0;
}

/* The scheme of WWW-Authenticate and Authorization, then the parameters. */
static int parse_digest(struct msrp_digest *d, struct raw *raw, struct slice value)
{
	struct slice rest = slice_trim(value);
	struct slice scheme = msrp_take(&rest, MSRP_TOKEN);
	int err;

	if (scheme.len == 0 || (rest.len && rest.p[0] != ' ' && rest.p[0] != '\t'))
		return -EBADMSG;
	if (!slice_equal_nocase(scheme, SLICE("Digest")))
		return -EPROTO;
	err = parse_params(d, raw, rest);
	if (err)
		return err;
	return d->realm.p && d->nonce.p ? parse_algorithm(raw->algorithm, &d->algorithm) : -EBADMSG;
}

static bool offers_auth(struct slice qop)
{
	struct slice one;

	while (slice_cut(&qop, ',', &one))
		if (slice_equal_nocase(slice_trim(one), SLICE("auth")))
			return true;
	return false;
}

int msrp_digest_parse_challenge(struct msrp_digest *digest, struct slice value)
{
	struct raw raw;
	int err = parse_digest(digest, &raw, value);

	if (err)
		return err;
	digest->stale = slice_equal_nocase(raw.stale, SLICE("true"));
	return offers_auth(raw.qop) ? 0 : -EPROTO;
}

int msrp_digest_parse_credentials(struct msrp_digest *digest, struct slice value)
{
	struct raw raw;
	int err = parse_digest(digest, &raw, value);

	if (err)
		return err;
	if (!slice_equal_nocase(raw.qop, SLICE("auth")))
		return -EPROTO;
	if (!digest->username.p || !digest->response.p || !digest->cnonce.p)
		return -EBADMSG;
	return parse_nc(raw.nc, &digest->nc);
}

int msrp_digest_parse_info(struct msrp_digest *digest, struct slice value)
{
	struct raw raw;
	int err = parse_params(digest, &raw, value);

	if (err)
		return err;
	if (raw.qop.p && !slice_equal_nocase(raw.qop, SLICE("auth")))
		return -EPROTO;
	if (!digest->rspauth.p || !digest->cnonce.p)
		return -EBADMSG;
	return parse_nc(raw.nc, &digest->nc);
}

/* --- computing --- */

static void to_hex(struct msrp_digest_hash *hash, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		hash->hex[2 * i] = hex_digits[bytes[i] >> 4];
		hash->hex[2 * i + 1] = hex_digits[bytes[i] & 15];
	}
	hash->len = 2 * len;
}

static bool update(EVP_MD_CTX *context, struct slice s)
{
	return s.len == 0 || EVP_DigestUpdate(context, s.p, s.len) == 1;
}

/* H(a:b:c…) */
static int hash_joined(enum msrp_digest_algorithm algorithm, const struct slice *parts, size_t n,
    struct msrp_digest_hash *hash)
{
	const EVP_MD *md = algorithm == MSRP_DIGEST_SHA256 ? EVP_sha256() : EVP_md5();
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool ok;

	if (!context)
		return -ENOMEM;
	ok = EVP_DigestInit_ex(context, md, NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = (i == 0 || update(context, SLICE(":"))) && update(context, parts[i]);
	ok = ok && EVP_DigestFinal_ex(context, bytes, &len) == 1;
	EVP_MD_CTX_free(context);
	if (!ok)
		return -ENOMEM;
	to_hex(hash, bytes, len);
	return 0;
}

int msrp_digest_ha1(enum msrp_digest_algorithm algorithm, struct slice username, struct slice realm,
    struct slice password, struct msrp_digest_hash *ha1)
{
	struct slice parts[] = {username, realm, password};

	return hash_joined(algorithm, parts, 3, ha1);
}

static void write_nc(struct msrp_writer *w, uint32_t nc)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		msrp_write_char(w, hex_digits[nc >> shift & 15]);
}

static int hash_request(const struct msrp_digest *d, struct slice ha1, struct slice method,
    struct slice uri, struct msrp_digest_hash *hash)
{
	struct slice a2[] = {method, uri};
	struct msrp_digest_hash ha2;
	char nc[8];
	struct msrp_writer w = MSRP_WRITER(nc);
	struct slice parts[6] = {ha1, d->nonce, {nc, sizeof(nc)}, d->cnonce, SLICE("auth")};
	int err = hash_joined(d->algorithm, a2, 2, &ha2);

	if (err)
		return err;
	write_nc(&w, d->nc);
	parts[5] = msrp_digest_hash_slice(&ha2);
	return hash_joined(d->algorithm, parts, 6, hash);
}

int msrp_digest_response(const struct msrp_digest *digest, struct slice ha1, struct slice uri,
    struct msrp_digest_hash *response)
{
	return hash_request(digest, ha1, SLICE("AUTH"), uri, response);
}

int msrp_digest_rspauth(const struct msrp_digest *digest, struct slice ha1, struct slice uri,
    struct msrp_digest_hash *rspauth)
{
	/* RFC 7616 3.5: as the response, but without the method. */
	return hash_request(digest, ha1, SLICE(""), uri, rspauth);
}

bool msrp_digest_matches(const struct msrp_digest_hash *hash, struct slice text)
{
	return text.len == hash->len && CRYPTO_memcmp(hash->hex, text.p, text.len) == 0;
}

/* --- writing --- */

static void write_comma(struct msrp_writer *w)
{
	msrp_write(w, SLICE(", "));
}

static void write_quoted(struct msrp_writer *w, struct slice name, struct slice value)
{
	msrp_write(w, name);
	msrp_write(w, SLICE("=\""));
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			w->overflow = true;
		if (c == '"' || c == '\\')
			msrp_write_char(w, '\\');
		msrp_write_char(w, (char)c);
	}
	msrp_write_char(w, '"');
}

static void write_optional(struct msrp_writer *w, struct slice name, struct slice value)
{
	if (!value.p)
		return;
	write_comma(w);
	write_quoted(w, name, value);
}

static void write_realm_and_nonce(struct msrp_writer *w, const struct msrp_digest *d)
{
	write_quoted(w, SLICE("realm"), d->realm);
	write_comma(w);
	write_quoted(w, SLICE("nonce"), d->nonce);
}

static void write_algorithm(struct msrp_writer *w, const struct msrp_digest *d)
{
	if (d->algorithm == MSRP_DIGEST_SHA256)
		msrp_write(w, SLICE(", algorithm=SHA-256"));
}

/* RFC 4976 9.1: qop in quotes in a challenge, and without them elsewhere. */
static void write_bare_qop_and_nc(struct msrp_writer *w, const struct msrp_digest *d)
{
	msrp_write(w, SLICE("qop=auth, nc="));
	write_nc(w, d->nc);
	write_optional(w, SLICE("cnonce"), d->cnonce);
}

void msrp_digest_write_challenge(struct msrp_writer *w, const struct msrp_digest *digest)
{
	msrp_write(w, SLICE("Digest "));
	write_realm_and_nonce(w, digest);
	msrp_write(w, SLICE(", qop=\"auth\""));
	write_algorithm(w, digest);
	if (digest->stale)
		msrp_write(w, SLICE(", stale=true"));
	write_optional(w, SLICE("opaque"), digest->opaque);
}

void msrp_digest_write_credentials(struct msrp_writer *w, const struct msrp_digest *digest)
{
	msrp_write(w, SLICE("Digest "));
	write_quoted(w, SLICE("username"), digest->username);
	write_comma(w);
	write_realm_and_nonce(w, digest);
	write_optional(w, SLICE("uri"), digest->uri);
	write_comma(w);
	write_bare_qop_and_nc(w, digest);
	write_optional(w, SLICE("response"), digest->response);
	write_algorithm(w, digest);
	write_optional(w, SLICE("opaque"), digest->opaque);
}

void msrp_digest_write_info(struct msrp_writer *w, const struct msrp_digest *digest)
{
	write_bare_qop_and_nc(w, digest);
	write_optional(w, SLICE("rspauth"), digest->rspauth);
	write_optional(w, SLICE("nextnonce"), digest->nextnonce);
}
