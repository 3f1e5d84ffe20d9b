/* The `tls:` group of a section of the config. */
#include "net/tls.h"

#include <errno.h>

static int check_tls_version(const void *value, struct reason *why)
{
	struct slice text = slice_of(*(char *const *)value);

	if (slice_equal(text, SLICE("1.2")) || slice_equal(text, SLICE("1.3")))
		return 0;
	return reason_set(why, -EINVAL, "is 1.2 or 1.3");
}

int net_tls_settings_check(const void *settings, struct reason *why)
{
	const struct net_tls_settings *s = settings;

	struct net_tls_contexts *tls;
	int err;

	if (!s->certificate != !s->private_key)
		return reason_set(why, -EINVAL, "wants certificate and private_key, or neither");
	if (!s->certificate && !s->ca_file && !s->ciphers && !s->ciphersuites)
		return 0;
	err = net_tls_contexts_new(&tls, s, why);
	if (err == 0)
		net_tls_contexts_free(tls);
	return err;
}

#define TLS(field) offsetof(struct net_tls_settings, field)
const struct setting net_tls_settings_rows[] = {
    {.name = "certificate",
	.type = SETTING_FILE,
	.offset = TLS(certificate),
	.help = "PEM file with the certificate and its chain."},
    {.name = "private_key",
	.type = SETTING_FILE,
	.offset = TLS(private_key),
	.help = "PEM file with its private key."},
    {.name = "ca_file",
	.type = SETTING_FILE,
	.offset = TLS(ca_file),
	.help = "PEM file with the authorities to trust; the system's if absent."},
    {.name = "verify_client",
	.type = SETTING_BOOL,
	.offset = TLS(verify_client),
	.preset = "false",
	.help = "Refuse clients without a certificate of ours to trust."},
    {.name = "verify_server",
	.type = SETTING_BOOL,
	.offset = TLS(verify_server),
	.preset = "true",
	.help = "Connect only where chain and name of the certificate are right."},
    {.name = "min_version",
	.type = SETTING_TEXT,
	.offset = TLS(min_version),
	.preset = "1.2",
	.check = check_tls_version,
	.help = "Oldest TLS version to speak."},
    {.name = "ciphers",
	.type = SETTING_TEXT,
	.offset = TLS(ciphers),
	.help =
	    "Cipher list of TLS 1.2, in OpenSSL's words; if absent those with forward secrecy and "
	    "authenticated encryption."},
    {.name = "ciphersuites",
	.type = SETTING_TEXT,
	.offset = TLS(ciphersuites),
	.help = "Cipher suites of TLS 1.3, in OpenSSL's words."},
    {0},
};
