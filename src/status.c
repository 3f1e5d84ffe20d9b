/* What the control socket tells of the daemon as a whole. */
#include <inttypes.h>
#include <unistd.h>

#include <msrpd/control.h>
#include <msrpd/service.h>

#include "daemon.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "sip/stack.h"
#include "web/metrics.h"

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

static void put_certificates(const struct config *cfg, struct reply *reply)
{
	reply_open_object(reply, "certificates");
	if (cfg->msrp.tls.certificate)
		reply_text(reply, "msrp", slice_of(cfg->msrp.tls.certificate));
	if (cfg->sip.edge.tls.certificate)
		reply_text(reply, "sip", slice_of(cfg->sip.edge.tls.certificate));
	reply_close(reply);
}

/* The hosts of what listeners are known by. */
static void put_advertised(const struct config *cfg, struct reply *reply)
{
	const struct msrp_listen_settings *listen = cfg->msrp.listen.items;

	reply_open_list(reply, "advertise");
	for (size_t i = 0; i < cfg->msrp.listen.count; i++) {
		struct slice rest = slice_of(listen[i].advertise), host;

		/* An address of IPv6 is no name. */
		if (rest.len && rest.p[0] != '[' && slice_cut(&rest, ':', &host))
			reply_text(reply, NULL, host);
	}
	reply_close(reply);
}

void daemon_status(struct reply *reply, void *arg)
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
	web_side_put(&d->web, reply);
	if (d->metrics)
		reply_number(reply, "metrics", web_metrics_port(d->metrics));
	reply_close(reply);
	put_sessions(d, reply);
	put_certificates(d->config, reply);
	put_advertised(d->config, reply);
	reply_number(reply, "connections", (int64_t)msrp_stack_connections(d->msrp));
}
