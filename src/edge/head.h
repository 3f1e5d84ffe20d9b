/*
 * The head of a SIP message as lines: found, read, and changed as a stateless proxy does
 * (RFC 3261 7.3, 16.6, 16.7, 16.11).  No parser of SIP: it knows the few fields below.
 * Pure: bytes in, a view out; changes in, bytes out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "base/buffer.h"
#include "edge/uri.h"
#include "edge/value.h"

/** Header fields that are known, by either name. */
enum edge_field {
	EDGE_VIA,
	EDGE_ROUTE,
	EDGE_RECORD_ROUTE,
	EDGE_FROM,
	EDGE_TO,
	EDGE_CALL_ID,
	EDGE_CSEQ,
	EDGE_CONTACT,
	EDGE_MAX_FORWARDS,
	EDGE_CONTENT_LENGTH,
	EDGE_FIELDS,
	EDGE_OTHER = EDGE_FIELDS, /* all the rest */
};

/** Bounds of a message: what they are refused with stands at edge_head_scan(). */
struct edge_bounds {
	size_t max_message_size; /* head and body */
	size_t
	    max_header_size;  /* bytes of a header line with what is folded, or of the start line */
	unsigned max_headers; /* header lines of a head */
};

/** A run of bytes of a head. */
struct edge_span {
	uint32_t at, len;
};

/**
 * A head, or what has come of one: which lines are where.  A view that borrows the bytes that
 * were scanned.  Read it by the functions below.
 */
struct edge_head {
	const char *p;  /* its first byte */
	uint32_t len;   /* bytes that were scanned; of a whole head: through the blank line */
	uint32_t line;  /* where the line in hand begins */
	uint32_t start; /* bytes of the start line; 0: it is not whole, or none */
	uint32_t lines; /* header lines, folded ones as one */
	uint32_t content_length; /* if EDGE_CONTENT_LENGTH is there */
	bool request;            /* if start */
	bool folded;             /* some line is */
	bool stray;              /* there is a lone CR or LF in the line in hand */
	bool unframed;           /* the fault is one of its length: where it ends is not known */
	unsigned code;           /* of a response */
	unsigned status;         /* what to answer: 400, 416, 501, 505, 513; 0: it is good */
	const char *why;         /* the first fault */
	struct edge_span method, uri; /* of a request */
	/* Whole lines with their CRLF, the first and the last of each name; len 0: absent. */
	struct edge_span first[EDGE_FIELDS], last[EDGE_FIELDS];
	struct edge_via via; /* of a whole head: the top one as p was via_p; without value: none */
	const char *via_p;
};

/**
 * Go on scanning a head, from a zeroed one.  Each byte is looked at once.
 *
 * Lines end with CRLF; one that begins with a blank goes on with the header before it.  What is
 * good reads the same for any other parser, and leaves Sofia-SIP, which reads it next, no reason
 * to close the connection that all clients share (with NTATAG_BAD_REQ_MASK(0), so that faults of
 * other fields do not count).  So refused are:
 * - over a bound: 400; 513 for max_message_size, which counts a Content-Length as well
 * - a start line that is none of SIP's
 * - NUL, a lone CR or LF
 * - a start line that is not three words with one space between them, or folded; a header
 *   without a colon, or with a name that is no token
 * - no Via, From, To, Call-ID or CSeq, or a bad one; a second one of those but Via, or of
 *   Content-Length; another method in CSeq; an empty list of Via, Route, Record-Route
 * - SIP other than 2.0: 505; a scheme that no request goes to: 416; a method with characters
 *   that Sofia-SIP does not know: 501
 * Whether there is a Content-Length is for the caller to ask.
 *
 * @param bytes  from the first of the message on, all that there are: what was scanned
 *               before, unchanged but perhaps elsewhere, and what came since
 * @return 0: it is whole, head->len bytes of them, and head->status tells whether it is good;
 *         -EAGAIN: more is needed; -EBADMSG: it is none of SIP's; -EMSGSIZE: over a bound before
 *         its end: head->status and head->why say how, and the lines before that can be read
 */
int edge_head_scan(struct edge_head *head, struct slice bytes, const struct edge_bounds *bounds);

/**
 * Scan a head that we have written, or the stack has, whose parts were judged when they came:
 * nothing is judged any more.
 *
 * @return 0, -EAGAIN, or -EBADMSG or -EMSGSIZE: it is none
 */
int edge_head_scan_own(struct edge_head *head, struct slice bytes);

/* --- reading.  Values come without blanks at either end, folds within them stay --- */

struct slice edge_head_text(const struct edge_head *head);
struct slice edge_head_method(const struct edge_head *head); /* absent: a response */
struct slice edge_head_uri(const struct edge_head *head);    /* Request-URI */
struct slice edge_head_phrase(const struct edge_head *head); /* absent: a request, or none */

/** Is there a line of that name? */
bool edge_head_has(const struct edge_head *head, enum edge_field field);

/** The value of the first line of that name, of a list all that the line has; absent: none. */
struct slice edge_head_value(const struct edge_head *head, enum edge_field field);

/** The first value of a list: of Via, Route, Record-Route, Contact. */
struct slice edge_head_top(const struct edge_head *head, enum edge_field field);

/** The tag of From or To; absent: none. */
struct slice edge_head_tag(const struct edge_head *head, enum edge_field field);

/** CSeq: 32 bits and a method.  @return 0 or -EBADMSG */
int edge_head_cseq(const struct edge_head *head, uint32_t *numberp, struct slice *methodp);

/** The top Via value.  @return 0, -EBADMSG or -ENOENT */
int edge_head_via(const struct edge_head *head, struct edge_via *via);

/**
 * Where a request goes next: the URI of its top Route value, or else the Request-URI.
 * @param skip  so many Route values are passed over first
 */
struct slice edge_head_next_hop(const struct edge_head *head, unsigned skip);

/** One header line, folded or not. */
struct edge_line {
	struct slice text; /* with its CRLF */
	struct slice name; /* as written */
	enum edge_field field;
};

/** The value of a line. */
struct slice edge_line_value(struct slice text);

/** The next header line: *at is 0 before the first.  @return false: that was all */
bool edge_head_next_line(const struct edge_head *head, size_t *at, struct edge_line *line);

/* --- changing --- */

/**
 * What shall become of a head; zeroed: nothing.  Texts are values, without name and CRLF, and
 * absent ones leave things as they are.
 */
struct edge_change {
	struct slice code; /* of a response, in place of what it has; its phrase stays */

	/* The top Via value, if there is one. */
	bool drop_via;
	struct slice via_transport, via_sent_by, via_branch; /* put in place of what it has */
	struct slice via_received; /* RFC 3261 18.2.1; with it the port, where rport asks for it */
	uint16_t via_rport;
	bool via_alias; /* RFC 5923: say that the connection leads back to us */
	/* On top of it. */
	struct slice push_via;

	bool drop_record_route;           /* the top value */
	struct slice push_record_route;   /* on top of all */
	struct slice append_record_route; /* below all */

	unsigned drop_routes;    /* so many values from the top */
	struct slice push_route; /* on top of the others */

	struct slice max_forwards; /* in place of what it has */

	bool add_max_forwards;   /* 70, to a request that has none (RFC 3261 16.6) */
	bool add_content_length; /* where none is */
	uint64_t content_length;
};

/**
 * Write a whole, good head with the change made and its lines unfolded, through its blank line;
 * the body follows.
 */
void edge_head_write(struct buffer *w, const struct edge_head *head,
    const struct edge_change *change);

/** Make blanks of the CRLFs of folded lines. */
void edge_unfold(char *p, size_t len);
