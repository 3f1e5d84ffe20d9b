/* The User Agent: its settings, its table of sessions, and what services call. */
#include "ua/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "base/stats.h"
#include "msrp/stack.h"
#include "sip/request.h"

/* --- the table --- */

/* The table's first size is a setting; after that uthash grows it by itself. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS_LOG2 ((unsigned)ua->env.settings->hash_size)
#define HASH_INITIAL_NUM_BUCKETS      (1U << HASH_INITIAL_NUM_BUCKETS_LOG2)

int ua_session_enter(struct ua_session *s)
{
	struct ua *ua = s->ua;

	HASH_ADD_KEYPTR(hh, ua->sessions, s->id, (unsigned)strlen(s->id), s);
	if (!s->hh.tbl)
		return -ENOMEM;
	(*ua->count.sessions)++;
	return 0;
}

struct ua_session *ua_find(struct ua *ua, struct slice session_id)
{
	struct ua_session *s = NULL;

	if (session_id.p)
		HASH_FIND(hh, ua->sessions, session_id.p, session_id.len, s);
	return s;
}

void ua_each(struct ua *ua, void (*fn)(struct ua_session *s, void *arg), void *arg)
{
	struct ua_session *s, *next;

	HASH_ITER(hh, ua->sessions, s, next)
	fn(s, arg);
}

/* --- time --- */

static void on_cleanup(void *arg)
{
	struct ua *ua = arg;
	const struct ua_settings *settings = ua->env.settings;
	uint64_t now = timer_now_ms();
	struct ua_session *s;

	timer_start(&ua->cleanup, settings->cleanup_interval_ms);
	if (settings->max_duration_ms == 0)
		return;
	while ((s = TAILQ_FIRST(&ua->established))
	    && now - s->established_ms >= settings->max_duration_ms)
		ua_session_terminate(s, UA_END_EXPIRED);
}

static void on_unbound(struct timer_entry *entry, void *arg)
{
	(void)arg;
	ua_session_missed(
	    (struct ua_session *)((char *)entry - offsetof(struct ua_session, unbound)));
}

static void on_grace_over(struct timer_entry *entry, void *arg)
{
	(void)arg;
	ua_session_give_up(
	    (struct ua_session *)((char *)entry - offsetof(struct ua_session, grace)),
	    UA_END_FAILED);
}

static void on_orphaned(void *arg)
{
	struct ua *ua = arg;
	struct ua_session *s;

	while ((s = TAILQ_FIRST(&ua->orphans)))
		if (s->notified)
			ua_session_ends(s, s->orphaned_by);
		else
			ua_session_fail_here(s, 487, SLICE("Session Ended"));
}

static void on_retry(struct timer_entry *entry, void *arg)
{
	(void)arg;
	ua_session_retry((struct ua_session *)((char *)entry - offsetof(struct ua_session, retry)));
}

static void on_last_words(struct timer_entry *entry, void *arg)
{
	(void)arg;
	ua_session_terminate(
	    (struct ua_session *)((char *)entry - offsetof(struct ua_session, last_words)),
	    UA_END_BYE);
}

/* --- the UA itself --- */

#define NUMBER(field) .name = #field, .offset = offsetof(struct ua_counters, field)
#define ENDED(end)    offsetof(struct ua_counters, ended[end])

static const struct stats_row numbers[] = {
    {NUMBER(sessions), .help = "Sessions at this moment", .gauge = true},
    {NUMBER(started), .help = "Sessions started by an INVITE of ours"},
    {NUMBER(answered), .help = "INVITEs answered as sessions"},
    {NUMBER(refused), .help = "INVITEs that no session could be made of"},
    {NUMBER(established), .help = "Sessions established"},
    {NUMBER(failed), .help = "Sessions that were never established"},
    {.name = "ended_bye",
	.help = "Established sessions that the peer ended",
	.offset = ENDED(UA_END_BYE)},
    {.name = "ended_expired",
	.help = "Sessions ended by max_duration",
	.offset = ENDED(UA_END_EXPIRED)},
    {.name = "ended_absent",
	.help = "Sessions whose peer did not connect in time",
	.offset = ENDED(UA_END_ABSENT)},
    {.name = "ended_failed",
	.help = "Established sessions that were lost",
	.offset = ENDED(UA_END_FAILED)},
    {.name = "ended_stopped",
	.help = "Sessions ended because msrpd stops",
	.offset = ENDED(UA_END_STOPPED)},
    {0},
};

static void on_stopped(void *arg)
{
	struct ua *ua = arg;

	ua->stopped(ua->stopped_arg);
}

