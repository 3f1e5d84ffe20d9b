/*
 * Who does not read holds up nobody: RFC 7701 6.4.  More than send_queue may not wait for a
 * participant.  If it came within shared_stall, those who write to the room are not read until it
 * has become less, for shared_stall at most; who has had longer than that is dropped at once.
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

static void drop(struct conf_participant *p)
{
	++*p->room->conf->count.slow;
	conf_participant_end(p, "slow");
}

static void hold_others(struct conf_participant *p)
{
	timer_queue_start(&p->room->conf->slow, &p->slow);
	p->room->slow++;
}

void conf_pace_check(struct conf_participant *p)
{
	const struct conf *conf = p->room->conf;
	uint64_t backlog = ua_backlog(p->session), now;

	if (timer_entry_running(&p->slow) || backlog <= window(conf) / 2)
		return;
	now = timer_now_ms();
	if (!p->filling_ms) {
		p->filling_ms = now;
		ua_want_room(p->session, window(conf) / 2);
	}
	if (backlog <= window(conf))
		return;
	if (now - p->filling_ms > ua_limits(conf->env.ua).shared_stall_ms)
		drop(p);
	else
		hold_others(p);
}

void conf_pace_on_room(struct ua_session *s, void *arg)
{
	struct conf_participant *p = arg;

	(void)s;
	p->filling_ms = 0;
	conf_pace_leave(p);
}

void conf_pace_expired(struct timer_entry *entry, void *arg)
{
	struct conf *conf = arg;
	struct conf_participant *p =
	    (struct conf_participant *)((char *)entry - offsetof(struct conf_participant, slow));
	struct conf_room *room = p->room;

	/* The queue has taken it out. */
	room->slow--;
	room->keep++;
	if (ua_backlog(p->session) > window(conf))
		drop(p);
	else
		p->filling_ms = timer_now_ms(); /* he reads, slowly: he has another while */
	room->keep--;
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
