/*
 * What outlives the daemon: rooms that were made, nicknames, history; in SQLite.
 *
 * Each change is a transaction of its own in a write-ahead log, which the kernel has before the
 * peer has our answer: so nothing that was acknowledged is lost with the process.  Only bringing
 * the log back into the file waits for the disk, and that does a thread with a connection of its
 * own.  Ours never does (synchronous = OFF): otherwise it would for the first change after that.
 * A power cut in the wrong moment may therefore damage the file, which is seen at the next start.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <msrpd/log.h>

#include "conf/priv.h"

enum {
	CHECKPOINT_S = 5,
	BUSY_MS = 1000,
	LOG_PAGES = 4096,      /* of 4 KiB, from which on it is brought in at once */
	LOG_PAGES_MAX = 16384, /* from which on the loop may have to wait for that */
	PASSES = 4,
	LAST_PASS_MS = 100, /* that the loop waits for it, or for another program */
};

enum statement {
	ROOM_PUT,
	ROOM_DELETE,
	ROOM_DELETE_HISTORY,
	ROOM_DELETE_NICKNAMES,
	HISTORY_ADD,
	HISTORY_DELETE,
	NICKNAME_PUT,
	NICKNAME_DELETE,
	STATEMENTS
};

static const char *const statements[STATEMENTS] = {
    [ROOM_PUT] = "INSERT OR REPLACE INTO rooms VALUES (?1, ?2, ?3, ?4)",
    [ROOM_DELETE] = "DELETE FROM rooms WHERE uri = ?1",
    [ROOM_DELETE_HISTORY] = "DELETE FROM history WHERE room = ?1",
    [ROOM_DELETE_NICKNAMES] = "DELETE FROM nicknames WHERE room = ?1",
    [HISTORY_ADD] = ("INSERT INTO history (room, message_id, content_type, body)"
		     " VALUES (?1, ?2, ?3, ?4)"),
    [HISTORY_DELETE] = "DELETE FROM history WHERE id = ?1",
    [NICKNAME_PUT] = "INSERT OR REPLACE INTO nicknames VALUES (?1, ?2, ?3, ?4)",
    [NICKNAME_DELETE] = "DELETE FROM nicknames WHERE room = ?1 AND key = ?2",
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = OFF;"
    "PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA temp_store = MEMORY;"
    "CREATE TABLE IF NOT EXISTS rooms (uri TEXT PRIMARY KEY, subject TEXT,"
    " max_participants INTEGER, lasting INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT,"
    " message_id TEXT, content_type TEXT, body BLOB);"
    "CREATE INDEX IF NOT EXISTS history_room ON history (room, id);"
    "CREATE TABLE IF NOT EXISTS nicknames (room TEXT, key TEXT, owner TEXT, shown TEXT,"
    " PRIMARY KEY (room, key)) WITHOUT ROWID;";

struct conf_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	bool failing; /* said so */

	/* the thread's */
	sqlite3 *checkpoint_db;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t due;
	bool stopping, full; /* under lock */
};

/* --- the thread --- */

/*
 * The log begins anew with the first change that finds all of it brought in.  While one pass waits
 * for the disk changes go on, which are left to the next, shorter one.  Where they come so fast
 * that there is no end of it, the last pass lets none in.
 */
static int bring_in(struct conf_store *store)
{
	sqlite3 *db = store->checkpoint_db;
	int before = -1, pages = 0, status = SQLITE_OK;

	for (int i = 0; i < PASSES && status == SQLITE_OK && pages > before; i++) {
		before = pages;
		status =
		    sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, NULL);
	}
	return pages > before && pages > LOG_PAGES_MAX
	    ? sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL)
	    : status;
}

/* The loop's, after a change. */
static int on_change(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct conf_store *store = arg;

	(void)db;
	(void)name;
	if (pages < LOG_PAGES)
		return SQLITE_OK;
	pthread_mutex_lock(&store->lock);
	store->full = true;
	pthread_cond_signal(&store->due);
	pthread_mutex_unlock(&store->lock);
	return SQLITE_OK;
}

