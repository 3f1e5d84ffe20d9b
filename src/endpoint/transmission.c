#include "endpoint/transmission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "endpoint/session.h"

enum {
	LEAST_COST = 64,          /* of a message, however small, of max_queued_bytes */
	NUMBER_DIGITS = 16,       /* of a Message-ID, at most */
	SOURCE_CHUNK = 64 * 1024, /* a chunk of a source, if chunk_size is more */
};

/* --- lists --- */

void transmission_unlink(struct transmission *m)
{
	if (m->list)
		TAILQ_REMOVE(m->list, m, next);
	m->list = NULL;
}

void transmission_append(struct transmission_list *list, struct transmission *m)
{
	transmission_unlink(m);
	m->list = list;
	TAILQ_INSERT_TAIL(list, m, next);
}

void transmission_prepend(struct transmission_list *list, struct transmission *m)
{
	transmission_unlink(m);
	m->list = list;
	TAILQ_INSERT_HEAD(list, m, next);
}

/* --- Message-IDs: one of ours tells its number, so none is kept --- */

struct slice transmission_id(const struct transmissions *all, uint64_t number,
    char id[MSRP_MESSAGE_ID_SIZE])
{
	struct buffer w = {.p = id, .cap = MSRP_MESSAGE_ID_SIZE - 1};

	buffer_add(&w, slice_of(all->prefix));
	buffer_add_number(&w, number);
	id[w.len] = '\0';
	return buffer_text(&w);
}

int transmission_parse_id(const struct transmissions *all, struct slice id, uint64_t *numberp)
{
	size_t prefix = sizeof(all->prefix) - 1;
	uint64_t number;

	if (id.len <= prefix || id.len > prefix + NUMBER_DIGITS
	    || memcmp(id.p, all->prefix, prefix) != 0 || id.p[prefix] == '0'
	    || slice_to_u64(slice_from(id, prefix), all->last_number, &number) < 0)
		return -ENOENT;
	*numberp = number;
	return 0;
}

/* --- life --- */

static bool type_is_good(struct slice type)
{
	if (type.len == 0 || type.len > TRANSMISSION_TYPE_MAX)
		return false;
	for (size_t i = 0; i < type.len; i++)
		if ((unsigned char)type.p[i] < ' ' || type.p[i] == 0x7f)
			return false;
	return true;
}

/* Bytes of a chunk of a source, and one more: see transmission_fill(). */
static size_t buffer_size(const struct session *s)
{
	size_t chunk = session_chunk_size(s);

	return (chunk < SOURCE_CHUNK ? chunk : SOURCE_CHUNK) + 1;
}

/* What has come since goes, too. */
static void on_grown(struct shared_reader *reader)
{
	struct transmission *m =
	    (struct transmission *)((char *)reader - offsetof(struct transmission, reader));
	size_t more = shared_body_bytes(m->body.shared).len - m->body.bytes.len;

	m->body.bytes.len += more;
	m->body.total = shared_body_total(m->body.shared);
	m->ended = shared_body_state(m->body.shared) == 0;
	m->cost += more;
	if (m->counted) {
		m->all->bytes += more;
		m->all->unsent += more;
	}
	m->all->grown(m);
}

static void begin_reading(struct transmission *m)
{
	struct shared_body *body = shared_body_ref(m->body.shared);

	m->body.total = shared_body_total(body);
	m->ended = shared_body_state(body) == 0;
	m->reader.grown = on_grown;
	if (!m->ended)
		shared_body_read(body, &m->reader);
}

static struct transmission *allocate(struct transmissions *all, const struct message_out *message,
    size_t bytes, size_t buffer)
{
	const struct message_body *body = &message->body;
	struct slice type = message->content_type;
	struct transmission *m = malloc(sizeof(*m) + type.len + bytes + buffer);
	char *behind;

	if (!m)
		return NULL;
	*m = (struct transmission){
	    .all = all,
	    .body = *body,
	    .failure_report = message->failure_report,
	    .success_report = message->success_report,
	    .bodiless = !type.p,
	    .ended = !body->pull || !type.p,
	    .max_bytes = body->max_bytes,
	    .text = slice_starts_nocase(type, SLICE("text/")),
	    .type_len = type.len,
	};
	behind = m->type + type.len;
	if (type.len)
		memcpy(m->type, type.p, type.len);
	if (m->bodiless) {
		m->body = (struct message_body){.bytes = {"", 0}};
	} else if (body->pull) {
		m->body.shared = NULL;
		m->buffer = behind;
		m->buffer_size = buffer;
	} else if (body->shared) {
		begin_reading(m);
	} else {
		if (bytes)
			memcpy(behind, body->bytes.p, bytes);
		m->body.bytes = (struct slice){behind, bytes};
		m->body.total = bytes;
	}
	return m;
}

/* What a source has is its own affair. */
static size_t unsent(const struct transmission *m)
{
	return m->buffer ? 0 : m->body.bytes.len - (size_t)m->sent;
}

void transmission_count(struct transmission *m)
{
	if (!m->counted) {
		m->all->bytes += m->cost;
		m->all->unsent += unsent(m);
	}
	m->counted = true;
}

enum { TRANSMISSION_TENTHS = 9 };

