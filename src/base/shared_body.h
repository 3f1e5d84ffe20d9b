/* Who sends a shared body (msrpd/message.h) while it grows. */
#pragma once

#include <sys/queue.h>

#include <msrpd/message.h>

/** Embedded in its owner; zeroed: reads nothing. */
struct shared_reader {
	LIST_ENTRY(shared_reader) entry;
	/** There are more bytes, or there will be no more. */
	void (*grown)(struct shared_reader *reader);
};

/** Be told as long as it grows; the reader holds a reference until it leaves. */
void shared_body_read(struct shared_body *body, struct shared_reader *reader);
void shared_body_leave(struct shared_reader *reader); /* harmless on one that reads nothing */

/** @return -EAGAIN: it grows; 0: it is whole; or why it will never be */
int shared_body_state(const struct shared_body *body);

/** Bytes that it will have, UINT64_MAX: not known yet. */
uint64_t shared_body_total(const struct shared_body *body);
