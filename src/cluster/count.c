/* Numbers that all nodes count together: one call of Redis at a time, and what comes meanwhile. */
#include "cluster/priv.h"

#include <inttypes.h>
#include <string.h>

#include <msrpd/hex.h>

static void ask(struct cluster *cluster);

static void on_numbers(const redisReply *reply, void *arg)
{
	struct cluster *cluster = arg;
	struct counting *c = &cluster->counting;
	size_t count = c->asked_count;

	c->asked_count = 0;
	if (!c->counted.total)
		return;
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == count)
		for (size_t i = 0; i < count; i++)
			if (reply->element[i]->type == REDIS_REPLY_INTEGER
			    && reply->element[i]->integer > 0)
				c->counted.total(
				    (struct slice){(const char *)c->asked[i].key, c->asked[i].len},
				    (uint64_t)reply->element[i]->integer, c->counted.arg);
	if (reply)
		ask(cluster);
	else
		c->next_count = 0;
}

static void ask(struct cluster *cluster)
{
	struct counting *c = &cluster->counting;
	char keys[COUNT_BATCH][KEY_SIZE + 2 * COUNT_KEY_MAX], more[COUNT_BATCH][16], ms[24];
	struct slice args[2 * COUNT_BATCH + 1];
	struct redis_call call = {.script = SCRIPT_COUNT, .args = args, .keys = c->next_count};

	if (c->asked_count || !c->next_count)
		return;
	snprintf(ms, sizeof(ms), "%" PRIu64, c->counted.life_ms);
	args[c->next_count] = slice_of(ms);
	for (size_t i = 0; i < c->next_count; i++) {
		char hex[2 * COUNT_KEY_MAX + 1];

		hex_write(hex, c->next[i].key, c->next[i].len);
		snprintf(keys[i], sizeof(keys[i]), "%s%s:%s", cluster->settings->prefix,
		    c->counted.kind, hex);
		snprintf(more[i], sizeof(more[i]), "%" PRIu32, c->next[i].more);
		args[i] = slice_of(keys[i]);
		args[c->next_count + 1 + i] = slice_of(more[i]);
	}
	call.count = 2 * c->next_count + 1;
	memcpy(c->asked, c->next, sizeof(c->asked));
	if (redis_run(&cluster->redis, &call, on_numbers, cluster) == 0)
		c->asked_count = c->next_count;
	c->next_count = 0;
}

void cluster_count_begin(struct cluster *cluster, const struct cluster_counted *counted)
{
	if (cluster)
		cluster->counting.counted = *counted;
}

void cluster_count(struct cluster *cluster, struct slice key)
{
	struct counting *c = cluster ? &cluster->counting : NULL;
	size_t i = 0;

	if (!c || !c->counted.total || key.len > COUNT_KEY_MAX)
		return;
	while (i < c->next_count
	    && !slice_equal((struct slice){(const char *)c->next[i].key, c->next[i].len}, key))
		i++;
	if (i == COUNT_BATCH)
		return;
	if (i == c->next_count) {
		c->next[c->next_count++] = (struct count_more){.len = (uint8_t)key.len};
		memcpy(c->next[i].key, key.p, key.len);
	}
	c->next[i].more++;
	ask(cluster);
}
