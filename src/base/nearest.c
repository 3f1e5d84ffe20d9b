#include "base/nearest.h"

#include <stdio.h>

enum { NAME_MAX_LEN = 48 }; /* longer ones are nobody's slip of the finger */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance, one row of its matrix at a time. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[NAME_MAX_LEN + 1];

	for (size_t k = 0; k <= b.len; k++)
		row[k] = k;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			size_t above = row[k];

			row[k] =
			    least(above + 1, row[k - 1] + 1, diagonal + (a.p[i - 1] != b.p[k - 1]));
			diagonal = above;
		}
	}
	return row[b.len];
}

void nearest_offer(struct nearest *n, const char *known)
{
	struct slice other = slice_of(known);
	size_t d;

	if (n->name.len > NAME_MAX_LEN || other.len > NAME_MAX_LEN)
		return;
	d = distance(n->name, other);
	if (!n->best || d < n->distance) {
		n->best = known;
		n->distance = d;
	}
}

/* A third of the letters may be wrong, and one always. */
static bool is_near(const struct nearest *n)
{
	size_t len = strlen(n->best);

	return n->distance <= 1 + (len < n->name.len ? len : n->name.len) / 3 && n->distance < len;
}

const char *nearest_hint(const struct nearest *n, char hint[NEAREST_HINT_SIZE])
{
	hint[0] = '\0';
	if (n->best && is_near(n))
		snprintf(hint, NEAREST_HINT_SIZE, "; did you mean %s?", n->best);
	return hint;
}
