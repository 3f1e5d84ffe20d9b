/* Media types in accept-types and accept-wrapped-types: RFC 4975 sections 8.6 and 9. */
#include "sip/sdp.h"

/* The next entry of a list, parameters and all: a quoted parameter may hold spaces. */
static bool next_entry(struct slice *rest, struct slice *entry)
{
	bool quoted = false;
	size_t i = 0, start;

	while (i < rest->len && rest->p[i] == ' ')
		i++;
	for (start = i; i < rest->len && (quoted || rest->p[i] != ' '); i++) {
		if (rest->p[i] == '\\' && quoted && i + 1 < rest->len)
			i++;
		else if (rest->p[i] == '"')
			quoted = !quoted;
	}
	*entry = (struct slice){rest->p + start, i - start};
	*rest = slice_from(*rest, i);
	return entry->len > 0;
}

static struct slice without_parameters(struct slice type)
{
	struct slice bare;

	if (!slice_cut(&type, ';', &bare))
		return (struct slice){"", 0};
	return slice_trim(bare);
}

/* "text/" of "text/plain"; empty for "*" */
static struct slice main_type(struct slice type)
{
	struct slice rest = type, main;

	slice_cut(&rest, '/', &main);
	return rest.p ? slice_head(type, main.len + 1) : (struct slice){"", 0};
}

static bool is_any_subtype(struct slice type)
{
	return type.len >= 2 && type.p[type.len - 1] == '*' && type.p[type.len - 2] == '/';
}

/* Both without parameters, and either may be a wildcard. */
static bool overlap(struct slice a, struct slice b)
{
	if (slice_equal(a, SLICE("*")) || slice_equal(b, SLICE("*")))
		return true;
	if (is_any_subtype(a) || is_any_subtype(b))
		return slice_equal_nocase(main_type(a), main_type(b));
	return slice_equal_nocase(a, b);
}

bool sdp_types_have(struct slice list, struct slice type)
{
	struct slice bare = without_parameters(type), entry;

	if (!list.p || main_type(bare).len < 2 || main_type(bare).len == bare.len)
		return false; /* no type/subtype at all */
	/* What most lists are, where each copy of a message asks. */
	if (slice_equal(list, SLICE("*")) || slice_equal(list, bare))
		return true;
	while (next_entry(&list, &entry))
		if (overlap(without_parameters(entry), bare))
			return true;
	return false;
}

bool sdp_types_common(struct slice a, struct slice b)
{
	struct slice x, y;

	if (!a.p || !b.p)
		return false;
	while (next_entry(&a, &x)) {
		struct slice rest = b;

		while (next_entry(&rest, &y))
			if (overlap(without_parameters(x), without_parameters(y)))
				return true;
	}
	return false;
}

bool sdp_types_have_container(struct slice list)
{
	return sdp_types_have(list, SLICE("message/cpim"))
	    || sdp_types_common(list, SLICE("multipart/*"));
}

/* Who lists nothing but envelopes, and not what may be in them, has not said that nothing may. */
static bool are_containers(struct slice list)
{
	struct slice entry;

	while (next_entry(&list, &entry))
		if (!overlap(without_parameters(entry), SLICE("message/cpim"))
		    && !overlap(without_parameters(entry), SLICE("multipart/*")))
			return false;
	return true;
}

bool sdp_types_have_wrapped(struct slice accept_types, struct slice accept_wrapped_types,
    struct slice type)
{
	return sdp_types_have_container(accept_types)
	    && (sdp_types_have(accept_wrapped_types, type) || sdp_types_have(accept_types, type)
		|| (!accept_wrapped_types.p && are_containers(accept_types)));
}
