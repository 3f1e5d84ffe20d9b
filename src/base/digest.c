#include "base/digest.h"

#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/chars.h"

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
static struct slice *find_param(struct digest *d, struct raw *raw, struct slice name)
{
	static const struct {
		struct slice name;
		size_t offset;
	} params[] = {
	    {{"realm", 5}, offsetof(struct digest, realm)},
	    {{"nonce", 5}, offsetof(struct digest, nonce)},
	    {{"opaque", 6}, offsetof(struct digest, opaque)},
	    {{"username", 8}, offsetof(struct digest, username)},
	    {{"uri", 3}, offsetof(struct digest, uri)},
	    {{"response", 8}, offsetof(struct digest, response)},
	    {{"cnonce", 6}, offsetof(struct digest, cnonce)},
	    {{"rspauth", 7}, offsetof(struct digest, rspauth)},
	    {{"nextnonce", 9}, offsetof(struct digest, nextnonce)},
	};

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (slice_equal_nocase(name, params[i].name))
			return (struct slice *)((char *)d + params[i].offset);
	return find_raw(raw, name);
}

static void skip_blanks(struct slice *rest)
{
	while (chars_take_char(rest, ' ') || chars_take_char(rest, '\t'))
		;
}

/* A quoted value with backslashes, plain, in the struct's own memory. */
static int unescape(struct digest *d, struct slice escaped, struct slice *value)
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
static int parse_quoted(struct digest *d, struct slice *rest, struct slice *value)
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
static int parse_value(struct digest *d, struct slice *rest, struct slice *value)
{
	size_t n = 0;

	if (chars_take_char(rest, '"'))
		return parse_quoted(d, rest, value);
	while (n < rest->len && !memchr(", \t\"", rest->p[n], 4))
		n++;
	*value = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	return n ? 0 : -EBADMSG;
}

/* name = value, and the comma behind it unless it is the last. */
static int parse_param(struct digest *d, struct raw *raw, struct slice *rest)
{
	struct slice name = chars_take(rest, CHARS_TOKEN), value, *field;
	int err;

	skip_blanks(rest);
	if (name.len == 0 || !chars_take_char(rest, '='))
		return -EBADMSG;
	skip_blanks(rest);
	err = parse_value(d, rest, &value);
	if (err)
		return err;
	skip_blanks(rest);
	if (rest->len && !chars_take_char(rest, ','))
		return -EBADMSG;
	field = find_param(d, raw, name);
	if (!field)
		return 0;
	if (field->p)
		return -EBADMSG;
	*field = value;
	return 0;
}

static int parse_params(struct digest *d, struct raw *raw, struct slice rest)
{
	int err = 0;

	*raw = (struct raw){.qop = {NULL, 0}};
	memset(d, 0, offsetof(struct digest, unescaped));
	d->unescaped_len = 0;
	while (!err) {
		skip_blanks(&rest);
		if (rest.len == 0)
			break;
		if (!chars_take_char(&rest, ','))
			err = parse_param(d, raw, &rest);
	}
	return err;
}

/* 8LHEX; absent is not grammatical, for qop demands it. */
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

static int parse_algorithm(struct slice text, enum digest_algorithm *algorithmp)
{
	if (!text.p || slice_equal_nocase(text, SLICE("MD5")))
		*algorithmp = DIGEST_MD5;
	else if (slice_equal_nocase(text, SLICE("SHA-256")))
		*algorithmp = DIGEST_SHA256;
	else
		return -EPROTO;
	return 0;
}

