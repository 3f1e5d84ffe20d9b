/* The MSRP side of a leg: its URI, the connection to its peer, and what passes over that. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "anchor/priv.h"
#include "base/log.h"
#include "forward/collector.h"
#include "forward/forward.h"
#include "forward/request.h"
#include "msrp/pool.h"
#include "wire/path.h"
#include "wire/report.h"
#include "wire/write.h"

enum { GREETING_MAX = 8192 };

#define LOST   SLICE("SIP;cause=500;text=\"MSRP connection lost\"")
#define ABSENT SLICE("SIP;cause=500;text=\"No MSRP connection\"")

static struct forwarder *forwarder_of(const struct anchor_leg *leg)
{
	return &leg->anchor->all->forwarder;
}

struct slice leg_id(const struct anchor_leg *leg)
{
	return msrp_target_id(&leg->target);
}

/* --- its connection --- */

static void detach(struct anchor_leg *leg)
{
	msrp_transaction_stop(&leg->greeting);
	msrp_conn_detach(&leg->user);
	leg->confirmed = false;
	free(leg->claim);
	leg->claim = NULL;
}

static void note_bound(const struct anchor_leg *leg, const struct msrp_conn *conn)
{
	struct story of = anchor_story(leg);
	char peer[64];

	of.stack = "msrp";
	of.conn = msrp_conn_number(conn);
	msrp_conn_peer_text(conn, peer, sizeof(peer));
	story_note(LOG_LEVEL_DEBUG, &of, "anchor: session %.*s: on conn %" PRIu64 ", %s %s by %s",
	    SLICE_ARG(leg_id(leg)), of.conn, msrp_conn_accepted(conn) ? "opened by" : "to", peer,
	    msrp_conn_transport(conn)->secure ? "TLS" : "TCP");
}

/* Its connection is established; what waits for that goes on. */
static void on_opened(struct msrp_user *user)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, user, user);

	way_open(&leg->way, user->conn, leg->peer.path);
}

static void attach(struct anchor_leg *leg, struct msrp_conn *conn)
{
	msrp_conn_attach(conn, &leg->user, 0);
	note_bound(leg, conn);
	if (msrp_conn_open(conn))
		on_opened(&leg->user);
	timer_queue_stop(&leg->anchor->all->retry, &leg->retry);
}

/* Something has come over its connection: there is somebody at the other end. */
static void confirm(struct anchor_leg *leg)
{
	struct anchors *all = leg->anchor->all;

	if (!leg->confirmed)
		leg->since_ms = timer_now_ms();
	leg->confirmed = true;
	timer_queue_stop(&all->grace, &leg->grace);
	if (leg->lost)
		++*all->count.reconnected;
	leg->lost = false;
}

/*
 * The wait until the next try doubles, but lets one fall within the grace; it is short again after a
 * connection that has held: who is gone each time as soon as he is there is sought less and less often.
 */
static void set_wait(struct anchor_leg *leg)
{
	unsigned most =
	    (unsigned)(leg->anchor->all->settings->reconnect_grace_ms / (2 * ANCHOR_RETRY_MS));

	if (!leg->lost && timer_now_ms() - leg->since_ms >= ANCHOR_HELD_MS)
		leg->retry_wait = 0;
	leg->retry_wait = leg->retry_wait ? 2 * leg->retry_wait : 1;
	if (leg->retry_wait > most)
		leg->retry_wait = most ? most : 1;
	leg->retry_left = leg->retry_wait;
}

/* The session is over unless the peer is there again before long (RFC 4975 5.4). */
static void lost(struct anchor_leg *leg)
{
	struct anchors *all = leg->anchor->all;
	const struct story of = anchor_story(leg);

	if (!leg->up)
		return; /* its dialog tells what becomes of it */
	set_wait(leg);
	if (!leg->lost) {
		leg->lost = true;
		++*all->count.lost;
		story_note(LOG_LEVEL_INFO, &of, "anchor: session %.*s: connection lost",
		    SLICE_ARG(leg_id(leg)));
	}
	if (!all->settings->reconnect_grace_ms) {
		anchor_finish(leg->anchor, ANCHOR_FAILED, LOST);
		return;
	}
	if (!timer_entry_running(&leg->grace))
		timer_queue_start(&all->grace, &leg->grace);
	if (!leg->peer.connects)
		timer_queue_start(&all->retry, &leg->retry);
}

