/* The cluster as a whole: its life, its numbers, and its command. */
#include "cluster/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "cluster/priv.h"

char *cluster_key(const struct cluster *cluster, const char *kind, struct slice key)
{
	char *text = NULL;

	if (memchr(key.p, '\0', key.len)
	    || asprintf(&text, "%s%s:%.*s", cluster->settings->prefix, kind, SLICE_ARG(key)) < 0)
		return NULL;
	return text;
}

int cluster_ask(struct cluster *cluster, const struct redis_call *call, redis_fn *fn, void *arg)
{
	int err = redis_run(&cluster->redis, call, fn, arg);

	cluster->unsure |= err < 0 && redis_is_ready(&cluster->redis);
	return err;
}

/* --- what services ask --- */

static struct cluster_question *ask(const struct cluster_question *question,
    const struct redis_call *call, redis_fn *fn)
{
	struct cluster *cluster = question->cluster;
	struct cluster_question *copy = malloc(sizeof(*copy));
	int err;

	if (!copy)
		return NULL;
	*copy = *question;
	err = copy->record ? cluster_ask(cluster, call, fn, copy)
			   : redis_run(&cluster->redis, call, fn, copy);
	if (err == 0)
		return copy;
	free(copy);
	return NULL;
}

struct cluster_question *question_ask(const struct cluster_question *question,
    const struct question_call *call, redis_fn *fn)
{
	const struct cluster *cluster = question->cluster;
	struct slice args[3 + QUESTION_MORE_MAX];
	const struct redis_call run = {.script = call->script,
	    .args = args,
	    .count = 3 + call->count,
	    .keys = 1};
	char *key = cluster_is_in(cluster) ? cluster_key(cluster, call->kind, call->key) : NULL;
	char records[KEY_SIZE];
	struct cluster_question *asked;

	if (!key)
		return NULL;
	snprintf(records, sizeof(records), "%snode:", cluster->settings->prefix);
	args[0] = slice_of(key);
	args[1] = slice_of(cluster->me);
	args[2] = slice_of(records);
	for (size_t i = 0; i < call->count; i++)
		args[3 + i] = call->more[i];
	asked = ask(question, &run, fn);
	free(key);
	return asked;
}

void cluster_question_drop(struct cluster_question *question)
{
	if (!question)
		return;
	question->owner = NULL;
	question->record = NULL;
}

/* --- statistics --- */

#define NUMBER(field)   .name = #field, .offset = offsetof(struct cluster_counters, field)
#define OF_REDIS(field) .name = "redis_" #field, .offset = offsetof(struct redis_counters, field)

static const struct stats_row numbers[] = {
    {NUMBER(nodes), .help = "nodes that are there, this one included", .gauge = true},
    {NUMBER(held), .help = "keys that are this node's", .gauge = true},
    {NUMBER(claims), .help = "keys that were claimed"},
    {NUMBER(refused), .help = "keys that were another node's"},
    {NUMBER(alone), .help = "keys served without Redis having been asked"},
    {NUMBER(conflicts), .help = "keys that another node has got meanwhile"},
    {NUMBER(taken), .help = "times that another process had the name of this node"},
    {NUMBER(records_read), .help = "records that Redis was asked for"},
    {NUMBER(records_written), .help = "records that were written"},
    {NUMBER(records_changed), .help = "records that another node had changed meanwhile"},
    {0},
};

static const struct stats_row redis_numbers[] = {
    {OF_REDIS(connected), .help = "is Redis there? 0 or 1", .gauge = true},
    {OF_REDIS(connects), .help = "connections to Redis that were opened"},
    {OF_REDIS(commands), .help = "commands given to Redis"},
    {OF_REDIS(errors), .help = "errors that it answered"},
    {OF_REDIS(timeouts), .help = "times that it did not answer in time"},
    {0},
};

/* --- the command --- */

/* "gw=3,room=1" */
static void put_keys(struct reply *out, struct slice keys)
{
	struct slice one, kind;

	reply_open_object(out, "keys");
	while (slice_cut(&keys, ',', &one)) {
		uint64_t count;
		char name[32];

		slice_cut(&one, '=', &kind);
		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(kind));
		if (slice_to_u64(one, INT64_MAX, &count) == 0)
			reply_number(out, name, (int64_t)count);
	}
	reply_close(out);
}

static void put_node(struct reply *out, const struct cluster *cluster, const struct node *node)
{
	bool self = slice_equal(node->told.name, slice_of(cluster->settings->node));

	reply_open_object(out, NULL);
	reply_text(out, "node", node->told.name);
	reply_text(out, "sip", node->told.sip);
	reply_text(out, "msrp", node->told.msrp);
	put_keys(out, node->told.keys);
	reply_bool(out, "self", self);
	reply_close(out);
}

