/* What finds no memory stays out: its hh.tbl is NULL then. */
#define HASH_NONFATAL_OOM 1
#include "relay/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cluster.h>

#include "base/buffer.h"
#include "msrp/pool.h"
#include "relay/peer.h"

enum {
	PASSAGES_MAX = 65536, /* one more, and the oldest is forgotten */
	PASSAGE_KEY_MAX = 2048,
};

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

int node_connect(struct relay *relay, const struct msrp_uri *uri, struct msrp_conn **connp)
{
	struct msrp_destination to = {.existing = false};
	struct cluster_node node;
	struct msrp_uri at;
	struct peer *peer;
	int err = cluster_find_node(relay->cluster, name_of(uri), &node);

	if (err < 0 || !node.msrp.p || msrp_uri_parse(&at, node.msrp) < 0)
		return -ENOENT;
	to.secure = at.secure;
	to.transport = at.transport;
	to.host = at.host;
	to.port = at.port ? at.port : MSRP_DEFAULT_PORT;
	err = msrp_pool_get(relay->stack, &to, connp);
	peer = err == 0 ? peer_of(relay, *connp) : NULL;
	if (peer)
		peer->node = true;
	return err;
}

/* --- the way back --- */

static void passage_free(struct passage *p)
{
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

static struct passage *find(struct relay *relay, const char *key, size_t len)
{
	struct passage *p;

	HASH_FIND(hh, relay->passages, key, len, p);
	return p;
}

static void add(struct relay *relay, const char *key, size_t len, struct msrp_conn *conn)
{
	struct passage *p;

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
	char key[PASSAGE_KEY_MAX];
	size_t len = write_key(key, grant, uri);
	struct passage *p = len ? find(relay, key, len) : NULL;

	if (!len || msrp_conn_closed(conn) || (p && p->user.conn == conn))
		return;
	if (p)
		passage_free(p);
	add(relay, key, len, conn);
}

struct msrp_conn *node_back(struct relay *relay, struct msrp_conn *from, struct slice grant,
    struct slice uri)
{
	const struct peer *peer = relay->passages ? peer_find(from) : NULL;
	char key[PASSAGE_KEY_MAX];
	size_t len = peer && peer->node ? write_key(key, grant, uri) : 0;
	struct passage *p = len ? find(relay, key, len) : NULL;

	return p ? p->user.conn : NULL;
}

void nodes_fini(struct relay *relay)
{
	while (relay->passages)
		passage_free(relay->passages);
}
