/* What is ours: claimed, renewed in batches, and given up. */
#include "cluster/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* One call of Redis for several claims; of those that were given up meanwhile only the place is left.
 */
struct cluster_asked {
	struct cluster *cluster;
	bool renewal;
	size_t count;
	struct cluster_claim *claims[];
};

/* --- the list --- */

static struct cluster_kind *kind_of(struct cluster *cluster, const char *name)
{
	struct cluster_kind *kind = cluster->kinds;

	while (kind->name && strcmp(kind->name, name) != 0 && kind < cluster->kinds + KINDS_MAX - 1)
		kind++;
	kind->name = name;
	return kind;
}

void claims_write_counts(const struct cluster *cluster, struct buffer *w)
{
	size_t start = w->len;

	for (size_t i = 0; i < KINDS_MAX; i++)
		if (cluster->kinds[i].count)
			buffer_printf(w, "%s%s=%zu", w->len > start ? "," : "",
			    cluster->kinds[i].name, cluster->kinds[i].count);
	if (w->len == start)
		buffer_add_char(w, '-');
}

static void put_last(struct cluster *cluster, struct cluster_claim *claim)
{
	claim->kind->count++;
	TAILQ_INSERT_TAIL(&cluster->claims, claim, entry);
	*cluster->count.held = ++cluster->claim_count;
}

static void take_out(struct cluster_claim *claim)
{
	struct cluster *cluster = claim->cluster;

	claim->kind->count--;
	TAILQ_REMOVE(&cluster->claims, claim, entry);
	*cluster->count.held = --cluster->claim_count;
	if (claim->asked)
		claim->asked->claims[claim->place] = NULL;
	claim->asked = NULL;
	free(claim->key);
	claim->key = NULL;
	claim->state = CLUSTER_NOTHING;
}

/* --- what Redis says --- */

static void tell_conflict(struct cluster *cluster, const struct cluster_node *owner)
{
	++*cluster->count.conflicts;
	if (!cluster->told_conflict)
		log_warn("cluster: what this node served while it was alone is node %.*s's, "
			 "which goes on with it",
		    SLICE_ARG(owner->name));
	cluster->told_conflict = true;
}

/* Whoever is told may give up any claim. */
static void take_answer(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct cluster *cluster = claim->cluster;
	bool asking = claim->state == CLUSTER_ASKING;

	claim->asked = NULL;
	if (!owner) {
		claim->state = CLUSTER_OURS;
		if (asking)
			claim->ops->decided(claim, NULL);
		return;
	}
	take_out(claim);
	if (asking) {
		++*cluster->count.refused;
		claim->ops->decided(claim, owner);
	} else {
		tell_conflict(cluster, owner);
		claim->ops->lost(claim, owner);
	}
}

static void go_on(struct cluster *cluster);

static void on_answer(const redisReply *reply, void *arg)
{
	struct cluster_asked *asked = arg;
	struct cluster *cluster = asked->cluster;
	bool good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == asked->count;
	bool renewal = asked->renewal;

	for (size_t i = 0; i < asked->count; i++) {
		struct cluster_claim *claim = asked->claims[i];
		struct cluster_node owner;
		bool theirs =
		    claim && good && node_parse(&owner, redis_text(reply->element[i])) == 0;

		if (claim && !good && claim->state == CLUSTER_ASKING)
			++*cluster->count.alone;
		if (claim)
			take_answer(claim, theirs ? &owner : NULL);
	}
	free(asked);
	cluster->unsure |= !good && redis_is_ready(&cluster->redis); /* it is full, say */
	if (!renewal)
		return;
	cluster->asking_all = false;
	if (good)
		go_on(cluster);
}

/* --- giving up: a key that Redis has not heard of it would be ours for as long as we are --- */

static void forget(struct cluster_owed *owed)
{
	free(owed->key);
	free(owed);
}

static void owe(struct cluster_owed *owed)
{
	struct cluster *cluster = owed->cluster;

	if (HASH_COUNT(cluster->owed) < OWED_MAX)
		HASH_ADD_KEYPTR(hh, cluster->owed, owed->key, strlen(owed->key), owed);
	if (!owed->hh.tbl)
		forget(owed); /* it goes with its time */
}

static void owe_no_more(struct cluster_owed *owed)
{
	HASH_DEL(owed->cluster->owed, owed);
	memset(&owed->hh, 0, sizeof(owed->hh));
}

static void on_released(const redisReply *reply, void *arg)
{
	struct cluster_owed *owed = arg;

	if (reply)
		forget(owed);
	else
		owe(owed);
}

static int say_released(struct cluster_owed *owed)
{
	struct slice args[] = {slice_of(owed->key), slice_of(owed->cluster->me)};
	const struct redis_call call = {
	    .script = SCRIPT_RELEASE,
	    .args = args,
	    .count = 2,
	    .keys = 1,
	};

	return redis_run(&owed->cluster->redis, &call, on_released, owed);
}

void cluster_release(struct cluster_claim *claim)
{
	struct cluster_owed *owed;

	if (claim->state == CLUSTER_NOTHING)
		return;
	owed = calloc(1, sizeof(*owed));
	if (owed) {
		owed->cluster = claim->cluster;
		owed->key = claim->key;
		claim->key = NULL;
		if (say_released(owed) < 0)
			owe(owed);
	}
	take_out(claim);
}

void claims_say_released(struct cluster *cluster)
{
	struct cluster_owed *owed, *next;

	HASH_ITER(hh, cluster->owed, owed, next)
	{
		owe_no_more(owed);
		if (say_released(owed) < 0) {
			owe(owed);
			return;
		}
	}
}