static void *checkpoint(void *arg)
{
	struct conf_store *store = arg;
	struct timespec due;
	int err;

	pthread_mutex_lock(&store->lock);
	while (!store->stopping) {
		clock_gettime(CLOCK_REALTIME, &due);
		due.tv_sec += CHECKPOINT_S;
		for (err = 0; !err && !store->stopping && !store->full;)
			err = pthread_cond_timedwait(&store->due, &store->lock, &due);
		if (store->stopping)
			break;
		store->full = false;
		pthread_mutex_unlock(&store->lock);
		bring_in(store);
		pthread_mutex_lock(&store->lock);
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* --- changes --- */

static sqlite3_stmt *begin(struct conf_store *store, enum statement which, struct slice first)
{
	sqlite3_stmt *s = store->statements[which];

	sqlite3_bind_text(s, 1, first.p, (int)first.len, SQLITE_STATIC);
	return s;
}

static void bind_text(sqlite3_stmt *s, int at, struct slice text)
{
	if (text.p)
		sqlite3_bind_text(s, at, text.p, (int)text.len, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, at);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/*
 * A room works on without its memory; the operator is told once, until it is well again.
 *
 * @return whether it was done
 */
static bool run(struct conf *conf, sqlite3_stmt *s)
{
	struct conf_store *store = conf->store;
	uint64_t began = now_us(), took;
	bool failed = sqlite3_step(s) != SQLITE_DONE;

	took = now_us() - began;
	if (took > *conf->count.persist_longest)
		*conf->count.persist_longest = took;
	if (failed && !store->failing)
		log_error("conf: persist: %s", sqlite3_errmsg(store->db));
	store->failing = failed;
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return !failed;
}

void conf_store_room(const struct conf_room *room)
{
	struct conf_store *store = room->conf->store;
	sqlite3_stmt *s;

	if (!store || room->settings)
		return;
	s = begin(store, ROOM_PUT, slice_of(room->uri));
	bind_text(s, 2, slice_of(room->subject));
	sqlite3_bind_int64(s, 3, (sqlite3_int64)room->max_participants);
	sqlite3_bind_int(s, 4, room->lasting);
	run(room->conf, s);
}

void conf_store_room_ended(const struct conf_room *room)
{
	static const enum statement all[] = {ROOM_DELETE, ROOM_DELETE_HISTORY,
	    ROOM_DELETE_NICKNAMES};
	struct conf_store *store = room->conf->store;

	for (size_t i = 0; store && i < CONF_COUNT(all); i++)
		run(room->conf, begin(store, all[i], slice_of(room->uri)));
}

void conf_store_add(const struct conf_room *room, struct conf_entry *entry)
{
	struct conf_store *store = room->conf->store;
	struct slice body = shared_body_bytes(entry->body);
	sqlite3_stmt *s;

	if (!store)
		return;
	s = begin(store, HISTORY_ADD, slice_of(room->uri));
	bind_text(s, 2, slice_of(entry->message_id));
	bind_text(s, 3, slice_of(entry->content_type));
	sqlite3_bind_blob64(s, 4, body.p, body.len, SQLITE_STATIC);
	/* Of one that failed it is a row that is another's by now, or will be. */
	if (run(room->conf, s))
		entry->id = sqlite3_last_insert_rowid(store->db);
}

void conf_store_drop(const struct conf_room *room, const struct conf_entry *entry)
{
	struct conf_store *store = room->conf->store;
	sqlite3_stmt *s;

	if (!store || !entry->id)
		return;
	s = store->statements[HISTORY_DELETE];
	sqlite3_bind_int64(s, 1, entry->id);
	run(room->conf, s);
}

void conf_store_nickname(const struct conf_room *room, const struct conf_nickname *nickname,
    const char *shown)
{
	struct conf_store *store = room->conf->store;
	sqlite3_stmt *s;

	if (!store)
		return;
	s = begin(store, NICKNAME_PUT, slice_of(room->uri));
	bind_text(s, 2, slice_of(nickname->key));
	bind_text(s, 3, slice_of(nickname->owner));
	bind_text(s, 4, slice_of(shown));
	run(room->conf, s);
}

void conf_store_nickname_gone(const struct conf_room *room, const struct conf_nickname *nickname)
{
	struct conf_store *store = room->conf->store;
	sqlite3_stmt *s;

	if (!store)
		return;
	s = begin(store, NICKNAME_DELETE, slice_of(room->uri));
	bind_text(s, 2, slice_of(nickname->key));
	run(room->conf, s);
}

/* --- at the start --- */

static struct slice column(sqlite3_stmt *s, int at)
{
	const void *p = sqlite3_column_blob(s, at);

	return (struct slice){p, p ? (size_t)sqlite3_column_bytes(s, at) : 0};
}

static void load_room(struct conf *conf, sqlite3_stmt *s)
{
	struct conf_room *room;

	if (conf_room_new(&room, conf, column(s, 0)) < 0)
		return; /* it has come into the config meanwhile */
	room->subject = slice_dup(column(s, 1));
	room->max_participants = (uint64_t)sqlite3_column_int64(s, 2);
	room->lasting = sqlite3_column_int(s, 3);
	room->restored = true;
	conf_room_announce(room);
	conf_room_claim(room);
}

static void load_entry(struct conf *conf, sqlite3_stmt *s)
{
	struct conf_room *room = conf_room_find(conf, column(s, 0));
	struct conf_entry *entry;

	if (room
	    && conf_history_restore(room, column(s, 1), column(s, 2), column(s, 3), &entry) == 0)
		entry->id = sqlite3_column_int64(s, 4);
}

static void load_nickname(struct conf *conf, sqlite3_stmt *s)
{
	struct conf_room *room = conf_room_find(conf, column(s, 0));

	if (room)
		conf_nickname_restore(room, column(s, 1), column(s, 2), column(s, 3));
}

static const struct {
	const char *query;
	void (*row)(struct conf *conf, sqlite3_stmt *s);
} loads[] = {
    {"SELECT uri, subject, max_participants, lasting FROM rooms", load_room},
    {"SELECT room, message_id, content_type, body, id FROM history ORDER BY id", load_entry},
    {"SELECT room, key, owner, shown FROM nicknames", load_nickname},
};

int conf_store_load(struct conf *conf)
{
	struct conf_store *store = conf->store;
	sqlite3_stmt *s;
	int status = SQLITE_DONE;

	/* What is restored is there already. */
	conf->store = NULL;
	for (size_t i = 0; store && i < CONF_COUNT(loads) && status == SQLITE_DONE; i++) {
		if (sqlite3_prepare_v2(store->db, loads[i].query, -1, &s, NULL) != SQLITE_OK)
			break;
		while ((status = sqlite3_step(s)) == SQLITE_ROW)
			loads[i].row(conf, s);
		sqlite3_finalize(s);
	}
	conf->store = store;
	for (struct conf_room *room = conf->rooms; room; room = room->hh.next)
		conf_history_trim(room);
	return status == SQLITE_DONE ? 0 : -EIO;
}

/* --- life --- */

static int open_db(const char *path, sqlite3 **dbp)
{
	int status = sqlite3_open_v2(path, dbp,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (status == SQLITE_OK)
		sqlite3_busy_timeout(*dbp, BUSY_MS);
	return status;
}

/* A connection that has read nothing yet does not know of the log, and brings nothing in. */
static int open_checkpoint(struct conf_store *store, const char *path)
{
	int status = open_db(path, &store->checkpoint_db);

	if (status == SQLITE_OK)
		status = sqlite3_exec(store->checkpoint_db,
		    "PRAGMA synchronous = NORMAL; SELECT count(*) FROM rooms", NULL, NULL, NULL);
	return status == SQLITE_OK ? bring_in(store) : status;
}

static int prepare(struct conf_store *store)
{
	int status = sqlite3_exec(store->db, schema, NULL, NULL, NULL);

	for (size_t i = 0; i < STATEMENTS && status == SQLITE_OK; i++)
		status = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
		    &store->statements[i], NULL);
	return status;
}

/* @return SQLITE_OK, SQLITE_CORRUPT, or that it could not be read */
static int look_at(sqlite3 *db)
{
	sqlite3_stmt *s;
	int status = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL);
	struct slice found;

	if (status != SQLITE_OK)
		return status;
	status = sqlite3_step(s);
	found = status == SQLITE_ROW ? column(s, 0) : (struct slice){NULL, 0};
	status = status != SQLITE_ROW         ? status
	    : slice_equal(found, SLICE("ok")) ? SQLITE_OK
					      : SQLITE_CORRUPT;
	sqlite3_finalize(s);
	return status;
}

/* It is kept for people, and a new one begun. */
static void put_aside(const char *path)
{
	char other[PATH_MAX];

	if (snprintf(other, sizeof(other), "%s.damaged", path) >= (int)sizeof(other)
	    || rename(path, other) < 0)
		return;
	log_error("conf: persist: %s is damaged: it is %s now, and a new one begins", path, other);
	for (size_t i = 0; i < 2; i++) {
		snprintf(other, sizeof(other), "%s%s", path, i ? "-shm" : "-wal");
		unlink(other);
	}
}

static int open_sound(const char *path, sqlite3 **dbp)
{
	int status = open_db(path, dbp);

	if (status == SQLITE_OK)
		status = look_at(*dbp);
	if (status != SQLITE_CORRUPT)
		return status;
	sqlite3_close(*dbp);
	put_aside(path);
	return open_db(path, dbp);
}

/* Every file is opened here: later the daemon may open none. */
int conf_store_open(struct conf_store **storep, const char *path, struct reason *why)
{
	struct conf_store *store = calloc(1, sizeof(*store));

	if (!store)
		return reason_set(why, -ENOMEM, "out of memory");
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->due, NULL);
	if (open_sound(path, &store->db) != SQLITE_OK || prepare(store) != SQLITE_OK
	    || open_checkpoint(store, path) != SQLITE_OK) {
		reason_set(why, -EIO, "persist: %s: %s", path,
		    sqlite3_errmsg(store->checkpoint_db ? store->checkpoint_db : store->db));
		conf_store_close(store);
		return -EIO;
	}
	store->running = pthread_create(&store->thread, NULL, checkpoint, store) == 0;
	sqlite3_busy_timeout(store->db, LAST_PASS_MS);
	if (store->running)
		sqlite3_wal_hook(store->db, on_change, store);
	*storep = store;
	return 0;
}

void conf_store_close(struct conf_store *store)
{
	if (!store)
		return;
	if (store->running) {
		pthread_mutex_lock(&store->lock);
		store->stopping = true;
		pthread_cond_signal(&store->due);
		pthread_mutex_unlock(&store->lock);
		pthread_join(store->thread, NULL);
	}
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->checkpoint_db);
	sqlite3_close(store->db);
	pthread_cond_destroy(&store->due);
	pthread_mutex_destroy(&store->lock);
	free(store);
}
