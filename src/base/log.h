/*
 * The log: one line a call, to syslog or stderr, written without blocking.
 * A line that cannot be written at once is dropped and counted; the count is
 * logged when the target takes lines again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_settings {
	bool		to_stderr;	/* else syslog */
	char		*facility;	/* "daemon", "local0", … */
	char		*ident;
	enum log_level	level;
	bool		event_body;
};

/** The one global: what is logged at all.  Change it with log_set_level(). */
extern enum log_level log_threshold;

/**
 * (Re)open the log by settings, which are copied.  Before the first call lines go to stderr.
 *
 * @return 0, or -EINVAL for a facility that syslog does not know
 */
int log_open(const struct log_settings *settings);

/** Flush what can be flushed and go back to stderr. */
void log_close(void);

void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);

/** @return 0 or -EINVAL */
int log_level_parse(struct slice name, enum log_level *levelp);

/** Lines lost because the target did not take them. */
uint64_t log_lost(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if ((level) <= log_threshold)                                                      \
			log_line(level, __VA_ARGS__);                                              \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
