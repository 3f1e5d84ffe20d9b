/* Claims, nodes and marks of a cluster, with a Redis that comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/buffer.h"
#include "base/stats.h"
#include "cluster/priv.h"
#include "loop.h"
#include "redis_server.h"

enum { NODES = 2, THINGS = 300 };

/* What is to be owned by one node. */
struct thing {
	struct cluster_claim claim;
	bool decided, lost;
	char owner[64]; /* empty: ours */
};

struct one {
	struct stats *stats;
	struct cluster_settings settings;
	struct cluster *cluster;
};

struct fixture {
	struct redis_server redis;
	struct event_base *base;
	char *urls[1];
	struct one nodes[NODES];
	struct thing things[NODES][THINGS];
};

static void note_owner(struct thing *t, const struct cluster_node *owner)
{
	struct slice name = owner ? owner->name : SLICE("");

	snprintf(t->owner, sizeof(t->owner), "%.*s", SLICE_ARG(name));
}

static void on_decided(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct thing *t = (struct thing *)claim;

	t->decided = true;
	note_owner(t, owner);
}

static void on_lost(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct thing *t = (struct thing *)claim;

	t->lost = true;
	note_owner(t, owner);
}

static const struct cluster_claim_ops ops = {on_decided, on_lost};

static void start_node(struct fixture *f, size_t i)
{
	static char *const names[NODES] = {"a", "b"};
	static char *const sips[NODES] = {"sip:127.0.0.1:5061;transport=tcp", NULL};
	struct one *n = &f->nodes[i];
	struct cluster_env env = {
	    .base = f->base,
	    .settings = &n->settings,
	    .msrp = SLICE("msrp://127.0.0.1:2855;tcp"),
	};

	n->settings = (struct cluster_settings){
	    .given = true,
	    .redis = {f->urls, 1},
	    .node = names[i],
	    .sip = sips[i],
	    .prefix = "test:",
	    .ttl_ms = 3000,
	};
	assert_int_equal(stats_new(&n->stats), 0);
	env.stats = n->stats;
	assert_int_equal(cluster_new(&n->cluster, &env), 0);
}

static void stop_node(struct fixture *f, size_t i)
{
	cluster_free(f->nodes[i].cluster);
	f->nodes[i].cluster = NULL;
	stats_free(f->nodes[i].stats);
	f->nodes[i].stats = NULL;
}

static bool both_in(void *arg)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < NODES; i++)
		if (!redis_is_ready(&f->nodes[i].cluster->redis) || !f->nodes[i].cluster->registered
		    || f->nodes[i].cluster->asking_all
		    || HASH_COUNT(f->nodes[i].cluster->nodes) != NODES)
			return false;
	return true;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	redis_server_start(&f->redis);
	f->urls[0] = f->redis.url;
	for (size_t i = 0; i < NODES; i++) {
		start_node(f, i);
		for (size_t k = 0; k < THINGS; k++)
			f->things[i][k].claim.ops = &ops;
	}
	loop_until(f->base, both_in, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NODES; i++) {
		for (size_t k = 0; k < THINGS; k++)
			cluster_release(&f->things[i][k].claim);
		stop_node(f, i);
	}
	event_base_free(f->base);
	redis_server_fini(&f->redis);
	free(f);
	return 0;
}

/* @return is it decided at once? */
static bool claim(struct fixture *f, size_t node, size_t k)
{
	struct thing *t = &f->things[node][k];
	char key[32];

	snprintf(key, sizeof(key), "key %zu", k);
	t->decided = t->lost = false;
	t->owner[0] = '\0';
	if (!cluster_claim(f->nodes[node].cluster, &t->claim, "gw", slice_of(key)))
		return false;
	t->decided = true;
	return true;
}

static bool all_decided(void *arg)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < NODES; i++)
		for (size_t k = 0; k < THINGS; k++)
			if (f->things[i][k].claim.state == CLUSTER_ASKING)
				return false;
	return true;
}

static uint64_t number(const uint64_t *p)
{
	return *p;
}

static bool all_answered(void *arg)
{
	struct fixture *f = arg;

	return f->nodes[0].cluster->redis.under_way == 0
	    && f->nodes[1].cluster->redis.under_way == 0;
}

/* --- tests --- */

