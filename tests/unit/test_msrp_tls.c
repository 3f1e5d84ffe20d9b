/* Who is let in and who is trusted over TLS: RFC 4975 section 14. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msrp/priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <openssl/core_names.h>

#include "loop.h"
#include "msrp/pool.h"
#include "msrp_side.h"
#include "net/guard.h"
#include "net/net.h"
#include "net/ticket_share.h"
#include "net/tls_priv.h"
#include "tls_pair.h"

struct fixture {
	struct msrp_side side;
	struct certs certs;
	struct net_guard *guard;
	struct msrp_peer *late;
	bool shows; /* prepare() has the peer show a certificate */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	certs_make(&f->certs);
	msrp_side_init(&f->side, &f->certs);
	*state = f;
	return 0;
}

static int setup_threads(void **state)
{
	setup(state);
	((struct fixture *)*state)->side.threads = 2;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	msrp_side_stop(&f->side);
	net_guard_free(f->guard);
	certs_remove(&f->certs);
	free(f);
	return 0;
}

static bool has_outcome(void *arg)
{
	struct fixture *f = arg;

	return f->side.opened || f->side.closed_err;
}

/* The stack connects to itself. @return NULL: it could not, closed_err tells why */
static struct msrp_conn *call(struct fixture *f, const char *host, const char *fingerprint)
{
	struct slice fingerprints[] = {slice_of("SHA-1 00:11"),
	    slice_of(fingerprint ? fingerprint : "")};
	struct msrp_destination to = {.secure = true,
	    .host = slice_of(host),
	    .port = f->side.tls_port,
	    .fingerprints = fingerprints,
	    .fingerprint_count = fingerprint ? 2 : 0};
	struct msrp_conn *conn;

	f->side.opened = false;
	f->side.closed_err = 0;
	assert_int_equal(msrp_pool_get(f->side.stack, &to, &conn), 0);
	msrp_conn_attach(conn, &f->side.user, 0);
	loop_until(f->side.base, has_outcome, f);
	if (f->side.closed_err)
		return NULL;
	assert_true(msrp_conn_transport(conn)->secure);
	assert_int_equal(msrp_conn_peer_certified(conn), f->side.settings.tls.verify_server);
	return conn;
}

/* @return 0 when open, or why not */
static int outcome(struct fixture *f, const char *host, const char *fingerprint)
{
	struct msrp_conn *conn = call(f, host, fingerprint);
	int err = conn ? 0 : f->side.closed_err;

	if (conn)
		msrp_conn_close(conn, -ECONNRESET);
	return err;
}

static void a_server_is_who_its_certificate_names(void **state)
{
	struct fixture *f = *state;

	msrp_side_start(&f->side);
	assert_int_equal(outcome(f, "127.0.0.1", NULL), 0);
	assert_int_equal(outcome(f, "localhost", NULL), 0);
	assert_int_equal(outcome(f, "127.0.0.2", NULL), -EPROTO);
}

static void a_fingerprint_stands_for_name_and_issuer(void **state)
{
	struct fixture *f = *state;
	char own[200], lower[200];

	msrp_side_start(&f->side);
	assert_int_equal(msrp_stack_fingerprint(f->side.stack, own, sizeof(own)), 0);
	assert_int_equal(msrp_stack_fingerprint(f->side.stack, own, 10), -EMSGSIZE);
	assert_int_equal(msrp_stack_fingerprint(f->side.stack, own, sizeof(own)), 0);
	for (size_t i = 0; i <= strlen(own); i++)
		lower[i] = (char)(own[i] >= 'A' && own[i] <= 'Z' ? own[i] + 32 : own[i]);
	assert_int_equal(outcome(f, "127.0.0.2", own), 0);
	assert_int_equal(outcome(f, "127.0.0.2", lower), 0);
	own[strlen(own) - 1] ^= 1;
	assert_int_equal(outcome(f, "127.0.0.1", own), -EACCES);
}

