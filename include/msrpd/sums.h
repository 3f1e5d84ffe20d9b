/* The sums of a file: SHA-1, which RFC 5547 wants, and SHA-256. */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

struct sums;

enum { SUMS_SHA1_SIZE = 20, SUMS_SHA256_SIZE = 32 };

struct sums_result {
	uint8_t sha1[SUMS_SHA1_SIZE], sha256[SUMS_SHA256_SIZE];
};

/** Begin, with no byte yet.  @return 0 or -ENOMEM */
int sums_new(struct sums **sumsp);
void sums_free(struct sums *sums); /* accepts NULL */

/** From the first byte again.  @return 0 or -ENOMEM */
int sums_reset(struct sums *sums);

/** @return 0 or -ENOMEM */
int sums_add(struct sums *sums, struct slice bytes);

/** Of what was added so far; more may follow after sums_reset() alone.  @return 0 or -ENOMEM */
int sums_finish(struct sums *sums, struct sums_result *result);
