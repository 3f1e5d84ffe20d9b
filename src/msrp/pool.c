#include "msrp/priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "net/dial.h"

struct pool_entry {
	UT_hash_handle hh;
	struct msrp_conn *conn;
	struct net_dial dial;
	bool hidden;        /* not found any more: its connection is on its way out */
	char *fingerprints; /* one a line; empty: name and CA count */
	size_t key_len;
	char key[];
};

/* --- keys --- */

/* What two destinations must share to share a connection; of bytes, not of text. */
struct pool_key {
	size_t len;
	char bytes[1024];
};

static void put(struct buffer *w, const void *p, size_t len)
{
	buffer_add(w, (struct slice){p, len});
}

static void lower_case(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
}

/* A frame may be all that asks: no formats, and nothing allocated.  @return 0 or -EINVAL */
static int write_key(struct pool_key *key, const struct msrp_destination *to,
    const struct msrp_transport *transport)
{
	struct buffer w = BUFFER_ON(key->bytes);
	size_t text;

	put(&w, &transport, sizeof(transport));
	put(&w, &to->from, sizeof(to->from));
	put(&w, &to->port, sizeof(to->port));
	text = w.len;
	buffer_add(&w, to->host);
	for (size_t i = 0; i < to->fingerprint_count; i++) {
		buffer_add_char(&w, '\n');
		buffer_add(&w, to->fingerprints[i]);
	}
	lower_case(w.p + text, w.len - text);
	key->len = w.len;
	return w.err ? -EINVAL : 0;
}

/* @return NULL: no memory */
static char *join_fingerprints(const struct msrp_destination *to)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	char *text;
	size_t len;

	for (size_t i = 0; i < to->fingerprint_count; i++) {
		buffer_add(&w, to->fingerprints[i]);
		buffer_add_char(&w, '\n');
	}
	return buffer_take(&w, &text, &len) == 0 ? text : NULL;
}

/* --- entries --- */

/* That of a connection that was opened here, by its dial; NULL: accepted. */
static struct pool_entry *entry_of(const struct msrp_conn *conn)
{
	struct net_dial *dial = conn->stream.dial;

	return dial
	    ? (struct pool_entry *)(void *)((char *)dial - offsetof(struct pool_entry, dial))
	    : NULL;
}

void pool_remove(struct msrp_conn *conn)
{
	struct pool_entry *entry = entry_of(conn);

	if (!entry)
		return;
	if (!entry->hidden)
		HASH_DEL(stack_of(conn)->pool, entry);
	free(entry->fingerprints);
	free(entry);
}

static struct pool_entry *new_entry(struct msrp_conn *conn, const struct msrp_destination *to,
    const struct pool_key *key)
{
	struct pool_entry *entry = calloc(1, sizeof(*entry) + key->len);

	if (!entry)
		return NULL;
	entry->fingerprints = join_fingerprints(to);
	if (!entry->fingerprints) {
		free(entry);
		return NULL;
	}
	memcpy(entry->key, key->bytes, key->len);
	entry->key_len = key->len;
	entry->conn = conn;
	entry->hidden = true;
	return entry;
}

static struct pool_entry *find(struct msrp_stack *stack, const struct pool_key *key)
{
	struct pool_entry *entry;

	HASH_FIND(hh, stack->pool, key->bytes, (unsigned)key->len, entry);
	return entry;
}

/* Without memory for that it is not shared. */
static void share(struct pool_entry *entry)
{
	struct msrp_stack *stack = stack_of(entry->conn);

	HASH_ADD_KEYPTR(hh, stack->pool, entry->key, (unsigned)entry->key_len, entry);
	entry->hidden = !entry->hh.tbl;
}

static int dial(struct pool_entry *entry, const struct msrp_destination *to)
{
	struct net_destination place = {
	    .transport = entry->conn->transport->net,
	    .host = to->host,
	    .port = to->port,
	    .from = to->from ? msrp_listener_address(to->from) : NULL,
	    .fingerprints = entry->fingerprints,
	};

	return net_dial(&entry->conn->stream, &entry->dial, &place);
}

static int open_new(struct msrp_stack *stack, const struct msrp_destination *to,
    const struct msrp_transport *transport, const struct pool_key *key, struct msrp_conn **connp)
{
	struct pool_entry *entry;
	struct msrp_conn *conn;
	int err;

	if (net_protocol_is_full(&stack->protocol))
		return -EMFILE;
	conn = conn_new(stack, transport);
	if (!conn)
		return -ENOMEM;
	entry = new_entry(conn, to, key);
	err = entry ? dial(entry, to) : -ENOMEM;
	if (err < 0) {
		msrp_conn_close(conn, err);
		return err;
	}
	share(entry);
	*connp = conn;
	return 0;
}

static bool is_valid(const struct msrp_destination *to)
{
	return to->host.len && to->host.len <= 255 && to->port;
}

int msrp_pool_get(struct msrp_stack *stack, const struct msrp_destination *to,
    struct msrp_conn **connp)
{
	const struct msrp_transport *transport =
	    msrp_transport_find(to->secure, to->transport.p ? to->transport : SLICE("tcp"));
	struct pool_entry *entry;
	struct pool_key key;

	if (stack->protocol.stopping)
		return -ESHUTDOWN;
	if (!is_valid(to) || !transport || transport->accepts_only
	    || write_key(&key, to, transport) < 0)
		return -EINVAL;
	entry = find(stack, &key);
	if (entry && entry->conn->stream.closing) {
		HASH_DEL(stack->pool, entry);
		entry->hidden = true;
		entry = NULL;
	}
	if (!entry && !to->existing)
		return open_new(stack, to, transport, &key, connp);
	if (!entry)
		return -ENOENT;
	*connp = entry->conn;
	return 0;
}
