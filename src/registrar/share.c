/*
 * What the nodes of a cluster know together: for each address-of-record a record in Redis, a line
 * for each binding.  This node knows its own bindings, and of those of others what it has seen
 * last; it decides by that, and writes what came of it if the record is still the one that it has
 * seen.  Otherwise it reads, and decides anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/buffer.h>

#include "registrar/priv.h"

enum {
	TRIES = 8,         /* others may change it each time */
	SETTLING_MAX = 64, /* at once, of those that nobody waits for */
	NUMBER_SIZE = 24,
};

static const char kind[] = "aor";

static const struct slice absent;

/* --- lines --- */

/* Words of a line. */
enum word {
	WRITER, /* "NAME INSTANCE" of the process that it came to */
	USER,   /* of the URI by which its connection is reached there; absent: it has none */
	MADE,   /* when it came, and when it is over, in ms by the clock of Redis */
	DUE,
	CSEQ,
	Q, /* in thousandths; absent: none was given */
	CONTACT,
	CALL_ID,
	INSTANCE,
	REG_ID,
	PARAMS, /* of its Contact, but for those above */
	PATH,
	USER_AGENT,
	SOURCE,
	WORDS,
};

struct numbers {
	char made[NUMBER_SIZE], due[NUMBER_SIZE], cseq[NUMBER_SIZE], q[NUMBER_SIZE];
};

static struct slice print(char text[NUMBER_SIZE], uint64_t number)
{
	snprintf(text, NUMBER_SIZE, "%" PRIu64, number);
	return slice_of(text);
}

/* A binding that is not in place yet is made now. */
static void write_own(struct buffer *w, const struct registrar *r, const struct binding *b,
    struct cluster_line *line)
{
	const struct binding_terms *t = &b->terms;
	struct sip_flow *flow = b->aor ? b->flow.flow : t->flow;
	uint64_t made_ms = b->aor ? b->made_ms : timer_now_ms();
	uint64_t due_ms = b->aor ? b->due_ms : made_ms + t->expires_ms;
	struct slice process = cluster_own_process(r->env.cluster);
	char user[SIP_FLOW_USER_SIZE];
	struct numbers n;
	struct slice words[WORDS] = {
	    [WRITER] = process,
	    [MADE] = print(n.made, made_ms + r->clock_ms),
	    [DUE] = print(n.due, due_ms + r->clock_ms),
	    [CSEQ] = print(n.cseq, t->cseq),
	    [Q] = t->q_given ? print(n.q, t->q) : absent,
	    [CONTACT] = t->contact,
	    [CALL_ID] = t->call_id,
	    [INSTANCE] = t->instance,
	    [REG_ID] = t->reg_id,
	    [PARAMS] = t->params,
	    [PATH] = t->path,
	    [USER_AGENT] = t->user_agent,
	    [SOURCE] = t->source,
	};

	if (flow) {
		sip_flow_user(flow, user);
		words[USER] = slice_of(user);
	}
	line->process = flow ? process : absent;
	cluster_words_write(w, words, WORDS);
}

static bool read_number(const struct slice *words, enum word word, uint64_t max, uint64_t *numberp)
{
	return slice_to_u64(words[word], max, numberp) == 0;
}

/*
 * Of one whose time is over expires_ms is 0.
 * @param w  gets the texts that terms point to, and does not move
 * @return false: it is none
 */
static bool read_line(struct buffer *w, const struct registrar *r, const struct cluster_line *line,
    struct slice words[WORDS], struct binding_terms *t)
{
	uint64_t now = timer_now_ms() + r->clock_ms, made, due, cseq, q = Q_MAX;
	struct slice own = cluster_own_sip(r->env.cluster);

	buffer_reserve(w,
	    2 * line->text.len + line->sip.len + SIP_FLOW_USER_SIZE + 2 * own.len + 1);
	if (cluster_words_read(w, line->text, words, WORDS) != WORDS || !words[WRITER].p
	    || !words[CONTACT].p || !words[CALL_ID].p || !read_number(words, MADE, INT64_MAX, &made)
	    || !read_number(words, DUE, INT64_MAX, &due)
	    || !read_number(words, CSEQ, UINT32_MAX, &cseq)
	    || (words[Q].p && !read_number(words, Q, Q_MAX, &q)))
		return false;
	*t = (struct binding_terms){
	    .contact = words[CONTACT],
	    .call_id = words[CALL_ID],
	    .instance = words[INSTANCE],
	    .reg_id = words[REG_ID],
	    .params = words[PARAMS],
	    .path = words[PATH],
	    .user_agent = words[USER_AGENT],
	    .source = words[SOURCE],
	    .cseq = (uint32_t)cseq,
	    .q = (unsigned)q,
	    .q_given = words[Q].p,
	    .expires_ms = due > now ? due - now : 0,
	    .made_ms = made - r->clock_ms,
	    .line = line->text,
	    .process = line->process,
	    .at = sip_flow_write_uri(w, line->sip, line->process.p ? words[USER] : absent, own),
	};
	return !w->err;
}

