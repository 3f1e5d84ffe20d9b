/* Identifiers that nobody can guess, from the operating system's generator. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Fill p with len random bytes; aborts when the operating system has none to give. */
void rand_bytes(void *p, size_t len);

/**
 * Write n characters of [A-Za-z0-9] (5.95 bits each) and a NUL; p holds n + 1 bytes.
 * 22 characters are 130 bits (session ids), 11 are 65 (transaction ids).
 */
void rand_token(char *p, size_t n);

uint64_t rand_u64(void);
