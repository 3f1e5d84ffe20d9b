#include "ua/ua.h"

#include <errno.h>
#include <stddef.h>

#include "msrp/stack.h"

enum { HASH_SIZE_MAX = 20, CLEANUP_MIN_MS = 100 };

#define OF(member) offsetof(struct ua_settings, member)

const struct setting ua_settings_rows[] = {
    {"my_uri", SETTING_TEXTS, OF(my_uri), NULL, 0, 0, NULL, NULL, 0, 0, msrp_check_my_uri,
	"The URI that peers reach the UA by, or several: the offer's TCP/MSRP or TCP/TLS/MSRP "
	"picks. Default: the first listener of each scheme."},
    {"relay_uri", SETTING_TEXT, OF(relay_uri), NULL, 0, 0, NULL, NULL, 0, 0, msrp_check_my_uri,
	"A relay (RFC 4976) that each session goes through."},
    {"relay_idle_timeout", SETTING_DURATION, OF(relay_idle_timeout_ms), "1h", 0, 0, NULL, NULL, 0,
	0, NULL, "How long the connection to the relay is kept after its last session."},
    {"max_queued_bytes", SETTING_SIZE, OF(max_queued_bytes), "8MiB", 0, 0, NULL, NULL, 0, 0, NULL,
	"Bytes of messages that may wait on one session."},
    {"max_duration", SETTING_DURATION, OF(max_duration_ms), "12h", 0, 0, NULL, NULL, 0, 0, NULL,
	"A session that lasts longer is ended; 0: no limit."},
    {"reconnect_grace", SETTING_DURATION, OF(reconnect_grace_ms), "5s", 0, 0, NULL, NULL, 0, 0,
	NULL,
	"A session that lost its connection ends after this long unless a re-INVITE has made "
	"it anew; 0: at once."},
    {"cleanup_interval", SETTING_DURATION, OF(cleanup_interval_ms), "60s", CLEANUP_MIN_MS, 0, NULL,
	NULL, 0, 0, NULL, "How often expired sessions are looked for."},
    {"hash_size", SETTING_NUMBER, OF(hash_size), "10", 1, HASH_SIZE_MAX, NULL, NULL, 0,
	SETTING_FIXED, NULL, "Log2 of the session table's first size, a hint."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, 0, 0, NULL, NULL},
};
