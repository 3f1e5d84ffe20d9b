#include "services.h"

#include "ua/ua.h"

const struct service *const services[SERVICES + 1] = {&ua_service, NULL};
