/* What msrpd does, second by second. */
#pragma once

#include "msrpctl/msrpctl.h"

/** On a terminal until q or an interrupt; elsewhere once.  @return exit status */
int top(const struct options *options);
