#include "web_side.h"

#include <stdio.h>
#include <string.h>

#include <msrpd/event.h>
#include <msrpd/sip_uri.h>

#include "msrp/listener.h"
#include "registrar/registrar.h"
#include "services.h"
#include "sip/stack.h"
#include "web/hooks.h"

static const struct setting_list *domains(const struct web_side *side)
{
	const struct registrar_settings *registrar =
	    config_service(*side->config, &registrar_service);

	return &registrar->domains;
}

/* As the registrar has it: without domains those that we are reached at. */
static bool is_domain(const struct web_side *side, struct slice domain)
{
	const struct setting_list *list = domains(side);

	for (size_t i = 0; i < list->count; i++)
		if (slice_equal_nocase(slice_of(((char *const *)list->items)[i]), domain))
			return true;
	return list->count == 0 && *side->sip && sip_stack_is_host(*side->sip, domain);
}

static bool is_sip(struct slice uri)
{
	return slice_starts_nocase(uri, SLICE("sip:")) || slice_starts_nocase(uri, SLICE("sips:"));
}

static struct slice user_of(struct slice address, void *arg)
{
	struct slice uri = sip_address_uri(address), none = {NULL, 0};

	if (!is_sip(uri) || !is_domain(arg, sip_uri_domain(uri)))
		return none;
	return sip_uri_user(uri);
}

static const struct setting_list *realms(void *arg)
{
	return domains(arg);
}

int web_side_start(struct web_side *side, struct web_env *env, struct reason *why)
{
	struct reason text;
	int err;

	env->user_of = user_of;
	env->realms = realms;
	env->arg = side;
	err = web_new(&side->web, env, &(*side->config)->web, &text);
	return err < 0 ? reason_set(why, err, "web: %s", text.text) : 0;
}

static bool is_event(struct slice name)
{
	for (size_t i = 0; i < SERVICES; i++)
		for (const struct event_type *const *type = services[i]->events; type && *type;
		     type++)
			if (slice_equal(slice_of((*type)->name), name))
				return true;
	return false;
}

int web_side_check(const struct config *cfg, struct config_load *load, void *arg)
{
	const struct web_hook_settings *hooks = cfg->web.webhooks.items;
	char key[64];

	(void)arg;
	for (size_t i = 0; i < cfg->web.webhooks.count; i++)
		for (size_t k = 0; k < hooks[i].events.count; k++) {
			const char *name = ((char *const *)hooks[i].events.items)[k];

			if (is_event(slice_of(name)))
				continue;
			snprintf(key, sizeof(key), "web.webhooks.%zu.events.%zu", i, k);
			return config_fail(load, key, "there is no event %.64s", name);
		}
	return 0;
}

int web_side_join_msrp(struct web_side *side, struct msrp_stack *msrp, struct reason *why)
{
	char uri[ADDR_TEXT_SIZE + 16], advertise[300], addr[ADDR_TEXT_SIZE];
	struct msrp_listen_settings settings = {.uri = uri};
	const struct net_listener *listener;
	struct web_place place;
	int err;

	if (!(*side->config)->web.msrp || !web_place(side->web, &place))
		return 0;
	snprintf(uri, sizeof(uri), "msrp%s://%s;ws", place.secure ? "s" : "",
	    addr_print(&place.addr, addr));
	if (place.host.p) {
		snprintf(advertise, sizeof(advertise), "%.*s:%u", SLICE_ARG(place.host),
		    place.port);
		settings.advertise = advertise;
	}
	err = msrp_listener_add(msrp, &settings, &listener, why);
	if (err == 0)
		web_use_msrp(side->web, listener);
	return err;
}

static int join_sip_by(struct web_side *side, bool encrypted, struct reason *why)
{
	const struct net_listener *listener;
	struct web_place place;
	union addr loopback;
	int err;

	if (!web_place_by(side->web, encrypted, &place))
		return 0;
	/* Who comes over a connection is reached over that; a Contact has to have an address. */
	if (addr_is_any(&place.addr) && addr_parse_host(&loopback, SLICE("127.0.0.1")) == 0) {
		addr_set_port(&loopback, addr_port(&place.addr));
		place.addr = loopback;
	}
	err = sip_stack_take_websockets(*side->sip, &place.addr, encrypted || place.secure,
	    &listener);
	if (err < 0)
		return reason_set(why, err, "web: /sip: %s", strerror(-err));
	web_use_sip(side->web, encrypted, listener);
	return 0;
}

int web_side_join_sip(struct web_side *side, struct reason *why)
{
	int err;

	if (!*side->sip || !(*side->config)->web.sip || !side->web)
		return 0;
	err = join_sip_by(side, false, why);
	return err < 0 ? err : join_sip_by(side, true, why);
}

static void put_listener(const char *url, void *arg)
{
	reply_text(arg, NULL, slice_of(url));
}

void web_side_put(const struct web_side *side, struct reply *reply)
{
	reply_open_list(reply, "web");
	web_each_listener(side->web, put_listener, reply);
	reply_close(reply);
}