/* --- what is here, and what others know --- */

/* RFC 3261 10.3: Redis has gone back to what was before, as a replica that was behind has. */
static bool is_later(const struct binding *b, const struct binding_terms *t)
{
	return slice_equal(b->terms.call_id, t->call_id) && b->terms.cseq > t->cseq;
}

/* It is what this node has written; or it is later than what stands there, and is to be written. */
static void keep(struct binding *b, const struct binding_terms *t, bool ours)
{
	b->seen = true;
	b->written = ours && slice_equal(b->terms.call_id, t->call_id) && b->terms.cseq == t->cseq;
	b->aor->dirty |= !b->written;
}

static void take_line(struct aor *aor, const struct cluster_line *line)
{
	struct registrar *r = aor->registrar;
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct slice words[WORDS];
	struct binding_terms t;
	struct binding *b, *fresh;
	bool ours;

	if (!read_line(&w, r, line, words, &t)) {
		buffer_fini(&w);
		return;
	}
	ours = slice_equal(words[WRITER], cluster_own_process(r->env.cluster));
	slice_cut(&words[WRITER], ' ', &t.node);
	b = aor_find_told(aor, &t);
	if (b
	    && (is_later(b, &t)
		|| (binding_is_own(b) && (ours || (!b->written && b->made_ms >= t.made_ms))))) {
		keep(b, &t, ours);
	} else if (ours) {
		aor->dirty = true; /* it is here no more */
	} else if (t.expires_ms > 0 && (fresh = binding_new(r, &t))) {
		fresh->seen = true;
		binding_adopt(fresh, aor, b);
	}
	buffer_fini(&w);
}

/*
 * What is not in a record that has followed the one where it was has been taken away by another
 * node.  If Redis has lost that, it is to be written again.
 */
static void drop_unseen(struct aor *aor, bool followed)
{
	struct binding *b, *next;

	for (b = TAILQ_FIRST(&aor->bindings); b; b = next) {
		next = TAILQ_NEXT(b, entry);
		if (b->seen)
			continue;
		if (!binding_is_own(b) || (b->written && followed)) {
			binding_drop(b);
		} else {
			b->written = false;
			aor->dirty = true;
		}
	}
}

static void merge(struct share *s, const struct cluster_record *record)
{
	struct registrar *r = s->registrar;
	struct slice name = {s->name, s->len};
	struct aor *aor = record->count ? aor_get(r, name) : aor_find(r, name);
	struct binding *b;
	bool followed;

	if (!aor)
		return;
	followed =
	    record->born_us && aor->born_us == record->born_us && aor->version <= record->version;
	aor->held++;
	TAILQ_FOREACH(b, &aor->bindings, entry)
		b->seen = false;
	for (size_t i = 0; i < record->count; i++)
		take_line(aor, &record->lines[i]);
	drop_unseen(aor, followed);
	aor->born_us = record->born_us;
	aor->version = record->version;
	aor->held--;
	aor_release(aor);
}

/* --- questions --- */

void share_init(struct share *s, struct registrar *r, struct slice name)
{
	s->registrar = r;
	s->question = NULL;
	s->len = name.len;
	memcpy(s->name, name.p, name.len);
}

static void finish(struct share *s, enum share_result result)
{
	LIST_REMOVE(s, next);
	s->question = NULL;
	if (result == SHARE_AWAY)
		++*s->registrar->count.alone;
	s->done(s, result);
}

/*
 * Redis has read its clock between the question and the answer.  What is known of it stays where it
 * fits: an answer that was late would make what other nodes have written seem newer than it is.
 */
static void note_clock(struct registrar *r, uint64_t redis_ms, uint64_t asked_ms)
{
	uint64_t most = redis_ms - asked_ms, least = redis_ms - timer_now_ms();

	if (!r->clock_known || (int64_t)(r->clock_ms - least) < 0)
		r->clock_ms = least;
	else if ((int64_t)(most - r->clock_ms) < 0)
		r->clock_ms = most;
	r->clock_known = true;
}

