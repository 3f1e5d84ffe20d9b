/* What the config says about MSRP in several sections must fit together. */
#pragma once

#include "config.h"

/** A config_hook: listeners, my_uri of the UA and the relay, relay_uri. */
int config_check_msrp(const struct config *cfg, struct config_load *load, void *arg);
