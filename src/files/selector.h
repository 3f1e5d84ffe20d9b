/* What SDP says of a file: RFC 5547 section 6.  Pure functions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/buffer.h>
#include <msrpd/slice.h>
#include <msrpd/sum.h>

enum { SELECTOR_SIZE_MAX = 4096 }; /* bytes of a file-selector */

/** The value of a=file-selector; slices borrow the text, absent where it says nothing. */
struct selector {
	struct slice name; /* escapes as they are: see selector_unescape() */
	struct slice type; /* with its parameters, their values in quotes */
	uint64_t size;     /* UINT64_MAX: not said */
	bool has_sha1;
	uint8_t sha1[SUM_SHA1_SIZE];
};

/** @return 0, -EBADMSG, -EMSGSIZE */
int selector_parse(struct selector *selector, struct slice text);

/** Put bytes in place of %XX; room for as many as text has.  @return bytes written */
size_t selector_unescape(char *out, struct slice text);

/** A selector to write; type as in Content-Type, all of them are there. */
struct selector_out {
	struct slice name, type;
	uint64_t size;
	const uint8_t *sha1;
};

/** "a=file-selector:…" and CRLF. */
void selector_write(struct buffer *w, const struct selector_out *selector);

/** The value of a=file-range; octets, the first one is 1. */
struct file_range {
	uint64_t start, stop; /* stop UINT64_MAX: "*" */
};

/** Absent text: the whole file.  @return 0 or -EBADMSG */
int file_range_parse(struct file_range *range, struct slice text);

/** Upper-case with colons as SDP has it, or in lower case without. */
enum { SUM_TEXT_SIZE = 3 * SUM_SHA256_SIZE };

void sum_write(char text[SUM_TEXT_SIZE], const uint8_t *sum, size_t size, bool for_sdp);
