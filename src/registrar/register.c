/* REGISTER: RFC 3261 section 10.3, RFC 5626 section 6. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <msrpd/buffer.h>
#include <msrpd/log.h>

#include "registrar/priv.h"

static const struct slice none;

enum {
	REALM_MAX = 256, /* of a host of ours, which DNS bounds to less */
	/* No client has to ask oftener: RFC 5626 4.4.1, 4.4.2. */
	FLOW_TIMER_S = 120,
	FLOW_TIMER_UDP_S = 29,
	TRIES = 8, /* while other nodes change the same */
	/* Of one REGISTER: beyond what is this node's there is what others have told. */
	CHANGES_MAX = CONTACTS_MAX + CLUSTER_LINES_MAX,
};

/* A REGISTER being served. */
struct registration {
	struct share share;
	unsigned tries;
	struct registrar *r;
	struct sip_request *req;
	struct aor *aor;
	struct registrant from;
	struct change changes[CHANGES_MAX];
	size_t count;
	bool flows;         /* a contact has a reg-id */
	bool secure, plain; /* one that stays has sips, or another scheme */
};

static const struct refusal taken = {0, NULL};

static struct refusal refusal(int code, const char *reason)
{
	return (struct refusal){code, reason};
}

/* --- who --- */

struct slice registrar_domain(const struct registrar *r, struct slice domain)
{
	const struct setting_list *domains = &r->settings->domains;

	for (size_t i = 0; i < domains->count; i++) {
		struct slice own = slice_of(((char *const *)domains->items)[i]);

		if (slice_equal_nocase(own, domain))
			return own;
	}
	return none;
}

static bool is_served(const struct registrar *r, const struct sip_request *req, struct slice domain)
{
	return registrar_domain(r, domain).p
	    || (r->settings->domains.count == 0 && sip_request_host_is_ours(req, domain));
}

/* The user's name is the user part, or, as IMS and clients with several accounts have it, all. */
static bool is_own(struct slice user, struct slice to)
{
	struct slice name = sip_uri_user(to), rest;

	if (slice_equal(user, name))
		return true;
	if (user.len <= name.len || user.p[name.len] != '@'
	    || !slice_equal(slice_head(user, name.len), name))
		return false;
	rest = slice_from(user, name.len + 1);
	return slice_equal_nocase(rest, sip_uri_domain(to));
}

/* Steps 3 to 5: a user may bind his own address-of-record only. */
static struct refusal find_aor(struct registration *reg)
{
	struct slice to = sip_request_field(reg->req, SIP_FIELD_TO_URI);
	struct slice user = sip_request_field(reg->req, SIP_FIELD_AUTH_USER), name;
	char text[AOR_NAME_MAX];

	if (!sip_uri_is_sip(to))
		return refusal(400, "To Is Not A SIP URI");
	if (!is_served(reg->r, reg->req, sip_uri_domain(to)))
		return refusal(403, "Not A Domain Of Ours");
	if (!user.p || !is_own(user, to))
		return refusal(403, "Not Your Address-Of-Record");
	name = aor_name(to, text);
	if (!name.p)
		return refusal(400, "Bad Address-Of-Record");
	reg->aor = aor_get(reg->r, name);
	if (!reg->aor)
		return refusal(500, NULL);
	reg->aor->held++;
	share_init(&reg->share, reg->r, name);
	return taken;
}

/* --- the plan --- */

/* Step 7: what comes late, or once more, is not to undo what came after it. */
static bool is_in_order(const struct registration *reg, const struct binding *old)
{
	return !slice_equal(old->terms.call_id, reg->from.call_id)
	    || old->terms.cseq < reg->from.cseq;
}

static bool is_planned(const struct registration *reg, const struct binding *old,
    const struct binding_terms *terms)
{
	for (size_t i = 0; i < reg->count; i++)
		if ((old && reg->changes[i].old == old)
		    || (reg->changes[i].fresh
			&& terms_are_same(&reg->changes[i].fresh->terms, terms)))
			return true;
	return false;
}

static struct refusal plan(struct registration *reg, const struct binding_terms *terms)
{
	struct binding *old = aor_find_binding(reg->aor, terms);
	struct change *change = &reg->changes[reg->count];

	if (old && !is_in_order(reg, old))
		return refusal(400, "CSeq Out Of Order");
	if (is_planned(reg, old, terms))
		return refusal(400, "A Contact Twice");
	*change = (struct change){.old = old};
	if (terms->expires_ms > 0) {
		change->fresh = binding_new(reg->r, terms);
		if (!change->fresh)
			return refusal(500, NULL);
	}
	reg->count++;
	return taken;
}

