#include "msrp/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/dial.h"

enum { FINGERPRINT_MAX = 256 };

struct pool_entry {
	UT_hash_handle hh;
	struct msrp_conn *conn;
	struct net_dial dial;
	bool hidden;        /* not found any more: its connection is on its way out */
	char *fingerprints; /* one a line; empty: name and CA count */
	char key[];
};

/* --- keys --- */

static char *join_fingerprints(const struct msrp_destination *to)
{
	size_t size = 1, at = 0;
	char *text;

	for (size_t i = 0; i < to->fingerprint_count; i++) {
		if (to->fingerprints[i].len > FINGERPRINT_MAX)
			return NULL;
		size += to->fingerprints[i].len + 1;
	}
	text = malloc(size);
	if (!text)
		return NULL;
	for (size_t i = 0; i < to->fingerprint_count; i++) {
		memcpy(text + at, to->fingerprints[i].p, to->fingerprints[i].len);
		at += to->fingerprints[i].len;
		text[at++] = '\n';
	}
	text[at] = '\0';
	return text;
}

/* What two destinations must share to share a connection. */
static int write_key(char *key, size_t size, const struct msrp_destination *to,
    const struct msrp_transport *transport, const char *fingerprints)
{
	return snprintf(key, size, "%s %.*s %u %p %.*s %s", transport->secure ? "msrps" : "msrp",
	    SLICE_ARG(transport->name), to->port, (void *)to->from, SLICE_ARG(to->host),
	    fingerprints);
}

static void lower_case(char *p)
{
	for (; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
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

static struct pool_entry *new_entry(struct msrp_conn *conn, const char *key, char *fingerprints)
{
	size_t size = strlen(key) + 1;
	struct pool_entry *entry = calloc(1, sizeof(*entry) + size);

	if (!entry) {
		free(fingerprints);
		return NULL;
	}
	memcpy(entry->key, key, size);
	entry->conn = conn;
	entry->fingerprints = fingerprints;
	entry->hidden = true;
	return entry;
}

/* Without memory for that it is not shared. */
static void share(struct pool_entry *entry)
{
	struct msrp_stack *stack = stack_of(entry->conn);

	HASH_ADD_STR(stack->pool, key, entry);
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

/* Takes fingerprints. */
static int open_new(struct msrp_stack *stack, const struct msrp_destination *to,
    const struct msrp_transport *transport, const char *key, char *fingerprints,
    struct msrp_conn **connp)
{
	struct pool_entry *entry;
	struct msrp_conn *conn;
	int err;

	if (net_protocol_is_full(&stack->protocol)) {
		free(fingerprints);
		return -EMFILE;
	}
	conn = conn_new(stack, transport);
	if (!conn) {
		free(fingerprints);
		return -ENOMEM;
	}
	entry = new_entry(conn, key, fingerprints);
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
	char *fingerprints, key[1024];
	struct pool_entry *entry;
	int n;

	if (stack->protocol.stopping)
		return -ESHUTDOWN;
	if (!is_valid(to) || !transport || transport->accepts_only)
		return -EINVAL;
	fingerprints = join_fingerprints(to);
	if (!fingerprints)
		return -ENOMEM;
	n = write_key(key, sizeof(key), to, transport, fingerprints);
	if (n < 0 || (size_t)n >= sizeof(key)) {
		free(fingerprints);
		return -EINVAL;
	}
	lower_case(key);
	HASH_FIND_STR(stack->pool, key, entry);
	if (entry && entry->conn->stream.closing) {
		HASH_DEL(stack->pool, entry);
		entry->hidden = true;
		entry = NULL;
	}
	if (!entry && !to->existing)
		return open_new(stack, to, transport, key, fingerprints, connp);
	free(fingerprints);
	if (!entry)
		return -ENOENT;
	*connp = entry->conn;
	return 0;
}
