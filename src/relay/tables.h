/* What the service consists of: tables of settings.c, action.c, method.c and facts.c. */
#pragma once

#include <msrpd/service.h>
#include <msrpd/setting.h>

extern const struct setting relay_settings_rows[];
extern const struct action relay_actions[];
extern const struct method relay_methods[];
extern const struct route_variable relay_variables[];
extern const struct route_transform relay_transforms[];

/** Minimum, default and maximum of Expires must be in order. */
int relay_settings_check(const void *settings, struct reason *why);
