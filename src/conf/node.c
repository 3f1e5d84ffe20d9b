/*
 * Which node of the cluster has a room (docs/cluster.md).  It is claimed before anybody is let in;
 * requests for a room of another node go there as they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <msrpd/story.h>
#include <msrpd/subscription.h>

#include "conf/priv.h"

enum {
	WAITING_MAX = 1024, /* requests for one room */
	WAITING_MAX_ALL = 4 * WAITING_MAX,
	YIELD_MS = 1000, /* between two looks whether a room of another node's is idle */
	YIELD_AT_LAST_MS = 30000,
};

#define ABSENT ((struct slice){NULL, 0})

static const char *const whats[] = {
    [CONF_JOIN] = "join",
    [CONF_PAGE] = "page",
    [CONF_WATCH] = "watch",
    [CONF_REFER] = "refer",
    [CONF_REFER_OUT] = "refer-out",
};

struct conf_wait {
	STAILQ_ENTRY(conf_wait) next;
	struct sip_request *request;
	struct conf_order order; /* whose text is behind */
	char text[];
};

static const struct cluster_claim_ops claim_ops;

static struct conf_room *of_claim(struct cluster_claim *claim)
{
	return (struct conf_room *)(void *)((char *)claim - offsetof(struct conf_room, claim));
}

static void refuse(struct conf_room *room, struct sip_request *request, int code)
{
	if (sip_request_answered(request))
		return;
	++*room->conf->count.refused_joins;
	sip_request_reply(request, code, ABSENT, ABSENT);
}

/* --- here --- */

bool conf_room_is_real(const struct conf_room *room)
{
	return room->settings || room->lasting || room->restored || room->announced;
}

static bool joins(const struct conf_order *order)
{
	return order->what == CONF_JOIN || order->what == CONF_PAGE;
}

static int do_order(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order)
{
	if (order->what == CONF_WATCH) {
		notifier_ask_again(room->conf->env.notifier, request);
		return 0;
	}
	if (!conf_room_is_real(room) && !(joins(order) && room->conf->settings->create)) {
		refuse(room, request, 404);
		return -ENOENT;
	}
	if (order->what == CONF_JOIN)
		return conf_join(room, request, order->from);
	if (order->what == CONF_PAGE)
		return conf_phone_take(room, request, order->answer);
	return conf_refer(room, request, order->from, order->what == CONF_REFER_OUT);
}

/* @return as action.run */
static int carry_out(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order)
{
	int err;

	room->keep++;
	err = do_order(room, request, order);
	room->keep--;
	conf_room_review(room);
	return err;
}

static void take_over(struct conf_room *room)
{
	room->ours = true;
	room->yields = false;
	room->owner[0] = '\0';
}

bool conf_room_claim(struct conf_room *room)
{
	if (room->ours || room->claim.state == CLUSTER_ASKING)
		return room->ours;
	room->claim.ops = &claim_ops;
	if (cluster_claim(room->conf->env.cluster, &room->claim, "room", slice_of(room->uri)))
		take_over(room);
	else
		room->keep++; /* until it is decided */
	return room->ours;
}

/* --- there --- */

static int send_there(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order, const struct cluster_node *owner)
{
	const struct cluster_mark mark = {
	    .service = SLICE("conf"),
	    .args = {slice_of(whats[order->what]), slice_of(room->uri), order->from},
	    .count = 3,
	};

	return order->forwarded
	    ? -EXDEV
	    : sip_request_pass_on(request, room->conf->env.cluster, owner, &mark);
}

static void pass_on(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order, const struct cluster_node *owner)
{
	if (sip_request_answered(request))
		story_often("conf: room %s: node %s has it, but a rule has answered for it",
		    room->uri, room->owner);
	else if (send_there(room, request, order, owner) == 0)
		++*room->conf->count.remote;
	else
		refuse(room, request, 480);
}

bool conf_mark_read(const struct conf *conf, const struct sip_request *request,
    struct buffer *texts, struct cluster_mark *mark)
{
	struct slice value = sip_request_header(request, SLICE(CLUSTER_HEADER));

	return conf->env.cluster && value.p
	    && cluster_mark_read(conf->env.cluster, texts, value, mark) == 0
	    && slice_equal(mark->service, SLICE("conf")) && mark->count == 3;
}

/* What is none is CONF_WATCH, as that comes another way. */
static enum conf_what find_what(struct slice text)
{
	for (size_t i = 0; i < CONF_COUNT(whats); i++)
		if (slice_equal(text, slice_of(whats[i])))
			return (enum conf_what)i;
	return CONF_WATCH;
}