static void on_record(const struct cluster_record *record, void *arg)
{
	struct share *s = arg;
	struct registrar *r = s->registrar;
	struct aor *aor;

	if (!record) {
		finish(s, SHARE_AWAY);
		return;
	}
	note_clock(r, record->now_ms, s->asked_ms);
	if (!record->written) {
		merge(s, record);
		finish(s, SHARE_SEEN);
		return;
	}
	aor = aor_find(r, (struct slice){s->name, s->len});
	if (aor) {
		aor->born_us = record->born_us;
		aor->version = record->version;
	}
	finish(s, SHARE_WRITTEN);
}

/* @return 0 or -ENOTCONN */
static int wait_for(struct share *s)
{
	if (!s->question)
		return -ENOTCONN;
	s->asked_ms = timer_now_ms();
	LIST_INSERT_HEAD(&s->registrar->shares, s, next);
	return 0;
}

int share_read(struct share *s)
{
	struct registrar *r = s->registrar;

	s->question = r->env.cluster ? cluster_record_read(r->env.cluster, kind,
			  (struct slice){s->name, s->len}, on_record, s)
				     : NULL;
	return wait_for(s);
}

void share_drop(struct share *s)
{
	cluster_question_drop(s->question);
	LIST_REMOVE(s, next);
}

bool share_must_read(const struct registrar *r, const struct aor *aor)
{
	return r->env.cluster && (!r->clock_known || !aor->version || aor->own < aor->count);
}

/* Lines, and how long the last of them is to be kept. */
struct lines {
	struct buffer text;
	struct cluster_line all[CLUSTER_LINES_MAX];
	size_t starts[CLUSTER_LINES_MAX + 1], count;
	uint64_t keep_ms;
};

static void add_line(struct lines *lines, const struct registrar *r, const struct binding *b)
{
	uint64_t now = timer_now_ms();
	uint64_t left_ms = !b->aor ? b->terms.expires_ms : b->due_ms > now ? b->due_ms - now : 0;
	struct cluster_line *line = &lines->all[lines->count];

	if (lines->count == CLUSTER_LINES_MAX)
		return;
	lines->starts[lines->count++] = lines->text.len;
	if (left_ms > lines->keep_ms)
		lines->keep_ms = left_ms;
	if (binding_is_own(b)) {
		write_own(&lines->text, r, b, line);
	} else {
		line->process = b->terms.process;
		buffer_add(&lines->text, b->terms.line);
	}
}

static bool is_old(const struct binding *b, const struct change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].old == b)
			return true;
	return false;
}

static void write_lines(struct lines *lines, const struct aor *aor, const struct change *changes,
    size_t count)
{
	const struct binding *b;

	for (size_t i = 0; i < count; i++)
		if (changes[i].fresh)
			add_line(lines, aor->registrar, changes[i].fresh);
	TAILQ_FOREACH(b, &aor->bindings, entry)
		if (!is_old(b, changes, count))
			add_line(lines, aor->registrar, b);
	lines->starts[lines->count] = lines->text.len;
	for (size_t i = 0; i < lines->count; i++)
		lines->all[i].text = (struct slice){lines->text.p + lines->starts[i],
		    lines->starts[i + 1] - lines->starts[i]};
}

/* Without a line it stays as long as a binding might that somebody still has. */
int share_write(struct share *s, const struct aor *aor, const struct change *changes, size_t count)
{
	struct registrar *r = s->registrar;
	struct lines lines = {.text = {.max = BUFFER_UNBOUNDED}};
	struct cluster_writing writing = {.born_us = aor->born_us,
	    .version = aor->version,
	    .lines = lines.all};

	s->question = NULL;
	if (r->env.cluster && r->clock_known) {
		write_lines(&lines, aor, changes, count);
		writing.count = lines.count;
		writing.keep_ms = lines.count ? lines.keep_ms + 1 : r->settings->max_expires_ms;
		if (!lines.text.err)
			s->question = cluster_record_write(r->env.cluster, kind,
			    (struct slice){s->name, s->len}, &writing, on_record, s);
		buffer_fini(&lines.text);
	}
	return wait_for(s);
}

void share_mend(struct aor *aor)
{
	if (aor && aor->dirty && !aor->settling)
		share_settle(aor);
}

void share_note_written(struct aor *aor)
{
	struct binding *b;

	aor->dirty = false;
	TAILQ_FOREACH(b, &aor->bindings, entry)
		b->written = binding_is_own(b);
}

/* --- settling --- */

struct settling {
	struct share share;
	unsigned tries;
	bool removes, all; /* one contact, or all of them */
	size_t contact_len;
	char contact[];
};

static void end_those_over(struct aor *aor)
{
	struct binding *b, *next;

	for (b = TAILQ_FIRST(&aor->bindings); b; b = next) {
		next = TAILQ_NEXT(b, entry);
		if (b->ending && binding_is_own(b))
			binding_end(b, b->end);
	}
}

