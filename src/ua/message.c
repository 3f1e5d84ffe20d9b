/* Messages and reports of a session: what may be sent, and what comes in. */
#include "ua/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/shared_body.h"
#include "ua/types.h"

enum { REFUSED_TYPES_MAX = 1024 }; /* bytes of the list of types that were answered 415 */

/* --- out --- */

/* RFC 4975 10.6: a type that was answered 415 is not sent again. */
static bool was_refused(const struct ua_session *s, struct slice content_type)
{
	return s->refused_types && sdp_types_have(slice_of(s->refused_types), content_type);
}

static bool takes_type(const struct ua_session *s, struct slice content_type)
{
	return sdp_types_have(s->peer->accept_types, content_type) && !was_refused(s, content_type);
}

/* The status that the peer would give a message; 0: it takes it. */
static int judge(struct slice content_type, uint64_t total, void *arg)
{
	const struct ua_session *s = arg;

	if (!content_type.p)
		return 0;
	if (!sdp_peer_receives(s->peer->direction))
		return 403;
	if (!takes_type(s, content_type))
		return 415;
	if (total != UINT64_MAX && total > s->peer->max_size)
		return 413;
	return 0;
}

void ua_message_filter(struct ua_session *s)
{
	endpoint_filter(s->endpoint, judge, s);
}

static uint64_t total_of(const struct message_body *body)
{
	if (body->pull)
		return body->total;
	return body->shared ? shared_body_total(body->shared) : body->bytes.len;
}

static int check_message(const struct ua_session *s, const struct message_out *message)
{
	uint64_t total = total_of(&message->body);

	if (s->state > SESSION_LOST)
		return -EPIPE;
	if (message->content_type.p && !ua_type_is_good(message->content_type))
		return -EINVAL;
	/* What the peer takes is known from its SDP on; what waits until then is judged then. */
	switch (s->peer ? judge(message->content_type, total, (void *)s) : 0) {
	case 403:
		return -EPERM;
	case 415:
		return -EPROTOTYPE;
	case 413:
		return -EMSGSIZE;
	default:
		return 0;
	}
}

int ua_send(struct ua_session *s, const struct message_out *message, unsigned flags,
    char *message_id)
{
	int err = check_message(s, message);
	struct message_out out = *message;

	if (err < 0)
		return err;
	/* Of one that grows the end is not known yet. */
	out.body.max_bytes = s->peer && s->peer->max_size != UINT64_MAX ? s->peer->max_size : 0;
	return endpoint_send(s->endpoint, &out, flags & UA_SEND_CONFIRM ? MSRP_SEND_CONFIRM : 0,
	    message_id);
}

uint64_t ua_backlog(const struct ua_session *s)
{
	return s->state == SESSION_OVER ? 0 : endpoint_backlog(s->endpoint);
}

void ua_want_room(struct ua_session *s, uint64_t low)
{
	if (s->state != SESSION_OVER)
		endpoint_want_room(s->endpoint, low);
}

void ua_message_ready(struct ua_session *s, struct slice message_id)
{
	if (s->state != SESSION_OVER)
		endpoint_ready(s->endpoint, message_id);
}

void ua_message_resume(struct ua_session *s, void *stream)
{
	if (s->state != SESSION_OVER)
		endpoint_resume(s->endpoint, stream);
}

int ua_send_report(struct ua_session *s, struct slice message_id, const struct report_out *report)
{
	if (s->state == SESSION_OVER)
		return -ENOENT;
	if (report->body.len > REPORT_BODY_MAX)
		return -EMSGSIZE;
	if (report->content_type.p ? !ua_type_is_good(report->content_type) : report->body.len > 0)
		return -EINVAL;
	return endpoint_report(s->endpoint, message_id, report);
}

void ua_give_up_messages(struct ua_session *s)
{
	endpoint_give_up(s->endpoint);
}

bool ua_accepts(const struct ua_session *s, struct slice content_type)
{
	return s->notified && takes_type(s, content_type);
}

bool ua_accepts_wrapped(const struct ua_session *s, struct slice content_type)
{
	return s->notified
	    && sdp_types_have_wrapped(s->peer->accept_types, s->peer->accept_wrapped_types,
		content_type);
}

/* --- in --- */

static bool on_accepts(struct slice content_type, void *arg)
{
	const struct ua_session *s = arg;

	return sdp_types_have(s->accept_types, content_type);
}

static int on_message(const struct message *m, void *arg)
{
	struct ua_session *s = arg;
	int result = 0;

	ua_session_ref(s);
	ua_session_arrived(s);
	if (s->state != SESSION_OVER)
		result = s->handler->message(s, m, s->arg);
	ua_session_unref(s);
	return result;
}

static int on_begin(const struct message *m, void **streamp, void *arg)
{
	struct ua_session *s = arg;
	int result = 481;

	ua_session_ref(s);
	ua_session_arrived(s);
	if (s->state != SESSION_OVER)
		result = s->handler->begin(s, m, streamp, s->arg);
	ua_session_unref(s);
	return result;
}

static int on_piece(void *stream, struct slice piece, void *arg)
{
	struct ua_session *s = arg;
	int result;

	ua_session_ref(s);
	result = s->handler->piece(s, stream, piece, s->arg);
	ua_session_unref(s);
	return result;
}

static int on_end(void *stream, int err, void *arg)
{
	struct ua_session *s = arg;
	int result;

	ua_session_ref(s);
	result = s->handler->end(s, stream, err, s->arg);
	ua_session_unref(s);
	return result;
}

static int on_nickname(struct slice nickname, void *arg)
{
	struct ua_session *s = arg;
	int code = 481;

	if (!s->handler->nickname)
		return 501;
	ua_session_ref(s);
	ua_session_arrived(s);
	if (s->state != SESSION_OVER)
		code = s->handler->nickname(s, nickname, s->arg);
	ua_session_unref(s);
	return code;
}

static bool is_envelope(struct slice type)
{
	return slice_equal_nocase(slice_trim(type), SLICE("message/cpim"));
}

static void refuse_type(struct ua_session *s, struct slice content_type)
{
	size_t before = s->refused_types ? strlen(s->refused_types) : 0;
	struct slice bare;
	char *grown;

	/* Of an envelope it may be the content that is not understood. */
	if (!slice_cut(&content_type, ';', &bare) || is_envelope(bare) || was_refused(s, bare)
	    || before + 1 + bare.len > REFUSED_TYPES_MAX)
		return;
	grown = realloc(s->refused_types, before + 1 + bare.len + 1);
	if (!grown)
		return;
	grown[before] = ' ';
	memcpy(grown + before + 1, bare.p, bare.len);
	grown[before + 1 + bare.len] = '\0';
	s->refused_types = grown;
}

static void on_report(const struct message_report *report, void *arg)
{
	struct ua_session *s = arg;

	if (report->code == 415 && report->source == REPORT_FROM_RESPONSE)
		refuse_type(s, report->content_type);
	if (!s->handler->report)
		return;
	ua_session_ref(s);
	s->handler->report(s, report, s->arg);
	ua_session_unref(s);
}

static void on_room(void *arg)
{
	struct ua_session *s = arg;

	ua_session_ref(s);
	if (s->handler->room && s->state != SESSION_OVER)
		s->handler->room(s, s->arg);
	ua_session_unref(s);
}

const struct endpoint_handler ua_endpoint_handler = {
    .accepts = on_accepts,
    .message = on_message,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_end,
    .nickname = on_nickname,
    .report = on_report,
    .bound = ua_session_bound,
    .lost = ua_session_lost,
    .refused = ua_session_refused,
    .room = on_room,
    .drained = ua_session_drained,
};
