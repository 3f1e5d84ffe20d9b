/* A session of somebody in a room: RFC 7701 section 5, RFC 4579 section 5. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>
#include <msrpd/story.h>

#include "conf/priv.h"

#define ABSENT ((struct slice){NULL, 0})

enum { ANONYMOUS_LEN = 22 }; /* 130 bits */

/* --- users --- */

static struct conf_user *user_get(struct conf_room *room, const char *key)
{
	size_t len = strlen(key);
	struct conf_user *user;

	HASH_FIND(hh, room->users, key, len, user);
	if (user)
		return user;
	user = calloc(1, sizeof(*user) + len + 1);
	if (!user)
		return NULL;
	LIST_INIT(&user->devices);
	user->uri_len = len;
	memcpy(user->uri, key, len);
	HASH_ADD_KEYPTR(hh, room->users, user->uri, len, user);
	if (!user->hh.tbl) {
		free(user);
		return NULL;
	}
	return user;
}

static void user_review(struct conf_room *room, struct conf_user *user)
{
	if (!LIST_EMPTY(&user->devices))
		return;
	HASH_DEL(room->users, user);
	free(user);
}

/* --- life --- */

static struct conf_participant *participant_new(struct conf_room *room, const char *key,
    struct slice name)
{
	struct conf_participant *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->room = room;
	p->number = ++room->last_number;
	p->name = slice_dup(name);
	p->user = name.p && !p->name ? NULL : user_get(room, key);
	if (!p->user) {
		free(p->name);
		free(p);
		return NULL;
	}
	LIST_INIT(&p->open);
	LIST_INSERT_HEAD(&p->user->devices, p, device);
	room->count++;
	++*room->conf->count.participants;
	return p;
}

static void tell_referrer(struct conf_participant *p, int code, struct slice reason)
{
	conf_referral_end(p->referral, code, reason);
	p->referral = NULL;
}

/* The room may end with it. */
static void participant_free(struct conf_participant *p)
{
	struct conf_room *room = p->room;

	tell_referrer(p, 487, SLICE("Request Terminated"));
	conf_messages_drop(p);
	conf_pace_leave(p);
	conf_nickname_release(p);
	conf_phone_free(p);
	if (p->joined)
		TAILQ_REMOVE(&room->participants, p, next);
	LIST_REMOVE(p, device);
	conf_roster_changed(room, p->user);
	room->count--;
	--*room->conf->count.participants;
	user_review(room, p->user);
	free(p->name);
	free(p->real);
	free(p);
	conf_room_review(room);
}

void conf_participant_end(struct conf_participant *p, const char *reason)
{
	struct ua_session *s = p->session;

	if (p->joined && !p->room->conf->stopping)
		conf_tell_leave(p, reason);
	participant_free(p);
	if (s)
		ua_end(s);
}

void conf_user_kick(struct conf_user *user)
{
	struct conf_participant *p, *next;
	size_t devices = 0;

	/* The user goes with the last device, and the room may. */
	LIST_FOREACH(p, &user->devices, device)
		devices++;
	for (p = LIST_FIRST(&user->devices); devices--; p = next) {
		next = LIST_NEXT(p, device);
		conf_participant_end(p, "kicked");
	}
}

static void joined(struct conf_participant *p)
{
	p->joined = true;
	p->room->restored = false;
	conf_nickname_welcome(p);
	TAILQ_INSERT_TAIL(&p->room->participants, p, next);
	++*p->room->conf->count.joins;
	conf_tell_join(p);
	conf_roster_changed(p->room, p->user);
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct conf_participant *p = arg;

	(void)s;
	if (notice->what == UA_ESTABLISHED) {
		tell_referrer(p, 200, SLICE("OK"));
		joined(p);
		conf_welcome(p);
		return;
	}
	if (notice->end == UA_END_STOPPED)
		p->room->conf->stopping = true;
	if (notice->what == UA_FAILED) {
		tell_referrer(p, notice->code, notice->reason);
		story_often("conf: room %s: %s did not come in: %d %.*s", p->room->uri,
		    p->user->uri, notice->code, SLICE_ARG(notice->reason));
	} else if (notice->end != UA_END_STOPPED && p->joined) {
		conf_tell_leave(p, ua_end_name(notice->end));
	}
	participant_free(p);
}

static const struct ua_handler handler = {
    .name = "conf",
    .notify = on_notify,
    .bounded = true,
    .begin = conf_message_begin,
    .piece = conf_message_piece,
    .end = conf_message_end,
    .nickname = conf_nickname_request,
    .room = conf_pace_on_room,
};

/* --- coming in --- */

/* RFC 7701 section 8: what the room can do and permits. */
static struct slice chatroom(const struct conf_settings *settings)
{
	static const struct slice lines[2][2] = {
	    {SLICE("a=chatroom\r\n"), SLICE("a=chatroom:private-messages\r\n")},
	    {SLICE("a=chatroom:nickname\r\n"), SLICE("a=chatroom:nickname private-messages\r\n")},
	};

	return lines[settings->nicknames][settings->private_messages];
}

enum { CONTACT_SIZE = CONF_URI_MAX + sizeof("@;isfocus") };

/* RFC 4579 4.2: the URI of our Contact names the room. */
static struct slice write_contact(char *text, size_t size, const struct conf_room *room)
{
	struct slice user = conf_uri_user(slice_of(room->uri));
	int n = snprintf(text, size, "%.*s%s;isfocus", SLICE_ARG(user), user.p ? "@" : "");

	return (struct slice){text, n < (int)size ? (size_t)n : 0};
}

