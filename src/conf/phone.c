/* Participants who have SIP MESSAGE alone (RFC 3428): their texts in, those of others out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <msrpd/flow.h>
#include <msrpd/page.h>

#include "conf/priv.h"

enum {
	WAITING_MAX = 100,           /* MESSAGEs for one phone */
	WAITING_BYTES_MAX = 1 << 20, /* of their bodies */
	FAILURES_MAX = 3,            /* one after the other, and it has left */
	WHO_MAX = 1000,              /* bytes of the answer to /who */
	TEXT_MAX = 64 * 1024,        /* of one from a phone */
};

#define ABSENT  ((struct slice){NULL, 0})
#define IS_TEXT SLICE("text/plain;charset=UTF-8")

/* A MESSAGE that waits, or is under way. */
struct conf_page {
	TAILQ_ENTRY(conf_page) next;  /* of its phone */
	LIST_ENTRY(conf_page) orphan; /* once the phone is gone */
	struct conf_phone *phone;     /* NULL: it is */
	unsigned hops;                /* as of a page_message */
	size_t len;
	char text[];
};

/* --- out: one at a time, in order (RFC 3428 section 8) --- */

static void page_free(struct conf_page *page)
{
	if (page->phone) {
		TAILQ_REMOVE(&page->phone->pages, page, next);
		page->phone->count--;
		page->phone->bytes -= page->len;
	} else {
		LIST_REMOVE(page, orphan);
	}
	free(page);
}

/* @return false: it has left */
static bool note_failure(struct conf_phone *phone)
{
	if (++phone->failures < FAILURES_MAX)
		return true;
	conf_participant_end(phone->participant, "failed");
	return false;
}

static bool go_on(struct conf_phone *phone);

static void on_done(const struct page_result *result, void *arg)
{
	struct conf_page *page = arg;
	struct conf_phone *phone = page->phone;

	page_free(page);
	if (!phone)
		return;
	phone->busy = false;
	if (result->code < 300)
		phone->failures = 0;
	/* What is too large for it says nothing of the phone. */
	else if (result->code != 413 && !note_failure(phone))
		return;
	go_on(phone);
}

static int send_page(const struct conf_phone *phone, struct conf_page *page)
{
	const struct conf_participant *p = phone->participant;
	struct slice uri = slice_of(p->real ? p->real : p->user->uri);
	struct page_message message = {
	    .ruri = uri,
	    .from_uri = slice_of(p->room->uri),
	    .to_uri = uri,
	    .content_type = IS_TEXT,
	    .body = {page->text, page->len},
	    .caller = phone->caller,
	    .hops = page->hops,
	};

	return page_send(p->room->conf->env.page, &message, on_done, page);
}

/* @return false: it has left */
static bool go_on(struct conf_phone *phone)
{
	struct conf_page *page;

	while (!phone->busy && (page = TAILQ_FIRST(&phone->pages))) {
		phone->busy = send_page(phone, page) == 0;
		if (phone->busy)
			break;
		page_free(page);
		if (!note_failure(phone))
			return false;
	}
	return true;
}

/* What a phone is behind with has a bound. */
static bool tell(struct conf_participant *p, struct slice text, unsigned hops)
{
	struct conf_phone *phone = p->phone;
	struct conf_page *page;

	if (phone->count >= WAITING_MAX || phone->bytes + text.len > WAITING_BYTES_MAX) {
		++*p->room->conf->count.slow;
		conf_participant_end(p, "slow");
		return false;
	}
	page = calloc(1, sizeof(*page) + text.len + 1);
	if (!page)
		return true;
	page->phone = phone;
	page->hops = hops;
	page->len = text.len;
	memcpy(page->text, text.p, text.len);
	TAILQ_INSERT_TAIL(&phone->pages, page, next);
	phone->count++;
	phone->bytes += page->len;
	return go_on(phone);
}

bool conf_phone_tell(struct conf_participant *p, struct slice text)
{
	return tell(p, text, 0);
}

void conf_phone_show(struct conf_participant *p, const struct conf_post *post)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	conf_write_sender(&b, post);
	buffer_add(&b, SLICE(": "));
	buffer_add(&b, post->content);
	if (!b.err) {
		++*p->room->conf->count.copies;
		tell(p, buffer_text(&b), post->hops);
	}
	buffer_fini(&b);
}

