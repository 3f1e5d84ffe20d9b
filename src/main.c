/* msrpd: options, wiring, signals, reload and shutdown. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <sofia-sip/su_types.h>
#include <sofia-sip/sofia_features.h>
#include <yaml.h>

#include <msrpd/service.h>
#include <msrpd/timer.h>

#include "auth/auth.h"
#include "base/log.h"
#include "base/stats.h"
#include "config.h"
#include "config_msrp.h"
#include "ctl/metrics.h"
#include "ctl/server.h"
#include "event/bus.h"
#include "event/logline.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "net/net.h"
#include "notify.h"
#include "registrar/registrar.h"
#include "relay/relay.h"
#include "routes.h"
#include "sandbox/sandbox.h"
#include "services.h"
#include "sip/notifier.h"
#include "sip/page.h"
#include "sip/stack.h"
#include "ua/ua.h"

enum {
	DESCRIPTORS_BESIDE = 256, /* beside MSRP's connections: SIP, control, files */
};

static const char default_config[] = "/etc/msrpd/msrpd.yaml";

struct options {
	const char *config;
	bool check, to_stderr;
	unsigned verbose;
};

struct daemon {
	struct options options;
	struct sandbox sandbox;
	struct event_base *base;
	struct config *config;
	struct routes routes;
	struct stats *stats;
	struct event_bus *bus;
	struct event_logline logline;
	struct event_subscriber rules; /* routes.event */
	struct net_guard *guard;
	struct auth *auth;
	struct net *net;
	struct msrp_stack *msrp;
	struct sip_stack *sip;
	struct page *page;
	struct notifier *notifier;
	struct ua *ua;
	void *states[SERVICES]; /* of services[] */
	struct ctl_server *control;
	struct ctl_metrics *metrics;
	struct notify notify;
	struct event *signals[4];
	struct timer grace;
	uint64_t started_ms;
	bool stopping;
};

/* --- config --- */

static void print_line(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "msrpd: %s\n", line);
}

static void log_warning(const char *line, void *arg)
{
	(void)arg;
	log_warn("config: %s", line);
}

/* A config with its rules, compiled but not yet at work. */
struct loaded {
	struct config *config;
	struct routes routes;
	struct daemon *daemon;
};

static int compile_routes(const struct config *cfg, struct config_load *load, void *arg)
{
	struct loaded *loaded = arg;
	struct daemon *d = loaded->daemon;

	return routes_compile(&loaded->routes, d->states, (void *const *)&d->page, cfg, load);
}

static void allow_file(const char *path, void *arg)
{
	sandbox_allow_read(arg, path);
}

static int allow_files(const struct config *cfg, struct config_load *load, void *arg)
{
	config_each_file(cfg, load, allow_file, arg);
	return 0;
}

static void loaded_fini(struct loaded *loaded)
{
	routes_fini(&loaded->routes);
	config_free(loaded->config);
}

static int load(struct daemon *d, struct loaded *loaded, void (*warn)(const char *, void *),
    struct reason *why)
{
	struct config_hook hooks[] = {
	    {compile_routes, loaded},
	    {config_check_msrp, NULL},
	    {allow_files, &d->sandbox},
	    {NULL, NULL},
	};
	struct config_env env = {.services = services, .hooks = hooks, .warn = warn};
	int err;

	*loaded = (struct loaded){.daemon = d};
	err = config_load(&loaded->config, d->options.config, &env, why);
	if (err < 0)
		routes_fini(&loaded->routes);
	return err;
}

static int open_log(struct daemon *d, const struct log_settings *configured)
{
	struct log_settings settings = *configured;

	if (d->options.to_stderr)
		settings.target = LOG_TO_STDERR;
	if (d->options.verbose) {
		unsigned level = (unsigned)settings.level + d->options.verbose;

		settings.level = level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : (enum log_level)level;
	}
	return log_open(&settings);
}

/* --- what the control socket asks of us --- */

static void put_sip_listener(const char *uri, void *arg)
{
	reply_text(arg, NULL, slice_of(uri));
}

static void put_sessions(struct daemon *d, struct reply *reply)
{
	reply_open_object(reply, "sessions");
	for (size_t i = 0; i < SERVICES; i++)
		if (services[i]->sessions)
			reply_number(reply, services[i]->name,
			    d->states[i] ? (int64_t)services[i]->sessions(d->states[i]) : 0);
	reply_close(reply);
}