static void a_stranger_is_not_trusted(void **state)
{
	struct fixture *f = *state;

	f->side.settings.tls.certificate = f->certs.stranger_cert;
	f->side.settings.tls.private_key = f->certs.stranger_key;
	msrp_side_start(&f->side);
	assert_int_equal(outcome(f, "127.0.0.1", NULL), -EPROTO);
}

static void a_stranger_is_taken_where_nobody_verifies(void **state)
{
	struct fixture *f = *state;

	f->side.settings.tls.certificate = f->certs.stranger_cert;
	f->side.settings.tls.private_key = f->certs.stranger_key;
	f->side.settings.tls.verify_server = false;
	msrp_side_start(&f->side);
	assert_int_equal(outcome(f, "127.0.0.2", NULL), 0);
}

/* One request of a raw client. */
static void ask(struct fixture *f, struct msrp_peer *peer, bool show, bool stranger)
{
	struct certs shown = f->certs;

	if (stranger) {
		snprintf(shown.cert, sizeof(shown.cert), "%s", f->certs.stranger_cert);
		snprintf(shown.key, sizeof(shown.key), "%s", f->certs.stranger_key);
	}
	msrp_peer_open(peer, &f->side, &shown, show);
	msrp_peer_send(peer, f->side.uri, "hello", "");
}

static void client_certificates_are_optional(void **state)
{
	static const struct {
		bool show, stranger, certified;
	} cases[] = {{false, false, false}, {true, false, true}, {true, true, false}};
	struct fixture *f = *state;

	msrp_side_start(&f->side);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msrp_peer peer;
		char own[200];

		ask(f, &peer, cases[i].show, cases[i].stranger);
		msrp_peer_expect(&peer, "MSRP abcd1234 200");
		assert_int_equal(msrp_conn_peer_certified(f->side.conn), cases[i].certified);
		assert_int_equal(msrp_conn_peer_is(f->side.conn, SLICE("localhost")),
		    cases[i].certified);
		assert_int_equal(msrp_conn_peer_is(f->side.conn, SLICE("127.0.0.1")),
		    cases[i].certified);
		assert_false(msrp_conn_peer_is(f->side.conn, SLICE("127.0.0.2")));
		assert_false(msrp_conn_peer_is(f->side.conn, SLICE("host")));
		assert_false(msrp_conn_peer_is(f->side.conn, SLICE(".example.org")));
		assert_int_equal(msrp_stack_fingerprint(f->side.stack, own, sizeof(own)), 0);
		assert_int_equal(msrp_conn_peer_fingerprint(f->side.conn, slice_of(own)),
		    cases[i].show && !cases[i].stranger);
		msrp_conn_close(f->side.conn, -ECONNRESET);
		msrp_peer_close(&peer);
	}
}

static void client_certificates_can_be_required(void **state)
{
	static const bool shows[][2] = {{false, false}, {true, true}};
	struct fixture *f = *state;
	struct msrp_peer peer;

	f->side.settings.tls.verify_client = true;
	msrp_side_start(&f->side);
	for (size_t i = 0; i < 2; i++) {
		/* With TLS 1.3 the client hears of the refusal after its part of the handshake. */
		ask(f, &peer, shows[i][0], shows[i][1]);
		msrp_peer_expect_end(&peer);
		assert_int_equal(f->side.requests, 0);
		msrp_peer_close(&peer);
	}
	ask(f, &peer, true, false);
	msrp_peer_expect(&peer, "MSRP abcd1234 200");
	msrp_peer_close(&peer);
}

/* Answers to key updates have to be written before reading goes on. */
static void keys_may_change(void **state)
{
	struct fixture *f = *state;
	struct msrp_peer peer;

	msrp_side_start(&f->side);
	msrp_peer_open(&peer, &f->side, &f->certs, false);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		peer.got_len = 0;
		msrp_peer_send(&peer, f->side.uri, "hello", "");
		msrp_peer_expect(&peer, "MSRP abcd1234 200");
	}
	msrp_peer_close(&peer);
}

