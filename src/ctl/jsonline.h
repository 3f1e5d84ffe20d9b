/*
 * Lines of JSON as the control socket writes them: straight into a buffer, since
 * an event may go out for each message of a busy daemon.  Commas are put in by
 * themselves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/event.h>
#include <msrpd/slice.h>

#include "base/buffer.h"
#include "event/bus.h"

/**
 * "key": in front of the next value of an object.  The key holds nothing that wants an escape.
 */
void jsonline_key(struct buffer *line, struct slice key);

/** '{' or '[' */
void jsonline_open(struct buffer *line, char bracket);

/** '}' or ']' */
void jsonline_close(struct buffer *line, char bracket);

/** A string; bytes that are not UTF-8 become U+FFFD each; null when text is absent. */
void jsonline_text(struct buffer *line, struct slice text);

/** A string, base64 of bytes. */
void jsonline_base64(struct buffer *line, struct slice bytes);

/** A member of an object: key, or key_base64 when the bytes are not UTF-8. */
void jsonline_body(struct buffer *line, struct slice key, struct slice bytes);
void jsonline_number(struct buffer *line, int64_t number);

/** true, false, null */
void jsonline_word(struct buffer *line, struct slice word);

/**
 * The notification of an event, with its newline.
 * @param guarded  with what is for operators alone
 */
void jsonline_event(struct buffer *line, const struct event_notice *event, bool guarded);