static void on_status(struct reply *reply, void *arg)
{
	struct daemon *d = arg;
	struct msrp_listener *listener;

	reply_text(reply, "version", SLICE(MSRPD_VERSION));
	reply_number(reply, "pid", getpid());
	reply_number(reply, "uptime", (int64_t)((timer_now_ms() - d->started_ms) / 1000));
	reply_text(reply, "config", slice_of(d->options.config));
	reply_open_object(reply, "listen");
	reply_open_list(reply, "sip");
	if (d->sip)
		sip_stack_each_listener(d->sip, put_sip_listener, reply);
	reply_close(reply);
	reply_open_list(reply, "msrp");
	for (size_t i = 0; (listener = msrp_listener_at(d->msrp, i)); i++)
		reply_text(reply, NULL, msrp_listener_uri(listener));
	reply_close(reply);
	if (d->metrics)
		reply_number(reply, "metrics", ctl_metrics_port(d->metrics));
	reply_close(reply);
	put_sessions(d, reply);
	reply_number(reply, "connections", (int64_t)msrp_stack_connections(d->msrp));
}

/* --- who may call --- */

static uint64_t nonce_expire_of(const struct config *cfg)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	return relay->nonce_expire_ms;
}

static int load_users(struct users **usersp, const struct config *cfg, struct reason *why)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);
	struct auth_sources sources = {{&cfg->users, &relay->users}, relay->htdigest};

	return users_new(usersp, &sources, why);
}

static int start_auth(struct daemon *d, struct reason *why)
{
	struct users *users;
	int err = load_users(&users, d->config, why);

	return err < 0 ? err : auth_new(&d->auth, users, nonce_expire_of(d->config));
}

/* --- reload --- */

/* What can still refuse its new settings goes first, and takes back the old ones if one does. */
static void reload_services(struct daemon *d, const struct config *cfg, size_t count)
{
	struct reason ignored;

	for (size_t i = 0; i < count; i++)
		if (d->states[i] && services[i]->reload)
			services[i]->reload(d->states[i], config_service(cfg, services[i]),
			    &ignored);
}

static int reload_sip(struct daemon *d, const struct config *cfg, struct reason *why)
{
	const struct setting_list *credentials = &cfg->credentials;

	return d->sip
	    ? sip_stack_reload(d->sip, &cfg->sip, credentials->items, credentials->count, why)
	    : 0;
}

static int reload_stacks(struct daemon *d, const struct config *cfg, struct reason *why)
{
	struct reason ignored;
	int err = msrp_stack_reload(d->msrp, &cfg->msrp, why);

	if (err < 0)
		return err;
	err = reload_sip(d, cfg, why);
	if (err < 0)
		msrp_stack_reload(d->msrp, &d->config->msrp, &ignored);
	return err;
}

static int reload_what_may_refuse(struct daemon *d, const struct config *cfg, struct reason *why)
{
	int err = reload_stacks(d, cfg, why);
	struct reason ignored;
	size_t i = 0;

	for (; err == 0 && i < SERVICES; i++)
		if (d->states[i] && services[i]->reload)
			err = services[i]->reload(d->states[i], config_service(cfg, services[i]),
			    why);
	if (err < 0 && i > 0) {
		reload_services(d, d->config, i - 1);
		reload_stacks(d, d->config, &ignored);
	}
	return err;
}

static void reload_rest(struct daemon *d, const struct config *cfg)
{
	const struct setting_list *credentials = &cfg->credentials;

	open_log(d, &cfg->log);
	d->logline.body = cfg->log.event_body;
	if (d->ua)
		ua_reload(d->ua, &cfg->ua, credentials->items, credentials->count);
	ctl_server_reload(d->control, &cfg->control);
	if (net_guard_reload(d->guard, &cfg->limits) < 0
	    || net_use_proxies(d->net, &cfg->proxy_protocol) < 0)
		log_warn("reload: no memory for other limits");
}

