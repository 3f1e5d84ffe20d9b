/*
 * Which messages a trace is about, and what ties them together: the SDP of a call names sessions by
 * its a=path, and frames name them in their paths.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/log.h>
#include <msrpd/table.h>

#include "edge/head.h"
#include "trace/priv.h"
#include "wire/path.h"

enum { KNOWN_MAX = 16384 }; /* names of each kind; the oldest goes */

/* A session id with the Call-ID of its call, or a Call-ID that is wanted. */
struct known {
	UT_hash_handle hh;
	bool wanted;
	struct slice call_id; /* behind the key */
	size_t key_len;
	char key[];
};

struct trace_filter {
	bool any; /* neither session nor user */
	char *user;
	bool by_address;
	union addr address;
	unsigned bits;
	struct known *sessions, *calls;
};

/* --- names that are known --- */

static void drop(struct known **table, struct known *k)
{
	HASH_DELETE(hh, *table, k);
	free(k);
}

static struct known *find(struct known *table, struct slice key)
{
	struct known *k = NULL;

	if (key.len)
		HASH_FIND(hh, table, key.p, key.len, k);
	return k;
}

static void note_forgotten(bool wanted)
{
	if (wanted)
		log_warn("trace: more of a call may be missing: out of memory");
}

/* What is not kept for want of memory is not known. */
static void note(struct known **table, struct slice key, struct slice call_id, bool wanted)
{
	struct known *k = find(*table, key), *fresh;

	if (key.len == 0 || (k && slice_equal(k->call_id, call_id) && k->wanted >= wanted))
		return;
	wanted = wanted || (k && k->wanted);
	fresh = malloc(sizeof(*fresh) + key.len + call_id.len);
	if (!fresh) {
		note_forgotten(wanted);
		return;
	}
	if (k)
		drop(table, k);
	else if (HASH_COUNT(*table) >= KNOWN_MAX)
		drop(table, *table);
	*fresh = (struct known){.wanted = wanted, .key_len = key.len};
	memcpy(fresh->key, key.p, key.len);
	if (call_id.len)
		memcpy(fresh->key + key.len, call_id.p, call_id.len);
	if (call_id.p)
		fresh->call_id = (struct slice){fresh->key + key.len, call_id.len};
	HASH_ADD_KEYPTR(hh, *table, fresh->key, key.len, fresh);
	if (!fresh->hh.tbl) {
		note_forgotten(wanted);
		free(fresh);
	}
}

static void forget_all(struct known **table)
{
	while (*table)
		drop(table, *table);
}

/* --- life --- */

static int take_address(struct trace_filter *f, struct slice text, struct reason *why)
{
	f->by_address = true;
	if (addr_parse(&f->address, text) == 0)
		return 0;
	if (addr_parse_prefix(&f->address, &f->bits, text) == 0)
		return 0;
	return reason_set(why, -EINVAL, "address is neither ADDRESS[:PORT] nor ADDRESS/LENGTH");
}

int trace_filter_new(struct trace_filter **filterp, const struct trace_filter_options *options,
    struct reason *why)
{
	struct trace_filter *f = calloc(1, sizeof(*f));
	int err = 0;

	reason_set(why, -ENOMEM, "out of memory");
	if (!f)
		return -ENOMEM;
	f->any = !options->session_id.p && !options->user.p;
	f->user = slice_dup(options->user);
	note(&f->sessions, options->session_id, (struct slice){NULL, 0}, true);
	if ((options->user.p && !f->user) || (options->session_id.len && !f->sessions))
		err = -ENOMEM;
	else if (options->address.p)
		err = take_address(f, options->address, why);
	if (err < 0) {
		trace_filter_free(f);
		return err;
	}
	*filterp = f;
	return 0;
}

void trace_filter_free(struct trace_filter *f)
{
	if (!f)
		return;
	forget_all(&f->sessions);
	forget_all(&f->calls);
	free(f->user);
	free(f);
}

bool trace_filter_takes_peer(const struct trace_filter *f, const union addr *peer)
{
	if (!f->by_address)
		return true;
	if (f->bits == 0 && addr_port(&f->address))
		return addr_equal(peer, &f->address);
	return addr_in_prefix(peer, &f->address, f->bits);
}

/* --- users --- */

/* "alice", "alice@example.org" or the whole URI, its parameters aside. */
static bool is_user(const struct trace_filter *f, struct slice uri)
{
	struct slice wanted = slice_of(f->user), rest = uri, scheme, user;

	if (!slice_cut(&rest, ';', &uri))
		return false;
	rest = uri;
	slice_cut(&rest, ':', &scheme);
	if (slice_equal(uri, wanted) || (rest.p && slice_equal(rest, wanted)))
		return true;
	return slice_cut(&rest, '@', &user) && slice_equal(user, wanted);
}

