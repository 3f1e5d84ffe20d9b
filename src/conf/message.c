/* What participants say, and to whom: RFC 7701 section 6. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

/* A message that is coming in. */
struct conf_message {
	LIST_ENTRY(conf_message) entry; /* of its sender */
	struct conf_participant *from;
	struct buffer text;
	size_t head;    /* bytes before its content; 0: not all of them are here */
	uint64_t total; /* as announced, or UINT64_MAX */
	char *id;
};

/* --- life --- */

static void message_free(struct conf_message *m)
{
	LIST_REMOVE(m, entry);
	buffer_fini(&m->text);
	free(m->id);
	free(m);
}

void conf_messages_drop(struct conf_participant *p)
{
	struct conf_message *m;

	while ((m = LIST_FIRST(&p->open)))
		message_free(m);
}

static bool is_cpim(struct slice type)
{
	struct slice name;

	slice_cut(&type, ';', &name);
	return slice_equal_nocase(slice_trim(name), SLICE("message/cpim"));
}

/* --- addresses --- */

static size_t count_headers(const struct cpim *c, struct slice name)
{
	size_t n = 0;

	for (size_t i = 0; i < c->header_count; i++)
		n += slice_equal(c->headers[i].space, SLICE(CPIM_CORE))
		    && slice_equal_nocase(c->headers[i].name, name);
	return n;
}

static bool names(struct slice uri, const char *key)
{
	char text[CONF_URI_MAX + 1];

	return conf_uri_key(text, uri) == 0 && strcmp(text, key) == 0;
}

/* Whom a message is for. */
struct destination {
	struct conf_user *user; /* NULL: everybody */
};

/* RFC 7701 section 8: without the token a private message could not be told from others. */
static bool takes_private(const struct conf_participant *p)
{
	struct slice tokens = ua_peer_attribute(p->session), token;

	while (slice_cut(&tokens, ' ', &token))
		if (slice_equal_nocase(token, SLICE("private-messages")))
			return true;
	return false;
}

static bool user_takes_private(const struct conf_room *room, const struct conf_user *user)
{
	const struct conf_participant *p;

	if (!room->conf->settings->private_messages)
		return false;
	LIST_FOREACH(p, &user->devices, device)
		if (p->joined && takes_private(p))
			return true;
	return false;
}

/* RFC 7701 6.1 to 6.3.  @return 0 or the status that refuses it */
static int judge(const struct conf_participant *from, const struct cpim *c, struct destination *to)
{
	const struct conf_room *room = from->room;
	struct slice uri = cpim_uri(cpim_value(c, CPIM_CORE, "To"));

	if (count_headers(c, SLICE("From")) != 1 || count_headers(c, SLICE("To")) > 1
	    || !names(cpim_uri(cpim_value(c, CPIM_CORE, "From")), from->user->uri))
		return 403;
	*to = (struct destination){NULL};
	if (uri.p && names(uri, room->uri))
		return 0;
	to->user = uri.p ? conf_room_user(room, uri) : NULL;
	if (!to->user)
		return 404;
	return user_takes_private(room, to->user) ? 0 : 428;
}

/* --- distribution --- */

static void send_copy(const struct conf_participant *to, const struct message_out *out,
    struct slice content_type)
{
	struct conf_counters *count = &to->room->conf->count;

	if (!ua_accepts_wrapped(to->session, content_type)
	    || ua_send(to->session, out, 0, NULL) < 0)
		++*count->skipped;
	else
		++*count->copies;
}

static void send_room(const struct conf_participant *from, const struct message_out *out,
    struct slice content_type)
{
	const struct conf_participant *p;

	TAILQ_FOREACH(p, &from->room->participants, next)
		if (p != from)
			send_copy(p, out, content_type);
}

static void send_devices(const struct conf_participant *from, const struct conf_user *user,
    const struct message_out *out, struct slice content_type)
{
	const struct conf_participant *p;

	LIST_FOREACH(p, &user->devices, device)
		if (p != from && p->joined && takes_private(p))
			send_copy(p, out, content_type);
}