static void show(SSL *ssl, const struct certs *certs)
{
	assert_int_equal(SSL_use_certificate_chain_file(ssl, certs->cert), 1);
	assert_int_equal(SSL_use_PrivateKey_file(ssl, certs->key, SSL_FILETYPE_PEM), 1);
}

/* A peer whose handshake is still to be done. */
static void prepare(struct fixture *f, struct msrp_peer *peer, int version, SSL_SESSION *session)
{
	uint16_t plain = f->side.port;

	f->side.port = f->side.tls_port;
	msrp_peer_open(peer, &f->side, NULL, false);
	f->side.port = plain;
	peer->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(peer->ctx, version);
	peer->ssl = SSL_new(peer->ctx);
	SSL_set_fd(peer->ssl, peer->fd);
	SSL_set_connect_state(peer->ssl);
	if (f->shows)
		show(peer->ssl, &f->certs);
	if (session)
		assert_int_equal(SSL_set_session(peer->ssl, session), 1);
}

static void open_version(struct fixture *f, struct msrp_peer *peer, int version,
    SSL_SESSION *session)
{
	prepare(f, peer, version, session);
	while (SSL_do_handshake(peer->ssl) != 1)
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
}

/* The session that the server's ticket has brought. */
static SSL_SESSION *session_of(struct fixture *f, int version)
{
	struct msrp_peer peer;
	SSL_SESSION *session;

	open_version(f, &peer, version, NULL);
	msrp_peer_send(&peer, f->side.uri, "hello", "");
	msrp_peer_expect(&peer, "MSRP abcd1234 200");
	session = SSL_get1_session(peer.ssl);
	assert_true(SSL_SESSION_has_ticket(session));
	/* As if it had been closed in order: else OpenSSL's client does not use it again. */
	SSL_set_shutdown(peer.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	msrp_peer_close(&peer);
	return session;
}

static bool resumes(struct fixture *f, int version, SSL_SESSION *session)
{
	struct msrp_peer peer;
	bool resumed;

	open_version(f, &peer, version, session);
	resumed = SSL_session_reused(peer.ssl);
	msrp_peer_send(&peer, f->side.uri, "hello", "");
	msrp_peer_expect(&peer, "MSRP abcd1234 200");
	assert_int_equal(msrp_conn_peer_certified(f->side.conn), f->shows);
	msrp_peer_close(&peer);
	return resumed;
}

static void who_comes_again_resumes(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct fixture *f = *state;
	struct reason why;

	msrp_side_start(&f->side);
	for (size_t i = 0; i < 2; i++) {
		SSL_SESSION *session = session_of(f, versions[i]);

		assert_true(resumes(f, versions[i], session));
		/* Other certificates may have come, so nothing of before counts. */
		assert_int_equal(msrp_stack_reload(f->side.stack, &f->side.settings, &why), 0);
		assert_false(resumes(f, versions[i], session));
		SSL_SESSION_free(session);
	}
}

/* Another process in the place of this one, but for what it knows of the secret. */
static void begin_anew(struct fixture *f)
{
	struct reason why;

	assert_int_equal(msrp_stack_reload(f->side.stack, &f->side.settings, &why), 0);
}

/* A secret is for TLS 1.3 and clients without a certificate; the others resume where they were. */
static void nodes_share_tickets(void **state)
{
	static const struct {
		int version;
		bool shows, shares;
	} cases[] = {{TLS1_3_VERSION, false, true}, {TLS1_3_VERSION, true, false},
	    {TLS1_2_VERSION, false, false}, {TLS1_2_VERSION, true, false}};
	struct fixture *f = *state;

	msrp_side_start(&f->side);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SSL_SESSION *session;

		f->shows = cases[i].shows;
		assert_int_equal(net_share_tickets(f->side.net, SLICE("secret")), 0);
		session = session_of(f, cases[i].version);
		assert_true(resumes(f, cases[i].version, session));
		begin_anew(f);
		assert_int_equal(resumes(f, cases[i].version, session), cases[i].shares);
		assert_int_equal(net_share_tickets(f->side.net, SLICE("another")), 0);
		assert_false(resumes(f, cases[i].version, session));
		SSL_SESSION_free(session);
	}
}

