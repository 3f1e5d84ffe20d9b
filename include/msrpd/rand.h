/* Identifiers that nobody can guess, from the operating system's generator. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Fill p with len random bytes; aborts when the operating system has none to give. */
void rand_bytes(void *p, size_t len);

/**
 * Write n characters of [A-Za-z0-9] and a NUL; p holds n + 1 bytes.  Eleven of them are 64 bits:
 * 22 are 128 (session ids), 11 are 64 (transaction ids); up to there a character has 5.9.
 */
void rand_token(char *p, size_t n);

uint64_t rand_u64(void);
