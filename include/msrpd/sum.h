/* A sum of a file's bytes: SHA-1, which RFC 5547 wants, or SHA-256. */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

struct sum;

enum sum_kind { SUM_SHA1, SUM_SHA256, SUM_KINDS };
enum { SUM_SHA1_SIZE = 20, SUM_SHA256_SIZE = 32 };

/** Begin, with no byte yet.  @return 0 or -ENOMEM */
int sum_new(struct sum **sump, enum sum_kind kind);
void sum_free(struct sum *sum); /* accepts NULL */

/** From the first byte again.  @return 0 or -ENOMEM */
int sum_reset(struct sum *sum);

/** @return 0 or -ENOMEM */
int sum_add(struct sum *sum, struct slice bytes);

/** Of all that was added; more may follow after sum_reset() alone.  @return 0 or -ENOMEM */
int sum_finish(struct sum *sum, uint8_t *result);