void conf_forwarded(struct sip_request *request, const struct cluster_mark *mark, void *state)
{
	struct conf_order order = {.what = find_what(mark->args[0]),
	    .answer = true,
	    .forwarded = true,
	    .from = mark->args[2]};
	struct conf *conf = state;
	struct conf_room *room;

	if (mark->count != 3 || order.what == CONF_WATCH) {
		sip_request_reply(request, 400, ABSENT, ABSENT);
		return;
	}
	room = conf_room_asked(conf, request, mark->args[1]);
	if (!room)
		return;
	++*conf->count.remote_taken;
	conf_order_take(room, request, &order);
}

/* --- until it is known --- */

static int wait_for_node(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order)
{
	bool fits =
	    room->waiting_count < WAITING_MAX && room->conf->waiting_count < WAITING_MAX_ALL;
	struct conf_wait *w = fits ? calloc(1, sizeof(*w) + order->from.len + 1) : NULL;
	char *text;

	if (!w) {
		refuse(room, request, 503);
		return -ENOMEM;
	}
	w->request = sip_request_ref(request);
	w->order = *order;
	text = w->text;
	w->order.from = slice_pack(&text, order->from);
	STAILQ_INSERT_TAIL(&room->waiting, w, next);
	room->waiting_count++;
	room->conf->waiting_count++;
	return 0;
}

/* @return the one that has waited longest, for wait_end(); NULL: there is none */
static struct conf_wait *take_waiting(struct conf_room *room)
{
	struct conf_wait *w = STAILQ_FIRST(&room->waiting);

	if (!w)
		return NULL;
	STAILQ_REMOVE_HEAD(&room->waiting, next);
	room->waiting_count--;
	room->conf->waiting_count--;
	return w;
}

static void wait_end(struct conf_wait *w)
{
	sip_request_unref(w->request);
	free(w);
}

int conf_order_take(struct conf_room *room, struct sip_request *request,
    const struct conf_order *order)
{
	return conf_room_claim(room) ? carry_out(room, request, order)
				     : wait_for_node(room, request, order);
}

/* @param owner  NULL: this one  */
static void go_on(struct conf_room *room, const struct cluster_node *owner)
{
	struct conf_wait *w;

	while ((w = take_waiting(room))) {
		if (room->ours)
			carry_out(room, w->request, &w->order);
		else
			pass_on(room, w->request, &w->order, owner);
		wait_end(w);
	}
}

void conf_room_stop_waiting(struct conf_room *room)
{
	struct conf_wait *w;

	while ((w = take_waiting(room))) {
		refuse(room, w->request, 503);
		wait_end(w);
	}
}

static void note_owner(struct conf_room *room, const struct cluster_node *owner)
{
	snprintf(room->owner, sizeof(room->owner), "%.*s", SLICE_ARG(owner->name));
}

static void on_decided(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct conf_room *room = of_claim(claim);

	if (owner) {
		note_owner(room, owner);
		if (room->last_number == 0 && !room->restored)
			room->lasting = false; /* it was made, but is there already */
	} else {
		take_over(room);
	}
	go_on(room, owner);
	room->keep--;
	conf_room_review(room);
}

/* --- it was both nodes' --- */

static void on_lost(struct cluster_claim *claim, const struct cluster_node *owner)
{
	struct conf_room *room = of_claim(claim);

	++*room->conf->count.yielded;
	note_owner(room, owner);
	room->ours = false;
	room->yields = true;
	room->yield_by_ms = timer_now_ms() + YIELD_AT_LAST_MS;
	timer_start(&room->conf->yield, 0);
}

static const struct cluster_claim_ops claim_ops = {on_decided, on_lost};

static bool is_idle(const struct conf_room *room)
{
	const struct conf_participant *p;

	TAILQ_FOREACH(p, &room->participants, next)
		if (!LIST_EMPTY(&p->open) || (p->phone && p->phone->count > 0)
		    || (p->session && ua_backlog(p->session) > 0))
			return false;
	return true;
}

/* Whoever comes again comes to the other node. */
static void yield(struct conf_room *room)
{
	room->yields = false;
	room->keep++;
	while (room->users) {
		struct conf_participant *p = LIST_FIRST(&room->users->devices);

		if (!p->phone
		    || conf_phone_tell(p,
			SLICE("This room goes on elsewhere: write to come back.")))
			conf_participant_end(p, "ended");
	}
	conf_roster_move(room);
	room->keep--;
	conf_room_review(room);
}

void conf_rooms_yield(void *arg)
{
	struct conf *conf = arg;
	uint64_t now = timer_now_ms();
	struct conf_room *room, *next;

	HASH_ITER(hh, conf->rooms, room, next)
	if (room->yields && (is_idle(room) || now >= room->yield_by_ms))
		yield(room);
	else if (room->yields)
		timer_start(&conf->yield, YIELD_MS);
}
