#include "config_doubts.h"

#include <stdbool.h>

#include "relay/relay.h"

/* Is size less than so many halves of another?  No product here can overflow. */
static bool is_less(uint64_t size, uint64_t halves, uint64_t of)
{
	return size / halves < of / 2;
}

void config_warn_of_doubts(const struct config *cfg, struct config_load *load)
{
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	/* base64 makes a body a third longer, and the JSON around it comes on top */
	if (is_less(cfg->control.max_request, 3, cfg->msrp.max_message_size))
		config_warn(load, "control.max_request",
		    "control.max_request is less than 1.5 times msrp.max_message_size");
	if (is_less(cfg->control.max_backlog, 4, cfg->control.max_request))
		config_warn(load, "control.max_backlog",
		    "control.max_backlog is less than twice control.max_request");
	if (relay && relay->enabled && relay->allow_plain_auth)
		config_warn(load, "relay.allow_plain_auth",
		    "relay.allow_plain_auth serves AUTH without TLS, which RFC 4976 forbids");
}
