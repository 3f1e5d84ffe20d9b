/* Checks of the config that no section can make alone. */
#pragma once

struct config;
struct config_load;

/**
 * Do the sections go together?  What can work but is hardly meant is told to env.warn.
 *
 * @return 0, or what config_fail() returned
 */
int checks_run(const struct config *cfg, struct config_load *load);