static void at_once(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 0; k < THINGS; k++)
		for (size_t i = 0; i < NODES; i++)
			assert_false(claim(f, (i + k) % NODES, k));
	loop_until(f->base, all_decided, f);
	for (size_t k = 0; k < THINGS; k++) {
		const struct thing *a = &f->things[0][k], *b = &f->things[1][k];

		assert_true(a->decided && b->decided);
		assert_true(!a->owner[0] != !b->owner[0]);
		assert_string_equal(a->owner[0] ? a->owner : b->owner, a->owner[0] ? "b" : "a");
	}
	assert_int_equal(f->nodes[0].cluster->claim_count + f->nodes[1].cluster->claim_count,
	    THINGS);
}

static void released(void **state)
{
	struct fixture *f = *state;

	claim(f, 0, 0);
	loop_until(f->base, all_decided, f);
	claim(f, 1, 0);
	loop_until(f->base, all_decided, f);
	assert_string_equal(f->things[1][0].owner, "a");
	assert_int_equal(f->things[1][0].claim.state, CLUSTER_NOTHING);
	cluster_release(&f->things[0][0].claim);
	claim(f, 0, 1);
	cluster_release(&f->things[0][1].claim); /* while it is asked for */
	loop_until(f->base, all_answered, f);
	claim(f, 1, 0);
	claim(f, 1, 1);
	loop_until(f->base, all_decided, f);
	assert_string_equal(f->things[1][0].owner, "");
	assert_string_equal(f->things[1][1].owner, "");
	assert_false(f->things[0][1].decided);
}

struct owner {
	bool told;
	char name[16]; /* empty: no other node */
};

static void on_owner(const struct cluster_node *owner, void *arg)
{
	struct owner *o = arg;
	struct slice name = owner ? owner->name : SLICE("");

	assert_false(o->told);
	o->told = true;
	snprintf(o->name, sizeof(o->name), "%.*s", SLICE_ARG(name));
}

static bool owner_told(void *arg)
{
	return ((struct owner *)arg)->told;
}

static struct cluster_question *ask_owner(struct fixture *f, size_t i, struct owner *o)
{
	*o = (struct owner){.told = false};
	return cluster_owner_read(f->nodes[i].cluster, "gw", SLICE("key 0"), on_owner, o);
}

static void is_owner(struct fixture *f, size_t i, const char *name)
{
	struct owner o;

	assert_non_null(ask_owner(f, i, &o));
	loop_until(f->base, owner_told, &o);
	assert_string_equal(o.name, name);
}

/* Who has a key is asked without claiming it. */
static void owners(void **state)
{
	struct fixture *f = *state;
	struct owner dropped, late;

	is_owner(f, 1, "");
	claim(f, 0, 0);
	loop_until(f->base, all_decided, f);
	assert_string_equal(f->things[0][0].owner, "");
	is_owner(f, 1, "a");
	is_owner(f, 0, "");
	cluster_question_drop(ask_owner(f, 1, &dropped));
	claims_forget(f->nodes[0].cluster); /* as a process that dies */
	stop_node(f, 0);
	start_node(f, 0);
	loop_until(f->base, both_in, f);
	is_owner(f, 1, ""); /* of another instance */
	assert_false(dropped.told);
	assert_non_null(ask_owner(f, 1, &late));
	redis_server_stop(&f->redis);
	loop_until(f->base, owner_told, &late);
	assert_string_equal(late.name, "");
	assert_null(ask_owner(f, 1, &late));
	redis_server_start(&f->redis);
}

static void node_left(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 0; k < THINGS; k++)
		claim(f, 0, k);
	loop_until(f->base, all_decided, f);
	claims_forget(f->nodes[0].cluster); /* as a process that dies: nothing is given back */
	stop_node(f, 0);
	for (size_t k = 0; k < THINGS; k++)
		claim(f, 1, k);
	loop_until(f->base, all_decided, f);
	for (size_t k = 0; k < THINGS; k++)
		assert_string_equal(f->things[1][k].owner, "");
	start_node(f, 0);
	loop_until(f->base, both_in, f);
	claim(f, 0, 0);
	loop_until(f->base, all_decided, f);
	assert_string_equal(f->things[0][0].owner, "b");
}

enum { MANY = 200 }; /* beside ours */

struct tell {
	struct cluster *cluster;
	size_t count;
};

