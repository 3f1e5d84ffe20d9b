/* The services that this daemon has: a new one is a line here and in services.c. */
#pragma once

#include <msrpd/service.h>

enum { SERVICES = 8 };

extern const struct service *const services[SERVICES + 1]; /* NULL-terminated */
