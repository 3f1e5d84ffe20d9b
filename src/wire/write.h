/* Requests and responses, written: RFC 4975 sections 7 and 9. */
#pragma once

#include "base/buffer.h"
#include "wire/frame.h"

/** The start line of a request. */
void msrp_write_request_line(struct buffer *w, struct slice tid, struct slice method);

/** The start line of a response; for an absent or empty phrase the usual one of the code stands. */
void msrp_write_response_line(struct buffer *w, struct slice tid, unsigned code,
    struct slice phrase);

/** "name: value" and CRLF. */
void msrp_write_header(struct buffer *w, struct slice name, struct slice value);

/** A code of three digits, a text behind it if there is one, and CRLF. */
void msrp_write_code(struct buffer *w, unsigned code, struct slice text);

/** To-Path and From-Path lines. */
void msrp_write_paths(struct buffer *w, struct slice to_path, struct slice from_path);

/**
 * The headers of a frame that goes on, all behind its paths, byte for byte.
 *
 * @param open_end  but for the end in its Byte-Range, which is good: that becomes "*"
 */
void msrp_write_forwarded_headers(struct buffer *w, const struct msrp_frame *f, bool open_end);

/** The line of a Byte-Range. */
void msrp_write_byte_range(struct buffer *w, const struct byte_range *range);

/** The blank line between headers and body. */
void msrp_write_blank_line(struct buffer *w);

/** The end-line; after a body (even an empty one) with the CRLF that ends the body. */
void msrp_write_end_line(struct buffer *w, struct slice tid, enum msrp_flag flag, bool after_body);

/**
 * Start line and paths of the response to request (RFC 4975 7.2): further headers and
 * msrp_write_end_line(w, request->tid, MSRP_COMPLETE, false) follow.
 *
 * @param request  one that is msrp_frame_answerable()
 */
void msrp_write_response_head(struct buffer *w, const struct msrp_frame *request, unsigned code,
    struct slice phrase);
