/* Peers that are domains of SIP: RFC 5922 7, RFC 5924. */
#include <openssl/x509v3.h>

#include "net/tls_priv.h"

/* --- what a certificate is for --- */

static bool has_sip_usage(const X509 *cert)
{
	EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	ASN1_OBJECT *sip = OBJ_txt2obj("1.3.6.1.5.5.7.3.20", 1);
	bool has = false;

	for (int i = 0; usages && sip && !has && i < sk_ASN1_OBJECT_num(usages); i++)
		has = OBJ_cmp(sk_ASN1_OBJECT_value(usages, i), sip) == 0;
	ASN1_OBJECT_free(sip);
	EXTENDED_KEY_USAGE_free(usages);
	return has;
}

/* A server of SIP calls others as well, and public authorities have servers' certificates alone. */
static bool is_usable(X509 *cert, bool leaf, bool calls)
{
	const uint32_t keys = KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT;
	const uint32_t usages = XKU_SSL_SERVER | XKU_ANYEKU | (calls ? XKU_SSL_CLIENT : 0);

	/* What is not limited has all bits. */
	if (leaf && !(X509_get_key_usage(cert) & keys))
		return false;
	return (X509_get_extended_key_usage(cert) & usages) || has_sip_usage(cert);
}

static SSL *ssl_of(X509_STORE_CTX *store)
{
	return X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
}

/* OpenSSL knows the usages of the web. */
static int judge_usage(int ok, X509_STORE_CTX *store)
{
	bool leaf = X509_STORE_CTX_get_error_depth(store) == 0;

	if (ok || X509_STORE_CTX_get_error(store) != X509_V_ERR_INVALID_PURPOSE
	    || !is_usable(X509_STORE_CTX_get_current_cert(store), leaf,
		SSL_is_server(ssl_of(store))))
		return ok;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* --- whose it is --- */

/* A URI with a user is somebody's, and not the domain's.  @return absent: it names none */
static struct slice domain_of(const GENERAL_NAME *name)
{
	const ASN1_IA5STRING *text =
	    name->type == GEN_URI ? name->d.uniformResourceIdentifier : NULL;
	struct slice uri = {NULL, 0};
	size_t len = 0;

	if (text)
		uri = (struct slice){(const char *)ASN1_STRING_get0_data(text),
		    (size_t)ASN1_STRING_length(text)};
	if (!slice_starts_nocase(uri, SLICE("sip:")) || memchr(uri.p, '@', uri.len))
		return (struct slice){NULL, 0};
	uri = slice_from(uri, sizeof("sip:") - 1);
	while (len < uri.len && !memchr(":;?", uri.p[len], 3))
		len++;
	return slice_head(uri, len);
}

bool tls_cert_is_domain(X509 *cert, struct slice host)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool any = false, is = false;

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		struct slice domain = domain_of(sk_GENERAL_NAME_value(names, i));

		any = any || domain.p;
		is = is || (domain.p && slice_equal_nocase(domain, host));
	}
	GENERAL_NAMES_free(names);
	/* DNS names count if there is no such URI. */
	return any ? is
		   : X509_check_host(cert, host.p, host.len,
			 X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS, NULL)
		== 1;
}

/*
 * Who is taken whatever he shows is judged as strictly: what is found first remains, where OpenSSL
 * would go on and forget it.
 */
static int verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = ssl_of(store);
	bool any = SSL_get_verify_callback(ssl);
	const char *name =
	    SSL_is_server(ssl) ? NULL : SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool ok;

	(void)arg;
	X509_STORE_CTX_set_verify_cb(store, judge_usage);
	ok = X509_verify_cert(store) == 1;
	if (ok && !any && name
	    && !tls_cert_is_domain(X509_STORE_CTX_get0_cert(store), slice_of(name))) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
		ok = false;
	}
	return ok || any;
}

static void use_domains(SSL_CTX *ctx)
{
	X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(ctx), X509_CHECK_FLAG_NO_WILDCARDS);
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
}

bool tls_is_for_domains(const SSL *ssl)
{
	return X509_VERIFY_PARAM_get_hostflags(SSL_CTX_get0_param(SSL_get_SSL_CTX(ssl)))
	    & X509_CHECK_FLAG_NO_WILDCARDS;
}

void net_tls_contexts_use_domains(struct net_tls_contexts *tls)
{
	if (tls->server)
		use_domains(tls->server);
	use_domains(tls->client);
}