static int set_up(struct ua *ua)
{
	struct event_base *base = ua->env.base;
	int err = stats_register(ua->env.stats, "ua", numbers, &ua->count);

	if (err == 0)
		err = ua_locals_read(&ua->locals, ua->env.settings, ua->env.msrp);
	if (err == 0)
		err = timer_init(&ua->cleanup, base, on_cleanup, ua);
	if (err == 0)
		err = timer_init(&ua->orphaned, base, on_orphaned, ua);
	if (err == 0)
		err = timer_init(&ua->stopped_timer, base, on_stopped, ua);
	if (err == 0)
		err = timer_queue_init(&ua->unbound, base, ua->env.settings->bind_timeout_ms,
		    on_unbound, ua);
	if (err == 0)
		err = timer_queue_init(&ua->grace, base, ua->env.settings->reconnect_grace_ms,
		    on_grace_over, ua);
	if (err == 0)
		err = timer_queue_init(&ua->retry, base, UA_RETRY_MS, on_retry, ua);
	if (err == 0)
		err = timer_queue_init(&ua->last_words, base, UA_LAST_WORDS_MS, on_last_words, ua);
	if (err == 0)
		err = endpoints_new(&ua->endpoints, ua->env.msrp, ua->env.stats);
	return err;
}

static int say_why(struct reason *why, int err)
{
	return reason_set(why, err, "ua: %s",
	    err == -EINVAL ? "no my_uri, and no listener to take one from" : "out of memory");
}

int ua_new(struct ua **uap, const struct ua_env *env, struct reason *why)
{
	struct ua *ua = calloc(1, sizeof(*ua));
	int err = -ENOMEM;

	if (ua) {
		ua->env = *env;
		TAILQ_INIT(&ua->established);
		TAILQ_INIT(&ua->orphans);
		err = set_up(ua);
	}
	if (err < 0) {
		ua_free(ua);
		return say_why(why, err);
	}
	timer_start(&ua->cleanup, env->settings->cleanup_interval_ms);
	*uap = ua;
	return 0;
}

int ua_reload(struct ua *ua, const struct ua_settings *settings,
    const struct sip_credential *credentials, size_t credential_count, struct reason *why)
{
	int err = ua_locals_read(&ua->locals, settings, ua->env.msrp);

	if (err < 0)
		return say_why(why, err);
	ua->env.settings = settings;
	ua->env.credentials = credentials;
	ua->env.credential_count = credential_count;
	timer_queue_set_period(&ua->unbound, settings->bind_timeout_ms);
	timer_queue_set_period(&ua->grace, settings->reconnect_grace_ms);
	timer_start(&ua->cleanup, settings->cleanup_interval_ms);
	endpoints_reload(ua->endpoints);
	return 0;
}

void ua_session_gone(struct ua *ua)
{
	if (ua->stopping && !ua->sessions)
		timer_start(&ua->stopped_timer, 0);
}

/* A service that is told of one may end others, the next one among them. */
static void flush_all(struct ua *ua)
{
	struct ua_session *s = ua->sessions, *next;

	while (s) {
		next = s->hh.next;
		if (next)
			ua_session_ref(next);
		ua_session_flush(s);
		s = next && next->state == SESSION_OVER ? ua->sessions : next;
		if (next)
			ua_session_unref(next);
	}
}

void ua_stop(struct ua *ua, void (*done)(void *arg), void *arg)
{
	ua->stopping = true;
	ua->stopped = done;
	ua->stopped_arg = arg;
	flush_all(ua);
	ua_session_gone(ua);
}

void ua_halt(struct ua *ua)
{
	ua->stopping = true;
	while (ua->sessions)
		ua_session_terminate(ua->sessions, UA_END_STOPPED);
	timer_stop(&ua->stopped_timer);
	timer_stop(&ua->orphaned);
}

void ua_free(struct ua *ua)
{
	if (!ua)
		return;
	endpoints_free(ua->endpoints);
	timer_queue_fini(&ua->unbound);
	timer_queue_fini(&ua->grace);
	timer_queue_fini(&ua->retry);
	timer_queue_fini(&ua->last_words);
	timer_fini(&ua->stopped_timer);
	timer_fini(&ua->orphaned);
	timer_fini(&ua->cleanup);
	ua_locals_free(&ua->locals);
	free(ua);
}

/* --- what services call --- */

const struct ua_locals *ua_locals(const struct ua *ua)
{
	return &ua->locals;
}

const char *ua_end_name(enum ua_end end)
{
	static const char *const names[] = {
	    [UA_END_BYE] = "bye",
	    [UA_END_EXPIRED] = "expired",
	    [UA_END_ABSENT] = "absent",
	    [UA_END_FAILED] = "failed",
	    [UA_END_STOPPED] = "stopped",
	};

	return names[end];
}

static int refuse(struct ua *ua, struct sip_request *invite, int code, struct slice reason)
{
	(*ua->count.refused)++;
	sip_request_reply(invite, code, reason, (struct slice){NULL, 0});
	return -EPROTO;
}

static int refuse_for(struct ua *ua, struct sip_request *invite, int err)
{
	/* Where a dialog was made of it the answer has been given, and this one does not count. */
	refuse(ua, invite, 500, SLICE("Server Internal Error"));
	return err == -ENOMEM ? err : -EPROTO;
}

