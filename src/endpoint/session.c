#include "endpoint/session.h"

#include <stdlib.h>

void session_unref(struct session *s)
{
	if (--s->refs)
		return;
	free(s->to_path);
	free(s);
}

size_t session_chunk_size(const struct session *s)
{
	return (size_t)(s->chunk_size ? s->chunk_size : session_settings(s)->chunk_size);
}

void session_active(struct session *s)
{
	if (s->all->silent.period_ms && s->handler && s->user.conn)
		timer_queue_start(&s->all->silent, &s->silent);
}

void session_due(struct session *s)
{
	if (s->is_due || !s->handler)
		return;
	s->is_due = true;
	LIST_INSERT_HEAD(&s->all->due, s, next_due);
	timer_start(&s->all->deferred, 0);
}
