#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/slice.h>

#include "base/buffer.h"
#include "base/tree.h"
#include "config_doubts.h"
#include "config_sections.h"
#include "config_yaml.h"
#include "settings.h"

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
	struct config *cfg = NULL;
	struct tree *root = NULL;
	int err = config_compose(&root, text, &fault);

	load.root = root;
	if (err == 0)
		cfg = config_new(env);
	if (err == 0 && !cfg)
		err = tree_fail_memory(&fault);
	if (err < 0)
		complain(&load, &fault);
	else
		err = fill(cfg, &load);
	tree_free(root);
	if (err == 0)
		*cfgp = cfg;
	else
		config_free(cfg);
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
	*bytesp = malloc(CONFIG_TEXT_MAX + 1);
	if (!*bytesp)
		err = -ENOMEM;
	else
		*lenp = fread(*bytesp, 1, CONFIG_TEXT_MAX + 1, f);
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