static int reload(struct daemon *d, struct reason *why)
{
	struct loaded fresh, old = {.config = d->config, .routes = d->routes};
	struct users *users = NULL;
	int err = load(d, &fresh, log_warning, why);

	if (err < 0)
		return err;
	err = config_changes_fixed(d->config, fresh.config, why);
	if (err == 0)
		err = load_users(&users, fresh.config, why);
	if (err == 0)
		err = reload_what_may_refuse(d, fresh.config, why);
	if (err < 0) {
		users_free(users);
		loaded_fini(&fresh);
		return err;
	}
	auth_reload(d->auth, users, nonce_expire_of(fresh.config));
	reload_rest(d, fresh.config);
	d->config = fresh.config;
	d->routes = fresh.routes;
	loaded_fini(&old);
	return 0;
}

static int reload_and_tell(struct daemon *d, struct reason *why)
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

static void on_reload(struct reply *reply, void *arg)
{
	struct reason why;

	if (reload_and_tell(arg, &why) < 0)
		reply_error(reply, 500, why.text);
	else
		reply_text(reply, NULL, SLICE("OK"));
}

/* --- stopping --- */

static void end_loop(void *arg)
{
	struct daemon *d = arg;

	event_base_loopbreak(d->base);
}

static void on_grace_over(void *arg)
{
	log_warn("stop: not everything ended within shutdown_grace");
	end_loop(arg);
}

static void on_ua_stopped(void *arg)
{
	struct daemon *d = arg;

	if (d->sip)
		sip_stack_stop(d->sip, end_loop, d);
	else
		end_loop(d);
}

static void stop(struct daemon *d)
{
	if (d->stopping) {
		end_loop(d);
		return;
	}
	d->stopping = true;
	log_info("stop");
	notify_stopping(&d->notify);
	timer_start(&d->grace, d->config->shutdown_grace_ms);
	if (d->ua)
		ua_stop(d->ua, on_ua_stopped, d);
	else
		on_ua_stopped(d);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct daemon *d = arg;
	struct reason why;

	(void)what;
	if (number == SIGHUP)
		reload_and_tell(d, &why);
	else
		stop(d);
}

/* --- starting --- */

static bool service_takes(struct daemon *d, struct sip_request *request)
{
	for (size_t i = 0; i < SERVICES; i++)
		if (d->states[i] && services[i]->request
		    && services[i]->request(request, d->states[i]))
			return true;
	return false;
}

/* A rule may well leave the answer to a later turn, so only what nobody takes is a 404. */
static void on_request(struct sip_request *request, void *arg)
{
	struct daemon *d = arg;

	if (d->stopping)
		sip_request_reply(request, 503, SLICE("Shutting Down"), (struct slice){NULL, 0});
	else if (!routes_run_sip(&d->routes, request) && !service_takes(d, request))
		sip_request_reply(request, 404, SLICE("Not Found"), (struct slice){NULL, 0});
}

static const struct sip_stack_handler sip_handler = {.request = on_request};

static void on_event(const struct event_notice *event, void *arg)
{
	struct daemon *d = arg;

	routes_run_event(&d->routes, event);
}

static bool rules_want_events(void *arg)
{
	struct daemon *d = arg;

	return !route_list_empty(d->routes.event);
}