/* --- life --- */

int conf_phone_new(struct conf_participant *p, const struct sip_request *message)
{
	struct conf_phone *phone = calloc(1, sizeof(*phone));

	if (!phone)
		return -ENOMEM;
	phone->participant = p;
	sip_flow_note_caller(&phone->caller, message);
	TAILQ_INIT(&phone->pages);
	p->phone = phone;
	return 0;
}

void conf_phone_free(struct conf_participant *p)
{
	struct conf *conf = p->room->conf;
	struct conf_phone *phone = p->phone;
	struct conf_page *page;

	if (!phone)
		return;
	timer_queue_stop(&conf->silent, &phone->silent);
	/* The first one's answer may still come. */
	if (phone->busy && (page = TAILQ_FIRST(&phone->pages))) {
		TAILQ_REMOVE(&phone->pages, page, next);
		page->phone = NULL;
		LIST_INSERT_HEAD(&conf->orphans, page, orphan);
	}
	while ((page = TAILQ_FIRST(&phone->pages)))
		page_free(page);
	sip_flow_unref(phone->caller);
	free(phone);
	p->phone = NULL;
}

void conf_phone_silent(struct timer_entry *entry, void *arg)
{
	struct conf_phone *phone =
	    (struct conf_phone *)((char *)entry - offsetof(struct conf_phone, silent));

	(void)arg;
	conf_participant_end(phone->participant, "expired");
}

void conf_orphans_free(struct conf *conf)
{
	struct conf_page *page;

	while ((page = LIST_FIRST(&conf->orphans)))
		page_free(page);
}

/* --- commands --- */

static void run_nick(struct conf_participant *p, struct slice name)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	switch (conf_nickname_ask(p, name)) {
	case 200:
		if (p->shown)
			buffer_printf(&b, "You are %s now.", p->shown);
		else
			buffer_add(&b, SLICE("You have no nickname now."));
		break;
	case 403:
		buffer_add(&b, SLICE("There are no nicknames here."));
		break;
	case 425:
		buffer_add(&b, SLICE("Somebody else has that name."));
		break;
	default:
		buffer_add(&b, SLICE("That is not a name."));
	}
	if (!b.err)
		conf_phone_tell(p, buffer_text(&b));
	buffer_fini(&b);
}

static void run_leave(struct conf_participant *p, struct slice rest)
{
	(void)rest;
	conf_participant_end(p, "bye");
}

static void run_who(struct conf_participant *p, struct slice rest)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};
	const struct conf_participant *other;

	(void)rest;
	TAILQ_FOREACH(other, &p->room->participants, next) {
		buffer_add(&b, b.len ? SLICE(", ") : SLICE(""));
		if (b.len > WHO_MAX) {
			buffer_add(&b, SLICE("…"));
			break;
		}
		conf_write_name(&b, other);
	}
	if (!b.err)
		conf_phone_tell(p, buffer_text(&b));
	buffer_fini(&b);
}

static const struct {
	const char *name;
	void (*run)(struct conf_participant *p, struct slice rest);
	bool joins; /* who is not there comes in by it */
} commands[] = {
    {"/nick", run_nick, true},
    {"/leave", run_leave, false},
    {"/who", run_who, true},
};

/* @return its index; the count of commands: none of them; -1: it is no command at all */
static int find_command(struct slice text, struct slice *rest)
{
	struct slice word;

	*rest = text;
	if (text.len == 0 || text.p[0] != '/')
		return -1;
	slice_cut(rest, ' ', &word);
	*rest = slice_trim(rest->p ? *rest : SLICE(""));
	for (size_t i = 0; i < CONF_COUNT(commands); i++)
		if (slice_equal_nocase(word, slice_of(commands[i].name)))
			return (int)i;
	return CONF_COUNT(commands);
}

/* --- in --- */

static struct slice trim_lines(struct slice text)
{
	while (text.len && strchr(" \t\r\n", text.p[text.len - 1]) && text.p[text.len - 1])
		text.len--;
	return text;
}