void leg_on_grace(struct timer_entry *entry, void *arg)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, grace, entry);
	const struct story of = anchor_story(leg);

	(void)arg;
	story_note(LOG_LEVEL_INFO, &of, "anchor: session %.*s: no connection in time",
	    SLICE_ARG(leg_id(leg)));
	anchor_finish(leg->anchor, ANCHOR_FAILED, leg->lost ? LOST : ABSENT);
}

void leg_leave(struct anchor_leg *leg)
{
	struct anchors *all = leg->anchor->all;

	detach(leg);
	leg->retry_wait = 0;
	timer_queue_stop(&all->grace, &leg->grace);
	timer_queue_stop(&all->retry, &leg->retry);
}

void leg_end_grace(struct anchors *all)
{
	struct timer_entry *entry;

	while ((entry = timer_queue_first(&all->grace))) {
		timer_queue_stop(&all->grace, entry);
		if (OWNER(struct anchor_leg, grace, entry)->lost)
			leg_on_grace(entry, all);
	}
}

static void on_closed(struct msrp_user *user, int err)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, user, user);
	struct anchor *anchor = leg->anchor;

	(void)err;
	anchor_ref(anchor);
	detach(leg);
	lost(leg);
	anchor_unref(anchor);
}

static const struct msrp_user_ops user_ops = {.closed = on_closed,
    .opened = on_opened,
    .for_anybody = true};

/* --- the greeting: RFC 4975 5.4 has who connects send at once, so that the other side knows him --- */

static int on_greeted(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, greeting, t);
	struct anchor *anchor = leg->anchor;
	const struct story of = anchor_story(leg);

	if (response->code >= 300)
		story_note(LOG_LEVEL_INFO, &of, "anchor: session %.*s: peer refuses it: %u %.*s",
		    SLICE_ARG(leg_id(leg)), response->code, SLICE_ARG(response->phrase));
	if (response->code != 481 && response->code != 506) {
		confirm(leg);
		return 0;
	}
	anchor_ref(anchor);
	detach(leg);
	lost(leg);
	anchor_unref(anchor);
	return 0;
}

static void on_greeting_timeout(struct msrp_transaction *t)
{
	(void)t; /* whoever sends something is told */
}

static void on_greeting_lost(struct msrp_transaction *t, int err)
{
	(void)t; /* and its user */
	(void)err;
}

static const struct msrp_transaction_ops greeting_ops = {
    .response = on_greeted,
    .timeout = on_greeting_timeout,
    .lost = on_greeting_lost,
};

static void greet(struct anchor_leg *leg)
{
	static const struct byte_range nothing = {1, 0, 0};
	struct msrp_conn *conn = leg->user.conn;
	char text[GREETING_MAX], id[MSRP_TID_LEN + 1];
	struct buffer w = BUFFER_ON(text);
	struct slice tid = {leg->greeting.tid, MSRP_TID_LEN};

	if (msrp_transaction_start(&leg->greeting, conn) < 0)
		return;
	rand_token(id, MSRP_TID_LEN);
	msrp_write_request_line(&w, tid, SLICE("SEND"));
	msrp_write_paths(&w, leg->peer.path, leg->target.uri);
	msrp_write_header(&w, SLICE("Message-ID"), slice_of(id));
	msrp_write_byte_range(&w, &nothing);
	msrp_write_end_line(&w, tid, MSRP_COMPLETE, false);
	if (w.err) {
		msrp_transaction_stop(&leg->greeting);
		return;
	}
	msrp_conn_send(conn, buffer_text(&w));
	msrp_transaction_sent(&leg->greeting);
}

/* --- connecting --- */

