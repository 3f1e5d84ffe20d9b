/* What the files of this folder share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include <msrpd/cpim.h>
#include <msrpd/service.h>
#include <msrpd/slice.h>
#include <msrpd/ua.h>

enum {
	CONF_URI_MAX = 512,    /* bytes of a URI that names a room or a participant */
	CONF_TEXT_MAX = 1024,  /* of a subject, a display name */
	CONF_CHAT_TOKENS = 64, /* of our a=chatroom line */
};

#define CONF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** A room of the config. */
struct conf_room_settings {
	char *uri, *subject;
	uint64_t max_participants; /* 0: as for all */
	struct setting_list users; /* char *; empty: everybody */
};

/** The section conference: of the config. */
struct conf_settings {
	struct setting_list rooms; /* struct conf_room_settings */
	bool create, private_messages;
	uint64_t max_rooms, max_participants;
};

extern const struct setting conf_settings_rows[];

struct conf_counters {
	uint64_t *rooms, *participants, *joins, *refused_joins;
	uint64_t *messages, *private_messages, *copies, *skipped, *refused;
};

struct conf {
	struct service_env env;
	const struct conf_settings *settings; /* until the next reload */
	struct conf_room *rooms;              /* by URI */
	bool stopping;                        /* who leaves now is not told of */
	struct conf_counters count;
};

/* --- uri.c --- */

/**
 * What of a URI counts when two are compared: no parameters, headers and password, the scheme and
 * the host in small letters; of a tel: URI the number without separators.
 *
 * @param text  room for CONF_URI_MAX bytes and a NUL
 * @return 0; -EINVAL: no URI; -EMSGSIZE
 */
int conf_uri_key(char text[CONF_URI_MAX + 1], struct slice uri);

/** The user in what conf_uri_key() has made; absent if there is none. */
struct slice conf_uri_user(struct slice key);

/* --- event.c: what applications are told --- */

extern const struct event_type *const conf_events[];

struct conf_participant;
struct conf_room;

void conf_tell_room(const struct conf_room *room, bool is_new);
void conf_tell_join(const struct conf_participant *p);
void conf_tell_leave(const struct conf_participant *p, const char *reason);

/** A message that the room has taken. */
struct conf_fact {
	struct slice from, to, message_id, content_type, body;
};

void conf_tell_message(const struct conf_room *room, const struct conf_fact *fact);

/* --- room.c: rooms, and who is in them --- */

TAILQ_HEAD(conf_participants, conf_participant);
LIST_HEAD(conf_devices, conf_participant);

/** Somebody in a room: all sessions of one URI. */
struct conf_user {
	UT_hash_handle hh;
	struct conf_devices devices;
	size_t uri_len;
	char uri[]; /* as conf_uri_key() has it */
};

struct conf_room {
	UT_hash_handle hh;
	struct conf *conf;
	const struct conf_room_settings *settings; /* NULL: not in the config */
	bool lasting;   /* made by command: it stays when the last one leaves */
	bool announced; /* applications know of it */
	bool ending;
	char *subject;             /* or NULL; of a made room */
	uint64_t max_participants; /* the same; 0: as for all */
	struct conf_user *users;
	struct conf_participants participants; /* that have joined, in order */
	size_t count;                          /* of all, those being set up included */
	size_t uri_len;
	char uri[]; /* as conf_uri_key() has it */
};

/** By a URI as anybody may write it.  @return NULL: there is no such room */
struct conf_room *conf_room_find(struct conf *conf, struct slice uri);

/** @return 0; -EINVAL: no URI; -EEXIST; -ENOSPC: max_rooms reached; -ENOMEM */
int conf_room_new(struct conf_room **roomp, struct conf *conf, struct slice uri);

/** Tell of a new one, once. */
void conf_room_announce(struct conf_room *room);

/** Everybody leaves, and the room is gone. */
void conf_room_end(struct conf_room *room);

/** End it if it has nobody in it and nothing that keeps it. */
void conf_room_review(struct conf_room *room);

/** Make the rooms of the config; those that are there change, those that were taken out end. */
int conf_rooms_configure(struct conf *conf, const struct conf_settings *settings);
void conf_rooms_free(struct conf *conf);

struct slice conf_room_subject(const struct conf_room *room);
bool conf_room_is_full(const struct conf_room *room);

/** May this user, as conf_uri_key() has him, come in? */
bool conf_room_admits(const struct conf_room *room, struct slice user);

struct conf_user *conf_room_user(const struct conf_room *room, struct slice uri);

/* --- participant.c: a session of somebody in a room --- */

LIST_HEAD(conf_messages, conf_message);

struct conf_participant {
	TAILQ_ENTRY(conf_participant) next;  /* of the room, once joined */
	LIST_ENTRY(conf_participant) device; /* of its user */
	struct conf_room *room;
	struct conf_user *user;
	struct ua_session *session; /* NULL: over */
	struct conf_messages open;  /* messages that it is sending */
	char *name;                 /* for people, as SIP has it; or NULL */
	bool joined;
	bool takes_private; /* the peer's a=chatroom says so (RFC 7701 8) */
};

/** Answer an INVITE as a participant of the room.  @return as action.run */
int conf_join(struct conf_room *room, struct sip_request *invite, struct slice from);

/** End its session; it is gone when this returns. */
void conf_participant_end(struct conf_participant *p, const char *reason);

/* --- message.c: what participants say --- */

/** For the UA's streams: see struct ua_handler. */
int conf_message_begin(struct ua_session *s, const struct message *m, void **streamp, void *arg);
int conf_message_piece(struct ua_session *s, void *stream, struct slice piece, void *arg);
int conf_message_end(struct ua_session *s, void *stream, int err, void *arg);

/** The session of a participant is over. */
void conf_messages_drop(struct conf_participant *p);
