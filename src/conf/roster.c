/* Who is in a room, for those who watch: the event package conference (RFC 4575). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <msrpd/subscription.h>

#include "conf/priv.h"

enum {
	GONE_MAX = 1000,     /* users of whom it is known that they have left */
	WATCHERS_MAX = 2000, /* of one room */
	MIN_EXPIRES_S = 60,
	EXPIRES_S = 3600,
	INTERVAL_MS = 500,
	/* Bytes after which the rest is left to the next NOTIFY: many a proxy reads 64 KiB. */
	DOCUMENT_FULL = 32 << 10,
};

/* Somebody who watches a room. */
struct conf_watcher {
	LIST_ENTRY(conf_watcher) entry; /* of the room */
	struct conf_room *room;
	struct subscription *subscription;
	uint64_t seen;      /* it was told of what has changed of users up to there */
	uint64_t gone;      /* of who has left, the same; 0: it knows nothing yet */
	uint64_t described; /* and of the room itself */
	uint64_t version;   /* of the next document: RFC 4575 5.2 */
};

/* A user who has left. */
struct conf_gone {
	STAILQ_ENTRY(conf_gone) next;
	uint64_t change;
	char uri[];
};

/* --- changes --- */

static void drop_gone(struct conf_roster *roster)
{
	struct conf_gone *gone = STAILQ_FIRST(&roster->gone);

	STAILQ_REMOVE_HEAD(&roster->gone, next);
	roster->gone_count--;
	roster->forgotten = gone->change;
	free(gone);
}

static void note_gone(struct conf_roster *roster, const struct conf_user *user)
{
	struct conf_gone *gone = calloc(1, sizeof(*gone) + user->uri_len + 1);

	if (!gone) {
		roster->forgotten = roster->change;
		return;
	}
	memcpy(gone->uri, user->uri, user->uri_len);
	gone->change = roster->change;
	STAILQ_INSERT_TAIL(&roster->gone, gone, next);
	if (++roster->gone_count > GONE_MAX)
		drop_gone(roster);
}

static bool is_here(const struct conf_user *user)
{
	const struct conf_participant *p;

	LIST_FOREACH(p, &user->devices, device)
		if (p->joined)
			return true;
	return false;
}

static void tell_watchers(struct conf_roster *roster)
{
	struct conf_watcher *w;

	LIST_FOREACH(w, &roster->watchers, entry)
		subscription_changed(w->subscription);
}

void conf_roster_changed(struct conf_room *room, struct conf_user *user)
{
	struct conf_roster *roster = &room->roster;
	bool here = is_here(user);

	if (!here && !user->listed)
		return;
	roster->change++;
	if (user->listed)
		TAILQ_REMOVE(&roster->users, user, listed_next);
	roster->count += (size_t)here - (size_t)user->listed;
	user->listed = here;
	user->change = roster->change;
	if (here)
		TAILQ_INSERT_TAIL(&roster->users, user, listed_next);
	else if (!LIST_EMPTY(&roster->watchers))
		note_gone(roster, user);
	tell_watchers(roster);
}

void conf_roster_described(struct conf_room *room)
{
	room->roster.described = ++room->roster.change;
	tell_watchers(&room->roster);
}

/* --- documents --- */

/* What XML does not have at all, and what is no UTF-8, is left out. */
static void add_text(struct buffer *b, struct slice s)
{
	while (s.len) {
		size_t n = slice_utf8_char(s);
		unsigned char c = (unsigned char)s.p[0];

		if (c == '<')
			buffer_add(b, SLICE("&lt;"));
		else if (c == '>')
			buffer_add(b, SLICE("&gt;"));
		else if (c == '&')
			buffer_add(b, SLICE("&amp;"));
		else if (c == '"')
			buffer_add(b, SLICE("&quot;"));
		else if (n && c >= ' ' && c != 0x7f)
			buffer_add(b, slice_head(s, n));
		s = slice_from(s, n ? n : 1);
	}
}

static void add_attribute(struct buffer *b, const char *name, struct slice value)
{
	buffer_printf(b, " %s=\"", name);
	add_text(b, value);
	buffer_add(b, SLICE("\""));
}

static void add_element(struct buffer *b, const char *name, struct slice text)
{
	buffer_printf(b, "<%s>", name);
	add_text(b, text);
	buffer_printf(b, "</%s>\r\n", name);
}

/* RFC 4575 5.7; its session is nobody else's business, so a number names it. */
static void add_endpoint(struct buffer *b, const struct conf_participant *p)
{
	buffer_add(b, SLICE("<endpoint entity=\""));
	add_text(b, slice_of(p->user->uri));
	buffer_printf(b,
	    ";device=%llu\"><status>connected</status><joining-method>%s</joining-method>"
	    "</endpoint>\r\n",
	    (unsigned long long)p->number, p->invited ? "dialed-out" : "dialed-in");
}

static const char *nickname_of(const struct conf_user *user)
{
	const struct conf_participant *p;

	LIST_FOREACH(p, &user->devices, device)
		if (p->joined && p->shown)
			return p->shown;
	return NULL;
}

