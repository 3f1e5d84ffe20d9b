/*
 * SDP for m=message: RFC 4975 section 8, RFC 4566, RFC 6135 (a=setup),
 * RFC 8122 (a=fingerprint).  Knows no MSRP beyond that: a path is text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum {
	SDP_SIZE_MAX = 65536,
	SDP_MEDIA_MAX = 32,      /* m= lines in one description */
	SDP_FINGERPRINT_MAX = 4, /* those behind them are not looked at */
};

/** RFC 6135 4.2.1; holdconn and what we do not know count as none. */
enum sdp_setup { SDP_SETUP_NONE, SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE, SDP_SETUP_ACTPASS };

enum sdp_direction { SDP_SENDRECV, SDP_SENDONLY, SDP_RECVONLY, SDP_INACTIVE };

struct sdp_fingerprint {
	struct slice hash;  /* "sha-256" */
	struct slice value; /* "4A:AD:…" */
};

/** The value of a=curr or a=des: RFC 3312 section 4. */
struct sdp_precondition {
	struct slice strength; /* of des alone */
	int status;            /* SDP_QOS_E2E, … */
	unsigned char directions;
};

enum { SDP_QOS_E2E, SDP_QOS_LOCAL, SDP_QOS_REMOTE };
enum { SDP_QOS_SEND = 1, SDP_QOS_RECV = 2 };

/** @return 0; -EPROTO: of another type than qos, or unknown words; -EBADMSG: not even that */
int sdp_precondition_parse(struct sdp_precondition *p, struct slice value, bool desired);

/** One m= line and what belongs to it; slices borrow the parsed text, absent where it has none. */
struct sdp_media {
	struct slice line;  /* what follows "m=" */
	struct slice lines; /* its own, behind that one */
	struct slice type, proto, formats;
	uint16_t port;        /* 0: refused, or taken away */
	struct slice address; /* of the c= line that rules it, or a name */
	enum sdp_direction direction;
	struct slice path; /* URIs separated by spaces */
	struct slice accept_types, accept_wrapped_types;
	uint64_t max_size; /* bytes; UINT64_MAX: not said */
	enum sdp_setup setup;
	struct sdp_fingerprint fingerprints[SDP_FINGERPRINT_MAX];
	size_t fingerprint_count;
	struct {
		unsigned char current, wanted; /* SDP_QOS_SEND, SDP_QOS_RECV */
	} qos[3];                              /* RFC 3312: by status */
	bool wants_more;                       /* a mandatory precondition of another kind */
};

struct sdp_session {
	struct slice origin; /* what follows "o=" */
	struct sdp_media media[SDP_MEDIA_MAX];
	size_t media_count;
};

/**
 * Parse a description.  Lines may end in CRLF or LF.
 *
 * @param sdp   filled on success; a view of text
 * @return 0; -EBADMSG: not SDP; -EMSGSIZE: above the bounds of this header
 */
int sdp_parse(struct sdp_session *sdp, struct slice text);

/** Is it TCP/TLS/MSRP?  (TCP/MSRP otherwise; of usable streams only.) */
bool sdp_media_is_tls(const struct sdp_media *media);

/**
 * Can MSRP run on it: m=message with a port, a path whose URIs all have explicit ports,
 * accept-types, and the format "*" (RFC 4975 8), which some leave out?
 */
bool sdp_media_is_usable(const struct sdp_media *media);

/**
 * The first a= line of that name among the stream's own.
 *
 * @return its value; absent if there is none, empty where it has no value
 */
struct slice sdp_media_attribute(const struct sdp_media *media, struct slice name);

/**
 * The next a= line of lines, at first sdp_media.lines.
 *
 * @param value  absent where it has none
 * @return false: that was all
 */
bool sdp_media_next_attribute(struct slice *lines, struct slice *name, struct slice *value);

/** Are the mandatory preconditions of every m=message with a port met by what is (RFC 3312)? */
bool sdp_is_ready(const struct sdp_session *sdp);

/** Is it for one file, which the attribute file-selector describes (RFC 5547)? */
bool sdp_media_is_file(const struct sdp_media *media);

enum { SDP_PLAIN = 1, SDP_TLS = 2 };

/** What a stream must be to be used. */
struct sdp_wanted {
	unsigned transports;       /* SDP_PLAIN | SDP_TLS */
	struct slice accept_types; /* our list: one of them is the peer's, too */
	bool file;                 /* sdp_media_is_file() */
	bool files_too;            /* else: a stream for a file is as good as another (RFC 5547) */
};

