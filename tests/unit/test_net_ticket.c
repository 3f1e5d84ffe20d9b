/* A server's own keys of session tickets: when they change, and which tickets still count. */
#include "net/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certs.h"
#include "clock.h"
#include "net/ticket_share.h"
#include "tls_pair.h"

#define HOURS(n) ((uint64_t)((n)*TICKET_PERIOD_S) * 1000)

enum {
	START = 5000,
	ROUNDS = 10, /* of a handshake, at most */
};

struct fixture {
	SSL_CTX *server, *client;
	SSL_SESSION *session; /* the client's last one */
};

static int setup_for(void **state, int version)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct certs certs;

	clock_set_ms(START);
	f->server = SSL_CTX_new(TLS_server_method());
	f->client = SSL_CTX_new(TLS_client_method());
	certs_make(&certs);
	assert_int_equal(SSL_CTX_use_certificate_file(f->server, certs.cert, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(f->server, certs.key, SSL_FILETYPE_PEM), 1);
	certs_remove(&certs);
	SSL_CTX_set_max_proto_version(f->server, version);
	assert_int_equal(tickets_enable(f->server), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_for(state, TLS1_3_VERSION);
}

static int setup_older(void **state)
{
	return setup_for(state, TLS1_2_VERSION);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	SSL_SESSION_free(f->session);
	SSL_CTX_free(f->server);
	SSL_CTX_free(f->client);
	free(f);
	return 0;
}

/* Both ends, until neither has anything to say: a ticket comes behind the handshake. */
static void shake_hands(SSL *server, SSL *client)
{
	char byte;

	for (int i = 0; i < ROUNDS; i++) {
		SSL_read(client, &byte, 1);
		SSL_read(server, &byte, 1);
	}
	assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
}

/*
 * A connection at that time.
 *
 * @param ticket  of the client's; NULL: it has none
 * @return whether it went on with its session
 */
static bool comes(struct fixture *f, uint64_t now_ms, SSL_SESSION *ticket)
{
	SSL *server = SSL_new(f->server), *client = SSL_new(f->client);
	bool resumed;

	clock_set_ms(START + now_ms);
	tls_pair_join(server, client);
	if (ticket)
		SSL_set_session(client, ticket);
	shake_hands(server, client);
	resumed = SSL_session_reused(client);
	assert_int_equal(SSL_session_reused(server), resumed);
	SSL_SESSION_free(f->session);
	f->session = SSL_get1_session(client);
	/* Without it the session would not be one to come again with. */
	SSL_shutdown(client);
	SSL_free(server);
	SSL_free(client);
	return resumed;
}

/* The ticket that somebody new gets; the caller frees it. */
static SSL_SESSION *ticket_at(struct fixture *f, uint64_t now_ms)
{
	SSL_SESSION *ticket;

	assert_false(comes(f, now_ms, NULL));
	ticket = f->session;
	f->session = NULL;
	assert_true(SSL_SESSION_has_ticket(ticket));
	return ticket;
}

/* The name of the key that it was made with is what a ticket begins with. */
static bool same_key(const SSL_SESSION *a, const SSL_SESSION *b)
{
	const unsigned char *x, *y;
	size_t x_len, y_len;

	SSL_SESSION_get0_ticket(a, &x, &x_len);
	SSL_SESSION_get0_ticket(b, &y, &y_len);
	assert_true(x_len > TICKET_NAME_BYTES && y_len > TICKET_NAME_BYTES);
	return memcmp(x, y, TICKET_NAME_BYTES) == 0;
}

static void keys_change_every_hour(void **state)
{
	static const struct {
		uint64_t at_ms;
		bool changes;
	} cases[] = {{0, false}, {HOURS(1) - 1, false}, {HOURS(1), true}, {HOURS(2) - 1, false},
	    {HOURS(2), true}, {HOURS(9), true}, {HOURS(10) - 1, false}, {HOURS(10), true}};
	struct fixture *f = *state;
	SSL_SESSION *last = ticket_at(f, 0), *next;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		next = ticket_at(f, cases[i].at_ms);
		if (same_key(last, next) == cases[i].changes)
			fail_msg("case %zu", i);
		SSL_SESSION_free(last);
		last = next;
	}
	SSL_SESSION_free(last);
}

/* Others come in each hour: the key of the ticket is the current one, the one before, or gone. */
static void a_ticket_counts_for_its_hour_and_the_next(void **state)
{
	static const struct {
		uint64_t at_ms;
		bool counts;
	} cases[] = {{0, true}, {HOURS(1) - 1, true}, {HOURS(1), true}, {HOURS(2) - 1, true},
	    {HOURS(2), false}, {HOURS(3), false}};
	struct fixture *f = *state;
	SSL_SESSION *ticket = ticket_at(f, 0), *others;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		others = ticket_at(f, cases[i].at_ms);
		SSL_SESSION_free(others);
		others = SSL_SESSION_dup(ticket);
		if (comes(f, cases[i].at_ms, others) != cases[i].counts)
			fail_msg("case %zu", i);
		SSL_SESSION_free(others);
	}
	SSL_SESSION_free(ticket);
}

/* Nobody came meanwhile. */
static void after_a_quiet_time(void **state)
{
	static const struct {
		uint64_t at_ms;
		bool counts;
	} cases[] = {{HOURS(1), true}, {HOURS(2) - 1, true}, {HOURS(2), false}, {HOURS(9), false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = *state;
		uint64_t begun_ms = HOURS(20 * i);
		SSL_SESSION *ticket = ticket_at(f, begun_ms);

		if (comes(f, begun_ms + cases[i].at_ms, ticket) != cases[i].counts)
			fail_msg("case %zu", i);
		SSL_SESSION_free(ticket);
	}
}

/* Whoever comes with a ticket of the key before gets one of the current key. */
static void old_for_new(void **state)
{
	struct fixture *f = *state;
	SSL_SESSION *old = ticket_at(f, 0), *current = ticket_at(f, HOURS(1));

	assert_true(comes(f, HOURS(1), old));
	assert_true(same_key(f->session, current));
	assert_true(comes(f, HOURS(2), f->session));
	SSL_SESSION_free(old);
	SSL_SESSION_free(current);
}

#define TEST(name)                                                    \
	cmocka_unit_test_setup_teardown(name, setup, teardown),       \
	{                                                             \
#name " (TLS 1.2)", name, setup_older, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(keys_change_every_hour),
	    TEST(a_ticket_counts_for_its_hour_and_the_next),
	    TEST(after_a_quiet_time),
	    TEST(old_for_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
