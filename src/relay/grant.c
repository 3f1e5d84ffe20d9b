#include "relay/grant.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cluster.h>
#include <msrpd/rand.h>
#include <msrpd/story.h>
#include <msrpd/table.h>

#include "base/buffer.h"
#include "base/log.h"
#include "relay/peer.h"
#include "relay/relay.h"
#include "wire/path.h"

enum {
	SESSION_ID_CHARS = 22, /* 130 bits */
	NODE_NAME_MAX = 32,
	HEAP_MIN = 64,
	GRANT_URI_MAX = 512,
};

/* A user who has any, and how many. */
struct grant_owner {
	UT_hash_handle hh;
	size_t count, len;
	char name[];
};

struct grants {
	struct relay *relay;
	grant_request_fn *on_request;
	struct timer expiry; /* for heap[0] */
	struct grant **heap; /* the next to expire comes first */
	size_t count, cap;
	struct grant **buckets; /* by owner and From-Path */
	size_t bucket_mask;
	uint64_t seed;
	struct grant_owner *owners; /* by name */
};

/* --- a heap by expiry --- */

static void heap_put(struct grants *grants, size_t at, struct grant *grant)
{
	grants->heap[at] = grant;
	grant->index = (uint32_t)at;
}

static void heap_up(struct grants *grants, size_t at, struct grant *grant)
{
	while (at && grants->heap[(at - 1) / 2]->expires_ms > grant->expires_ms) {
		heap_put(grants, at, grants->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(grants, at, grant);
}

static void heap_down(struct grants *grants, size_t at, struct grant *grant)
{
	size_t child;

	while ((child = 2 * at + 1) < grants->count) {
		if (child + 1 < grants->count
		    && grants->heap[child + 1]->expires_ms < grants->heap[child]->expires_ms)
			child++;
		if (grants->heap[child]->expires_ms >= grant->expires_ms)
			break;
		heap_put(grants, at, grants->heap[child]);
		at = child;
	}
	heap_put(grants, at, grant);
}

static void arm(struct grants *grants)
{
	uint64_t now = timer_now_ms(), due;

	if (!grants->count) {
		timer_stop(&grants->expiry);
		return;
	}
	due = grants->heap[0]->expires_ms;
	timer_start(&grants->expiry, due > now ? due - now : 0);
}

static int heap_add(struct grants *grants, struct grant *grant)
{
	size_t cap = grants->cap ? grants->cap * 2 : HEAP_MIN;
	struct grant **heap;

	if (grants->count == grants->cap) {
		heap = realloc(grants->heap, cap * sizeof(struct grant *));
		if (!heap)
			return -ENOMEM;
		grants->heap = heap;
		grants->cap = cap;
	}
	heap_up(grants, grants->count++, grant);
	if (grant->index == 0)
		arm(grants);
	return 0;
}

static void heap_move(struct grants *grants, struct grant *grant)
{
	size_t at = grant->index;

	if (at && grants->heap[(at - 1) / 2]->expires_ms > grant->expires_ms)
		heap_up(grants, at, grant);
	else
		heap_down(grants, at, grant);
}

static void heap_remove(struct grants *grants, struct grant *grant)
{
	struct grant *last = grants->heap[--grants->count];
	size_t at = grant->index;

	if (last != grant) {
		heap_put(grants, at, last);
		heap_move(grants, last);
	}
	if (at == 0)
		arm(grants);
}

static void note(const struct grant *grant, const char *what)
{
	const struct story of = {.session_id = msrp_target_id(&grant->target),
	    .stack = grant->user.conn ? "msrp" : NULL,
	    .conn = grant->user.conn ? msrp_conn_number(grant->user.conn) : 0};

	story_note(LOG_LEVEL_DEBUG, &of, "relay: grant %.*s of \"%.*s\": %s",
	    SLICE_ARG(grant_uri(grant)), SLICE_ARG(grant_username(grant)), what);
}

static void on_expiry(void *arg)
{
	struct grants *grants = arg;
	uint64_t now = timer_now_ms();

	while (grants->count && grants->heap[0]->expires_ms <= now) {
		struct grant *grant = grants->heap[0];

		(*grants->relay->count.expired)++;
		note(grant, "expired");
		grant_free(grant);
	}
	arm(grants);
}

/* --- buckets by owner and From-Path --- */

static uint32_t hash_of(const struct grants *grants, const struct msrp_conn *conn,
    struct slice from)
{
	/* FNV-1a from a secret start: clients choose their From-Path. */
	uint64_t hash = grants->seed ^ (uint64_t)(uintptr_t)conn;

	for (size_t i = 0; i < from.len; i++)
		hash = (hash ^ (unsigned char)from.p[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32);
}

static void bucket_add(struct grants *grants, struct grant *grant)
{
	struct grant **bucket = &grants->buckets[grant->hash & grants->bucket_mask];

	grant->chain = *bucket;
	*bucket = grant;
}

static void bucket_remove(struct grants *grants, struct grant *grant)
{
	struct grant **p = &grants->buckets[grant->hash & grants->bucket_mask];

	while (*p != grant)
		p = &(*p)->chain;
	*p = grant->chain;
}

/* Longer chains do no harm, so a failure is none. */
static void grow_buckets(struct grants *grants)
{
	size_t count = (grants->bucket_mask + 1) * 2;
	struct grant **buckets;

	if (grants->count < count)
		return;
	buckets = calloc(count, sizeof(struct grant *));
	if (!buckets)
		return;
	free(grants->buckets);
	grants->buckets = buckets;
	grants->bucket_mask = count - 1;
	for (size_t i = 0; i < grants->count; i++)
		bucket_add(grants, grants->heap[i]);
}

static const struct msrp_conn *owner_of(const struct grant *grant)
{
	return grant->by_identity ? NULL : grant->user.conn;
}

struct grant *grants_find(const struct grants *grants, const struct msrp_conn *conn,
    struct slice from_path)
{
	uint32_t hash = hash_of(grants, conn, from_path);
	struct grant *grant = grants->buckets[hash & grants->bucket_mask];

	while (grant
	    && !(grant->hash == hash && owner_of(grant) == conn
		&& slice_equal(grant_from_path(grant), from_path)))
		grant = grant->chain;
	return grant;
}

/* --- all of them --- */

int grants_new(struct grants **grantsp, struct relay *relay, grant_request_fn *on_request)
{
	struct grants *grants = calloc(1, sizeof(*grants));
	int err;

	if (!grants)
		return -ENOMEM;
	grants->relay = relay;
	grants->seed = rand_u64();
	grants->on_request = on_request;
	grants->bucket_mask = ((size_t)1 << relay->settings->hash_size) - 1;
	grants->buckets = calloc(grants->bucket_mask + 1, sizeof(struct grant *));
	err = timer_init(&grants->expiry, msrp_stack_base(relay->stack), on_expiry, grants);
	if (err < 0 || !grants->buckets) {
		grants_free(grants);
		return -ENOMEM;
	}
	*grantsp = grants;
	return 0;
}

void grants_free(struct grants *grants)
{
	if (!grants)
		return;
	while (grants->count)
		grant_free(grants->heap[grants->count - 1]);
	timer_fini(&grants->expiry);
	free(grants->heap);
	free(grants->buckets);
	free(grants);
}

size_t grants_count(const struct grants *grants)
{
	return grants->count;
}

struct grant *grants_at(const struct grants *grants, size_t index)
{
	return grants->heap[index];
}

/* --- how many --- */

static struct grant_owner *find_owner(const struct grants *grants, struct slice user)
{
	struct grant_owner *owner;

	HASH_FIND(hh, grants->owners, user.p, user.len, owner);
	return owner;
}

static struct grant_owner *get_owner(struct grants *grants, struct slice user)
{
	struct grant_owner *owner = find_owner(grants, user);

	if (!owner && (owner = calloc(1, sizeof(*owner) + user.len))) {
		owner->len = user.len;
		memcpy(owner->name, user.p, user.len);
		HASH_ADD_KEYPTR(hh, grants->owners, owner->name, owner->len, owner);
		if (!owner->hh.tbl) {
			free(owner);
			owner = NULL;
		}
	}
	if (owner)
		owner->count++;
	return owner;
}

static void put_owner(struct grants *grants, struct grant_owner *owner)
{
	if (!owner || --owner->count)
		return;
	HASH_DELETE(hh, grants->owners, owner);
	free(owner);
}

static int check_room(const struct grants *grants, const struct grant_terms *terms)
{
	const struct relay_settings *s = grants->relay->settings;
	const struct grant_owner *owner = terms->user.len ? find_owner(grants, terms->user) : NULL;

	if (terms->from_path.len > GRANT_FROM_PATH_MAX)
		return -EMSGSIZE;
	if (owner && s->max_sessions_per_user && owner->count >= s->max_sessions_per_user)
		return -EDQUOT;
	return s->max_sessions && grants->count >= s->max_sessions ? -ENOBUFS : 0;
}

/* --- one --- */

/* In a cluster its session id begins with the node (node.h). */
static struct slice make_uri(const struct relay *relay, const struct msrp_uri *host,
    char text[GRANT_URI_MAX])
{
	struct slice node = cluster_own_name(relay->cluster);
	char random[SESSION_ID_CHARS + 1], id[SESSION_ID_CHARS + NODE_NAME_MAX + 2];
	struct msrp_uri uri = *host;
	struct buffer w = {.p = text, .cap = GRANT_URI_MAX};

	rand_token(random, SESSION_ID_CHARS);
	snprintf(id, sizeof(id), "%.*s%s%s", SLICE_ARG(node), node.p ? "." : "", random);
	uri.userinfo = uri.params = NOTHING;
	uri.session_id = slice_of(id);
	msrp_uri_write(&w, &uri);
	return w.err ? NOTHING : buffer_text(&w);
}

/* --- its target, and its client's connection --- */

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct grant *grant = OWNER(struct grant, target, target);

	return grant->relay->grants->on_request(grant, conn, frame);
}

static const struct msrp_target_ops target_ops = {.request = on_request, .bridges = true};

static void on_conn_closed(struct msrp_user *user, int err)
{
	struct grant *grant = OWNER(struct grant, user, user);

	(void)err;
	if (!grant->by_identity)
		grant_free(grant);
}

static const struct msrp_user_ops user_ops = {.closed = on_conn_closed};

static struct grant *compose(struct slice uri, const struct grant_terms *terms)
{
	struct slice user = terms->user, from = terms->from_path;
	struct grant *grant;

	if (!uri.p || user.len > UINT16_MAX || from.len > UINT16_MAX)
		return NULL;
	grant = calloc(1, sizeof(*grant) + uri.len + user.len + from.len);
	if (!grant)
		return NULL;
	grant->user_len = (uint16_t)user.len;
	grant->from_len = (uint16_t)from.len;
	grant->client_len = (uint16_t)msrp_path_first(from).len;
	memcpy(grant->text, uri.p, uri.len);
	if (user.len)
		memcpy(grant->text + uri.len, user.p, user.len);
	memcpy(grant->text + uri.len + user.len, from.p, from.len);
	grant->target.ops = &target_ops;
	grant->user.ops = &user_ops;
	grant->by_identity = !terms->conn;
	grant->target.uri = (struct slice){grant->text, uri.len};
	return grant;
}

int grant_new(struct grant **grantp, struct grants *grants, const struct grant_terms *terms)
{
	char text[GRANT_URI_MAX];
	struct relay *relay = grants->relay;
	struct grant *grant;
	int err = check_room(grants, terms);

	if (err < 0)
		return err;
	grant = compose(make_uri(grants->relay, &terms->host, text), terms);
	if (!grant)
		return -ENOMEM;
	grant->relay = relay;
	grant->owner = terms->user.len ? get_owner(grants, terms->user) : NULL;
	grant->expires_ms = timer_now_ms() + terms->lifetime_ms;
	grant->hash = hash_of(grants, terms->conn, terms->from_path);
	if ((terms->user.len && !grant->owner) || msrp_target_bind(relay->stack, &grant->target) < 0
	    || heap_add(grants, grant) < 0) {
		msrp_target_unbind(relay->stack, &grant->target);
		put_owner(grants, grant->owner);
		free(grant);
		return -ENOMEM;
	}
	bucket_add(grants, grant);
	grow_buckets(grants);
	if (terms->conn)
		msrp_conn_attach(terms->conn, &grant->user, 0);
	*relay->count.sessions = grants->count;
	note(grant, "given");
	*grantp = grant;
	return 0;
}

static void drop_use(struct grant *grant)
{
	struct grant_use *use = grant->use;

	if (!use)
		return;
	way_end(&use->way);
	neighbors_clear(&use->neighbors);
	free(use->alias);
	free(use);
}

void grant_free(struct grant *grant)
{
	struct relay *relay = grant->relay;
	struct grants *grants = relay->grants;

	/* First of all it is no target any more: what follows may call out. */
	msrp_target_unbind(relay->stack, &grant->target);
	heap_remove(grants, grant);
	bucket_remove(grants, grant);
	put_owner(grants, grant->owner);
	msrp_conn_detach(&grant->user);
	*relay->count.sessions = grants->count;
	drop_use(grant);
	free(grant);
}

void grant_extend(struct grant *grant, uint64_t lifetime_ms)
{
	grant->expires_ms = timer_now_ms() + lifetime_ms;
	heap_move(grant->relay->grants, grant);
	arm(grant->relay->grants);
}

struct grant_use *grant_used(struct grant *grant)
{
	if (!grant->use)
		grant->use = calloc(1, sizeof(*grant->use));
	return grant->use;
}

struct grant *grant_of_uri(struct relay *relay, const struct msrp_uri *uri)
{
	struct msrp_target *target = msrp_target_find(relay->stack, uri);

	return target && target->ops == &target_ops ? OWNER(struct grant, target, target) : NULL;
}

struct slice grant_uri(const struct grant *grant)
{
	return grant->target.uri;
}

struct slice grant_username(const struct grant *grant)
{
	return (struct slice){grant->text + grant->target.uri.len, grant->user_len};
}

struct slice grant_from_path(const struct grant *grant)
{
	return (
	    struct slice){grant->text + grant->target.uri.len + grant->user_len, grant->from_len};
}

/* --- its client --- */

struct slice grant_client_uri(const struct grant *grant)
{
	return slice_head(grant_from_path(grant), grant->client_len);
}

bool grant_is_from_client(struct grant *grant, struct msrp_conn *conn)
{
	struct msrp_uri client;

	if (!grant->by_identity)
		return grant->user.conn == conn;
	return msrp_uri_parse(&client, grant_client_uri(grant)) > 0 && peer_is(conn, client.host);
}

void grant_heard(struct grant *grant, struct msrp_conn *conn)
{
	if (grant->user.conn == conn || msrp_conn_closed(conn))
		return;
	msrp_conn_detach(&grant->user);
	msrp_conn_attach(conn, &grant->user, 0);
}

struct msrp_conn *grant_client_conn(struct grant *grant)
{
	struct msrp_uri client;
	struct msrp_conn *conn;

	if (grant->user.conn || msrp_uri_parse(&client, grant_client_uri(grant)) < 0)
		return grant->user.conn;
	conn = peer_with_identity(grant->relay, client.host);
	if (conn)
		grant_heard(grant, conn);
	return conn;
}

static bool same_server(struct slice a, struct slice b)
{
	struct msrp_uri x, y;

	return msrp_uri_parse(&x, a) > 0 && msrp_uri_parse(&y, b) > 0
	    && msrp_uri_same_server(&x, &y);
}

static struct slice alias_of(const struct grant *grant)
{
	return grant->use && grant->use->alias ? slice_of(grant->use->alias) : NOTHING;
}

bool grant_is_client(const struct grant *grant, struct slice uri)
{
	struct slice alias = alias_of(grant);

	return slice_equal(uri, grant_client_uri(grant)) || (alias.p && slice_equal(uri, alias));
}

bool grant_names_client(const struct grant *grant, struct slice uri)
{
	struct slice alias = alias_of(grant);

	return grant_is_client(grant, uri) || same_server(uri, grant_client_uri(grant))
	    || (alias.p && same_server(uri, alias));
}

void grant_learn_client(struct grant *grant, struct slice uri)
{
	char *alias;

	if (grant_is_client(grant, uri))
		return;
	alias = slice_dup(uri);
	if (!alias || !grant_used(grant)) {
		free(alias);
		return;
	}
	free(grant->use->alias);
	grant->use->alias = alias;
}