static bool has_user(const struct trace_filter *f, const struct edge_head *head)
{
	if (!f->user)
		return false;
	return is_user(f, edge_value_uri(edge_head_value(head, EDGE_FROM)))
	    || is_user(f, edge_value_uri(edge_head_value(head, EDGE_TO)))
	    || (head->request && is_user(f, edge_head_uri(head)));
}

void trace_filter_know(struct trace_filter *f, struct slice session_id,
    const struct ua_session_info *info)
{
	const struct known *k = find(f->sessions, session_id);
	bool wanted = (k && k->wanted)
	    || (f->user
		&& (is_user(f, info->from_uri) || is_user(f, info->to_uri)
		    || is_user(f, info->ruri)));

	if (!wanted && !f->any)
		return;
	note(&f->sessions, session_id, info->call_id, wanted);
	if (wanted)
		note(&f->calls, info->call_id, (struct slice){NULL, 0}, true);
}

/* The user of an AUTH's credentials: all that comes over its connection is his. */
static bool has_credentials(const struct trace_filter *f, struct slice line)
{
	static const char name[] = "username=\"";
	const char *at = memmem(line.p, line.len, name, sizeof(name) - 1);
	struct slice rest, user;

	if (!f->user || !at)
		return false;
	rest = slice_from(line, (size_t)(at - line.p) + sizeof(name) - 1);
	slice_cut(&rest, '"', &user);
	return slice_equal(user, slice_of(f->user));
}

/* --- lines --- */

static bool next_line(struct slice *rest, struct slice *line)
{
	if (!slice_cut(rest, '\n', line))
		return false;
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* @return whether line begins so; value is the rest of it */
static bool has_name(struct slice line, struct slice name, struct slice *value)
{
	if (!slice_starts_nocase(line, name))
		return false;
	*value = slice_trim(slice_from(line, name.len));
	return true;
}

/* --- SIP --- */

/* Do paths of the SDP name a wanted session? */
static bool names_wanted(const struct trace_filter *f, struct slice body)
{
	struct slice line, path;
	struct msrp_uri uri;
	bool wanted = false;

	while (next_line(&body, &line))
		if (has_name(line, SLICE("a=path:"), &path))
			while (msrp_path_next(&path, &uri) > 0) {
				const struct known *k = find(f->sessions, uri.session_id);

				wanted = wanted || (k && k->wanted);
			}
	return wanted;
}

static void learn_paths(struct trace_filter *f, struct slice body, struct slice call_id,
    bool wanted)
{
	struct slice line, path;
	struct msrp_uri uri;

	while (next_line(&body, &line))
		if (has_name(line, SLICE("a=path:"), &path))
			while (msrp_path_next(&path, &uri) > 0)
				note(&f->sessions, uri.session_id, call_id, wanted);
}

bool trace_filter_takes_sip(struct trace_filter *f, struct slice text, struct slice body,
    struct slice *call_id)
{
	static const struct edge_bounds bounds = {1 << 30, 1 << 20, 1 << 16};
	struct edge_head head = {0};
	bool wanted;

	edge_head_scan(&head, text, &bounds);
	*call_id = edge_head_value(&head, EDGE_CALL_ID);
	wanted =
	    !f->any && (find(f->calls, *call_id) || has_user(f, &head) || names_wanted(f, body));
	/* Names of others would push out those that are wanted. */
	if (f->any || wanted)
		learn_paths(f, body, *call_id, wanted);
	if (wanted)
		note(&f->calls, *call_id, (struct slice){NULL, 0}, true);
	return f->any || wanted;
}

/* --- MSRP --- */

/* @param named  set if it names a session */
static bool path_wanted(const struct trace_filter *f, struct slice path, bool *named,
    struct slice *call_id)
{
	struct msrp_uri uri;
	bool wanted = false;

	while (msrp_path_next(&path, &uri) > 0) {
		const struct known *k = find(f->sessions, uri.session_id);

		*named = *named || uri.session_id.len;
		if (k && k->call_id.p)
			*call_id = k->call_id;
		wanted = wanted || (k && k->wanted);
	}
	return wanted;
}

bool trace_filter_takes_msrp(struct trace_filter *f, struct slice head, struct trace_mark *mark,
    struct slice *call_id)
{
	struct slice line, value;
	bool wanted = f->any, named = false;

	*call_id = (struct slice){NULL, 0};
	while (next_line(&head, &line)) {
		if (has_name(line, SLICE("To-Path:"), &value)
		    || has_name(line, SLICE("From-Path:"), &value))
			wanted = path_wanted(f, value, &named, call_id) || wanted;
		else if (has_name(line, SLICE("Authorization:"), &value))
			mark->all = mark->all || has_credentials(f, value);
	}
	mark->last = wanted || mark->all || (!named && mark->last);
	return mark->last;
}
