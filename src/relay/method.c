/* Control methods: docs/control.md. */
#include "relay/tables.h"

#include "msrp/listener.h"
#include "relay/grant.h"

static void write_traffic(struct reply *reply, const char *messages, const char *bytes,
    const struct traffic *traffic)
{
	reply_number(reply, messages, (int64_t)traffic->messages);
	reply_number(reply, bytes, (int64_t)traffic->bytes);
}

static const struct grant_use unused;

static void write_session(struct reply *reply, const struct grant *grant, uint64_t now)
{
	uint64_t left = grant->expires_ms > now ? grant->expires_ms - now : 0;
	const struct grant_use *use = grant->use ? grant->use : &unused;
	struct msrp_listener *listener = NULL;
	char peer[128] = "-";

	if (grant->user.conn) {
		msrp_conn_peer_text(grant->user.conn, peer, sizeof(peer));
		listener = msrp_conn_listener(grant->user.conn);
	}
	reply_open_object(reply, NULL);
	reply_text(reply, "session_id", msrp_target_id(&grant->target));
	reply_text(reply, "user", grant_username(grant));
	reply_text(reply, "peer", slice_of(peer));
	reply_text(reply, "listener", listener ? msrp_listener_name(listener) : NOTHING);
	reply_text(reply, "uri", grant_uri(grant));
	reply_text(reply, "from_path", grant_from_path(grant));
	reply_number(reply, "expires", (int64_t)((left + 999) / 1000));
	write_traffic(reply, "messages_from_client", "bytes_from_client", &use->from_client);
	write_traffic(reply, "messages_to_client", "bytes_to_client", &use->to_client);
	reply_close(reply);
}

static void list_sessions(const struct param *params, struct reply *reply, void *state)
{
	const struct relay *relay = state;
	uint64_t now = timer_now_ms();

	(void)params;
	reply_open_list(reply, NULL);
	for (size_t i = 0; i < grants_count(relay->grants); i++)
		write_session(reply, grants_at(relay->grants, i), now);
	reply_close(reply);
}

static struct grant *find(const struct relay *relay, struct slice session_id)
{
	for (size_t i = 0; i < grants_count(relay->grants); i++) {
		struct grant *grant = grants_at(relay->grants, i);

		if (slice_equal(msrp_target_id(&grant->target), session_id))
			return grant;
	}
	return NULL;
}

static void end_session(const struct param *params, struct reply *reply, void *state)
{
	struct grant *grant = find(state, params[0].text);

	if (!grant) {
		reply_error(reply, 404, "no such session");
		return;
	}
	grant_free(grant);
	reply_text(reply, NULL, SLICE("OK"));
}

static const struct param_spec end_params[] = {
    {.name = "session_id", .kind = PARAM_TEXT, .required = true},
    {0},
};

const struct method relay_methods[] = {
    {.name = "msrp_relay_list_sessions",
	.call = list_sessions,
	.help = "list the sessions of the relay"},
    {.name = "msrp_relay_end_session",
	.params = end_params,
	.call = end_session,
	.help = "end a session of the relay"},
    {0},
};