int transmission_new(struct transmission **mp, struct transmissions *all,
    const struct message_out *message)
{
	struct session *s = all->session;
	bool source = message->content_type.p && message->body.pull;
	size_t bytes = source || !message->content_type.p ? 0 : message->body.bytes.len;
	size_t copied = message->body.shared ? 0 : bytes;
	size_t buffer = source ? buffer_size(s) : 0;
	size_t cost = bytes > LEAST_COST ? bytes : LEAST_COST;
	size_t held = (message->body.shared ? LEAST_COST : cost) + buffer;
	struct transmission *m;

	if (message->content_type.p && !type_is_good(message->content_type))
		return -EINVAL;
	if (all->bytes > s->max_queued_bytes || cost > s->max_queued_bytes - all->bytes
	    || budget_take_within(session_budget(s), held, TRANSMISSION_TENTHS) < 0)
		return -ENOBUFS;
	m = allocate(all, message, copied, buffer);
	if (!m) {
		budget_return(session_budget(s), held);
		return -ENOMEM;
	}
	m->number = ++all->last_number;
	m->cost = cost;
	m->charged = held;
	m->long_one = !m->ended || bytes > session_chunk_size(s);
	transmission_count(m);
	all->count++;
	*mp = m;
	return 0;
}

void transmission_source_done(struct transmission *m)
{
	void (*done)(void *arg) = m->body.done;

	m->body.done = NULL;
	if (done)
		done(m->body.arg);
}

void transmission_stop(struct transmission *m)
{
	struct transmissions *all = m->all;

	if (m->begun)
		all->begun--;
	if (m->counted) {
		all->bytes -= m->cost;
		all->unsent -= unsent(m);
	}
	m->begun = m->counted = false;
	transmission_source_done(m);
}

void transmission_free(struct transmission *m)
{
	struct transmissions *all = m->all;

	transmission_unlink(m);
	if (all->asked == m)
		all->asked = NULL;
	all->count--;
	budget_return(session_budget(all->session), m->charged);
	transmission_stop(m);
	shared_body_leave(&m->reader);
	shared_body_unref(m->body.shared);
	free(m);
}

/* --- bodies --- */

void transmission_sent(struct transmission *m, size_t len)
{
	m->sent += len;
	m->taken += len;
	if (m->counted && !m->buffer)
		m->all->unsent -= len;
}

void transmission_rewind(struct transmission *m)
{
	transmission_stop(m);
	m->sent = 0;
	transmission_count(m);
}

int transmission_look(struct transmission *m, size_t chunk_size)
{
	int state = m->body.shared ? shared_body_state(m->body.shared) : 0;

	if (m->max_bytes && m->body.bytes.len > m->max_bytes)
		return -EMSGSIZE;
	/* The byte that is held back does not make a chunk. */
	m->dry = state == -EAGAIN && unsent(m) <= chunk_size + 1;
	return state == 0 || state == -EAGAIN ? 0 : -ECONNABORTED;
}

/* One piece of the source. @return 0, or as pull(); -ECANCELED: the message is gone */
static int ask_source(struct transmission *m, size_t want)
{
	struct transmissions *all = m->all;
	struct slice piece = {NULL, 0};
	int err;

	all->asked = m;
	err = m->body.pull(m->body.arg, want, &piece);
	if (all->asked != m)
		return -ECANCELED;
	all->asked = NULL;
	if (err < 0)
		return err;
	if (piece.len > want)
		return -EPROTO;
	if (piece.len)
		memcpy(m->buffer + m->buffered, piece.p, piece.len);
	else if (m->body.total != UINT64_MAX)
		return -EPROTO; /* less than it had announced */
	else
		m->ended = true;
	m->buffered += piece.len;
	return 0;
}

int transmission_fill(struct transmission *m)
{
	int err = 0;

	m->buffered -= m->taken;
	memmove(m->buffer, m->buffer + m->taken, m->buffered);
	m->taken = 0;
	while (err == 0 && !m->ended && m->buffered < m->buffer_size) {
		uint64_t left = m->body.total - m->sent - m->buffered;
		size_t want = m->buffer_size - m->buffered;

		if (m->body.total != UINT64_MAX && left <= want) {
			want = (size_t)left;
			m->ended = left == 0;
		}
		if (!m->ended)
			err = ask_source(m, want);
	}
	if (err == -ECANCELED)
		return err;
	m->dry = err == -EAGAIN;
	return m->dry ? 0 : err;
}

static bool is_continuation(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

struct slice transmission_cut(const struct transmission *m, struct slice bytes, size_t max)
{
	size_t len = max;

	if (bytes.len <= max || !m->text)
		return slice_head(bytes, max);
	/* Behind its first byte a character of UTF-8 has three at most; more is not UTF-8. */
	while (len > 1 && len + 3 > max && is_continuation(bytes.p[len]))
		len--;
	return slice_head(bytes, is_continuation(bytes.p[len]) ? max : len);
}

struct slice transmission_chunk(const struct transmission *m, size_t max, bool *lastp)
{
	struct slice rest = m->buffer ? (struct slice){m->buffer + m->taken, m->buffered - m->taken}
				      : slice_from(m->body.bytes, (size_t)m->sent);
	struct slice chunk;

	if (m->buffer && max > m->buffer_size - 1)
		max = m->buffer_size - 1;
	/* All but a byte: without it the last chunk of a source might have to be an empty one. */
	if (!m->ended && max >= rest.len)
		max = rest.len ? rest.len - 1 : 0;
	chunk = transmission_cut(m, rest, max);
	*lastp = chunk.len == rest.len && m->ended;
	return chunk;
}