static int dial(struct anchor_leg *leg)
{
	struct slice fingerprints[SDP_FINGERPRINT_MAX];
	struct msrp_destination to;
	struct msrp_conn *conn;
	int err = media_destination(leg, &to, fingerprints);

	if (err == 0)
		err = msrp_pool_get(leg->anchor->all->env.msrp, &to, &conn);
	if (err < 0)
		return err;
	attach(leg, conn);
	greet(leg);
	return 0;
}

void leg_follow(struct anchor_leg *leg)
{
	const struct story of = anchor_story(leg);
	int err;

	if (leg->anchor->over || leg->user.conn || !leg->up || !leg->peer.sdp)
		return;
	if (leg->peer.connects) {
		/* The time that it takes him is the one of who comes back. */
		if (!timer_entry_running(&leg->grace))
			timer_queue_start(&leg->anchor->all->grace, &leg->grace);
		return;
	}
	err = dial(leg);
	if (err == 0)
		return;
	story_note(LOG_LEVEL_INFO, &of, "anchor: session %.*s: cannot connect: %s",
	    SLICE_ARG(leg_id(leg)), strerror(-err));
	lost(leg);
}

void leg_on_retry(struct timer_entry *entry, void *arg)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, retry, entry);
	struct anchors *all = arg;

	/* What follows may be the end of the leg. */
	if (--leg->retry_left > 0)
		timer_queue_start(&all->retry, &leg->retry);
	else
		leg_follow(leg);
}

/* --- requests of its peer --- */

static int refuse(struct msrp_conn *conn, int code, const char *phrase)
{
	msrp_conn_reply(conn, code, slice_of(phrase), NOTHING);
	return 0;
}

/*
 * RFC 4975 5.4: a session lives on one connection.  While nothing has come over one that we have
 * opened the peer's own counts as well as ours.
 *
 * @return may the request go on?
 */
static bool bind_to(struct anchor_leg *leg, struct msrp_conn *conn, struct slice from_path)
{
	char *claim;

	if (leg->user.conn == conn) {
		confirm(leg);
		return true;
	}
	if (leg->user.conn && leg->confirmed) {
		refuse(conn, 506, "Bound to another connection");
		return false;
	}
	if (!media_is_peer(leg, conn)) {
		refuse(conn, 403, "Wrong certificate");
		return false;
	}
	/* Before his SDP is here nobody can say whether it is him. */
	claim = leg->peer.sdp ? NULL : slice_dup(from_path);
	if (!leg->peer.sdp && !claim) {
		refuse(conn, 413, "Out of memory");
		return false;
	}
	detach(leg);
	leg->claim = claim;
	attach(leg, conn);
	confirm(leg);
	return true;
}

static struct hop hop_from(struct anchor_leg *leg)
{
	struct anchor_leg *to = leg->other;

	return (struct hop){
	    .conn = to->user.conn,
	    .to_path = to->peer.path,
	    .from_path = to->target.uri,
	    .way = &to->way,
	    .traffic = &leg->traffic,
	    .hides = true,
	};
}

/* @return as msrp_target_ops.request */
static int result_of(struct msrp_conn *conn, int code, const char *phrase)
{
	return code > 0 ? refuse(conn, code, phrase) : code;
}

/* Only binds, or keeps alive: that is between its sender and us. */
static bool is_empty(const struct msrp_frame *f)
{
	return f->method == MSRP_SEND && !f->has_body
	    && !slice_equal_nocase(f->success_report, SLICE("yes"));
}

static struct anchor_leg *leg_named(const struct anchors *all, const struct msrp_uri *uri);

static int on_collected(struct forwarder *fw, const struct collected *c)
{
	struct anchors *all = OWNER(struct anchors, forwarder, fw);
	struct anchor_leg *leg = leg_named(all, &c->in.frame->to);
	const char *phrase = "No such session";
	struct hop hop;

	if (!leg)
		return refuse(c->in.conn, 481, phrase);
	hop = hop_from(leg);
	return result_of(c->in.conn, request_forward(fw, &c->in, &hop, &phrase), phrase);
}