static void post_text(struct conf_participant *p, struct slice text,
    const struct sip_request *message)
{
	struct conf_post post = {
	    .room = p->room,
	    .from = p,
	    .from_uri = slice_of(p->user->uri),
	    .message_id = sip_request_field(message, SIP_FIELD_CALL_ID),
	    .content_type = IS_TEXT,
	    .kind = CONF_TEXT,
	    .hops = sip_request_hops(message),
	};

	if (conf_wrap(&post, slice_of(p->real ? NULL : p->name), text) < 0)
		return;
	conf_deliver(&post);
	conf_conclude(&post);
	shared_body_unref(post.body);
}

static int reply(struct sip_request *message, int code, struct slice headers)
{
	if (!sip_request_answered(message))
		sip_request_reply(message, code, ABSENT, headers);
	return code < 300 ? 0 : -EACCES;
}

static struct conf_participant *find_open(const struct conf_room *room, const char *key)
{
	const struct conf_user *user = conf_room_user(room, slice_of(key));
	struct conf_participant *p;

	if (user)
		LIST_FOREACH(p, &user->devices, device)
			if (p->phone)
				return p;
	return NULL;
}

/* That is here under an anonymous URI. */
static struct conf_participant *find_anonymous(const struct conf_room *room, const char *key)
{
	struct conf_participant *p;

	TAILQ_FOREACH(p, &room->participants, next)
		if (p->phone && p->real && strcmp(p->real, key) == 0)
			return p;
	return NULL;
}

/* Who is here by his name, and now asks to remain unknown, has left under it. */
static struct conf_participant *find_phone(const struct conf_room *room, const char *key,
    bool wants_privacy)
{
	struct conf_participant *p = find_open(room, key);

	if (p && wants_privacy) {
		conf_participant_end(p, "bye");
		p = NULL;
	}
	return p ? p : find_anonymous(room, key);
}

/* @return 0, or the status that the MESSAGE is answered with */
static int judge(const struct sip_request *message, struct slice *text)
{
	struct slice type = sip_request_field(message, SIP_FIELD_CONTENT_TYPE), bare;

	*text = sip_request_field(message, SIP_FIELD_BODY);
	if (!slice_equal(sip_request_field(message, SIP_FIELD_METHOD), SLICE("MESSAGE")))
		return 500; /* the rule takes an INVITE for one */
	if (!text->len || !slice_cut(&type, ';', &bare))
		return 400;
	if (!slice_equal_nocase(slice_trim(bare), SLICE("text/plain")))
		return 415;
	if (text->len > TEXT_MAX)
		return 413;
	if (sip_request_hops(message) == 0)
		return 483;
	*text = trim_lines(*text);
	return slice_is_utf8(*text) ? 0 : 400;
}

static void obey(struct conf_participant *p, int command, struct slice text, struct slice rest,
    const struct sip_request *message)
{
	if (command < 0)
		post_text(p, text, message);
	else if (command < (int)CONF_COUNT(commands))
		commands[command].run(p, rest);
	else
		conf_phone_tell(p, SLICE("I know /nick NAME, /who and /leave."));
}

int conf_phone_take(struct conf_room *room, struct sip_request *message, bool answer)
{
	struct conf *conf = room->conf;
	struct slice from = sip_request_field(message, SIP_FIELD_FROM_URI), text, rest;
	struct conf_participant *p;
	char key[CONF_URI_MAX + 1];
	int command, status = judge(message, &text);

	if (status == 415)
		return reply(message, 415, SLICE("Accept: text/plain\r\n"));
	if (status || conf_uri_key(key, from) < 0)
		return reply(message, status ? status : 403, ABSENT);
	/* RFC 5079: nothing that others say would reach him. */
	if (conf_uri_is_anonymous(from))
		return reply(message, 433, ABSENT);
	command = find_command(text, &rest);
	p = find_phone(room, key, conf_wants_privacy(message));
	if (!p
	    && !(command >= 0 && command < (int)CONF_COUNT(commands) && !commands[command].joins)) {
		status = conf_join_phone(room, key, message, &p);
		if (status)
			return reply(message, status, ABSENT);
	}
	if (answer)
		reply(message, 200, ABSENT);
	if (!p)
		return 0;
	sip_flow_note_caller(&p->phone->caller, message);
	timer_queue_start(&conf->silent, &p->phone->silent);
	obey(p, command, text, rest, message);
	return 0;
}
