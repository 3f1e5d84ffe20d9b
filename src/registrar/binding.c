/* Addresses-of-record, and where they are. */
#include <ctype.h>
#include <stdlib.h>

#include <msrpd/buffer.h>

#include "registrar/priv.h"

enum { PLAIN_SIZE = TEXT_MAX + sizeof(";transport=tls") };

const struct event_type registration_new = {
    .name = "E_REGISTRATION_NEW",
    .params = (const char *const[]){"aor", "contact", "expires", NULL},
};

const struct event_type registration_end = {
    .name = "E_REGISTRATION_END",
    .params = (const char *const[]){"aor", "contact", "reason", NULL},
};

static const char *const reasons[] = {
    [END_UNREGISTERED] = "unregistered",
    [END_EXPIRED] = "expired",
    [END_REMOVED] = "removed",
    [END_REPLACED] = "replaced",
    [END_FAILED] = "failed",
};

/* --- addresses-of-record --- */

struct slice aor_name(struct slice uri, char name[AOR_NAME_MAX])
{
	struct slice user = sip_uri_user(uri), domain = sip_uri_domain(uri);
	struct buffer w = {.p = name, .cap = AOR_NAME_MAX};
	size_t at;

	buffer_add(&w, user);
	buffer_add_char(&w, '@');
	at = w.len;
	buffer_add(&w, domain);
	if (w.err || !user.p || !domain.p)
		return (struct slice){NULL, 0};
	for (; at < w.len; at++)
		name[at] = (char)tolower((unsigned char)name[at]);
	return buffer_text(&w);
}

struct aor *aor_find(struct registrar *r, struct slice name)
{
	struct aor *aor;

	HASH_FIND(hh, r->aors, name.p, name.len, aor);
	return aor;
}

struct aor *aor_get(struct registrar *r, struct slice name)
{
	struct aor *aor = aor_find(r, name);

	if (aor)
		return aor;
	aor = calloc(1, sizeof(*aor) + name.len);
	if (!aor)
		return NULL;
	aor->registrar = r;
	TAILQ_INIT(&aor->bindings);
	memcpy(aor->name, name.p, name.len);
	aor->len = name.len;
	HASH_ADD_KEYPTR(hh, r->aors, aor->name, (unsigned)aor->len, aor);
	if (!aor->hh.tbl) { /* no memory */
		free(aor);
		return NULL;
	}
	return aor;
}

void aor_release(struct aor *aor)
{
	struct registrar *r = aor->registrar;

	if (aor->count > 0 || aor->held > 0 || aor->dirty)
		return;
	if (aor->queued)
		TAILQ_REMOVE(&r->unsettled, aor, unsettled);
	HASH_DEL(r->aors, aor);
	free(aor);
}

static bool has_flow(const struct binding_terms *t)
{
	return t->instance.p && t->reg_id.p;
}

/* How much alike two bindings are. */
enum likeness { OTHER, URI_ALIKE, WAY_ALIKE, ITSELF };

/* RFC 5626 6: where both have a flow, the URI has no say. */
static enum likeness compare(const struct binding_terms *a, const struct binding_terms *b)
{
	if (has_flow(a) && has_flow(b))
		return slice_equal(a->instance, b->instance) && slice_equal(a->reg_id, b->reg_id)
		    ? ITSELF
		    : OTHER;
	if (!sip_uri_same(a->contact, b->contact))
		return OTHER;
	if (has_flow(a) || has_flow(b))
		return URI_ALIKE;
	return slice_equal(a->contact, b->contact) ? ITSELF : WAY_ALIKE;
}

bool terms_are_same(const struct binding_terms *a, const struct binding_terms *b)
{
	return compare(a, b) != OTHER;
}

/*
 * What is most alike: two contacts that are not the same may both be the same as a third one (RFC
 * 3261 19.1.4: that lacks a parameter in which they differ).
 */
static struct binding *find_most_alike(const struct aor *aor, const struct binding_terms *terms,
    enum likeness of_seen)
{
	struct binding *b, *found = NULL;
	enum likeness most = OTHER, now;

