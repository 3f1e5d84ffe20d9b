/* The service: sessions between two others, anchored here. */
#pragma once

#include <msrpd/service.h>

/** Its state is a struct anchors (msrpd/anchor.h). */
extern const struct service anchor_service;
