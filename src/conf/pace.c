/*
 * Who does not read holds up nobody: RFC 7701 6.4.  While more than send_queue waits for a
 * participant those who write to the room are not read; after shared_stall he is dropped.
 */
#include "conf/priv.h"

static uint64_t window(const struct conf *conf)
{
	return ua_limits(conf->env.ua).send_queue;
}

static void release(struct conf_room *room)
{
	struct conf_held *held;

	while (room->slow == 0 && (held = LIST_FIRST(&room->held))) {
		conf_pace_forget(held);
		ua_message_resume(held->session, held->stream);
	}
}

void conf_pace_leave(struct conf_participant *p)
{
	if (!timer_entry_running(&p->slow))
		return;
	timer_queue_stop(&p->room->conf->slow, &p->slow);
	p->room->slow--;
	release(p->room);
}

void conf_pace_check(struct conf_participant *p)
{
	struct conf *conf = p->room->conf;

	if (timer_entry_running(&p->slow) || ua_backlog(p->session) <= window(conf))
		return;
	timer_queue_start(&conf->slow, &p->slow);
	p->room->slow++;
	ua_want_room(p->session, window(conf) / 2);
}

void conf_pace_on_room(struct ua_session *s, void *arg)
{
	(void)s;
	conf_pace_leave(arg);
}

void conf_pace_expired(struct timer_entry *entry, void *arg)
{
	struct conf *conf = arg;
	struct conf_participant *p =
	    (struct conf_participant *)((char *)entry - offsetof(struct conf_participant, slow));
	struct conf_room *room = p->room;

	/* The queue has taken it out. */
	room->slow--;
	if (ua_backlog(p->session) > window(conf)) {
		++*conf->count.slow;
		room->keep++;
		conf_participant_end(p, "slow");
		room->keep--;
	}
	release(room);
	conf_room_review(room);
}

bool conf_pace_hold(const struct conf_participant *from, struct conf_held *held, void *stream)
{
	if (from->room->slow == 0)
		return false;
	if (held->entry.le_prev)
		return true;
	held->session = from->session;
	held->stream = stream;
	LIST_INSERT_HEAD(&from->room->held, held, entry);
	return true;
}

void conf_pace_forget(struct conf_held *held)
{
	if (held->entry.le_prev)
		LIST_REMOVE(held, entry);
	held->entry.le_prev = NULL;
}