static void call_cluster(const struct param *params, struct reply *out, void *state)
{
	const struct cluster *cluster = state;
	const struct node *node;

	(void)params;
	if (!cluster) {
		reply_error(out, 404, "there is no cluster: in the config");
		return;
	}
	reply_open_object(out, NULL);
	reply_text(out, "node", slice_of(cluster->settings->node));
	reply_bool(out, "redis", redis_is_ready(&cluster->redis));
	reply_bool(out, "alone", !redis_is_ready(&cluster->redis) || !cluster->registered);
	reply_number(out, "owned", (int64_t)cluster->claim_count);
	reply_number(out, "written", (int64_t)*cluster->count.records_written);
	reply_number(out, "conflicts", (int64_t)*cluster->count.conflicts);
	reply_open_list(out, "nodes");
	for (node = cluster->nodes; node; node = node->hh.next)
		put_node(out, cluster, node);
	reply_close(out);
	reply_close(out);
}

const struct method cluster_methods[] = {
    {.name = "cluster", .call = call_cluster, .help = "list the nodes, and what this one owns"},
    {0},
};

/* --- life --- */

static void on_ready(void *arg)
{
	struct cluster *cluster = arg;

	cluster->registered = false;
	cluster->asking_all = false;
	cluster->told_conflict = false;
	node_tick(cluster);
}

static int set_up(struct cluster *cluster, const struct cluster_env *env)
{
	const struct cluster_settings *s = env->settings;
	int err = stats_register(env->stats, "cluster", numbers, &cluster->count);

	if (err == 0)
		err = stats_register(env->stats, "cluster", redis_numbers, &cluster->redis.count);
	if (err < 0)
		return err;
	cluster->settings = s;
	rand_token(cluster->instance, INSTANCE_LEN);
	rand_token(cluster->secret, SECRET_LEN);
	cluster->msrp = slice_dup(s->msrp ? slice_of(s->msrp) : env->msrp);
	if (asprintf(&cluster->record, "%s %s %s", cluster->instance, s->sip ? s->sip : "-",
		cluster->msrp ? cluster->msrp : "-")
	    < 0)
		cluster->record = NULL;
	if (asprintf(&cluster->me, "%s %s", s->node, cluster->instance) < 0)
		cluster->me = NULL;
	if (!cluster->record || !cluster->me)
		return -ENOMEM;
	err = timer_init(&cluster->tick, env->base, node_tick, cluster);
	return err < 0 ? err : redis_init(&cluster->redis, env->base, s, on_ready, cluster);
}

int cluster_new(struct cluster **clusterp, const struct cluster_env *env)
{
	struct cluster *cluster;
	int err;

	*clusterp = NULL;
	if (!env->settings->given)
		return 0;
	cluster = calloc(1, sizeof(*cluster));
	if (!cluster)
		return -ENOMEM;
	TAILQ_INIT(&cluster->claims);
	TAILQ_INIT(&cluster->watches);
	err = set_up(cluster, env);
	if (err < 0)
		cluster_free(cluster);
	else
		*clusterp = cluster;
	return err;
}

void cluster_on_secret(struct cluster *cluster, void (*fn)(struct slice secret, void *arg),
    void *arg)
{
	if (!cluster)
		return;
	cluster->secret_told = fn;
	cluster->secret_arg = arg;
}

void cluster_reload(struct cluster *cluster, const struct cluster_settings *settings)
{
	if (cluster)
		cluster->settings = cluster->redis.settings = settings;
}

/* The last command of a connection leaves with it, if the socket takes it at once. */
static void leave(struct cluster *cluster)
{
	char keys[2][KEY_SIZE];
	struct slice args[4];
	const struct redis_call call = {.script = SCRIPT_LEAVE,
	    .args = args,
	    .count = 4,
	    .keys = 2};

	snprintf(keys[0], sizeof(keys[0]), "%snode:%s", cluster->settings->prefix,
	    cluster->settings->node);
	snprintf(keys[1], sizeof(keys[1]), "%snodes", cluster->settings->prefix);
	args[0] = slice_of(keys[0]);
	args[1] = slice_of(keys[1]);
	args[2] = slice_of(cluster->instance);
	args[3] = slice_of(cluster->settings->node);
	if (redis_run(&cluster->redis, &call, NULL, NULL) == 0)
		redisAsyncHandleWrite(cluster->redis.context);
}

void cluster_free(struct cluster *cluster)
{
	if (!cluster)
		return;
	cluster->secret_told = NULL;
	cluster->counting.counted.total = NULL;
	if (redis_is_ready(&cluster->redis))
		leave(cluster);
	claims_forget(cluster);
	redis_fini(&cluster->redis);
	claims_forget_released(cluster);
	timer_fini(&cluster->tick);
	if (cluster->count.nodes)
		nodes_clear(cluster);
	explicit_bzero(cluster->secret, sizeof(cluster->secret));
	free(cluster->msrp);
	free(cluster->record);
	free(cluster->me);
	free(cluster);
}
