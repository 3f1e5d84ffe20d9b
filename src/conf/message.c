/* Messages of participants while they come in: RFC 7701 section 6. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

/* Of what is long, no less goes on in one piece: RFC 4975 7.1.1. */
enum { CHUNK_MIN = 2048 };

/* A message that is coming in. */
struct conf_message {
	LIST_ENTRY(conf_message) entry; /* of its sender */
	struct conf_held held;          /* its sender waits for others to read */
	struct conf_participant *from;
	struct buffer head;       /* what has come, before all of its head has */
	struct shared_body *body; /* after that */
	uint64_t total;           /* as announced, or UINT64_MAX */
	bool begun;               /* others have a part of it */
	enum conf_kind kind;
	char *id, *type;
	char *to;             /* NULL: everybody */
	struct buffer report; /* what a REPORT on a private one carries */
	int status;           /* 0, or what it was refused with */
};

/* --- life --- */

static void message_free(struct conf_message *m)
{
	LIST_REMOVE(m, entry);
	conf_pace_forget(&m->held);
	if (m->begun)
		shared_body_close(m->body, -ECANCELED);
	shared_body_unref(m->body);
	buffer_fini(&m->head);
	buffer_fini(&m->report);
	free(m->id);
	free(m->type);
	free(m->to);
	free(m);
}

void conf_messages_drop(struct conf_participant *p)
{
	struct conf_message *m;

	while ((m = LIST_FIRST(&p->open)))
		message_free(m);
}

/* --- types --- */

static bool is_type(struct slice type, const char *name)
{
	struct slice bare;

	slice_cut(&type, ';', &bare);
	return slice_equal_nocase(slice_trim(bare), slice_of(name));
}

enum conf_kind conf_kind_of(struct slice content_type)
{
	if (is_type(content_type, "message/imdn+xml"))
		return CONF_NOTIFICATION;
	if (is_type(content_type, "application/im-iscomposing+xml"))
		return CONF_COMPOSING;
	return CONF_TEXT;
}

struct slice conf_content_type(const struct cpim *c)
{
	return c->content_type.p ? c->content_type : SLICE("text/plain");
}

/* --- addresses --- */

static const struct cpim_header *find_header(const struct cpim *c, struct slice name,
    size_t *countp)
{
	const struct cpim_header *found = NULL;

	*countp = 0;
	for (size_t i = c->header_count; i-- > 0;) {
		const struct cpim_header *h = &c->headers[i];

		if (!slice_equal(h->space, SLICE(CPIM_CORE)) || !slice_equal_nocase(h->name, name))
			continue;
		++*countp;
		found = h;
	}
	return found;
}

static bool names(struct slice uri, const char *key)
{
	char text[CONF_URI_MAX + 1];

	return key && conf_uri_key(text, uri) == 0 && strcmp(text, key) == 0;
}

int conf_judge_private(const struct conf_room *room, const struct conf_user *user,
    enum conf_kind kind)
{
	const struct conf_participant *p;

	/* A notification is none; who asked for it takes it. */
	if (kind == CONF_NOTIFICATION)
		return 0;
	if (!room->conf->settings->private_messages)
		return 428;
	LIST_FOREACH(p, &user->devices, device)
		if (p->joined && conf_takes_private(p))
			return 0;
	return 428;
}

/* RFC 7701 6.2: the addresses as they came, so that their sender knows which one it is about. */
static void write_report(struct conf_message *m, struct slice from, struct slice to)
{
	m->report.max = REPORT_BODY_MAX;
	buffer_add(&m->report, SLICE("From: "));
	buffer_add(&m->report, from);
	buffer_add(&m->report, SLICE("\r\nTo: "));
	buffer_add(&m->report, to);
	buffer_add(&m->report, SLICE("\r\n\r\nContent-Type: text/plain\r\n\r\n"));
}

/* RFC 7701 6.1 to 6.3.  @return 0, or the status that refuses it */
static int judge(struct conf_message *m, const struct cpim *c)
{
	const struct conf_room *room = m->from->room;
	const struct conf_user *user;
	size_t senders, receivers;
	const struct cpim_header *from = find_header(c, SLICE("From"), &senders);
	const struct cpim_header *to = find_header(c, SLICE("To"), &receivers);

	if (senders != 1 || receivers > 1
	    || !(names(cpim_uri(from->value), m->from->user->uri)
		|| names(cpim_uri(from->value), m->from->real)))
		return 403;
	if (!to)
		return 404;
	if (names(cpim_uri(to->value), room->uri))
		return 0;
	write_report(m, from->value, to->value);
	if (m->report.err)
		return 413;
	user = conf_room_user(room, cpim_uri(to->value));
	if (!user)
		return 404;
	m->to = slice_dup(slice_of(user->uri));
	return m->to ? conf_judge_private(room, user, m->kind) : 413;
}

/* Who is here without his name is not named by his client's mistake. */
static void disguise(struct conf_message *m, const struct cpim *c)
{
	size_t count;
	const struct cpim_header *from = find_header(c, SLICE("From"), &count);
	struct slice text = buffer_text(&m->head), value = from->value;
	struct buffer changed = {.max = BUFFER_UNBOUNDED};

	if (!m->from->real)
		return;
	buffer_add(&changed, slice_head(text, (size_t)(value.p - text.p)));
	buffer_printf(&changed, "<%s>", m->from->user->uri);
	buffer_add(&changed, slice_from(text, (size_t)(value.p + value.len - text.p)));
	if (m->total != UINT64_MAX)
		m->total = m->total - text.len + changed.len;
	buffer_fini(&m->head);
	m->head = changed;
}

