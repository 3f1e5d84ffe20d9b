#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/priv.h"

#define OF(member)      offsetof(struct conf_settings, member)
#define OF_ROOM(member) offsetof(struct conf_room_settings, member)

enum { PARTICIPANTS_MAX = 100000, ROOMS_MAX = 1000000, HISTORY_MAX = 10000 };

static int check_uri(const void *value, struct reason *why)
{
	char key[CONF_URI_MAX + 1];

	if (conf_uri_room_key(key, slice_of(*(char *const *)value)) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not a SIP URI");
}

static const struct setting room_rows[] = {
    {.name = "uri",
	.type = SETTING_TEXT,
	.offset = OF_ROOM(uri),
	.flags = SETTING_REQUIRED,
	.check = check_uri,
	.help = "By which it is invited to and written to; its parameters do not count."},
    {.name = "subject",
	.type = SETTING_TEXT,
	.offset = OF_ROOM(subject),
	.help = "What it is about, for people."},
    {.name = "max_participants",
	.type = SETTING_NUMBER,
	.offset = OF_ROOM(max_participants),
	.min = 1,
	.max = PARTICIPANTS_MAX,
	.help = "Sessions in it, at most; one more is answered 486. Without it as "
		"`conference.max_participants`."},
    {.name = "users",
	.type = SETTING_TEXTS,
	.offset = OF_ROOM(users),
	.help = "Who may come in: names, which stand for the user of a URI in any domain, or URIs. "
		"Without it everybody may."},
    {0},
};

const struct setting conf_settings_rows[] = {
    {.name = "rooms",
	.type = SETTING_LIST,
	.offset = OF(rooms),
	.group = room_rows,
	.item_size = sizeof(struct conf_room_settings),
	.help =
	    "Rooms that are always there. One that a reload finds taken out ends when it is empty."},
    {.name = "create",
	.type = SETTING_BOOL,
	.offset = OF(create),
	.preset = "false",
	.help =
	    "The first INVITE that `msrp_conf_join` takes for a room makes it, and it ends with "
	    "its last participant."},
    {.name = "max_rooms",
	.type = SETTING_NUMBER,
	.offset = OF(max_rooms),
	.preset = "10000",
	.min = 1,
	.max = ROOMS_MAX,
	.help = "Rooms, at most; an INVITE that would make one more is answered 486."},
    {.name = "max_participants",
	.type = SETTING_NUMBER,
	.offset = OF(max_participants),
	.preset = "1000",
	.min = 1,
	.max = PARTICIPANTS_MAX,
	.help = "Sessions in one room, at most."},
    {.name = "history",
	.type = SETTING_NUMBER,
	.offset = OF(history),
	.preset = "20",
	.max = HISTORY_MAX,
	.help = "Messages of a room that are kept and given to who joins; 0: none."},
    {.name = "history_bytes",
	.type = SETTING_SIZE,
	.offset = OF(history_bytes),
	.preset = "1MiB",
	.help = "The same in bytes; a larger message is not kept."},
    {.name = "nicknames",
	.type = SETTING_BOOL,
	.offset = OF(nicknames),
	.preset = "true",
	.help = "Participants may take nicknames; otherwise asking for one is answered 403."},
    {.name = "reserved_nicknames",
	.type = SETTING_TEXTS,
	.offset = OF(reserved_nicknames),
	.help =
	    "Nicknames that nobody gets. The names in a room's `users` are for these users alone."},
    {.name = "page_timeout",
	.type = SETTING_DURATION,
	.offset = OF(page_timeout_ms),
	.preset = "30m",
	.min = 1000,
	.help =
	    "A participant that has SIP MESSAGE alone and has sent none for this long has left."},
    {.name = "persist",
	.type = SETTING_TEXT,
	.offset = OF(persist),
	.flags = SETTING_FIXED | SETTING_WRITTEN,
	.help =
	    "File of SQLite for what outlives a restart: history, nicknames, rooms that were made."},
    {.name = "private_messages",
	.type = SETTING_BOOL,
	.offset = OF(private_messages),
	.preset = "true",
	.help =
	    "Participants may write to one of them alone; otherwise such messages are answered 428."},
    {.name = "roster_realm",
	.type = SETTING_TEXT,
	.offset = OF(roster_realm),
	.help = "Who asks by SUBSCRIBE who is in a room shows credentials of `users` for this "
		"realm, and is `sip:USER@` it. Without it his From is believed."},
    {0},
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* One room by two spellings is one all the same. */
int conf_settings_check(const void *settings, struct reason *why)
{
	const struct setting_list *list = &((const struct conf_settings *)settings)->rooms;
	const struct conf_room_settings *rooms = list->items;
	char(*keys)[CONF_URI_MAX + 1] = calloc(list->count + 1, sizeof(*keys));
	int err = keys ? 0 : reason_set(why, -ENOMEM, "out of memory");

	for (size_t i = 0; keys && i < list->count; i++)
		conf_uri_room_key(keys[i], slice_of(rooms[i].uri));
	if (keys)
		qsort(keys, list->count, sizeof(*keys), compare);
	for (size_t i = 1; err == 0 && i < list->count; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			err = reason_set(why, -EINVAL, "has the room %.64s twice", keys[i]);
	free(keys);
	return err;
}
