/* The parts of the daemon: started in order, stopped, and finished in the reverse order. */
#include "daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/resource.h>

#include <event2/event.h>

#include <msrpd/worker.h>

#include "anchor/anchor.h"
#include "auth/auth.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/stats.h"
#include "cluster/cluster.h"
#include "config.h"
#include "ctl/server.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "net/net.h"
#include "registrar/registrar.h"
#include "routes.h"
#include "sip/notifier.h"
#include "sip/page.h"
#include "sip/stack.h"
#include "ua/ua.h"

enum {
	DESCRIPTORS_BESIDE = 256, /* beside MSRP's connections: SIP, control, files */
};

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

void daemon_stop(struct daemon *d)
{
	if (d->stopping) {
		end_loop(d);
		return;
	}
	d->stopping = true;
	log_info("stop");
	notify_stopping(&d->notify);
	timer_start(&d->grace, d->config->shutdown_grace_ms);
	for (size_t i = 0; i < SERVICES; i++)
		if (d->states[i] && services[i]->quit)
			services[i]->quit(d->states[i]);
	if (d->ua)
		ua_stop(d->ua, on_ua_stopped, d);
	else
		on_ua_stopped(d);
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

/* A client of another node is reached as a rule there has said.  @return false: it is answered */
static bool reach(struct sip_request *request, struct slice at)
{
	const struct sip_place place = {.uri = sip_request_field(request, SIP_FIELD_RURI),
	    .node = at};

	if (!at.p || sip_request_set_target(request, &place) == 0)
		return true;
	sip_request_reply(request, 503, (struct slice){NULL, 0}, (struct slice){NULL, 0});
	return false;
}

/* @return false: none is of that name */
static bool hand_over(struct daemon *d, struct sip_request *request,
    const struct cluster_mark *mark)
{
	for (size_t i = 0; i < SERVICES; i++) {
		if (!d->states[i] || !services[i]->forwarded
		    || !slice_equal(mark->service, slice_of(services[i]->name)))
			continue;
		if (reach(request, mark->at))
			services[i]->forwarded(request, mark, d->states[i]);
		return true;
	}
	return false;
}

/* One that another node has sent on is for no rule: they have been asked there. */
static bool take_forwarded(struct daemon *d, struct sip_request *request)
{
	struct slice value = d->cluster ? sip_request_header(request, SLICE(CLUSTER_HEADER))
					: (struct slice){NULL, 0};
	struct buffer texts = {.max = BUFFER_UNBOUNDED};
	struct cluster_mark mark;
	bool taken;

	if (!value.p)
		return false;
	taken = cluster_mark_read(d->cluster, &texts, value, &mark) == 0
	    && hand_over(d, request, &mark);
	buffer_fini(&texts);
	return taken;
}

/*
 * A rule may well leave the answer to a later turn, so only what nobody takes is a 404; a REFER is
 * what rules alone make of it.
 */
static void on_unruled(struct sip_request *request, void *arg)
{
	static const struct slice usual;
	bool refer = slice_equal(sip_request_field(request, SIP_FIELD_METHOD), SLICE("REFER"));

	if (!service_takes(arg, request))
		sip_request_reply(request, refer ? 405 : 404, usual, usual);
}

static void on_request(struct sip_request *request, void *arg)
{
	struct daemon *d = arg;

	if (d->stopping)
		sip_request_reply(request, 503, SLICE("Shutting Down"), (struct slice){NULL, 0});
	else if (!take_forwarded(d, request))
		routes_run_sip(&d->routes, request, &d->rest);
}

static size_t on_options(const struct sip_request *options, char *text, size_t size, void *arg)
{
	struct daemon *d = arg;
	size_t n = 0;

	for (size_t i = 0; i < SERVICES && n == 0; i++)
		if (d->states[i] && services[i]->contact)
			n = services[i]->contact(options, text, size, d->states[i]);
	return n;
}

static const struct sip_stack_handler sip_handler = {
    .request = on_request,
    .contact = on_options,
};

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

static uint64_t most_connections(const struct config *cfg)
{
	return cfg->msrp.max_connections
	    + (cfg->sip.listen.count ? cfg->sip.edge.max_connections : 0)
	    + (cfg->web.listen.count ? 2 * cfg->web.max_connections : 0)
	    + (cfg->metrics.listen ? WEB_METRICS_CONNECTIONS : 0);
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
		 " that msrp.max_connections and sip.max_connections let in",
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
	net_share_ports(d->net, d->config->share_ports);
	net_use_name_servers(d->net, &d->config->dns.servers);
	return net_use_proxies(d->net, &d->config->proxy_protocol);
}

/* Processors that the process may use. */
static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

static int start_threads(struct daemon *d)
{
	unsigned threads = (unsigned)d->config->tls_threads;

	if (!threads)
		threads = processors();
	return net_use_threads(d->net, threads < WORKER_THREADS_MAX ? threads : WORKER_THREADS_MAX);
}

/* Before all that it hands connections to, as it is that which knows its port. */
static int start_web(struct daemon *d, struct reason *why)
{
	struct web_env env = {
	    .net = d->net,
	    .bus = d->bus,
	    .stats = d->stats,
	    .auth = d->auth,
	    .started_ms = d->started_ms,
	};

	d->web = (struct web_side){.config = &d->config, .sip = &d->sip};
	return web_side_start(&d->web, &env, why);
}

static int start_msrp(struct daemon *d, struct reason *why)
{
	int err = msrp_stack_new(&d->msrp, d->net, &d->config->msrp, d->stats, why);

	if (err == 0)
		err = msrp_listeners_open(d->msrp, why);
	return err < 0 ? err : web_side_join_msrp(&d->web, d->msrp, why);
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
	if (err < 0)
		return reason_set(why, err, "sip: %s", text.text);
	return web_side_join_sip(&d->web, why);
}

static int start_ua(struct daemon *d, struct reason *why)
{
	struct ua_env env = {
	    .base = d->base,
	    .stats = d->stats,
	    .msrp = d->msrp,
	    .sip = d->sip,
	    .cluster = d->cluster,
	    .settings = &d->config->ua,
	    .credentials = d->config->credentials.items,
	    .credential_count = d->config->credentials.count,
	};

	return d->sip ? ua_new(&d->ua, &env, why) : 0;
}

/* The first listener that others can be told of. */
static struct slice first_msrp(const struct config *cfg)
{
	const struct msrp_listen_settings *first = cfg->msrp.listen.items;

	return slice_of(cfg->msrp.listen.count ? first->uri : NULL);
}

/* What nodes share of who has shown which credentials, and of who has been here by TLS. */

static void on_secret(struct slice secret, void *arg)
{
	struct daemon *d = arg;

	if (auth_share(d->auth, secret) < 0)
		log_warn("cluster: out of memory: challenges of other nodes are not known");
	if (net_share_tickets(d->net, secret) < 0)
		log_warn("cluster: out of memory: tickets of other nodes are not known");
}

static void on_failure(struct slice key, void *arg)
{
	struct daemon *d = arg;

	cluster_count(d->cluster, key);
}

static void on_failures(struct slice key, uint64_t number, void *arg)
{
	struct daemon *d = arg;

	net_guard_learn(d->guard, key, number);
}

static int start_cluster(struct daemon *d)
{
	const struct cluster_env env = {
	    .base = d->base,
	    .stats = d->stats,
	    .settings = &d->config->cluster,
	    .msrp = first_msrp(d->config),
	};

	const struct cluster_counted failures = {.kind = "failures",
	    .life_ms = d->config->limits.auth_failure_window_ms,
	    .total = on_failures,
	    .arg = d};
	int err = cluster_new(&d->cluster, &env);

	if (err < 0 || !d->cluster)
		return err;
	cluster_on_secret(d->cluster, on_secret, d);
	cluster_count_begin(d->cluster, &failures);
	net_guard_on_failure(d->guard, on_failure, d);
	return 0;
}

static int start_services(struct daemon *d, struct reason *why)
{
	struct service_env env = {
	    .base = d->base,
	    .bus = d->bus,
	    .stats = d->stats,
	    .auth = d->auth,
	    .ua = d->ua,
	    .sip = d->sip,
	    .page = d->page,
	    .notifier = d->notifier,
	    .budget = msrp_stack_budget(d->msrp),
	    .msrp = d->msrp,
	    .net = d->net,
	    .cluster = d->cluster,
	    .routes = &d->routes,
	};

	for (size_t i = 0; i < SERVICES; i++) {
		struct reason text;
		int err = services[i]->start(&env, config_service(d->config, services[i]),
		    &d->states[i], &text);

		if (err < 0)
			return reason_set(why, err, "%s: %s", services[i]->name, text.text);
		if (services[i] == &anchor_service) /* the first: others ask it */
			env.anchors = d->states[i];
	}
	return 0;
}

static void on_reload(struct reply *reply, void *arg)
{
	struct reason why;

	if (daemon_reload(arg, &why) < 0)
		reply_error(reply, 500, why.text);
	else
		reply_text(reply, NULL, SLICE("OK"));
}

static const char *not_ready(void *arg)
{
	const struct daemon *d = arg;

	return d->stopping ? "stopping" : NULL;
}

static int start_control(struct daemon *d, struct reason *why)
{
	struct ctl_daemon daemon = {
	    .base = d->base,
	    .bus = d->bus,
	    .stats = d->stats,
	    .status = daemon_status,
	    .reload = on_reload,
	    .arg = d,
	};
	struct reason text = {"out of memory"};
	int err = ctl_server_new(&d->control, &daemon, &d->config->control, &text);

	for (size_t i = 0; i < SERVICES && err == 0; i++)
		if (d->states[i])
			err =
			    ctl_server_add_methods(d->control, services[i]->methods, d->states[i]);
	if (err == 0)
		err = ctl_server_add_methods(d->control, web_methods, d->web.web);
	if (err == 0)
		err = ctl_server_add_methods(d->control, cluster_methods, d->cluster);
	if (err < 0)
		return reason_set(why, err, "control: %s: %s", d->config->control.socket,
		    text.text);
	web_use_rpc(d->web.web, ctl_server_rpc(d->control));
	return 0;
}

static int start_metrics(struct daemon *d, struct reason *why)
{
	const struct web_metrics_settings *settings = &d->config->metrics;
	const struct web_metrics_env env = {
	    .net = d->net,
	    .stats = d->stats,
	    .started_ms = d->started_ms,
	    .not_ready = not_ready,
	    .arg = d,
	};
	int err = web_metrics_new(&d->metrics, &env, settings);

	return err < 0
	    ? reason_set(why, err, "metrics.listen: %s: %s", settings->listen, strerror(-err))
	    : 0;
}

int daemon_start(struct daemon *d, struct reason *why)
{
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	raise_descriptors(most_connections(d->config));
	d->rest = (struct routes_rest){on_unruled, d};
	if ((err = start_base(d)) < 0 || (err = start_limits(d)) < 0 || (err = start_threads(d)) < 0
	    || (err = daemon_start_auth(d)) < 0 || (err = start_web(d, why)) < 0
	    || (err = start_msrp(d, why)) < 0 || (err = start_sip(d, why)) < 0
	    || (err = start_cluster(d)) < 0 || (err = start_ua(d, why)) < 0
	    || (err = start_services(d, why)) < 0 || (err = start_control(d, why)) < 0
	    || (err = start_metrics(d, why)) < 0)
		return err;
	start_rules(d);
	err = notify_init(&d->notify, d->base);
	if (err < 0)
		log_warn("start: NOTIFY_SOCKET: %s", strerror(-err));
	return 0;
}

void daemon_finish(struct daemon *d)
{
	notify_fini(&d->notify);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	web_free(d->web.web);
	web_metrics_free(d->metrics);
	ctl_server_free(d->control);
	if (d->ua)
		ua_halt(d->ua);
	for (size_t i = SERVICES; i-- > 0;)
		services[i]->stop(d->states[i]);
	ua_free(d->ua);
	cluster_free(d->cluster);
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
	daemon_unload(d);
	if (d->base)
		event_base_free(d->base);
	libevent_global_shutdown();
	log_close();
}
