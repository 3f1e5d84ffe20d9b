/* The registrar as main sees it: actions, methods, events and settings. */
#include "registrar/registrar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/buffer.h>
#include <msrpd/page.h>
#include <msrpd/stats.h>

#include "registrar/priv.h"

static const struct event_type *const events[] = {
    &registration_new,
    &registration_end,
    NULL,
};

/* --- actions --- */

static int run_save(const struct route_subject *subject, const struct arg *args, void *state)
{
	(void)args;
	return register_save(state, subject->request);
}

static int run_fix_nated(const struct route_subject *subject, const struct arg *args, void *state)
{
	(void)args;
	(void)state;
	sip_request_set_nated(subject->request);
	return 0;
}

/* Somebody is looked for, perhaps at other nodes. */
struct lookup {
	struct share share;
	/* For whom: a rule, or a MESSAGE that rules have no say in. */
	struct sip_request *request;
	struct route_walk *walk;
	struct page_waiter *waiter;
	bool secure; /* of that: by sips */
};

/* @return false: nobody is there */
static bool find_here(const struct registrar *r, struct slice name, bool secure,
    struct sip_place *place)
{
	struct aor *aor = name.p ? aor_find((struct registrar *)r, name) : NULL;

	return aor && aor_best(aor, secure, place);
}

static int take_lookup(struct registrar *r, struct sip_request *request, struct slice name)
{
	bool secure = sip_uri_is_secure(sip_request_field(request, SIP_FIELD_RURI));
	struct sip_place place;

	if (find_here(r, name, secure, &place) && sip_request_set_target(request, &place) == 0) {
		++*r->count.found;
		return 0;
	}
	++*r->count.not_found;
	sip_request_reply(request, 480, (struct slice){NULL, 0},
	    secure && find_here(r, name, false, &place) ? SIP_NO_SIPS : (struct slice){NULL, 0});
	return -ENOENT;
}

static void on_looked_up(struct share *share, enum share_result result)
{
	struct lookup *l = (struct lookup *)share;
	struct slice name = {share->name, share->len};
	struct registrar *r = share->registrar;
	struct sip_place place;

	if (l->waiter)
		page_found(l->waiter, find_here(r, name, l->secure, &place) ? &place : NULL);
	else if (result == SHARE_STOPPED || sip_request_answered(l->request))
		route_go_on(l->walk, -ECANCELED);
	else
		route_go_on(l->walk, take_lookup(r, l->request, name));
	if (result == SHARE_SEEN)
		share_mend(aor_find(r, name));
	free(l);
}

/* @return NULL: this node alone has to know */
static struct lookup *look_up(struct registrar *r, struct slice name)
{
	struct lookup *l = name.p && r->env.cluster ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return NULL;
	share_init(&l->share, r, name);
	l->share.done = on_looked_up;
	if (share_read(&l->share) == 0)
		return l;
	free(l);
	return NULL;
}

static int run_lookup(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct registrar *r = state;
	char text[AOR_NAME_MAX];
	struct slice name = aor_name(sip_request_field(subject->request, SIP_FIELD_RURI), text);
	struct lookup *l = subject->walkp ? look_up(r, name) : NULL;

	(void)args;
	if (!l)
		return take_lookup(r, subject->request, name);
	l->request = subject->request;
	l->walk = route_wait(subject);
	if (l->walk)
		return -EINPROGRESS;
	share_drop(&l->share);
	free(l);
	return take_lookup(r, subject->request, name);
}

/* Nobody of another domain is known to any node. */
static bool may_be_ours(const struct registrar *r, struct slice uri)
{
	return r->settings->domains.count == 0 || registrar_domain(r, sip_uri_domain(uri)).p;
}

/* For MESSAGEs that rules have no say in: the gateway's and the rooms'. */
static int find(struct sip_place *place, struct slice uri, struct page_waiter *waiter, void *arg)
{
	char text[AOR_NAME_MAX];
	struct slice name = aor_name(uri, text);
	struct lookup *l = may_be_ours(arg, uri) ? look_up(arg, name) : NULL;

	if (!l)
		return find_here(arg, name, sip_uri_is_secure(uri), place);
	l->waiter = waiter;
	l->secure = sip_uri_is_secure(uri);
	return -EINPROGRESS;
}

