/* Rooms: those of the config, those made by INVITE or command; and the users in them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/log.h>

#include "conf/priv.h"

/* --- the table --- */

static struct conf_room *find(const struct conf *conf, const char *key)
{
	struct conf_room *room;

	HASH_FIND(hh, conf->rooms, key, strlen(key), room);
	return room;
}

struct conf_room *conf_room_find(struct conf *conf, struct slice uri)
{
	char key[CONF_URI_MAX + 1];

	return conf_uri_key(key, uri) < 0 ? NULL : find(conf, key);
}

/* @return NULL: there is no such room, or more than one */
static struct conf_room *find_user(const struct conf *conf, struct slice user)
{
	struct conf_room *room, *found = NULL;

	for (room = conf->rooms; user.p && room; room = room->hh.next) {
		if (!slice_equal(conf_uri_user(slice_of(room->uri)), user))
			continue;
		if (found)
			return NULL;
		found = room;
	}
	return found;
}

struct conf_room *conf_room_meant(struct conf *conf, const struct sip_request *request,
    struct slice uri)
{
	char key[CONF_URI_MAX + 1];
	struct conf_room *room;

	if (conf_uri_key(key, uri) < 0)
		return NULL;
	room = find(conf, key);
	if (room || !sip_request_uri_is_ours(request, uri, NULL))
		return room;
	return find_user(conf, conf_uri_user(slice_of(key)));
}

static int add(struct conf_room **roomp, struct conf *conf, const char *key)
{
	size_t len = strlen(key);
	struct conf_room *room = calloc(1, sizeof(*room) + len + 1);

	if (!room)
		return -ENOMEM;
	room->conf = conf;
	TAILQ_INIT(&room->participants);
	STAILQ_INIT(&room->history.entries);
	STAILQ_INIT(&room->waiting);
	LIST_INIT(&room->held);
	conf_roster_init(room);
	room->uri_len = len;
	memcpy(room->uri, key, len);
	HASH_ADD_KEYPTR(hh, conf->rooms, room->uri, len, room);
	if (!room->hh.tbl) {
		free(room);
		return -ENOMEM;
	}
	*conf->count.rooms = HASH_COUNT(conf->rooms);
	*roomp = room;
	return 0;
}

int conf_room_new(struct conf_room **roomp, struct conf *conf, struct slice uri)
{
	char key[CONF_URI_MAX + 1];
	int err = conf_uri_room_key(key, uri);

	if (err < 0)
		return err;
	if (find(conf, key))
		return -EEXIST;
	if (HASH_COUNT(conf->rooms) >= conf->settings->max_rooms)
		return -ENOSPC;
	return add(roomp, conf, key);
}

static int status_of(int err)
{
	return err == -ENOSPC ? 486 : err == -ENOMEM ? 500 : 404;
}

/* @param joins  whoever sends it: the room may be made for that */
static struct conf_room *ask_for(struct conf *conf, struct sip_request *request, struct slice uri,
    bool joins)
{
	struct conf_room *room = conf_room_meant(conf, request, uri);
	int err = -ENOENT;

	if (room)
		return room;
	if ((joins && conf->settings->create) || conf->env.cluster)
		err = conf_room_new(&room, conf, uri);
	if (err == 0)
		return room;
	*conf->count.refused_joins += joins;
	sip_request_reply(request, status_of(err), (struct slice){NULL, 0},
	    (struct slice){NULL, 0});
	return NULL;
}

struct conf_room *conf_room_asked(struct conf *conf, struct sip_request *request, struct slice uri)
{
	return ask_for(conf, request, uri, true);
}

struct conf_room *conf_room_known(struct conf *conf, struct sip_request *request, struct slice uri)
{
	return ask_for(conf, request, uri, false);
}