	TAILQ_FOREACH(b, &aor->bindings, entry) {
		now = compare(&b->terms, terms);
		if (now > most && (!b->seen || now >= of_seen)) {
			most = now;
			found = b;
		}
	}
	return found;
}

struct binding *aor_find_binding(const struct aor *aor, const struct binding_terms *terms)
{
	return find_most_alike(aor, terms, OTHER);
}

struct binding *aor_find_told(const struct aor *aor, const struct binding_terms *terms)
{
	return find_most_alike(aor, terms, ITSELF);
}

/* RFC 5630 4.1: on each hop, the one to another node among them. */
static bool is_secure(const struct binding_terms *t)
{
	return sip_uri_is_secure(t->contact) && (!t->at.p || sip_uri_is_secure(t->at));
}

/* An overdue one waits for what other nodes know of it. */
static bool is_there(const struct binding *b, bool secure, struct sip_place *place)
{
	const struct binding_terms *t = &b->terms;

	*place = (struct sip_place){secure ? t->contact : b->plain, b->flow.flow,
	    t->at.p ? t->at : t->path};
	return !b->ending && (!t->process.p || t->at.p) && (!secure || is_secure(t));
}

struct binding *aor_best(const struct aor *aor, bool secure, struct sip_place *place)
{
	struct binding *b;

	TAILQ_FOREACH(b, &aor->bindings, entry)
		if (is_there(b, secure, place))
			return b;
	return NULL;
}

/* --- events --- */

static struct slice aor_uri(const struct aor *aor, char text[AOR_NAME_MAX + 4])
{
	struct buffer w = {.p = text, .cap = AOR_NAME_MAX + 4};

	buffer_add(&w, SLICE("sip:"));
	buffer_add(&w, (struct slice){aor->name, aor->len});
	return buffer_text(&w);
}

static void emit(const struct binding *b, const struct event_type *type,
    const struct event_param *params, size_t count)
{
	const struct slice address = params[0].text;
	const struct event_audience audience = event_audience_of(&address);

	event_emit_for(b->aor->registrar->env.bus, type, params, count, &audience);
}

static void tell_new(const struct binding *b)
{
	char uri[AOR_NAME_MAX + 4];
	struct event_param params[] = {
	    event_text("aor", aor_uri(b->aor, uri)),
	    event_text("contact", b->terms.contact),
	    event_number("expires", (int64_t)binding_seconds(b)),
	};

	emit(b, &registration_new, params, sizeof(params) / sizeof(params[0]));
}

static void tell_end(const struct binding *b, enum end end)
{
	char uri[AOR_NAME_MAX + 4];
	struct event_param params[] = {
	    event_text("aor", aor_uri(b->aor, uri)),
	    event_text("contact", b->terms.contact),
	    event_text("reason", slice_of(reasons[end])),
	};

	++*b->aor->registrar->count.ended[end];
	emit(b, &registration_end, params, sizeof(params) / sizeof(params[0]));
}

/* --- bindings --- */

static void on_expiry(void *arg)
{
	struct binding *b = arg;
	struct aor *aor = b->aor;

	if (binding_is_own(b)) {
		share_end(b, END_EXPIRED);
	} else {
		binding_drop(b);
		aor_release(aor);
	}
}

static void on_flow_died(struct sip_flow_watch *watch)
{
	share_end((struct binding *)((char *)watch - offsetof(struct binding, flow)), END_FAILED);
}

static size_t text_size(const struct binding_terms *t)
{
	return t->contact.len + t->call_id.len + t->instance.len + t->reg_id.len + t->params.len
	    + t->path.len + t->user_agent.len + t->source.len + t->line.len + t->process.len
	    + t->at.len + t->node.len;
}

/* Without a connection to it, TLS has to stand in it. */
static struct slice plain_contact(const struct binding_terms *t, char text[PLAIN_SIZE])
{
	struct buffer w = {.p = text, .cap = PLAIN_SIZE};

	if (!sip_uri_is_secure(t->contact))
		return t->contact;
	sip_uri_write_plain(&w, t->contact, !t->flow && !t->process.p);
	return buffer_text(&w);
}

struct binding *binding_new(struct registrar *r, const struct binding_terms *terms)
{
	char text[PLAIN_SIZE];
	struct slice plain = plain_contact(terms, text);
	struct binding *b = calloc(1, sizeof(*b) + text_size(terms) + plain.len);
	char *p;

