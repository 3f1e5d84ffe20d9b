/* The users of a config: its maps, and lines of htdigest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/reason.h>
#include <msrpd/setting.h>
#include <msrpd/slice.h>

#include "base/digest.h"

/** A row of `users` and `relay.users`: exactly one of the three secrets is there. */
struct auth_user {
	char *name;
	char *password;
	char *ha1; /* MD5(user:realm:password), hex */
	char *ha1_sha256;
};

extern const struct setting auth_user_rows[];

/** The check of a ha1: an MD5 hash in hex. */
int auth_ha1_check(const void *value, struct reason *why);

/** For setting.check of a map of them. */
int auth_user_check(const void *value, struct reason *why);

enum { AUTH_MAPS_MAX = 2 };

/** Where users are; borrowed for the lifetime of what is made of it. */
struct auth_sources {
	const struct setting_list *maps[AUTH_MAPS_MAX]; /* of struct auth_user; NULL: none */
	const char *htdigest;                           /* path of the file; NULL: none */
};

struct users;

/** @return 0, -ENOMEM, or -EINVAL and others with why: a htdigest file that cannot be used */
int users_new(struct users **usersp, const struct auth_sources *sources, struct reason *why);
void users_free(struct users *users);

/**
 * The maps in their order, then htdigest.
 *
 * @param secret  filled; it borrows users
 * @return false: nobody
 */
bool users_find(const struct users *users, struct slice name, struct slice realm,
    struct digest_secret *secret);
