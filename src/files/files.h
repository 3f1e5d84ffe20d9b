/* A service: files over MSRP (RFC 5547), from disk and to disk: docs/files.md. */
#pragma once

#include <msrpd/service.h>

extern const struct service files_service;
