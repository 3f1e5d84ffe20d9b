#include "wire/chars.h"

#define UNRESERVED (MSRP_HOST | MSRP_SESSION | MSRP_USERINFO)
#define DIGIT      (MSRP_DIGIT | MSRP_IDENT | MSRP_TOKEN | UNRESERVED)
#define ALPHA      (MSRP_ALPHA | MSRP_IDENT | MSRP_TOKEN | UNRESERVED)

const uint8_t msrp_chars[256] = {
    ['0' ... '9'] = DIGIT,
    ['A' ... 'Z'] = ALPHA,
    ['a' ... 'z'] = ALPHA,
    ['!'] = MSRP_TOKEN | MSRP_USERINFO,
    ['#'] = MSRP_TOKEN,
    ['$'] = MSRP_TOKEN | MSRP_USERINFO,
    ['%'] = MSRP_IDENT | MSRP_TOKEN | MSRP_USERINFO,
    ['&'] = MSRP_TOKEN | MSRP_USERINFO,
    ['\''] = MSRP_TOKEN | MSRP_USERINFO,
    ['('] = MSRP_USERINFO,
    [')'] = MSRP_USERINFO,
    ['*'] = MSRP_TOKEN | MSRP_USERINFO,
    ['+'] = MSRP_IDENT | MSRP_TOKEN | MSRP_SESSION | MSRP_USERINFO,
    [','] = MSRP_USERINFO,
    ['-'] = MSRP_IDENT | MSRP_TOKEN | UNRESERVED,
    ['.'] = MSRP_IDENT | MSRP_TOKEN | UNRESERVED,
    ['/'] = MSRP_SESSION,
    [':'] = MSRP_USERINFO,
    [';'] = MSRP_USERINFO,
    ['='] = MSRP_IDENT | MSRP_SESSION | MSRP_USERINFO,
    ['^'] = MSRP_TOKEN,
    ['_'] = MSRP_TOKEN | UNRESERVED,
    ['`'] = MSRP_TOKEN,
    ['{'] = MSRP_TOKEN,
    ['|'] = MSRP_TOKEN,
    ['}'] = MSRP_TOKEN,
    ['~'] = MSRP_TOKEN | UNRESERVED,
};
