/* The rows of a map of users. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "auth/users.h"

static bool is_hex(const char *text, size_t len)
{
	if (strlen(text) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

int auth_ha1_check(const void *value, struct reason *why)
{
	if (is_hex(*(char *const *)value, 32))
		return 0;
	return reason_set(why, -EINVAL, "is not an MD5 hash: 32 hex digits");
}

static int check_ha1_sha256(const void *value, struct reason *why)
{
	if (is_hex(*(char *const *)value, 64))
		return 0;
	return reason_set(why, -EINVAL, "is not a SHA-256 hash: 64 hex digits");
}

#define USER(member) offsetof(struct auth_user, member)

const struct setting auth_user_rows[] = {
    {.name = "password", .type = SETTING_SECRET, .offset = USER(password), .help = "The password."},
    {.name = "ha1",
	.type = SETTING_SECRET,
	.offset = USER(ha1),
	.check = auth_ha1_check,
	.help =
	    "MD5 of user:realm:password in hex, instead of the password; for the algorithm MD5."},
    {.name = "ha1_sha256",
	.type = SETTING_SECRET,
	.offset = USER(ha1_sha256),
	.check = check_ha1_sha256,
	.help = "The same with SHA-256, for the algorithm SHA-256."},
    {0},
};

int auth_user_check(const void *value, struct reason *why)
{
	const struct auth_user *user = value;
	int secrets = (user->password != NULL) + (user->ha1 != NULL) + (user->ha1_sha256 != NULL);

	if (secrets == 1)
		return 0;
	return reason_set(why, -EINVAL, "needs one of password, ha1, ha1_sha256");
}