static const char *name_of(const struct conf_user *user)
{
	const struct conf_participant *p;

	LIST_FOREACH(p, &user->devices, device)
		if (p->joined && p->name)
			return p->name;
	return NULL;
}

static void add_user(struct buffer *b, const struct conf_user *user)
{
	const char *nickname = nickname_of(user), *name = name_of(user);
	struct buffer plain = {.max = BUFFER_UNBOUNDED};
	const struct conf_participant *p;

	buffer_add(b, SLICE("<user"));
	add_attribute(b, "entity", slice_of(user->uri));
	buffer_add(b, SLICE(" state=\"full\""));
	if (nickname)
		add_attribute(b, "xcon:nickname", slice_of(nickname));
	buffer_add(b, SLICE(">\r\n"));
	if (name) {
		conf_write_display_name(&plain, slice_of(name));
		add_element(b, "display-text", buffer_text(&plain));
		buffer_fini(&plain);
	}
	LIST_FOREACH(p, &user->devices, device)
		if (p->joined)
			add_endpoint(b, p);
	buffer_add(b, SLICE("</user>\r\n"));
}

static void add_description(struct buffer *b, const struct conf_room *room)
{
	struct slice subject = conf_room_subject(room);

	buffer_add(b, SLICE("<conference-description>"));
	if (subject.p)
		add_element(b, "subject", subject);
	buffer_add(b, SLICE("</conference-description>\r\n"));
}

static void add_deleted(struct buffer *b, const struct conf_roster *roster,
    const struct conf_gone *gone)
{
	const struct conf_user *again;

	HASH_FIND(hh, roster->room->users, gone->uri, strlen(gone->uri), again);
	if (again && again->listed)
		return;
	buffer_add(b, SLICE("<user"));
	add_attribute(b, "entity", slice_of(gone->uri));
	buffer_add(b, SLICE(" state=\"deleted\"/>\r\n"));
}

static bool has_room(const struct buffer *b, const struct conf_watcher *w)
{
	return b->len < DOCUMENT_FULL || subscription_ends(w->subscription);
}

/* Who has left since.  @return are these all? */
static bool add_gone(struct buffer *b, struct conf_watcher *w)
{
	const struct conf_roster *roster = &w->room->roster;
	const struct conf_gone *gone;

	STAILQ_FOREACH(gone, &roster->gone, next) {
		if (gone->change <= w->gone)
			continue;
		if (!has_room(b, w))
			return false;
		add_deleted(b, roster, gone);
		w->gone = gone->change;
	}
	w->gone = roster->change;
	return true;
}

/* They stand in the order of their last changes. */
static const struct conf_user *first_since(const struct conf_roster *roster, uint64_t since)
{
	const struct conf_user *user = TAILQ_LAST(&roster->users, conf_listed), *first = NULL;

	while (user && user->change > since) {
		first = user;
		user = TAILQ_PREV(user, conf_listed, listed_next);
	}
	return first;
}

/* Who has come in or changed since.  @return are these all? */
static bool add_users(struct buffer *b, struct conf_watcher *w)
{
	const struct conf_roster *roster = &w->room->roster;
	const struct conf_user *user;

	for (user = first_since(roster, w->seen); user; user = TAILQ_NEXT(user, listed_next)) {
		if (!has_room(b, w))
			return false;
		add_user(b, user);
		w->seen = user->change;
	}
	w->seen = roster->change;
	return true;
}

static void add_head(struct buffer *b, const struct conf_watcher *w, const char *state)
{
	buffer_add(b,
	    SLICE("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		  "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\""
		  " xmlns:xcon=\"urn:ietf:params:xml:ns:xcon-conference-info\""));
	add_attribute(b, "entity", slice_of(w->room->uri));
	buffer_printf(b, " state=\"%s\" version=\"%llu\"", state, (unsigned long long)w->version);
}

/*
 * All of it, or what has changed since.  A roster that is too long for one document goes on in the
 * next, as if the others came in then: the count may well be higher (RFC 4575 5.5.1).
 */
static void add_document(struct buffer *b, struct conf_watcher *w, bool full)
{
	const struct conf_roster *roster = &w->room->roster;
	const char *state = full ? "full" : "partial";
	bool all;

	if (full) {
		w->seen = 0;
		w->gone = roster->change; /* nobody is asked to forget anyone */
	}
	add_head(b, w, state);
	buffer_add(b, SLICE(">\r\n"));
	if (full || roster->described > w->described)
		add_description(b, w->room);
	w->described = roster->described;
	buffer_printf(b,
	    "<conference-state><user-count>%zu</user-count></conference-state>\r\n"
	    "<users state=\"%s\">\r\n",
	    roster->count, state);
	all = add_gone(b, w);
	all = add_users(b, w) && all;
	buffer_add(b, SLICE("</users>\r\n</conference-info>\r\n"));
	if (!all)
		subscription_changed(w->subscription);
}

/* --- the package --- */

