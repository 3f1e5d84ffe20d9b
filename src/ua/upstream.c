/* The relay that sessions go through: an AUTH, and its refreshes, for each of them (RFC 4976 5). */
#include "ua/priv.h"

#include "endpoint/auth.h"
#include "sip/stack.h"

static bool on_credentials(struct slice realm, struct endpoint_credentials *credentials, void *arg)
{
	const struct ua_session *s = arg;
	const struct ua_env *env = &s->ua->env;

	for (size_t i = 0; i < env->credential_count; i++) {
		const struct sip_credential *c = &env->credentials[i];

		if (!slice_equal(slice_of(c->realm), realm))
			continue;
		*credentials = (struct endpoint_credentials){
		    .username = slice_of(c->username),
		    .password = slice_of(c->password),
		    .ha1 = slice_of(c->ha1),
		};
		return true;
	}
	return false;
}

static void on_granted(void *arg)
{
	ua_session_granted(arg);
}

static void on_failed(int code, struct slice reason, bool from_relay, void *arg)
{
	ua_session_auth_failed(arg, code, reason, from_relay);
}

static const struct endpoint_auth_handler auth_handler = {
    .credentials = on_credentials,
    .granted = on_granted,
    .failed = on_failed,
};

int ua_upstream_ask(struct ua_session *s)
{
	const struct ua_settings *settings = s->ua->env.settings;
	struct endpoint_auth_options options = {
	    .relays = slice_of(settings->relay_uri),
	    .own_uri = s->uri,
	    .idle_ms = settings->relay_idle_timeout_ms,
	    .handler = &auth_handler,
	    .arg = s,
	};

	return endpoint_auth_new(&s->upstream, s->ua->env.msrp, &options);
}

struct slice ua_upstream_path(const struct ua_session *s)
{
	return s->upstream ? endpoint_auth_path(s->upstream) : (struct slice){NULL, 0};
}