int ua_answer(struct ua *ua, struct sip_request *invite, const struct ua_offer *offer,
    struct ua_session **sp)
{
	struct ua_session_start start = {
	    .offer = offer,
	    .from_uri = sip_request_field(invite, SIP_FIELD_FROM_URI),
	    .to_uri = sip_request_field(invite, SIP_FIELD_TO_URI),
	    .ruri = sip_request_field(invite, SIP_FIELD_RURI),
	};
	const struct story of = {.call_id = sip_request_field(invite, SIP_FIELD_CALL_ID)};
	struct ua_session *s;
	struct slice sdp;
	const char *why;
	int err;

	if (!slice_equal(sip_request_field(invite, SIP_FIELD_METHOD), SLICE("INVITE")))
		return refuse(ua, invite, 400, SLICE("Not An INVITE"));
	if (ua->stopping)
		return refuse(ua, invite, 503, SLICE("Shutting Down"));
	if (ua_is_full(ua))
		return refuse(ua, invite, 503, SLICE("Too Many Sessions"));
	if (sip_request_sdp(invite, &sdp) < 0
	    || ua_page_judge(invite, offer->accept_types) < 0) { /* answered 415 */
		(*ua->count.refused)++;
		return -EPROTO;
	}
	start.local = ua_media_pick(ua, sdp, offer, &why);
	if (!start.local) {
		/* No code: the answer's has a line of its own. */
		story_refuse(&of, 0, "ua: INVITE refused: %s", why);
		return refuse(ua, invite, 488, SLICE("Not Acceptable Here"));
	}
	if (!ua_media_is_ready(sdp))
		return refuse(ua, invite, 580, SLICE("Precondition Failure"));
	err = ua_session_new(&s, ua, &start);
	if (err < 0)
		return refuse_for(ua, invite, err);
	err = ua_session_accept(s, invite);
	if (err < 0) {
		ua_session_drop(s);
		return refuse_for(ua, invite, err);
	}
	(*ua->count.answered)++;
	if (sp)
		*sp = s;
	return 0;
}

int ua_start(struct ua *ua, const struct ua_offer *offer, struct slice from_uri,
    struct slice to_uri, struct slice ruri, struct ua_session **sp)
{
	struct ua_session_start start = {
	    .offer = offer,
	    .local = &ua->locals.items[0],
	    .from_uri = from_uri,
	    .to_uri = to_uri,
	    .ruri = ruri,
	    .uac = true,
	};
	struct ua_session *s;
	int err;

	if (ua->stopping)
		return -ENETUNREACH;
	err = ua_session_new(&s, ua, &start);
	if (err < 0)
		return err;
	err = s->held ? 0 : ua_session_call(s);
	if (err < 0) {
		ua_session_drop(s);
		return err;
	}
	(*ua->count.started)++;
	if (sp)
		*sp = s;
	return 0;
}

const char *ua_session_id(const struct ua_session *s)
{
	return s->id;
}

void ua_end(struct ua_session *s)
{
	ua_session_drop(s);
}

int ua_cancel(struct ua_session *s)
{
	void (*cancelled)(void *arg) = s->handler->cancelled;
	void *handler_arg = s->arg;

	if (!cancelled)
		return -EPERM;
	ua_session_drop(s);
	cancelled(handler_arg);
	return 0;
}

const struct ua_files *ua_files(const struct ua *ua)
{
	return &ua->env.settings->files;
}

struct ua_limits ua_limits(const struct ua *ua)
{
	const struct msrp_settings *settings = msrp_stack_settings(ua->env.msrp);

	return (struct ua_limits){
	    .max_message_size = settings->max_message_size,
	    .chunk_size = settings->chunk_size,
	    .send_queue = settings->send_queue,
	    .shared_stall_ms = settings->shared_stall_ms,
	};
}

/* --- for lists --- */

static uint64_t lifetime_s(const struct ua_session *s)
{
	uint64_t limit = s->ua->env.settings->max_duration_ms, age;

	if (limit == 0)
		return UINT64_MAX;
	age = s->established_ms ? timer_now_ms() - s->established_ms : 0;
	return age < limit ? (limit - age) / 1000 : 0;
}

static const char *state_name(enum session_state state)
{
	switch (state) {
	case SESSION_SETUP:
		return "setup";
	case SESSION_ESTABLISHED:
	case SESSION_LOST:
		return "established";
	default:
		return "ending";
	}
}

void ua_session_info(const struct ua_session *s, struct ua_session_info *info)
{
	struct endpoint_info sent = {0};

	if (s->endpoint)
		endpoint_info(s->endpoint, &sent);
	*info = (struct ua_session_info){
	    .from_uri = sip_address_uri(s->from_uri),
	    .to_uri = sip_address_uri(s->to_uri),
	    .ruri = s->ruri,
	    .peer_path = s->peer ? s->peer->path : (struct slice){NULL, 0},
	    .call_id = ua_story(s).call_id,
	    .handler = s->handler->name,
	    .state = state_name(s->state),
	    .uac = s->uac,
	    .lifetime_s = lifetime_s(s),
	    .queued_bytes = sent.queued_bytes,
	    .messages_in = sent.messages_in,
	    .messages_out = sent.messages_out,
	};
}
