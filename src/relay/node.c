#include "relay/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cluster.h>
#include <msrpd/rand.h>

#include "base/buffer.h"
#include "msrp/pool.h"
#include "msrp/transaction.h"
#include "relay/peer.h"
#include "wire/path.h"
#include "wire/write.h"

enum {
	PASSAGES_MAX = 65536, /* one more, and the oldest is forgotten */
	PASSAGE_KEY_MAX = 2048,
};

/* The method by which a node says that it is one. */
#define GREETING SLICE("NODE")

/* Somebody who writes to a grant of another node by way of this one. */
struct passage {
	UT_hash_handle hh;
	struct msrp_user user; /* of his connection */
	struct relay *relay;
	size_t len;
	char key[]; /* the grant's URI, a space, his own */
};

/* --- whose a grant is --- */

/* @return absent: it names no node */
static struct slice name_of(const struct msrp_uri *uri)
{
	struct slice rest = uri->session_id, name;

	return slice_cut(&rest, '.', &name) && rest.p ? name : NOTHING;
}

bool node_has(const struct relay *relay, const struct msrp_uri *uri)
{
	struct slice own = cluster_own_name(relay->cluster), name = own.p ? name_of(uri) : NOTHING;
	struct cluster_node node;

	return name.p && !slice_equal(name, own)
	    && cluster_find_node(relay->cluster, name, &node) == 0;
}

/* --- the connections there --- */

/*
 * One to another node: found without a look at the pool, since every frame asks, and kept as long as
 * that node keeps it, for the sessions of its grants.
 */
struct node_link {
	UT_hash_handle hh;
	struct msrp_user user; /* of the connection */
	struct relay *relay;
	size_t at_len, name_len;
	char at[]; /* the node's URI, and behind it its name */
};

static void link_free(struct node_link *link)
{
	HASH_DEL(link->relay->node_links, link);
	msrp_conn_detach(&link->user);
	free(link);
}

static void on_link_closed(struct msrp_user *user, int err)
{
	(void)err;
	link_free(OWNER(struct node_link, user, user));
}

/* So that the other end answers together what comes over this connection.  Nobody answers this. */
static void greet(const struct node_link *link)
{
	const struct cluster *cluster = link->relay->cluster;
	const struct cluster_mark mark = {.service = SLICE("relay")};
	struct slice own = cluster_own_msrp(cluster);
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct msrp_conn *conn = link->user.conn;
	char tid[MSRP_TID_LEN + 1];

	if (!own.p)
		return;
	rand_token(tid, MSRP_TID_LEN);
	msrp_write_request_line(&w, slice_of(tid), GREETING);
	msrp_write_paths(&w, (struct slice){link->at, link->at_len}, own);
	cluster_mark_write(cluster, &w, (struct slice){link->at + link->at_len, link->name_len},
	    &mark);
	msrp_write_end_line(&w, slice_of(tid), MSRP_COMPLETE, false);
	if (!w.err && msrp_conn_answer_together(conn) == 0)
		msrp_conn_send(conn, buffer_text(&w));
	buffer_fini(&w);
}

/* That of a relay between us would have its own URI in front. */
static bool is_from_node(const struct cluster *cluster, const struct msrp_frame *frame)
{
	struct buffer texts = {.max = BUFFER_UNBOUNDED};
	struct slice rest = frame->headers, value;
	struct cluster_mark mark;
	bool good;

	slice_cut(&rest, '\r', &value);
	good = slice_starts_nocase(value, SLICE(CLUSTER_HEADER ": "))
	    && cluster_mark_read(cluster, &texts,
		   slice_from(value, sizeof(CLUSTER_HEADER ": ") - 1), &mark)
		== 0
	    && slice_equal(mark.service, SLICE("relay")) && msrp_path_count(frame->from_path) == 1;
	buffer_fini(&texts);
	return good;
}

bool node_greets(const struct relay *relay, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	if (frame->method != MSRP_OTHER || !slice_equal(frame->method_text, GREETING)
	    || !is_from_node(relay->cluster, frame))
		return false;
	msrp_conn_answer_together(conn);
	return true;
}

static void on_link_opened(struct msrp_user *user)
{
	greet(OWNER(struct node_link, user, user));
}

static const struct msrp_user_ops link_ops = {.closed = on_link_closed, .opened = on_link_opened};

static struct node_link *find_link(const struct relay *relay, struct slice at)
{
	struct node_link *link;

	HASH_FIND(hh, relay->node_links, at.p, at.len, link);
	return link;
}

