/* What was said in a room of late, for who comes in. */
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

static void drop_first(struct conf_history *history)
{
	struct conf_entry *entry = STAILQ_FIRST(&history->entries);

	STAILQ_REMOVE_HEAD(&history->entries, next);
	history->count--;
	history->bytes -= shared_body_bytes(entry->body).len;
	shared_body_unref(entry->body);
	free(entry->message_id);
	free(entry->content_type);
	free(entry);
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

static struct conf_entry *entry_new(const struct conf_post *post, const struct cpim *c)
{
	struct conf_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->body =
	    cpim_value(c, CPIM_CORE, "DateTime").p ? shared_body_ref(post->body) : dated(post);
	entry->message_id = slice_dup(post->message_id);
	entry->content_type = slice_dup(post->content_type);
	if (entry->body && entry->message_id && entry->content_type)
		return entry;
	shared_body_unref(entry->body);
	free(entry->message_id);
	free(entry->content_type);
	free(entry);
	return NULL;
}

void conf_history_add(const struct conf_post *post, const struct cpim *c)
{
	const struct conf_settings *settings = post->room->conf->settings;
	struct conf_history *history = &post->room->history;
	struct conf_entry *entry;

	if (settings->history == 0 || shared_body_bytes(post->body).len > settings->history_bytes
	    || !(entry = entry_new(post, c)))
		return;
	STAILQ_INSERT_TAIL(&history->entries, entry, next);
	history->count++;
	history->bytes += shared_body_bytes(entry->body).len;
	conf_history_trim(post->room);
}

void conf_history_trim(struct conf_room *room)
{
	const struct conf_settings *settings = room->conf->settings;
	struct conf_history *history = &room->history;

	while (history->count > settings->history || history->bytes > settings->history_bytes)
		drop_first(history);
}
