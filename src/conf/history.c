/* What was said in a room of late, for who comes in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

static void entry_free(struct conf_entry *entry)
{
	shared_body_unref(entry->body);
	free(entry->message_id);
	free(entry->content_type);
	free(entry);
}

static void drop_first(struct conf_history *history)
{
	struct conf_entry *entry = STAILQ_FIRST(&history->entries);

	STAILQ_REMOVE_HEAD(&history->entries, next);
	history->count--;
	history->bytes -= shared_body_bytes(entry->body).len;
	entry_free(entry);
}

void conf_history_clear(struct conf_history *history)
{
	while (history->count)
		drop_first(history);
}

/* Who hears it later is to know when it was said (RFC 3862 4.4): that goes in front. */
static struct shared_body *dated(const struct conf_post *post)
{
	struct slice text = shared_body_bytes(post->body);
	struct buffer b = {.max = BUFFER_UNBOUNDED};
	struct shared_body *body = NULL;
	char now[CPIM_DATETIME_SIZE];

	cpim_datetime(now);
	buffer_printf(&b, "DateTime: %s\r\n", now);
	buffer_add(&b, text);
	if (!b.err)
		shared_body_new(&body, post->room->conf->env.budget, buffer_text(&b));
	buffer_fini(&b);
	return body;
}

/* Takes body, also on failure. */
static struct conf_entry *entry_add(struct conf_room *room, struct shared_body *body,
    struct slice message_id, struct slice content_type)
{
	struct conf_history *history = &room->history;
	struct conf_entry *entry = calloc(1, sizeof(*entry));

	if (!entry) {
		shared_body_unref(body);
		return NULL;
	}
	entry->body = body;
	entry->message_id = slice_dup(message_id);
	entry->content_type = slice_dup(content_type);
	if (!entry->body || !entry->message_id || !entry->content_type) {
		entry_free(entry);
		return NULL;
	}
	STAILQ_INSERT_TAIL(&history->entries, entry, next);
	history->count++;
	history->bytes += shared_body_bytes(body).len;
	return entry;
}

void conf_history_add(const struct conf_post *post, const struct cpim *c)
{
	struct conf_room *room = post->room;
	const struct conf_settings *settings = room->conf->settings;
	struct conf_entry *entry;

	if (settings->history == 0 || shared_body_bytes(post->body).len > settings->history_bytes)
		return;
	entry = entry_add(room,
	    cpim_value(c, CPIM_CORE, "DateTime").p ? shared_body_ref(post->body) : dated(post),
	    post->message_id, post->content_type);
	if (entry)
		conf_store_add(room, entry);
	conf_history_trim(room);
}

int conf_history_restore(struct conf_room *room, struct slice message_id, struct slice content_type,
    struct slice body, struct conf_entry **entryp)
{
	struct shared_body *shared;
	int err = shared_body_new(&shared, room->conf->env.budget, body);

	if (err < 0)
		return err;
	*entryp = entry_add(room, shared, message_id, content_type);
	return *entryp ? 0 : -ENOMEM;
}

void conf_history_trim(struct conf_room *room)
{
	const struct conf_settings *settings = room->conf->settings;
	struct conf_history *history = &room->history;

	while (history->count > settings->history || history->bytes > settings->history_bytes) {
		conf_store_drop(room, STAILQ_FIRST(&history->entries));
		drop_first(history);
	}
}
