/* The config at work: read at the start, and again by SIGHUP or the control socket. */
#include "daemon.h"

#include <errno.h>

#include "auth/auth.h"
#include "cluster/cluster.h"
#include "config.h"
#include "config_msrp.h"
#include "ctl/server.h"
#include "msrp/stack.h"
#include "net/net.h"
#include "relay/relay.h"
#include "routes.h"
#include "sip/stack.h"
#include "ua/ua.h"
#include "web_side.h"

/* --- a config is read --- */

/* A config with its rules and users, not yet at work. */
struct loaded {
	struct config *config;
	struct routes routes;
	struct users *users;
	struct daemon *daemon;
};

static int compile_routes(const struct config *cfg, struct config_load *load, void *arg)
{
	struct loaded *loaded = arg;
	struct daemon *d = loaded->daemon;

	return routes_compile(&loaded->routes, d->states, (void *const *)&d->page, cfg, load);
}

static void allow_file(const char *path, bool written, void *arg)
{
	if (written)
		sandbox_allow_write(arg, path);
	else
		sandbox_allow_read(arg, path);
}

static int allow_files(const struct config *cfg, struct config_load *load, void *arg)
{
	config_each_file(cfg, load, allow_file, arg);
	return 0;
}

static int read_users(const struct config *cfg, struct config_load *load, void *arg)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);
	struct auth_sources sources = {{&cfg->users, &relay->users}, relay->htdigest};
	struct loaded *loaded = arg;
	struct reason why;

	if (users_new(&loaded->users, &sources, &why) == 0)
		return 0;
	return config_fail(load, "relay.htdigest", "%s", why.text);
}

static void loaded_fini(struct loaded *loaded)
{
	users_free(loaded->users);
	routes_fini(&loaded->routes);
	config_free(loaded->config);
}

static int load(struct daemon *d, struct loaded *loaded, void (*warn)(const char *, void *),
    struct reason *why)
{
	struct config_hook hooks[] = {
	    {compile_routes, loaded},
	    {config_check_msrp, NULL},
	    {web_side_check, NULL},
	    {read_users, loaded},
	    {allow_files, &d->sandbox},
	    {NULL, NULL},
	};
	struct config_env env = {.services = services,
	    .hooks = hooks,
	    .instance = d->options.instance,
	    .warn = warn};
	int err;

	*loaded = (struct loaded){.daemon = d};
	err = config_load(&loaded->config, d->options.config, &env, why);
	if (err < 0) {
		routes_fini(&loaded->routes);
		users_free(loaded->users);
	}
	return err;
}

int daemon_load(struct daemon *d, void (*warn)(const char *line, void *arg), struct reason *why)
{
	struct loaded loaded;
	int err = load(d, &loaded, warn, why);

	if (err < 0)
		return err;
	d->config = loaded.config;
	d->routes = loaded.routes;
	d->users = loaded.users;
	return 0;
}

void daemon_unload(struct daemon *d)
{
	users_free(d->users);
	routes_fini(&d->routes);
	config_free(d->config);
}

int daemon_open_log(const struct daemon *d, const struct config *cfg)
{
	struct log_settings settings = cfg->log;

	if (d->options.to_stderr)
		settings.target = LOG_TO_STDERR;
	if (d->options.verbose) {
		unsigned level = (unsigned)settings.level + d->options.verbose;

		settings.level = level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : (enum log_level)level;
	}
	return log_open(&settings);
}

/* --- who may call --- */

static uint64_t nonce_expire_of(const struct config *cfg)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	return relay->nonce_expire_ms;
}

int daemon_start_auth(struct daemon *d)
{
	struct users *users = d->users;

	d->users = NULL;
	return auth_new(&d->auth, users, nonce_expire_of(d->config));
}

/* --- another one takes its place --- */

static void log_warning(const char *line, void *arg)
{
	(void)arg;
	log_warn("config: %s", line);
}

/* What can still refuse its new settings: what all build on, and behind it the services. */
enum { MSRP_STACK, SIP_STACK, WEB, LIMITS, UA, STACKS };