/* Another certificate is another server, whatever the secret. */
static void tickets_are_of_the_certificate(void **state)
{
	struct fixture *f = *state;
	SSL_SESSION *session;

	msrp_side_start(&f->side);
	assert_int_equal(net_share_tickets(f->side.net, SLICE("secret")), 0);
	session = session_of(f, TLS1_3_VERSION);
	f->side.settings.tls.certificate = f->certs.stranger_cert;
	f->side.settings.tls.private_key = f->certs.stranger_key;
	begin_anew(f);
	assert_false(resumes(f, TLS1_3_VERSION, session));
	SSL_SESSION_free(session);
}

/* --- a server that is none of ours, but knows the secret --- */

static struct ticket_share known;

static int on_ticket_of_other(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int make)
{
	struct ticket_key *key = &known.keys[TICKET_NOW];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	(void)ssl;
	assert_true(make);
	memcpy(name, key->name, sizeof(key->name));
	memset(iv, 7, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
	assert_int_equal(EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, make),
	    1);
	assert_int_equal(EVP_MAC_CTX_set_params(mac, params), 1);
	return 1;
}

static int take_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static SSL_CTX *new_other(const struct fixture *f)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, f->certs.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, f->certs.key, SSL_FILETYPE_PEM), 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"msrpd", 5);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, take_any);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_of_other);
	X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), digest, &len);
	assert_int_equal(
	    ticket_share_init(&known, SLICE("secret"), (struct slice){(const char *)digest, len}),
	    0);
	assert_int_equal(ticket_share_turn(&known, (uint64_t)time(NULL)), 0);
	return ctx;
}

/* The session of a client of it, who may have shown a certificate there. */
static SSL_SESSION *session_of_other(const struct fixture *f, bool shows)
{
	SSL_CTX *server_ctx = new_other(f), *client_ctx = SSL_CTX_new(TLS_client_method());
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	SSL_SESSION *session;
	char byte;

	tls_pair_join(server, client);
	if (shows)
		show(client, &f->certs);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	assert_int_equal(SSL_write(server, "x", 1), 1);
	assert_int_equal(SSL_read(client, &byte, 1), 1);
	session = SSL_get1_session(client);
	assert_true(SSL_SESSION_has_ticket(session));
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	return session;
}

/* Who knows the secret can say that a client has been there, but not whose certificate he showed. */
static void a_secret_is_no_certificate(void **state)
{
	struct fixture *f = *state;

	msrp_side_start(&f->side);
	assert_int_equal(net_share_tickets(f->side.net, SLICE("secret")), 0);
	for (int shows = 0; shows < 2; shows++) {
		SSL_SESSION *session = session_of_other(f, shows);

		assert_int_equal(resumes(f, TLS1_3_VERSION, session), !shows);
		SSL_SESSION_free(session);
	}
}

/* Where everybody has to show a certificate, nobody comes by a ticket of those who had not to. */
static void a_ticket_is_no_certificate(void **state)
{
	struct fixture *f = *state;
	SSL_SESSION *session;
	struct msrp_peer peer;

	msrp_side_start(&f->side);
	assert_int_equal(net_share_tickets(f->side.net, SLICE("secret")), 0);
	session = session_of(f, TLS1_3_VERSION);
	assert_true(resumes(f, TLS1_3_VERSION, session));
	f->side.settings.tls.verify_client = true;
	begin_anew(f);
	f->side.requests = 0;
	open_version(f, &peer, TLS1_3_VERSION, session);
	assert_false(SSL_session_reused(peer.ssl));
	msrp_peer_expect_end(&peer);
	assert_int_equal(f->side.requests, 0);
	msrp_peer_close(&peer);
	SSL_SESSION_free(session);
}

