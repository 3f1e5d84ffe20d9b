/*
 * A chat room in little, as a service that is built on <msrpd/...> alone: messages go to
 * everybody else by one shared body, nicknames are unique (RFC 7701).
 */
#pragma once

#include <msrpd/service.h>

/** Its one action takes an INVITE into the room; its one event tells who has come. */
extern const struct service room_service;
