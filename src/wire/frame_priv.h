/* What frame.c, check.c and parser.c know of a head's lines. */
#pragma once

#include <stdbool.h>

#include <msrpd/slice.h>

enum msrp_line { MSRP_LINE_HEADER, MSRP_LINE_BLANK, MSRP_LINE_END };

/**
 * What a line that came whole, its LF included, is in the head of the frame tid.
 * A blank line and an end-line are recognised without their CR or LF too: they end the head, badly.
 */
enum msrp_line msrp_line_kind(struct slice line, struct slice tid);

/** The transaction id of a start line, absent if it cannot be read. */
struct slice msrp_start_line_tid(struct slice line);

/** May bytes, the first of a frame, become a start line? */
bool msrp_may_be_start_line(struct slice bytes);

/** Is s an ident of 4 to max characters, as transaction ids are? */
bool msrp_is_ident(struct slice s, size_t max);

/** utf8text (RFC 4975 9): no control characters but tabs. */
bool msrp_is_text(struct slice s);
