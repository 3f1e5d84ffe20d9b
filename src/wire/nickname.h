/* The value of Use-Nickname: RFC 7701 section 7.1. */
#pragma once

#include <sys/types.h>

#include <msrpd/slice.h>

enum { MSRP_NICKNAME_MAX = 1023 }; /* characters and escapes, and so bytes at most */

/**
 * Parse the quoted string, escapes resolved.
 *
 * @param text  room for MSRP_NICKNAME_MAX bytes
 * @return bytes of it, 0 for "", which gives the nickname up; -EBADMSG: no nickname
 */
ssize_t msrp_nickname_parse(char text[MSRP_NICKNAME_MAX], struct slice value);
