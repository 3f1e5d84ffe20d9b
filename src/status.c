/* What the control socket tells of the daemon as a whole. */
#include <inttypes.h>
#include <unistd.h>

#include <msrpd/control.h>
#include <msrpd/service.h>

#include "ctl/metrics.h"
#include "daemon.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "sip/stack.h"

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
		reply_number(reply, "metrics", ctl_metrics_port(d->metrics));
	reply_close(reply);
	put_sessions(d, reply);
	reply_number(reply, "connections", (int64_t)msrp_stack_connections(d->msrp));
}
