/* Whose certificate is a SIP domain's, and what it may be for: RFC 5922 7, RFC 5924. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <msrpd/setting.h>

#include "certs.h"
#include "net/tls_priv.h"
#include "tls_pair.h"

#define SIP_USAGE "1.3.6.1.5.5.7.3.20"

/* Two who show each other the same certificate. */
struct pair {
	struct certs certs;
	struct net_tls_contexts *tls;
	SSL *client, *server;
	bool opened;
};

/* @return false: it failed */
static bool go_on(SSL *ssl)
{
	int result = SSL_do_handshake(ssl);

	return result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

static void shake_hands(struct pair *p)
{
	bool good = true;

	while (good && !(SSL_is_init_finished(p->client) && SSL_is_init_finished(p->server)))
		good = go_on(p->client) && go_on(p->server);
	p->opened = good;
}

/* @param strict  does either refuse whom it cannot trust? */
static void open_pair(struct pair *p, const struct cert_terms *terms, bool strict)
{
	struct net_tls_settings settings = {.verify_client = strict};
	struct reason why;

	certs_make_with(&p->certs, terms);
	settings.certificate = p->certs.cert;
	settings.private_key = p->certs.key;
	settings.ca_file = p->certs.ca;
	assert_int_equal(net_tls_contexts_new(&p->tls, &settings, &why), 0);
	net_tls_contexts_use_domains(p->tls);
	p->client = SSL_new(p->tls->client);
	p->server = SSL_new(p->tls->server);
	tls_pair_join(p->server, p->client);
	assert_int_equal(tls_client_expect(p->client, SLICE("a.x.test"), !strict), 0);
	shake_hands(p);
}

static void close_pair(struct pair *p)
{
	char text[80];

	SSL_free(p->client);
	SSL_free(p->server);
	net_tls_contexts_free(p->tls);
	certs_remove(&p->certs);
	tls_error_text(text, sizeof(text));
}

static void whose_it_is(void **state)
{
	static const struct {
		const char *names;
		bool good;
	} rows[] = {
	    {"DNS:a.x.test", true},
	    {"DNS:b.test", false},
	    {"DNS:*.x.test", false},
	    {"URI:sip:a.x.test", true},
	    {"URI:SIP:A.X.Test:5061", true},
	    {"URI:sip:a.x.test;x=y", true},
	    {"URI:sip:a.x.test?x=y", true},
	    {"URI:sip:x.a.x.test", false},
	    {"URI:sips:a.x.test", false},
	    {"URI:sip:b.test,URI:sip:a.x.test", true},
	    /* DNS names count where there is no domain. */
	    {"URI:sip:b.test,DNS:a.x.test", false},
	    {"URI:sip:alice@b.test,URI:https://b.test,DNS:a.x.test", true},
	    {"URI:sip:alice@a.x.test", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cert_terms terms = {.names = rows[i].names};
		struct pair p;

		open_pair(&p, &terms, true);
		if (p.opened != rows[i].good)
			fail_msg("%s", rows[i].names);
		close_pair(&p);
		open_pair(&p, &terms, false);
		assert_true(p.opened);
		if (tls_peer_is(p.server, SLICE("a.x.test")) != rows[i].good)
			fail_msg("to the server: %s", rows[i].names);
		close_pair(&p);
	}
}

/* The client of strangers is asked too; what it shows is worth nothing then. */
static void what_it_is_for(void **state)
{
	static const struct {
		const char *usages, *keys;
		bool server, client;
	} rows[] = {
	    {NULL, NULL, true, true},
	    {NULL, "digitalSignature", true, true},
	    {NULL, "keyCertSign", false, false},
	    {"serverAuth", NULL, true, true},
	    {"clientAuth", NULL, false, true},
	    {"anyExtendedKeyUsage", NULL, true, true},
	    {SIP_USAGE, NULL, true, true},
	    {"emailProtection," SIP_USAGE, "keyAgreement", true, true},
	    {SIP_USAGE, "keyCertSign", false, false},
	    {"emailProtection", NULL, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cert_terms terms = {"DNS:a.x.test", rows[i].usages, rows[i].keys};
		const char *usages = rows[i].usages ? rows[i].usages : "any";
		struct pair p;

		open_pair(&p, &terms, true);
		if (p.opened != (rows[i].server && rows[i].client))
			fail_msg("%s", usages);
		close_pair(&p);
		open_pair(&p, &terms, false);
		assert_true(p.opened);
		if (tls_peer_verified(p.client) != rows[i].server)
			fail_msg("a server's: %s", usages);
		if (tls_peer_verified(p.server) != rows[i].client)
			fail_msg("a client's: %s", usages);
		close_pair(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whose_it_is),
	    cmocka_unit_test(what_it_is_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
