#include "forward/hold.h"

#include <stdlib.h>

static bool take(struct forwarder *fw, size_t bytes)
{
	if (bytes > HOLDS_MAX - fw->held || budget_take(msrp_stack_budget(fw->stack), bytes) < 0)
		return false;
	fw->held += bytes;
	return true;
}

static void give_back(struct forwarder *fw, size_t bytes)
{
	budget_return(msrp_stack_budget(fw->stack), bytes);
	fw->held -= bytes;
}

/* Twice as much as before, for what comes in small pieces. */
static bool reserve(struct hold *hold, struct forwarder *fw, size_t len)
{
	size_t cap = len > 2 * (size_t)hold->cap ? len : 2 * (size_t)hold->cap;
	char *text;

	if (len <= hold->cap)
		return true;
	if (cap > HOLD_MAX)
		cap = HOLD_MAX;
	if (!take(fw, cap - hold->cap))
		return false;
	text = realloc(hold->text, cap);
	if (!text) {
		give_back(fw, cap - hold->cap);
		return false;
	}
	hold->text = text;
	hold->cap = (uint32_t)cap;
	return true;
}

bool hold_keep(struct hold *hold, struct forwarder *fw)
{
	size_t len = hold->len + hold->piece.len;

	if (!reserve(hold, fw, len))
		return false;
	if (hold->piece.len)
		memcpy(hold->text + hold->len, hold->piece.p, hold->piece.len);
	hold->len = (uint32_t)len;
	hold->piece = NOTHING;
	return true;
}

bool hold_add(struct hold *hold, struct forwarder *fw, struct slice piece)
{
	if (piece.len > HOLD_MAX - hold->len - hold->piece.len)
		return false;
	if (hold->piece.len && !hold_keep(hold, fw))
		return false;
	hold->piece = piece;
	return true;
}

void hold_drop(struct hold *hold, struct forwarder *fw)
{
	if (hold->cap)
		give_back(fw, hold->cap);
	free(hold->text);
	*hold = (struct hold){.text = NULL};
}