/* How often our own calls have resumed a session. */
static long hits(const struct fixture *f)
{
	return SSL_CTX_sess_hits(f->side.stack->protocol.tls->client);
}

/* Sessions that have come, by tickets of TLS 1.3: on the loop, some time behind the handshake. */
static int (*keep_session)(SSL *ssl, SSL_SESSION *session);
static unsigned sessions;

static int count_session(SSL *ssl, SSL_SESSION *session)
{
	sessions++;
	return keep_session(ssl, session);
}

static bool has_session(void *arg)
{
	(void)arg;
	return sessions > 0;
}

/* As long as it takes to have a ticket. */
static void call_and_listen(struct fixture *f, const char *host, const char *fingerprint)
{
	struct msrp_conn *conn;

	sessions = 0;
	conn = call(f, host, fingerprint);
	assert_non_null(conn);
	loop_until(f->side.base, has_session, f);
	msrp_conn_close(conn, -ECONNRESET);
}

static void whom_we_call_again_we_resume_with(void **state)
{
	struct fixture *f = *state;
	struct reason why;
	SSL_CTX *client;
	char own[200];

	msrp_side_start(&f->side);
	client = f->side.stack->protocol.tls->client;
	keep_session = SSL_CTX_sess_get_new_cb(client);
	SSL_CTX_sess_set_new_cb(client, count_session);
	assert_int_equal(msrp_stack_fingerprint(f->side.stack, own, sizeof(own)), 0);
	call_and_listen(f, "127.0.0.1", NULL);
	assert_int_equal(hits(f), 0);
	call_and_listen(f, "127.0.0.1", NULL);
	call_and_listen(f, "127.0.0.1", NULL);
	assert_int_equal(hits(f), 2);
	/* What was asked of the certificate then is what is asked now, and of no other host. */
	call_and_listen(f, "127.0.0.1", own);
	call_and_listen(f, "localhost", NULL);
	assert_int_equal(hits(f), 2);
	call_and_listen(f, "127.0.0.1", own);
	assert_int_equal(hits(f), 3);
	own[strlen(own) - 1] ^= 1;
	assert_int_equal(outcome(f, "127.0.0.1", own), -EACCES);
	assert_int_equal(outcome(f, "127.0.0.1", NULL), 0);
	assert_int_equal(msrp_stack_reload(f->side.stack, &f->side.settings, &why), 0);
	assert_int_equal(outcome(f, "127.0.0.1", NULL), 0);
	assert_int_equal(hits(f), 0);
}

static void tickets_are_old_ones_too(void **state)
{
	struct fixture *f = *state;
	struct net_tls_contexts *tls;

	msrp_side_start(&f->side);
	tls = f->side.stack->protocol.tls;
	SSL_CTX_set_max_proto_version(tls->client, TLS1_2_VERSION);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(outcome(f, "127.0.0.1", NULL), 0);
		assert_int_equal(hits(f), i);
	}
}

static bool all_gone(void *arg)
{
	struct fixture *f = arg;

	return msrp_stack_connections(f->side.stack) == 0;
}

/* Clients that begin and do not go on: they leave, are too slow, or the stack ends meanwhile. */
static void a_handshake_may_end_at_any_time(void **state)
{
	struct fixture *f = *state;
	struct msrp_peer peers[40];

	f->side.settings.tls_handshake_timeout_ms = 30;
	msrp_side_start(&f->side);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++) {
			prepare(f, &peers[i], TLS1_3_VERSION, NULL);
			SSL_do_handshake(peers[i].ssl);
			event_base_loop(f->side.base, EVLOOP_NONBLOCK);
			if (i % 4 == round)
				msrp_peer_close(&peers[i]);
		}
		if (round < 2)
			loop_until(f->side.base, all_gone, f);
		for (int i = 0; i < 40; i++)
			if (i % 4 != round)
				msrp_peer_close(&peers[i]);
	}
}

