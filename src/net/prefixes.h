/* A list of addresses in the config: "192.0.2.9", "2001:db8::/32". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/setting.h>

#include "base/addr.h"

struct prefix;

/** Zeroed: none. */
struct prefixes {
	struct prefix *items;
	size_t count;
};

/** For setting.check of each of the texts. */
int prefixes_check(const void *value, struct reason *why);

/** Take what a list of such texts says instead of what was there.  @return 0, or -ENOMEM */
int prefixes_set(struct prefixes *prefixes, const struct setting_list *list);

bool prefixes_have(const struct prefixes *prefixes, const union addr *addr);
void prefixes_fini(struct prefixes *prefixes);
