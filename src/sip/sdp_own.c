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
	free(own->before);
	own->text = own->before = NULL;
}

/* --- writing --- */

static const char *address_family(struct slice host)
{
	union addr address;

	return addr_parse_host(&address, host) == 0 && address.any.sa_family == AF_INET6 ? "IP6"
											 : "IP4";
}

static void write_address(struct buffer *out, struct slice host)
{
	buffer_printf(out, "c=IN %s %.*s\r\n", address_family(host), SLICE_ARG(host));
}

static void write_session(struct buffer *out, const struct sdp_own *own,
    const struct sdp_local *local)
{
	buffer_printf(out,
	    "v=0\r\n"
	    "o=- %" PRIu64 " %" PRIu64 " IN %s %.*s\r\n"
	    "s=-\r\n",
	    own->id, own->version, address_family(local->host), SLICE_ARG(local->host));
	write_address(out, local->host);
	buffer_add(out, SLICE("t=0 0\r\n"));
}

static void write_attribute(struct buffer *out, const char *name, struct slice value)
{
	if (value.p)
		buffer_printf(out, "a=%s:%.*s\r\n", name, SLICE_ARG(value));
}

/* @param host  that the whole description has */
static void write_stream(struct buffer *out, const struct sdp_local *local, struct slice host)
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
	if (!slice_equal(local->host, host))
		write_address(out, local->host);
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

/* Which streams are in a description. */
struct place {
	const struct sdp_session *layout; /* those that there are already */
	const struct sdp_local *locals;   /* ours, among them or behind them */
	size_t count;
	bool answers; /* the layout is the peer's offer */
};

static const struct sdp_local *find_local(const struct place *place, size_t at)
{
	for (size_t i = 0; i < place->count; i++)
		if (place->locals[i].at == at)
			return &place->locals[i];
	return NULL;
}

static int write_all(const struct sdp_own *own, const struct place *place, char **textp,
    size_t *lenp)
{
	const struct sdp_session *layout = place->layout;
	const struct sdp_local *local;
	struct slice host = place->locals[0].host;
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	size_t i;

	write_session(&out, own, &place->locals[0]);
	for (i = 0; i < layout->media_count; i++) {
		local = find_local(place, i);
		if (!local) {
			write_refused(&out, &layout->media[i]);
			continue;
		}
		write_stream(&out, local, host);
		if (place->answers)
			write_preconditions(&out, &layout->media[i]);
	}
	for (; (local = find_local(place, i)); i++)
		write_stream(&out, local, host);
	return buffer_take(&out, textp, lenp);
}

/* Nothing changed: what was said stays as it is; else its version rises (RFC 3264 8). */
static int say(struct sdp_own *own, const struct place *place, struct slice *textp)
{
	char *text = NULL;
	size_t len = 0;
	int err = write_all(own, place, &text, &len);

	if (!err && own->text
	    && !slice_equal((struct slice){text, len}, (struct slice){own->text, own->len})) {
		free(text);
		text = NULL;
		own->version++;
		err = write_all(own, place, &text, &len);
		if (err)
			own->version--;
	}
	if (err)
		return err;
	free(own->before);
	own->before = own->text;
	own->before_len = own->len;
	own->text = text;
	own->len = len;
	*textp = (struct slice){text, len};
	return 0;
}

static void parse_own(const struct sdp_own *own, struct sdp_session *said)
{
	if (!own->text || sdp_parse(said, (struct slice){own->text, own->len}) < 0)
		said->media_count = 0;
}

static bool is_free(const struct sdp_own *own, const struct place *place, size_t at)
{
	if (find_local(place, at))
		return false;
	return at >= place->layout->media_count || place->layout->media[at].port == 0
	    || (own->refused & UINT32_C(1) << at);
}

/* RFC 3264 8.1: a line whose stream has gone may serve another one. */
static size_t free_place(struct sdp_own *own, const struct place *place)
{
	size_t at = 0;

	while (at < SDP_MEDIA_MAX && !is_free(own, place, at))
		at++;
	if (at < SDP_MEDIA_MAX)
		own->refused &= ~(UINT32_C(1) << at);
	return at;
}

int sdp_own_offer(struct sdp_own *own, struct sdp_local *locals, size_t count, struct slice *textp)
{
	struct sdp_session said;
	struct place place = {.layout = &said, .locals = locals, .count = count};

	parse_own(own, &said);
	own->refused_before = own->refused;
	for (size_t i = 0; i < count; i++)
		if (locals[i].at == SDP_NOWHERE) {
			locals[i].at = free_place(own, &place);
			if (locals[i].at == SDP_MEDIA_MAX)
				return -EMSGSIZE;
		}
	return say(own, &place, textp);
}

int sdp_own_answer(struct sdp_own *own, const struct sdp_local *locals, size_t count,
    const struct sdp_session *offer, struct slice *textp)
{
	return say(own,
	    &(struct place){.layout = offer, .locals = locals, .count = count, .answers = true},
	    textp);
}

void sdp_own_refused(struct sdp_own *own)
{
	if (!own->before)
		return;
	free(own->text);
	own->text = own->before;
	own->len = own->before_len;
	own->before = NULL;
	own->refused = own->refused_before;
}

bool sdp_is_dropped(const struct sdp_session *offer, size_t at)
{
	return at < offer->media_count && offer->media[at].port == 0;
}

const struct sdp_media *sdp_own_chosen(struct sdp_own *own, size_t at,
    const struct sdp_session *answer)
{
	const struct sdp_media *theirs;
	struct sdp_session said;

	parse_own(own, &said);
	if (at >= said.media_count || at >= answer->media_count)
		return NULL;
	theirs = &answer->media[at];
	if (theirs->port == 0)
		own->refused |= UINT32_C(1) << at;
	if (!slice_equal_nocase(said.media[at].proto, theirs->proto))
		return NULL;
	return sdp_media_is_usable(theirs) ? theirs : NULL;
}