/* RFC 4579 4.3.  What is only for some does not show itself to others. */
size_t conf_contact(const struct sip_request *options, char *text, size_t size, void *state)
{
	const struct conf_room *room =
	    conf_room_meant(state, options, sip_request_field(options, SIP_FIELD_RURI));
	char key[CONF_URI_MAX + 1];

	if (!room || conf_uri_key(key, sip_request_field(options, SIP_FIELD_FROM_URI)) < 0
	    || !conf_room_admits(room, slice_of(key)))
		return 0;
	return write_contact(text, size, room).len;
}

/* It is a copy of the contact that is kept. */
static struct ua_offer offer_of(struct conf_participant *p, char contact[CONTACT_SIZE])
{
	return (struct ua_offer){
	    .accept_types = SLICE("message/cpim"),
	    .contact = write_contact(contact, CONTACT_SIZE, p->room),
	    .attributes = chatroom(p->room->conf->settings),
	    .peer_attribute = "chatroom",
	    .handler = &handler,
	    .arg = p,
	};
}

/* A room that was made for it ends. */
static int refuse(struct conf_room *room, struct sip_request *invite, int code, struct slice reason)
{
	++*room->conf->count.refused_joins;
	sip_request_reply(invite, code, reason, ABSENT);
	conf_room_review(room);
	return -EACCES;
}

bool conf_wants_privacy(const struct sip_request *request)
{
	struct slice values = sip_request_header(request, SLICE("Privacy")), value;

	while (slice_cut(&values, ';', &value)) {
		value = slice_trim(value);
		if (slice_equal_nocase(value, SLICE("id"))
		    || slice_equal_nocase(value, SLICE("user")))
			return true;
	}
	return conf_uri_is_anonymous(sip_request_field(request, SIP_FIELD_FROM_URI));
}

/* Under another name, that nobody can guess from his own. */
static struct conf_participant *anonymous_new(struct conf_room *room, const char *real)
{
	char uri[sizeof("sip:anonymous-@anonymous.invalid") + ANONYMOUS_LEN];
	char token[ANONYMOUS_LEN + 1];
	struct conf_participant *p;

	rand_token(token, ANONYMOUS_LEN);
	snprintf(uri, sizeof(uri), "sip:anonymous-%s@anonymous.invalid", token);
	p = participant_new(room, uri, ABSENT);
	if (p && !(p->real = slice_dup(slice_of(real)))) {
		participant_free(p);
		return NULL;
	}
	return p;
}

static struct conf_participant *comer_new(struct conf_room *room, const char *key,
    struct slice from, const struct sip_request *request)
{
	struct conf_participant *p;

	room->keep++;
	p = conf_wants_privacy(request) ? anonymous_new(room, key)
					: participant_new(room, key, sip_address_name(from));
	room->keep--;
	return p;
}

static int answer(struct conf_participant *p, struct sip_request *invite)
{
	struct conf_room *room = p->room;
	struct conf *conf = room->conf;
	char contact[CONTACT_SIZE];
	struct ua_offer offer = offer_of(p, contact);
	int err = ua_answer(conf->env.ua, invite, &offer, &p->session);

	if (err < 0) {
		++*conf->count.refused_joins;
		participant_free(p);
	} else {
		conf_room_announce(room);
	}
	return err;
}

int conf_join(struct conf_room *room, struct sip_request *invite, struct slice from)
{
	char key[CONF_URI_MAX + 1];
	struct conf_participant *p;

	if (conf_uri_key(key, sip_address_uri(from)) < 0)
		return refuse(room, invite, 403, SLICE("No Such User"));
	if (!conf_room_admits(room, slice_of(key)))
		return refuse(room, invite, 403, SLICE("Forbidden"));
	if (conf_room_is_full(room))
		return refuse(room, invite, 486, SLICE("Room Is Full"));
	p = comer_new(room, key, from, invite);
	if (!p)
		return refuse(room, invite, 500, SLICE("Server Internal Error"));
	return answer(p, invite);
}

int conf_join_phone(struct conf_room *room, const char *uri, const struct sip_request *message,
    struct conf_participant **pp)
{
	struct conf_participant *p;

	if (!conf_room_admits(room, slice_of(uri)))
		return 403;
	if (conf_room_is_full(room))
		return 486;
	p = comer_new(room, uri, sip_request_field(message, SIP_FIELD_FROM), message);
	if (!p)
		return 500;
	if (conf_phone_new(p, message) < 0) {
		participant_free(p);
		return 500;
	}
	conf_room_announce(room);
	joined(p);
	*pp = p;
	return 0;
}

int conf_invite(struct conf_room *room, struct slice uri, struct slice headers, unsigned hops,
    struct conf_participant **pp)
{
	struct conf *conf = room->conf;
	char key[CONF_URI_MAX + 1];
	struct conf_participant *p;
	char contact[CONTACT_SIZE];
	struct ua_offer offer;
	int err = conf_uri_key(key, sip_address_uri(uri));

	if (err < 0)
		return err;
	if (conf_room_is_full(room))
		return -ENOSPC;
	p = participant_new(room, key, sip_address_name(uri));
	if (!p)
		return -ENOMEM;
	p->invited = true;
	offer = offer_of(p, contact);
	offer.headers = headers;
	offer.hops = hops;
	err = ua_start(conf->env.ua, &offer, slice_of(room->uri), uri, sip_address_uri(uri),
	    &p->session);
	if (err < 0)
		participant_free(p);
	else
		*pp = p;
	return err;
}
