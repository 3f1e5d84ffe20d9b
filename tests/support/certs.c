#include "certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

/* issuer and terms NULL: an authority, signed by itself. */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
    const struct cert_terms *terms)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
	    0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
	X509_set_pubkey(cert, key);
	add_extension(cert, issuer ? issuer : cert, NID_basic_constraints,
	    issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (terms)
		add_extension(cert, issuer, NID_subject_alt_name, terms->names);
	if (terms && terms->usages)
		add_extension(cert, issuer, NID_ext_key_usage, terms->usages);
	if (terms && terms->keys)
		add_extension(cert, issuer, NID_key_usage, terms->keys);
	assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	return cert;
}

static void write_pem(char *path, size_t size, const char *dir, const char *name, X509 *cert,
    EVP_PKEY *key)
{
	FILE *file;

	snprintf(path, size, "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	if (cert)
		assert_int_equal(PEM_write_X509(file, cert), 1);
	else
		assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
}

void certs_make_with(struct certs *c, const struct cert_terms *terms)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	EVP_PKEY *other_key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("CA", ca_key, NULL, ca_key, NULL);
	X509 *cert = make_cert("localhost", key, ca, ca_key, terms);
	X509 *other_ca = make_cert("other CA", other_key, NULL, other_key, NULL);
	X509 *stranger = make_cert("localhost", key, other_ca, other_key, terms);

	snprintf(c->dir, sizeof(c->dir), "/tmp/msrpd-certs-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	write_pem(c->ca, sizeof(c->ca), c->dir, "ca.pem", ca, NULL);
	write_pem(c->cert, sizeof(c->cert), c->dir, "cert.pem", cert, NULL);
	write_pem(c->key, sizeof(c->key), c->dir, "key.pem", NULL, key);
	write_pem(c->stranger_cert, sizeof(c->stranger_cert), c->dir, "stranger.pem", stranger,
	    NULL);
	write_pem(c->stranger_key, sizeof(c->stranger_key), c->dir, "stranger-key.pem", NULL, key);
	X509_free(stranger);
	X509_free(other_ca);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(other_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

void certs_make(struct certs *c)
{
	const struct cert_terms terms = {.names = "DNS:localhost,DNS:im.example.org,IP:127.0.0.1"};

	certs_make_with(c, &terms);
}

void certs_remove(struct certs *c)
{
	const char *files[] = {c->ca, c->cert, c->key, c->stranger_cert, c->stranger_key};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	rmdir(c->dir);
}
