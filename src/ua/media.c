/* What a session says in SDP, what the peer says, and what follows for its connection. */
#include "ua/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/story.h>

#include "base/buffer.h"
#include "base/log.h"
#include "endpoint/auth.h"
#include "wire/path.h"
#include "wire/uri.h"

/* --- our side --- */

/* a=path: the relays from the far end to us, then ourselves (RFC 4976 5.1). */
static void write_path(struct buffer *w, const struct ua_session *s)
{
	struct slice relays = ua_upstream_path(s);

	if (relays.p) {
		msrp_path_write_reversed(w, relays);
		buffer_add_char(w, ' ');
	}
	buffer_add(w, s->uri);
}

/* Texts of struct sdp_local that stand nowhere else. */
struct local_texts {
	char path[MSRP_PATH_MAX];
	char fingerprint[UA_FINGERPRINT_SIZE];
};

/* What we say, stream by stream: of the session itself, then of those that it carries. */
struct description {
	struct ua_session *sessions[1 + UA_STREAMS_MAX];
	struct sdp_local locals[1 + UA_STREAMS_MAX];
	struct local_texts *texts; /* one each */
	size_t count;
};

static void add_fingerprint(const struct ua_session *s, struct sdp_local *local,
    struct local_texts *texts)
{
	/* With a relay in between it is not us whose certificate the peer sees. */
	if (local->tls && !s->upstream)
		local->fingerprint = ua_local_fingerprint(s->ua->env.msrp, texts->fingerprint);
}

static uint64_t max_message(const struct ua_session *s)
{
	const struct ua_handler *handler = s->handler;

	/* A service that takes streams may know no bound. */
	return handler->begin && !handler->bounded
	    ? 0
	    : msrp_stack_settings(s->ua->env.msrp)->max_message_size;
}

static int describe(const struct ua_session *s, struct sdp_local *local, struct local_texts *texts)
{
	struct buffer w = BUFFER_ON(texts->path);
	struct msrp_uri first;

	write_path(&w, s);
	if (w.err || msrp_uri_parse(&first, msrp_path_first(buffer_text(&w))) < 0)
		return -EPROTO;
	*local = (struct sdp_local){
	    .at = s->at,
	    .host = first.host,
	    .port = first.port,
	    .tls = first.secure,
	    .path = buffer_text(&w),
	    .accept_types = s->accept_types,
	    .accept_wrapped_types = s->accept_wrapped_types,
	    .max_size = max_message(s),
	    .setup = SDP_SETUP_ACTPASS,
	    .direction = s->sends_only ? SDP_SENDONLY : SDP_SENDRECV,
	    .attributes = s->attributes,
	};
	return 0;
}

static int description_new(struct description **dp)
{
	struct description *d = calloc(1, sizeof(*d));

	if (d)
		d->texts = calloc(1 + UA_STREAMS_MAX, sizeof(*d->texts));
	if (d && d->texts) {
		*dp = d;
		return 0;
	}
	free(d);
	return -ENOMEM;
}

static void description_free(struct description *d)
{
	free(d->texts);
	free(d);
}

/* Our side of a stream; for an answer only begun. */
static int add_side(struct description *d, struct ua_session *s)
{
	struct sdp_local *local = &d->locals[d->count];
	int err = describe(s, local, &d->texts[d->count]);

	if (err == 0)
		d->sessions[d->count++] = s;
	return err;
}

static int offer_all(struct ua_session *s, struct description *d, struct slice *textp)
{
	struct ua_session *carried;
	int err = add_side(d, s);

	TAILQ_FOREACH(carried, &s->streams, stream)
		if (err == 0 && carried->agreement != STREAM_QUIET
		    && carried->agreement < STREAM_REFUSED)
			err = add_side(d, carried);
	for (size_t i = 0; err == 0 && i < d->count; i++)
		add_fingerprint(d->sessions[i], &d->locals[i], &d->texts[i]);
	if (err == 0)
		err = sdp_own_offer(&s->sdp, d->locals, d->count, textp);
	for (size_t i = 0; err == 0 && i < d->count; i++) {
		struct ua_session *each = d->sessions[i];

		each->at = d->locals[i].at;
		if (each->agreement == STREAM_READY)
			each->agreement = STREAM_OFFERED;
	}
	return err;
}

