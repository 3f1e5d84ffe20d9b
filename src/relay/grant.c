/* Grants: found by URI (msrp/stack), by owner and From-Path, and in the order of their ends. */
#include "relay/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "wire/path.h"

enum {
	SESSION_ID_CHARS = 22, /* 130 bits */
	HEAP_MIN = 64,
	WAYS_MAX = 16, /* of a grant; one more takes the oldest one's place */
	GRANT_URI_MAX = 512,
};

struct grants {
	struct relay *relay;
	struct timer expiry; /* for heap[0] */
	struct grant **heap; /* the next to expire comes first */
	size_t count, cap;
	struct grant **buckets; /* by owner and From-Path */
	size_t bucket_mask;
	uint64_t seed;
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

static void on_expiry(void *arg)
{
	struct grants *grants = arg;
	uint64_t now = timer_now_ms();

	while (grants->count && grants->heap[0]->expires_ms <= now) {
		struct grant *grant = grants->heap[0];

		(*grants->relay->count.expired)++;
		log_debug("relay: grant %.*s: expired", SLICE_ARG(grant_uri(grant)));
		grant_free(grant);
	}
	arm(grants);
}

/* --- buckets by owner and From-Path --- */

static uint32_t hash_of(const struct grants *grants, const struct peer *peer, struct slice from)
{
	/* FNV-1a from a secret start: clients choose their From-Path. */
	uint64_t hash = grants->seed ^ (uint64_t)(uintptr_t)peer;

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

struct grant *grants_find(const struct grants *grants, const struct peer *peer,
    struct slice from_path)
{
	uint32_t hash = hash_of(grants, peer, from_path);
	struct grant *grant = grants->buckets[hash & grants->bucket_mask];

	while (grant
	    && !(grant->hash == hash && grant->peer == peer
		&& slice_equal(grant_from_path(grant), from_path)))
		grant = grant->chain;
	return grant;
}

/* --- all of them --- */

int grants_new(struct grants **grantsp, struct relay *relay, unsigned hash_size)
{
	struct grants *grants = calloc(1, sizeof(*grants));
	int err;

	if (!grants)
		return -ENOMEM;
	grants->relay = relay;
	grants->seed = rand_u64();
	grants->bucket_mask = ((size_t)1 << hash_size) - 1;
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

/* --- one --- */

static struct slice make_uri(const struct msrp_uri *host, char text[GRANT_URI_MAX])
{
	char id[SESSION_ID_CHARS + 1];
	struct msrp_uri uri = *host;
	struct msrp_writer w = {.p = text, .cap = GRANT_URI_MAX};

	rand_token(id, SESSION_ID_CHARS);
	uri.userinfo = uri.params = NOTHING;
	uri.session_id = (struct slice){id, SESSION_ID_CHARS};
	msrp_uri_write(&w, &uri);
	return w.overflow ? NOTHING : msrp_written(&w);
}

static void link_to_peer(struct grant *grant, struct peer *peer)
{
	grant->peer = peer;
	if (!peer)
		return;
	if (!peer->grants)
		msrp_conn_attach(peer->conn, &peer->user, 0);
	grant->next = peer->grants;
	grant->prevp = &peer->grants;
	if (grant->next)
		grant->next->prevp = &grant->next;
	peer->grants = grant;
}

static void unlink_from_peer(struct grant *grant)
{
	struct peer *peer = grant->peer;

	if (!peer)
		return;
	*grant->prevp = grant->next;
	if (grant->next)
		grant->next->prevp = grant->prevp;
	if (!peer->grants)
		msrp_conn_detach(&peer->user);
}

static struct grant *compose(struct slice uri, const struct grant_request *request)
{
	struct slice user = request->user, from = request->from_path;
	struct grant *grant;

	if (!uri.p || user.len > UINT16_MAX || from.len > UINT16_MAX)
		return NULL;
	grant = calloc(1, sizeof(*grant) + uri.len + user.len + from.len);
	if (!grant)
		return NULL;
	grant->uri_len = (uint16_t)uri.len;
	grant->user_len = (uint16_t)user.len;
	grant->from_len = (uint16_t)from.len;
	memcpy(grant->text, uri.p, uri.len);
	if (user.len)
		memcpy(grant->text + uri.len, user.p, user.len);
	memcpy(grant->text + uri.len + user.len, from.p, from.len);
	grant->target.ops = &grant_ops;
	msrp_uri_parse(&grant->target.uri, grant_uri(grant));
	return grant;
}

int grant_new(struct grant **grantp, struct grants *grants, const struct grant_request *request)
{
	char text[GRANT_URI_MAX];
	struct relay *relay = grants->relay;
	struct grant *grant = compose(make_uri(&request->host, text), request);

	if (!grant)
		return -ENOMEM;
	grant->relay = relay;
	grant->expires_ms = timer_now_ms() + request->lifetime_ms;
	grant->hash = hash_of(grants, request->peer, request->from_path);
	if (msrp_target_bind(relay->stack, &grant->target) < 0 || heap_add(grants, grant) < 0) {
		msrp_target_unbind(relay->stack, &grant->target);
		free(grant);
		return -ENOMEM;
	}
	bucket_add(grants, grant);
	grow_buckets(grants);
	link_to_peer(grant, request->peer);
	*relay->count.sessions = grants->count;
	*grantp = grant;
	return 0;
}

static void way_free(struct way *way)
{
	struct way **p = &way->grant->ways;

	while (*p != way)
		p = &(*p)->next;
	*p = way->next;
	msrp_conn_detach(&way->user);
	free(way);
}

void grant_free(struct grant *grant)
{
	struct relay *relay = grant->relay;
	struct grants *grants = relay->grants;

	/* First of all it is no target any more: what follows may call out. */
	msrp_target_unbind(relay->stack, &grant->target);
	heap_remove(grants, grant);
	bucket_remove(grants, grant);
	unlink_from_peer(grant);
	*relay->count.sessions = grants->count;
	while (grant->streams)
		stream_fail(grant->streams, 481, NOTHING);
	while (grant->ways)
		way_free(grant->ways);
	free(grant->alias);
	free(grant);
}

void grant_extend(struct grant *grant, uint64_t lifetime_ms)
{
	grant->expires_ms = timer_now_ms() + lifetime_ms;
	heap_move(grant->relay->grants, grant);
	arm(grant->relay->grants);
}

struct slice grant_uri(const struct grant *grant)
{
	return (struct slice){grant->text, grant->uri_len};
}

struct slice grant_user(const struct grant *grant)
{
	return (struct slice){grant->text + grant->uri_len, grant->user_len};
}

struct slice grant_from_path(const struct grant *grant)
{
	return (struct slice){grant->text + grant->uri_len + grant->user_len, grant->from_len};
}

/* --- its client --- */

static struct slice client_uri(const struct grant *grant)
{
	return msrp_path_first(grant_from_path(grant));
}

bool grant_is_from_client(struct grant *grant, struct msrp_conn *conn)
{
	struct msrp_uri client;
	struct peer *peer;

	if (grant->peer)
		return grant->peer->conn == conn;
	peer = peer_of(grant->relay, conn);
	return peer && msrp_uri_parse(&client, client_uri(grant)) > 0 && peer_is(peer, client.host);
}

static bool same_server(struct slice a, struct slice b)
{
	struct msrp_uri x, y;

	return msrp_uri_parse(&x, a) > 0 && msrp_uri_parse(&y, b) > 0
	    && msrp_uri_same_server(&x, &y);
}

bool grant_is_client(const struct grant *grant, struct slice uri)
{
	return slice_equal(uri, client_uri(grant))
	    || (grant->alias && slice_equal(uri, slice_of(grant->alias)));
}

bool grant_names_client(const struct grant *grant, struct slice uri)
{
	return grant_is_client(grant, uri) || same_server(uri, client_uri(grant))
	    || (grant->alias && same_server(uri, slice_of(grant->alias)));
}

void grant_learn_client(struct grant *grant, struct slice uri)
{
	char *alias;

	if (grant_is_client(grant, uri))
		return;
	alias = slice_dup(uri);
	if (!alias)
		return;
	free(grant->alias);
	grant->alias = alias;
}

/* --- those beyond it --- */

static void on_way_closed(struct msrp_user *user, int err)
{
	(void)err;
	way_free(OWNER(struct way, user, user));
}

static const struct msrp_user_ops way_ops = {.closed = on_way_closed};

/* Whoever was asked for last stands first. */
static struct way *find_way(struct grant *grant, struct slice uri)
{
	for (struct way **p = &grant->ways; *p; p = &(*p)->next) {
		struct way *way = *p;

		if (way->len != uri.len || memcmp(way->uri, uri.p, uri.len) != 0)
			continue;
		*p = way->next;
		way->next = grant->ways;
		grant->ways = way;
		return way;
	}
	return NULL;
}

static void drop_oldest_way(struct grant *grant)
{
	struct way *last = grant->ways;
	size_t count = 1;

	if (!last)
		return;
	for (; last->next; last = last->next)
		count++;
	if (count >= WAYS_MAX)
		way_free(last);
}

struct msrp_conn *grant_way(struct grant *grant, struct slice uri)
{
	struct way *way = find_way(grant, uri);

	return way ? way->user.conn : NULL;
}

void grant_learn_way(struct grant *grant, struct slice uri, struct msrp_conn *conn)
{
	struct way *way = find_way(grant, uri);

	if (way && way->user.conn == conn)
		return;
	if (msrp_conn_closed(conn))
		return;
	if (way) {
		msrp_conn_detach(&way->user);
		msrp_conn_attach(conn, &way->user, 0);
		return;
	}
	drop_oldest_way(grant);
	way = calloc(1, sizeof(*way) + uri.len);
	if (!way)
		return; /* the frame still goes; the next one asks again */
	way->user.ops = &way_ops;
	way->grant = grant;
	way->len = uri.len;
	memcpy(way->uri, uri.p, uri.len);
	way->next = grant->ways;
	grant->ways = way;
	msrp_conn_attach(conn, &way->user, 0);
}