bool sdp_media_fits(const struct sdp_media *media, const struct sdp_wanted *wanted);

/** The first stream that fits; NULL if there is none: 488. */
const struct sdp_media *sdp_choose(const struct sdp_session *sdp, const struct sdp_wanted *wanted);

#define SDP_NOWHERE SIZE_MAX

/** Our side of a stream; borrowed for the call that uses it. */
struct sdp_local {
	size_t at;         /* its m= line, from 0; SDP_NOWHERE: it has none */
	struct slice host; /* of our own URI, no brackets: RFC 4975 8.1 */
	uint16_t port;     /* of the first URI of the path: RFC 4975 8.1 */
	bool tls;
	struct slice path;
	struct slice accept_types;
	struct slice accept_wrapped_types; /* absent: none */
	uint64_t max_size;                 /* 0: not said */
	enum sdp_setup setup;
	enum sdp_direction direction;
	struct sdp_fingerprint fingerprint; /* absent: none */
	struct slice attributes;            /* further lines, "a=NAME:VALUE\r\n" each; or absent */
};

/**
 * Our side of a dialog's SDP over time: the o= line stays the same while nothing changes
 * (RFC 4975 8.4), m= lines keep their number and order (RFC 3264 8).  Embedded.
 */
struct sdp_own {
	uint64_t id, version;
	char *text; /* what we said last; NULL: nothing yet */
	size_t len;
	char *before; /* and before that; NULL: nothing */
	size_t before_len;
	uint32_t refused; /* bits of the places that the peer's answers have refused */
	uint32_t refused_before;
};

void sdp_own_init(struct sdp_own *own);
void sdp_own_fini(struct sdp_own *own);

/**
 * Write an offer.  Streams that were there beside ours remain, refused.
 *
 * @param locals  our streams, at least one; one that is nowhere yet is given a place
 * @param textp   the description, valid until the next call on own
 * @return 0, -EMSGSIZE: no place for another, -ENOMEM
 */
int sdp_own_offer(struct sdp_own *own, struct sdp_local *locals, size_t count, struct slice *textp);

/**
 * Write the answer to an offer: streams of ours at the places of its media, all others refused
 * (RFC 3264 6).  What the offer says of its preconditions is said from our side (RFC 3312 5).
 *
 * @param locals  at least one, the first of which gives the address of the whole; those that are
 *                nowhere are left out
 * @return 0 or -ENOMEM
 */
int sdp_own_answer(struct sdp_own *own, const struct sdp_local *locals, size_t count,
    const struct sdp_session *offer, struct slice *textp);

/** Our last offer was refused: all is as it was before. */
void sdp_own_refused(struct sdp_own *own);

/** Does the peer's offer take the stream at that place away, by port 0 (RFC 3264 8.2)? */
bool sdp_is_dropped(const struct sdp_session *offer, size_t at);

/**
 * The stream of ours at that place in the peer's answer to our last offer.
 *
 * @return NULL if it was refused or is not usable
 */
const struct sdp_media *sdp_own_chosen(struct sdp_own *own, size_t at,
    const struct sdp_session *answer);

/** a=setup of our answer (RFC 6135 4.2.2): passive, unless the offer leaves only active. */
enum sdp_setup sdp_answer_setup(const struct sdp_media *offer);

/** Do we connect?  Where the answer does not say, the offerer does (RFC 4975 8.5, RFC 6135). */
bool sdp_we_connect(bool we_offered, enum sdp_setup ours, enum sdp_setup theirs);

/** May we send content, or the peer?  theirs: as the peer wrote it (RFC 4975 8.9). */
static inline bool sdp_peer_receives(enum sdp_direction theirs)
{
	return theirs == SDP_SENDRECV || theirs == SDP_RECVONLY;
}

static inline bool sdp_peer_sends(enum sdp_direction theirs)
{
	return theirs == SDP_SENDRECV || theirs == SDP_SENDONLY;
}

/*
 * Lists of media types, RFC 4975 8.6: separated by spaces; "*" and "type/" followed by "*" stand
 * for many; parameters and case do not count.
 */

/** Is the type (perhaps with parameters) in the list? */
bool sdp_types_have(struct slice list, struct slice type);

/** Is there a type that both lists allow? */
bool sdp_types_common(struct slice a, struct slice b);

/** Does the list allow a container, so that accept-wrapped-types mean something? */
bool sdp_types_have_container(struct slice list);

/** May the type be sent to a peer with these lists inside a container? */
bool sdp_types_have_wrapped(struct slice accept_types, struct slice accept_wrapped_types,
    struct slice type);