int ua_media_offer(struct ua_session *s, struct slice *textp)
{
	struct description *d;
	int err = description_new(&d);

	if (err < 0)
		return err;
	err = offer_all(s, d, textp);
	description_free(d);
	return err;
}

/* --- the peer's side --- */

/* What the service wants to know beside what we do. */
static struct slice wanted_attribute(const struct ua_session *s, const struct sdp_media *media)
{
	return s->peer_attribute ? sdp_media_attribute(media, slice_of(s->peer_attribute))
				 : (struct slice){NULL, 0};
}

static size_t peer_room(const struct sdp_media *media)
{
	size_t room = media->path.len + media->accept_types.len + media->accept_wrapped_types.len;

	for (size_t i = 0; i < media->fingerprint_count; i++)
		room += media->fingerprints[i].hash.len + 1 + media->fingerprints[i].value.len;
	return room;
}

static void keep_fingerprints(struct ua_peer *peer, char **p, const struct sdp_media *media)
{
	for (size_t i = 0; i < media->fingerprint_count; i++) {
		struct slice *kept = &peer->fingerprints[peer->fingerprint_count++];

		*kept = slice_pack(p, media->fingerprints[i].hash);
		*(*p)++ = ' ';
		slice_pack(p, media->fingerprints[i].value);
		kept->len = (size_t)(*p - kept->p);
	}
}

static struct ua_peer *peer_new(const struct ua_session *s, const struct sdp_media *media,
    bool connects)
{
	struct slice attribute = wanted_attribute(s, media);
	struct ua_peer *peer = calloc(1, sizeof(*peer) + peer_room(media) + attribute.len);
	char *p;

	if (!peer)
		return NULL;
	p = (char *)(peer + 1);
	peer->path = slice_pack(&p, media->path);
	peer->accept_types = slice_pack(&p, media->accept_types);
	peer->accept_wrapped_types = slice_pack(&p, media->accept_wrapped_types);
	peer->attribute = slice_pack(&p, attribute);
	peer->max_size = media->max_size;
	peer->direction = media->direction;
	peer->connects = connects;
	if (sdp_media_is_tls(media))
		keep_fingerprints(peer, &p, media);
	return peer;
}

static void note_peer(const struct ua_session *s)
{
	const struct story of = ua_story(s);
	const struct ua_peer *peer = s->peer;

	story_note(LOG_LEVEL_DEBUG, &of,
	    "ua: session %s: agreed: %s connects; peer's path %.*s, it takes %.*s", s->id,
	    peer->connects ? "the peer" : "msrpd", SLICE_ARG(peer->path),
	    SLICE_ARG(peer->accept_types));
}

/* Takes peer, also on failure. */
static int take_peer(struct ua_session *s, struct ua_peer *peer)
{
	bool moved = s->peer && !slice_equal(s->peer->path, peer->path);
	int err = endpoint_set_path(s->endpoint, ua_upstream_path(s), peer->path);

	if (err < 0) {
		free(peer);
		return err == -ENOMEM ? err : -EPROTO;
	}
	/* Behind a relay it is the relay that is connected to. */
	if (moved && !s->upstream)
		endpoint_unbind(s->endpoint);
	free(s->peer);
	s->peer = peer;
	note_peer(s);
	return 0;
}

static enum sdp_direction answer_direction(enum sdp_direction offered)
{
	switch (offered) {
	case SDP_SENDONLY:
		return SDP_RECVONLY;
	case SDP_RECVONLY:
		return SDP_SENDONLY;
	default:
		return offered;
	}
}

static bool fits(const struct sdp_media *media, const struct sdp_wanted *wanted)
{
	return sdp_media_fits(media, wanted) && msrp_path_names_session(media->path);
}

