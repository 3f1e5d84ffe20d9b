/* Does everything that msrpd needs fit together? */
#pragma once

#include "msrpctl/msrpctl.h"

/** args: a config file, or none.  @return EXIT_RESULT: nothing is wrong, else EXIT_ERROR */
int check(const struct options *options, char **args);
