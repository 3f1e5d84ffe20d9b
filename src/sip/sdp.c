#include "sip/sdp.h"

#include <errno.h>
#include <string.h>

/* --- pieces of lines --- */

/* The next piece of a line up to one or more spaces. */
static bool next_word(struct slice *rest, struct slice *word)
{
	do {
		if (!slice_cut(rest, ' ', word))
			return false;
	} while (word->len == 0);
	return true;
}

/* "name:value" or "name"; value is absent in the latter. */
static void split_attribute(struct slice line, struct slice *name, struct slice *value)
{
	struct slice rest = line;

	slice_cut(&rest, ':', name);
	*value = rest.p ? slice_trim(rest) : rest;
}

/* c=<nettype> <addrtype> <connection-address>[/ttl…] */
static struct slice connection_address(struct slice line)
{
	struct slice rest = line, word = {0}, address;

	for (int i = 0; i < 3; i++)
		if (!next_word(&rest, &word))
			return (struct slice){0};
	slice_cut(&word, '/', &address);
	return address;
}

/* RFC 4566 9: tokens with slashes between them */
static bool is_proto(struct slice proto)
{
	struct slice part;

	while (slice_cut(&proto, '/', &part))
		if (!slice_is_token(part))
			return false;
	return true;
}

/* m=<media> <port>[/count] <proto> <fmt>… */
static int parse_media_line(struct sdp_media *media, struct slice line)
{
	struct slice rest = line, port, number;
	uint64_t value;

	if (!next_word(&rest, &media->type) || !next_word(&rest, &port)
	    || !next_word(&rest, &media->proto))
		return -EBADMSG;
	slice_cut(&port, '/', &number);
	if (slice_to_u64(number, 65535, &value) < 0 || !slice_is_token(media->type)
	    || !is_proto(media->proto))
		return -EBADMSG;
	media->line = line;
	media->port = (uint16_t)value;
	media->formats = rest.p ? slice_trim(rest) : (struct slice){"", 0};
	return 0;
}

/* --- attributes --- */

struct name {
	struct slice text;
	int value;
};

static bool find_name(const struct name *names, size_t count, struct slice text, int *valuep)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(names[i].text, text)) {
			*valuep = names[i].value;
			return true;
		}
	return false;
}

#define NAME(literal, value)                          \
	{                                             \
		{literal, sizeof(literal) - 1}, value \
	}

static const struct name directions[] = {
    NAME("sendrecv", SDP_SENDRECV),
    NAME("sendonly", SDP_SENDONLY),
    NAME("recvonly", SDP_RECVONLY),
    NAME("inactive", SDP_INACTIVE),
};

