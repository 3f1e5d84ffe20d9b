#include "msrp/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/stats.h>

#include "net/net.h"

static int make_queues(struct msrp_stack *stack)
{
	const struct msrp_settings *s = stack->settings;
	struct event_base *base = msrp_stack_base(stack);
	int err = 0;

	TAILQ_INIT(&stack->unused);
	TAILQ_INIT(&stack->unopened);
	err |= timer_init(&stack->sweep, base, unused_sweep, stack);
	err |= timer_queue_init(&stack->unbound, base, s->bind_timeout_ms, conn_on_unbound, stack);
	err |= timer_queue_init(&stack->idle, base, s->idle_timeout_ms, conn_on_idle, stack);
	err |= transactions_init(stack);
	return err ? -ENOMEM : 0;
}

#define NUMBER(member) .offset = offsetof(struct msrp_stack, member)

static const struct stats_row counters[] = {
    NET_COUNTER_ROWS(struct msrp_stack, "MSRP connections",
	"connections beyond max_connections or limits, closed at once"),
    {.name = "frames_in", .help = "MSRP frames received", NUMBER(count.frames_in)},
    {.name = "frames_out", .help = "MSRP frames sent", NUMBER(count.frames_out)},
    {.name = "bad_frames",
	.help = "frames that were not MSRP, or answered 400",
	NUMBER(count.bad_frames)},
    {.name = "stray_responses",
	.help = "responses to no request of ours",
	NUMBER(count.stray_responses)},
    {.name = "unknown_sessions",
	.help = "requests for no session of ours",
	NUMBER(count.unknown_sessions)},
    {.name = "timeouts",
	.help = "requests without a response in transaction_timeout",
	NUMBER(count.timeouts)},
    {.name = "transaction",
	.help = "from a request that has left to its response",
	NUMBER(count.transaction),
	.times = true},
    {.name = "body_bytes",
	.help = "bytes of message bodies held now",
	NUMBER(budget.used),
	.gauge = true},
    {0},
};

static struct net_limits limits_of(const struct msrp_settings *s)
{
	return (struct net_limits){
	    .max_streams = s->max_connections,
	    .send_queue = s->send_queue,
	    .connect_timeout_ms = s->connect_timeout_ms,
	    .handshake_timeout_ms = s->tls_handshake_timeout_ms,
	    .preface_timeout_ms = s->bind_timeout_ms,
	    .send_timeout_ms = s->send_timeout_ms,
	};
}

int msrp_stack_new(struct msrp_stack **stackp, struct net *net,
    const struct msrp_settings *settings, struct stats *stats, struct reason *why)
{
	struct msrp_stack *stack = calloc(1, sizeof(*stack));
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	if (!stack)
		return -ENOMEM;
	stack->settings = settings;
	stack->budget.max = settings->max_memory;
	inputs_init(&stack->inputs);
	stack->protocol = (struct net_protocol){.net = net,
	    .name = "msrp",
	    .subprotocol = "msrp",
	    .handler = &conn_handler,
	    .limits = limits_of(settings)};
	err = stats_register(stats, "msrp", counters, stack);
	if (err == 0)
		err = net_protocol_init(&stack->protocol);
	if (err == 0)
		err = make_queues(stack);
	if (err == 0)
		err = net_tls_contexts_new(&stack->protocol.tls, &settings->tls, why);
	if (err < 0) {
		msrp_stack_free(stack);
		return err;
	}
	*stackp = stack;
	return 0;
}

void msrp_stack_free(struct msrp_stack *stack)
{
	if (!stack)
		return;
	net_protocol_fini(&stack->protocol);
	msrp_listeners_close(stack);
	transactions_fini(stack);
	timer_fini(&stack->sweep);
	timer_queue_fini(&stack->unbound);
	timer_queue_fini(&stack->idle);
	pool_trim(&stack->inputs);
	net_tls_contexts_free(stack->protocol.tls);
	free(stack);
}

int msrp_stack_reload(struct msrp_stack *stack, const struct msrp_settings *s, struct reason *why)
{
	struct net_tls_contexts *before = stack->protocol.tls, *tls;
	struct net_limits limits = limits_of(s);
	int err = net_tls_contexts_new(&tls, &s->tls, why);

	if (err < 0)
		return err;
	net_protocol_reload(&stack->protocol, &limits, tls);
	net_tls_contexts_free(before);
	stack->settings = s;
	msrp_listeners_reload(stack);
	stack->budget.max = s->max_memory;
	timer_queue_set_period(&stack->unbound, s->bind_timeout_ms);
	timer_queue_set_period(&stack->idle, s->idle_timeout_ms);
	timer_queue_set_period(&stack->transactions.answering, s->transaction_timeout_ms);
	return 0;
}

const struct msrp_settings *msrp_stack_settings(const struct msrp_stack *stack)
{
	return stack->settings;
}

struct event_base *msrp_stack_base(const struct msrp_stack *stack)
{
	return net_base(stack->protocol.net);
}

struct budget *msrp_stack_budget(struct msrp_stack *stack)
{
	return &stack->budget;
}

size_t msrp_stack_connections(const struct msrp_stack *stack)
{
	return stack->protocol.stream_count;
}

int msrp_stack_fingerprint(const struct msrp_stack *stack, char *text, size_t size)
{
	return net_tls_own_fingerprint(stack->protocol.tls, text, size);
}