static bool has_heard(void *arg)
{
	const struct tell *t = arg;

	return HASH_COUNT(t->cluster->nodes) == t->count;
}

static void have_heard(struct fixture *f, size_t count)
{
	struct tell t = {f->nodes[0].cluster, count};

	node_tick(t.cluster);
	loop_until(f->base, has_heard, &t);
	assert_int_equal(number(t.cluster->count.nodes), count);
}

/* Each of the nodes that come and go is found by its name as long as it is there. */
static void many_nodes(void **state)
{
	struct fixture *f = *state;
	const struct cluster *c = f->nodes[0].cluster;
	struct cluster_node node;
	char name[16], sip[32];

	redis_server_call(&f->redis,
	    "EVAL \"for i = 0, 199 do "
	    "redis.call('SET', 'test:node:n' .. i, 'instance sip:10.0.0.' .. i .. ' - -') "
	    "redis.call('SADD', 'test:nodes', 'n' .. i) end "
	    "return redis.status_reply('OK')\" 0");
	have_heard(f, NODES + MANY);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		snprintf(sip, sizeof(sip), "sip:10.0.0.%u", i);
		assert_int_equal(cluster_find_node(c, slice_of(name), &node), 0);
		assert_true(slice_equal(node.name, slice_of(name)));
		assert_true(slice_equal(node.sip, slice_of(sip)));
	}
	redis_server_call(&f->redis,
	    "EVAL \"for i = 1, 199, 2 do redis.call('DEL', 'test:node:n' .. i) end "
	    "return redis.status_reply('OK')\" 0");
	have_heard(f, NODES + MANY / 2);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(cluster_find_node(c, slice_of(name), &node), i % 2 ? -ENOENT : 0);
	}
	assert_int_equal(cluster_find_node(c, SLICE("b"), &node), 0);
	assert_int_equal(cluster_find_node(c, SLICE("n"), &node), -ENOENT);
	assert_int_equal(cluster_find_node(c, (struct slice){NULL, 0}, &node), -ENOENT);
	assert_int_equal(cluster_find_node(NULL, SLICE("b"), &node), -ENOENT);
}

/* --- what stands in Redis that no node has written --- */

struct secrets {
	unsigned count;
	char last[128];
};

static void on_secret(struct slice secret, void *arg)
{
	struct secrets *s = arg;

	s->count++;
	snprintf(s->last, sizeof(s->last), "%.*s", SLICE_ARG(secret));
}

/* A round, with what Redis has now. */
static void hear(struct fixture *f)
{
	node_tick(f->nodes[0].cluster);
	loop_until(f->base, all_answered, f);
}

static void no_records(void **state)
{
	struct fixture *f = *state;
	const struct cluster *c = f->nodes[0].cluster;
	struct cluster_node node;

	assert_true(slice_equal(cluster_own_msrp(c), SLICE("msrp://127.0.0.1:2855;tcp")));
	redis_server_call(&f->redis, "MSET test:node:x - test:node:y instance test:node:z \"i s\"");
	redis_server_call(&f->redis,
	    "EVAL \"redis.call('SADD', 'test:nodes', 'x', 'y', 'z') "
	    "return redis.status_reply('OK')\" 0");
	hear(f);
	assert_int_equal(HASH_COUNT(c->nodes), NODES);
	assert_int_equal(cluster_find_node(c, SLICE("x"), &node), -ENOENT);
	assert_int_equal(cluster_find_node(c, SLICE("b"), &node), 0);
}

/* What is no secret takes the place of none; another one is told. */
static void secrets(void **state)
{
	struct fixture *f = *state;
	struct cluster *c = f->nodes[0].cluster;
	struct secrets told = {.count = 0};
	char before[128], command[256];

	assert_true(strlen(c->secret) < sizeof(before));
	strcpy(before, c->secret);
	cluster_on_secret(c, on_secret, &told);
	told.count = 0;
	redis_server_call(&f->redis, "SET test:secret short");
	hear(f);
	assert_string_equal(c->secret, before);
	assert_int_equal(told.count, 0);
	before[0] = before[0] == 'x' ? 'y' : 'x';
	snprintf(command, sizeof(command), "SET test:secret %s", before);
	redis_server_call(&f->redis, command);
	hear(f);
	hear(f);
	assert_string_equal(c->secret, before);
	assert_string_equal(told.last, before);
	assert_int_equal(told.count, 1);
}