static const struct sdp_media *choose(const struct sdp_session *offer,
    const struct sdp_wanted *wanted)
{
	const struct sdp_media *media = sdp_choose(offer, wanted);

	return media && msrp_path_names_session(media->path) ? media : NULL;
}

static struct sdp_wanted wanted_of(const struct ua_session *s, bool tls)
{
	return (struct sdp_wanted){
	    .transports = tls ? SDP_TLS : SDP_PLAIN,
	    .accept_types = s->accept_types,
	    .file = s->file,
	    .files_too = !s->ua->taker,
	};
}

/*
 * Which transport fits is known when the relay has granted its URI: the peer connects to the
 * outermost relay as its scheme says.
 */
static void log_refusal(const struct ua_session *s, const struct sdp_session *offer, bool tls)
{
	struct sdp_wanted wanted = wanted_of(s, !tls);
	bool other = choose(offer, &wanted);
	const struct story of = ua_story(s);

	if (other)
		story_refuse(&of, 488,
		    "ua: session %s: 488: the peer offers %s, but is to connect to %s by %s", s->id,
		    tls ? "TCP/MSRP" : "TCP/TLS/MSRP", s->upstream ? "our relay" : "us",
		    tls ? "TCP/TLS/MSRP" : "TCP/MSRP");
	else
		story_refuse(&of, 488, "ua: session %s: 488: nothing in the offer that can be used",
		    s->id);
}

/* The stream of the peer's offer that is for s; of one for files only its own. */
static const struct sdp_media *find_stream(const struct ua_session *s,
    const struct sdp_session *offer, bool tls)
{
	struct sdp_wanted wanted = wanted_of(s, tls);

	if (s->at < offer->media_count && fits(&offer->media[s->at], &wanted))
		return &offer->media[s->at];
	return s->at == SDP_NOWHERE || !s->file ? choose(offer, &wanted) : NULL;
}

/* Take what the peer says of one stream; our side of it stands last in d. */
static int answer_stream(struct description *d, const struct sdp_session *offer,
    const struct sdp_media *media)
{
	struct ua_session *s = d->sessions[d->count - 1];
	struct sdp_local *local = &d->locals[d->count - 1];
	struct ua_peer *peer;

	local->setup = sdp_answer_setup(media);
	local->direction = answer_direction(media->direction);
	add_fingerprint(s, local, &d->texts[d->count - 1]);
	peer = peer_new(s, media, !sdp_we_connect(false, local->setup, media->setup));
	if (!peer)
		return -ENOMEM;
	local->at = (size_t)(media - offer->media);
	return take_peer(s, peer);
}

/* A stream that s carries goes on, or it is dropped. */
static int answer_carried(struct description *d, struct ua_session *s,
    const struct sdp_session *offer)
{
	struct sdp_wanted wanted = {0};
	int err;

	if (s->agreement != STREAM_AGREED)
		return 0;
	err = add_side(d, s);
	if (err < 0)
		return err;
	wanted = wanted_of(s, d->locals[d->count - 1].tls);
	if (s->at < offer->media_count && fits(&offer->media[s->at], &wanted))
		return answer_stream(d, offer, &offer->media[s->at]);
	d->count--;
	s->agreement = STREAM_DROPPED;
	return 0;
}

static bool is_placed(const struct description *d, size_t at)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->locals[i].at == at)
			return true;
	return false;
}

/* The peer adds streams for files: whoever takes such is asked. */
static int answer_added(struct description *d, struct ua_session *carrier,
    const struct sdp_session *offer)
{
	const struct sdp_local own = d->locals[0];
	int err = 0;

	for (size_t i = 0; err == 0 && i < offer->media_count; i++) {
		const struct sdp_media *media = &offer->media[i];
		struct ua_session *s = NULL;

		if (!is_placed(d, i) && sdp_media_is_usable(media) && sdp_media_is_file(media)
		    && sdp_media_is_tls(media) == own.tls && msrp_path_names_session(media->path))
			s = ua_stream_take(carrier, media, ua_media_local_of(carrier));
		if (!s)
			continue;
		s->agreement = STREAM_AGREED;
		s->at = i;
		err = add_side(d, s);
		if (err == 0)
			err = answer_stream(d, offer, media);
	}
	return err;
}

