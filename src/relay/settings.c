#include "relay/tables.h"

#include <errno.h>

#include "auth/users.h"
#include "msrp/stack.h"
#include "relay/relay.h"

/* Expires is whole seconds on the wire (RFC 4976 4.6), up to what its parser takes. */
enum { SECOND_MS = 1000, EXPIRES_MAX_S = 1000000000 };

#define OF(member) offsetof(struct relay_settings, member)
#define EXPIRES(text, member, value, sentence)                                                     \
	{                                                                                          \
		.name = (text), .type = SETTING_DURATION, .offset = OF(member), .preset = (value), \
		.min = SECOND_MS, .max = (uint64_t)EXPIRES_MAX_S * SECOND_MS,                      \
		.check = check_seconds, .help = (sentence)                                         \
	}

static int check_seconds(const void *value, struct reason *why)
{
	if (*(const uint64_t *)value % SECOND_MS == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not a whole number of seconds");
}

static const char *const algorithms[] = {
    [DIGEST_MD5] = "MD5",
    [DIGEST_SHA256] = "SHA-256",
    NULL,
};

const struct setting relay_settings_rows[] = {
    {.name = "enabled",
	.type = SETTING_BOOL,
	.offset = OF(enabled),
	.preset = "true",
	.flags = SETTING_FIXED,
	.help = "Whether msrpd is a relay at all."},
    {.name = "my_uri",
	.type = SETTING_TEXTS,
	.offset = OF(my_uri),
	.flags = SETTING_FIXED,
	.check = msrp_check_my_uri,
	.help = "The URIs that clients know the relay by and that the granted URIs are made of. "
		"Default: every msrp listener."},
    {.name = "auth_realm",
	.type = SETTING_TEXT,
	.offset = OF(auth_realm),
	.help = "Realm of the challenges. Default: the host of the AUTH's To-Path."},
    {.name = "users",
	.type = SETTING_MAP,
	.offset = OF(users),
	.group = auth_user_rows,
	.item_size = sizeof(struct auth_user),
	.check = auth_user_check,
	.help = "Who may use the relay, by user name, beside the users of the whole daemon."},
    {.name = "htdigest",
	.type = SETTING_FILE,
	.offset = OF(htdigest),
	.help = "More users: a file of user:realm:ha1 lines, as Apache's htdigest writes them."},
    EXPIRES("auth_expires", auth_expires_ms, "1800s",
	"How long a granted URI lives when the AUTH asks for nothing else."),
    EXPIRES("auth_min_expires", auth_min_expires_ms, "60s",
	"An AUTH that asks for less is answered 423."),
    EXPIRES("auth_max_expires", auth_max_expires_ms, "3600s",
	"An AUTH that asks for more is answered 423."),
    {.name = "auth_algorithm",
	.type = SETTING_CHOICE,
	.offset = OF(auth_algorithm),
	.preset = "MD5",
	.choices = algorithms,
	.help = "Hash of the challenges; one WWW-Authenticate, never two."},
    {.name = "nonce_expire",
	.type = SETTING_DURATION,
	.offset = OF(nonce_expire_ms),
	.preset = "30s",
	.min = SECOND_MS,
	.help = "How long a nonce may be used; of SIP too."},
    {.name = "max_auth_attempts",
	.type = SETTING_NUMBER,
	.offset = OF(max_auth_attempts),
	.preset = "3",
	.min = 1,
	.max = 1000,
	.help = "AUTHs with wrong credentials on one connection, then it is closed."},
    {.name = "max_sessions",
	.type = SETTING_NUMBER,
	.offset = OF(max_sessions),
	.preset = "100000",
	.max = UINT32_MAX,
	.help = "URIs that are granted at a time; an AUTH for one more is answered 408; 0 is any."},
    {.name = "max_sessions_per_user",
	.type = SETTING_NUMBER,
	.offset = OF(max_sessions_per_user),
	.preset = "10000",
	.max = UINT32_MAX,
	.help = "Of one user, over all his connections; an AUTH for one more is answered 403; 0 is "
		"any. Who has shown a certificate is no user."},
    {.name = "allow_plain_auth",
	.type = SETTING_BOOL,
	.offset = OF(allow_plain_auth),
	.preset = "false",
	.help = "Whether AUTH is served without TLS too, which RFC 4976 forbids; for labs."},
    {.name = "cleanup_interval",
	.type = SETTING_DURATION,
	.offset = OF(cleanup_interval_ms),
	.preset = "60s",
	.min = SECOND_MS,
	.help = "How often memory that the ends of many sessions have left unused is given back."},
    {.name = "hash_size",
	.type = SETTING_NUMBER,
	.offset = OF(hash_size),
	.preset = "10",
	.min = 1,
	.max = 20,
	.flags = SETTING_FIXED,
	.help = "A hint for the session table's first size, log2."},
    {0},
};

int relay_settings_check(const void *settings, struct reason *why)
{
	const struct relay_settings *s = settings;

	if (s->auth_min_expires_ms > s->auth_max_expires_ms)
		reason_set(why, -EINVAL, "has auth_min_expires above auth_max_expires");
	else if (s->auth_expires_ms < s->auth_min_expires_ms
	    || s->auth_expires_ms > s->auth_max_expires_ms)
		reason_set(why, -EINVAL,
		    "has auth_expires outside auth_min_expires and auth_max_expires");
	else
		return 0;
	return -EINVAL;
}
