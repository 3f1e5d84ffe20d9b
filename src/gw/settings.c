#include <stddef.h>

#include "gw/priv.h"

#define OF(member) offsetof(struct gw_settings, member)

static const char *const cpim_choices[] = {"auto", "pass", NULL};
static const char *const iscomposing_choices[] = {"drop", "forward", NULL};
static const char *const large_choices[] = {
    [PAGE_LARGE_TCP] = "tcp",
    [PAGE_LARGE_UDP] = "udp",
    [PAGE_LARGE_REFUSE] = "refuse",
    NULL,
};

const struct setting gw_settings_rows[] = {
    {.name = "session_timeout",
	.type = SETTING_DURATION,
	.offset = OF(session_timeout_ms),
	.preset = "12h",
	.help = "Neither side sent a message for this long: the session is ended; 0: off."},
    {.name = "message_timeout",
	.type = SETTING_DURATION,
	.offset = OF(message_timeout_ms),
	.preset = "2h",
	.help = "The MESSAGE side sent none for this long: the same; 0: off."},
    {.name = "max_queued",
	.type = SETTING_NUMBER,
	.offset = OF(max_queued),
	.preset = "100",
	.min = 1,
	.max = 100000,
	.help = "Messages that wait for one session's set-up or connection, or for one "
		"Request-URI; one more is refused."},
    {.name = "max_queued_bytes",
	.type = SETTING_SIZE,
	.offset = OF(max_queued_bytes),
	.preset = "1MiB",
	.min = 1,
	.help = "The same in bytes of their bodies."},
    {.name = "cpim",
	.type = SETTING_CHOICE,
	.offset = OF(cpim),
	.preset = "auto",
	.choices = cpim_choices,
	.help = "auto: unwrap message/cpim for a MESSAGE side, wrap for an MSRP side that "
		"takes nothing else; pass: leave bodies alone."},
    {.name = "iscomposing",
	.type = SETTING_CHOICE,
	.offset = OF(iscomposing),
	.preset = "drop",
	.choices = iscomposing_choices,
	.help = "What becomes of indications that somebody is typing."},
    {.name = "large_messages",
	.type = SETTING_CHOICE,
	.offset = OF(large_messages),
	.preset = "tcp",
	.choices = large_choices,
	.help =
	    "A MESSAGE of more than 1300 bytes goes over TCP, over UDP all the same, or is refused."},
    SETTING_CLEANUP_INTERVAL(OF(cleanup_interval_ms)),
    SETTING_HASH_SIZE(OF(hash_size)),
    {0},
};
