/*
 * How much our own code hashes.  Only in tests that tests/CMakeLists.txt names: there its calls of
 * OpenSSL are counted.
 */
#pragma once

/** Hashes that were finished. */
struct hashes {
	unsigned md5, sha256, others;
};

/** Those since the last call. */
struct hashes hashes_take(void);
