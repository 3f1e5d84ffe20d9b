/* Events as they come. */
#pragma once

#include <stdio.h>

#include "msrpctl/msrpctl.h"

/** Until interrupted, or msrpd is gone.  @return exit status */
int follow_events(FILE *stream, const struct options *options, char **names);