static int answer_rest(struct ua_session *s, struct description *d, const struct sdp_session *offer)
{
	struct ua_session *carried;
	int err = 0;

	TAILQ_FOREACH(carried, &s->streams, stream)
		if (err == 0)
			err = answer_carried(d, carried, offer);
	return err < 0 ? err : answer_added(d, s, offer);
}

static int answer_all(struct ua_session *s, struct description *d, const struct sdp_session *offer,
    struct slice *textp)
{
	const struct sdp_media *media;
	bool dropped = sdp_is_dropped(offer, s->at);
	int err = add_side(d, s);

	if (err < 0)
		return err;
	media = find_stream(s, offer, d->locals[0].tls);
	if (!media && !dropped) {
		log_refusal(s, offer, d->locals[0].tls);
		return -EPROTO;
	}
	if (!media) {
		d->locals[0].at = SDP_NOWHERE;
		err = sdp_own_answer(&s->sdp, d->locals, 1, offer, textp);
		return err < 0 ? err : -ESHUTDOWN;
	}
	err = answer_stream(d, offer, media);
	if (err == 0)
		err = answer_rest(s, d, offer);
	if (err == 0)
		err = sdp_own_answer(&s->sdp, d->locals, d->count, offer, textp);
	for (size_t i = 0; err == 0 && i < d->count; i++)
		d->sessions[i]->at = d->locals[i].at;
	return err;
}

int ua_media_answer(struct ua_session *s, struct slice text, struct slice *textp)
{
	struct sdp_session offer;
	struct description *d;
	int err;

	if (sdp_parse(&offer, text) < 0)
		return -EPROTO;
	err = description_new(&d);
	if (err < 0)
		return err;
	err = answer_all(s, d, &offer, textp);
	description_free(d);
	return err;
}

static int take_stream(struct ua_session *s, struct ua_session *carrier,
    const struct sdp_session *answer)
{
	const struct sdp_media *media = sdp_own_chosen(&carrier->sdp, s->at, answer);
	struct ua_peer *peer;

	if (!media || !msrp_path_names_session(media->path)
	    || !sdp_types_common(s->accept_types, media->accept_types))
		return -EPROTO;
	peer = peer_new(s, media, !sdp_we_connect(true, SDP_SETUP_ACTPASS, media->setup));
	return peer ? take_peer(s, peer) : -ENOMEM;
}

static void take_carried(struct ua_session *s, struct ua_session *carrier,
    const struct sdp_session *answer)
{
	if (s->agreement != STREAM_OFFERED && s->agreement != STREAM_AGREED)
		return;
	if (take_stream(s, carrier, answer) == 0)
		s->agreement = STREAM_AGREED;
	else
		s->agreement = s->agreement == STREAM_OFFERED ? STREAM_REFUSED : STREAM_DROPPED;
}

int ua_media_take_answer(struct ua_session *s, struct slice text)
{
	struct sdp_session answer;
	struct ua_session *carried;
	int err;

	if (sdp_parse(&answer, text) < 0)
		return -EPROTO;
	err = take_stream(s, s, &answer);
	if (err == 0)
		TAILQ_FOREACH(carried, &s->streams, stream)
			take_carried(carried, s, &answer);
	return err;
}

struct slice ua_peer_attribute(const struct ua_session *s)
{
	return s->peer ? s->peer->attribute : (struct slice){NULL, 0};
}

bool ua_media_is_ready(struct slice text)
{
	struct sdp_session offer;

	return !text.p || sdp_parse(&offer, text) < 0 || sdp_is_ready(&offer);
}

const struct ua_local *ua_media_local_of(const struct ua_session *s)
{
	const struct ua_locals *locals = &s->ua->locals;
	const struct ua_local *local = NULL;
	struct msrp_uri own;

	if (msrp_uri_parse(&own, s->uri) > 0)
		local = ua_local_find(locals, own.secure, own.transport);
	return local ? local : &locals->items[0];
}

