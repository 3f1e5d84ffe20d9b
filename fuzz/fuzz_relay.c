/*
 * What a client of the relay (1: the URI it was granted, 3: its own) and a peer of his (4) may
 * say on their connections: whatever it is, all that either of them hears is frames.
 */
#include "msrp/priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "auth/auth.h"
#include "base/stats.h"
#include "conversation.h"
#include "msrp/listener.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/transport.h"
#include "relay/core.h"
#include "relay/grant.h"
#include "relay/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENT, PEER };

struct world {
	struct conversation c;
	struct relay_settings relay_settings;
	struct routes routes;
	struct msrp_stack *stack;
	struct stats *stats;
	struct auth *auth;
	struct relay *relay;
	struct grant *grant;
	char own[80], granted[100];
};

static void start_relay(struct world *w)
{
	struct auth_sources sources = {.maps = {&w->relay_settings.users}};
	struct service_env env = {.routes = &w->routes, .stats = w->stats, .base = w->c.base};
	struct users *users;
	struct reason why;
	void *relay;

	must(users_new(&users, &sources, &why) == 0);
	must(auth_new(&w->auth, users, w->relay_settings.nonce_expire_ms) == 0);
	env.auth = w->auth;
	env.msrp = w->stack;
	must(relay_service.start(&env, &w->relay_settings, &relay, &why) == 0);
	w->relay = relay;
}

static void start(struct world *w)
{
	static const struct msrp_settings settings = {.max_memory = 1 << 20};
	static const struct auth_user alice = {.name = (char *)(uintptr_t) "alice",
	    .password = (char *)(uintptr_t) "secret"};

	w->stack = conversation_start(&w->c, &settings, &w->stats);
	w->relay_settings = (struct relay_settings){.enabled = true,
	    .auth_expires_ms = 60000,
	    .auth_min_expires_ms = 60000,
	    .auth_max_expires_ms = 3600000,
	    .nonce_expire_ms = 30000,
	    .max_auth_attempts = 3,
	    .allow_plain_auth = true,
	    .cleanup_interval_ms = 60000,
	    .users = {(void *)(uintptr_t)&alice, 1},
	    .hash_size = 4};
	start_relay(w);
}

/* Both make themselves known by an AUTH; the client's is granted. */
static void introduce(struct world *w)
{
	static const char hello[] = "MSRP hello%s AUTH\r\nTo-Path: %s\r\n"
				    "From-Path: msrp://127.0.0.1:9/%s;tcp\r\n-------hello%s$\r\n";
	static const char *const names[] = {"alice", "bob"};
	const struct net_listener listener = {.protocol = &w->stack->protocol,
	    .transport = &net_tcp,
	    .arg = msrp_listener_at(w->stack, 0)};
	struct grant_terms terms = {.host = {.host = SLICE("127.0.0.1"), .transport = SLICE("tcp")},
	    .user = SLICE("alice"),
	    .from_path = SLICE("msrp://127.0.0.1:9/alice;tcp"),
	    .lifetime_ms = 60000};
	char frame[400];

	terms.host.port = msrp_listener_port(listener.arg);
	snprintf(w->own, sizeof(w->own), "msrp://127.0.0.1:%u;tcp", terms.host.port);
	for (size_t i = 0; i < SPEAKERS; i++) {
		speaker_open(&w->c, i, &listener);
		snprintf(frame, sizeof(frame), hello, names[i], w->own, names[i], names[i]);
		speaker_say(&w->c, i, slice_of(frame));
		conversation_settle(&w->c);
		must(w->c.speakers[i].responses == 1);
		if (i > 0)
			break;
		terms.conn = conn_of(LIST_FIRST(&w->stack->protocol.streams));
		must(grant_new(&w->grant, w->relay->grants, &terms) == 0);
		snprintf(w->granted, sizeof(w->granted), "%.*s", SLICE_ARG(grant_uri(w->grant)));
	}
	w->c.names[0] = w->granted;
	w->c.names[1] = w->own;
	w->c.names[2] = "msrp://127.0.0.1:9/alice;tcp";
	w->c.names[3] = "msrp://127.0.0.1:9/bob;tcp";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {0};

	if (size > INPUT_MAX)
		return 0;
	start(&w);
	introduce(&w);
	conversation_run(&w.c, data, size);
	conversation_end(&w.c);
	relay_service.stop(w.relay);
	auth_free(w.auth);
	must(msrp_stack_connections(w.stack) == 0);
	return 0;
}
