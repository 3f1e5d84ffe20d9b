/* What rules see of an event: $event and $param(name). */
#pragma once

#include <msrpd/route.h>

/** Of a struct event_notice. */
extern const struct route_variable event_variables[];