static int reload_sip(struct daemon *d, const struct config *cfg, struct reason *why)
{
	const struct setting_list *credentials = &cfg->credentials;

	return d->sip
	    ? sip_stack_reload(d->sip, &cfg->sip, credentials->items, credentials->count, why)
	    : 0;
}

static int reload_limits(struct daemon *d, const struct config *cfg, struct reason *why)
{
	return net_guard_reload(d->guard, &cfg->limits) < 0
		|| net_use_proxies(d->net, &cfg->proxy_protocol) < 0
	    ? reason_set(why, -ENOMEM, "out of memory")
	    : 0;
}

static int reload_ua(struct daemon *d, const struct config *cfg, struct reason *why)
{
	const struct setting_list *credentials = &cfg->credentials;

	return d->ua ? ua_reload(d->ua, &cfg->ua, credentials->items, credentials->count, why) : 0;
}

static int reload_service(struct daemon *d, const struct config *cfg, size_t i, struct reason *why)
{
	return d->states[i] && services[i]->reload
	    ? services[i]->reload(d->states[i], config_service(cfg, services[i]), why)
	    : 0;
}

static int reload_part(struct daemon *d, const struct config *cfg, size_t part, struct reason *why)
{
	switch (part) {
	case MSRP_STACK:
		return msrp_stack_reload(d->msrp, &cfg->msrp, why);
	case SIP_STACK:
		return reload_sip(d, cfg, why);
	case WEB:
		return web_reload(d->web.web, &cfg->web, why);
	case LIMITS:
		return reload_limits(d, cfg, why);
	case UA:
		return reload_ua(d, cfg, why);
	default:
		return reload_service(d, cfg, part - STACKS, why);
	}
}

/*
 * All of them take back what they had, the one that refused too: it may have taken a part.
 *
 * @return false: one could not, and has settings of the other config yet
 */
static bool take_back(struct daemon *d)
{
	struct reason why;
	bool all = true;

	for (size_t part = 0; part < STACKS + SERVICES; part++) {
		if (reload_part(d, d->config, part, &why) == 0)
			continue;
		log_error("reload: not all of what was before is back: %s", why.text);
		all = false;
	}
	return all;
}

static int reload_what_may_refuse(struct daemon *d, const struct config *cfg, struct reason *why)
{
	int err = 0;

	for (size_t part = 0; part < STACKS + SERVICES && err == 0; part++)
		err = reload_part(d, cfg, part, why);
	return err;
}

static void reload_rest(struct daemon *d, const struct config *cfg)
{
	daemon_open_log(d, cfg);
	d->logline.body = cfg->log.event_body;
	cluster_reload(d->cluster, &cfg->cluster);
	ctl_server_reload(d->control, &cfg->control);
	net_use_name_servers(d->net, &cfg->dns.servers);
}

static int reload(struct daemon *d, struct reason *why)
{
	struct loaded fresh, old = {.config = d->config, .routes = d->routes};
	int err = load(d, &fresh, log_warning, why);

	if (err < 0)
		return err;
	err = config_changes_fixed(d->config, fresh.config, why);
	if (err < 0) {
		loaded_fini(&fresh);
		return err;
	}
	err = reload_what_may_refuse(d, fresh.config, why);
	if (err < 0) {
		/* What is still in use is not freed; there is no memory either then. */
		if (!take_back(d))
			fresh.config = NULL;
		loaded_fini(&fresh);
		return err;
	}
	auth_reload(d->auth, fresh.users, nonce_expire_of(fresh.config));
	reload_rest(d, fresh.config);
	d->config = fresh.config;
	d->routes = fresh.routes;
	loaded_fini(&old);
	return 0;
}

int daemon_reload(struct daemon *d, struct reason *why)
{
	int err;

	notify_reloading(&d->notify);
	err = reload(d, why);
	if (err < 0)
		log_error("reload: nothing changed: %s", why->text);
	else
		log_info("reload: %s", d->options.config);
	notify_ready(&d->notify);
	return err;
}