/* The scheme of WWW-Authenticate and Authorization, then the parameters. */
static int parse_digest(struct digest *d, struct raw *raw, struct slice value)
{
	struct slice rest = slice_trim(value);
	struct slice scheme = chars_take(&rest, CHARS_TOKEN);
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

int digest_parse_challenge(struct digest *digest, struct slice value)
{
	struct raw raw;
	int err = parse_digest(digest, &raw, value);

	if (err)
		return err;
	digest->stale = slice_equal_nocase(raw.stale, SLICE("true"));
	digest->says_algorithm = raw.algorithm.p != NULL;
	digest->without_qop = !raw.qop.p;
	return !raw.qop.p || offers_auth(raw.qop) ? 0 : -EPROTO;
}

int digest_parse_credentials(struct digest *digest, struct slice value)
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

int digest_parse_info(struct digest *digest, struct slice value)
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

static void to_hex(struct digest_hash *hash, const unsigned char *bytes, size_t len)
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
static int hash_joined(enum digest_algorithm algorithm, const struct slice *parts, size_t n,
    struct digest_hash *hash)
{
	const EVP_MD *md = algorithm == DIGEST_SHA256 ? EVP_sha256() : EVP_md5();
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
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

int digest_ha1(enum digest_algorithm algorithm, struct slice username, struct slice realm,
    struct slice password, struct digest_hash *ha1)
{
	struct slice parts[] = {username, realm, password};

	return hash_joined(algorithm, parts, 3, ha1);
}

int digest_secret_ha1(const struct digest_secret *secret, enum digest_algorithm algorithm,
    struct slice username, struct slice realm, struct digest_hash *ha1)
{
	struct slice password = secret->password.p ? secret->password : SLICE("no password at all");
	struct slice stored = algorithm == DIGEST_SHA256 ? secret->ha1_sha256 : secret->ha1;
	int err = digest_ha1(algorithm, username, realm, password, ha1);

	if (err < 0 || secret->password.p)
		return err;
	if (!stored.p || stored.len != ha1->len)
		return -ENOENT;
	for (size_t i = 0; i < stored.len; i++)
		ha1->hex[i] = (char)(stored.p[i] >= 'A' && stored.p[i] <= 'F' ? stored.p[i] | 0x20
									      : stored.p[i]);
	return 0;
}

static void write_nc(struct buffer *b, uint32_t nc)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		buffer_add_char(b, hex_digits[nc >> shift & 15]);
}

static int hash_request(const struct digest *d, struct slice ha1, struct slice method,
    struct slice uri, struct digest_hash *hash)
{
	struct slice a2[] = {method, uri};
	struct digest_hash ha2;
	char nc[8];
	struct buffer b = BUFFER_ON(nc);
	struct slice parts[6] = {ha1, d->nonce, {nc, sizeof(nc)}, d->cnonce, SLICE("auth")};
	size_t count = d->without_qop ? 3 : 6;
	int err = hash_joined(d->algorithm, a2, 2, &ha2);

	if (err)
		return err;
	write_nc(&b, d->nc);
	parts[count - 1] = digest_hash_slice(&ha2);
	return hash_joined(d->algorithm, parts, count, hash);
}

int digest_response(const struct digest *digest, struct slice ha1, struct slice method,
    struct slice uri, struct digest_hash *response)
{
	return hash_request(digest, ha1, method, uri, response);
}

int digest_rspauth(const struct digest *digest, struct slice ha1, struct slice uri,
    struct digest_hash *rspauth)
{
	/* RFC 7616 3.5: as the response, but without the method. */
	return hash_request(digest, ha1, SLICE(""), uri, rspauth);
}

bool digest_matches(const struct digest_hash *hash, struct slice text)
{
	return text.len == hash->len && CRYPTO_memcmp(hash->hex, text.p, text.len) == 0;
}

/* --- writing --- */

static void write_comma(struct buffer *b)
{
	buffer_add(b, SLICE(", "));
}

static void write_quoted(struct buffer *b, struct slice name, struct slice value)
{
	buffer_add(b, name);
	buffer_add(b, SLICE("=\""));
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			b->err = -EBADMSG;
		if (c == '"' || c == '\\')
			buffer_add_char(b, '\\');
		buffer_add_char(b, (char)c);
	}
	buffer_add_char(b, '"');
}

static void write_optional(struct buffer *b, struct slice name, struct slice value)
{
	if (!value.p)
		return;
	write_comma(b);
	write_quoted(b, name, value);
}

static void write_realm_and_nonce(struct buffer *b, const struct digest *d)
{
	write_quoted(b, SLICE("realm"), d->realm);
	write_comma(b);
	write_quoted(b, SLICE("nonce"), d->nonce);
}

static void write_algorithm(struct buffer *b, const struct digest *d)
{
	if (d->algorithm == DIGEST_SHA256)
		buffer_add(b, SLICE(", algorithm=SHA-256"));
	else if (d->says_algorithm)
		buffer_add(b, SLICE(", algorithm=MD5"));
}

/* RFC 4976 9.1: qop in quotes in a challenge, and without them elsewhere. */
static void write_bare_qop_and_nc(struct buffer *b, const struct digest *d)
{
	buffer_add(b, SLICE("qop=auth, nc="));
	write_nc(b, d->nc);
	write_optional(b, SLICE("cnonce"), d->cnonce);
}

void digest_write_challenge(struct buffer *b, const struct digest *digest)
{
	buffer_add(b, SLICE("Digest "));
	write_realm_and_nonce(b, digest);
	buffer_add(b, SLICE(", qop=\"auth\""));
	write_algorithm(b, digest);
	if (digest->stale)
		buffer_add(b, SLICE(", stale=true"));
	write_optional(b, SLICE("opaque"), digest->opaque);
}

void digest_write_credentials(struct buffer *b, const struct digest *digest)
{
	buffer_add(b, SLICE("Digest "));
	write_quoted(b, SLICE("username"), digest->username);
	write_comma(b);
	write_realm_and_nonce(b, digest);
	write_optional(b, SLICE("uri"), digest->uri);
	if (!digest->without_qop) {
		write_comma(b);
		write_bare_qop_and_nc(b, digest);
	}
	write_optional(b, SLICE("response"), digest->response);
	write_algorithm(b, digest);
	write_optional(b, SLICE("opaque"), digest->opaque);
}

void digest_write_info(struct buffer *b, const struct digest *digest)
{
	write_bare_qop_and_nc(b, digest);
	write_optional(b, SLICE("rspauth"), digest->rspauth);
	write_optional(b, SLICE("nextnonce"), digest->nextnonce);
}
