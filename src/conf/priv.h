/* What the files of this folder share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/cluster.h>
#include <msrpd/cpim.h>
#include <msrpd/service.h>
#include <msrpd/slice.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>
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
	struct setting_list rooms;              /* struct conf_room_settings */
	struct setting_list reserved_nicknames; /* char * */
	bool create, nicknames, private_messages;
	uint64_t max_rooms, max_participants;
	uint64_t history, history_bytes;
	uint64_t page_timeout_ms;
	char *persist;      /* or NULL */
	char *roster_realm; /* the same */
};

extern const struct setting conf_settings_rows[];

int conf_settings_check(const void *settings, struct reason *why);

struct conf_counters {
	uint64_t *rooms, *participants, *joins, *refused_joins;
	uint64_t *messages, *private_messages, *copies, *skipped, *refused, *slow;
	uint64_t *remote, *remote_taken, *yielded;
	uint64_t *persist_longest;
};

struct conf {
	struct service_env env;
	const struct conf_settings *settings; /* until the next reload */
	struct conf_room *rooms;              /* by URI */
	bool stopping;                        /* who leaves now is not told of */
	struct timer_queue slow;              /* participants who are to read, or go */
	struct timer_queue silent;            /* phones, since their last MESSAGE */
	struct timer yield;                   /* while rooms are to go to other nodes */
	size_t waiting_count;                 /* requests, until it is known who has their rooms */
	LIST_HEAD(, conf_page) orphans;       /* MESSAGEs whose phones are gone */
	struct conf_counters count;
	struct conf_store *store; /* NULL: memory only */
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

/** The same of a room's, which is a SIP URI. */
int conf_uri_room_key(char text[CONF_URI_MAX + 1], struct slice uri);

/** The user in what conf_uri_key() has made; absent if there is none. */
struct slice conf_uri_user(struct slice key);

/** Is it what who remains unknown writes into From (RFC 3323 4.1.1.3)? */
bool conf_uri_is_anonymous(struct slice uri);

/* --- event.c: what applications are told --- */

extern const struct event_type *const conf_events[];

struct conf_participant;
struct conf_room;

void conf_tell_room(const struct conf_room *room, bool is_new);
void conf_tell_join(const struct conf_participant *p);
void conf_tell_leave(const struct conf_participant *p, const char *reason);

void conf_tell_nickname(const struct conf_participant *p);

struct conf_post;

void conf_tell_message(const struct conf_post *post);

/* --- room.c: rooms, and who is in them --- */

/** A message that was said to everybody, as it is given to who comes later. */
struct conf_entry {
	STAILQ_ENTRY(conf_entry) next;
	struct shared_body *body;
	char *message_id, *content_type;
	int64_t id; /* in the store; 0: not there */
};

struct conf_history {
	STAILQ_HEAD(, conf_entry) entries; /* the oldest first */
	size_t count, bytes;
};

TAILQ_HEAD(conf_participants, conf_participant);
LIST_HEAD(conf_helds, conf_held);
LIST_HEAD(conf_devices, conf_participant);

/** Somebody in a room: all sessions of one URI. */
struct conf_user {
	UT_hash_handle hh;
	TAILQ_ENTRY(conf_user) listed_next; /* of the roster */
	bool listed;
	uint64_t change; /* the last of him: see roster.c */
	struct conf_devices devices;
	size_t uri_len;
	char uri[]; /* as conf_uri_key() has it */
};

TAILQ_HEAD(conf_listed, conf_user);

/** What those who watch a room see, and what of it is new. */
struct conf_roster {
	struct conf_room *room;
	struct conf_listed users; /* that have joined, whoever changed last behind */
	size_t count;
	uint64_t change;    /* the last one's number */
	uint64_t described; /* that of the subject */
	uint64_t forgotten; /* who has left up to then is not known any more */
	STAILQ_HEAD(, conf_gone) gone;
	size_t gone_count;
	LIST_HEAD(, conf_watcher) watchers;
	size_t watcher_count;
};

struct conf_room {
	UT_hash_handle hh;
	struct conf *conf;
	const struct conf_room_settings *settings; /* NULL: not in the config */
	const struct conf_room_settings *before;   /* during a reload: the last ones */
	bool lasting;   /* made by command: it stays when the last one leaves */
	bool restored;  /* nobody has come in since */
	bool announced; /* applications know of it */
	bool ending;
	bool ours, yields;         /* see node.c */
	unsigned keep;             /* by those who are at work in it */
	char *subject;             /* or NULL; of a made room */
	uint64_t max_participants; /* the same; 0: as for all */
	struct conf_user *users;
	struct conf_nickname *nicknames;
	struct conf_history history;
	struct conf_roster roster;
	uint64_t last_number;   /* of a participant */
	struct conf_helds held; /* senders who are not read: see pace.c */
	size_t slow;            /* participants who make them wait */
	struct cluster_claim claim;
	char owner[33]; /* node that had it when it was asked for last; empty: this one, or none */
	STAILQ_HEAD(, conf_wait) waiting;
	size_t waiting_count;
	uint64_t yield_by_ms;
	struct conf_participants participants; /* that have joined, in order */
	size_t count;                          /* of all, those being set up included */
	size_t uri_len;
	char uri[]; /* as conf_uri_key() has it */
};

/** By a URI as anybody may write it.  @return NULL: there is no such room */
struct conf_room *conf_room_find(struct conf *conf, struct slice uri);

/**
 * The same by a URI of a request, which may be what our Contact has for the room: its user at our
 * own address (RFC 4579 4.2), as long as no other room has that user.
 */
struct conf_room *conf_room_meant(struct conf *conf, const struct sip_request *request,
    struct slice uri);

/**
 * The room that a request asks for, which it may make; in a cluster any, as another node may have
 * it.
 *
 * @return NULL: there is none such, and the request is answered
 */
struct conf_room *conf_room_asked(struct conf *conf, struct sip_request *request, struct slice uri);

/** The same of a request that makes none: what it asks for is somewhere, or nowhere. */
struct conf_room *conf_room_known(struct conf *conf, struct sip_request *request, struct slice uri);

/** @return 0; -EINVAL: no SIP URI; -EEXIST; -ENOSPC: max_rooms reached; -ENOMEM */
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

/** Is he whom an entry of `users` means?  A name without a domain is that user of any. */
bool conf_is_user(const char *entry, struct slice user);

struct conf_user *conf_room_user(const struct conf_room *room, struct slice uri);

/* --- node.c: which node has a room --- */

struct buffer;

/* REFER_OUT: a REFER that may also send somebody out */
enum conf_what { CONF_JOIN, CONF_PAGE, CONF_WATCH, CONF_REFER, CONF_REFER_OUT };

/** What comes of a request, in whichever node has the room. */
struct conf_order {
	enum conf_what what;
	struct slice from; /* JOIN, REFER: who it is, a name-addr */
	bool answer;       /* PAGE: the MESSAGE is to be answered */
	bool forwarded;    /* another node has sent it on: it goes to none again */
};

/** Carry it out here, now or later, or let the node do it that has the room.  @return as action.run */
int conf_order_take(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order);

/** Is it this node's?  If that is not known, it is asked. */
bool conf_room_claim(struct conf_room *room);

/** May it be here, or was it only asked for? */
bool conf_room_is_real(const struct conf_room *room);

/** The room ends, and those who wait for its node are told. */
void conf_room_stop_waiting(struct conf_room *room);

/** Has another node of ours sent it on? */
bool conf_mark_read(const struct conf *conf, const struct sip_request *request,
    struct buffer *texts, struct cluster_mark *mark);

/** service.forwarded */
void conf_forwarded(struct sip_request *request, const struct cluster_mark *mark, void *state);

/** Of the timer: rooms that are another node's end here once nothing is under way in them. */
void conf_rooms_yield(void *arg);

/* --- participant.c: a session of somebody in a room --- */

LIST_HEAD(conf_messages, conf_message);

struct conf_participant {
	TAILQ_ENTRY(conf_participant) next;  /* of the room, once joined */
	LIST_ENTRY(conf_participant) device; /* of its user */
	struct conf_room *room;
	struct conf_user *user;
	struct ua_session *session;     /* NULL: a phone */
	struct conf_phone *phone;       /* NULL: a session */
	struct conf_messages open;      /* messages that it is sending */
	struct timer_entry slow;        /* while too much waits for it */
	uint64_t filling_ms;            /* since when half of that does; 0: it does not */
	struct conf_nickname *nickname; /* that it holds; or NULL */
	char *shown;                    /* the same as it was asked for */
	char *name;                     /* for people, as SIP has it; or NULL */
	char *real;      /* its own URI, when its user is an anonymous one; or NULL */
	uint64_t number; /* in its room */
	struct conf_referral *referral; /* by which it is called in; or NULL */
	bool joined, invited;
};

/** service.contact: a room is shown as a focus (RFC 4579 4.3). */
size_t conf_contact(const struct sip_request *options, char *text, size_t size, void *state);

/** Answer an INVITE as a participant of the room.  @return as action.run */
int conf_join(struct conf_room *room, struct sip_request *invite, struct slice from);

/**
 * Somebody who has SIP MESSAGE alone comes in.
 *
 * @param uri  as conf_uri_key() has it
 * @return 0, or the status that his MESSAGE is answered with
 */
int conf_join_phone(struct conf_room *room, const char *uri, const struct sip_request *message,
    struct conf_participant **pp);

/** Does he ask to remain unknown: RFC 3323 4.1.1.3, 4.2, RFC 3325 9.3? */
bool conf_wants_privacy(const struct sip_request *request);

/**
 * Call somebody in.
 *
 * @param headers  as of a struct ua_offer, and hops
 * @return as ua_start(); -ENOSPC: the room is full
 */
int conf_invite(struct conf_room *room, struct slice uri, struct slice headers, unsigned hops,
    struct conf_participant **pp);

/** End its session; it is gone when this returns. */
void conf_participant_end(struct conf_participant *p, const char *reason);

/** End all his sessions; the user is gone when this returns, and the room may be. */
void conf_user_kick(struct conf_user *user);

/* --- message.c: what participants say --- */

/** For the UA's streams: see struct ua_handler. */
int conf_message_begin(struct ua_session *s, const struct message *m, void **streamp, void *arg);
int conf_message_piece(struct ua_session *s, void *stream, struct slice piece, void *arg);
int conf_message_end(struct ua_session *s, void *stream, int err, void *arg);

/** What a message is, by the type of what is in its envelope. */
enum conf_kind {
	CONF_TEXT,         /* something said */
	CONF_COMPOSING,    /* somebody is typing: RFC 3994 */
	CONF_NOTIFICATION, /* what became of a message: RFC 5438 */
};

enum conf_kind conf_kind_of(struct slice content_type);
struct slice conf_content_type(const struct cpim *c);

/** RFC 7701 6.2: may it be said to him in private?  @return 0 or the status that refuses it */
int conf_judge_private(const struct conf_room *room, const struct conf_user *user,
    enum conf_kind kind);

/** The session of a participant is over. */
void conf_messages_drop(struct conf_participant *p);

/* --- deliver.c: copies --- */

/** A message to a room or to somebody in it; borrows. */
struct conf_post {
	struct conf_room *room;
	const struct conf_participant *from; /* gets no copy; NULL: it comes from outside */
	struct slice from_uri;
	struct slice to; /* one participant; absent: everybody */
	struct slice message_id, content_type;
	enum conf_kind kind;
	struct shared_body *body;
	struct slice content; /* of the envelope, once it is whole */
	unsigned hops;        /* that copies by SIP may go, as of a page_message */
};

/** Put content into an envelope, which is then its body.  @return 0, -EINVAL, -ENOBUFS, -ENOMEM */
int conf_wrap(struct conf_post *post, struct slice name, struct slice content);

/** A participant as people know him: by nickname, name or user. */
void conf_write_name(struct buffer *b, const struct conf_participant *p);
void conf_write_display_name(struct buffer *b, struct slice name);
void conf_write_sender(struct buffer *b, const struct conf_post *post);

bool conf_takes_private(const struct conf_participant *p);

/** Send a copy to each whom it is for. */
void conf_deliver(const struct conf_post *post);

/** Its body is whole: it goes into the history, and applications are told. */
void conf_conclude(struct conf_post *post);

/** Give the history to who has come. */
void conf_welcome(struct conf_participant *p);

/* --- history.c --- */

void conf_history_add(const struct conf_post *post, const struct cpim *c);

/** After a reload: keep no more than the settings say. */
void conf_history_trim(struct conf_room *room);
void conf_history_clear(struct conf_history *history);

/** From the store.  @return 0, -ENOBUFS, -ENOMEM */
int conf_history_restore(struct conf_room *room, struct slice message_id, struct slice content_type,
    struct slice body, struct conf_entry **entryp);

/* --- pace.c: who does not read --- */

/** A sender that is not read meanwhile; zeroed: it is. */
struct conf_held {
	LIST_ENTRY(conf_held) entry;
	struct ua_session *session;
	void *stream;
};

/** Something was queued for him.  He may have been dropped when this returns. */
void conf_pace_check(struct conf_participant *p);

/** The same for each whom a body that grows is for. */
void conf_pace_look(const struct conf_post *post);

/** He has read, or is gone. */
void conf_pace_leave(struct conf_participant *p);
void conf_pace_on_room(struct ua_session *s, void *arg);
void conf_pace_expired(struct timer_entry *entry, void *arg);

/** Is the sender to wait?  Then its stream will be resumed. */
bool conf_pace_hold(const struct conf_participant *from, struct conf_held *held, void *stream);
void conf_pace_forget(struct conf_held *held);

/* --- nickname.c: RFC 7701 section 7 --- */

/** A name that somebody in the room goes by, or has reserved. */
struct conf_nickname {
	UT_hash_handle hh;
	unsigned holders; /* sessions */
	char *owner;      /* URI of their user */
	char *restored;   /* as it was shown, while it waits for him after a restart; or NULL */
	char key[];       /* as names are compared */
};

/** For the UA: see struct ua_handler. */
int conf_nickname_request(struct ua_session *s, struct slice nickname, void *arg);

/** Take a nickname, or with an empty one give it up.  @return the status: 200, 403, 424, 425 */
int conf_nickname_ask(struct conf_participant *p, struct slice nickname);
void conf_nickname_release(struct conf_participant *p);

/** From the store: it is kept for its owner, who gets it when he comes in. */
void conf_nickname_restore(struct conf_room *room, struct slice key, struct slice owner,
    struct slice shown);
void conf_nickname_welcome(struct conf_participant *p);
void conf_nicknames_free(struct conf_room *room);

/* --- phone.c: who has SIP MESSAGE alone --- */

TAILQ_HEAD(conf_pages, conf_page);

struct conf_phone {
	struct conf_participant *participant;
	struct timer_entry silent;
	struct sip_flow *caller; /* the connection that it writes over; NULL: none of its own */
	struct conf_pages pages; /* for it, in order */
	size_t count, bytes;
	unsigned failures; /* one after the other */
	bool busy;         /* the first is under way */
};

/** Make the participant one, who has written this.  @return 0 or -ENOMEM */
int conf_phone_new(struct conf_participant *p, const struct sip_request *message);
void conf_phone_free(struct conf_participant *p); /* harmless on a session */
void conf_phone_silent(struct timer_entry *entry, void *arg);
void conf_orphans_free(struct conf *conf);

/** Say something to it.  @return false: it has left, and is gone */
bool conf_phone_tell(struct conf_participant *p, struct slice text);

/** Show it a message that is whole. */
void conf_phone_show(struct conf_participant *p, const struct conf_post *post);

/** A MESSAGE to the room, which may bring its sender in.  @return as action.run */
int conf_phone_take(struct conf_room *room, struct sip_request *message, bool answer);

/* --- roster.c: who is here, for those who watch --- */

void conf_roster_init(struct conf_room *room);

/** The room ends, and its watchers are told. */
void conf_roster_fini(struct conf_room *room);

/** The room goes on elsewhere: its watchers may subscribe again. */
void conf_roster_move(struct conf_room *room);

/** He has come, left, or changed. */
void conf_roster_changed(struct conf_room *room, struct conf_user *user);

/** The room has another subject. */
void conf_roster_described(struct conf_room *room);

int conf_roster_offer(struct conf *conf);
void conf_roster_withdraw(struct conf *conf);

/* --- refer.c: who has others called --- */

/**
 * A REFER to the room.
 *
 * @param from  who sends it, a name-addr
 * @param kick  may he have others sent out?
 * @return as action.run
 */
int conf_refer(struct conf_room *room, struct sip_request *refer, struct slice from, bool kick);

/** Tell what became of it, by a status.  Takes r; accepts NULL. */
void conf_referral_end(struct conf_referral *r, int code, struct slice reason);

int conf_refer_offer(struct conf *conf);
void conf_refer_withdraw(struct conf *conf);

/* --- store.c: what outlives the daemon --- */

/** @return 0, or -EIO or -ENOMEM with the reason */
int conf_store_open(struct conf_store **storep, const char *path, struct reason *why);
void conf_store_close(struct conf_store *store); /* accepts NULL */

/** Make anew what there was.  @return 0 or -EIO */
int conf_store_load(struct conf *conf);

/* Harmless without a store. */
void conf_store_room(const struct conf_room *room);
void conf_store_room_ended(const struct conf_room *room);
void conf_store_add(const struct conf_room *room, struct conf_entry *entry);
void conf_store_drop(const struct conf_room *room, const struct conf_entry *entry);
void conf_store_nickname(const struct conf_room *room, const struct conf_nickname *nickname,
    const char *shown);
void conf_store_nickname_gone(const struct conf_room *room, const struct conf_nickname *nickname);
