/*
 * Bytes of a stream into frames.  Bodies are handed on as they come and never kept; a head is
 * kept only while it is incomplete.  RFC 4975 sections 5.1, 7.1 and 9.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <msrpd/slice.h>

#include "wire/frame.h"

/**
 * What a stream says, in this order: head, any number of body, end; and again.
 *
 * Each returns 0 to go on; -EAGAIN: this was taken, but stop here; any other negative errno:
 * give up, msrp_parser_feed() returns it.  None of them may call into the parser.
 */
struct msrp_parser_handler {
	/**
	 * f and what its slices borrow are valid until the frame's end or the end of this
	 * msrp_parser_feed(), and what they borrow not longer than the data fed.
	 */
	int (*head)(const struct msrp_frame *f, void *arg);
	/** A piece of the body, never empty; borrowed for the call. */
	int (*body)(struct slice piece, void *arg);
	int (*end)(enum msrp_flag flag, void *arg);
	/**
	 * The stream is broken in a head (err is what feed will return: -EBADMSG or -EMSGSIZE).
	 * f holds what could be read, as msrp_frame_parse() says; if msrp_frame_answerable(f), the
	 * connection answers 400 before it closes.  Its head is all that is at hand from where it
	 * begins, and may be anything.
	 */
	void (*broken)(const struct msrp_frame *f, int err, void *arg);
	/**
	 * The data fed ends, or a handler has stopped, inside a frame: whoever wants more of what f was
	 * copies it now.  @return 0, or negative errno as of the others.  May be NULL.
	 */
	int (*cut)(void *arg);
};

enum msrp_parser_state { MSRP_PARSER_HEAD, MSRP_PARSER_BODY, MSRP_PARSER_BROKEN };

/**
 * The last frames of what was fed.  Data that follows in the same memory may be fed behind them, as
 * if it all had come at once; zeroed for what lies elsewhere.
 */
struct msrp_parser_past {
	struct msrp_frame frames[3];
	unsigned used;            /* of them, beside the next */
	struct msrp_frame *frame; /* the next; NULL: there were none */
	struct msrp_frame_pair before;
};

/** Embedded in its connection.  Fields are the parser's own. */
struct msrp_parser {
	char *buf;         /* of a head that came in pieces; goes with the next feed */
	uint32_t len, cap; /* of buf; len is 0 once the head is whole */
	uint32_t line;     /* start of the line in buf that has no end yet */
	uint32_t max_head;
	uint16_t body_left; /* what a request other than SEND may still carry */
	uint8_t state;      /* enum msrp_parser_state */
	bool limited : 1;   /* body_left counts */
	bool hyphens : 1;   /* may have begun an end-line in the body in hand: see below */
	/*
	 * How much of the end-line, its CRLF in front included, the data fed so far ends with;
	 * between frames, how much of an empty line.
	 */
	uint8_t matched;
	uint8_t skip; /* so many of these are the head's, not the body's */
	char flag;    /* continuation flag, once matched reaches it */
	uint8_t tid_len;
	char tid[MSRP_TID_MAX];
};

/** @param max_head  bytes of start line and headers of one frame */
void msrp_parser_init(struct msrp_parser *parser, size_t max_head);
void msrp_parser_fini(struct msrp_parser *parser);

/** A new bound, for heads that begin from now on. */
void msrp_parser_set_max_head(struct msrp_parser *parser, size_t max_head);

/** Is the stream between two frames (and not inside one)? */
bool msrp_parser_idle(const struct msrp_parser *parser);

/** The transaction id of the frame in hand; from the handler's end() also. */
static inline struct slice msrp_parser_tid(const struct msrp_parser *parser)
{
	return (struct slice){parser->tid, parser->tid_len};
}

/** What has come of a head that is not whole, as long as nothing more is fed; empty: none has begun. */
struct slice msrp_parser_kept(const struct msrp_parser *parser);

/**
 * May an end-line of any transaction id have come in the body in hand, behind a CRLF of it or at
 * its start, the piece that is being handed on included?  False is certain; also from the
 * handler's end().
 */
static inline bool msrp_parser_saw_hyphens(const struct msrp_parser *parser)
{
	return parser->hyphens;
}

/**
 * Take the next bytes of the stream.  Empty lines between frames are skipped.
 *
 * An end-line is CRLF, seven hyphens, the transaction id of the frame, its flag and CRLF; the
 * CRLF of the blank line counts when the body is empty.  Anything short of that, such as other
 * text behind the flag or another transaction id, is body.
 *
 * @return bytes consumed: all of them, or fewer after a handler returned -EAGAIN (the rest is to
 *         be fed again, before what comes later); -EBADMSG broken framing; -EMSGSIZE head over
 *         its bound, or body of a request other than SEND over MSRP_OTHER_BODY_MAX; -ENOMEM;
 *         or what a handler returned.  After an error the parser takes nothing any more
 */
ssize_t msrp_parser_feed(struct msrp_parser *parser, struct slice data,
    const struct msrp_parser_handler *handler, void *arg);

/** The same behind what past is of. */
ssize_t msrp_parser_feed_on(struct msrp_parser *parser, struct msrp_parser_past *past,
    struct slice data, const struct msrp_parser_handler *handler, void *arg);
