/*
 * The names of a certificate, as its subjectAltName says them in DER: no byte of it makes it a domain
 * that it does not spell, and a user's URI is nobody's domain.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "net/tls_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* @return NULL: OpenSSL does not take them */
static X509 *certificate(const uint8_t *names, size_t size)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;
	X509 *cert = X509_new();

	must(value && cert && ASN1_OCTET_STRING_set(value, names, (int)size));
	extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
	must(extension && X509_add_ext(cert, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	return cert;
}

/* In any case, as a whole, and not behind a user. */
static bool spells(const uint8_t *names, size_t size, const char *domain)
{
	size_t len = strlen(domain);

	for (size_t i = 0; i + len <= size; i++)
		if (strncasecmp((const char *)names + i, domain, len) == 0
		    && (i == 0 || names[i - 1] != '@'))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	X509 *cert;

	if (size > 4096)
		return 0;
	cert = certificate(data, size);
	if (tls_cert_is_domain(cert, SLICE("im.example.org")))
		must(spells(data, size, "im.example.org"));
	X509_free(cert);
	ERR_clear_error();
	return 0;
}
