/* Node records: our own, renewed, and what the others say of themselves. */
#include "cluster/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* "-" stands for nothing. */
static struct slice or_absent(struct slice s)
{
	return slice_equal(s, SLICE("-")) ? (struct slice){NULL, 0} : s;
}

int node_parse(struct cluster_node *node, struct slice text)
{
	struct slice rest = text, instance, sip, msrp, keys = {NULL, 0};

	if (!text.len || !slice_cut(&rest, ' ', &node->name) || !slice_cut(&rest, ' ', &instance)
	    || !slice_cut(&rest, ' ', &sip) || !slice_cut(&rest, ' ', &msrp))
		return -EBADMSG;
	node->sip = or_absent(sip);
	node->msrp = or_absent(msrp);
	slice_cut(&rest, ' ', &keys);
	node->keys = or_absent(keys);
	return 0;
}

/* --- the others --- */

static struct node *node_new(struct slice text)
{
	struct node *node = calloc(1, sizeof(*node) + text.len + 1);

	if (!node)
		return NULL;
	memcpy(node->text, text.p, text.len);
	if (node_parse(&node->told, (struct slice){node->text, text.len}) == 0)
		return node;
	free(node);
	return NULL;
}

void nodes_clear(struct cluster *cluster)
{
	struct node *node, *next;

	HASH_ITER(hh, cluster->nodes, node, next)
	{
		HASH_DEL(cluster->nodes, node);
		free(node);
	}
	*cluster->count.nodes = 0;
}

static struct node *find(const struct cluster *cluster, struct slice name)
{
	struct node *node;

	HASH_FIND(hh, cluster->nodes, name.p, name.len, node);
	return node;
}

/* The set of names has each of them once. */
static void add(struct cluster *cluster, struct node *node)
{
	HASH_ADD_KEYPTR(hh, cluster->nodes, node->told.name.p, node->told.name.len, node);
	if (!node->hh.tbl)
		free(node);
}

static void take_nodes(struct cluster *cluster, const redisReply *reply)
{
	nodes_clear(cluster);
	for (size_t i = 2; i < reply->elements && HASH_COUNT(cluster->nodes) < NODES_MAX; i++) {
		struct slice text = redis_text(reply->element[i]);
		struct node *node = text.len ? node_new(text) : NULL;

		if (node)
			add(cluster, node);
	}
	*cluster->count.nodes = HASH_COUNT(cluster->nodes);
}

static void take_secret(struct cluster *cluster, struct slice secret)
{
	bool is_new = !cluster->secret_shared || !slice_equal(secret, slice_of(cluster->secret));

	if (secret.len != SECRET_LEN)
		return;
	memcpy(cluster->secret, secret.p, SECRET_LEN);
	cluster->secret_shared = true;
	if (is_new && cluster->secret_told)
		cluster->secret_told(slice_of(cluster->secret), cluster->secret_arg);
}

struct slice cluster_own_name(const struct cluster *cluster)
{
	return slice_of(cluster ? cluster->settings->node : NULL);
}

struct slice cluster_own_sip(const struct cluster *cluster)
{
	return slice_of(cluster->settings->sip);
}

struct slice cluster_own_msrp(const struct cluster *cluster)
{
	return slice_of(cluster->msrp);
}

int cluster_find_node(const struct cluster *cluster, struct slice name, struct cluster_node *node)
{
	const struct node *found = cluster && name.len ? find(cluster, name) : NULL;

	if (!found)
		return -ENOENT;
	*node = found->told;
	return 0;
}

/* --- our own --- */

static void tell_taken(struct cluster *cluster)
{
	++*cluster->count.taken;
	if (!cluster->named_twice)
		log_error("cluster: another process is node %s as well: a node needs a name of its "
			  "own. Until then this one serves alone",
		    cluster->settings->node);
	cluster->named_twice = true;
	cluster->registered = false;
}

static void on_told(const redisReply *reply, void *arg)
{
	struct cluster *cluster = arg;
	bool array = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0;
	struct slice verdict = array ? redis_text(reply->element[0]) : (struct slice){NULL, 0};
	bool anew = !cluster->registered || !slice_equal(verdict, SLICE("kept"));

	if (!verdict.p)
		return;
	if (slice_equal(verdict, SLICE("taken"))) {
		tell_taken(cluster);
		return;
	}
	if (reply->elements < 2)
		return;
	cluster->registered = true;
	cluster->named_twice = false;
	redis_prove(&cluster->redis);
	take_secret(cluster, redis_text(reply->element[1]));
	take_nodes(cluster, reply);
	claims_say_released(cluster);
	if (anew || cluster->unsure) {
		claims_renew_all(cluster);
		records_anew(cluster, anew);
	} else {
		claims_tick(cluster);
	}
}

static void tell(struct cluster *cluster)
{
	const struct cluster_settings *s = cluster->settings;
	char keys[3][KEY_SIZE], records[KEY_SIZE], ms[24];
	struct buffer record = {.max = BUFFER_UNBOUNDED};
	struct slice args[10];
	const struct redis_call call = {.script = SCRIPT_NODE,
	    .args = args,
	    .count = 10,
	    .keys = 3};

	snprintf(keys[0], sizeof(keys[0]), "%snode:%s", s->prefix, s->node);
	snprintf(keys[1], sizeof(keys[1]), "%snodes", s->prefix);
	snprintf(keys[2], sizeof(keys[2]), "%ssecret", s->prefix);
	snprintf(records, sizeof(records), "%snode:", s->prefix);
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)s->ttl_ms);
	for (size_t i = 0; i < 3; i++)
		args[i] = slice_of(keys[i]);
	buffer_printf(&record, "%s ", cluster->record);
	claims_write_counts(cluster, &record);
	args[3] = buffer_text(&record);
	args[4] = slice_of(cluster->instance);
	args[5] = slice_of(ms);
	/* Once: after a crash the record of the process before is still there. */
	args[6] = cluster->started ? SLICE("0") : SLICE("1");
	args[7] = slice_of(records);
	args[8] = slice_of(s->node);
	args[9] = slice_of(cluster->secret);
	if (!record.err && redis_run(&cluster->redis, &call, on_told, cluster) == 0)
		cluster->started = true;
	buffer_fini(&record);
}

void node_tick(void *arg)
{
	struct cluster *cluster = arg;

	tell(cluster);
	timer_start(&cluster->tick, cluster->settings->ttl_ms / 3);
}
