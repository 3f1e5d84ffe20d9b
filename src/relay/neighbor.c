#include "relay/neighbor.h"

#include <stdlib.h>
#include <string.h>

#include "msrp/conn.h"
#include "relay/core.h"

enum { NEIGHBORS_MAX = 16 };

struct neighbor {
	struct msrp_user user; /* of the connection that leads there */
	LIST_ENTRY(neighbor) entry;
	size_t len;
	char uri[];
};

static void neighbor_free(struct neighbor *n)
{
	LIST_REMOVE(n, entry);
	msrp_conn_detach(&n->user);
	free(n);
}

static void on_closed(struct msrp_user *user, int err)
{
	(void)err;
	neighbor_free(OWNER(struct neighbor, user, user));
}

static const struct msrp_user_ops user_ops = {.closed = on_closed};

/* The one asked for last stands first. */
static struct neighbor *find(struct neighbors *list, struct slice uri)
{
	struct neighbor *n;

	LIST_FOREACH(n, list, entry)
		if (n->len == uri.len && memcmp(n->uri, uri.p, uri.len) == 0)
			break;
	if (n && n != LIST_FIRST(list)) {
		LIST_REMOVE(n, entry);
		LIST_INSERT_HEAD(list, n, entry);
	}
	return n;
}

struct msrp_conn *neighbors_find(struct neighbors *list, struct slice uri)
{
	struct neighbor *n = find(list, uri);

	return n ? n->user.conn : NULL;
}

static void make_room(struct neighbors *list)
{
	struct neighbor *n, *last = NULL;
	size_t count = 0;

	LIST_FOREACH(n, list, entry) {
		last = n;
		count++;
	}
	if (count >= NEIGHBORS_MAX)
		neighbor_free(last);
}

void neighbors_learn(struct neighbors *list, struct slice uri, struct msrp_conn *conn)
{
	struct neighbor *n = find(list, uri);

	if ((n && n->user.conn == conn) || msrp_conn_closed(conn))
		return;
	if (n) {
		msrp_conn_detach(&n->user);
		msrp_conn_attach(conn, &n->user, 0);
		return;
	}
	make_room(list);
	n = calloc(1, sizeof(*n) + uri.len);
	if (!n)
		return; /* the frame still goes; the next one asks again */
	n->user.ops = &user_ops;
	n->len = uri.len;
	memcpy(n->uri, uri.p, uri.len);
	LIST_INSERT_HEAD(list, n, entry);
	msrp_conn_attach(conn, &n->user, 0);
}

void neighbors_clear(struct neighbors *list)
{
	while (!LIST_EMPTY(list))
		neighbor_free(LIST_FIRST(list));
}