static bool one_lost(void *arg)
{
	struct fixture *f = arg;
	size_t lost = 0;

	for (size_t k = 0; k < THINGS; k++)
		for (size_t i = 0; i < NODES; i++)
			lost += f->things[i][k].lost;
	return lost == THINGS;
}

static void take_alone(struct fixture *f)
{
	for (size_t k = 0; k < THINGS; k++)
		for (size_t i = 0; i < NODES; i++)
			assert_true(claim(f, i, k));
}

static void resolved(struct fixture *f)
{
	loop_until(f->base, one_lost, f);
	for (size_t k = 0; k < THINGS; k++)
		assert_true(f->things[0][k].lost != f->things[1][k].lost);
	assert_int_equal(number(f->nodes[0].cluster->count.conflicts)
		+ number(f->nodes[1].cluster->count.conflicts),
	    THINGS);
	assert_int_equal(number(f->nodes[0].cluster->count.held)
		+ number(f->nodes[1].cluster->count.held),
	    THINGS);
}

static bool both_away(void *arg)
{
	struct fixture *f = arg;

	return !redis_is_ready(&f->nodes[0].cluster->redis)
	    && !redis_is_ready(&f->nodes[1].cluster->redis);
}

static void redis_paused(void **state)
{
	struct fixture *f = *state;
	uint64_t start = timer_now_ms();

	redis_server_pause(&f->redis, true);
	assert_false(claim(f, 0, 0));
	loop_until(f->base, all_decided, f);
	assert_in_range(timer_now_ms() - start, 900, 30000);
	assert_string_equal(f->things[0][0].owner, "");
	cluster_release(&f->things[0][0].claim);
	loop_until(f->base, both_away, f);
	take_alone(f);
	redis_server_pause(&f->redis, false);
	resolved(f);
}

static void redis_restarted(void **state)
{
	struct fixture *f = *state;

	redis_server_stop(&f->redis);
	loop_until(f->base, both_away, f);
	take_alone(f);
	redis_server_start(&f->redis);
	resolved(f);
	loop_until(f->base, both_in, f);
	assert_int_equal(number(f->nodes[0].cluster->redis.count.connected), 1);
}

/* What was ours before is ours when Redis comes back without knowing of it. */
static void redis_emptied(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 0; k < THINGS; k++)
		claim(f, 0, k);
	loop_until(f->base, all_decided, f);
	redis_server_stop(&f->redis);
	redis_server_start(&f->redis);
	loop_until(f->base, both_away, f);
	loop_until(f->base, both_in, f);
	claim(f, 1, THINGS - 1);
	loop_until(f->base, all_decided, f);
	assert_int_equal(number(f->nodes[0].cluster->count.conflicts), 0);
	assert_string_equal(f->things[1][THINGS - 1].owner, "a");
}

/* What a full Redis did not take is asked again when it does. */
static void redis_full(void **state)
{
	struct fixture *f = *state;

	redis_server_call(&f->redis, "CONFIG SET maxmemory 1");
	for (size_t k = 0; k < THINGS; k++)
		for (size_t i = 0; i < NODES; i++)
			assert_false(claim(f, i, k));
	loop_until(f->base, all_decided, f);
	for (size_t i = 0; i < NODES; i++)
		assert_int_equal(f->nodes[i].cluster->claim_count, THINGS);
	redis_server_call(&f->redis, "CONFIG SET maxmemory 0");
	resolved(f);
}

/* What was given up while Redis was away is free for all when it is back. */
static void released_away(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 0; k < THINGS; k++)
		claim(f, 0, k);
	loop_until(f->base, all_decided, f);
	redis_server_pause(&f->redis, true);
	cluster_release(&f->things[0][0].claim); /* as long as nobody knows */
	loop_until(f->base, both_away, f);
	for (size_t k = 1; k < THINGS; k++)
		cluster_release(&f->things[0][k].claim);
	assert_true(claim(f, 0, 1)); /* and again ours */
	redis_server_pause(&f->redis, false);
	loop_until(f->base, both_in, f);
	for (size_t k = 0; k < THINGS; k++)
		claim(f, 1, k);
	loop_until(f->base, all_decided, f);
	for (size_t k = 0; k < THINGS; k++)
		assert_string_equal(f->things[1][k].owner, k == 1 ? "a" : "");
}

