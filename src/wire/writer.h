/* The former names of base/buffer.h, until the last of their users has changed over. */
#pragma once

#include "base/buffer.h"

#define msrp_writer       buffer
#define MSRP_WRITER       BUFFER_ON
#define msrp_write        buffer_add
#define msrp_write_char   buffer_add_char
#define msrp_write_number buffer_add_number
#define msrp_written      buffer_text
#define msrp_write_result buffer_result
#define overflow          err
