#include "relay_side.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "auth/auth.h"
#include "loop.h"
#include "msrp/priv.h"

/* --- the relay --- */

void relay_side_init(struct relay_side *side)
{
	memset(side, 0, sizeof(*side));
	msrp_side_init(&side->msrp, NULL);
	side->msrp.settings.transaction_timeout_ms = 200;
	side->msrp.settings.shared_stall_ms = 50;
	side->settings = (struct relay_settings){
	    .enabled = true,
	    .auth_expires_ms = 60000,
	    .auth_min_expires_ms = 60000,
	    .auth_max_expires_ms = 3600000,
	    .nonce_expire_ms = 30000,
	    .max_auth_attempts = 3,
	    .allow_plain_auth = true,
	    .cleanup_interval_ms = 60000,
	    .hash_size = 4,
	};
}

int relay_side_start(struct relay_side *side)
{
	struct service_env env = {.routes = &side->routes};
	struct auth_sources sources = {.maps = {&side->settings.users}};
	struct users *users;
	struct reason why;
	void *relay = NULL;
	int err;

	msrp_side_start(&side->msrp);
	assert_int_equal(users_new(&users, &sources, &why), 0);
	assert_int_equal(auth_new(&side->auth, users, side->settings.nonce_expire_ms), 0);
	env.auth = side->auth;
	env.base = side->msrp.base;
	env.stats = side->msrp.stats;
	env.msrp = side->msrp.stack;
	err = relay_service.start(&env, &side->settings, &relay, &why);
	side->relay = relay;
	return err;
}

void relay_side_stop(struct relay_side *side)
{
	relay_service.stop(side->relay);
	side->relay = NULL;
	auth_free(side->auth);
	side->auth = NULL;
	msrp_side_stop(&side->msrp);
}

int relay_side_setup(void **state)
{
	struct relay_side *side = calloc(1, sizeof(*side));

	relay_side_init(side);
	assert_int_equal(relay_side_start(side), 0);
	*state = side;
	return 0;
}

int relay_side_teardown(void **state)
{
	relay_side_stop(*state);
	free(*state);
	return 0;
}

/* --- its peers --- */

/* NULL: there is no connection. */
static struct msrp_conn *newest_conn(const struct relay_side *side)
{
	struct net_stream *first = LIST_FIRST(&side->msrp.stack->protocol.streams);

	return first ? conn_of(first) : NULL;
}

/* Has the relay marked another connection? */
static bool is_known(void *arg)
{
	struct relay_peer *p = arg;
	struct msrp_conn *newest = newest_conn(p->side);

	if (!newest || newest == p->conn || !*msrp_conn_marks(newest))
		return false;
	p->conn = newest;
	return true;
}

void relay_peer_open(struct relay_peer *p, struct relay_side *side, const char *name)
{
	*p = (struct relay_peer){.side = side, .conn = newest_conn(side)};
	snprintf(p->own, sizeof(p->own), "msrp://127.0.0.1:9/%s;tcp", name);
	msrp_peer_open(&p->raw, &side->msrp, NULL, false);
	relay_peer_say(p,
	    "MSRP hello%s AUTH\r\nTo-Path: msrp://127.0.0.1:%u;tcp\r\nFrom-Path: %s\r\n"
	    "-------hello%s$\r\n",
	    name, side->msrp.port, p->own, name);
	loop_until(side->msrp.base, is_known, p);
	relay_peer_expect(p, " 401 ");
}

void relay_client_open(struct relay_peer *p, struct relay_side *side, const char *name)
{
	struct grant_terms terms = {
	    .host = {.host = SLICE("127.0.0.1"),
		.port = side->msrp.port,
		.transport = SLICE("tcp")},
	    .user = SLICE("alice"),
	    .lifetime_ms = 60000,
	};

	relay_peer_open(p, side, name);
	terms.conn = p->conn;
	terms.from_path = slice_of(p->own);
	assert_int_equal(grant_new(&p->grant, side->relay->grants, &terms), 0);
	snprintf(p->granted, sizeof(p->granted), "%.*s", SLICE_ARG(grant_uri(p->grant)));
}

void relay_peer_close(struct relay_peer *p)
{
	msrp_peer_close(&p->raw);
}

void relay_peer_say(struct relay_peer *p, const char *format, ...)
{
	char text[8192];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_in_range(n, 0, sizeof(text) - 1);
	msrp_peer_say(&p->raw, text, (size_t)n);
}

void relay_peer_expect(struct relay_peer *p, const char *text)
{
	char *hit;

	msrp_peer_expect(&p->raw, text);
	hit = memmem(p->raw.got, p->raw.got_len, text, strlen(text));
	assert_non_null(hit);
	hit += strlen(text);
	p->raw.got_len -= (size_t)(hit - p->raw.got);
	memmove(p->raw.got, hit, p->raw.got_len);
	p->raw.got[p->raw.got_len] = '\0';
}

bool relay_peer_got(struct relay_peer *p, const char *text)
{
	loop_settle(p->side->msrp.base);
	msrp_peer_read(&p->raw);
	return memmem(p->raw.got, p->raw.got_len, text, strlen(text)) != NULL;
}

void relay_peer_head(struct relay_peer *from, const char *to_path, const char *tid,
    const char *headers)
{
	relay_peer_say(from,
	    "MSRP %s SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: %s\r\n%s"
	    "Content-Type: text/plain\r\n\r\n",
	    tid, to_path, from->own, tid, headers);
}

void relay_peer_send(struct relay_peer *from, const char *to_path, const char *tid,
    const char *headers, const char *body)
{
	relay_peer_head(from, to_path, tid, headers);
	relay_peer_say(from, "%s\r\n-------%s$\r\n", body, tid);
}

const char *relay_way_out(const struct relay_peer *client, const struct relay_peer *peer)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s %s", client->granted, peer->own);
	return path;
}

const char *relay_way_in(const struct relay_peer *client)
{
	return relay_way_out(client, client);
}

struct arrival relay_arrive(const struct relay_peer *from, const char *text,
    struct msrp_frame *frame)
{
	struct relay *relay = from->side->relay;

	assert_true(msrp_frame_parse(frame, slice_of(text), strlen(text)) > 0);
	return (struct arrival){.relay = relay,
	    .conn = from->conn,
	    .frame = frame,
	    .grant = grant_of_uri(relay, &frame->to),
	    .verdict = VERDICT_RELAY};
}

void relay_peer_knock(struct relay_peer *peer, struct relay_peer *client)
{
	relay_peer_send(peer, relay_way_in(client), "knock123", "Failure-Report: no\r\n", "knock");
	relay_peer_expect(client, "knock\r\n-------");
}

void *relay_fixture_new(size_t size)
{
	struct relay_cast *cast = calloc(1, size);
	void *side;

	relay_side_setup(&side);
	cast->side = side;
	relay_client_open(&cast->alice, cast->side, "alice");
	return cast;
}

int relay_fixture_free(void **state)
{
	struct relay_cast *cast = *state;
	struct relay_peer *peers[] = {&cast->alice, &cast->bob, &cast->carol};
	void *side = cast->side;

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		if (peers[i]->side)
			relay_peer_close(peers[i]);
	relay_side_teardown(&side);
	free(cast);
	return 0;
}