/* In the place of one whose connection is closing. */
static int add_link(struct relay *relay, const struct cluster_node *node, struct msrp_conn *conn)
{
	struct slice at = node->msrp, name = node->name;
	struct node_link *link = calloc(1, sizeof(*link) + at.len + name.len);
	struct node_link *old = find_link(relay, at);

	if (!link)
		return -ENOMEM;
	if (old)
		link_free(old);
	link->relay = relay;
	link->user.ops = &link_ops;
	link->at_len = at.len;
	link->name_len = name.len;
	memcpy(link->at, at.p, at.len);
	memcpy(link->at + at.len, name.p, name.len);
	HASH_ADD_KEYPTR(hh, relay->node_links, link->at, link->at_len, link);
	if (!link->hh.tbl) {
		free(link);
		return -ENOMEM;
	}
	peer_is_now_node(conn);
	msrp_conn_attach(conn, &link->user, 0);
	if (msrp_conn_open(conn))
		greet(link);
	return 0;
}

static int connect_to(struct relay *relay, const struct cluster_node *node,
    struct msrp_conn **connp)
{
	struct msrp_destination to = {.existing = false};
	struct msrp_uri at;
	int err;

	if (!node->msrp.p || msrp_uri_parse(&at, node->msrp) < 0)
		return -ENOENT;
	to.secure = at.secure;
	to.transport = at.transport;
	to.host = at.host;
	to.port = at.port ? at.port : MSRP_DEFAULT_PORT;
	err = msrp_pool_get(relay->stack, &to, connp);
	return err < 0 ? err : add_link(relay, node, *connp);
}

int node_connect(struct relay *relay, const struct msrp_uri *uri, struct msrp_conn **connp)
{
	struct cluster_node node;
	struct node_link *link;
	int err = cluster_find_node(relay->cluster, name_of(uri), &node);

	if (err < 0)
		return err;
	link = node.msrp.len ? find_link(relay, node.msrp) : NULL;
	if (!link || msrp_conn_closing(link->user.conn))
		return connect_to(relay, &node, connp);
	*connp = link->user.conn;
	return 0;
}

/* --- the way back --- */

static void passage_free(struct passage *p)
{
	if (p->relay->latest_passage == p)
		p->relay->latest_passage = NULL;
	HASH_DEL(p->relay->passages, p);
	msrp_conn_detach(&p->user);
	free(p);
}

static void on_closed(struct msrp_user *user, int err)
{
	(void)err;
	passage_free(OWNER(struct passage, user, user));
}

static const struct msrp_user_ops user_ops = {.closed = on_closed};

/* @return bytes; 0: too long */
static size_t write_key(char key[PASSAGE_KEY_MAX], struct slice grant, struct slice uri)
{
	struct buffer w = {.p = key, .cap = PASSAGE_KEY_MAX};

	buffer_add(&w, grant);
	buffer_add_char(&w, ' ');
	buffer_add(&w, uri);
	return w.err ? 0 : w.len;
}

static bool is_of(const struct passage *p, struct slice grant, struct slice uri)
{
	return p->len == grant.len + 1 + uri.len && memcmp(p->key, grant.p, grant.len) == 0
	    && p->key[grant.len] == ' ' && memcmp(p->key + grant.len + 1, uri.p, uri.len) == 0;
}

static struct passage *find(struct relay *relay, struct slice grant, struct slice uri)
{
	struct passage *p = relay->latest_passage;
	char key[PASSAGE_KEY_MAX];
	size_t len;

	/* What one read brings is often of one session. */
	if (p && is_of(p, grant, uri))
		return p;
	len = relay->passages ? write_key(key, grant, uri) : 0;
	if (!len)
		return NULL;
	HASH_FIND(hh, relay->passages, key, len, p);
	if (p)
		relay->latest_passage = p;
	return p;
}

static void add(struct relay *relay, struct slice grant, struct slice uri, struct msrp_conn *conn)
{
	char key[PASSAGE_KEY_MAX];
	size_t len = write_key(key, grant, uri);
	struct passage *p;

	if (!len)
		return;
	if (HASH_COUNT(relay->passages) >= PASSAGES_MAX)
		passage_free(relay->passages); /* the oldest stands first */
	p = calloc(1, sizeof(*p) + len);
	if (!p)
		return; /* the frame still goes; the next one asks again */
	p->relay = relay;
	p->user.ops = &user_ops;
	p->len = len;
	memcpy(p->key, key, len);
	HASH_ADD_KEYPTR(hh, relay->passages, p->key, (unsigned)p->len, p);
	if (!p->hh.tbl)
		free(p);
	else
		msrp_conn_attach(conn, &p->user, 0);
}

void node_learn(struct relay *relay, struct slice grant, struct slice uri, struct msrp_conn *conn)
{
	struct passage *p = find(relay, grant, uri);

	if (msrp_conn_closed(conn) || (p && p->user.conn == conn))
		return;
	if (p)
		passage_free(p);
	add(relay, grant, uri, conn);
}

struct msrp_conn *node_back(struct relay *relay, struct msrp_conn *from, struct slice grant,
    struct slice uri)
{
	bool node = relay->passages && peer_is_node(from);
	struct passage *p = node ? find(relay, grant, uri) : NULL;

	return p ? p->user.conn : NULL;
}

void nodes_fini(struct relay *relay)
{
	while (relay->node_links)
		link_free(relay->node_links);
	while (relay->passages)
		passage_free(relay->passages);
}
