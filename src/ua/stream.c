/*
 * Sessions that others carry: further streams in the SDP of a session that has the dialog (RFC 3264
 * section 8), each with an MSRP session of its own.
 */
#include "ua/priv.h"

#include <errno.h>
#include <string.h>

#include <msrpd/story.h>

#include "sip/request.h"

/* --- what becomes of them --- */

static const struct sip_failure refused_by_answer = {
    .code = 488,
    .reason = SLICE("Not Acceptable Here"),
    .from_peer = true,
};

static void settle(struct ua_session *s, const struct sip_failure *failure)
{
	(void)failure;
	switch (s->agreement) {
	case STREAM_REFUSED:
		ua_session_fail(s, &refused_by_answer);
		break;
	case STREAM_DROPPED:
		ua_session_ends(s, UA_END_BYE);
		break;
	case STREAM_AGREED:
		if (s->state == SESSION_SETUP)
			ua_session_establish(s);
		else
			ua_session_follow(s);
		break;
	default:
		break;
	}
}

static void refuse(struct ua_session *s, const struct sip_failure *failure)
{
	if (s->agreement != STREAM_OFFERED)
		return;
	s->agreement = STREAM_REFUSED;
	ua_session_fail(s, failure);
}

/* Handlers may end any of them, and their carrier too. */
static void each(struct ua_session *carrier,
    void (*fn)(struct ua_session *s, const struct sip_failure *failure),
    const struct sip_failure *failure)
{
	struct ua_session *all[UA_STREAMS_MAX], *s;
	size_t count = 0;

	TAILQ_FOREACH(s, &carrier->streams, stream) {
		ua_session_ref(s);
		all[count++] = s;
	}
	for (size_t i = 0; i < count; i++) {
		if (all[i]->state != SESSION_OVER && all[i]->carrier)
			fn(all[i], failure);
		ua_session_unref(all[i]);
	}
}

void ua_streams_settle(struct ua_session *carrier)
{
	if (carrier->notified)
		each(carrier, settle, NULL);
}

void ua_streams_refused(struct ua_session *carrier, const struct sip_failure *failure)
{
	each(carrier, refuse, failure);
}

void ua_streams_leave(struct ua_session *carrier, enum ua_end end)
{
	struct ua *ua = carrier->ua;
	struct ua_session *s;

	while ((s = TAILQ_FIRST(&carrier->streams))) {
		TAILQ_REMOVE(&carrier->streams, s, stream);
		s->carrier = NULL;
		s->orphaned_by = end;
		TAILQ_INSERT_TAIL(&ua->orphans, s, stream);
		timer_start(&ua->orphaned, 0);
	}
}

void ua_stream_leave(struct ua_session *s)
{
	struct ua_session *carrier = s->carrier;

	if (!s->carried)
		return;
	s->carried = false;
	s->carrier = NULL;
	if (!carrier) {
		TAILQ_REMOVE(&s->ua->orphans, s, stream);
		return;
	}
	TAILQ_REMOVE(&carrier->streams, s, stream);
	/* What the peer has refused or taken away it need not hear of. */
	if (s->agreement == STREAM_OFFERED || s->agreement == STREAM_AGREED) {
		carrier->reoffer = s->at != SDP_NOWHERE || carrier->reoffer;
		ua_dialog_offer(carrier);
	}
}

void ua_stream_ready(struct ua_session *s)
{
	s->agreement = STREAM_READY;
	s->carrier->reoffer = true;
	ua_dialog_offer(s->carrier);
}

/* --- new ones --- */

static int join(struct ua_session **sp, struct ua_session *carrier, const struct ua_offer *offer,
    const struct ua_local *local, bool uac)
{
	struct ua_session_start start = {
	    .carrier = carrier,
	    .offer = offer,
	    .local = local,
	    .from_uri = carrier->from_uri,
	    .to_uri = carrier->to_uri,
	    .ruri = carrier->ruri,
	    .uac = uac,
	};
	struct ua_session *s;
	size_t count = 0;

	TAILQ_FOREACH(s, &carrier->streams, stream)
		count++;
	if (!carrier->handler->carries || carrier->carried)
		return -EPROTO;
	if (count >= UA_STREAMS_MAX)
		return -ENOBUFS;
	return ua_session_new(sp, carrier->ua, &start);
}

int ua_join(struct ua_session *carrier, const struct ua_offer *offer, struct ua_session **sp)
{
	struct ua_session *s;
	int err;

	if (carrier->ua->stopping || carrier->state > SESSION_LOST)
		return -EPIPE;
	err = join(&s, carrier, offer, ua_media_local_of(carrier), carrier->uac);
	if (err == 0 && !s->held)
		err = ua_session_call(s);
	if (err < 0)
		return err;
	(*carrier->ua->count.started)++;
	*sp = s;
	return 0;
}

static struct ua_file file_of(const struct sdp_media *media)
{
	return (struct ua_file){
	    .selector = sdp_media_attribute(media, SLICE("file-selector")),
	    .transfer_id = sdp_media_attribute(media, SLICE("file-transfer-id")),
	    .disposition = sdp_media_attribute(media, SLICE("file-disposition")),
	    .range = sdp_media_attribute(media, SLICE("file-range")),
	    .sends = sdp_peer_sends(media->direction),
	};
}

int ua_file_of(struct sip_request *invite, struct ua_file *file)
{
	struct sdp_session offer;
	struct slice sdp;

	if (sip_request_sdp(invite, &sdp) < 0 || !sdp.p || sdp_parse(&offer, sdp) < 0)
		return -ENOENT;
	for (size_t i = 0; i < offer.media_count; i++)
		if (sdp_media_is_usable(&offer.media[i]) && sdp_media_is_file(&offer.media[i])) {
			*file = file_of(&offer.media[i]);
			return 0;
		}
	return -ENOENT;
}

struct ua_session *ua_stream_take(struct ua_session *carrier, const struct sdp_media *media,
    const struct ua_local *local)
{
	const struct ua_taker *taker = carrier->ua->taker;
	struct ua_file file = file_of(media);
	struct ua_offer offer = {0};
	struct ua_session *s;
	bool over;

	/* Behind a relay it would have to ask for a URI first. */
	if (!taker || !carrier->handler->carries || carrier->ua->stopping || carrier->upstream
	    || taker->offered(carrier, &file, &offer, taker->arg) < 0)
		return NULL;
	offer.file = true;
	if (join(&s, carrier, &offer, local, carrier->uac) < 0) {
		taker->made(NULL, &offer);
		return NULL;
	}
	ua_session_ref(s);
	taker->made(s, &offer);
	over = s->state == SESSION_OVER;
	ua_session_unref(s);
	return over ? NULL : s;
}

void ua_set_taker(struct ua *ua, const struct ua_taker *taker)
{
	ua->taker = taker;
}
