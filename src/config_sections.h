/*
 * The sections of the file: the row of each, those of the services among them, and the struct that
 * they fill.
 */
#pragma once

#include "config.h"

/** All zero: settings_read() is to fill it, by its config_rows().  @return NULL: no memory */
struct config *config_new(const struct config_env *env);
