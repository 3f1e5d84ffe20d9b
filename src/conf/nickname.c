/* Nicknames: RFC 7701 section 7, prepared and compared as RFC 8266 says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

enum { NICKNAME_MAX = 1023 }; /* octets: RFC 7701 7.1 */

/* --- preparation --- */

/* The FreeformClass of RFC 8264 4.3, as far as it goes by properties of a character. */
static bool is_permitted(ucs4_t c)
{
	uc_general_category_t barred =
	    uc_general_category_or(uc_general_category_or(UC_CATEGORY_Cc, UC_CATEGORY_Cn),
		uc_general_category_or(UC_CATEGORY_Cs, UC_CATEGORY_Co));

	return !uc_is_general_category(c, barred)
	    && !uc_is_property(c, UC_PROPERTY_DEFAULT_IGNORABLE_CODE_POINT)
	    && !uc_is_property(c, UC_PROPERTY_NOT_A_CHARACTER);
}

/* RFC 8266 2.1: each run of spaces is one, and none at either end. */
static int map_spaces(struct buffer *b, struct slice text)
{
	const uint8_t *p = (const uint8_t *)text.p;
	bool space = false;

	while (text.len) {
		ucs4_t c;
		int n = u8_mbtoucr(&c, p, text.len);

		if (n <= 0 || !is_permitted(c))
			return -EINVAL;
		if (uc_is_general_category(c, UC_CATEGORY_Zs)) {
			space = b->len > 0;
		} else {
			if (space)
				buffer_add_char(b, ' ');
			buffer_add(b, slice_head(text, (size_t)n));
			space = false;
		}
		p += n;
		text = slice_from(text, (size_t)n);
	}
	return b->err;
}

/* @param lower  as names are compared  @return to be freed, NULL: no nickname, or no memory */
static char *normalise(struct slice text, bool lower)
{
	size_t len = 0;
	uint8_t *done = lower
	    ? u8_tolower((const uint8_t *)text.p, text.len, NULL, UNINORM_NFKC, NULL, &len)
	    : u8_normalize(UNINORM_NFKC, (const uint8_t *)text.p, text.len, NULL, &len);
	char *copy = done && len ? slice_dup((struct slice){(const char *)done, len}) : NULL;

	free(done);
	return copy;
}

static char *prepare(struct slice text, bool lower)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED}, again = {.max = BUFFER_UNBOUNDED};
	char *first = NULL, *done = NULL;

	if (map_spaces(&b, text) == 0 && b.len)
		first = normalise(buffer_text(&b), lower);
	/* RFC 8266 2.1: what normalisation brings may want the rules once more. */
	if (first && map_spaces(&again, slice_of(first)) == 0 && again.len)
		done = normalise(buffer_text(&again), lower);
	buffer_fini(&b);
	buffer_fini(&again);
	free(first);
	return done;
}

/* --- who may have it --- */

static bool is_same(const char *listed, const char *key)
{
	char *prepared = prepare(slice_of(listed), true);
	bool same = prepared && strcmp(prepared, key) == 0;

	free(prepared);
	return same;
}

static bool is_reserved(const struct conf_participant *p, const char *key)
{
	const struct setting_list *reserved = &p->room->conf->settings->reserved_nicknames;
	const struct conf_room_settings *room = p->room->settings;

	for (size_t i = 0; i < reserved->count; i++)
		if (is_same(((char *const *)reserved->items)[i], key))
			return true;
	for (size_t i = 0; room && i < room->users.count; i++) {
		const char *user = ((char *const *)room->users.items)[i];

		if (is_same(user, key)
		    && !conf_is_user(user, slice_of(p->real ? p->real : p->user->uri)))
			return true;
	}
	return false;
}

static struct conf_nickname *find(const struct conf_room *room, const char *key)
{
	struct conf_nickname *nickname;

	HASH_FIND(hh, room->nicknames, key, strlen(key), nickname);
	return nickname;
}

