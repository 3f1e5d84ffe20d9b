/*
 * Messages that carry their own envelope, message/cpim (RFC 3862), and the
 * notifications of what became of them, IMDN (RFC 5438).  Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <msrpd/slice.h>

enum {
	CPIM_HEADERS_MAX = 64,
	CPIM_HEAD_MAX = 16384, /* bytes of the headers of message and content */
};

#define CPIM_CORE "urn:ietf:params:cpim-headers:" /* namespace of From, To, DateTime, … */
#define CPIM_IMDN "urn:ietf:params:imdn"          /* of Message-ID and its like */

/** One header of the message; a view. */
struct cpim_header {
	struct slice space;  /* URI of its namespace; absent: prefix not declared */
	struct slice name;   /* without prefix */
	struct slice params; /* ";lang=fr"; absent if there are none */
	struct slice value;  /* escapes left as they are, see cpim_unescape() */
};

/** A parsed message; a view: slices borrow the text that was parsed. */
struct cpim {
	struct cpim_header headers[CPIM_HEADERS_MAX]; /* NS headers are not among them */
	size_t header_count;
	struct slice content_headers; /* of the content, lines with their ends */
	struct slice content_type;    /* absent: text/plain (RFC 2045 5.2) */
	struct slice body;
};

/**
 * Parse a message.  Lines may end in CRLF or, as some clients have it, in LF.
 *
 * @param m  filled on success
 * @return 0; -EBADMSG: not a CPIM message; -EMSGSIZE: above the bounds of this header
 */
int cpim_parse(struct cpim *m, struct slice text);

/**
 * Where the body of a message begins of which no more than its front may have come.
 *
 * @return bytes before the body; -EAGAIN: more of them are to come; -EMSGSIZE
 */
ssize_t cpim_head_size(struct slice text);

/** Value of the first header of that name, in any case; absent if there is none. */
struct slice cpim_value(const struct cpim *m, const char *space, const char *name);

/** A header of the content, "Content-Disposition"; the same. */
struct slice cpim_content_value(const struct cpim *m, const char *name);

/**
 * The URI in a From, To or cc: what is in <>, or the whole value; absent where there is none, or
 * more behind it than RFC 3862 4.1 has, a second address say.
 */
struct slice cpim_uri(struct slice value);

/** The name before the URI, quotes and escapes as they are; absent if there is none. */
struct slice cpim_formal_name(struct slice value);

/**
 * Put the characters in place of the escapes of RFC 3862 2.3.1.  What is no escape stays.
 *
 * @return bytes written, cut to size; never more than value has
 */
size_t cpim_unescape(char *text, size_t size, struct slice value);

/** A message to write; absent texts are left out. */
struct cpim_out {
	struct slice from_uri, to_uri;   /* there must be both */
	struct slice from_name, to_name; /* as SIP has them, in quotes or without */
	struct slice datetime;           /* RFC 3339; see cpim_datetime() */
	struct slice subject;            /* plain: escapes are put in */
	struct slice message_id;         /* of IMDN */
	unsigned dispositions;           /* bits of enum imdn_want */
	struct slice content_type;       /* absent: text/plain;charset=UTF-8 */
	struct slice content_headers;    /* further lines of the content, each with CRLF */
	struct slice body;
};

/**
 * Write a message.
 *
 * @param textp  to be freed
 * @return 0; -EINVAL: a URI or text that no header can hold; -ENOMEM
 */
int cpim_build(char **textp, size_t *lenp, const struct cpim_out *out);

enum { CPIM_DATETIME_SIZE = 25 };

/** The present time as DateTime has it, "2026-11-21T12:00:00.000Z", and a NUL. */
void cpim_datetime(char text[CPIM_DATETIME_SIZE]);

/* --- IMDN --- */

/** What a sender wants to know: the values of Disposition-Notification (RFC 5438 6.2). */
enum imdn_want {
	IMDN_WANT_POSITIVE_DELIVERY = 1,
	IMDN_WANT_NEGATIVE_DELIVERY = 2,
	IMDN_WANT_PROCESSING = 4,
	IMDN_WANT_DISPLAY = 8,
};

/** @param value  of Disposition-Notification  @return bits; words that we do not know have none */
unsigned imdn_wants(struct slice value);

enum { IMDN_WANTS_SIZE = 64 };

/** The header's value for these bits, and a NUL.  @return its length */
size_t imdn_wants_text(char text[IMDN_WANTS_SIZE], unsigned wants);

enum imdn_kind { IMDN_DELIVERY, IMDN_PROCESSING, IMDN_DISPLAY };

enum imdn_status {
	IMDN_DELIVERED, /* of IMDN_DELIVERY */
	IMDN_FAILED,
	IMDN_PROCESSED, /* of IMDN_PROCESSING */
	IMDN_STORED,
	IMDN_DISPLAYED, /* of IMDN_DISPLAY */
	IMDN_FORBIDDEN, /* of all */
	IMDN_ERROR,
};

/** One notification: the payload message/imdn+xml (RFC 5438 11.1). */
struct imdn {
	enum imdn_kind kind;
	enum imdn_status status;
	struct slice message_id;                            /* of the message that it tells of */
	struct slice datetime;                              /* the DateTime of that message */
	struct slice recipient_uri, original_recipient_uri; /* or absent */
};

/**
 * Read a notification.  Not a reader of XML: it finds the elements that it knows, with any
 * prefix; entities in texts stay as they are.
 *
 * @return 0 or -EBADMSG
 */
int imdn_parse(struct imdn *n, struct slice xml);

/** Write one.  @param textp  to be freed  @return 0, -EINVAL: no message_id, -ENOMEM */
int imdn_build(char **textp, size_t *lenp, const struct imdn *n);