static void room_free(struct conf_room *room)
{
	struct conf *conf = room->conf;

	/* At the daemon's end: of phones nobody else has told. */
	while (room->users)
		conf_participant_end(LIST_FIRST(&room->users->devices), "ended");

	HASH_DEL(conf->rooms, room);
	*conf->count.rooms = HASH_COUNT(conf->rooms);
	conf_room_stop_waiting(room);
	cluster_release(&room->claim);
	conf_roster_fini(room);
	conf_nicknames_free(room);
	conf_history_clear(&room->history);
	free(room->subject);
	free(room);
}

void conf_room_announce(struct conf_room *room)
{
	if (room->announced)
		return;
	room->announced = true;
	conf_tell_room(room, true);
	conf_store_room(room);
}

void conf_room_end(struct conf_room *room)
{
	struct conf_user *user;

	room->ending = true;
	while ((user = room->users))
		conf_participant_end(LIST_FIRST(&user->devices), "ended");
	if (room->announced)
		conf_tell_room(room, false);
	conf_store_room_ended(room);
	room_free(room);
}

void conf_room_review(struct conf_room *room)
{
	if (!room->conf->stopping && !room->ending && !room->keep && !room->restored
	    && !room->settings && !room->lasting && !room->users)
		conf_room_end(room);
}

/* --- the config --- */

static int configure(struct conf *conf, const struct conf_room_settings *settings)
{
	struct conf_room *room;
	char key[CONF_URI_MAX + 1];
	int err = conf_uri_key(key, slice_of(settings->uri));

	if (err < 0)
		return err;
	room = find(conf, key);
	if (!room) {
		err = add(&room, conf, key);
		if (err < 0)
			return err;
		conf_room_announce(room);
	}
	room->settings = settings;
	return 0;
}

/* The settings from before are there still. */
static void look_at_subject(struct conf_room *room)
{
	const struct conf_room_settings *before = room->before;
	struct slice was = slice_of(before ? before->subject : room->subject);

	if (!slice_equal(was, conf_room_subject(room)))
		conf_roster_described(room);
	room->before = room->settings;
}

int conf_rooms_configure(struct conf *conf, const struct conf_settings *settings)
{
	const struct conf_room_settings *rooms = settings->rooms.items;
	struct conf_room *room, *next;
	int err = 0;

	conf->settings = settings;
	for (room = conf->rooms; room; room = room->hh.next) {
		room->before = room->settings;
		room->settings = NULL;
	}
	for (size_t i = 0; i < settings->rooms.count && err == 0; i++)
		err = configure(conf, &rooms[i]);
	for (room = conf->rooms; room; room = next) {
		next = room->hh.next;
		look_at_subject(room);
		conf_history_trim(room);
		conf_room_review(room);
	}
	return err;
}

void conf_rooms_free(struct conf *conf)
{
	struct conf_room *room, *next;

	HASH_ITER(hh, conf->rooms, room, next)
	room_free(room);
}

struct slice conf_room_subject(const struct conf_room *room)
{
	return slice_of(room->settings ? room->settings->subject : room->subject);
}

bool conf_room_is_full(const struct conf_room *room)
{
	uint64_t own = room->settings ? room->settings->max_participants : room->max_participants;

	return room->count >= (own ? own : room->conf->settings->max_participants);
}

/* --- users --- */

bool conf_is_user(const char *entry, struct slice user)
{
	char key[CONF_URI_MAX + 1];

	if (conf_uri_key(key, slice_of(entry)) == 0)
		return slice_equal(slice_of(key), user);
	return slice_equal(slice_of(entry), conf_uri_user(user));
}

bool conf_room_admits(const struct conf_room *room, struct slice user)
{
	const struct conf_room_settings *settings = room->settings;

	if (!settings || settings->users.count == 0)
		return true;
	for (size_t i = 0; i < settings->users.count; i++)
		if (conf_is_user(((char *const *)settings->users.items)[i], user))
			return true;
	return false;
}

struct conf_user *conf_room_user(const struct conf_room *room, struct slice uri)
{
	struct conf_user *user = NULL;
	char key[CONF_URI_MAX + 1];

	if (conf_uri_key(key, uri) == 0)
		HASH_FIND(hh, room->users, key, strlen(key), user);
	return user;
}
