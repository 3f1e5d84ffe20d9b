#include "services.h"

#include "gw/gw.h"
#include "ua/ua.h"

const struct service *const services[SERVICES + 1] = {&ua_service, &gw_service, NULL};
