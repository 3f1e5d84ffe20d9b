/*
 * Chunks of one message, put together: RFC 4975 7.3.1.  They come in any order, and
 * hold what their payload holds, whatever Byte-Range says; where they overlap, the
 * chunk that came last counts.  Memory follows the bytes that have come, never the numbers that a
 * peer claims.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

struct fragment {
	uint64_t offset;
	size_t len, cap;
	char *bytes;
};

/** Zeroed: nothing has come. */
struct reassembly {
	struct fragment *fragments; /* by offset; they do not overlap */
	size_t count, cap;
	size_t open;       /* the fragment that the chunk in hand goes to */
	uint64_t position; /* of its next byte */
	size_t held;       /* bytes of memory */
	uint64_t total;    /* of the message, once it is known */
	bool total_known;
};

enum { REASSEMBLY_FRAGMENTS_MAX = 1024 };

/** A chunk begins at offset (from 0). @return 0, -ENOMEM, -EMSGSIZE: too many pieces */
int reassembly_begin(struct reassembly *a, uint64_t offset);

/** More bytes of it. @return 0 or -ENOMEM */
int reassembly_add(struct reassembly *a, struct slice bytes);

/** A chunk with "$" ended there, and so does the message (RFC 4975 7.3.1). */
void reassembly_set_total(struct reassembly *a, uint64_t total);

/** Is every byte of the message here? */
bool reassembly_complete(const struct reassembly *a);

/** The bytes from offset on that are here, up to a gap or the next fragment; empty if none are. */
struct slice reassembly_at(const struct reassembly *a, uint64_t offset);

/** Drop what lies before offset wholly. */
void reassembly_forget(struct reassembly *a, uint64_t offset);

/** The whole body in one piece; reassembly_complete() holds. @return 0 or -ENOMEM */
int reassembly_join(struct reassembly *a, struct slice *bodyp);

void reassembly_fini(struct reassembly *a);
