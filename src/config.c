#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <yaml.h>

#include <msrpd/slice.h>
#include <msrpd/worker.h>

#include "auth/users.h"
#include "base/buffer.h"
#include "base/tree.h"
#include "config_doubts.h"
#include "settings.h"

/* Bounds on what a file may cost us. */
enum {
	FILE_MAX = 16 << 20, /* bytes */
	NODES_MAX = 1 << 20, /* texts, lists and maps */
	DEPTH_MAX = 24,      /* of lists and maps in each other */
};

/* --- YAML to tree --- */

struct composer {
	yaml_parser_t parser;
	struct slice text;
	size_t index, offset; /* a character of text, and its first byte */
	size_t nodes;
	struct tree_fault *fault;
};

static int fail_at(struct composer *c, const yaml_mark_t *mark, const char *what)
{
	struct tree at = {
	    .line = (unsigned)mark->line + 1,
	    .column = (unsigned)mark->column + 1,
	};

	return tree_fail(c->fault, &at, "%s", what);
}

static int next_event(struct composer *c, yaml_event_t *event)
{
	yaml_parser_t *p = &c->parser;
	char what[200];

	if (yaml_parser_parse(p, event))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return tree_fail_memory(c->fault);
	snprintf(what, sizeof(what), "%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
	    p->problem ? p->problem : "not YAML");
	/* A byte that is no UTF-8 is met by the reader, which keeps no mark of its own. */
	return fail_at(c, p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark, what);
}

/* The byte of the text at a mark.  Marks count characters, and only ever go forward. */
static char byte_at(struct composer *c, const yaml_mark_t *mark)
{
	while (c->offset < c->text.len && c->index < mark->index) {
		c->offset++;
		while (c->offset < c->text.len && (c->text.p[c->offset] & 0xc0) == 0x80)
			c->offset++;
		c->index++;
	}
	return c->offset < c->text.len ? c->text.p[c->offset] : '\0';
}

/*
 * Anchors, aliases and tags would let a pattern that lacks its quotes vanish.  libyaml
 * itself swallows the tag "!", so the text has to be looked at.
 */
static int refuse_marks(struct composer *c, const yaml_event_t *event)
{
	if (event->type == YAML_ALIAS_EVENT)
		return fail_at(c, &event->start_mark,
		    "aliases are not supported; a text that begins with * wants quotes");
	switch (byte_at(c, &event->start_mark)) {
	case '!':
		return fail_at(c, &event->start_mark,
		    "tags are not supported; a text that begins with ! wants quotes");
	case '&':
		return fail_at(c, &event->start_mark,
		    "anchors are not supported; a text that begins with & wants quotes");
	default:
		return 0;
	}
}

static struct tree *make_node(const yaml_event_t *event)
{
	enum tree_kind kind = event->type == YAML_SCALAR_EVENT ? TREE_TEXT
	    : event->type == YAML_MAPPING_START_EVENT          ? TREE_MAP
							       : TREE_LIST;

	return tree_new(kind, (unsigned)event->start_mark.line + 1,
	    (unsigned)event->start_mark.column + 1);
}

static int fill_text(struct composer *c, struct tree *node, const yaml_event_t *event)
{
	yaml_scalar_style_t style = event->data.scalar.style;

	node->text =
	    (struct slice){(const char *)event->data.scalar.value, event->data.scalar.length};
	if (memchr(node->text.p, '\0', node->text.len)) {
		node->text = (struct slice){NULL, 0};
		return fail_at(c, &event->start_mark, "a NUL in a text");
	}
	node->text.p = slice_dup(node->text);
	explicit_bzero(event->data.scalar.value, event->data.scalar.length);
	if (!node->text.p)
		return tree_fail_memory(c->fault);
	node->quoted =
	    style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	node->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
	return 0;
}

static int compose(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree **nodep);

static int compose_value(struct composer *c, unsigned depth, struct tree *parent, struct tree *key)
{
	yaml_event_t event;
	struct tree *value = NULL;
	int err = next_event(c, &event);

	if (err < 0)
		goto out;
	err = compose(c, &event, depth, &value);
	yaml_event_delete(&event);
	if (err < 0)
		goto out;
	value->key = key;
	tree_append(parent, value);
	return 0;
out:
	tree_free(key);
	return err;
}

static int compose_entry(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree *map)
{
	struct tree *key = NULL;
	int err;

	if (event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT)
		return fail_at(c, &event->start_mark, "a key must be a text");
	err = compose(c, event, depth, &key);
	return err < 0 ? err : compose_value(c, depth, map, key);
}

static int by_name(const void *a, const void *b)
{
	const struct tree *x = *(const struct tree *const *)a, *y = *(const struct tree *const *)b;
	int order = strcmp(x->key->text.p, y->key->text.p);

	if (order)
		return order;
	if (x->key->line != y->key->line)
		return x->key->line < y->key->line ? -1 : 1;
	return x->key->column < y->key->column ? -1 : x->key->column > y->key->column;
}

