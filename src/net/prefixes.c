#include "net/prefixes.h"

#include <errno.h>
#include <stdlib.h>

struct prefix {
	union addr addr;
	unsigned bits;
};

int prefixes_check(const void *value, struct reason *why)
{
	struct prefix prefix;

	if (addr_parse_prefix(&prefix.addr, &prefix.bits, slice_of(*(char *const *)value)) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not an address or a prefix, like 192.0.2.0/24");
}

int prefixes_set(struct prefixes *prefixes, const struct setting_list *list)
{
	struct prefix *items = calloc(list->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		addr_parse_prefix(&items[i].addr, &items[i].bits,
		    slice_of(((char *const *)list->items)[i]));
	free(prefixes->items);
	*prefixes = (struct prefixes){items, list->count};
	return 0;
}

bool prefixes_have(const struct prefixes *prefixes, const union addr *addr)
{
	for (size_t i = 0; i < prefixes->count; i++)
		if (addr_in_prefix(addr, &prefixes->items[i].addr, prefixes->items[i].bits))
			return true;
	return false;
}

void prefixes_fini(struct prefixes *prefixes)
{
	free(prefixes->items);
	*prefixes = (struct prefixes){NULL, 0};
}