static bool named_twice(void *arg)
{
	struct fixture *f = arg;

	return f->nodes[0].cluster->named_twice;
}

static void same_name(void **state)
{
	struct fixture *f = *state;

	stop_node(f, 1);
	start_node(f, 1);
	cluster_free(f->nodes[1].cluster);
	f->nodes[1].settings.node = "a";
	assert_int_equal(cluster_new(&f->nodes[1].cluster,
			     &(struct cluster_env){.base = f->base,
				 .stats = f->nodes[1].stats,
				 .settings = &f->nodes[1].settings}),
	    0);
	loop_until(f->base, named_twice, f);
	assert_true(claim(f, 0, 0)); /* it serves alone */
}

static void marks(void **state)
{
	struct fixture *f = *state;
	struct buffer w = {.max = BUFFER_UNBOUNDED}, texts = {.max = BUFFER_UNBOUNDED};
	struct cluster_mark mark = {SLICE("gw"), {SLICE("a key=%"), {NULL, 0}, SLICE("")}, 3,
	    SLICE("sip:n1@a")};
	struct cluster_mark got;
	struct slice line, value;

	cluster_mark_write(f->nodes[0].cluster, &w, SLICE("b"), &mark);
	assert_int_equal(w.err, 0);
	line = buffer_text(&w);
	value = slice_from(line, strlen(CLUSTER_HEADER ": "));
	value.len -= 2;
	assert_int_equal(cluster_mark_read(f->nodes[1].cluster, &texts, value, &got), 0);
	assert_int_equal(got.count, 3);
	assert_true(slice_equal(got.service, SLICE("gw")));
	assert_true(slice_equal(got.args[0], SLICE("a key=%")));
	assert_null(got.args[1].p);
	assert_non_null(got.args[2].p);
	assert_int_equal(got.args[2].len, 0);
	/* for another node, and changed at any place */
	assert_int_equal(cluster_mark_read(f->nodes[0].cluster, &texts, value, &got), -EACCES);
	for (size_t i = 0; i < value.len; i++) {
		((char *)value.p)[i] ^= 1;
		assert_int_equal(cluster_mark_read(f->nodes[1].cluster, &texts, value, &got),
		    -EACCES);
		((char *)value.p)[i] ^= 1;
		assert_int_equal(
		    cluster_mark_read(f->nodes[1].cluster, &texts, slice_head(value, i), &got),
		    -EACCES);
	}
	buffer_fini(&w);
	buffer_fini(&texts);
}

/* --- records --- */

struct told {
	bool done, there, written;
	uint64_t born_us, version, now_ms;
	char lines[512];
};

static void on_record(const struct cluster_record *record, void *arg)
{
	struct told *t = arg;
	size_t used = 0;

	*t = (struct told){.done = true, .there = record};
	if (!record)
		return;
	t->written = record->written;
	t->born_us = record->born_us;
	t->version = record->version;
	t->now_ms = record->now_ms;
	for (size_t i = 0; i < record->count; i++)
		used += (size_t)snprintf(t->lines + used, sizeof(t->lines) - used, "%.*s|%.*s|%d ",
		    SLICE_ARG(record->lines[i].text), SLICE_ARG(record->lines[i].sip),
		    record->lines[i].process.p != NULL);
}

static bool is_told(void *arg)
{
	return ((struct told *)arg)->done;
}

static struct told write_record(struct fixture *f, size_t i, uint64_t born_us, uint64_t version,
    const char *text, bool bound)
{
	struct cluster *c = f->nodes[i].cluster;
	const struct cluster_line line = {.process = bound ? cluster_own_process(c)
							   : (struct slice){NULL, 0},
	    .text = slice_of(text)};
	const struct cluster_writing writing = {.born_us = born_us,
	    .version = version,
	    .keep_ms = 60000,
	    .lines = &line,
	    .count = 1};
	struct told told = {.done = false};

	assert_non_null(cluster_record_write(c, "aor", SLICE("x"), &writing, on_record, &told));
	assert_false(told.done);
	loop_until(f->base, is_told, &told);
	return told;
}

static struct told read_record(struct fixture *f, size_t i)
{
	struct told told = {.done = false};

