/* SDP: what one peer says, said to the other as ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>

#include "anchor/priv.h"
#include "base/addr.h"
#include "base/buffer.h"
#include "msrp/conn.h"
#include "msrp/pool.h"
#include "wire/path.h"
#include "wire/uri.h"

#define CEMA SLICE("msrp-cema") /* RFC 6714 */

enum {
	SHARE = 3,  /* what a peer says is kept, and is most of what we say last, and before */
	TENTHS = 7, /* of max_memory: what passes finds room besides */
};

/* --- what a peer says --- */

static const struct anchor_side *latest(const struct anchor_leg *leg)
{
	return leg->next.sdp ? &leg->next : &leg->peer;
}

/* Parsed again each time: it is asked for seldom, and most of it just once. */
static const struct sdp_media *stream_of(const struct anchor_side *side, struct sdp_session *sdp)
{
	if (!side->sdp || sdp_parse(sdp, (struct slice){side->sdp, side->len}) < 0)
		return NULL;
	return &sdp->media[side->at];
}

static bool has_cema(const struct sdp_media *media)
{
	return sdp_media_attribute(media, CEMA).p != NULL;
}

static bool is_usable(const struct sdp_media *media)
{
	return sdp_media_is_usable(media) && msrp_path_names_session(media->path);
}

static bool fits(const struct sdp_media *media, const struct ua_locals *locals)
{
	const struct sdp_wanted any = {
	    .transports = SDP_PLAIN | SDP_TLS,
	    .accept_types = SLICE("*"),
	    .files_too = true,
	};

	return sdp_media_fits(media, &any) && msrp_path_names_session(media->path)
	    && ua_local_for(locals, media);
}

/* The stream that was there before, if it still can be used, or else the first. */
static const struct sdp_media *choose(const struct anchor_leg *leg, const struct sdp_session *offer)
{
	const struct ua_locals *locals = leg->anchor->all->locals;

	if (leg->at < offer->media_count && fits(&offer->media[leg->at], locals))
		return &offer->media[leg->at];
	for (size_t i = 0; i < offer->media_count; i++)
		if (fits(&offer->media[i], locals))
			return &offer->media[i];
	return NULL;
}

static struct budget *budget_of(const struct anchor_leg *leg)
{
	return leg->anchor->all->env.budget;
}

/*
 * Charge the leg for the longest of what its peer has said, and of a further text of that length:
 * who only says again what he has said takes nothing.
 *
 * @return 0, as always for a length of 0; -ENOBUFS
 */
static int charge(struct anchor_leg *leg, size_t len)
{
	struct budget *budget = budget_of(leg);
	size_t held = leg->peer.len > leg->next.len ? leg->peer.len : leg->next.len;
	size_t want = SHARE * (len > held ? len : held), had = leg->charged;
	int err = 0;

	if (want <= had)
		budget_return(budget, had - want);
	else if (leg->anchor->established)
		err = budget_take(budget, want - had);
	else
		err = budget_take_within(budget, want - had, TENTHS);
	if (err == 0)
		leg->charged = want;
	return err;
}

static void side_clear(struct anchor_leg *leg, struct anchor_side *side)
{
	free(side->sdp);
	*side = (struct anchor_side){0};
	charge(leg, 0);
}

static int side_set(struct anchor_leg *leg, struct anchor_side *side, struct slice sdp,
    const struct anchor_side *as)
{
	int err = charge(leg, sdp.len);
	char *copy;

	if (err < 0)
		return err;
	copy = slice_dup(sdp);
	if (!copy) {
		charge(leg, 0);
		return -ENOMEM;
	}
	free(side->sdp);
	*side = *as;
	side->sdp = copy;
	side->len = sdp.len;
	side->path.p = copy + (as->path.p - sdp.p);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return slice_equal(slice_of(a), slice_of(b));
}

