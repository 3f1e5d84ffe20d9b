/* Why something was refused, for people to read. */
#pragma once

enum { REASON_SIZE = 512 };

/** A sentence without its full stop, in memory of whoever asks. */
struct reason {
	char text[REASON_SIZE];
};

/** Write it, cut where it is too long.  @return err, for the caller to return */
int reason_set(struct reason *reason, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
