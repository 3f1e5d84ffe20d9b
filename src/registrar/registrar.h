/* The registrar: where the users of our domains are (RFC 3261 section 10), as a service. */
#pragma once

#include <stdbool.h>

#include <msrpd/service.h>

/** The section registrar: of the config. */
struct registrar_settings {
	bool given;                  /* without the section there is no registrar */
	struct setting_list domains; /* of char *; empty: the hosts that we are reached at */
	uint64_t min_expires_ms, default_expires_ms, max_expires_ms;
	uint64_t max_contacts; /* of one address-of-record */
};

/** save, lookup, registrar_* and the E_REGISTRATION_* events. */
extern const struct service registrar_service;