/* RFC 4575 3.5.  @return 0, or as subscribe() */
static int judge(const struct conf_room *room, struct sip_request *request)
{
	const char *realm = room->conf->settings->roster_realm;
	char uri[CONF_URI_MAX + 1], key[CONF_URI_MAX + 1];
	struct slice who = sip_request_field(request, SIP_FIELD_FROM_URI);
	int n;

	if (realm) {
		if (sip_request_authorize(request, slice_of(realm), NULL) < 0)
			return -EACCES;
		n = snprintf(uri, sizeof(uri), "sip:%.*s@%s",
		    SLICE_ARG(sip_request_field(request, SIP_FIELD_AUTH_USER)), realm);
		if (n >= (int)sizeof(uri))
			return 403;
		who = slice_of(uri);
	}
	return conf_uri_key(key, who) == 0 && conf_room_admits(room, slice_of(key)) ? 0 : 403;
}

/* @return as subscribe() */
static int find_here(struct conf_room **roomp, struct conf *conf, struct sip_request *request)
{
	struct buffer texts = {.max = BUFFER_UNBOUNDED};
	struct cluster_mark mark;
	struct conf_order order = {.what = CONF_WATCH,
	    .forwarded = conf_mark_read(conf, request, &texts, &mark)};
	struct slice uri =
	    order.forwarded ? mark.args[1] : sip_request_field(request, SIP_FIELD_RURI);
	struct conf_room *room = conf_room_known(conf, request, uri);

	buffer_fini(&texts);
	*roomp = room;
	if (!room)
		return -ENOENT;
	if (!conf_room_claim(room)) {
		conf_order_take(room, request, &order);
		return -EINPROGRESS;
	}
	if (conf_room_is_real(room))
		return 0;
	conf_room_review(room);
	return 404;
}

static int on_subscribe(struct subscription *s, struct sip_request *request, void **watcherp,
    void *arg)
{
	struct conf_room *room;
	struct conf_watcher *w;
	int status = find_here(&room, arg, request);

	if (status)
		return status;
	status = judge(room, request);
	if (status)
		return status;
	if (room->roster.watcher_count >= WATCHERS_MAX)
		return 503;
	w = calloc(1, sizeof(*w));
	if (!w)
		return 500;
	w->room = room;
	w->subscription = s;
	LIST_INSERT_HEAD(&room->roster.watchers, w, entry);
	room->roster.watcher_count++;
	*watcherp = w;
	return 0;
}

static int on_body(struct subscription *s, bool full, char **bodyp, size_t *lenp, void *watcher)
{
	struct conf_watcher *w = watcher;
	struct buffer b = {.max = BUFFER_UNBOUNDED};
	int err;

	(void)s;
	add_document(&b, w, full || !w->gone || w->gone < w->room->roster.forgotten);
	err = buffer_take(&b, bodyp, lenp);
	if (err < 0)
		w->gone = 0; /* all of it next time */
	else
		w->version++;
	return err;
}

static void watcher_free(struct conf_watcher *w)
{
	struct conf_roster *roster = &w->room->roster;

	LIST_REMOVE(w, entry);
	roster->watcher_count--;
	while (LIST_EMPTY(&roster->watchers) && roster->gone_count)
		drop_gone(roster);
	free(w);
}

static void on_ended(struct subscription *s, void *watcher)
{
	(void)s;
	watcher_free(watcher);
}

static const struct event_package package = {
    .event = "conference",
    .content_type = "application/conference-info+xml",
    .min_expires_s = MIN_EXPIRES_S,
    .default_expires_s = EXPIRES_S,
    .max_expires_s = EXPIRES_S,
    .interval_ms = INTERVAL_MS,
    .subscribe = on_subscribe,
    .body = on_body,
    .ended = on_ended,
};

int conf_roster_offer(struct conf *conf)
{
	struct notifier *notifier = conf->env.notifier;

	return notifier ? notifier_offer(notifier, &package, conf) : 0;
}

void conf_roster_withdraw(struct conf *conf)
{
	if (conf->env.notifier)
		notifier_withdraw(conf->env.notifier, &package);
}

void conf_roster_move(struct conf_room *room)
{
	struct conf_watcher *w;

	while ((w = LIST_FIRST(&room->roster.watchers))) {
		subscription_end(w->subscription, SUBSCRIPTION_DEACTIVATED,
		    (struct slice){NULL, 0});
		watcher_free(w);
	}
}

/* --- life --- */

void conf_roster_init(struct conf_room *room)
{
	struct conf_roster *roster = &room->roster;

	roster->room = room;
	roster->change = 1;
	TAILQ_INIT(&roster->users);
	STAILQ_INIT(&roster->gone);
	LIST_INIT(&roster->watchers);
}

void conf_roster_fini(struct conf_room *room)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};
	struct conf_watcher *w;

	while ((w = LIST_FIRST(&room->roster.watchers))) {
		add_head(&b, w, "deleted");
		buffer_add(&b, SLICE("/>\r\n"));
		subscription_end(w->subscription, SUBSCRIPTION_NORESOURCE,
		    b.err ? (struct slice){NULL, 0} : buffer_text(&b));
		buffer_fini(&b);
		watcher_free(w);
	}
}
