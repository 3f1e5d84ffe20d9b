#include "config_sections.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/worker.h>

#include "auth/users.h"
#include "settings.h"

static int check_credential(const void *value, struct reason *why)
{
	const struct sip_credential *c = value;

	if (!c->realm || !*c->realm || !c->username || !*c->username)
		reason_set(why, -EINVAL, "want a realm and a username each");
	else if (!c->password == !c->ha1)
		reason_set(why, -EINVAL, "want either a password or a ha1 each");
	else
		return 0;
	return -EINVAL;
}

/* Lists of rules: compiled by main, through a hook. */
static const struct setting route_rows[] = {
    {.name = "sip",
	.type = SETTING_TREE,
	.help =
	    "Rules for each INVITE and REFER outside a dialog, each MESSAGE, and with a registrar each "
	    "REGISTER."},
    {.name = "msrp", .type = SETTING_TREE, .help = "Rules for each frame that reaches the relay."},
    {.name = "msrp_auth", .type = SETTING_TREE, .help = "Rules for each AUTH with credentials."},
    {.name = "msrp_socket",
	.type = SETTING_TREE,
	.help = "Rules that choose the listener that a relay session leaves from."},
    {.name = "event", .type = SETTING_TREE, .help = "Rules for each event."},
    {0},
};

static const struct setting root_rows[] = {
    {.name = "shutdown_grace",
	.type = SETTING_DURATION,
	.preset = "5s",
	.offset = offsetof(struct config, shutdown_grace_ms),
	.max = 3600000,
	.help = "How long a graceful stop may take."},
    {.name = "log",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, log),
	.group = log_settings_rows,
	.help = "Where log lines go."},
    {.name = "sandbox",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, sandbox),
	.group = sandbox_settings_rows,
	.flags = SETTING_FIXED,
	.help = "What msrpd takes from itself once it has started."},
    {.name = "control",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, control),
	.group = ctl_settings_rows,
	.help = "The socket that applications and msrpctl use."},
    {.name = "sip",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, sip),
	.group = sip_settings_rows,
	.check = sip_settings_check,
	.help = "SIP listeners and what they share."},
    {.name = "msrp",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, msrp),
	.group = msrp_settings_rows,
	.help = "MSRP listeners, time-outs and limits."},
    {.name = "limits",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, limits),
	.group = net_guard_settings_rows,
	.help =
	    "What one address may do, on all listeners together; an IPv6 address counts by its /64."},
    {.name = "proxy_protocol",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct config, proxy_protocol),
	.check = prefixes_check,
	.help =
	    "Addresses and prefixes from which every accepted stream must begin with a PROXY header, "
	    "version 1 or 2: of HAProxy, say. The client that it names counts from then on."},
    {.name = "share_ports",
	.type = SETTING_BOOL,
	.offset = offsetof(struct config, share_ports),
	.preset = "false",
	.flags = SETTING_FIXED,
	.help = "Whether the listeners of SIP, MSRP and the web may be open in other processes of "
		"the same user as well (SO_REUSEPORT): the kernel hands out what comes."},
    {.name = "tls_threads",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct config, tls_threads),
	.preset = "0",
	.max = WORKER_THREADS_MAX,
	.flags = SETTING_FIXED,
	.help =
	    "Threads that compute the handshakes of TLS, of all listeners and outgoing connections "
	    "together; 0 is as many as there are processors."},
    {.name = "dns",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, dns),
	.group = net_dns_settings_rows,
	.help = "Names into addresses, and domains into their servers."},
    {.name = "credentials",
	.type = SETTING_LIST,
	.offset = offsetof(struct config, credentials),
	.group = sip_credential_rows,
	.item_size = sizeof(struct sip_credential),
	.check = check_credential,
	.help = "Who msrpd is to those who challenge it, by SIP or as an MSRP relay."},
    {.name = "users",
	.type = SETTING_MAP,
	.offset = offsetof(struct config, users),
	.group = auth_user_rows,
	.item_size = sizeof(struct auth_user),
	.check = auth_user_check,
	.help = "Who may log in, by user name, for SIP and AUTH alike; relay.users and "
		"relay.htdigest are looked in as well."},
    {.name = "ua",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, ua),
	.group = ua_settings_rows,
	.help = "The User Agent."},
    {.name = "metrics",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, metrics),
	.group = web_metrics_settings_rows,
	.help = "The listener for Prometheus."},
    {.name = "web",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, web),
	.group = web_settings_rows,
	.check = web_settings_check,
	.help = "The port for browsers and web services: docs/web.md."},
    {.name = "cluster",
	.type = SETTING_GROUP,
	.offset = offsetof(struct config, cluster),
	.group = cluster_settings_rows,
	.flags = SETTING_OPTIONAL,
	.check = cluster_settings_check,
	.help = "This msrpd is one of several with one name: docs/cluster.md."},
    {.name = "routes",
	.type = SETTING_GROUP,
	.group = route_rows,
	.help = "What is done with what arrives: docs/routes.md."},
    {0},
};

enum { ROOT_ROWS = sizeof(root_rows) / sizeof(root_rows[0]) - 1 };

/* A config in one piece, so that one table of rows covers services' sections too. */
struct config_block {
	struct setting *rows; /* root_rows, then one for each service */
	struct config config; /* behind it the services' structs */
};

static struct config_block *block_of(const struct config *cfg)
{
	return (struct config_block *)((char *)cfg - offsetof(struct config_block, config));
}

static size_t align(size_t size)
{
	size_t unit = _Alignof(max_align_t);

	return (size + unit - 1) / unit * unit;
}

static size_t count_services(const struct config_env *env)
{
	size_t n = 0;

	while (env->services && env->services[n])
		n++;
	return n;
}

/* Lay out the services' sections behind the config.  @return bytes of config and sections */
static size_t lay_out(struct setting *rows, const struct config_env *env)
{
	size_t size = align(sizeof(struct config)), used = ROOT_ROWS;

	memcpy(rows, root_rows, ROOT_ROWS * sizeof(root_rows[0]));
	for (size_t i = 0; i < count_services(env); i++) {
		const struct service *service = env->services[i];

		if (!service->section)
			continue;
		rows[used++] = (struct setting){.name = service->section,
		    .type = SETTING_GROUP,
		    .offset = size,
		    .group = service->settings,
		    .flags = service->optional ? SETTING_OPTIONAL : 0,
		    .check = service->check};
		size += align(service->settings_size);
	}
	return size;
}

struct config *config_new(const struct config_env *env)
{
	struct setting *rows = calloc(ROOT_ROWS + count_services(env) + 1, sizeof(*rows));
	struct config_block *block;

	if (!rows)
		return NULL;
	block = calloc(1, offsetof(struct config_block, config) + lay_out(rows, env));
	if (!block) {
		free(rows);
		return NULL;
	}
	block->rows = rows;
	return &block->config;
}

const struct setting *config_rows(const struct config *cfg)
{
	return block_of(cfg)->rows;
}

const void *config_service(const struct config *cfg, const struct service *service)
{
	const void *section = NULL;

	if (service->section)
		settings_find(config_rows(cfg), service->section, cfg, &section);
	return section;
}

void config_free(struct config *cfg)
{
	struct config_block *block;

	if (!cfg)
		return;
	block = block_of(cfg);
	settings_clear(cfg, block->rows);
	free(block->rows);
	free(block);
}