/* RFC 5630 5.2: a contact by sips has been so all the way, or it would seem to be what it is not. */
static bool mixes_schemes(struct registration *reg, const struct binding_terms *terms)
{
	if (terms->expires_ms > 0) {
		reg->secure |= sip_uri_is_secure(terms->contact);
		reg->plain |= !sip_uri_is_secure(terms->contact);
	}
	return reg->secure
	    && (reg->plain || !sip_uri_is_secure(sip_request_field(reg->req, SIP_FIELD_RURI)));
}

/* RFC 5626 6: of the contacts that stay, one at most may have a reg-id. */
static struct refusal plan_contact(struct registration *reg, struct slice contact)
{
	struct binding_terms terms;
	struct refusal no = contact_read(&reg->from, contact, &terms);

	if (no.code)
		return no;
	if (mixes_schemes(reg, &terms))
		return refusal(400, "Not All Of It Is sips");
	if (terms.reg_id.p && terms.expires_ms > 0) {
		if (reg->flows)
			return refusal(400, "More Than One reg-id");
		reg->flows = true;
	}
	return plan(reg, &terms);
}

/* "*": all of them, and nothing else (step 6). */
static struct refusal plan_star(struct registration *reg)
{
	struct slice expires = sip_request_header(reg->req, SLICE("Expires"));
	uint64_t seconds;
	struct binding *b;

	if (sip_request_contact(reg->req, 1).p || !expires.p
	    || slice_to_u64(expires, 0, &seconds) < 0)
		return refusal(400, "Contact: * Stands Alone, With Expires: 0");
	TAILQ_FOREACH(b, &reg->aor->bindings, entry) {
		if (!is_in_order(reg, b))
			return refusal(400, "CSeq Out Of Order");
		if (reg->count == CHANGES_MAX)
			return refusal(500, NULL);
		reg->changes[reg->count++] = (struct change){.old = b};
	}
	return taken;
}

static size_t count_afterwards(const struct registration *reg)
{
	size_t count = reg->aor->count;

	for (size_t i = 0; i < reg->count; i++) {
		count += reg->changes[i].fresh != NULL;
		count -= reg->changes[i].old != NULL;
	}
	return count;
}

static struct refusal plan_all(struct registration *reg)
{
	struct refusal no = taken;
	struct slice contact;

	if (sip_request_is_damaged(reg->req, SLICE("Contact")))
		return refusal(400, "Bad Contact");
	if (slice_equal(sip_request_contact(reg->req, 0), SLICE("*")))
		return plan_star(reg);
	for (size_t i = 0; !no.code && (contact = sip_request_contact(reg->req, i)).p; i++)
		no = i < CONTACTS_MAX ? plan_contact(reg, contact)
				      : refusal(403, "Too Many Contacts");
	if (!no.code && count_afterwards(reg) > reg->r->settings->max_contacts)
		no = refusal(403, "Too Many Contacts");
	return no;
}

/* --- answers --- */

static void write_contact(struct buffer *w, const struct binding *b)
{
	const struct binding_terms *t = &b->terms;

	buffer_printf(w, "Contact: <%.*s>;expires=%" PRIu64, SLICE_ARG(t->contact),
	    binding_seconds(b));
	if (t->q_given)
		buffer_printf(w, ";q=%u.%03u", t->q / Q_MAX, t->q % Q_MAX);
	if (t->instance.p)
		buffer_printf(w, ";+sip.instance=\"%.*s\"", SLICE_ARG(t->instance));
	if (t->reg_id.p)
		buffer_printf(w, ";reg-id=%.*s", SLICE_ARG(t->reg_id));
	buffer_add(w, t->params);
	buffer_add(w, SLICE("\r\n"));
}

static void write_date(struct buffer *w)
{
	time_t now = time(NULL);
	char text[64];
	struct tm tm;

	if (gmtime_r(&now, &tm)
	    && strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm) > 0)
		buffer_add(w, slice_of(text));
}

static void answer(struct registration *reg)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED}; /* by CONTACTS_MAX and TEXT_MAX */
	struct binding *b;

	TAILQ_FOREACH(b, &reg->aor->bindings, entry)
		write_contact(&w, b);
	write_date(&w);
	if (reg->flows && reg->from.knows_outbound) /* RFC 5626 6 */
		buffer_add(&w, SLICE("Require: outbound\r\n"));
	if (reg->flows && reg->from.knows_outbound && reg->from.flow)
		buffer_printf(&w, "Flow-Timer: %d\r\n",
		    sip_flow_is_by_udp(reg->from.flow) ? FLOW_TIMER_UDP_S : FLOW_TIMER_S);
	if (reg->from.path.p && reg->from.knows_path) /* RFC 3327 5.3 */
		buffer_printf(&w, "Path: %.*s\r\n", SLICE_ARG(reg->from.path));
	sip_request_reply(reg->req, w.err ? 500 : 200, none, w.err ? none : buffer_text(&w));
	buffer_fini(&w);
}