/* It may say that the connection is no more his, or never was. */
static void take_peer(struct anchor_leg *leg, struct anchor_side *side)
{
	struct slice before = leg->claim ? slice_of(leg->claim) : leg->peer.path;
	bool moved = before.p && !slice_equal(before, side->path);
	/* Whom we are connecting to is looked at by what he said before. */
	bool looks = leg->user.conn
	    && (msrp_conn_open(leg->user.conn) || !same_text(leg->peer.sdp, side->sdp));

	free(leg->peer.sdp);
	leg->peer = *side;
	*side = (struct anchor_side){0};
	charge(leg, 0);
	if (moved || (looks && !media_is_peer(leg, leg->user.conn)))
		leg_leave(leg);
	free(leg->claim);
	leg->claim = NULL;
}

static int take_answer(struct anchor_leg *leg, struct slice text)
{
	struct sdp_session answer;
	struct anchor_side side = {0};
	const struct sdp_media *media;
	int err;

	if (sdp_parse(&answer, text) < 0)
		return -EPROTO;
	media = sdp_own_chosen(&leg->sdp, leg->at, &answer);
	if (!media || !is_usable(media))
		return -EPROTO;
	err = side_set(leg, &side, text,
	    &(struct anchor_side){.at = leg->at,
		.path = media->path,
		.answers = true,
		.connects = !sdp_we_connect(true, SDP_SETUP_ACTPASS, media->setup)});
	if (err < 0)
		return err;
	take_peer(leg, &side);
	leg->offered = false;
	return 0;
}

/* Before we have said anything our URI may still become one that suits him. */
static int suit(struct anchor_leg *leg, const struct sdp_media *media)
{
	const struct ua_locals *locals = leg->anchor->all->locals;

	if (!leg->sdp.text)
		return leg_move(leg, ua_local_for(locals, media));
	return sdp_media_is_tls(media) == leg->secure ? 0 : -EPROTO;
}

static int take_offer(struct anchor_leg *leg, struct slice text)
{
	struct sdp_session offer;
	const struct sdp_media *media;
	int err;

	if (sdp_parse(&offer, text) < 0)
		return -EPROTO;
	if (leg->peer.sdp && sdp_is_dropped(&offer, leg->at))
		return -ESHUTDOWN;
	media = choose(leg, &offer);
	if (!media)
		return -EPROTO;
	err = suit(leg, media);
	if (err < 0)
		return err;
	return side_set(leg, &leg->next, text,
	    &(struct anchor_side){.at = (size_t)(media - offer.media),
		.path = media->path,
		.connects = !sdp_we_connect(false, sdp_answer_setup(media), media->setup)});
}

int media_take(struct anchor_leg *leg, struct slice sdp, bool answers)
{
	return answers ? take_answer(leg, sdp) : take_offer(leg, sdp);
}

bool media_is_ready(const struct anchor_leg *leg)
{
	struct sdp_session offer;

	return !stream_of(&leg->next, &offer) || sdp_is_ready(&offer);
}

bool media_is_same(const struct anchor_leg *leg)
{
	const struct anchor_side *a = &leg->peer, *b = &leg->next;

	return a->sdp && b->sdp
	    && slice_equal((struct slice){a->sdp, a->len}, (struct slice){b->sdp, b->len});
}

void media_settle(struct anchor_leg *leg)
{
	if (leg->next.sdp)
		take_peer(leg, &leg->next);
}

void media_forget(struct anchor_leg *leg)
{
	side_clear(leg, &leg->next);
}

void media_begin(struct anchor_leg *leg)
{
	media_end(leg);
	sdp_own_init(&leg->sdp);
	leg->at = SDP_NOWHERE;
	leg->offered = false;
}

void media_end(struct anchor_leg *leg)
{
	side_clear(leg, &leg->next);
	side_clear(leg, &leg->peer);
	sdp_own_fini(&leg->sdp);
}

/* --- what we say --- */

