/* Copies of a message to those whom it is for: RFC 7701 6.1, 6.2. */
#include <errno.h>
#include <stdlib.h>

#include <msrpd/buffer.h>

#include "conf/priv.h"

/* RFC 7701 section 8: without the token a private message could not be told from others. */
bool conf_takes_private(const struct conf_participant *p)
{
	struct slice tokens = p->session ? ua_peer_attribute(p->session) : (struct slice){NULL, 0};
	struct slice token;

	while (slice_cut(&tokens, ' ', &token))
		if (slice_equal_nocase(token, SLICE("private-messages")))
			return true;
	return false;
}

/* What he cannot take he does not get, and nobody is told.  @return as ua_send() */
static int copy(struct conf_participant *to, struct slice content_type, struct shared_body *body)
{
	struct conf_counters *count = &to->room->conf->count;
	struct message_out out = {
	    .content_type = SLICE("message/cpim"),
	    .body = {.bytes = shared_body_bytes(body), .shared = body},
	};
	int err = ua_accepts_wrapped(to->session, content_type)
	    ? ua_send(to->session, &out, 0, NULL)
	    : -EPROTOTYPE;

	++*(err < 0 ? count->skipped : count->copies);
	return err;
}

static bool is_for(const struct conf_post *post, const struct conf_participant *p)
{
	return p != post->from && p->joined
	    && (!post->to.p || post->kind == CONF_NOTIFICATION || conf_takes_private(p));
}

/* Some may be dropped for being slow, but not who sends it. */
static void each_device(const struct conf_post *post, struct conf_user *user,
    void (*fn)(struct conf_participant *p, const struct conf_post *post))
{
	struct conf_participant *p, *next;

	for (p = user ? LIST_FIRST(&user->devices) : NULL; p; p = next) {
		next = LIST_NEXT(p, device);
		if (is_for(post, p))
			fn(p, post);
	}
}

static void each_recipient(const struct conf_post *post,
    void (*fn)(struct conf_participant *p, const struct conf_post *post))
{
	struct conf_user *user = post->to.p ? conf_room_user(post->room, post->to) : NULL;
	struct conf_participant *p, *next;

	if (post->to.p) {
		each_device(post, user, fn);
		/* His own words on his other devices. */
		if (post->from && post->from->user != user && post->kind == CONF_TEXT)
			each_device(post, post->from->user, fn);
		return;
	}
	for (p = TAILQ_FIRST(&post->room->participants); p; p = next) {
		next = TAILQ_NEXT(p, next);
		if (is_for(post, p))
			fn(p, post);
	}
}

static void deliver_to(struct conf_participant *p, const struct conf_post *post)
{
	if (p->phone)
		return; /* it is shown what is whole */
	if (copy(p, post->content_type, post->body) == -ENOBUFS)
		conf_participant_end(p, "slow");
	else
		conf_pace_check(p);
}

void conf_deliver(const struct conf_post *post)
{
	each_recipient(post, deliver_to);
}

static void look_at(struct conf_participant *p, const struct conf_post *post)
{
	(void)post;
	if (p->session)
		conf_pace_check(p);
}

void conf_pace_look(const struct conf_post *post)
{
	each_recipient(post, look_at);
}

/* A phone takes texts that it can show. */
static void show_to(struct conf_participant *p, const struct conf_post *post)
{
	if (p->phone)
		conf_phone_show(p, post);
}

static bool is_plain_text(const struct cpim *c)
{
	struct slice type = conf_content_type(c), bare;
	struct slice encoding = cpim_content_value(c, "Content-Transfer-Encoding");

	slice_cut(&type, ';', &bare);
	return slice_equal_nocase(slice_trim(bare), SLICE("text/plain"))
	    && (!encoding.p || slice_equal_nocase(encoding, SLICE("8bit"))
		|| slice_equal_nocase(encoding, SLICE("7bit"))
		|| slice_equal_nocase(encoding, SLICE("binary")))
	    && slice_is_utf8(c->body);
}

void conf_conclude(struct conf_post *post)
{
	struct conf_room *room = post->room;
	struct conf_counters *count = &room->conf->count;
	struct cpim c;

	++*(post->to.p ? count->private_messages : count->messages);
	if (post->kind != CONF_TEXT || cpim_parse(&c, shared_body_bytes(post->body)) < 0)
		return;
	post->content = c.body;
	if (!post->to.p)
		conf_history_add(post, &c);
	conf_tell_message(post);
	if (is_plain_text(&c))
		each_recipient(post, show_to);
}

int conf_wrap(struct conf_post *post, struct slice name, struct slice content)
{
	char datetime[CPIM_DATETIME_SIZE];
	struct cpim_out cpim = {
	    .from_uri = post->from_uri,
	    .from_name = name,
	    .to_uri = post->to.p ? post->to : slice_of(post->room->uri),
	    .datetime = {datetime, CPIM_DATETIME_SIZE - 1},
	    .content_type = post->content_type,
	    .body = content,
	};
	char *text;
	size_t len;
	int err;

	cpim_datetime(datetime);
	err = cpim_build(&text, &len, &cpim);
	if (err < 0)
		return err;
	err = shared_body_new(&post->body, post->room->conf->env.budget, (struct slice){text, len});
	free(text);
	return err;
}

/* Without the quotes and escapes that SIP needs. */
void conf_write_display_name(struct buffer *b, struct slice name)
{
	for (; name.len; name = slice_from(name, 1)) {
		if (name.p[0] == '"')
			continue;
		if (name.p[0] == '\\' && name.len > 1)
			name = slice_from(name, 1);
		buffer_add(b, slice_head(name, 1));
	}
}

static void write_user(struct buffer *b, struct slice uri)
{
	struct slice user = conf_uri_user(uri);

	buffer_add(b, user.p ? user : uri);
}

void conf_write_name(struct buffer *b, const struct conf_participant *p)
{
	if (p->shown)
		buffer_add(b, slice_of(p->shown));
	else if (p->name)
		conf_write_display_name(b, slice_of(p->name));
	else
		write_user(b, slice_of(p->user->uri));
}

void conf_write_sender(struct buffer *b, const struct conf_post *post)
{
	if (post->from)
		conf_write_name(b, post->from);
	else
		write_user(b, post->from_uri);
}

void conf_welcome(struct conf_participant *p)
{
	struct conf_entry *entry;

	STAILQ_FOREACH(entry, &p->room->history.entries, next)
		copy(p, slice_of(entry->content_type), entry->body);
	conf_pace_check(p);
}
