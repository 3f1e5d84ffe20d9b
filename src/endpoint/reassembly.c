#include "endpoint/reassembly.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAP = 4096 };

static uint64_t end_of(const struct fragment *f)
{
	return f->offset + f->len;
}

/* Index of the first fragment that begins behind offset. */
static size_t find_behind(const struct reassembly *a, uint64_t offset)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->fragments[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert(struct reassembly *a, size_t at, uint64_t offset)
{
	size_t cap = a->cap ? a->cap * 2 : 4;
	struct fragment *fragments;

	if (a->count >= REASSEMBLY_FRAGMENTS_MAX)
		return -EMSGSIZE;
	if (a->count == a->cap) {
		fragments = realloc(a->fragments, cap * sizeof(*fragments));
		if (!fragments)
			return -ENOMEM;
		a->fragments = fragments;
		a->cap = cap;
	}
	memmove(a->fragments + at + 1, a->fragments + at, (a->count - at) * sizeof(*a->fragments));
	a->fragments[at] = (struct fragment){.offset = offset};
	a->count++;
	return 0;
}

int reassembly_begin(struct reassembly *a, uint64_t offset)
{
	size_t at = find_behind(a, offset);
	int err;

	/* The usual chunk goes on where the one before it ended. */
	if (at && end_of(&a->fragments[at - 1]) == offset) {
		a->open = at - 1;
		return 0;
	}
	err = insert(a, at, offset);
	if (err < 0)
		return err;
	a->open = at;
	return 0;
}

int reassembly_add(struct reassembly *a, struct slice bytes)
{
	struct fragment *f = &a->fragments[a->open];
	size_t cap = f->cap ? f->cap : FIRST_CAP;
	char *grown;

	if (bytes.len > SIZE_MAX / 4 - f->len)
		return -ENOMEM;
	while (cap < f->len + bytes.len)
		cap *= 2;
	if (cap != f->cap) {
		grown = realloc(f->bytes, cap);
		if (!grown)
			return -ENOMEM;
		a->held += cap - f->cap;
		f->bytes = grown;
		f->cap = cap;
	}
	memcpy(f->bytes + f->len, bytes.p, bytes.len);
	f->len += bytes.len;
	return 0;
}

static void remove_fragment(struct reassembly *a, size_t at)
{
	a->held -= a->fragments[at].cap;
	free(a->fragments[at].bytes);
	a->count--;
	memmove(a->fragments + at, a->fragments + at + 1, (a->count - at) * sizeof(*a->fragments));
}

void reassembly_set_total(struct reassembly *a, uint64_t total)
{
	a->total = total;
	a->total_known = true;
}

void reassembly_end(struct reassembly *a)
{
	const struct fragment *f = &a->fragments[a->open];
	uint64_t end = end_of(f);

	/* A chunk that another one covers has nothing to add. */
	if (a->open && end_of(f - 1) >= end && a->count > 1)
		remove_fragment(a, a->open);
}

bool reassembly_complete(const struct reassembly *a)
{
	uint64_t reached = 0;

	if (!a->total_known)
		return false;
	for (size_t i = 0; i < a->count && reached < a->total; i++) {
		if (a->fragments[i].offset > reached)
			return false;
		if (end_of(&a->fragments[i]) > reached)
			reached = end_of(&a->fragments[i]);
	}
	return reached >= a->total;
}

struct slice reassembly_at(const struct reassembly *a, uint64_t offset)
{
	size_t at = find_behind(a, offset);

	while (at--) {
		const struct fragment *f = &a->fragments[at];

		if (end_of(f) > offset)
			return (struct slice){f->bytes + (offset - f->offset),
			    (size_t)(end_of(f) - offset)};
	}
	return (struct slice){"", 0};
}

void reassembly_forget(struct reassembly *a, uint64_t offset)
{
	for (size_t i = a->count; i-- > 0;)
		if (end_of(&a->fragments[i]) <= offset)
			remove_fragment(a, i);
}

int reassembly_join(struct reassembly *a, struct slice *bodyp)
{
	size_t total = (size_t)a->total, at = 0;
	char *whole;

	if (a->count && a->fragments[0].offset == 0 && a->fragments[0].len >= total) {
		*bodyp = (struct slice){a->fragments[0].bytes ? a->fragments[0].bytes : "", total};
		return 0;
	}
	whole = malloc(total ? total : 1);
	if (!whole)
		return -ENOMEM;
	while (at < total) {
		struct slice part = slice_head(reassembly_at(a, at), total - at);

		memcpy(whole + at, part.p, part.len);
		at += part.len;
	}
	reassembly_fini(a);
	a->fragments = malloc(sizeof(*a->fragments));
	if (!a->fragments) {
		free(whole);
		return -ENOMEM;
	}
	a->fragments[0] = (struct fragment){.len = total, .cap = total, .bytes = whole};
	a->count = a->cap = 1;
	a->held = total;
	*bodyp = (struct slice){whole, total};
	return 0;
}

void reassembly_fini(struct reassembly *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->fragments[i].bytes);
	free(a->fragments);
	*a = (struct reassembly){0};
}
