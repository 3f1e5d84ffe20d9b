/* What we say: RFC 4975 section 8, RFC 3264 sections 5, 6 and 8, RFC 6135 section 4.2. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "base/addr.h"
#include "base/buffer.h"
#include "sip/sdp.h"

void sdp_own_init(struct sdp_own *own)
{
	/* 62 bits, since some keep these numbers in signed ones */
	*own = (struct sdp_own){.id = rand_u64() >> 2, .version = 1};
}

void sdp_own_fini(struct sdp_own *own)
{
	free(own->text);
	own->text = NULL;
}

/* --- writing --- */

static const char *address_family(struct slice host)
{
	union addr address;

	return addr_parse_host(&address, host) == 0 && address.any.sa_family == AF_INET6 ? "IP6"
											 : "IP4";
}

static void write_session(struct buffer *out, const struct sdp_own *own,
    const struct sdp_local *local)
{
	const char *family = address_family(local->host);

	buffer_printf(out,
	    "v=0\r\n"
	    "o=- %" PRIu64 " %" PRIu64 " IN %s %.*s\r\n"
	    "s=-\r\n"
	    "c=IN %s %.*s\r\n"
	    "t=0 0\r\n",
	    own->id, own->version, family, SLICE_ARG(local->host), family, SLICE_ARG(local->host));
}

static void write_attribute(struct buffer *out, const char *name, struct slice value)
{
	if (value.p)
		buffer_printf(out, "a=%s:%.*s\r\n", name, SLICE_ARG(value));
}

static void write_stream(struct buffer *out, const struct sdp_local *local)
{
	static const char *const setups[] = {
	    [SDP_SETUP_ACTIVE] = "active",
	    [SDP_SETUP_PASSIVE] = "passive",
	    [SDP_SETUP_ACTPASS] = "actpass",
	};
	static const char *const directions[] = {
	    [SDP_SENDONLY] = "sendonly",
	    [SDP_RECVONLY] = "recvonly",
	    [SDP_INACTIVE] = "inactive",
	};

	buffer_printf(out, "m=message %u %s *\r\n", local->port,
	    local->tls ? "TCP/TLS/MSRP" : "TCP/MSRP");
	write_attribute(out, "accept-types", local->accept_types);
	write_attribute(out, "accept-wrapped-types", local->accept_wrapped_types);
	write_attribute(out, "path", local->path);
	if (local->max_size > 0)
		buffer_printf(out, "a=max-size:%" PRIu64 "\r\n", local->max_size);
	if (setups[local->setup])
		buffer_printf(out, "a=setup:%s\r\n", setups[local->setup]);
	if (directions[local->direction])
		buffer_printf(out, "a=%s\r\n", directions[local->direction]);
	if (local->fingerprint.hash.p)
		buffer_printf(out, "a=fingerprint:%.*s %.*s\r\n",
		    SLICE_ARG(local->fingerprint.hash), SLICE_ARG(local->fingerprint.value));
	buffer_add(out, local->attributes);
}

/* From our side local is remote, and send is recv: RFC 3312 5.1.1, 5.2. */
static void write_precondition(struct buffer *out, struct slice value, bool desired)
{
	static const char *const statuses[] = {
	    [SDP_QOS_E2E] = "e2e",
	    [SDP_QOS_LOCAL] = "remote",
	    [SDP_QOS_REMOTE] = "local",
	};
	static const char *const mirrored[] = {
	    [0] = "none",
	    [SDP_QOS_SEND] = "recv",
	    [SDP_QOS_RECV] = "send",
	    [SDP_QOS_SEND | SDP_QOS_RECV] = "sendrecv",
	};
	struct sdp_precondition p;

	if (sdp_precondition_parse(&p, value, desired) == 0)
		buffer_printf(out, "a=%s:qos %.*s%s%s %s\r\n", desired ? "des" : "curr",
		    SLICE_ARG(p.strength), desired ? " " : "", statuses[p.status],
		    mirrored[p.directions]);
}

static void write_preconditions(struct buffer *out, const struct sdp_media *offered)
{
	struct slice rest = offered->lines, name, value;

	while (sdp_media_next_attribute(&rest, &name, &value))
		if (slice_equal_nocase(name, SLICE("curr")))
			write_precondition(out, value, false);
		else if (slice_equal_nocase(name, SLICE("des")))
			write_precondition(out, value, true);
}

