/*
 * A ring of records, each a line with the names that it is about.  The oldest go when a new one
 * needs their place.  A story is found by looking through all of it: somebody waits for it at a
 * terminal, and while nobody does nothing has to be kept in order.
 */
#include "base/story.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

enum {
	LINE_MAX_BYTES = 1024,
	NAME_MAX_BYTES = 255,
	REFUSED_SLOTS = 1024,  /* of those that were told already */
	REFUSED_A_SECOND = 20, /* lines */
	FOUND_MAX = 64,        /* names of one story */
	MILLISECONDS = 1000,
};

enum name_kind { SESSION, CALL, KEY, CONN, NAMES };

/* In the ring; behind it its names and its text. */
struct record {
	uint32_t
	    size; /* with all, a multiple of its alignment; what is left at the ring's end: 0 */
	uint8_t level;
	uint8_t lengths[NAMES];
	uint16_t text_len;
	uint64_t when_ms;
};

static struct {
	char *ring;
	size_t size;
	size_t first, end; /* of the oldest record, and where the next one goes */
	size_t used; /* bytes from first to end, what is left over at the ring's end included */

	uint32_t refused[REFUSED_SLOTS]; /* hashes */
	uint64_t second;                 /* of the lines that were logged in it */
	unsigned logged, silent;
} memory;

int story_open(size_t bytes)
{
	char *ring = NULL;

	bytes -= bytes % sizeof(uint64_t);
	if (bytes == memory.size)
		return 0;
	if (bytes && !(ring = malloc(bytes)))
		return -ENOMEM;
	free(memory.ring);
	memory.ring = ring;
	memory.size = bytes;
	memory.first = memory.end = memory.used = 0;
	return 0;
}

void story_close(void)
{
	story_open(0);
}

bool story_is_on(void)
{
	return memory.size > 0;
}

/* --- the ring --- */

static struct record *record_at(size_t at)
{
	return (struct record *)(void *)(memory.ring + at);
}

/* Is there no record at that place, but the rest of the ring? */
static bool is_rest(size_t at)
{
	return memory.size - at < sizeof(struct record) || record_at(at)->size == 0;
}

static void drop_first(void)
{
	size_t size =
	    is_rest(memory.first) ? memory.size - memory.first : record_at(memory.first)->size;

	memory.used -= size;
	memory.first = (memory.first + size) % memory.size;
}

/* @return the place of a record of that size, or NULL: there is no such room at all */
static struct record *make_room(size_t size)
{
	size_t rest = memory.size - memory.end;
	struct record *r;

	if (size > memory.size / 4)
		return NULL;
	if (rest < size) {
		while (memory.size - memory.used < rest)
			drop_first();
		if (rest >= sizeof(*r))
			record_at(memory.end)->size = 0;
		memory.used += rest;
		memory.end = 0;
	}
	while (memory.size - memory.used < size)
		drop_first();
	r = record_at(memory.end);
	memory.end = (memory.end + size) % memory.size;
	memory.used += size;
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * MILLISECONDS + (uint64_t)now.tv_nsec / 1000000;
}

/* The names of a record, of which those that are too long are none. */
struct names {
	struct slice of[NAMES];
	char conn[32];
};

static void take_names(struct names *names, const struct story *of)
{
	names->of[SESSION] = of->session_id;
	names->of[CALL] = of->call_id;
	names->of[KEY] = of->key;
	names->of[CONN] = (struct slice){NULL, 0};
	if (of->stack) {
		snprintf(names->conn, sizeof(names->conn), "%s %" PRIu64, of->stack, of->conn);
		names->of[CONN] = slice_of(names->conn);
	}
	for (size_t i = 0; i < NAMES; i++)
		if (names->of[i].len > NAME_MAX_BYTES)
			names->of[i].len = 0;
}

