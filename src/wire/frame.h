/*
 * One MSRP request or response, without its body: RFC 4975 sections 7 and 9,
 * RFC 4976 section 7.  Pure: bytes in, a view out; wire/write.h is the way back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <msrpd/message.h>
#include <msrpd/slice.h>

#include "wire/uri.h"

enum msrp_method {
	MSRP_NO_METHOD, /* a response */
	MSRP_SEND,
	MSRP_REPORT,
	MSRP_AUTH,
	MSRP_NICKNAME, /* RFC 7701 */
	MSRP_OTHER,
};

/** Continuation flag of an end-line. */
enum msrp_flag {
	MSRP_COMPLETE = '$', /* the message ends here */
	MSRP_MORE = '+',     /* further chunks follow */
	MSRP_ABORTED = '#',  /* the sender gave the message up */
};

enum {
	MSRP_TID_MAX = 32,         /* RFC 4975 9: ident */
	MSRP_MESSAGE_ID_MAX = 128, /* 32 by the same rule, but FreeSWITCH's have 36 characters */
	MSRP_END_LINE_MAX = 2 + 7 + MSRP_TID_MAX + 1 + 2,
	MSRP_OTHER_BODY_MAX = 10240, /* RFC 4975 7.1: body of a request that is not a SEND */
};

/**
 * The head of a frame.  A view: slices borrow the bytes that were parsed.
 * Header values come without blanks at either end; absent headers are absent slices, and
 * of one that came twice the first is kept.
 */
struct msrp_frame {
	enum msrp_method method; /* MSRP_NO_METHOD: see code */
	unsigned code;           /* 0 to 999, of a response */
	bool has_body;           /* ended by a blank line; the body may be empty */
	bool good_paths;         /* To-Path and From-Path are what they should be */
	bool same_paths;         /* they are those of the frame before: msrp_frame_parse_next() */
	struct slice tid;
	struct slice method_text; /* of a request */
	struct slice phrase;      /* of a response; absent if it had none */
	struct slice head;        /* from "MSRP" through the last header's CRLF */
	struct slice headers;     /* all behind From-Path, verbatim with CRLFs */

	struct slice path_lines; /* To-Path and From-Path with CRLFs, if they come first, in form */
	struct slice to_path;
	struct slice from_path;
	struct msrp_uri to;   /* first of To-Path; host absent if it is no URI */
	struct slice to_rest; /* To-Path behind it, absent if that was all */
	uint32_t to_first;    /* bytes of the first of To-Path, and of From-Path; 0: not counted */
	uint32_t from_first;
	struct byte_range range; /* all of it without a Byte-Range; start 0: that is bad */

	struct slice message_id;
	struct slice byte_range;
	struct slice success_report;
	struct slice failure_report;
	struct slice status;
	struct slice content_type;
	struct slice content_encoding;
	struct slice expires;
	struct slice min_expires;
	struct slice max_expires;
	struct slice use_path;
	struct slice authorization;
	struct slice www_authenticate;
	struct slice authentication_info;
	struct slice use_nickname;

	const char *fault; /* first fault of form, for msrp_frame_check() */
};

/**
 * Parse the head of a frame at the front of bytes.
 *
 * Lines end with CRLF.  Other faults inside a header line (a bare LF or CR, NUL, folding, no
 * colon, a known header twice) leave the framing whole and are kept in f->fault.  A start line
 * that is broken behind its transaction id, or a frame whose blank line or end-line has no CR,
 * or no LF is only refused when the head is whole, so that it can be answered:
 * see msrp_frame_answerable().  A start line with a lone CR is refused at once.
 *
 * @param f         filled on success; after -EBADMSG and -EMSGSIZE tid, method and paths are
 *                  what could be read, absent otherwise
 * @param bytes     borrowed for the lifetime of f
 * @param max_head  bytes that a head may have
 * @return bytes of the head: through the blank line, or, without a body, up to but not including
 *         the end-line, which then is there whole; -EAGAIN head is not whole yet; -EMSGSIZE over
 *         max_head; -EBADMSG broken, and so is the stream
 */
ssize_t msrp_frame_parse(struct msrp_frame *f, struct slice bytes, size_t max_head);

/** The first URI of each; the path as it is where it is no list of URIs. */
struct slice msrp_frame_to_first(const struct msrp_frame *f);
struct slice msrp_frame_from_first(const struct msrp_frame *f);

/** Frames of one stream; NULL: there was none. */
struct msrp_frame_pair {
	struct msrp_frame *request, *response;
};

/**
 * The same behind other frames of the stream, the last request and the last response: paths that
 * are as they were there are not looked at again.  Slices of f may borrow what before's do.
 */
ssize_t msrp_frame_parse_next(struct msrp_frame *f, struct slice bytes, size_t max_head,
    const struct msrp_frame_pair *before);

/**
 * Judge what a well-framed head says: paths, the headers that its method needs, their values.
 *
 * @param whyp  a constant string when the result is not 0; may be NULL
 * @return 0, or the MSRP status that says what is wrong (400).  A response is never answered
 *         and a REPORT neither: those are dropped instead
 */
int msrp_frame_check(const struct msrp_frame *f, const char **whyp);

/**
 * May a response be written for f at all: a request other than REPORT whose transaction id and
 * paths are known?  (Whether Failure-Report wants one is another question.)
 */
bool msrp_frame_answerable(const struct msrp_frame *f);

static inline bool msrp_frame_is_request(const struct msrp_frame *f)
{
	return f->method != MSRP_NO_METHOD;
}
