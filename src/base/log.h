/*
 * The log: one line a call, to syslog or stderr, written without blocking.
 * A line that cannot be written at once is dropped and counted; the count is
 * logged when the target takes lines again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/setting.h>
#include <msrpd/slice.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TO_SYSLOG, LOG_TO_STDERR };

struct log_settings {
	enum log_target target;
	char *facility; /* "daemon", "local0", …; NULL: daemon */
	char *ident;    /* NULL: msrpd */
	enum log_level level;
	bool event_body;         /* for the event lines, see event/logline.h */
	const char *syslog_path; /* NULL: /dev/log */
};

/** The keys of `log:`, over struct log_settings. */
extern const struct setting log_settings_rows[];

/** The one global: what is logged at all.  Change it with log_set_level(). */
extern enum log_level log_threshold;

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

/**
 * Log one line; errno is as before.  Control characters and bytes that are not UTF-8 are
 * written as \n, \t or \xNN, so a line stays a line whatever a peer sent.  A line is cut
 * at 4 KiB, which "..." then says.
 */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same for bytes at hand, NULs among them perhaps; whatever the level is now. */
void log_text(enum log_level level, struct slice text);

#define log_at(level, ...)                            \
	do {                                          \
		if ((level) <= log_threshold)         \
			log_line(level, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