static bool shakes_hands(void *arg)
{
	return SSL_do_handshake(((struct fixture *)arg)->late->ssl) == 1;
}

/* More of one address than may begin in a second are not read; one may go meanwhile. */
static void handshakes_wait_for_the_next_second(void **state)
{
	struct net_guard_settings limits = {.handshakes_per_second = 1};
	struct fixture *f = *state;
	struct msrp_peer peers[3];

	msrp_side_start(&f->side);
	assert_int_equal(net_guard_new(&f->guard, f->side.base, &limits, f->side.stats), 0);
	net_use_guard(f->side.net, f->guard);
	for (int i = 0; i < 3; i++) {
		prepare(f, &peers[i], TLS1_3_VERSION, NULL);
		f->late = &peers[i];
		shakes_hands(f);
		loop_settle(f->side.base);
		assert_int_equal(shakes_hands(f), i == 0);
	}
	assert_int_equal(msrp_stack_connections(f->side.stack), 3);
	msrp_peer_close(&peers[1]);
	loop_until(f->side.base, shakes_hands, f);
	msrp_peer_send(&peers[2], f->side.uri, "hello", "");
	msrp_peer_expect(&peers[2], "MSRP abcd1234 200");
	msrp_peer_close(&peers[0]);
	msrp_peer_close(&peers[2]);
}

/* RFC 5746: a client that asks for it is told no, and goes on. */
static void nobody_negotiates_again(void **state)
{
	struct fixture *f = *state;
	struct msrp_peer peer;

	msrp_side_start(&f->side);
	open_version(f, &peer, TLS1_2_VERSION, NULL);
	assert_true(SSL_get_secure_renegotiation_support(peer.ssl));
	assert_int_equal(SSL_renegotiate(peer.ssl), 1);
	SSL_do_handshake(peer.ssl);
	msrp_peer_expect_end(&peer); /* OpenSSL's client makes an error of the answer */
	assert_int_equal(f->side.requests, 0);
	msrp_peer_close(&peer);
}

/* @return has he sent so many?  Else the socket takes no more */
static bool update_keys(struct msrp_peer *peer, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		if (SSL_do_handshake(peer->ssl) != 1)
			return false;
	}
	return true;
}

/* RFC 8446 4.6.3: each is work, and brings nothing.  Who sends them without end is closed. */
static void key_updates_are_few(void **state)
{
	static char text[3000];
	struct fixture *f = *state;
	struct msrp_peer peer;

	memset(text, 'x', sizeof(text) - 1);
	msrp_side_start(&f->side);
	open_version(f, &peer, TLS1_3_VERSION, NULL);
	for (int i = 0; i < 2; i++) {
		assert_true(update_keys(&peer, 32));
		for (int k = 0; k < 400; k++) { /* more than a MiB: there may be others */
			msrp_peer_send(&peer, f->side.uri, text, "");
			msrp_peer_expect(&peer, "MSRP abcd1234 200");
		}
	}
	assert_false(update_keys(&peer, UINT_MAX));
	event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	assert_int_equal(msrp_stack_connections(f->side.stack), 0);
	msrp_peer_close(&peer);
}

