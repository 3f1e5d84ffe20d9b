#include "ua/ua.h"

#include <errno.h>
#include <stddef.h>

#include "msrp/stack.h"

enum { CHUNK_MIN = 2048, CHUNK_MAX = 1 << 24 };

#define OF(member) offsetof(struct ua_settings, member)

const struct setting ua_settings_rows[] = {
    {.name = "my_uri",
	.type = SETTING_TEXTS,
	.offset = OF(my_uri),
	.check = msrp_check_my_uri,
	.help =
	    "The URI that peers reach the UA by, or several: the offer's TCP/MSRP or TCP/TLS/MSRP "
	    "picks. Default: the first listener of each scheme and transport."},
    {.name = "relay_uri",
	.type = SETTING_TEXT,
	.offset = OF(relay_uri),
	.check = msrp_check_my_uri,
	.help = "A relay (RFC 4976) that each session goes through."},
    {.name = "relay_chunk_size",
	.type = SETTING_SIZE,
	.offset = OF(relay_chunk_size),
	.preset = "8KiB",
	.min = CHUNK_MIN,
	.max = CHUNK_MAX,
	.help = "Bytes of body in a SEND through relay_uri."},
    {.name = "relay_idle_timeout",
	.type = SETTING_DURATION,
	.offset = OF(relay_idle_timeout_ms),
	.preset = "1h",
	.help = "How long the connection to the relay is kept after its last session."},
    {.name = "max_queued_bytes",
	.type = SETTING_SIZE,
	.offset = OF(max_queued_bytes),
	.preset = "8MiB",
	.help = "Bytes of messages that may wait on one session."},
    {.name = "max_duration",
	.type = SETTING_DURATION,
	.offset = OF(max_duration_ms),
	.preset = "12h",
	.help = "A session that lasts longer is ended; 0: no limit."},
    {.name = "reconnect_grace",
	.type = SETTING_DURATION,
	.offset = OF(reconnect_grace_ms),
	.preset = "5s",
	.help =
	    "A session that lost its connection ends after this long unless a re-INVITE has made "
	    "it anew; 0: at once."},
    SETTING_CLEANUP_INTERVAL(OF(cleanup_interval_ms)),
    SETTING_HASH_SIZE(OF(hash_size)),
    {0},
};