static struct conf_nickname *nickname_new(struct conf_room *room, const char *key,
    const char *owner)
{
	size_t len = strlen(key);
	struct conf_nickname *nickname = calloc(1, sizeof(*nickname) + len + 1);

	if (!nickname)
		return NULL;
	memcpy(nickname->key, key, len);
	nickname->owner = slice_dup(slice_of(owner));
	if (nickname->owner)
		HASH_ADD_KEYPTR(hh, room->nicknames, nickname->key, len, nickname);
	if (nickname->hh.tbl)
		return nickname;
	free(nickname->owner);
	free(nickname);
	return NULL;
}

/* --- taking and giving up --- */

static void nickname_free(struct conf_room *room, struct conf_nickname *nickname)
{
	HASH_DEL(room->nicknames, nickname);
	free(nickname->restored);
	free(nickname->owner);
	free(nickname);
}

/* The daemon's end gives nobody's name away. */
static void put(struct conf_room *room, struct conf_nickname *nickname)
{
	if (--nickname->holders)
		return;
	if (!room->conf->stopping)
		conf_store_nickname_gone(room, nickname);
	nickname_free(room, nickname);
}

void conf_nickname_release(struct conf_participant *p)
{
	if (p->nickname)
		put(p->room, p->nickname);
	free(p->shown);
	p->nickname = NULL;
	p->shown = NULL;
}

/* Takes shown, on success. */
static int hold(struct conf_participant *p, const char *key, char *shown)
{
	struct conf_nickname *nickname = find(p->room, key);

	if (nickname ? strcmp(nickname->owner, p->user->uri) != 0 : is_reserved(p, key))
		return 425;
	if (!nickname)
		nickname = nickname_new(p->room, key, p->user->uri);
	if (!nickname)
		return 413;
	nickname->holders++;
	conf_nickname_release(p);
	p->nickname = nickname;
	p->shown = shown;
	if (!p->real) /* an anonymous URI does not come again */
		conf_store_nickname(p->room, nickname, shown);
	return 200;
}

static int take(struct conf_participant *p, struct slice text)
{
	char *key = text.len <= NICKNAME_MAX ? prepare(text, true) : NULL;
	char *shown = key ? prepare(text, false) : NULL;
	int status = shown ? hold(p, key, shown) : 424;

	free(key);
	if (status != 200)
		free(shown);
	return status;
}

int conf_nickname_ask(struct conf_participant *p, struct slice text)
{
	int status = 200;

	if (!p->room->conf->settings->nicknames)
		return 403;
	if (!text.p)
		return 424;
	if (text.len)
		status = take(p, text);
	else
		conf_nickname_release(p);
	if (status == 200) {
		conf_tell_nickname(p);
		conf_roster_changed(p->room, p->user);
	}
	return status;
}

int conf_nickname_request(struct ua_session *s, struct slice text, void *arg)
{
	(void)s;
	return conf_nickname_ask(arg, text);
}

void conf_nickname_restore(struct conf_room *room, struct slice key, struct slice owner,
    struct slice shown)
{
	char *key_text = slice_dup(key), *owner_text = slice_dup(owner);
	struct conf_nickname *nickname = NULL;

	if (key_text && owner_text && !find(room, key_text))
		nickname = nickname_new(room, key_text, owner_text);
	if (nickname)
		nickname->restored = slice_dup(shown);
	free(key_text);
	free(owner_text);
}

void conf_nickname_welcome(struct conf_participant *p)
{
	struct conf_nickname *nickname, *next;

	HASH_ITER(hh, p->room->nicknames, nickname, next)
	{
		if (!nickname->restored || strcmp(nickname->owner, p->user->uri) != 0)
			continue;
		conf_nickname_release(p);
		p->nickname = nickname;
		p->shown = nickname->restored;
		nickname->holders++;
		nickname->restored = NULL;
	}
}

void conf_nicknames_free(struct conf_room *room)
{
	struct conf_nickname *nickname, *next;

	HASH_ITER(hh, room->nicknames, nickname, next)
	nickname_free(room, nickname);
}
