/* REFER to a room: somebody in it has another one called in, or sent out (RFC 4579 5.5, 5.11). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <msrpd/subscription.h>

#include "conf/priv.h"

#define ABSENT ((struct slice){NULL, 0})

enum { LIFE_S = 300, FRAGMENT_MAX = 256 };

/* What somebody has asked for, until he is told what became of it: RFC 3515 2.4.4. */
struct conf_referral {
	struct subscription *subscription; /* NULL: he does not want to know any more */
	bool pending;                      /* somebody is called for it */
};

/* --- what he is told --- */

static int on_subscribe(struct subscription *s, struct sip_request *request, void **watcherp,
    void *arg)
{
	(void)s;
	(void)request;
	(void)watcherp;
	(void)arg;
	return 403; /* RFC 3515 3: by REFER alone */
}

static int on_body(struct subscription *s, bool full, char **bodyp, size_t *lenp, void *watcher)
{
	struct slice trying = SLICE("SIP/2.0 100 Trying\r\n");

	(void)s;
	(void)full;
	(void)watcher;
	*bodyp = slice_dup(trying);
	*lenp = trying.len;
	return *bodyp ? 0 : -ENOMEM;
}

static void on_ended(struct subscription *s, void *watcher)
{
	struct conf_referral *r = watcher;

	(void)s;
	r->subscription = NULL;
	if (!r->pending)
		free(r);
}

static const struct event_package package = {
    .event = "refer",
    .content_type = "message/sipfrag",
    .default_expires_s = LIFE_S,
    .max_expires_s = LIFE_S,
    .subscribe = on_subscribe,
    .body = on_body,
    .ended = on_ended,
};

int conf_refer_offer(struct conf *conf)
{
	struct notifier *notifier = conf->env.notifier;

	return notifier ? notifier_offer(notifier, &package, conf) : 0;
}

void conf_refer_withdraw(struct conf *conf)
{
	if (conf->env.notifier)
		notifier_withdraw(conf->env.notifier, &package);
}

void conf_referral_end(struct conf_referral *r, int code, struct slice reason)
{
	char text[FRAGMENT_MAX];
	int n = snprintf(text, sizeof(text), "SIP/2.0 %03d %.*s\r\n", code,
	    (int)(reason.len < FRAGMENT_MAX / 2 ? reason.len : FRAGMENT_MAX / 2), reason.p);

	if (!r)
		return;
	if (r->subscription)
		subscription_end(r->subscription, SUBSCRIPTION_NORESOURCE,
		    (struct slice){text, (size_t)n});
	free(r);
}

/* 202, and what comes of it by NOTIFY.  @return 0; negative errno: it is answered otherwise */
static int accept(const struct conf *conf, struct sip_request *refer, struct conf_referral **rp)
{
	struct conf_referral *r = calloc(1, sizeof(*r));
	int err =
	    r ? notifier_refer(conf->env.notifier, refer, &package, r, &r->subscription) : -ENOMEM;

	if (err < 0 && !sip_request_answered(refer))
		sip_request_reply(refer, 500, ABSENT, ABSENT);
	if (err < 0 || !r->subscription) {
		free(r);
		r = NULL;
	}
	*rp = r;
	return err;
}

/* --- what he asks for --- */

struct target {
	struct buffer uri; /* without method and headers */
	struct slice method;
	bool headers;
};

static int refuse(struct sip_request *refer, int code, struct slice reason)
{
	sip_request_reply(refer, code, reason, ABSENT);
	return -EACCES;
}

static bool read_method(struct slice parameter, struct slice *methodp)
{
	struct slice name;

	slice_cut(&parameter, '=', &name);
	if (slice_equal_nocase(name, SLICE("method")))
		*methodp = parameter;
	return slice_equal_nocase(name, SLICE("method"));
}

