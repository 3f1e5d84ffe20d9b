/* What a config may say, but hardly means: told to env.warn. */
#pragma once

#include "config.h"

void config_warn_of_doubts(const struct config *cfg, struct config_load *load);
