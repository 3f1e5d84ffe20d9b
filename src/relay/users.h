/* Who may use the relay: relay.users and relay.htdigest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/reason.h>
#include <msrpd/slice.h>

struct relay_settings;
struct users;

/** What an AUTH is checked against: one of the three, the others absent. */
struct secret {
	struct slice password;
	struct slice ha1; /* MD5, hex */
	struct slice ha1_sha256;
};

/** @return 0, -ENOMEM, or -EINVAL and others with why: a htdigest file that cannot be used */
int users_new(struct users **usersp, const struct relay_settings *settings, struct reason *why);
void users_free(struct users *users);

/** The map of the config first, then htdigest; the secret borrows users. @return false: nobody */
bool users_find(const struct users *users, struct slice name, struct slice realm,
    struct secret *secret);