static void refuse(struct registration *reg, struct refusal no)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);

	if (no.code == 423)
		buffer_printf(&w, "Min-Expires: %" PRIu64 "\r\n",
		    reg->r->settings->min_expires_ms / 1000);
	++*reg->r->count.refused;
	sip_request_reply(reg->req, no.code, slice_of(no.reason), w.len ? buffer_text(&w) : none);
}

/* --- the request --- */

static void commit(struct registration *reg)
{
	for (size_t i = 0; i < reg->count; i++) {
		struct change *change = &reg->changes[i];

		if (!change->fresh && change->old)
			binding_end(change->old, END_UNREGISTERED);
		if (change->fresh && !binding_put(change->fresh, reg->aor, change->old))
			share_end(change->fresh, END_FAILED); /* it has waited too long */
	}
	reg->count = 0;
}

static void drop_plan(struct registration *reg)
{
	for (size_t i = 0; i < reg->count; i++)
		if (reg->changes[i].fresh)
			binding_free(reg->changes[i].fresh);
	reg->count = 0;
	reg->flows = reg->secure = reg->plain = false;
}

static bool changes_something(const struct registration *reg)
{
	for (size_t i = 0; i < reg->count; i++)
		if (reg->changes[i].fresh || reg->changes[i].old)
			return true;
	return false;
}

static void end_registration(struct registration *reg)
{
	drop_plan(reg);
	if (reg->aor) {
		reg->aor->held--;
		aor_release(reg->aor);
	}
	registrant_fini(&reg->from);
	sip_request_unref(reg->req);
	free(reg);
}

/* What the others know is here, or nobody can be asked.  @return 0; -EACCES: it was refused */
static int decide(struct registration *reg, enum share_result result)
{
	struct refusal no;

	drop_plan(reg);
	no = plan_all(reg);
	if (!no.code && result == SHARE_SEEN && changes_something(reg)) {
		if (reg->tries++ == TRIES)
			no = refusal(500, NULL);
		else if (share_write(&reg->share, reg->aor, reg->changes, reg->count) == 0)
			return 0;
	}
	if (no.code) {
		refuse(reg, no);
	} else {
		commit(reg);
		if (result == SHARE_WRITTEN)
			share_note_written(reg->aor);
		answer(reg);
	}
	if (result == SHARE_SEEN)
		share_mend(reg->aor);
	end_registration(reg);
	return no.code ? -EACCES : 0;
}

static void on_shared(struct share *share, enum share_result result)
{
	struct registration *reg = (struct registration *)share;

	if (result == SHARE_STOPPED)
		end_registration(reg);
	else
		decide(reg, result);
}

static bool is_register(const struct sip_request *req)
{
	return slice_equal(sip_request_field(req, SIP_FIELD_METHOD), SLICE("REGISTER"));
}

int register_save(struct registrar *r, struct sip_request *req)
{
	struct registration *reg;
	struct refusal no;

	reg = is_register(req) ? calloc(1, sizeof(*reg)) : NULL;
	if (!reg) { /* the rule takes something else for one, or there is no memory */
		sip_request_reply(req, 500, none, none);
		return -EINVAL;
	}
	reg->r = r;
	reg->req = sip_request_ref(req);
	reg->share.done = on_shared;
	no = find_aor(reg);
	if (!no.code)
		no = registrant_read(&reg->from, r, req);
	if (no.code) {
		refuse(reg, no);
		end_registration(reg);
		return -EACCES;
	}
	if ((share_must_read(r, reg->aor) || !sip_request_contact(req, 0).p)
	    && share_read(&reg->share) == 0)
		return 0;
	return decide(reg, SHARE_SEEN);
}

/* One spelling, however To has it: the hash of a password is of the realm, letter by letter. */
static struct slice realm_of(const struct registrar *r, struct slice domain, char text[REALM_MAX])
{
	struct slice own = registrar_domain(r, domain);

	if (own.p || domain.len > REALM_MAX)
		return own;
	for (size_t i = 0; i < domain.len; i++)
		text[i] = (char)tolower((unsigned char)domain.p[i]);
	return (struct slice){text, domain.len};
}

bool register_unruled(struct registrar *r, struct sip_request *req)
{
	struct slice domain = sip_uri_domain(sip_request_field(req, SIP_FIELD_TO_URI));
	char text[REALM_MAX];

	if (!is_register(req))
		return false;
	/* Of a domain that is not ours nobody's password is asked. */
	if (!is_served(r, req, domain)
	    || sip_request_authorize(req, realm_of(r, domain, text), NULL) == 0)
		register_save(r, req);
	return true;
}
