#include "msrp/priv.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"

int msrp_target_bind(struct msrp_stack *stack, struct msrp_target *target)
{
	struct msrp_target *other;
	struct msrp_uri uri;
	struct slice id;

	if (msrp_uri_parse(&uri, target->uri) != (ssize_t)target->uri.len || !uri.session_id.len)
		return -EINVAL;
	id = uri.session_id;
	HASH_FIND(hh, stack->targets, id.p, id.len, other);
	if (other)
		return -EEXIST;
	HASH_ADD_KEYPTR(hh, stack->targets, id.p, (unsigned)id.len, target);
	return target->hh.tbl ? 0 : -ENOMEM;
}

void msrp_target_unbind(struct msrp_stack *stack, struct msrp_target *target)
{
	if (!target->hh.tbl)
		return;
	HASH_DEL(stack->targets, target);
	stack->target_generation++;
	target->hh.tbl = NULL;
}

void msrp_stack_set_fallback(struct msrp_stack *stack,
    int (*request)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg), void *arg)
{
	stack->fallback = request;
	stack->fallback_arg = arg;
}

struct msrp_target *msrp_target_find(struct msrp_stack *stack, const struct msrp_uri *uri)
{
	struct msrp_target *target;
	struct msrp_uri own;

	if (!uri->session_id.len)
		return NULL;
	HASH_FIND(hh, stack->targets, uri->session_id.p, uri->session_id.len, target);
	if (!target || msrp_uri_parse(&own, target->uri) < 0 || !msrp_uri_equal(&own, uri))
		return NULL;
	return target;
}

static struct msrp_target *find(struct msrp_stack *stack, const struct msrp_frame *frame,
    struct target_hint *hint)
{
	if (!frame->same_paths || !hint->target || hint->generation != stack->target_generation)
		*hint = (struct target_hint){msrp_target_find(stack, &frame->to),
		    stack->target_generation};
	return hint->target;
}

int targets_request(struct msrp_conn *conn, const struct msrp_frame *frame,
    struct target_hint *hint)
{
	struct msrp_stack *stack = stack_of(conn);
	struct msrp_target *target;
	const char *why = "";
	int code = msrp_frame_check(frame, &why);

	if (code) {
		hint->target = NULL;
		(*stack->count.bad_frames)++;
		log_debug("msrp: conn %" PRIu64 ": %d: %s", conn->stream.number, code, why);
		msrp_conn_reply(conn, code, slice_of(why), (struct slice){NULL, 0});
		/* Its sender waits in vain if it cannot even be told: better no connection. */
		return frame->method == MSRP_REPORT || msrp_frame_answerable(frame) ? 0 : -EBADMSG;
	}
	target = find(stack, frame, hint);
	/* What is meant for TLS is not to be had without, nor the reverse (RFC 4975 5.4, 6). */
	if (target && (target->ops->bridges || frame->to.secure == conn->transport->secure))
		return target->ops->request(target, conn, frame);
	if (stack->fallback && !target)
		return stack->fallback(conn, frame, stack->fallback_arg);
	(*stack->count.unknown_sessions)++;
	log_debug("msrp: conn %" PRIu64 ": 481: no such session", conn->stream.number);
	msrp_conn_reply(conn, 481, SLICE("No such session"), (struct slice){NULL, 0});
	return 0;
}
