#include "relay/tables.h"

#include <errno.h>

#include "auth/users.h"
#include "msrp/stack.h"
#include "relay/relay.h"

/* Expires is whole seconds on the wire (RFC 4976 4.6), up to what its parser takes. */
enum { SECOND_MS = 1000, EXPIRES_MAX_S = 1000000000 };

#define EXPIRES(name, member, preset, help)                                              \
	{                                                                                \
		name, SETTING_DURATION, offsetof(struct relay_settings, member), preset, \
		    SECOND_MS, (uint64_t)EXPIRES_MAX_S *SECOND_MS, NULL, NULL, 0, 0,     \
		    check_seconds, help                                                  \
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

#define OF(member) offsetof(struct relay_settings, member)

const struct setting relay_settings_rows[] = {
    {"enabled", SETTING_BOOL, OF(enabled), "true", 0, 0, NULL, NULL, 0, SETTING_FIXED, NULL,
	"Whether msrpd is a relay at all."},
    {"my_uri", SETTING_TEXTS, OF(my_uri), NULL, 0, 0, NULL, NULL, 0, SETTING_FIXED,
	msrp_check_my_uri,
	"The URIs that clients know the relay by and that the granted URIs are made of. "
	"Default: every msrp listener."},
    {"auth_realm", SETTING_TEXT, OF(auth_realm), NULL, 0, 0, NULL, NULL, 0, 0, NULL,
	"Realm of the challenges. Default: the host of the AUTH's To-Path."},
    {"users", SETTING_MAP, OF(users), NULL, 0, 0, NULL, auth_user_rows, sizeof(struct auth_user), 0,
	auth_user_check,
	"Who may use the relay, by user name, beside the users of the whole daemon."},
    {"htdigest", SETTING_FILE, OF(htdigest), NULL, 0, 0, NULL, NULL, 0, 0, NULL,
	"More users: a file of user:realm:ha1 lines, as Apache's htdigest writes them."},
    EXPIRES("auth_expires", auth_expires_ms, "1800s",
	"How long a granted URI lives when the AUTH asks for nothing else."),
    EXPIRES("auth_min_expires", auth_min_expires_ms, "60s",
	"An AUTH that asks for less is answered 423."),
    EXPIRES("auth_max_expires", auth_max_expires_ms, "3600s",
	"An AUTH that asks for more is answered 423."),
    {"auth_algorithm", SETTING_CHOICE, OF(auth_algorithm), "MD5", 0, 0, algorithms, NULL, 0, 0,
	NULL, "Hash of the challenges; one WWW-Authenticate, never two."},
    {"nonce_expire", SETTING_DURATION, OF(nonce_expire_ms), "30s", SECOND_MS, 0, NULL, NULL, 0, 0,
	NULL, "How long a nonce may be used; of SIP too."},
    {"max_auth_attempts", SETTING_NUMBER, OF(max_auth_attempts), "3", 1, 1000, NULL, NULL, 0, 0,
	NULL, "AUTHs with wrong credentials on one connection, then it is closed."},
    {"allow_plain_auth", SETTING_BOOL, OF(allow_plain_auth), "false", 0, 0, NULL, NULL, 0, 0, NULL,
	"Whether AUTH is served without TLS too, which RFC 4976 forbids; for labs."},
    {"cleanup_interval", SETTING_DURATION, OF(cleanup_interval_ms), "60s", SECOND_MS, 0, NULL, NULL,
	0, 0, NULL,
	"How often memory that the ends of many sessions have left unused is given back."},
    {"hash_size", SETTING_NUMBER, OF(hash_size), "10", 1, 20, NULL, NULL, 0, SETTING_FIXED, NULL,
	"A hint for the session table's first size, log2."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, 0, 0, NULL, NULL},
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