static int refuse_twins(struct composer *c, const struct tree *map)
{
	const struct tree **all, *n;
	size_t count = 0, i;
	int err = 0;

	for (n = map->first; n; n = n->next)
		count++;
	all = calloc(count + 1, sizeof(struct tree *));
	if (!all)
		return tree_fail_memory(c->fault);
	for (n = map->first, i = 0; n; n = n->next)
		all[i++] = n;
	qsort(all, count, sizeof(struct tree *), by_name);
	for (i = 1; i < count && err == 0; i++)
		if (slice_equal(all[i - 1]->key->text, all[i]->key->text))
			err = tree_fail(c->fault, all[i]->key,
			    "%.64s is given twice, first in line %u", all[i]->key->text.p,
			    all[i - 1]->key->line);
	free(all);
	return err;
}

static int compose_children(struct composer *c, unsigned depth, struct tree *parent)
{
	yaml_event_type_t end =
	    parent->kind == TREE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	yaml_event_t event;
	bool ended = false;
	int err = 0;

	while (err == 0 && !ended) {
		struct tree *item = NULL;

		err = next_event(c, &event);
		if (err < 0)
			return err;
		ended = event.type == end;
		if (!ended && parent->kind == TREE_MAP) {
			err = compose_entry(c, &event, depth, parent);
		} else if (!ended) {
			err = compose(c, &event, depth, &item);
			if (err == 0)
				tree_append(parent, item);
		}
		yaml_event_delete(&event);
	}
	return err == 0 && parent->kind == TREE_MAP ? refuse_twins(c, parent) : err;
}

/* The node that begins with an event, and all that is in it. */
static int compose(struct composer *c, const yaml_event_t *event, unsigned depth,
    struct tree **nodep)
{
	struct tree *node;
	int err = refuse_marks(c, event);

	if (err < 0)
		return err;
	if (depth > DEPTH_MAX)
		return fail_at(c, &event->start_mark, "lists and maps are nested too deep");
	if (++c->nodes > NODES_MAX)
		return fail_at(c, &event->start_mark, "too many values");
	node = make_node(event);
	if (!node)
		return tree_fail_memory(c->fault);
	err = node->kind == TREE_TEXT ? fill_text(c, node, event)
				      : compose_children(c, depth + 1, node);
	if (err < 0)
		tree_free(node);
	else
		*nodep = node;
	return err;
}

/* The stream's one document; none, or an empty one, leaves *rootp NULL. */
static int compose_document(struct composer *c, struct tree **rootp)
{
	yaml_event_t event;
	bool ended = false;
	int err = 0;

	while (err == 0 && !ended) {
		err = next_event(c, &event);
		if (err < 0)
			return err;
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			ended = true;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (*rootp)
				err = fail_at(c, &event.start_mark, "a second document");
			break;
		default:
			err = compose(c, &event, 0, rootp);
		}
		yaml_event_delete(&event);
	}
	return err;
}

int config_compose(struct tree **rootp, struct slice text, struct tree_fault *fault)
{
	struct composer c = {.text = text, .fault = fault};
	struct tree *root = NULL;
	int err;

	*rootp = NULL;
	if (text.len > FILE_MAX)
		return tree_fail(fault, NULL, "larger than %d MiB", FILE_MAX >> 20);
	if (!yaml_parser_initialize(&c.parser))
		return tree_fail_memory(fault);
	yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&c.parser, (const unsigned char *)text.p, text.len);
	err = compose_document(&c, &root);
	/* Passwords went through it. */
	explicit_bzero(c.parser.buffer.start,
	    (size_t)(c.parser.buffer.end - c.parser.buffer.start));
	explicit_bzero(c.parser.raw_buffer.start,
	    (size_t)(c.parser.raw_buffer.end - c.parser.raw_buffer.start));
	yaml_parser_delete(&c.parser);
	if (err < 0)
		tree_free(root);
	else
		*rootp = root;
	return err;
}

/* --- sections --- */

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
	.group = ctl_metrics_settings_rows,
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

static struct config_block *block_new(const struct config_env *env)
{
	struct setting *rows = calloc(ROOT_ROWS + count_services(env) + 1, sizeof(*rows));
	struct config_block *block;