	if (!b || timer_init(&b->expiry, r->env.base, on_expiry, b) < 0) {
		free(b);
		return NULL;
	}
	p = b->text;
	b->terms = *terms;
	b->terms.contact = slice_pack(&p, terms->contact);
	b->plain = slice_pack(&p, plain);
	b->terms.call_id = slice_pack(&p, terms->call_id);
	b->terms.instance = slice_pack(&p, terms->instance);
	b->terms.reg_id = slice_pack(&p, terms->reg_id);
	b->terms.params = slice_pack(&p, terms->params);
	b->terms.path = slice_pack(&p, terms->path);
	b->terms.user_agent = slice_pack(&p, terms->user_agent);
	b->terms.source = slice_pack(&p, terms->source);
	b->terms.line = slice_pack(&p, terms->line);
	b->terms.process = slice_pack(&p, terms->process);
	b->terms.at = slice_pack(&p, terms->at);
	b->terms.node = slice_pack(&p, terms->node);
	return b;
}

static void count(const struct binding *b, int more)
{
	struct aor *aor = b->aor;
	struct registrar_counters *c = &aor->registrar->count;
	bool was_here = aor->own > 0;

	aor->count += (size_t)more;
	if (!binding_is_own(b)) {
		*c->elsewhere += (uint64_t)more;
		return;
	}
	*c->contacts += (uint64_t)more;
	aor->own += (size_t)more;
	if (was_here != (aor->own > 0))
		*c->aors += (uint64_t)more;
}

static void take_out(struct binding *b)
{
	TAILQ_REMOVE(&b->aor->bindings, b, entry);
	count(b, -1);
}

static void put_in(struct binding *b, struct aor *aor)
{
	struct binding *next;

	b->made_ms = binding_is_own(b) ? timer_now_ms() : b->terms.made_ms;
	TAILQ_FOREACH(next, &aor->bindings, entry)
		if (next->terms.q < b->terms.q
		    || (next->terms.q == b->terms.q && next->made_ms <= b->made_ms))
			break;
	if (next)
		TAILQ_INSERT_BEFORE(next, b, entry);
	else
		TAILQ_INSERT_TAIL(&aor->bindings, b, entry);
	b->aor = aor;
	count(b, 1);
	b->due_ms = timer_now_ms() + b->terms.expires_ms;
	timer_start(&b->expiry, b->terms.expires_ms);
}

void binding_free(struct binding *b)
{
	timer_fini(&b->expiry);
	sip_flow_watch_stop(&b->flow);
	free(b);
}

bool binding_put(struct binding *b, struct aor *aor, struct binding *old)
{
	struct registrar *r = aor->registrar;
	bool refresh = old && sip_uri_same(old->terms.contact, b->terms.contact);
	bool lost = b->terms.flow && !sip_flow_is_alive(b->terms.flow);

	put_in(b, aor);
	aor->dirty = r->env.cluster;
	b->flow.died = on_flow_died;
	if (b->terms.flow && !lost)
		sip_flow_watch_start(&b->flow, b->terms.flow);
	b->terms.flow = NULL; /* it was borrowed */
	if (old)
		take_out(old);
	if (old && !refresh)
		tell_end(old, END_REPLACED);
	if (refresh) {
		++*r->count.refreshed;
	} else {
		++*r->count.registered;
		tell_new(b);
	}
	if (old)
		binding_free(old);
	return !lost;
}

void binding_adopt(struct binding *b, struct aor *aor, struct binding *old)
{
	put_in(b, aor);
	if (old)
		binding_drop(old);
}

void binding_drop(struct binding *b)
{
	take_out(b);
	binding_free(b);
}

void binding_end(struct binding *b, enum end end)
{
	struct aor *aor = b->aor;

	take_out(b);
	aor->dirty = aor->registrar->env.cluster;
	tell_end(b, end);
	binding_free(b);
	aor_release(aor);
}

uint64_t binding_seconds(const struct binding *b)
{
	uint64_t now = timer_now_ms();

	return b->due_ms > now ? (b->due_ms - now + 999) / 1000 : 0;
}