static void remove_told(struct aor *aor, const struct settling *g)
{
	struct slice contact = {g->contact, g->contact_len};
	struct binding *b, *next;

	for (b = TAILQ_FIRST(&aor->bindings); b; b = next) {
		next = TAILQ_NEXT(b, entry);
		if (g->all || sip_uri_same(contact, b->terms.contact))
			binding_end(b, END_REMOVED);
	}
}

static void settle_next(struct registrar *r);

static void on_settled(struct share *s, enum share_result result)
{
	struct settling *g = (struct settling *)s;
	struct registrar *r = s->registrar;
	struct aor *aor = aor_find(r, (struct slice){s->name, s->len});

	if (aor && result != SHARE_STOPPED) {
		aor->held++;
		if (result == SHARE_SEEN && g->removes)
			remove_told(aor, g);
		end_those_over(aor);
		if (result == SHARE_WRITTEN)
			share_note_written(aor);
		aor->held--;
		if (result == SHARE_SEEN && aor->dirty && ++g->tries < TRIES
		    && share_write(s, aor, NULL, 0) == 0)
			return;
		aor->settling = false;
		if (aor->again)
			share_settle(aor);
		aor_release(aor);
	}
	free(g);
	r->settling--;
	if (result != SHARE_STOPPED)
		settle_next(r);
}

/* @return 0 or negative errno: it cannot be asked now */
static int settle(struct registrar *r, struct slice name, const struct slice *contact)
{
	size_t len = contact ? contact->len : 0;
	struct settling *g = calloc(1, sizeof(*g) + len);
	int err;

	if (!g)
		return -ENOMEM;
	share_init(&g->share, r, name);
	g->share.done = on_settled;
	g->removes = contact;
	g->all = contact && !contact->p;
	g->contact_len = len;
	if (len)
		memcpy(g->contact, contact->p, len);
	err = share_read(&g->share);
	if (err < 0)
		free(g);
	else
		r->settling++;
	return err;
}

static void put_off(struct aor *aor)
{
	if (aor->queued)
		return;
	TAILQ_INSERT_TAIL(&aor->registrar->unsettled, aor, unsettled);
	aor->queued = true;
}

void share_settle(struct aor *aor)
{
	struct registrar *r = aor->registrar;

	aor->again = aor->settling;
	if (aor->settling || !r->env.cluster)
		return;
	if (r->settling >= SETTLING_MAX) {
		put_off(aor);
		return;
	}
	aor->settling = settle(r, (struct slice){aor->name, aor->len}, NULL) == 0;
	if (aor->settling)
		return;
	aor->held++;
	end_those_over(aor);
	aor->held--;
}

void share_remove(struct registrar *r, struct slice name, struct slice contact)
{
	if (r->env.cluster)
		settle(r, name, &contact);
}

void share_end(struct binding *b, enum end end)
{
	struct aor *aor = b->aor;

	b->ending = true;
	b->end = end;
	if (aor->registrar->env.cluster) {
		share_settle(aor);
		aor_release(aor);
	} else {
		binding_end(b, end);
	}
}

/* --- Redis is back --- */

static void settle_next(struct registrar *r)
{
	struct aor *aor;

	while (r->settling < SETTLING_MAX && (aor = TAILQ_FIRST(&r->unsettled))) {
		TAILQ_REMOVE(&r->unsettled, aor, unsettled);
		aor->queued = false;
		share_settle(aor);
		aor_release(aor);
	}
}

static void on_anew(struct cluster_watch *watch, bool all)
{
	struct registrar *r =
	    (struct registrar *)(void *)((char *)watch - offsetof(struct registrar, watch));
	struct aor *aor, *next;

	HASH_ITER(hh, r->aors, aor, next)
	{
		struct binding *b;

		TAILQ_FOREACH(b, &aor->bindings, entry)
			b->written &= !all;
		/*
		 * Also what is there: who has read the record while this node had none did not see
		 * it, and may write what he has seen as long as nobody else writes.
		 */
		aor->dirty |= all && aor->own > 0;
		if (aor->dirty)
			put_off(aor);
	}
	settle_next(r);
}

void share_start(struct registrar *r)
{
	LIST_INIT(&r->shares);
	TAILQ_INIT(&r->unsettled);
	r->watch.anew = on_anew;
	cluster_watch_start(r->env.cluster, &r->watch);
}

void share_stop(struct registrar *r)
{
	struct share *s;

	cluster_watch_stop(r->env.cluster, &r->watch);
	while ((s = LIST_FIRST(&r->shares))) {
		cluster_question_drop(s->question);
		finish(s, SHARE_STOPPED);
	}
}
