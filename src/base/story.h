/* The memory behind <msrpd/story.h>: one a process, as the log. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/story.h>

/**
 * Have a memory of so many bytes; 0: none.  Another size than before forgets everything.
 * @return 0 or -ENOMEM: it is as before
 */
int story_open(size_t bytes);
void story_close(void);

/** Is there a memory? */
bool story_is_on(void);

/** As story_note(), for bytes at hand, whatever is in them; the memory keeps their beginning. */
void story_text(enum log_level level, const struct story *of, struct slice text);

struct story_line {
	uint64_t when_ms; /* since 1970 */
	enum log_level level;
	struct slice text;
};

/**
 * Tell the story of a session by its id, its Call-ID or its gateway's key, in the order in which it
 * happened: all lines that have one of these, or a name that stands beside one in another line, and
 * those of the connections that they name.
 *
 * @return lines; 0: nothing is known of it
 */
size_t story_tell(struct slice name, void (*fn)(const struct story_line *line, void *arg),
    void *arg);
