/* A session of somebody in a room: RFC 7701 section 5, RFC 4579 section 5. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/log.h>

#include "conf/priv.h"

#define ABSENT ((struct slice){NULL, 0})

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

/* The room may end with it. */
static void participant_free(struct conf_participant *p)
{
	struct conf_room *room = p->room;

	conf_messages_drop(p);
	if (p->joined)
		TAILQ_REMOVE(&room->participants, p, next);
	LIST_REMOVE(p, device);
	room->count--;
	--*room->conf->count.participants;
	user_review(room, p->user);
	free(p->name);
	free(p);
	conf_room_review(room);
}

void conf_participant_end(struct conf_participant *p, const char *reason)
{
	struct ua_session *s = p->session;

	if (p->joined)
		conf_tell_leave(p, reason);
	participant_free(p);
	ua_end(s);
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct conf_participant *p = arg;

	(void)s;
	if (notice->what == UA_ESTABLISHED) {
		p->joined = true;
		TAILQ_INSERT_TAIL(&p->room->participants, p, next);
		++*p->room->conf->count.joins;
		conf_tell_join(p);
		return;
	}
	if (notice->what == UA_TERMINATED && notice->end == UA_END_STOPPED)
		p->room->conf->stopping = true;
	else if (p->joined)
		conf_tell_leave(p, ua_end_name(notice->end));
	participant_free(p);
}

static const struct ua_handler handler = {
    .name = "conf",
    .notify = on_notify,
    .bounded = true,
    .begin = conf_message_begin,
    .piece = conf_message_piece,
    .end = conf_message_end,
};

/* --- coming in --- */

/* RFC 7701 section 8: what the room can do and permits. */
static struct ua_offer offer_of(struct conf_participant *p)
{
	return (struct ua_offer){
	    .accept_types = SLICE("message/cpim"),
	    .contact = SLICE(";isfocus"),
	    .attributes = p->room->conf->settings->private_messages
		? SLICE("a=chatroom:private-messages\r\n")
		: SLICE("a=chatroom\r\n"),
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

int conf_join(struct conf_room *room, struct sip_request *invite, struct slice from)
{
	struct conf *conf = room->conf;
	struct conf_participant *p;
	struct ua_offer offer;
	char key[CONF_URI_MAX + 1];
	int err;

	if (conf_uri_key(key, sip_address_uri(from)) < 0)
		return refuse(room, invite, 403, SLICE("No Such User"));
	if (!conf_room_admits(room, slice_of(key)))
		return refuse(room, invite, 403, SLICE("Forbidden"));
	if (conf_room_is_full(room))
		return refuse(room, invite, 486, SLICE("Room Is Full"));
	p = participant_new(room, key, sip_address_name(from));
	if (!p)
		return refuse(room, invite, 500, SLICE("Server Internal Error"));
	offer = offer_of(p);
	err = ua_answer(conf->env.ua, invite, &offer, &p->session);
	if (err < 0) {
		++*conf->count.refused_joins;
		participant_free(p);
		return err;
	}
	conf_room_announce(room);
	return 0;
}
