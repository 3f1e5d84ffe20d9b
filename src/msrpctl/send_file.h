/* A file is sent, and one sees how far it is. */
#pragma once

#include "msrpctl/msrpctl.h"

/** args: URI or SESSION, PATH, and perhaps from=URI, mime=TYPE, name=NAME.  @return exit status */
int send_file(const struct options *options, char **args);
