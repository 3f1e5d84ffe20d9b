/*
 * Chunks of one message, put together: RFC 4975 7.3.1.  They come in any order,
 * may overlap, and hold what their payload holds, whatever Byte-Range says.
 * Memory follows the bytes that have come, never the numbers that a peer claims.
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
struct assembly {
	struct fragment *fragments; /* by offset */
	size_t count, cap;
	size_t open;    /* the fragment that the chunk in hand goes to */
	size_t held;    /* bytes of memory */
	uint64_t total; /* of the message, once it is known */
	bool total_known;
};

enum { ASSEMBLY_FRAGMENTS_MAX = 1024 };

/** A chunk begins at offset (from 0). @return 0, -ENOMEM, -EMSGSIZE: too many pieces */
int assembly_begin(struct assembly *a, uint64_t offset);

/** More bytes of it. @return 0 or -ENOMEM */
int assembly_add(struct assembly *a, struct slice bytes);

/** The chunk in hand ends. */
void assembly_end(struct assembly *a);

/** A chunk with "$" ended there, and so does the message (RFC 4975 7.3.1). */
void assembly_set_total(struct assembly *a, uint64_t total);

/** Is every byte of the message here? */
bool assembly_complete(const struct assembly *a);

/** The bytes from offset on that are here, up to the next gap or fragment; empty if none are. */
struct slice assembly_at(const struct assembly *a, uint64_t offset);

/** Drop what lies before offset wholly. */
void assembly_forget(struct assembly *a, uint64_t offset);

/** The whole body in one piece; assembly_complete() holds. @return 0 or -ENOMEM */
int assembly_join(struct assembly *a, struct slice *bodyp);

void assembly_fini(struct assembly *a);
