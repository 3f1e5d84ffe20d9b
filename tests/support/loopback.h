/* Where a test's streams come in. */
#pragma once

#include "net/listener.h"

/** Open one at a free port of loopback; its name and transport are given.  Fails the test if not. */
void loopback_listen(struct net_listener *listener);
