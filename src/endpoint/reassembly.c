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

	a->position = offset;
	/* The usual chunk goes on where the one before it ended. */
	if (at && end_of(&a->fragments[at - 1]) >= offset) {
		a->open = at - 1;
		return 0;
	}
	err = insert(a, at, offset);
	if (err < 0)
		return err;
	a->open = at;
	return 0;
}

static int reserve(struct reassembly *a, struct fragment *f, size_t more)
{
	size_t cap = f->cap ? f->cap : FIRST_CAP;
	char *grown;

	if (more > SIZE_MAX / 4 - f->len)
		return -ENOMEM;
	while (cap < f->len + more)
		cap *= 2;
	if (cap == f->cap)
		return 0;
	grown = realloc(f->bytes, cap);
	if (!grown)
		return -ENOMEM;
	a->held += cap - f->cap;
	f->bytes = grown;
	f->cap = cap;
	return 0;
}

/* How many bytes fragment f may take behind its last one, before the next one begins. */
static uint64_t room_behind(const struct reassembly *a, const struct fragment *f)
{
	return f + 1 < a->fragments + a->count ? f[1].offset - end_of(f) : UINT64_MAX;
}

/* @return how many bytes of the front of bytes went into f; 0: the next fragment takes them */
static ssize_t add_to(struct reassembly *a, struct fragment *f, struct slice bytes)
{
	size_t at = (size_t)(a->position - f->offset), n = f->len - at;

	if (n == 0) {
		uint64_t room = room_behind(a, f);

		n = room < bytes.len ? (size_t)room : bytes.len;
		if (reserve(a, f, n) < 0)
			return -ENOMEM;
		f->len += n;
	}
	if (n > bytes.len)
		n = bytes.len;
	if (n)
		memcpy(f->bytes + at, bytes.p, n);
	return (ssize_t)n;
}

int reassembly_add(struct reassembly *a, struct slice bytes)
{
	while (bytes.len) {
		ssize_t n = add_to(a, &a->fragments[a->open], bytes);

		if (n < 0)
			return (int)n;
		if (n == 0)
			a->open++;
		a->position += (size_t)n;
		bytes = slice_from(bytes, (size_t)n);
	}
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

bool reassembly_complete(const struct reassembly *a)
{
	uint64_t reached = 0;

	for (size_t i = 0; i < a->count && a->fragments[i].offset == reached; i++)
		reached = end_of(&a->fragments[i]);
	return a->total_known && reached >= a->total;
}

struct slice reassembly_at(const struct reassembly *a, uint64_t offset)
{
	size_t at = find_behind(a, offset);
	const struct fragment *f = at ? &a->fragments[at - 1] : NULL;

	if (!f || end_of(f) <= offset)
		return (struct slice){"", 0};
	return (struct slice){f->bytes + (offset - f->offset), (size_t)(end_of(f) - offset)};
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