/* The user may have in it what parts the others. */
static void read_target(struct target *t, struct slice address)
{
	struct slice uri = sip_address_uri(address), rest, part;
	const char *at = uri.len ? memchr(uri.p, '@', uri.len) : NULL;
	size_t user = at ? (size_t)(at - uri.p) + 1 : 0;

	*t = (struct target){.uri = {.max = CONF_URI_MAX}, .method = SLICE("INVITE")};
	buffer_add(&t->uri, slice_head(uri, user));
	uri = slice_from(uri, user);
	slice_cut(&uri, '?', &rest);
	t->headers = uri.p != NULL;
	slice_cut(&rest, ';', &part);
	buffer_add(&t->uri, part);
	while (slice_cut(&rest, ';', &part))
		if (!read_method(part, &t->method))
			buffer_printf(&t->uri, ";%.*s", SLICE_ARG(part));
}

/* Is he in there, under whatever name? */
static bool is_here(const struct conf_room *room, struct slice from)
{
	const struct conf_participant *p;
	char key[CONF_URI_MAX + 1];

	if (conf_uri_key(key, sip_address_uri(from)) < 0)
		return false;
	TAILQ_FOREACH(p, &room->participants, next)
		if (strcmp(p->user->uri, key) == 0 || (p->real && strcmp(p->real, key) == 0))
			return true;
	return false;
}

/* RFC 3892 2.1: whom it is from is said to who is called. */
static struct slice referred_by(const struct sip_request *refer, struct buffer *line)
{
	struct slice value = sip_request_header(refer, SLICE("Referred-By"));

	line->max = BUFFER_UNBOUNDED;
	if (value.p)
		buffer_printf(line, "Referred-By: %.*s\r\n", SLICE_ARG(value));
	return line->err ? ABSENT : buffer_text(line);
}

static int call(struct conf_room *room, struct sip_request *refer, const struct target *t)
{
	struct buffer line = {0};
	struct conf_participant *p;
	char key[CONF_URI_MAX + 1];
	int err;

	if (conf_uri_key(key, buffer_text(&t->uri)) < 0)
		return refuse(refer, 400, SLICE("Not a URI"));
	if (!conf_room_admits(room, slice_of(key)))
		return refuse(refer, 403, SLICE("Not One of Its Users"));
	if (conf_room_is_full(room))
		return refuse(refer, 486, SLICE("Room Is Full"));
	if (sip_request_hops(refer) == 0)
		return refuse(refer, 483, ABSENT);
	err = conf_invite(room, buffer_text(&t->uri), referred_by(refer, &line),
	    sip_request_hops(refer), &p);
	buffer_fini(&line);
	if (err < 0)
		return refuse(refer, 480, SLICE("Cannot Be Called"));
	err = accept(room->conf, refer, &p->referral);
	if (err < 0)
		conf_participant_end(p, "failed");
	else if (p->referral)
		p->referral->pending = true;
	return err;
}

static int send_out(struct conf_room *room, struct sip_request *refer, const struct target *t)
{
	struct conf_user *user = conf_room_user(room, buffer_text(&t->uri));
	struct conf_referral *r;
	int err;

	if (!user)
		return refuse(refer, 480, SLICE("Not in the Room"));
	err = accept(room->conf, refer, &r);
	if (err < 0)
		return err;
	conf_user_kick(user);
	conf_referral_end(r, 200, SLICE("OK"));
	return 0;
}

static int obey(struct conf_room *room, struct sip_request *refer, const struct target *t,
    bool kick)
{
	if (t->uri.err)
		return refuse(refer, 400, SLICE("Not a URI"));
	if (t->headers)
		return refuse(refer, 501, SLICE("Headers in the URI"));
	if (slice_equal(t->method, SLICE("INVITE")))
		return call(room, refer, t);
	if (!slice_equal(t->method, SLICE("BYE")))
		return refuse(refer, 501, ABSENT);
	return kick ? send_out(room, refer, t) : refuse(refer, 403, ABSENT);
}

int conf_refer(struct conf_room *room, struct sip_request *refer, struct slice from, bool kick)
{
	struct slice address = sip_request_header(refer, SLICE("Refer-To"));
	struct target t;
	int err;

	if (!is_here(room, from))
		return refuse(refer, 403, SLICE("Not in the Room"));
	if (!address.p || sip_request_header_at(refer, SLICE("Refer-To"), 1).p
	    || sip_request_is_damaged(refer, SLICE("Refer-To")))
		return refuse(refer, 400, SLICE("Not One Refer-To"));
	read_target(&t, address);
	err = obey(room, refer, &t, kick);
	buffer_fini(&t.uri);
	return err;
}