/* What would have to be different? */
static const char *why_none(const struct sdp_session *offer, struct sdp_wanted wanted)
{
	bool tls = wanted.transports == SDP_TLS;

	wanted.transports = SDP_PLAIN | SDP_TLS;
	if (choose(offer, &wanted))
		return tls ? "the peer offers TCP/MSRP, and TCP/TLS/MSRP alone is listened for"
			   : "the peer offers TCP/TLS/MSRP, and TCP/MSRP alone is listened for";
	wanted.accept_types = SLICE("*");
	if (choose(offer, &wanted))
		return "no content type is common";
	wanted.file = !wanted.file;
	if (choose(offer, &wanted))
		return wanted.file ? "a stream for a file alone, which msrp_file_accept takes"
				   : "no stream for a file";
	return "no stream of MSRP that can be used";
}

const struct ua_local *ua_media_pick(const struct ua *ua, struct slice text,
    const struct ua_offer *ours, const char **whyp)
{
	struct sdp_wanted wanted = {.accept_types = ours->accept_types,
	    .file = ours->file,
	    .files_too = !ua->taker};
	struct sdp_session offer;
	const struct sdp_media *media;
	const struct ua_local *local;

	if (!text.p)
		return &ua->locals.items[0];
	for (size_t i = 0; i < ua->locals.count; i++)
		wanted.transports |= ua->locals.items[i].transport->secure ? SDP_TLS : SDP_PLAIN;
	/* Behind a relay its Use-Path tells, which is not here yet. */
	if (ua->env.settings->relay_uri)
		wanted.transports = SDP_PLAIN | SDP_TLS;
	*whyp = "its SDP is malformed";
	if (sdp_parse(&offer, text) < 0)
		return NULL;
	media = choose(&offer, &wanted);
	if (!media) {
		*whyp = why_none(&offer, wanted);
		return NULL;
	}
	local = ua_local_for(&ua->locals, media);
	return local ? local : &ua->locals.items[0];
}

/* --- the connection --- */

static void note_connect(const struct ua_session *s, const struct msrp_destination *to, int err)
{
	const struct msrp_conn *conn = endpoint_conn(s->endpoint);
	struct story of = ua_story(s);

	of.stack = conn ? "msrp" : NULL;
	of.conn = conn ? msrp_conn_number(conn) : 0;
	story_note(LOG_LEVEL_DEBUG, &of,
	    "ua: session %s: conn %" PRIu64 " to %.*s port %u by %s%s%s", s->id, of.conn,
	    SLICE_ARG(to->host), to->port, to->secure ? "TLS" : "TCP", err < 0 ? ": " : "",
	    err < 0 ? strerror(-err) : "");
}

int ua_media_connect(struct ua_session *s)
{
	struct msrp_destination to = {0};
	uint64_t idle_ms = 0;
	struct msrp_uri uri;
	int err;

	if (endpoint_bound(s->endpoint) || (!s->upstream && s->peer->connects))
		return 0;
	if (s->upstream) {
		endpoint_auth_destination(s->upstream, &to);
		idle_ms = s->ua->env.settings->relay_idle_timeout_ms;
	} else if (msrp_uri_parse(&uri, s->peer->path) >= 0) {
		to.secure = uri.secure;
		to.transport = uri.transport;
		to.host = uri.host;
		to.port = uri.port;
		to.fingerprints = s->peer->fingerprints;
		to.fingerprint_count = s->peer->fingerprint_count;
	}
	err = endpoint_connect(s->endpoint, &to, !s->peer->connects, idle_ms);
	note_connect(s, &to, err);
	return err;
}

bool ua_media_is_peer(struct ua_session *s)
{
	struct msrp_conn *conn = endpoint_conn(s->endpoint);

	/* Where we connect the pool has looked at it. */
	if (!conn || !msrp_conn_accepted(conn) || !s->peer || s->peer->fingerprint_count == 0)
		return true;
	for (size_t i = 0; i < s->peer->fingerprint_count; i++)
		if (msrp_conn_peer_fingerprint(conn, s->peer->fingerprints[i]))
			return true;
	return false;
}
