#include "base/chars.h"

#define UNRESERVED (CHARS_HOST | CHARS_SESSION | CHARS_USERINFO)
#define DIGIT      (CHARS_DIGIT | CHARS_IDENT | CHARS_TOKEN | UNRESERVED)
#define ALPHA      (CHARS_ALPHA | CHARS_IDENT | CHARS_TOKEN | UNRESERVED)

const uint8_t chars_classes[256] = {
    ['0' ... '9'] = DIGIT,
    ['A' ... 'Z'] = ALPHA,
    ['a' ... 'z'] = ALPHA,
    ['!'] = CHARS_TOKEN | CHARS_USERINFO,
    ['#'] = CHARS_TOKEN,
    ['$'] = CHARS_TOKEN | CHARS_USERINFO,
    ['%'] = CHARS_IDENT | CHARS_TOKEN | CHARS_USERINFO,
    ['&'] = CHARS_TOKEN | CHARS_USERINFO,
    ['\''] = CHARS_TOKEN | CHARS_USERINFO,
    ['('] = CHARS_USERINFO,
    [')'] = CHARS_USERINFO,
    ['*'] = CHARS_TOKEN | CHARS_USERINFO,
    ['+'] = CHARS_IDENT | CHARS_TOKEN | CHARS_SESSION | CHARS_USERINFO,
    [','] = CHARS_USERINFO,
    ['-'] = CHARS_IDENT | CHARS_TOKEN | UNRESERVED,
    ['.'] = CHARS_IDENT | CHARS_TOKEN | UNRESERVED,
    ['/'] = CHARS_SESSION,
    [':'] = CHARS_USERINFO,
    [';'] = CHARS_USERINFO,
    ['='] = CHARS_IDENT | CHARS_SESSION | CHARS_USERINFO,
    ['^'] = CHARS_TOKEN,
    ['_'] = CHARS_TOKEN | UNRESERVED,
    ['`'] = CHARS_TOKEN,
    ['{'] = CHARS_TOKEN,
    ['|'] = CHARS_TOKEN,
    ['}'] = CHARS_TOKEN,
    ['~'] = CHARS_TOKEN | UNRESERVED,
};