/* Of this leg alone, or of what it is written by. */
static bool is_hop_by_hop(struct slice name)
{
	static const char *const names[] = {"path", "setup", "connection", "fingerprint",
	    "msrp-cema", "accept-types", "accept-wrapped-types", "max-size", "sendrecv", "sendonly",
	    "recvonly", "inactive", "curr", "des", "conf", "crypto", "key-mgmt", "tls-id", "mid",
	    "candidate", "remote-candidates", "end-of-candidates", "rtcp", "rtcp-mux", "ice-",
	    NULL};

	return slice_is_listed(name, names);
}

static void write_attributes(struct buffer *w, const struct sdp_media *from, bool cema)
{
	struct slice rest = from->lines, name, value;

	while (sdp_media_next_attribute(&rest, &name, &value)) {
		if (is_hop_by_hop(name))
			continue;
		buffer_add(w, SLICE("a="));
		buffer_add(w, name);
		if (value.p)
			buffer_add_char(w, ':');
		buffer_add(w, value);
		buffer_add(w, SLICE("\r\n"));
	}
	if (cema)
		buffer_printf(w, "a=%.*s\r\n", SLICE_ARG(CEMA));
}

/* Texts of a struct sdp_local. */
struct texts {
	struct sdp_session sdp; /* of the other leg's peer */
	struct buffer attributes;
	char fingerprint[UA_FINGERPRINT_SIZE];
};

/* @return 0, -EPROTO: the other leg's peer has said nothing */
static int describe(const struct anchor_leg *leg, struct sdp_local *local, struct texts *texts,
    bool cema)
{
	const struct sdp_media *from = stream_of(latest(leg->other), &texts->sdp);
	struct msrp_uri own;

	texts->attributes = (struct buffer){.max = SDP_SIZE_MAX};
	if (!from || msrp_uri_parse(&own, leg->target.uri) < 0)
		return -EPROTO;
	write_attributes(&texts->attributes, from, cema);
	*local = (struct sdp_local){
	    .at = leg->at,
	    .host = own.host,
	    .port = own.port,
	    .tls = leg->secure,
	    .path = leg->target.uri,
	    .accept_types = from->accept_types,
	    .accept_wrapped_types = from->accept_wrapped_types,
	    .max_size = from->max_size == UINT64_MAX ? 0 : from->max_size,
	    .setup = SDP_SETUP_ACTPASS,
	    .direction = from->direction,
	    .attributes = buffer_text(&texts->attributes),
	};
	if (leg->secure)
		local->fingerprint =
		    ua_local_fingerprint(leg->anchor->all->env.msrp, texts->fingerprint);
	return texts->attributes.err;
}

void media_take_back(struct anchor_leg *leg)
{
	if (leg->offered)
		sdp_own_refused(&leg->sdp);
	leg->offered = false;
}

int media_offer(struct anchor_leg *leg, struct slice *textp)
{
	struct sdp_local local;
	struct texts texts;
	int err = describe(leg, &local, &texts, !leg->plain);

	media_take_back(leg);
	if (err == 0)
		err = sdp_own_offer(&leg->sdp, &local, 1, textp);
	if (err == 0) {
		leg->at = local.at;
		leg->offered = true;
	}
	buffer_fini(&texts.attributes);
	return err;
}

/* RFC 6714 4.3: who is behind a relay and connects from there cannot use it. */
static bool answers_cema(const struct sdp_media *offer)
{
	return has_cema(offer)
	    && (msrp_path_count(offer->path) == 1 || offer->setup == SDP_SETUP_ACTPASS
		|| offer->setup == SDP_SETUP_PASSIVE);
}

int media_answer(struct anchor_leg *leg, struct slice *textp)
{
	struct sdp_session offer;
	const struct sdp_media *media = stream_of(&leg->next, &offer);
	struct sdp_local local;
	struct texts texts;
	int err;

	if (!media)
		return -EPROTO;
	media_take_back(leg);
	err = describe(leg, &local, &texts, answers_cema(media));
	if (err == 0) {
		local.at = leg->next.at;
		local.setup = sdp_answer_setup(media);
		err = sdp_own_answer(&leg->sdp, &local, 1, &offer, textp);
	}
	if (err == 0)
		leg->at = local.at;
	buffer_fini(&texts.attributes);
	return err;
}

