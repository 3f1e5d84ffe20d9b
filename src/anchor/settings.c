#include <stddef.h>

#include "anchor/priv.h"

#define OF(field) offsetof(struct anchor_settings, field)

const struct setting anchor_settings_rows[] = {
    {.name = "max_sessions",
	.type = SETTING_NUMBER,
	.offset = OF(max_sessions),
	.preset = "10000",
	.min = 1,
	.help = "Anchored sessions at a time; one more INVITE is answered 503."},
    {.name = "ring_timeout",
	.type = SETTING_DURATION,
	.offset = OF(ring_timeout_ms),
	.preset = "3m",
	.min = 100,
	.help = "How long the callee may ring; then he gets a CANCEL, and the caller a 408."},
    {.name = "max_duration",
	.type = SETTING_DURATION,
	.offset = OF(max_duration_ms),
	.preset = "12h",
	.help = "After this an anchored session ends; 0: no limit."},
    {.name = "reconnect_grace",
	.type = SETTING_DURATION,
	.offset = OF(reconnect_grace_ms),
	.preset = "5s",
	.help =
	    "A session that has lost one of its connections, or whose peer is to connect and does "
	    "not, ends after this long unless it is there (RFC 4975 5.4); 0: at once, and no limit "
	    "for who is to connect."},
    {.name = NULL},
};
