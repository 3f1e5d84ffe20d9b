#include "web_host.h"

#include <string.h>
#include <time.h>

#include "auth/auth.h"
#include "base/stats.h"
#include "ctl/priv.h"
#include "ctl/rpc.h"
#include "event/bus.h"
#include "net/net.h"

static char secret[] = "0123456789abcdef";
static char listen_on[] = "http://127.0.0.1:0";
static char *listens[] = {listen_on};
static char loopback[] = "127.0.0.0/8";
static char *prefixes[] = {loopback};
static char domain[] = "example.org";
static char *domains[] = {domain};
static char alice[] = "alice", password[] = "secret";
static const char *const event_params[] = {"text", NULL};
const struct event_type web_host_event = {.name = "E_TEST", .params = event_params};
static const struct event_type *const event_types[] = {&web_host_event, NULL};

/* --- who is who --- */

static struct slice user_of(struct slice address, void *arg)
{
	static const struct slice scheme = SLICE("sip:"), at = SLICE("@example.org");
	struct slice none = {NULL, 0};

	(void)arg;
	if (!slice_starts_nocase(address, scheme) || address.len < scheme.len + at.len)
		return none;
	address = slice_from(address, scheme.len);
	if (!slice_equal(slice_from(address, address.len - at.len), at))
		return none;
	return slice_head(address, address.len - at.len);
}

static const struct setting_list *realms(void *arg)
{
	static const struct setting_list list = {domains, 1};

	(void)arg;
	return &list;
}

/* --- methods --- */

static const struct param_spec params[] = {
    {.name = "from_uri", .kind = PARAM_TEXT, .required = true},
    {.name = "body", .kind = PARAM_BODY},
    {.name = "texts", .kind = PARAM_TEXTS},
    {.name = "bytes", .kind = PARAM_BASE64},
    {.name = "headers", .kind = PARAM_HEADERS},
    {.name = "number", .kind = PARAM_NUMBER},
    {0},
};

static void echo(const struct param *given, struct reply *reply, void *state)
{
	(void)state;
	reply_open_object(reply, NULL);
	reply_text(reply, "from_uri", given[0].text);
	reply_body(reply, "body", given[1].text);
	reply_open_list(reply, "texts");
	for (size_t i = 0; i < given[2].count; i++)
		reply_text(reply, NULL, given[2].texts[i]);
	reply_close(reply);
	reply_close(reply);
}

static bool is_theirs(const struct param *given, const struct reply *reply, void *state)
{
	(void)state;
	return reply_is_for(reply, given[0].text);
}

static void watch(const struct param *given, struct reply *reply, void *state)
{
	const struct rpc_caller *caller = json_reply_caller(reply);

	(void)given;
	(void)state;
	if (caller->want)
		caller->want(EVENT_ALL, true, caller->arg);
	reply_text(reply, NULL, SLICE("OK"));
}

static const struct method methods[] = {
    {.name = "watch", .call = watch, .access = METHOD_USER, .help = ""},
    {.name = "operate", .params = params, .call = echo, .help = ""},
    {.name = "list", .params = params, .call = echo, .access = METHOD_USER, .help = ""},
    {.name = "own",
	.params = params,
	.call = echo,
	.is_theirs = is_theirs,
	.access = METHOD_OWNER,
	.help = ""},
    {.name = "speak",
	.params = params,
	.call = echo,
	.is_theirs = is_theirs,
	.access = METHOD_SPEAKER,
	.help = ""},
    {0},
};

/* --- life --- */

void web_host_init(struct web_host *h, struct event_base *base)
{
	*h = (struct web_host){.base = base};
	h->settings = (struct web_settings){
	    .listen = {listens, 1},
	    .metrics = {prefixes, 1},
	    .forwarded = {prefixes, 1},
	    .api_token_secret = secret,
	    .api_token_lifetime_ms = WEB_TOKEN_SECONDS * 1000,
	    .max_connections = 100,
	    .max_request = 4096,
	    .max_backlog = 16384,
	    .request_timeout_ms = 5000,
	    .idle_timeout_ms = 5000,
	};
}

static int make_auth(struct web_host *h)
{
	static const struct auth_user user = {.name = alice, .password = password};
	static const struct setting_list list = {(void *)(uintptr_t)&user, 1};
	static const struct auth_sources sources = {.maps = {&list}};
	struct users *users;
	struct reason why;
	int err = users_new(&users, &sources, &why);

	return err == 0 ? auth_new(&h->auth, users, 30000) : err;
}

int web_host_start(struct web_host *h)
{
	struct web_env env = {.user_of = user_of, .realms = realms, .arg = h};
	struct reason why;
	int err = stats_new(&h->stats);

	if (err == 0)
		err = net_new(&h->net, h->base);
	if (err == 0)
		err = event_bus_new(&h->bus);
	if (err == 0)
		err = event_bus_add_types(h->bus, event_types);
	if (err == 0)
		err = make_auth(h);
	if (err == 0)
		err = rpc_new(&h->rpc);
	if (err == 0)
		err = rpc_add_methods(h->rpc, methods, NULL);
	env.net = h->net;
	env.bus = h->bus;
	env.stats = h->stats;
	env.auth = h->auth;
	if (err == 0)
		err = web_new(&h->web, &env, &h->settings, &why);
	if (err == 0)
		web_use_rpc(h->web, h->rpc);
	if (err == 0)
		err = token_make(h->token, slice_of(secret), slice_of(alice),
		    (uint64_t)time(NULL) + WEB_TOKEN_SECONDS);
	return err;
}

void web_host_stop(struct web_host *h)
{
	web_free(h->web);
	rpc_free(h->rpc);
	auth_free(h->auth);
	if (h->bus)
		event_bus_free(h->bus);
	if (h->net)
		net_free(h->net);
	if (h->stats)
		stats_free(h->stats);
}

void web_host_tell(struct web_host *h)
{
	static const struct slice address = SLICE("sip:alice@example.org");
	const struct event_param given[] = {event_text("text", SLICE("something happened"))};
	struct event_audience audience = event_audience_of(&address);

	event_emit_for(h->bus, &web_host_event, given, 1, &audience);
}
