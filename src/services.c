#include "services.h"

#include "anchor/anchor.h"
#include "app/app.h"
#include "conf/conf.h"
#include "files/files.h"
#include "gw/gw.h"
#include "registrar/registrar.h"
#include "relay/relay.h"
#include "trace/trace.h"

const struct service *const services[SERVICES + 1] = {
    &anchor_service,
    &app_service,
    &gw_service,
    &conf_service,
    &files_service,
    &relay_service,
    &registrar_service,
    &trace_service,
    NULL,
};
