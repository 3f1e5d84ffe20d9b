/*
 * A chunk, a SEND of our own: its head, the wait for its response, the REPORT when it fails
 * (RFC 4976 6.4.1, 6.4.3).
 */
#pragma once

#include "forward/forwarder.h"
#include "forward/hop.h"
#include "msrp/transaction.h"
#include "wire/report.h"

enum {
	CHUNK_TEXT_INLINE = 640,
	CHUNKS_KEPT = 1024, /* for further ones */
};

/** What writes a chunk, until its end-line is written. */
struct chunk_writer {
	/** The next hop has refused the chunk already; the writer frees it. */
	void (*refused)(struct chunk_writer *writer, unsigned code, struct slice phrase);
};

struct chunk {
	struct msrp_transaction t;
	struct forwarder *fw;
	LIST_ENTRY(chunk) entry;
	struct chunk_writer *writer; /* NULL: it is written */
	struct msrp_conn *source;    /* ref */
	struct msrp_conn *dest;      /* borrowed as long as t runs */
	uint64_t start, total;       /* of its Byte-Range */
	uint64_t sent;               /* bytes of body */
	enum failure_report failure_report;
	bool has_body, complete;
	bool brief; /* its head says how long it is, so that it is not to be cut (RFC 4975 7.1.1) */
	uint32_t range_at, range_len; /* value of Byte-Range in text; 0: has none */
	uint32_t headers_at;
	uint32_t own_at, own_len, from_at, from_len, id_at, id_len;
	uint32_t len, cap;
	char *text; /* the head; its transaction id is put in last */
	char inline_text[CHUNK_TEXT_INLINE];
};

/** The chunk as which a SEND goes on.  @return NULL: no memory, or none left of max_memory */
struct chunk *chunk_new(struct forwarder *fw, const struct incoming *in, const struct hop *hop);

/** The next one of the same message, from behind what chunk has sent.  @return as chunk_new() */
struct chunk *chunk_continue(const struct chunk *chunk);

/** Its To-Path is another one; nothing of it has been sent.  @return 0, -ENOMEM, -ENOBUFS */
int chunk_set_path(struct chunk *chunk, struct slice to_path);

/** Give it its transaction id on conn; writer is going to write it.  @return 0 or negative errno */
int chunk_start(struct chunk *chunk, struct msrp_conn *conn, struct chunk_writer *writer);

/** Does what it has sent reach the end of its message? */
bool chunk_is_whole(const struct chunk *chunk);

/** Its head; a blank line ends it if there is a body. */
struct slice chunk_text(const struct chunk *chunk);

/** Its end-line is written: wait for the response, or be done.  Takes the chunk. */
void chunk_written(struct chunk *chunk);

/** Tell the sender that this part has failed, where Failure-Report wants that. */
void chunk_report(struct chunk *chunk, unsigned code, struct slice phrase);

void chunk_free(struct chunk *chunk);