int media_close(struct anchor_leg *leg, struct slice text, struct slice *textp)
{
	struct sdp_session offer;
	struct msrp_uri own;
	struct sdp_local local = {.at = SDP_NOWHERE};

	if (sdp_parse(&offer, text) < 0 || msrp_uri_parse(&own, leg->target.uri) < 0)
		return -EPROTO;
	local.host = own.host;
	return sdp_own_answer(&leg->sdp, &local, 1, &offer, textp);
}

/* --- where its peer is --- */

/* Do c= and m= say the same as that URI (RFC 6714 4.4)?  A name we do not look up. */
static bool is_at(const struct sdp_media *media, const struct msrp_uri *uri)
{
	union addr a, b;

	if (media->port != uri->port)
		return false;
	if (addr_parse_host(&a, media->address) == 0 && addr_parse_host(&b, uri->host) == 0)
		return addr_same_host(&a, &b);
	return slice_equal_nocase(media->address, uri->host);
}

static bool leads_elsewhere(const struct sdp_media *media, const struct msrp_uri *first)
{
	return media->address.p && !is_at(media, first);
}

bool media_wants_plain(const struct anchor_leg *leg)
{
	struct sdp_session sdp;
	const struct sdp_media *media = stream_of(&leg->peer, &sdp);
	struct msrp_uri first;

	if (!media || has_cema(media) || msrp_uri_parse(&first, media->path) < 0)
		return false;
	return leads_elsewhere(media, &first)
	    && (leg->peer.connects || msrp_path_count(media->path) > 1);
}

/*
 * With CEMA it is c= and m= that say where a middlebox is that leads to the peer; without a relay
 * of his own, whose own address stands there.  A name in a certificate is that of the path.
 */
static bool goes_by_cema(const struct anchor_leg *leg, const struct sdp_media *media,
    const struct msrp_uri *first)
{
	bool agreed = leg->peer.answers ? !leg->plain : has_cema(media);

	return agreed && leads_elsewhere(media, first) && msrp_path_count(media->path) == 1
	    && (!first->secure || media->fingerprint_count > 0);
}

int media_destination(const struct anchor_leg *leg, struct msrp_destination *to,
    struct slice fingerprints[SDP_FINGERPRINT_MAX])
{
	struct sdp_session sdp;
	const struct sdp_media *media = stream_of(&leg->peer, &sdp);
	struct msrp_uri first;

	if (!media || msrp_uri_parse(&first, media->path) < 0)
		return -EPROTO;
	*to = (struct msrp_destination){
	    .secure = first.secure,
	    .transport = first.transport,
	    .host = first.host,
	    .port = first.port ? first.port : MSRP_DEFAULT_PORT,
	    .fingerprints = fingerprints,
	};
	if (goes_by_cema(leg, media, &first)) {
		to->host = media->address;
		to->port = media->port;
	}
	if (!first.secure)
		return 0;
	for (size_t i = 0; i < media->fingerprint_count; i++) {
		const struct sdp_fingerprint *f = &media->fingerprints[i];

		fingerprints[to->fingerprint_count++] =
		    (struct slice){f->hash.p, (size_t)(f->value.p + f->value.len - f->hash.p)};
	}
	return 0;
}

bool media_is_peer(const struct anchor_leg *leg, const struct msrp_conn *conn)
{
	struct slice fingerprints[SDP_FINGERPRINT_MAX];
	struct msrp_destination to;

	if (media_destination(leg, &to, fingerprints) < 0 || to.fingerprint_count == 0)
		return true;
	for (size_t i = 0; i < to.fingerprint_count; i++)
		if (msrp_conn_peer_fingerprint(conn, fingerprints[i]))
			return true;
	return false;
}
