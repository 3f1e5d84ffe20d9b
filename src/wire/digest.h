/* The former names of base/digest.h, until the last of their users has changed over. */
#pragma once

#include "base/digest.h"
#include "wire/writer.h"

#define msrp_digest                          digest
#define msrp_digest_hash                     digest_hash
#define msrp_digest_algorithm                digest_algorithm
#define MSRP_DIGEST_MD5                      DIGEST_MD5
#define MSRP_DIGEST_SHA256                   DIGEST_SHA256
#define msrp_digest_hash_slice               digest_hash_slice
#define msrp_digest_parse_credentials        digest_parse_credentials
#define msrp_digest_parse_challenge          digest_parse_challenge
#define msrp_digest_ha1                      digest_ha1
#define msrp_digest_response(d, ha1, uri, r) digest_response(d, ha1, SLICE("AUTH"), uri, r)
#define msrp_digest_rspauth                  digest_rspauth
#define msrp_digest_matches                  digest_matches
#define msrp_digest_write_challenge          digest_write_challenge
#define msrp_digest_write_info               digest_write_info
