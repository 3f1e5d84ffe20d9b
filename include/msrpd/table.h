/*
 * Hash tables: uthash, with a hash that is keyed by a secret of the process.  Many keys are what
 * peers choose, and uthash's own hash is the same everywhere: who knows it can make keys that all
 * lie in one chain.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** SipHash of a key under the secret of this process. */
uint64_t table_hash(const void *key, size_t len);

#define HASH_FUNCTION(key, len, value) ((value) = (unsigned)table_hash(key, len))
#define HASH_NONFATAL_OOM              1 /* what finds no memory stays out: its hh.tbl is NULL then */
#include <uthash.h>
