#include "forward/forwarder.h"

#include <msrpd/stats.h>

#include "forward/chunk.h"
#include "forward/collector.h"
#include "forward/forward.h"
#include "forward/pause.h"
#include "forward/request.h"

#define ROW(field, text)                                             \
	{                                                            \
		.name = #field, .help = (text),                      \
		.offset = offsetof(struct forwarder_counters, field) \
	}

static const struct stats_row rows[] = {
    ROW(messages, "messages passed on to their last chunk"),
    ROW(body_bytes, "bytes of message bodies passed on"),
    ROW(reports, "failure REPORTs of our own"),
    ROW(split, "chunks split because others needed the connection"),
    ROW(broken_off, "chunks ended with # half-way"),
    {0},
};

int forwarder_init(struct forwarder *fw, struct msrp_stack *stack, const struct forwarder_ops *ops,
    struct stats *stats, const char *group)
{
	int err = stats_register(stats, group, rows, &fw->count);

	fw->stack = stack;
	fw->ops = ops;
	fw->forward_pool = POOL(struct forward, FORWARDS_KEPT);
	fw->chunk_pool = POOL(struct chunk, CHUNKS_KEPT);
	if (err < 0)
		return err;
	return timer_queue_init(&fw->stalls, msrp_stack_base(stack),
	    msrp_stack_settings(stack)->shared_stall_ms, pause_expired, fw);
}

void forwarder_fini(struct forwarder *fw)
{
	while (!LIST_EMPTY(&fw->collectors))
		collector_free(LIST_FIRST(&fw->collectors));
	while (!LIST_EMPTY(&fw->forwards))
		forward_free(LIST_FIRST(&fw->forwards));
	while (!LIST_EMPTY(&fw->drains))
		drain_free(LIST_FIRST(&fw->drains));
	while (!LIST_EMPTY(&fw->chunks))
		chunk_free(LIST_FIRST(&fw->chunks));
	while (!LIST_EMPTY(&fw->requests))
		request_free(LIST_FIRST(&fw->requests));
	forwarder_trim(fw);
	timer_queue_fini(&fw->stalls);
}

void forwarder_reload(struct forwarder *fw)
{
	timer_queue_set_period(&fw->stalls, msrp_stack_settings(fw->stack)->shared_stall_ms);
}

void forwarder_trim(struct forwarder *fw)
{
	pool_trim(&fw->forward_pool);
	pool_trim(&fw->chunk_pool);
}

bool forwarder_heeds(struct forwarder *fw, struct msrp_conn *dest,
    const struct msrp_frame *response)
{
	return !fw->ops->response || fw->ops->response(fw, dest, response);
}

void forwarder_replied(struct forwarder *fw, unsigned code)
{
	if (fw->ops->replied)
		fw->ops->replied(fw, code);
}