	assert_non_null(
	    cluster_record_read(f->nodes[i].cluster, "aor", SLICE("x"), on_record, &told));
	loop_until(f->base, is_told, &told);
	return told;
}

static void records(void **state)
{
	struct fixture *f = *state;
	struct told told = read_record(f, 0), first;

	assert_true(told.there && !told.written && !told.born_us && told.now_ms > 0);
	first = write_record(f, 0, 0, 0, "one two", true);
	assert_true(first.written && first.born_us > 0);
	assert_int_equal(first.version, 1);
	/* Who has not seen it does not write, but sees it. */
	told = write_record(f, 1, 0, 0, "mine", false);
	assert_false(told.written);
	assert_string_equal(told.lines, "one two|sip:127.0.0.1:5061;transport=tcp|1 ");
	told = write_record(f, 1, told.born_us, told.version, "mine", false);
	assert_true(told.written && told.version == 2 && told.born_us == first.born_us);
	told = read_record(f, 0);
	assert_string_equal(told.lines, "mine||0 ");
	/* What lived with a process is gone with it. */
	told = write_record(f, 0, told.born_us, told.version, "bound", true);
	assert_true(told.written);
	assert_string_equal(read_record(f, 1).lines, "bound|sip:127.0.0.1:5061;transport=tcp|1 ");
	stop_node(f, 0);
	do
		told = read_record(f, 1);
	while (told.lines[0]); /* it has taken leave over a connection of its own */
	assert_int_equal(told.version, 3);
	start_node(f, 0);
}

/* A question that nobody waits for, and those of a Redis that goes. */
static void records_unanswered(void **state)
{
	struct fixture *f = *state;
	struct cluster *c = f->nodes[0].cluster;
	struct told dropped = {.done = false}, told = {.done = false};

	cluster_question_drop(cluster_record_read(c, "aor", SLICE("x"), on_record, &dropped));
	assert_non_null(cluster_record_read(c, "aor", SLICE("x"), on_record, &told));
	redis_server_stop(&f->redis);
	loop_until(f->base, is_told, &told);
	assert_false(told.there);
	assert_false(dropped.done);
	assert_null(cluster_record_read(c, "aor", SLICE("x"), on_record, &told));
	redis_server_start(&f->redis);
}

struct watcher {
	struct cluster_watch watch;
	unsigned told;
};

static void on_anew(struct cluster_watch *watch, bool all)
{
	assert_false(all);
	((struct watcher *)watch)->told++;
}

static bool is_asked_again(void *arg)
{
	return ((struct watcher *)arg)->told > 0;
}

/* What there was no room to ask is asked again: a record by whoever watches, a claim of itself. */
static void too_much_under_way(void **state)
{
	struct fixture *f = *state;
	struct cluster *c = f->nodes[0].cluster;
	struct watcher watcher = {.watch = {.anew = on_anew}};
	struct told told = {.done = false};

	cluster_watch_start(c, &watcher.watch);
	c->redis.under_way += 4096;
	assert_null(cluster_record_write(c, "aor", SLICE("x"), &(struct cluster_writing){0},
	    on_record, &told));
	c->redis.under_way -= 4096;
	loop_until(f->base, is_asked_again, &watcher);
	c->redis.under_way += 4096;
	assert_true(claim(f, 0, 0));
	c->redis.under_way -= 4096;
	watcher.told = 0;
	loop_until(f->base, is_asked_again, &watcher);
	loop_until(f->base, all_answered, f);
	claim(f, 1, 0);
	loop_until(f->base, all_decided, f);
	assert_string_equal(f->things[1][0].owner, "a");
	cluster_watch_stop(c, &watcher.watch);
}

static void words(void **state)
{
	static const struct slice texts[] = {{"a b\n%", 5}, {NULL, 0}, {"", 0}, {"\xc3\xa9", 2}};
	struct buffer w = {.max = BUFFER_UNBOUNDED}, back = {.max = BUFFER_UNBOUNDED};
	struct slice got[4];

	(void)state;
	cluster_words_write(&w, texts, 4);
	assert_true(slice_equal(buffer_text(&w), SLICE("=a%20b%0a%25 - = =%c3%a9")));
	assert_int_equal(cluster_words_read(&back, buffer_text(&w), got, 4), 4);
	for (size_t i = 0; i < 4; i++) {
		assert_true(slice_equal(got[i], texts[i]));
		assert_int_equal(got[i].p != NULL, texts[i].p != NULL);
	}
	/* What is broken is absent, what is too much is left out. */
	assert_int_equal(cluster_words_read(&back, SLICE("=%2 =%zz x =b =c"), got, 4), 4);
	assert_null(got[0].p);
	assert_null(got[1].p);
	assert_null(got[2].p);
	assert_true(slice_equal(got[3], SLICE("b")));
	buffer_fini(&w);
	buffer_fini(&back);
}