static void remember(enum log_level level, const struct names *names, struct slice text)
{
	size_t size = sizeof(struct record) + text.len;
	struct record *r;
	char *p;

	for (size_t i = 0; i < NAMES; i++)
		size += names->of[i].len;
	size = (size + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
	r = memory.size ? make_room(size) : NULL;
	if (!r)
		return;
	*r = (struct record){.size = (uint32_t)size,
	    .level = (uint8_t)level,
	    .text_len = (uint16_t)text.len,
	    .when_ms = now_ms()};
	p = (char *)(r + 1);
	for (size_t i = 0; i < NAMES; i++) {
		r->lengths[i] = (uint8_t)names->of[i].len;
		slice_pack(&p, names->of[i]);
	}
	slice_pack(&p, text);
}

/* --- telling --- */

static struct slice format_line(char line[LINE_MAX_BYTES], const char *format, va_list args)
{
	int n = vsnprintf(line, LINE_MAX_BYTES, format, args);

	return (
	    struct slice){line, n < LINE_MAX_BYTES ? (size_t)(n > 0 ? n : 0) : LINE_MAX_BYTES - 1};
}

void story_text(enum log_level level, const struct story *of, struct slice text)
{
	struct names names;

	take_names(&names, of);
	remember(level, &names, slice_head(text, LINE_MAX_BYTES - 1));
	if (level <= log_threshold)
		log_text(level, text);
}

void story_note(enum log_level level, const struct story *of, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	struct slice text;
	va_list args;

	if (!memory.size && level > log_threshold)
		return;
	va_start(args, format);
	text = format_line(line, format, args);
	va_end(args);
	story_text(level, of, text);
}

/* FNV-1a: who makes two of them collide has spared the log a line of his own. */
static uint32_t hash(uint32_t h, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static bool has_name(const struct names *names)
{
	size_t len = 0;

	for (size_t i = 0; i < NAMES; i++)
		len += names->of[i].len;
	return len > 0;
}

/* Was this told of that session before? */
static bool is_known(const struct names *names, int code)
{
	uint32_t h = hash(2166136261u, (struct slice){(const char *)&code, sizeof(code)});
	size_t i = 0;
	bool known;

	while (i < CONN && names->of[i].len == 0)
		i++;
	h = hash(h, names->of[i]);
	known = memory.refused[h % REFUSED_SLOTS] == h;
	memory.refused[h % REFUSED_SLOTS] = h;
	return known;
}

/* May one more line be logged in this second? */
static bool may_log(void)
{
	uint64_t second = now_ms() / MILLISECONDS;

	if (second != memory.second) {
		if (memory.silent)
			log_info("refused: %u more", memory.silent);
		memory.second = second;
		memory.logged = memory.silent = 0;
	}
	if (memory.logged < REFUSED_A_SECOND) {
		memory.logged++;
		return true;
	}
	memory.silent++;
	return false;
}

void story_often(const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	if (log_threshold < LOG_LEVEL_INFO || !may_log())
		return;
	va_start(args, format);
	log_text(LOG_LEVEL_INFO, format_line(line, format, args));
	va_end(args);
}

void story_refuse(const struct story *of, int code, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	struct names names;
	struct slice text;
	va_list args;

	take_names(&names, of);
	if (has_name(&names) && is_known(&names, code))
		return;
	va_start(args, format);
	text = format_line(line, format, args);
	va_end(args);
	remember(LOG_LEVEL_INFO, &names, text);
	if (log_threshold >= LOG_LEVEL_INFO && may_log())
		log_text(LOG_LEVEL_INFO, text);
}

/* --- asking --- */

/* Names that belong to the story. */
struct found {
	struct slice names[FOUND_MAX], conns[FOUND_MAX];
	size_t name_count, conn_count;
};

static struct slice name_of(const struct record *r, size_t which)
{
	const char *p = (const char *)(r + 1);

	for (size_t i = 0; i < which; i++)
		p += r->lengths[i];
	return (struct slice){p, r->lengths[which]};
}

static struct slice text_of(const struct record *r)
{
	return (struct slice){name_of(r, CONN).p + r->lengths[CONN], r->text_len};
}

static bool has(const struct slice *names, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(names[i], name))
			return true;
	return false;
}

static bool add(struct slice *names, size_t *count, struct slice name)
{
	if (name.len == 0 || *count == FOUND_MAX || has(names, *count, name))
		return false;
	names[(*count)++] = name;
	return true;
}

static bool is_about(const struct found *f, const struct record *r)
{
	bool named = false;

	for (size_t i = 0; i < CONN; i++) {
		struct slice name = name_of(r, i);

		if (name.len && has(f->names, f->name_count, name))
			return true;
		named = named || name.len;
	}
	/* Of a connection that several sessions share, only what is about none of them. */
	return !named && has(f->conns, f->conn_count, name_of(r, CONN));
}

/* @return the next record behind *at, which begins at 0, or NULL */
static const struct record *next(size_t *at)
{
	size_t place = (memory.first + *at) % (memory.size ? memory.size : 1);

	if (*at < memory.used && is_rest(place)) {
		*at += memory.size - place;
		place = 0;
	}
	if (*at >= memory.used)
		return NULL;
	*at += record_at(place)->size;
	return record_at(place);
}

/* @return were there new names? */
static bool gather(struct found *f)
{
	const struct record *r;
	bool more = false;
	size_t at = 0;

	while ((r = next(&at))) {
		if (!is_about(f, r))
			continue;
		for (size_t i = 0; i < CONN; i++)
			more = add(f->names, &f->name_count, name_of(r, i)) || more;
		add(f->conns, &f->conn_count, name_of(r, CONN));
	}
	return more;
}

size_t story_tell(struct slice name, void (*fn)(const struct story_line *line, void *arg),
    void *arg)
{
	struct found f = {.names = {name}, .name_count = 1};
	const struct record *r;
	size_t at = 0, count = 0;

	if (name.len == 0)
		return 0;
	while (gather(&f))
		;
	while ((r = next(&at))) {
		struct story_line line = {r->when_ms, (enum log_level)r->level, text_of(r)};

		if (!is_about(&f, r))
			continue;
		count++;
		fn(&line, arg);
	}
	return count;
}