static void old_ciphers_are_not_spoken(void **state)
{
	static const char *const old[] = {"AES128-SHA", "AES256-GCM-SHA384",
	    "ECDHE-ECDSA-AES128-SHA"};
	struct fixture *f = *state;

	msrp_side_start(&f->side);
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		struct msrp_peer peer;

		prepare(f, &peer, TLS1_2_VERSION, NULL);
		assert_int_equal(SSL_set_cipher_list(peer.ssl, old[i]), 1);
		while (SSL_do_handshake(peer.ssl) < 0
		    && SSL_get_error(peer.ssl, -1) == SSL_ERROR_WANT_READ)
			event_base_loop(f->side.base, EVLOOP_NONBLOCK);
		assert_false(SSL_is_init_finished(peer.ssl));
		msrp_peer_close(&peer);
	}
}

/* A record cannot be read before all of it is there, and TCP begins with few segments. */
static void the_first_records_are_small(void **state)
{
	enum { LEN = 60000, SMALL = 1300, WHOLE = 16384 };
	struct fixture *f = *state;
	struct msrp_peer peer;
	char *text = malloc(LEN);
	int sizes[64], count = 0;

	memset(text, 'x', LEN);
	msrp_side_start(&f->side);
	msrp_peer_open(&peer, &f->side, &f->certs, false);
	msrp_peer_send(&peer, f->side.uri, "hello", "");
	msrp_peer_expect(&peer, "MSRP abcd1234 200");
	msrp_conn_send(f->side.conn, (struct slice){text, LEN});
	for (int total = 0; total < LEN;) {
		int n = SSL_read(peer.ssl, text, LEN);

		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
		if (n <= 0)
			continue;
		assert_in_range(count, 0, 63);
		sizes[count++] = n;
		total += n;
	}
	/* The answer was the first of ten, unless that is a second ago. */
	for (int i = 0; i < 9; i++)
		assert_int_equal(sizes[i], SMALL);
	assert_int_equal(sizes[10], WHOLE);
	msrp_peer_close(&peer);
	free(text);
}

/* Bytes that are no TLS at all. */
static void what_is_not_tls_is_closed(void **state)
{
	struct fixture *f = *state;
	struct msrp_peer peer;

	msrp_side_start(&f->side);
	f->side.port = f->side.tls_port;
	msrp_peer_open(&peer, &f->side, NULL, false);
	msrp_peer_send(&peer, f->side.uri, "hello", "");
	msrp_peer_expect_end(&peer);
	assert_int_equal(f->side.requests, 0);
	msrp_peer_close(&peer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define THREADS(name) cmocka_unit_test_setup_teardown(name, setup_threads, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_server_is_who_its_certificate_names),
	    CASE(a_fingerprint_stands_for_name_and_issuer),
	    CASE(a_stranger_is_not_trusted),
	    CASE(a_stranger_is_taken_where_nobody_verifies),
	    CASE(client_certificates_are_optional),
	    CASE(client_certificates_can_be_required),
	    CASE(keys_may_change),
	    CASE(who_comes_again_resumes),
	    CASE(nodes_share_tickets),
	    CASE(tickets_are_of_the_certificate),
	    CASE(a_secret_is_no_certificate),
	    CASE(a_ticket_is_no_certificate),
	    CASE(whom_we_call_again_we_resume_with),
	    CASE(tickets_are_old_ones_too),
	    CASE(handshakes_wait_for_the_next_second),
	    CASE(nobody_negotiates_again),
	    CASE(key_updates_are_few),
	    CASE(old_ciphers_are_not_spoken),
	    CASE(the_first_records_are_small),
	    CASE(what_is_not_tls_is_closed),
	    THREADS(a_server_is_who_its_certificate_names),
	    THREADS(a_fingerprint_stands_for_name_and_issuer),
	    THREADS(client_certificates_are_optional),
	    THREADS(client_certificates_can_be_required),
	    THREADS(who_comes_again_resumes),
	    THREADS(nodes_share_tickets),
	    THREADS(whom_we_call_again_we_resume_with),
	    THREADS(tickets_are_old_ones_too),
	    THREADS(old_ciphers_are_not_spoken),
	    THREADS(what_is_not_tls_is_closed),
	    THREADS(a_handshake_may_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