static void none(void **state)
{
	struct cluster_claim claim = {.ops = &ops};

	(void)state;
	assert_true(cluster_claim(NULL, &claim, "gw", SLICE("x")));
	cluster_release(&claim);
}

static void urls(void **state)
{
	static const struct {
		const char *url;
		int err;
		const char *host, *user, *password;
		uint16_t port;
		unsigned database;
	} cases[] = {
	    {"redis://127.0.0.1:6379/0", 0, "127.0.0.1", "", "", 6379, 0},
	    {"redis://10.0.0.1", 0, "10.0.0.1", "", "", 6379, 0},
	    {"redis://:secret@10.0.0.1:1/7", 0, "10.0.0.1", "", "secret", 1, 7},
	    {"REDIS://me:a@b@[::1]:6380", 0, "::1", "me", "a@b", 6380, 0},
	    {"redis://[::1]/2", 0, "::1", "", "", 6379, 2},
	    {"unix:///run/redis.sock", 0, "/run/redis.sock", "", "", 0, 0},
	    {"rediss://10.0.0.1", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"redis://", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"redis://h:0", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"redis://h:65536", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"redis://h/x", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"http://h", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"unix://run", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"redis://me%40x:secret@h", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"unix://:a%20b@/run/redis.sock", -EINVAL, NULL, NULL, NULL, 0, 0},
	    {"", -EINVAL, NULL, NULL, NULL, 0, 0},
	};
	struct redis_place place;
	struct reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(redis_place_parse(&place, slice_of(cases[i].url), &why),
		    cases[i].err);
		if (cases[i].err)
			continue;
		assert_string_equal(place.host, cases[i].host);
		assert_string_equal(place.user, cases[i].user);
		assert_string_equal(place.password, cases[i].password);
		assert_int_equal(place.port, cases[i].port);
		assert_int_equal(place.database, cases[i].database);
	}
}

/* What cluster.sip may be: no domain with servers. */
static void places(void **state)
{
	static const struct {
		const char *uri;
		int err;
	} cases[] = {
	    {"sip:192.0.2.1", 0},
	    {"sip:192.0.2.1:5060;transport=tcp", 0},
	    {"sip:[2001:db8::1];transport=tcp", 0},
	    {"sip:[2001:db8::1]:5060", 0},
	    {"sips:a.example.org:5061", 0},
	    {NULL, 0},
	    {"sip:example.org", -EINVAL},
	    {"sip:example.org;transport=tcp", -EINVAL},
	    {"sip:example.org;x=a:1", -EINVAL},
	    {"example.org:5060", -EINVAL},
	    {"sip:a b:1", -EINVAL},
	    {"", -EINVAL},
	};
	const struct setting *sip = cluster_settings_rows;
	struct reason why;

	(void)state;
	while (strcmp(sip->name, "sip") != 0)
		sip++;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sip->check(&cases[i].uri, &why), cases[i].err);
}

#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(none),
	    cmocka_unit_test(urls),
	    cmocka_unit_test(places),
	    WITH_REDIS(at_once),
	    WITH_REDIS(released),
	    WITH_REDIS(owners),
	    WITH_REDIS(node_left),
	    WITH_REDIS(many_nodes),
	    WITH_REDIS(no_records),
	    WITH_REDIS(secrets),
	    WITH_REDIS(redis_paused),
	    WITH_REDIS(redis_restarted),
	    WITH_REDIS(redis_emptied),
	    WITH_REDIS(redis_full),
	    WITH_REDIS(released_away),
	    WITH_REDIS(same_name),
	    WITH_REDIS(marks),
	    WITH_REDIS(records),
	    WITH_REDIS(records_unanswered),
	    WITH_REDIS(too_much_under_way),
	    cmocka_unit_test(words),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does: Redis goes while it is written to */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
