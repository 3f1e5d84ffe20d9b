/* A service: what goes over the wire, written down for people who look for a fault. */
#pragma once

#include <msrpd/service.h>

/** The `trace:` section. */
struct trace_settings {
	char *directory; /* of the files; NULL: none are written */
	char *hep;       /* HOST:PORT of the collector; NULL: none */
	uint64_t hep_id; /* of this node, for the collector */
	uint64_t queue;  /* bytes that wait to be written, and of messages that are not whole */
	uint64_t max_file, files;
};

extern const struct service trace_service;
