/*
 * Lines of JSON as the control socket writes them: straight into one growing
 * buffer, since an event may go out for each message of a busy daemon.
 *
 * Commas are put in by themselves.  When memory runs out `failed` is set, and
 * stays; what the buffer then holds is of no use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/event.h>
#include <msrpd/slice.h>

struct jsonline {
	char *bytes;
	size_t len, size;
	bool failed;
};

/** Frees the buffer; the line is empty and usable again, also after it failed. */
void jsonline_fini(struct jsonline *line);

/** Forget what was written behind the first len bytes. */
void jsonline_cut(struct jsonline *line, size_t len);

/** Bytes as they are. */
void jsonline_raw(struct jsonline *line, struct slice bytes);

/**
 * "key": in front of the next value of an object.  The key holds nothing that wants an escape.
 */
void jsonline_key(struct jsonline *line, struct slice key);

/** '{' or '[' */
void jsonline_open(struct jsonline *line, char bracket);

/** '}' or ']' */
void jsonline_close(struct jsonline *line, char bracket);

/** A string; bytes that are not UTF-8 become U+FFFD each; null when text is absent. */
void jsonline_text(struct jsonline *line, struct slice text);

/** A string, base64 of bytes. */
void jsonline_base64(struct jsonline *line, struct slice bytes);
void jsonline_number(struct jsonline *line, int64_t number);

/** true, false, null */
void jsonline_word(struct jsonline *line, struct slice word);

/** The notification of an event, with its newline. */
void jsonline_event(struct jsonline *line, const struct event_type *type,
    const struct event_param *params, size_t count);
