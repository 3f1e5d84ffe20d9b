/*
 * The log: one line a call, to syslog or stderr, written without blocking.
 * A line that cannot be written at once is dropped and counted; the count is
 * logged when the target takes lines again.
 *
 * error: the operator must act; warn: degraded; info: lifecycle and events; debug: frames, and
 * whatever a peer can cause at will.  A line begins with its object, "relay: grant …".
 */
#pragma once

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** The one global: what is logged at all.  To be read only. */
extern enum log_level log_threshold;

/**
 * Log one line; errno is as before.  Control characters and bytes that are not UTF-8 are
 * written as \n, \t or \xNN, so a line stays a line whatever a peer sent.  A line is cut
 * at 4 KiB, which "..." then says.
 */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                            \
	do {                                          \
		if ((level) <= log_threshold)         \
			log_line(level, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