/* --- the head --- */

/* All of the head is here: what follows goes straight into the body.  @return as judge() */
static int open_body(struct conf_message *m)
{
	struct conf *conf = m->from->room->conf;
	size_t max = (size_t)ua_limits(conf->env.ua).max_message_size + CONF_URI_MAX;

	if (m->head.err || shared_body_open(&m->body, conf->env.budget, m->total, max) < 0)
		return 413;
	if (shared_body_append(m->body, buffer_text(&m->head)) < 0)
		return 413;
	buffer_fini(&m->head);
	return 0;
}

static int read_head(struct conf_message *m, size_t size)
{
	struct cpim c;
	int status, err = cpim_parse(&c, slice_head(buffer_text(&m->head), size));

	if (err < 0)
		return err == -EMSGSIZE ? 413 : 415;
	m->type = slice_dup(conf_content_type(&c));
	if (!m->type)
		return 413;
	m->kind = conf_kind_of(slice_of(m->type));
	status = judge(m, &c);
	if (status)
		return status;
	disguise(m, &c);
	return open_body(m);
}

static int add_head(struct conf_message *m, struct slice piece)
{
	ssize_t size;

	buffer_add(&m->head, piece);
	if (m->head.err)
		return 413;
	size = cpim_head_size(buffer_text(&m->head));
	if (size == -EAGAIN)
		return m->head.len < m->total ? 0 : 415;
	return size < 0 ? 413 : read_head(m, (size_t)size);
}

/* --- to the others --- */

static struct conf_post post_of(const struct conf_message *m)
{
	return (struct conf_post){
	    .room = m->from->room,
	    .from = m->from,
	    .from_uri = slice_of(m->from->user->uri),
	    .to = slice_of(m->to),
	    .message_id = slice_of(m->id),
	    .content_type = slice_of(m->type),
	    .kind = m->kind,
	    .body = m->body,
	};
}

/* What is one chunk goes whole, however it comes: what its sender says next would overtake it. */
static bool is_long(const struct conf_message *m, size_t len)
{
	uint64_t size = m->total == UINT64_MAX ? len : m->total;

	return size > ua_limits(m->from->room->conf->env.ua).chunk_size;
}

/* RFC 7701 6.1: what is long goes on while it arrives. */
static void go_on(struct conf_message *m)
{
	struct conf_post post = post_of(m);
	size_t len = shared_body_bytes(m->body).len;

	if (m->begun) {
		conf_pace_look(&post);
	} else if (len > CHUNK_MIN && len < m->total && is_long(m, len)) {
		m->begun = true;
		conf_deliver(&post);
	}
}

static void finish(struct conf_message *m)
{
	struct conf_post post = post_of(m);

	shared_body_close(m->body, 0);
	if (!m->begun)
		conf_deliver(&post);
	m->begun = false;
	conf_conclude(&post);
}

/* --- from the session --- */

static int refuse(const struct conf_participant *p, int status)
{
	++*p->room->conf->count.refused;
	return status;
}

/* What became of it; of a private one the service itself reports. */
static int tell_sender(struct ua_session *s, const struct conf_message *m)
{
	struct report_out report = {
	    .code = m->status ? m->status : 200,
	    .content_type = SLICE("message/cpim"),
	    .body = buffer_text(&m->report),
	};

	if (!m->report.len || ua_send_report(s, slice_of(m->id), &report) < 0)
		return m->status;
	return UA_REPORT_LATER;
}

int conf_message_begin(struct ua_session *s, const struct message *message, void **streamp,
    void *arg)
{
	struct conf_participant *from = arg;
	struct conf_message *m;

	(void)s;
	if (!is_type(message->content_type, "message/cpim"))
		return refuse(from, 415);
	m = calloc(1, sizeof(*m));
	if (!m)
		return refuse(from, 413);
	m->from = from;
	m->total = message->total;
	m->head.max = BUFFER_UNBOUNDED;
	LIST_INSERT_HEAD(&from->open, m, entry);
	m->id = slice_dup(message->message_id);
	if (!m->id) {
		message_free(m);
		return refuse(from, 413);
	}
	*streamp = m;
	return 0;
}

int conf_message_piece(struct ua_session *s, void *stream, struct slice piece, void *arg)
{
	struct conf_message *m = stream;
	struct conf_participant *from = arg;

	(void)s;
	if (!m->body)
		m->status = add_head(m, piece);
	else if (shared_body_append(m->body, piece) < 0)
		m->status = 413;
	if (m->status)
		return refuse(from, m->status);
	if (m->body)
		go_on(m);
	return conf_pace_hold(from, &m->held, m) ? -EAGAIN : 0;
}

int conf_message_end(struct ua_session *s, void *stream, int err, void *arg)
{
	struct conf_message *m = stream;
	int result;

	/* The answer has gone already, but who wants to know gets a REPORT. */
	if (err == 0 && !m->body)
		m->status = refuse(arg, 415);
	else if (err == 0)
		finish(m);
	result = err == 0 || m->status ? tell_sender(s, m) : 0;
	message_free(m);
	return result;
}