/*
 * The connection that is being made may come to nothing: what comes waits for whichever there will be.
 * But while it is the first one it is trusted where the wait would hold up other sessions.
 */
static bool waits(const struct anchor_leg *to, const struct msrp_conn *from)
{
	return to->user.conn && !msrp_conn_open(to->user.conn)
	    && (to->lost || msrp_conn_users(from) == 1);
}

static int pass(struct anchor_leg *leg, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	const struct incoming in = {.conn = conn, .frame = frame};
	struct hop hop = hop_from(leg);
	const char *phrase = "";

	if (!leg->peer.sdp || !leg->other->peer.sdp)
		return refuse(conn, 481, "No session yet");
	if (is_empty(frame))
		return refuse(conn, 200, "OK");
	if (frame->method == MSRP_SEND) {
		if (waits(leg->other, conn))
			hop.conn = NULL;
		return result_of(conn, forward_send(forwarder_of(leg), &in, &hop, &phrase), phrase);
	}
	if (frame->method == MSRP_AUTH)
		return refuse(conn, 501, "Not a relay");
	if (frame->has_body)
		return collector_take(forwarder_of(leg), conn, frame, on_collected);
	return result_of(conn, request_forward(forwarder_of(leg), &in, &hop, &phrase), phrase);
}

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct anchor_leg *leg = OWNER(struct anchor_leg, target, target);
	struct anchor *anchor = leg->anchor;
	int result = 0;

	/* RFC 4975 7.3: a path that goes on behind us is none of ours. */
	if (frame->to_rest.p)
		return refuse(conn, 481, "No such session");
	anchor_ref(anchor);
	if (bind_to(leg, conn, frame->from_path) && !anchor->over)
		result = pass(leg, conn, frame);
	anchor_unref(anchor);
	return result;
}

static const struct msrp_target_ops target_ops = {.request = on_request};

static struct anchor_leg *leg_named(const struct anchors *all, const struct msrp_uri *uri)
{
	struct msrp_target *target = msrp_target_find(all->env.msrp, uri);

	return target && target->ops == &target_ops ? OWNER(struct anchor_leg, target, target)
						    : NULL;
}

/* --- life --- */

static int set_uri(struct anchor_leg *leg, const struct ua_local *local, struct slice id)
{
	struct buffer w = BUFFER_ON(leg->uri);

	ua_local_write(&w, local, id);
	if (w.err)
		return w.err;
	leg->secure = local->transport->secure;
	leg->target.uri = buffer_text(&w);
	return msrp_target_bind(leg->anchor->all->env.msrp, &leg->target);
}

int leg_move(struct anchor_leg *leg, const struct ua_local *local)
{
	char id[UA_ID_MAX];
	struct slice same = {id, leg_id(leg).len};

	leg_leave(leg);
	memcpy(id, leg_id(leg).p, same.len);
	msrp_target_unbind(leg->anchor->all->env.msrp, &leg->target);
	return set_uri(leg, local, same);
}

int leg_new(struct anchor_leg **legp, struct anchor *anchor, const struct ua_local *local)
{
	struct anchor_leg *leg = calloc(1, sizeof(*leg));
	char id[UA_ID_MAX + 1];
	int err;

	if (!leg)
		return -ENOMEM;
	leg->anchor = anchor;
	leg->target.ops = &target_ops;
	leg->user.ops = &user_ops;
	leg->greeting.ops = &greeting_ops;
	media_begin(leg);
	ua_local_id(id, anchor->all->env.cluster);
	err = set_uri(leg, local, slice_of(id));
	if (err < 0) {
		free(leg);
		return err;
	}
	*legp = leg;
	return 0;
}

void leg_close(struct anchor_leg *leg)
{
	msrp_target_unbind(leg->anchor->all->env.msrp, &leg->target);
	leg_leave(leg);
	way_end(&leg->way);
}

void leg_free(struct anchor_leg *leg)
{
	if (!leg)
		return;
	media_end(leg);
	free(leg);
}
