/* A conversation in a terminal. */
#pragma once

#include "msrpctl/msrpctl.h"

/** args: URI, SESSION or ROOM, and perhaps from=URI.  @return exit status */
int chat(const struct options *options, char **args);