static const struct action actions[] = {
    {.name = "save", .lists = ROUTE_SIP, .answers = true, .run = run_save},
    {.name = "fix_nated_register", .lists = ROUTE_SIP, .run = run_fix_nated},
    {.name = "lookup", .lists = ROUTE_SIP, .run = run_lookup},
    {0},
};

static bool on_request(struct sip_request *req, void *state)
{
	return register_unruled(state, req);
}

/* --- methods --- */

static const char not_found[] = "nobody is registered there";

/* Given with its scheme or without. */
static struct aor *aor_of_param(struct registrar *r, const struct param *param)
{
	char name[AOR_NAME_MAX], uri[AOR_NAME_MAX];
	struct buffer w = BUFFER_ON(uri);
	struct slice key;

	if (!memchr(param->text.p, ':', param->text.len))
		buffer_add(&w, SLICE("sip:"));
	buffer_add(&w, param->text);
	key = w.err ? (struct slice){NULL, 0} : aor_name(buffer_text(&w), name);
	return key.p ? aor_find(r, key) : NULL;
}

static bool is_for(const struct aor *aor, const struct reply *out)
{
	char uri[AOR_NAME_MAX + 4];

	snprintf(uri, sizeof(uri), "sip:%.*s", (int)aor->len, aor->name);
	return reply_is_for(out, slice_of(uri));
}

static void put_binding(struct reply *out, const struct binding *b)
{
	const struct binding_terms *t = &b->terms;
	char aor[AOR_NAME_MAX + 4], q[16];

	snprintf(aor, sizeof(aor), "sip:%.*s", (int)b->aor->len, b->aor->name);
	snprintf(q, sizeof(q), "%u.%03u", t->q / Q_MAX, t->q % Q_MAX);
	reply_open_object(out, NULL);
	reply_text(out, "aor", slice_of(aor));
	reply_text(out, "contact", t->contact);
	reply_number(out, "expires", (int64_t)binding_seconds(b));
	reply_text(out, "q", slice_of(q));
	reply_text(out, "call_id", t->call_id);
	reply_number(out, "cseq", t->cseq);
	reply_text(out, "instance", t->instance);
	reply_text(out, "reg_id", t->reg_id);
	reply_text(out, "user_agent", t->user_agent);
	reply_text(out, "source", t->source);
	if (b->aor->registrar->env.cluster)
		reply_text(out, "node",
		    binding_is_own(b) ? cluster_own_name(b->aor->registrar->env.cluster) : t->node);
	reply_close(out);
}

static void put_aor(struct reply *out, const struct aor *aor)
{
	const struct binding *b;

	if (!is_for(aor, out))
		return;
	TAILQ_FOREACH(b, &aor->bindings, entry)
		put_binding(out, b);
}

static const struct param_spec list_params[] = {
    {.name = "aor", .kind = PARAM_TEXT},
    {0},
};

static void call_list(const struct param *params, struct reply *out, void *state)
{
	struct registrar *r = state;
	struct aor *aor, *next;

	reply_open_list(out, NULL);
	if (params[0].present) {
		aor = aor_of_param(r, &params[0]);
		if (aor)
			put_aor(out, aor);
	} else {
		HASH_ITER(hh, r->aors, aor, next)
		put_aor(out, aor);
	}
	reply_close(out);
}

static const struct param_spec remove_params[] = {
    {.name = "aor", .kind = PARAM_TEXT, .required = true},
    {.name = "contact", .kind = PARAM_TEXT},
    {0},
};

