/*
 * What the service manager is told, by the protocol of sd_notify(3).  Without
 * $NOTIFY_SOCKET all of this does nothing.
 */
#pragma once

#include <stdint.h>

#include <msrpd/timer.h>

struct notify {
	int fd;               /* -1: nobody to tell */
	uint64_t watchdog_ms; /* between two signs of life, 0: none wanted */
	struct timer watchdog;
};

/**
 * Look at $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID, and begin to feed the watchdog.
 *
 * @return 0; -EINVAL: $NOTIFY_SOCKET is no address; another errno of socket() or connect().
 *         After an error n is as without $NOTIFY_SOCKET.
 */
int notify_init(struct notify *n, struct event_base *base);
void notify_fini(struct notify *n);

/** Started, or reloaded: everything is as the config says. */
void notify_ready(const struct notify *n);

/** A reload begins; notify_ready() ends it, also one that failed. */
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);

/** One line for people (systemctl status). */
void notify_status(const struct notify *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
