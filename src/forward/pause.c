#include "forward/pause.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "forward/feed.h"

/* --- one pause --- */

/* Is there more to be read than what goes to that flow?  One that leads nowhere is fed nothing yet. */
static bool holds_up_others(struct msrp_conn *source, const struct msrp_flow *flow)
{
	const struct feed *feed = feed_find(source);

	return flow->conn ? feed && feed_is_shared(feed) : msrp_conn_users(source) > 1;
}

int pause_begin(struct pause *pause, struct forwarder *fw, struct msrp_conn *source,
    struct msrp_flow *flow)
{
	pause->source = source;
	pause->flow = flow;
	if (flow->conn)
		msrp_flow_wait(flow);
	if (holds_up_others(source, flow))
		timer_queue_start(&fw->stalls, &pause->stall);
	return -EAGAIN;
}

void pause_end(struct pause *pause, struct forwarder *fw)
{
	struct msrp_conn *source = pause->source;

	timer_queue_stop(&fw->stalls, &pause->stall);
	pause->source = NULL;
	if (source)
		msrp_conn_resume(source);
}

void pause_expired(struct timer_entry *entry, void *arg)
{
	struct pause *pause = OWNER(struct pause, stall, entry);
	struct feed *dest = pause->flow->conn ? feed_of(pause->flow->conn) : NULL;

	(void)arg;
	if (dest)
		feed_set_stalled(dest, true);
	log_debug("forward: conn %" PRIu64 ": read on, past a destination that takes nothing",
	    msrp_conn_number(pause->source));
	pause->stalled(pause);
}

bool pause_is_stalled(const struct forwarder *fw, struct msrp_conn *dest)
{
	struct feed *feed = feed_find(dest);

	if (!feed || !feed_is_stalled(feed))
		return false;
	feed_set_stalled(feed,
	    msrp_conn_backlog(dest) > msrp_stack_settings(fw->stack)->send_queue / 2);
	return feed_is_stalled(feed);
}

/* --- what has been passed on as a whole, and fills a queue all the same --- */

struct drain {
	struct pause pause;
	struct msrp_flow flow;
	struct forwarder *fw;
	struct msrp_conn *source; /* ref */
	LIST_ENTRY(drain) entry;
};

void drain_free(struct drain *drain)
{
	pause_end(&drain->pause, drain->fw);
	msrp_flow_detach(&drain->flow);
	msrp_conn_unref(drain->source);
	LIST_REMOVE(drain, entry);
	free(drain);
}

static void on_stalled(struct pause *pause)
{
	drain_free(OWNER(struct drain, pause, pause));
}

static void on_writable(struct msrp_flow *flow)
{
	drain_free(OWNER(struct drain, flow, flow));
}

static void on_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	drain_free(OWNER(struct drain, flow, flow));
}

/* It opens no frame that could be interrupted. */
static const struct msrp_flow_ops flow_ops = {.writable = on_writable, .closed = on_closed};

int pause_until_drained(struct forwarder *fw, struct msrp_conn *source, struct msrp_conn *dest,
    size_t limit)
{
	struct drain *drain;

	if (msrp_conn_closed(dest) || msrp_conn_backlog(dest) < limit)
		return 0;
	drain = calloc(1, sizeof(*drain));
	if (!drain)
		return 0; /* the next frame asks again */
	drain->pause.stalled = on_stalled;
	drain->flow.ops = &flow_ops;
	drain->fw = fw;
	drain->source = msrp_conn_ref(source);
	LIST_INSERT_HEAD(&fw->drains, drain, entry);
	msrp_flow_attach(&drain->flow, dest);
	return pause_begin(&drain->pause, fw, source, &drain->flow);
}