static void raise_descriptors(uint64_t connections)
{
	rlim_t need = connections + DESCRIPTORS_BESIDE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	/* Not ours to raise beyond: as far as we may. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	log_warn("start: %" PRIuMAX " files at most, so about %" PRIuMAX " of %" PRIu64
		 " msrp.max_connections",
	    (uintmax_t)limit.rlim_cur,
	    (uintmax_t)(limit.rlim_cur > DESCRIPTORS_BESIDE ? limit.rlim_cur - DESCRIPTORS_BESIDE
							    : 0),
	    connections);
}

static int start_base(struct daemon *d)
{
	d->started_ms = timer_now_ms();
	d->base = event_base_new();
	if (!d->base || net_new(&d->net, d->base) < 0 || stats_new(&d->stats) < 0
	    || event_bus_new(&d->bus) < 0 || timer_init(&d->grace, d->base, on_grace_over, d) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < SERVICES; i++)
		if (event_bus_add_types(d->bus, services[i]->events) < 0)
			return -ENOMEM;
	event_logline_start(&d->logline, d->bus, d->config->log.event_body);
	return 0;
}

/* Last of all subscribers: what rules do has events of its own. */
static void start_rules(struct daemon *d)
{
	d->rules = (struct event_subscriber){.mask = EVENT_ALL,
	    .fn = on_event,
	    .wanted = rules_want_events,
	    .arg = d};
	event_bus_subscribe(d->bus, &d->rules);
}

static int start_limits(struct daemon *d)
{
	int err = net_guard_new(&d->guard, d->base, &d->config->limits, d->stats);

	if (err < 0)
		return err;
	net_use_guard(d->net, d->guard);
	return net_use_proxies(d->net, &d->config->proxy_protocol);
}

static int start_msrp(struct daemon *d, struct reason *why)
{
	int err = msrp_stack_new(&d->msrp, d->net, &d->config->msrp, d->stats, why);

	return err < 0 ? err : msrp_listeners_open(d->msrp, why);
}

static int start_sip(struct daemon *d, struct reason *why)
{
	const struct registrar_settings *registrar = config_service(d->config, &registrar_service);
	struct sip_stack_options options = {
	    .net = d->net,
	    .stats = d->stats,
	    .settings = &d->config->sip,
	    .credentials = d->config->credentials.items,
	    .credential_count = d->config->credentials.count,
	    .auth = d->auth,
	    .guard = d->guard,
	    .registers = registrar->given,
	    .handler = &sip_handler,
	    .arg = d,
	};
	struct reason text = {"out of memory"};
	int err;

	if (d->config->sip.listen.count == 0)
		return 0;
	err = sip_stack_new(&d->sip, &options, &text);
	if (err == 0)
		err = page_new(&d->page, d->sip);
	if (err == 0)
		err = notifier_new(&d->notifier, d->sip);
	return err < 0 ? reason_set(why, err, "sip: %s", text.text) : 0;
}

static int start_ua(struct daemon *d, struct reason *why)
{
	struct ua_env env = {
	    .base = d->base,
	    .stats = d->stats,
	    .msrp = d->msrp,
	    .sip = d->sip,
	    .settings = &d->config->ua,
	    .credentials = d->config->credentials.items,
	    .credential_count = d->config->credentials.count,
	};

	return d->sip ? ua_new(&d->ua, &env, why) : 0;
}

static int start_services(struct daemon *d, struct reason *why)
{
	struct service_env env = {
	    .base = d->base,
	    .bus = d->bus,
	    .stats = d->stats,
	    .auth = d->auth,
	    .ua = d->ua,
	    .page = d->page,
	    .notifier = d->notifier,
	    .budget = msrp_stack_budget(d->msrp),
	    .msrp = d->msrp,
	    .routes = &d->routes,
	};

	for (size_t i = 0; i < SERVICES; i++) {
		struct reason text;
		int err = services[i]->start(&env, config_service(d->config, services[i]),
		    &d->states[i], &text);

		if (err < 0)
			return reason_set(why, err, "%s: %s", services[i]->name, text.text);
	}
	return 0;
}

static int start_control(struct daemon *d, struct reason *why)
{
	struct ctl_daemon daemon = {
	    .base = d->base,
	    .bus = d->bus,
	    .stats = d->stats,
	    .status = on_status,
	    .reload = on_reload,
	    .arg = d,
	};
	struct reason text = {"out of memory"};
	int err = ctl_server_new(&d->control, &daemon, &d->config->control, &text);

	for (size_t i = 0; i < SERVICES && err == 0; i++)
		if (d->states[i])
			err =
			    ctl_server_add_methods(d->control, services[i]->methods, d->states[i]);
	if (err < 0)
		return reason_set(why, err, "control: %s: %s", d->config->control.socket,
		    text.text);
	err = ctl_metrics_new(&d->metrics, d->base, d->stats, &d->config->metrics);
	return err < 0 ? reason_set(why, err, "metrics.listen: %s: %s", d->config->metrics.listen,
		   strerror(-err))
		       : 0;
}

static int start_signals(struct daemon *d)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int start(struct daemon *d, struct reason *why)
{
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	raise_descriptors(d->config->msrp.max_connections);
	if ((err = start_base(d)) < 0 || (err = start_limits(d)) < 0
	    || (err = start_auth(d, why)) < 0 || (err = start_msrp(d, why)) < 0
	    || (err = start_sip(d, why)) < 0 || (err = start_ua(d, why)) < 0
	    || (err = start_services(d, why)) < 0 || (err = start_control(d, why)) < 0
	    || (err = start_signals(d)) < 0)
		return err;
	start_rules(d);
	err = notify_init(&d->notify, d->base);
	if (err < 0)
		log_warn("start: NOTIFY_SOCKET: %s", strerror(-err));
	return 0;
}

static void enter_sandbox(struct daemon *d)
{
	sandbox_allow_read(&d->sandbox, d->options.config);
	sandbox_allow_write(&d->sandbox, d->config->control.socket);
	sandbox_enter(&d->sandbox, &d->config->sandbox);
}

/* The reverse of start(), from wherever it got to. */
static void finish(struct daemon *d)
{
	notify_fini(&d->notify);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	ctl_metrics_free(d->metrics);
	ctl_server_free(d->control);
	if (d->ua)
		ua_halt(d->ua);
	for (size_t i = SERVICES; i-- > 0;)
		services[i]->stop(d->states[i]);
	ua_free(d->ua);
	notifier_free(d->notifier);
	page_free(d->page);
	sip_stack_free(d->sip);
	msrp_stack_free(d->msrp);
	net_free(d->net);
	net_guard_free(d->guard);
	auth_free(d->auth);
	event_logline_stop(&d->logline);
	if (d->bus)
		event_bus_unsubscribe(&d->rules);
	event_bus_free(d->bus);
	stats_free(d->stats);
	timer_fini(&d->grace);
	routes_fini(&d->routes);
	config_free(d->config);
	if (d->base)
		event_base_free(d->base);
	libevent_global_shutdown();
	log_close();
}

static int run(struct daemon *d)
{
	struct reason why;
	int err = start(d, &why);

	if (err == 0) {
		enter_sandbox(d);
		log_info("start: msrpd " MSRPD_VERSION ", %s", d->options.config);
		notify_ready(&d->notify);
		event_base_dispatch(d->base);
	} else {
		fprintf(stderr, "msrpd: %s\n", why.text);
		if (!d->options.to_stderr)
			log_error("start: %s", why.text);
	}
	finish(d);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- options --- */

static void print_version(void)
{
	printf("msrpd " MSRPD_VERSION "\n");
	printf("libevent %s, %s, %s, libyaml %s, jansson %s\n", event_get_version(),
	    SOFIA_SIP_NAME_VERSION, OpenSSL_version(OPENSSL_VERSION), yaml_get_version_string(),
	    jansson_version_str());
}

static int usage(void)
{
	fprintf(stderr, "usage: msrpd [-c FILE] [-t] [-n] [-v...] [-V]\n");
	return EXIT_FAILURE;
}

/* @return -1: go on, else the exit status */
static int read_options(struct options *options, int argc, char **argv)
{
	int c;

	*options = (struct options){.config = default_config};
	while ((c = getopt(argc, argv, "c:tnvV")) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 't':
			options->check = true;
			break;
		case 'n':
			options->to_stderr = true;
			break;
		case 'v':
			options->verbose++;
			break;
		case 'V':
			print_version();
			return EXIT_SUCCESS;
		default:
			return usage();
		}
	}
	return optind < argc ? usage() : -1;
}

int main(int argc, char **argv)
{
	struct daemon d = {.notify = {.fd = -1}};
	int status = read_options(&d.options, argc, argv);
	struct reason why;
	struct loaded loaded;

	if (status >= 0)
		return status;
	sandbox_init(&d.sandbox);
	if (load(&d, &loaded, print_line, &why) < 0) {
		fprintf(stderr, "msrpd: %s\n", why.text);
		return EXIT_FAILURE;
	}
	d.config = loaded.config;
	d.routes = loaded.routes;
	if (d.options.check) {
		printf("msrpd: %s: good\n", d.options.config);
		routes_fini(&d.routes);
		config_free(d.config);
		return EXIT_SUCCESS;
	}
	if (open_log(&d, &d.config->log) < 0) {
		fprintf(stderr, "msrpd: log: unknown facility %s\n", d.config->log.facility);
		routes_fini(&d.routes);
		config_free(d.config);
		return EXIT_FAILURE;
	}
	return run(&d);
}