/* The same line with port 0: a stream that is not (any more). */
static void write_refused(struct buffer *out, const struct sdp_media *media)
{
	buffer_printf(out, "m=%.*s 0 %.*s%s%.*s\r\n", SLICE_ARG(media->type),
	    SLICE_ARG(media->proto), media->formats.len > 0 ? " " : "", SLICE_ARG(media->formats));
}

/* Where our stream stands in a description. */
struct place {
	const struct sdp_session *layout; /* the streams that there are */
	const struct sdp_media *ours;     /* among them; NULL: none */
	bool added;                       /* but behind them */
	bool answers;                     /* they are the peer's offer */
};

static int write_all(const struct sdp_own *own, const struct sdp_local *local,
    const struct place *place, char **textp, size_t *lenp)
{
	const struct sdp_session *layout = place->layout;
	struct buffer out = {.max = BUFFER_UNBOUNDED};

	write_session(&out, own, local);
	for (size_t i = 0; i < layout->media_count; i++)
		if (&layout->media[i] != place->ours)
			write_refused(&out, &layout->media[i]);
		else {
			write_stream(&out, local);
			if (place->answers)
				write_preconditions(&out, &layout->media[i]);
		}
	if (place->added)
		write_stream(&out, local);
	return buffer_take(&out, textp, lenp);
}

/* Nothing changed: what was said stays as it is; else its version rises (RFC 3264 8). */
static int say(struct sdp_own *own, const struct sdp_local *local, const struct place *place,
    struct slice *textp)
{
	char *text = NULL;
	size_t len = 0;
	int err = write_all(own, local, place, &text, &len);

	if (!err && own->text
	    && !slice_equal((struct slice){text, len}, (struct slice){own->text, own->len})) {
		free(text);
		text = NULL;
		own->version++;
		err = write_all(own, local, place, &text, &len);
		if (err)
			own->version--;
	}
	if (err)
		return err;
	free(own->text);
	own->text = text;
	own->len = len;
	*textp = (struct slice){text, len};
	return 0;
}

/* Ours is the one stream in what we say that has a port. */
static const struct sdp_media *our_stream(const struct sdp_session *said)
{
	for (size_t i = 0; i < said->media_count; i++)
		if (said->media[i].port != 0)
			return &said->media[i];
	return NULL;
}

static void parse_own(const struct sdp_own *own, struct sdp_session *said)
{
	if (!own->text || sdp_parse(said, (struct slice){own->text, own->len}) < 0)
		said->media_count = 0;
}

int sdp_own_offer(struct sdp_own *own, const struct sdp_local *local, struct slice *textp)
{
	struct sdp_session said;
	struct place place = {.layout = &said};

	parse_own(own, &said);
	place.ours = our_stream(&said);
	place.added = !place.ours;
	return say(own, local, &place, textp);
}

int sdp_own_answer(struct sdp_own *own, const struct sdp_local *local,
    const struct sdp_session *offer, const struct sdp_media *chosen, struct slice *textp)
{
	return say(own, local, &(struct place){.layout = offer, .ours = chosen, .answers = true},
	    textp);
}

bool sdp_own_is_dropped(const struct sdp_own *own, const struct sdp_session *offer)
{
	const struct sdp_media *ours;
	struct sdp_session said;
	size_t at;

	parse_own(own, &said);
	ours = our_stream(&said);
	at = ours ? (size_t)(ours - said.media) : SIZE_MAX;
	return at < offer->media_count && offer->media[at].port == 0;
}

const struct sdp_media *sdp_own_chosen(const struct sdp_own *own, const struct sdp_session *answer)
{
	const struct sdp_media *ours, *theirs;
	struct sdp_session said;

	parse_own(own, &said);
	ours = our_stream(&said);
	if (!ours || (size_t)(ours - said.media) >= answer->media_count)
		return NULL;
	theirs = &answer->media[ours - said.media];
	if (!slice_equal_nocase(ours->proto, theirs->proto))
		return NULL;
	return sdp_media_is_usable(theirs) ? theirs : NULL;
}