	if (!rows)
		return NULL;
	block = calloc(1, offsetof(struct config_block, config) + lay_out(rows, env));
	if (!block)
		free(rows);
	else
		block->rows = rows;
	return block;
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

/* --- a load --- */

struct config_load {
	const struct config_env *env;
	const char *name;        /* of the file */
	const struct tree *root; /* NULL: an empty file */
	struct reason *why;
};

static int complain(struct config_load *load, const struct tree_fault *fault)
{
	if (fault->line)
		return reason_set(load->why, -EINVAL, "%s:%u:%u: %s", load->name, fault->line,
		    fault->column, fault->text);
	return reason_set(load->why, -EINVAL, "%s: %s", load->name, fault->text);
}

/* Where a key stands, or would. */
static void locate(const struct config_load *load, const char *key, struct tree_fault *fault)
{
	bool exact;
	const struct tree *node = tree_walk(load->root, key, &exact);

	fault->line = node ? node->line : 1;
	fault->column = node ? node->column : 1;
}

int config_fail(struct config_load *load, const char *key, const char *format, ...)
{
	struct tree_fault fault;
	va_list args;

	locate(load, key, &fault);
	va_start(args, format);
	vsnprintf(fault.text, sizeof(fault.text), format, args);
	va_end(args);
	return complain(load, &fault);
}

int config_fail_fault(struct config_load *load, const struct tree_fault *fault)
{
	return complain(load, fault);
}

void config_warn(struct config_load *load, const char *key, const char *format, ...)
{
	struct tree_fault fault;
	char text[240], line[REASON_SIZE];
	va_list args;

	if (!load->env->warn)
		return;
	locate(load, key, &fault);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s:%u:%u: %s", load->name, fault.line, fault.column, text);
	load->env->warn(line, load->env->warn_arg);
}

const struct tree *config_tree(const struct config_load *load, const char *key)
{
	bool exact;
	const struct tree *node = tree_walk(load->root, key, &exact);

	return exact ? node : NULL;
}

void config_each_file(const struct config *cfg, const struct config_load *load,
    void (*fn)(const char *path, bool written, void *arg), void *arg)
{
	settings_each_file(config_rows(cfg), load->root, fn, arg);
}

static int run_hooks(struct config_load *load, const struct config *cfg)
{
	const struct config_hook *hook = load->env->hooks;
	int err = 0;

	for (; err == 0 && hook && hook->check; hook++)
		err = hook->check(cfg, load, hook->arg);
	return err;
}

static int fill(struct config *cfg, struct config_load *load)
{
	struct tree_fault fault = {0};
	int err = settings_read(cfg, config_rows(cfg), load->root, &fault);

	if (err < 0) {
		complain(load, &fault);
		return err;
	}
	err = run_hooks(load, cfg);
	if (err == 0)
		config_warn_of_doubts(cfg, load);
	return err;
}

int config_parse(struct config **cfgp, struct slice text, const char *name,
    const struct config_env *env, struct reason *why)
{
	struct config_load load = {.env = env, .name = name, .why = why};
	struct tree_fault fault = {0};
	struct config_block *block = NULL;
	struct tree *root = NULL;
	int err = config_compose(&root, text, &fault);

	load.root = root;
	if (err == 0)
		block = block_new(env);
	if (err == 0 && !block)
		err = tree_fail_memory(&fault);
	if (err < 0)
		complain(&load, &fault);
	else
		err = fill(&block->config, &load);
	tree_free(root);
	if (err == 0)
		*cfgp = &block->config;
	else if (block)
		config_free(&block->config);
	return err;
}

/* --- the file --- */

/* All of a file, which need not be a regular one; a byte too many tells that it is too large. */
static int read_all(const char *path, char **bytesp, size_t *lenp)
{
	FILE *f = fopen(path, "re");
	int err = 0;

	if (!f)
		return -errno;
	setvbuf(f, NULL, _IONBF, 0); /* it would keep what it has read */
	*bytesp = malloc(FILE_MAX + 1);
	if (!*bytesp)
		err = -ENOMEM;
	else
		*lenp = fread(*bytesp, 1, FILE_MAX + 1, f);
	if (err == 0 && ferror(f))
		err = errno ? -errno : -EIO;
	fclose(f);
	return err;
}

static const char placeholder[] = "${instance}";

/* Of several processes with one file each is told who it is. */
static void put_instance(struct buffer *w, struct slice text, const char *instance)
{
	const char *at;

	while (
	    (at = text.len ? memmem(text.p, text.len, placeholder, strlen(placeholder)) : NULL)) {
		buffer_add(w, slice_head(text, (size_t)(at - text.p)));
		buffer_add(w, slice_of(instance));
		text = slice_from(text, (size_t)(at - text.p) + strlen(placeholder));
	}
	buffer_add(w, text);
}

static int parse_for_instance(struct config **cfgp, struct slice text, const char *name,
    const struct config_env *env, struct reason *why)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	int err;

	if (!env->instance)
		return config_parse(cfgp, text, name, env, why);
	put_instance(&w, text, env->instance);
	err = w.err ? reason_set(why, w.err, "out of memory")
		    : config_parse(cfgp, buffer_text(&w), name, env, why);
	if (w.p)
		explicit_bzero(w.p, w.len);
	buffer_fini(&w);
	return err;
}

int config_load(struct config **cfgp, const char *path, const struct config_env *env,
    struct reason *why)
{
	char *bytes = NULL;
	size_t len = 0;
	int err = read_all(path, &bytes, &len);

	if (err < 0)
		reason_set(why, err, "%s: %s", path, strerror(-err));
	else
		err = parse_for_instance(cfgp, (struct slice){bytes, len}, path, env, why);
	if (bytes)
		explicit_bzero(bytes, len);
	free(bytes);
	return err;
}

int config_changes_fixed(const struct config *old, const struct config *fresh, struct reason *why)
{
	char key[SETTINGS_KEY_SIZE];

	if (!settings_fixed_differs(old, fresh, config_rows(old), key))
		return 0;
	return reason_set(why, -EPERM, "%s cannot change while msrpd runs: restart it", key);
}