static struct slice content_type_of(const struct cpim *c)
{
	return c->content_type.p ? c->content_type : SLICE("text/plain");
}

static int distribute(const struct conf_message *m, const struct cpim *c,
    const struct destination *to)
{
	const struct conf_participant *from = m->from;
	struct slice type = content_type_of(c);
	struct message_out out = {.content_type = SLICE("message/cpim")};

	if (shared_body_new(&out.body.shared, from->room->conf->env.budget, buffer_text(&m->text))
	    < 0)
		return 413;
	out.body.bytes = shared_body_bytes(out.body.shared);
	if (!to->user) {
		send_room(from, &out, type);
	} else {
		send_devices(from, to->user, &out, type);
		if (to->user != from->user)
			send_devices(from, from->user, &out, type);
	}
	shared_body_unref(out.body.shared);
	return 0;
}

static void tell(const struct conf_message *m, const struct cpim *c, const struct destination *to)
{
	const struct conf_room *room = m->from->room;
	struct conf_fact fact = {
	    .from = slice_of(m->from->user->uri),
	    .to = slice_of(to->user ? to->user->uri : room->uri),
	    .message_id = slice_of(m->id),
	    .content_type = content_type_of(c),
	    .body = c->body,
	};

	++*(to->user ? room->conf->count.private_messages : room->conf->count.messages);
	conf_tell_message(room, &fact);
}

/* --- from the session --- */

static int refuse(const struct conf_participant *p, int status)
{
	++*p->room->conf->count.refused;
	return status;
}

int conf_message_begin(struct ua_session *s, const struct message *message, void **streamp,
    void *arg)
{
	struct conf_participant *from = arg;
	struct conf_message *m;

	(void)s;
	if (!is_cpim(message->content_type))
		return refuse(from, 415);
	m = calloc(1, sizeof(*m));
	if (!m)
		return 413;
	m->from = from;
	m->total = message->total;
	m->text.max = BUFFER_UNBOUNDED;
	LIST_INSERT_HEAD(&from->open, m, entry);
	m->id = slice_dup(message->message_id);
	if (!m->id) {
		message_free(m);
		return 413;
	}
	*streamp = m;
	return 0;
}

static int parse(struct conf_message *m, struct cpim *c, struct destination *to)
{
	int err = cpim_parse(c, buffer_text(&m->text));

	if (err < 0)
		return err == -EMSGSIZE ? 413 : 415;
	return judge(m->from, c, to);
}

int conf_message_piece(struct ua_session *s, void *stream, struct slice piece, void *arg)
{
	struct conf_message *m = stream;
	struct destination to;
	struct cpim c;
	ssize_t head;
	int status;

	(void)s;
	(void)arg;
	buffer_add(&m->text, piece);
	if (m->text.err)
		return refuse(m->from, 413);
	if (m->head)
		return 0;
	head = cpim_head_size(buffer_text(&m->text));
	if (head == -EAGAIN)
		return m->text.len < m->total ? 0 : refuse(m->from, 415);
	if (head < 0)
		return refuse(m->from, 413);
	m->head = (size_t)head;
	status = parse(m, &c, &to);
	return status ? refuse(m->from, status) : 0;
}

/* The answer has gone already, but one who wants to know gets a REPORT. */
static int finish(struct conf_message *m)
{
	struct destination to;
	struct cpim c;
	int status = parse(m, &c, &to);

	if (status == 0)
		status = distribute(m, &c, &to);
	if (status)
		return refuse(m->from, status);
	tell(m, &c, &to);
	return 0;
}

int conf_message_end(struct ua_session *s, void *stream, int err, void *arg)
{
	struct conf_message *m = stream;
	int status = err == 0 ? finish(m) : 0;

	(void)s;
	(void)arg;
	message_free(m);
	return status;
}
