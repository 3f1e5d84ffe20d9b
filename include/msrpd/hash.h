/*
 * A keyed hash, SipHash: for tables whose keys are a peer's choice.  Nobody who does not know
 * the secret finds two texts that collide.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

struct hash;

/** With a secret of its own.  @return 0 or -ENOMEM */
int hash_new(struct hash **hashp);
void hash_free(struct hash *hash);

/** Of texts, each with its length. */
uint64_t hash_texts(const struct hash *hash, const struct slice *texts, size_t count);
