/* The log behind <msrpd/log.h>, for who owns it: where lines go, and which. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/log.h>
#include <msrpd/setting.h>
#include <msrpd/slice.h>

enum log_target { LOG_TO_SYSLOG, LOG_TO_STDERR };

struct log_settings {
	enum log_target target;
	char *facility; /* "daemon", "local0", …; NULL: daemon */
	char *ident;    /* NULL: msrpd */
	enum log_level level;
	bool event_body;         /* for the event lines, see event/logline.h */
	uint64_t memory;         /* bytes, for base/story.h */
	const char *syslog_path; /* NULL: /dev/log */
};

/** The keys of `log:`, over struct log_settings. */
extern const struct setting log_settings_rows[];

/**
 * (Re)open the log by settings, which are copied.  Before the first call lines go to stderr.
 * While there is no syslog to connect to, its lines go to stderr too.
 *
 * @return 0, or -EINVAL for a facility that syslog does not know; then nothing has changed
 */
int log_open(const struct log_settings *settings);

/** Go back to stderr. */
void log_close(void);

void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);

/** @return 0 or -EINVAL */
int log_level_parse(struct slice name, enum log_level *levelp);

/** Lines lost because the target did not take them. */
uint64_t log_lost(void);

/** log_line() for bytes at hand, NULs among them perhaps; whatever the level is now. */
void log_text(enum log_level level, struct slice text);
