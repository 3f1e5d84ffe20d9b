/* The two halves of the sandbox. */
#pragma once

#include "sandbox/sandbox.h"

/** Take all files but those of s.  @return 0 or what the kernel said */
int sandbox_restrict_files(struct sandbox *s);

/** Take all system calls but those of a table.  @return 0 or a negative errno */
int sandbox_restrict_calls(void);