static const struct name setups[] = {
    NAME("active", SDP_SETUP_ACTIVE),
    NAME("passive", SDP_SETUP_PASSIVE),
    NAME("actpass", SDP_SETUP_ACTPASS),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void parse_fingerprint(struct sdp_media *media, struct slice value)
{
	struct sdp_fingerprint f;

	if (media->fingerprint_count == SDP_FINGERPRINT_MAX || !next_word(&value, &f.hash)
	    || !next_word(&value, &f.value))
		return;
	media->fingerprints[media->fingerprint_count++] = f;
}

/* The first of a name counts; what we do not know is passed over. */
static void take_first(struct slice *field, struct slice value)
{
	if (!field->p && value.p)
		*field = value;
}

/* Attributes that may stand at either level: what the session says holds for each of its media. */
static void parse_common_attribute(struct sdp_media *media, struct slice name, struct slice value)
{
	int found;

	if (find_name(directions, COUNT(directions), name, &found))
		media->direction = (enum sdp_direction)found;
	else if (slice_equal_nocase(name, SLICE("setup")))
		media->setup = find_name(setups, COUNT(setups), value, &found)
		    ? (enum sdp_setup)found
		    : SDP_SETUP_NONE;
	else if (slice_equal_nocase(name, SLICE("fingerprint")) && value.p)
		parse_fingerprint(media, value);
}

int sdp_precondition_parse(struct sdp_precondition *p, struct slice value, bool desired)
{
	static const struct name statuses[] = {NAME("e2e", SDP_QOS_E2E),
	    NAME("local", SDP_QOS_LOCAL), NAME("remote", SDP_QOS_REMOTE)};
	static const struct name directions_of_qos[] = {NAME("none", 0), NAME("send", SDP_QOS_SEND),
	    NAME("recv", SDP_QOS_RECV), NAME("sendrecv", SDP_QOS_SEND | SDP_QOS_RECV)};
	struct slice type, status, direction;
	int bits;

	*p = (struct sdp_precondition){0};
	if (!next_word(&value, &type) || (desired && !next_word(&value, &p->strength)))
		return -EBADMSG;
	if (!slice_equal_nocase(type, SLICE("qos")) || !next_word(&value, &status)
	    || !next_word(&value, &direction)
	    || !find_name(statuses, COUNT(statuses), status, &p->status)
	    || !find_name(directions_of_qos, COUNT(directions_of_qos), direction, &bits))
		return -EPROTO;
	p->directions = (unsigned char)bits;
	return 0;
}

static void parse_precondition(struct sdp_media *media, struct slice value, bool desired)
{
	struct sdp_precondition p;
	int err = sdp_precondition_parse(&p, value, desired);

	if (err == -EBADMSG || (desired && !slice_equal_nocase(p.strength, SLICE("mandatory"))))
		return;
	if (err == -EPROTO)
		media->wants_more |= desired;
	else if (desired)
		media->qos[p.status].wanted |= p.directions;
	else
		media->qos[p.status].current |= p.directions;
}

static void parse_media_attribute(struct sdp_media *media, struct slice name, struct slice value)
{
	uint64_t size;

	if (slice_equal_nocase(name, SLICE("path")))
		take_first(&media->path, value);
	else if (slice_equal_nocase(name, SLICE("accept-types")))
		take_first(&media->accept_types, value);
	else if (slice_equal_nocase(name, SLICE("accept-wrapped-types")))
		take_first(&media->accept_wrapped_types, value);
	else if (slice_equal_nocase(name, SLICE("max-size"))
	    && slice_to_u64(value, UINT64_MAX, &size) == 0)
		media->max_size = size;
	else if (slice_equal_nocase(name, SLICE("curr")) || slice_equal_nocase(name, SLICE("des")))
		parse_precondition(media, value, slice_equal_nocase(name, SLICE("des")));
	else
		parse_common_attribute(media, name, value);
}

/* --- the description --- */

struct parser {
	struct sdp_session *sdp;
	struct sdp_media defaults; /* from the session level */
	struct sdp_media *media;   /* NULL: still there */
	bool own_fingerprints;     /* of this media, they replace the session's */
};

static int begin_media(struct parser *p, struct slice line)
{
	if (p->sdp->media_count == SDP_MEDIA_MAX)
		return -EMSGSIZE;
	p->media = &p->sdp->media[p->sdp->media_count++];
	*p->media = p->defaults;
	p->own_fingerprints = false;
	return parse_media_line(p->media, line);
}

static void parse_attribute(struct parser *p, struct slice line)
{
	struct slice name, value;

	split_attribute(line, &name, &value);
	if (!p->media) {
		parse_common_attribute(&p->defaults, name, value);
		return;
	}
	if (!p->own_fingerprints && slice_equal_nocase(name, SLICE("fingerprint"))) {
		p->own_fingerprints = true;
		p->media->fingerprint_count = 0;
	}
	parse_media_attribute(p->media, name, value);
}

static int parse_line(struct parser *p, struct slice line)
{
	struct slice value = slice_from(line, 2);

	switch (line.p[0]) {
	case 'm':
		return begin_media(p, value);
	case 'a':
		parse_attribute(p, value);
		return 0;
	case 'c':
		(p->media ? p->media : &p->defaults)->address = connection_address(value);
		return 0;
	case 'o':
		take_first(&p->sdp->origin, value);
		return 0;
	default:
		return 0;
	}
}

static bool next_line(struct slice *rest, struct slice *line)
{
	if (!slice_cut(rest, '\n', line))
		return false;
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* Some write empty lines before it. */
static bool first_line(struct slice *rest, struct slice *line)
{
	do {
		if (!next_line(rest, line))
			return false;
		*line = slice_trim(*line);
	} while (line->len == 0);
	return true;
}

/* A run of lines goes on to the end of this one. */
static void extend(struct slice *run, struct slice line)
{
	if (!run->p)
		run->p = line.p;
	run->len = (size_t)(line.p + line.len - run->p);
}

int sdp_parse(struct sdp_session *sdp, struct slice text)
{
	struct parser p = {.sdp = sdp, .defaults = {.max_size = UINT64_MAX}};
	struct slice rest = text, line;
	int err = 0;

	if (text.len > SDP_SIZE_MAX)
		return -EMSGSIZE;
	if (!text.p || memchr(text.p, '\0', text.len) || !first_line(&rest, &line)
	    || !slice_equal(line, SLICE("v=0")))
		return -EBADMSG;
	sdp->origin = (struct slice){0};
	sdp->media_count = 0;
	while (!err && next_line(&rest, &line)) {
		if (line.len == 0)
			continue; /* seen behind the last line, and harmless elsewhere */
		err = line.len >= 2 && line.p[1] == '=' ? parse_line(&p, line) : -EBADMSG;
		if (p.media && line.p[0] != 'm')
			extend(&p.media->lines, line);
	}
	return err;
}

bool sdp_media_next_attribute(struct slice *lines, struct slice *name, struct slice *value)
{
	struct slice line;

	while (next_line(lines, &line))
		if (line.len >= 2 && line.p[0] == 'a') {
			split_attribute(slice_from(line, 2), name, value);
			return true;
		}
	return false;
}

struct slice sdp_media_attribute(const struct sdp_media *media, struct slice name)
{
	struct slice rest = media->lines, found, value;

	while (sdp_media_next_attribute(&rest, &found, &value))
		if (slice_equal_nocase(found, name))
			return value.p ? value : SLICE("");
	return (struct slice){NULL, 0};
}

/* --- which stream to use --- */

/* scheme://host:port[/…];… with a port that is one */
static bool has_port(struct slice uri)
{
	const char *slashes = memmem(uri.p, uri.len, "://", 3);
	struct slice authority, port;
	size_t end;
	uint64_t value;

	if (!slashes)
		return false;
	authority = slice_from(uri, (size_t)(slashes - uri.p) + 3);
	for (end = 0; end < authority.len && !strchr("/;", authority.p[end]); end++)
		;
	authority.len = end;
	while (end > 0 && authority.p[end - 1] != ':' && authority.p[end - 1] != ']')
		end--;
	if (end == 0 || authority.p[end - 1] != ':')
		return false;
	port = slice_from(authority, end);
	return slice_to_u64(port, 65535, &value) == 0 && value > 0;
}

static bool path_is_usable(struct slice path)
{
	struct slice rest = path, uri;
	bool any = false;

	while (next_word(&rest, &uri)) {
		if (!has_port(uri))
			return false;
		any = true;
	}
	return any;
}

bool sdp_media_is_tls(const struct sdp_media *media)
{
	return slice_equal_nocase(media->proto, SLICE("TCP/TLS/MSRP"));
}

bool sdp_media_is_usable(const struct sdp_media *media)
{
	return slice_equal_nocase(media->type, SLICE("message")) && media->port != 0
	    && (slice_equal(media->formats, SLICE("*")) || media->formats.len == 0)
	    && media->accept_types.p && media->accept_types.len > 0 && path_is_usable(media->path);
}

static bool is_ready(const struct sdp_media *media)
{
	for (size_t i = 0; i < COUNT(media->qos); i++)
		if (media->qos[i].wanted & ~media->qos[i].current)
			return false;
	return !media->wants_more;
}

bool sdp_is_ready(const struct sdp_session *sdp)
{
	for (size_t i = 0; i < sdp->media_count; i++) {
		const struct sdp_media *m = &sdp->media[i];

		if (slice_equal_nocase(m->type, SLICE("message")) && m->port != 0 && !is_ready(m))
			return false;
	}
	return true;
}

static unsigned transport_of(const struct sdp_media *media)
{
	return sdp_media_is_tls(media)                            ? SDP_TLS
	    : slice_equal_nocase(media->proto, SLICE("TCP/MSRP")) ? SDP_PLAIN
								  : 0;
}

bool sdp_media_is_file(const struct sdp_media *media)
{
	return sdp_media_attribute(media, SLICE("file-selector")).p != NULL;
}

bool sdp_media_fits(const struct sdp_media *media, const struct sdp_wanted *wanted)
{
	return (transport_of(media) & wanted->transports) && sdp_media_is_usable(media)
	    && sdp_types_common(wanted->accept_types, media->accept_types)
	    && (sdp_media_is_file(media) ? wanted->file || wanted->files_too : !wanted->file);
}

const struct sdp_media *sdp_choose(const struct sdp_session *sdp, const struct sdp_wanted *wanted)
{
	for (size_t i = 0; i < sdp->media_count; i++)
		if (sdp_media_fits(&sdp->media[i], wanted))
			return &sdp->media[i];
	return NULL;
}

/* --- who connects --- */

enum sdp_setup sdp_answer_setup(const struct sdp_media *offer)
{
	return offer->setup == SDP_SETUP_PASSIVE ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE;
}

bool sdp_we_connect(bool we_offered, enum sdp_setup ours, enum sdp_setup theirs)
{
	enum sdp_setup answer = we_offered ? theirs : ours;

	if (answer == SDP_SETUP_ACTIVE)
		return !we_offered;
	/* passive; or it does not say, and the offerer connects */
	return we_offered;
}