/* @return how many */
static size_t remove_bindings(struct aor *aor, const struct param *contact)
{
	struct binding *b = TAILQ_FIRST(&aor->bindings), *next;
	size_t removed = 0;

	share_remove(aor->registrar, (struct slice){aor->name, aor->len}, contact->text);
	for (; b; b = next) {
		next = TAILQ_NEXT(b, entry); /* of the last one there is none, and no more aor */
		if (contact->present && !sip_uri_same(contact->text, b->terms.contact))
			continue;
		binding_end(b, END_REMOVED);
		removed++;
	}
	return removed;
}

static void call_remove(const struct param *params, struct reply *out, void *state)
{
	struct aor *aor = aor_of_param(state, &params[0]);

	if (aor && remove_bindings(aor, &params[1]) > 0)
		reply_text(out, NULL, SLICE("OK"));
	else
		reply_error(out, 404, not_found);
}

static const struct method methods[] = {
    {.name = "registrar_list",
	.params = list_params,
	.access = METHOD_USER,
	.call = call_list,
	.help = "list where users are, or one user"},
    {.name = "registrar_remove",
	.params = remove_params,
	.call = call_remove,
	.help = "remove the contacts of a user, or one of them"},
    {0},
};

/* --- the service --- */

#define NUMBER(field) .name = #field, .offset = offsetof(struct registrar_counters, field)
#define ENDED(end)    .offset = offsetof(struct registrar_counters, ended[end])

static const struct stats_row numbers[] = {
    {NUMBER(aors), .help = "addresses-of-record with a contact", .gauge = true},
    {NUMBER(contacts), .help = "contacts that are registered", .gauge = true},
    {NUMBER(registered), .help = "contacts that were new"},
    {NUMBER(refreshed), .help = "contacts that were registered again"},
    {NUMBER(refused), .help = "REGISTERs refused, those without credentials aside"},
    {.name = "unregistered", .help = "contacts that their owner removed", ENDED(END_UNREGISTERED)},
    {.name = "expired", .help = "contacts that were not refreshed", ENDED(END_EXPIRED)},
    {.name = "removed", .help = "contacts removed by registrar_remove", ENDED(END_REMOVED)},
    {.name = "failed", .help = "contacts whose connection closed", ENDED(END_FAILED)},
    {.name = "replaced", .help = "contacts replaced by their instance", ENDED(END_REPLACED)},
    {NUMBER(found), .help = "lookups that found somebody"},
    {NUMBER(not_found), .help = "lookups that were answered 480"},
    {NUMBER(elsewhere), .help = "contacts of other nodes that this one knows of", .gauge = true},
    {NUMBER(alone), .help = "requests decided without Redis, which did not answer"},
    {0},
};

static int start(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	const struct registrar_settings *s = settings;
	struct registrar *r;

	if (!s->given)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r || stats_register(env->stats, "registrar", numbers, &r->count) < 0) {
		free(r);
		return reason_set(why, -ENOMEM, "out of memory");
	}
	r->env = *env;
	r->settings = s;
	share_start(r);
	if (env->page)
		page_set_finder(env->page, find, r);
	*statep = r;
	return 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	struct registrar *r = state;

	(void)why;
	r->settings = settings;
	return 0;
}

static void free_aor(struct aor *aor)
{
	struct binding *b;

	while ((b = TAILQ_FIRST(&aor->bindings))) {
		TAILQ_REMOVE(&aor->bindings, b, entry);
		binding_free(b);
	}
	aor->count = 0;
	aor->dirty = false;
	aor_release(aor);
}

static void stop(void *state)
{
	struct registrar *r = state;
	struct aor *aor, *next;

	if (!r)
		return;
	if (r->env.page)
		page_set_finder(r->env.page, NULL, NULL);
	share_stop(r);
	HASH_ITER(hh, r->aors, aor, next)
	free_aor(aor);
	free(r);
}

const struct service registrar_service = {
    .name = "registrar",
    .section = "registrar",
    .optional = true,
    .settings = registrar_settings_rows,
    .settings_size = sizeof(struct registrar_settings),
    .check = registrar_settings_check,
    .actions = actions,
    .methods = methods,
    .events = events,
    .start = start,
    .reload = reload,
    .request = on_request,
    .stop = stop,
};
