/* A session is made: its texts, its id and its endpoint. */
#include "ua/priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/flow.h>

#include "base/buffer.h"
#include "msrp/stack.h"
#include "ua/types.h"

enum { URI_ROOM = 42 + UA_ID_MAX }; /* "msrps://[", "]:65535/", the id, ";tcp" */

static struct slice keep_uri(char **p, const struct ua_session *s, const struct ua_local *local)
{
	struct buffer w = {.p = *p, .cap = strlen(local->host) + URI_ROOM};

	ua_local_write(&w, local, slice_of(s->id));
	assert(!w.err);
	*p += w.len;
	return buffer_text(&w);
}

static int keep_types(char **p, struct ua_session *s, const struct ua_offer *offer)
{
	ssize_t n = ua_types_clean(*p, offer->accept_types);

	if (n < 0)
		return (int)n;
	s->accept_types = (struct slice){*p, (size_t)n};
	*p += n;
	if (offer->accept_wrapped_types.p) {
		n = ua_types_clean(*p, offer->accept_wrapped_types);
		if (n < 0)
			return (int)n;
		s->accept_wrapped_types = (struct slice){*p, (size_t)n};
	} else if (sdp_types_have_container(s->accept_types)) {
		s->accept_wrapped_types = SLICE("*");
	}
	return 0;
}

static int open_endpoint(struct ua_session *s)
{
	const struct ua_settings *settings = s->ua->env.settings;
	struct endpoint_options options = {
	    .own_uri = s->uri,
	    .handler = &ua_endpoint_handler,
	    .arg = s,
	    .max_queued_bytes = settings->max_queued_bytes,
	    .chunk_size = settings->relay_uri ? settings->relay_chunk_size : 0,
	    .stream = s->handler->begin != NULL,
	    .bounded = s->handler->bounded,
	};

	return endpoint_new(&s->endpoint, s->ua->endpoints, &options);
}

bool ua_is_full(const struct ua *ua)
{
	uint64_t max = ua->env.settings->max_sessions;

	return max && HASH_COUNT(ua->sessions) >= max;
}

int ua_session_new(struct ua_session **sp, struct ua *ua, const struct ua_session_start *start)
{
	const struct ua_offer *offer = start->offer;
	size_t room = strlen(start->local->host) + URI_ROOM + start->from_uri.len
	    + start->to_uri.len + start->ruri.len + offer->accept_types.len
	    + offer->accept_wrapped_types.len + offer->headers.len + offer->contact.len
	    + offer->attributes.len;
	struct ua_session *s;
	char *p;
	int err;

	if (ua_is_full(ua))
		return -ENOBUFS;
	s = calloc(1, sizeof(*s) + room);
	if (!s)
		return -ENOMEM;
	s->ua = ua;
	s->refs = 1;
	s->uac = start->uac;
	s->handler = offer->handler;
	s->arg = offer->arg;
	s->held = offer->held;
	s->sends_only = offer->sends_only;
	s->file = offer->file;
	s->at = SDP_NOWHERE;
	TAILQ_INIT(&s->streams);
	ua_local_id(s->id, ua->env.cluster);
	sdp_own_init(&s->sdp);
	p = (char *)(s + 1);
	s->uri = keep_uri(&p, s, start->local);
	s->from_uri = slice_pack(&p, start->from_uri);
	s->to_uri = slice_pack(&p, start->to_uri);
	s->ruri = slice_pack(&p, start->ruri);
	s->headers = slice_pack(&p, offer->headers);
	s->contact = slice_pack(&p, offer->contact);
	s->attributes = slice_pack(&p, offer->attributes);
	s->peer_attribute = offer->peer_attribute;
	s->hops = offer->hops;
	if (offer->flow)
		s->flow = sip_flow_ref(offer->flow);
	err = keep_types(&p, s, offer);
	if (err == 0)
		err = open_endpoint(s);
	if (err == 0)
		err = ua_session_enter(s);
	if (err < 0) {
		endpoint_free(s->endpoint);
		ua_session_unref(s);
		return err;
	}
	if (start->carrier) {
		s->carried = true;
		s->carrier = start->carrier;
		TAILQ_INSERT_TAIL(&s->carrier->streams, s, stream);
	}
	*sp = s;
	return 0;
}