void claims_forget_released(struct cluster *cluster)
{
	struct cluster_owed *owed, *next;

	HASH_ITER(hh, cluster->owed, owed, next)
	{
		owe_no_more(owed);
		forget(owed);
	}
}

/* --- asking --- */

static int ask(struct cluster_asked *asked, redis_fn *fn)
{
	struct cluster *cluster = asked->cluster;
	struct slice args[CLAIM_BATCH + 3];
	struct redis_call call = {.script = SCRIPT_CLAIM, .args = args};
	char ms[24], records[KEY_SIZE];
	size_t n = 0;

	for (; n < asked->count; n++)
		args[n] = slice_of(asked->claims[n]->key);
	call.keys = n;
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)cluster_key_ms(cluster));
	snprintf(records, sizeof(records), "%snode:", cluster->settings->prefix);
	args[n++] = slice_of(cluster->me);
	args[n++] = slice_of(ms);
	args[n++] = slice_of(records);
	call.count = n;
	return cluster_ask(cluster, &call, fn, asked);
}

static struct cluster_asked *asked_new(struct cluster *cluster, size_t most)
{
	struct cluster_asked *asked = calloc(1, sizeof(*asked) + most * sizeof(asked->claims[0]));

	if (asked)
		asked->cluster = cluster;
	return asked;
}

static void put(struct cluster_asked *asked, struct cluster_claim *claim)
{
	claim->asked = asked;
	claim->place = asked->count;
	asked->claims[asked->count++] = claim;
}

/* @return 0: decided() will be called */
static int ask_one(struct cluster_claim *claim)
{
	struct cluster *cluster = claim->cluster;
	struct cluster_asked *asked;
	int err;

	if (!cluster_is_in(cluster))
		return -ENOTCONN;
	asked = asked_new(cluster, 1);
	if (!asked)
		return -ENOMEM;
	put(asked, claim);
	err = ask(asked, on_answer);
	if (err < 0) {
		claim->asked = NULL;
		free(asked);
	}
	return err;
}

bool cluster_claim(struct cluster *cluster, struct cluster_claim *claim, const char *kind,
    struct slice key)
{
	struct cluster_owed *owed;

	if (!cluster)
		return true;
	claim->key = cluster_key(cluster, kind, key);
	if (!claim->key)
		return true; /* without memory nobody else hears of it */
	HASH_FIND(hh, cluster->owed, claim->key, strlen(claim->key), owed);
	if (owed) {
		owe_no_more(owed);
		forget(owed);
	}
	claim->cluster = cluster;
	claim->kind = kind_of(cluster, kind);
	claim->state = CLUSTER_ASKING;
	put_last(cluster, claim);
	++*cluster->count.claims;
	if (ask_one(claim) == 0)
		return false;
	claim->state = CLUSTER_OURS;
	++*cluster->count.alone;
	return true;
}

/* --- asking without claiming --- */

static void on_owner(const redisReply *reply, void *arg)
{
	struct cluster_question *question = arg;
	cluster_owner_fn *fn = question->owner;
	void *fn_arg = question->arg;
	struct cluster_node owner;
	bool theirs = node_parse(&owner, redis_text(reply)) == 0;

	free(question);
	if (fn)
		fn(theirs ? &owner : NULL, fn_arg);
}

struct cluster_question *cluster_owner_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_owner_fn *fn, void *arg)
{
	const struct cluster_question ours = {.cluster = cluster, .owner = fn, .arg = arg};
	const struct question_call call = {.script = SCRIPT_OWNER, .kind = kind, .key = key};

	return question_ask(&ours, &call, on_owner);
}

/* --- renewal --- */

/* The next batch, which goes behind all the others. */
static void renew_some(struct cluster *cluster, size_t most)
{
	struct cluster_asked *asked;
	struct cluster_claim *claim;
	size_t looked = 0;

	if (most > CLAIM_BATCH)
		most = CLAIM_BATCH;
	asked = asked_new(cluster, most);
	if (!asked)
		return;
	asked->renewal = true;
	for (; looked < most && (claim = TAILQ_FIRST(&cluster->claims)); looked++) {
		TAILQ_REMOVE(&cluster->claims, claim, entry);
		TAILQ_INSERT_TAIL(&cluster->claims, claim, entry);
		if (!claim->asked)
			put(asked, claim);
	}
	cluster->renewing -= looked < cluster->renewing ? looked : cluster->renewing;
	if (asked->count > 0 && ask(asked, on_answer) == 0) {
		cluster->asking_all = true;
		return;
	}
	for (size_t i = 0; i < asked->count; i++)
		asked->claims[i]->asked = NULL;
	free(asked);
}

/* One batch is under way at a time. */
static void go_on(struct cluster *cluster)
{
	if (cluster->renewing > cluster->claim_count)
		cluster->renewing = cluster->claim_count;
	if (!cluster->asking_all && cluster->renewing > 0 && cluster->registered)
		renew_some(cluster, cluster->renewing);
}

void claims_renew_all(struct cluster *cluster)
{
	cluster->unsure = false;
	cluster->renewing = cluster->claim_count;
	go_on(cluster);
}

/* A round takes a third of the time that keys stay, which is ninety times the time of a node. */
void claims_tick(struct cluster *cluster)
{
	cluster->renewing += (cluster->claim_count + 89) / 90;
	go_on(cluster);
}

void claims_forget(struct cluster *cluster)
{
	struct cluster_claim *claim;

	while ((claim = TAILQ_FIRST(&cluster->claims)))
		take_out(claim);
}
