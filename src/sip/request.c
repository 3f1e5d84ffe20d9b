#include "sip/request.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_string.h>

#include "base/log.h"
#include "net/guard.h"
#include "sip/request_priv.h"

enum {
	FIELDS = SIP_FIELD_BODY + 1,
	DROPPED_MAX = 4096, /* at 10 KB each; one more, and the oldest goes */
};

struct sip_request {
	struct sip_owner owner;  /* of the INVITE's handle until a dialog takes it */
	struct timer_entry drop; /* until its sender will have given up */
	unsigned refs;
	struct sip_agent *agent;
	struct edge_origin origin; /* with a reference to its flow */
	nua_handle_t *nh;
	nua_saved_event_t saved[1];
	msg_t *msg; /* within saved */
	const sip_t *sip;
	bool handle_taken; /* it is somebody else's, we hold a reference */
	bool answered, cancelled;
	struct slice fields[FIELDS];
	char *target;                 /* what the Request-URI points to once it was changed */
	struct sip_flow *target_flow; /* that goes there */
	char *auth_user, *auth_realm; /* what those fields point to */
	struct sip_body *body;        /* once sip_request_sdp() has taken it apart */
	char *text;                   /* what the URIs among them point to */
	char source[ADDR_TEXT_SIZE], source_port[8];
	char rule[48]; /* that holds for it; empty: none */
};

/* --- fields --- */

/* A copy without headers (RFC 3261 19.1.1 allows them in no URI of these). */
static url_t without_headers(const url_t *url)
{
	url_t copy = *url;

	copy.url_headers = NULL;
	return copy;
}

struct uri_field {
	enum sip_field field;
	const url_t *url;
};

static int fill_uris(struct sip_request *req)
{
	const sip_t *sip = req->sip;
	const struct uri_field uris[] = {
	    {SIP_FIELD_RURI, sip->sip_request->rq_url},
	    {SIP_FIELD_FROM_URI, sip->sip_from->a_url},
	    {SIP_FIELD_TO_URI, sip->sip_to->a_url},
	    {SIP_FIELD_CONTACT, sip->sip_contact ? sip->sip_contact->m_url : NULL},
	};
	enum { COUNT = sizeof(uris) / sizeof(uris[0]) };
	url_t clean[COUNT];
	size_t lengths[COUNT] = {0}, total = 0;
	char *p;

	for (size_t i = 0; i < COUNT; i++) {
		if (!uris[i].url)
			continue;
		clean[i] = without_headers(uris[i].url);
		lengths[i] = (size_t)url_e(NULL, 0, &clean[i]);
		total += lengths[i] + 1;
	}
	p = req->text = malloc(total);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT; i++) {
		if (!uris[i].url)
			continue;
		url_e(p, (isize_t)lengths[i] + 1, &clean[i]);
		req->fields[uris[i].field] = (struct slice){p, lengths[i]};
		p += lengths[i] + 1;
	}
	return 0;
}

static void fill_source(struct sip_request *req)
{
	const union addr *from = &req->origin.peer;

	addr_print_host(from, req->source);
	snprintf(req->source_port, sizeof(req->source_port), "%u", addr_port(from));
	req->fields[SIP_FIELD_SOURCE_ADDRESS] = slice_of(req->source);
	req->fields[SIP_FIELD_SOURCE_PORT] = slice_of(req->source_port);
	req->fields[SIP_FIELD_PROTO] = slice_of(req->origin.transport->name);
}

/*
 * In a buffer of the very size that it asks for Sofia leaves the last piece out, as
 * sip_header_as_string() does.
 */
struct slice sip_header_value(su_home_t *home, const void *h, int flags)
{
	char none[1], *text;
	issize_t len = msg_header_field_e(none, sizeof(none), h, flags);

	text = len < 0 ? NULL : su_alloc(home, (isize_t)len + 2);
	if (!text)
		return (struct slice){0};
	msg_header_field_e(text, (isize_t)len + 2, h, flags);
	return slice_trim(slice_of(text));
}

static struct slice encode(const struct sip_request *req, const void *h, int flags)
{
	return sip_header_value(msg_home(req->msg), h, flags);
}

static struct slice header_value(const struct sip_request *req, const void *h)
{
	return h ? encode(req, h, 0) : (struct slice){0};
}

/* With its display name, if it has one. */
static struct slice address(struct sip_request *req, const sip_addr_t *a, enum sip_field uri)
{
	struct slice text = req->fields[uri];

	if (!a->a_display || !*a->a_display)
		return text;
	return slice_of(su_sprintf(msg_home(req->msg), "%s <%.*s>", a->a_display, SLICE_ARG(text)));
}

static int fill(struct sip_request *req)
{
	const sip_t *sip = req->sip;
	struct slice *f = req->fields;
	int err = fill_uris(req);

	if (err)
		return err;
	f[SIP_FIELD_FROM] = address(req, sip->sip_from, SIP_FIELD_FROM_URI);
	f[SIP_FIELD_TO] = address(req, sip->sip_to, SIP_FIELD_TO_URI);
	f[SIP_FIELD_FROM_TAG] = slice_of(sip->sip_from->a_tag);
	f[SIP_FIELD_METHOD] = slice_of(sip->sip_request->rq_method_name);
	f[SIP_FIELD_CALL_ID] = slice_of(sip->sip_call_id ? sip->sip_call_id->i_id : NULL);
	f[SIP_FIELD_CSEQ] = slice_of(su_sprintf(msg_home(req->msg), "%u", sip->sip_cseq->cs_seq));
	f[SIP_FIELD_USER_AGENT] =
	    slice_of(sip->sip_user_agent ? sip->sip_user_agent->g_string : NULL);
	f[SIP_FIELD_CONTENT_TYPE] = header_value(req, sip->sip_content_type);
	if (sip->sip_payload && sip->sip_payload->pl_len > 0)
		f[SIP_FIELD_BODY] =
		    (struct slice){sip->sip_payload->pl_data, sip->sip_payload->pl_len};
	fill_source(req);
	return 0;
}

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	return req->origin.flow;
}

/* The edge has put the first Via there. */
struct sip_flow *sip_request_own_flow(const struct sip_request *req)
{
	const sip_via_t *own = req->sip->sip_via;
	const sip_via_t *sender = own ? own->v_next : NULL;

	return sender && !sender->v_next ? req->origin.flow : NULL;
}

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	return req->fields[field];
}

static bool is_named(const msg_header_t *h, struct slice name)
{
	const msg_hclass_t *class = h->sh_class;

	return class->hc_name
	    && (slice_equal_nocase(slice_of(class->hc_name), name)
		|| (class->hc_short[0] && slice_equal_nocase(slice_of(class->hc_short), name)));
}

/* The edge puts its own on top of the sender's. */
static bool is_edges_via(const struct sip_request *req, const msg_header_t *h)
{
	return (const void *)h == req->sip->sip_via;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	const sip_unknown_t *u;

	if (name.len == 0)
		return (struct slice){0}; /* what Sofia keeps beside headers has no name */
	for (msg_header_t *h = *msg_chain_head(req->msg); h; h = h->sh_succ)
		if (is_named(h, name) && !is_edges_via(req, h) && index-- == 0)
			return header_value(req, h);
	for (u = req->sip->sip_unknown; u; u = u->un_next)
		if (slice_equal_nocase(slice_of(u->un_name), name) && index-- == 0)
			return slice_of(u->un_value);
	return (struct slice){0};
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return sip_request_header_at(req, name, 0);
}

/* As it came, but for what Sofia is not to see. */
static struct slice contact_text(const struct sip_request *req, const sip_contact_t *m)
{
	sip_contact_t bare = *m;

	if (sip_url_is_star(m->m_url))
		return SLICE("*");
	if (!sip_url_usable(m->m_url))
		return SLICE("<>");
	bare.m_display = NULL;
	bare.m_url->url_headers = NULL;
	return encode(req, &bare, MSG_DO_CANONIC);
}

struct slice sip_request_contact(const struct sip_request *req, size_t index)
{
	const sip_contact_t *m = req->sip->sip_contact;

	while (m && index-- > 0)
		m = m->m_next;
	return m ? contact_text(req, m) : (struct slice){0};
}

bool sip_request_is_damaged(const struct sip_request *req, struct slice name)
{
	for (const sip_error_t *e = req->sip->sip_error; e; e = e->er_next)
		if (slice_equal_nocase(slice_of(e->er_name), name))
			return true;
	return false;
}

bool sip_request_host_is_ours(const struct sip_request *req, struct slice host)
{
	return sip_stack_is_host(req->agent->stack, host);
}

bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri)
{
	char *clean = sip_uri_clean(uri);
	bool ours = clean && sip_stack_is_here(req->agent->stack, clean);

	free(clean);
	return ours;
}

int sip_request_set_target(struct sip_request *req, const struct sip_place *place)
{
	char *clean = sip_uri_clean(place->uri);
	struct sip_flow *flow = NULL;

	if (!clean)
		return -EINVAL;
	if (place->flow)
		flow = sip_flow_ref(place->flow);
	else if (place->node.p && !(flow = edge_flow_away(req->agent->stack->edge, place->node))) {
		free(clean);
		return -ENOMEM;
	}
	free(req->target);
	req->target = clean;
	sip_flow_unref(req->target_flow);
	req->target_flow = flow;
	req->fields[SIP_FIELD_RURI] = slice_of(clean);
	return 0;
}

struct sip_flow *sip_request_flow_to(const struct sip_request *req, struct slice uri)
{
	return slice_equal(uri, req->fields[SIP_FIELD_RURI]) ? req->target_flow : NULL;
}

const char *sip_request_passed(const struct sip_request *req, size_t index)
{
	const struct setting_list *names = &req->agent->stack->settings->pass_headers;

	return index < names->count ? ((char *const *)names->items)[index] : NULL;
}

char *sip_request_passed_lines(const struct sip_request *req)
{
	char *text = NULL;
	const char *name;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; (name = sip_request_passed(req, i)); i++) {
		struct slice value;

		for (size_t n = 0; (value = sip_request_header_at(req, slice_of(name), n)).p; n++)
			fprintf(out, "%s: %.*s\r\n", name, SLICE_ARG(value));
	}
	if (fclose(out) == 0 && len > 0)
		return text;
	free(text);
	return NULL;
}

const char *const sip_own_headers[] = {"Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq",
    "Contact", "m", "Route", "Record-Route", "Max-Forwards", "Content-", "c", "l", "e", NULL};

static bool is_header_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.p[i]) && !strchr("-.!%*_+`'~", name.p[i]))
			return false;
	return name.len > 0;
}

bool sip_headers_are_free(struct slice lines)
{
	struct slice line = {0}, name;

	while (slice_cut(&lines, '\n', &line) && lines.p) {
		if (line.len == 0 || line.p[line.len - 1] != '\r')
			return false;
		line.len--;
		if (memchr(line.p, '\r', line.len) || memchr(line.p, '\0', line.len)
		    || !slice_cut(&line, ':', &name) || !line.p || !is_header_name(name)
		    || slice_is_listed(name, sip_own_headers))
			return false;
	}
	return line.len == 0;
}

/* --- life --- */

static void release_handle(struct sip_request *req)
{
	if (req->nh && req->handle_taken) {
		nua_handle_unref(req->nh);
	} else if (req->nh) {
		nua_handle_bind(req->nh, NULL);
		nua_handle_destroy(req->nh);
	}
	req->nh = NULL;
}

static void destroy(struct sip_request *req)
{
	release_handle(req);
	nua_destroy_event(req->saved);
	if (req->body)
		sip_body_fini(req->body);
	free(req->body);
	free(req->text);
	free(req->target);
	sip_flow_unref(req->target_flow);
	free(req->auth_user);
	free(req->auth_realm);
	sip_flow_unref(req->origin.flow);
	free(req);
}

struct sip_request *sip_request_ref(struct sip_request *req)
{
	req->refs++;
	return req;
}

void sip_request_unref(struct sip_request *req)
{
	if (req->refs > 1) {
		req->refs--;
		return;
	}
	if (!req->answered)
		sip_request_reply(req, 500, (struct slice){0}, (struct slice){0});
	destroy(req);
}

/* Until a dialog takes the handle, all that can happen to an INVITE is its CANCEL. */
static void on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_request *req = (struct sip_request *)owner;

	if (ev->event == nua_i_cancel || ev->event == nua_i_bye || ev->event == nua_i_terminated) {
		req->answered = req->cancelled = true; /* 487, by nua */
		release_handle(req);
	}
}

/* RFC 3261 12.1.1: could we send requests in the dialog that this request would make? */
static bool has_route_back(const sip_t *sip)
{
	for (const sip_record_route_t *r = sip->sip_record_route; r; r = r->r_next)
		if (!sip_url_usable(r->r_url))
			return false;
	return sip->sip_contact && sip_url_usable(sip->sip_contact->m_url);
}

static uint64_t *counter_of(const struct sip_stats *stats, nua_event_t event)
{
	switch (event) {
	case nua_i_invite:
		return stats->invites_in;
	case nua_i_register:
		return stats->registers_in;
	case nua_i_options:
		return stats->options_in;
	case nua_i_subscribe:
		return stats->subscribes_in;
	case nua_i_method:
		return stats->refers_in;
	default:
		return stats->messages_in;
	}
}

static void refuse_at_once(struct sip_stack *stack, const struct sip_event *ev, int status,
    const struct sip_taker *taker)
{
	nua_respond(ev->nh, status, sip_status_phrase(status), NUTAG_WITH_THIS(stack->nua),
	    TAG_END());
	if (!taker->in_dialog)
		nua_handle_destroy(ev->nh);
}

void sip_request_arrived(struct sip_stack *stack, const struct sip_event *ev,
    const struct sip_taker *taker)
{
	struct edge_origin origin;
	bool invite = ev->event == nua_i_invite;
	bool makes_dialog = invite || ev->event == nua_i_subscribe || ev->event == nua_i_method;
	struct sip_request *req;

	++*counter_of(&stack->stats, ev->event);
	if (sip_agent_origin(stack, ev->sip, &origin) < 0) {
		refuse_at_once(stack, ev, 503, taker); /* nobody is there any more to read it */
		return;
	}
	req = calloc(1, sizeof(*req));
	if (!req || !nua_save_event(stack->nua, req->saved)) {
		free(req);
		refuse_at_once(stack, ev, 500, taker);
		return;
	}
	req->origin = origin;
	if (origin.flow)
		sip_flow_ref(origin.flow);
	req->owner.event = on_event;
	req->refs = 1;
	req->agent = edge_listener_owner(origin.listener);
	/* A dialog may let go of its handle before we answer: nua then drops the answer. */
	req->nh = taker->in_dialog ? nua_handle_ref(ev->nh) : ev->nh;
	req->handle_taken = taker->in_dialog;
	req->msg = nua_saved_event_request(req->saved);
	req->sip = ev->sip;
	if (!taker->in_dialog)
		nua_handle_bind(req->nh, invite ? &req->owner : NULL);
	if (stack->stage != SIP_RUNNING)
		sip_request_reply(req, 503, (struct slice){0}, (struct slice){0});
	else if (makes_dialog && !has_route_back(req->sip))
		sip_request_reply(req, 400, SLICE("Bad Contact or Record-Route"),
		    (struct slice){0});
	else if (sip_body_is_encoded(req->sip))
		sip_request_reply(req, 415, (struct slice){0},
		    slice_of(sip_body_accepted(req->sip)));
	else if (fill(req) == 0)
		taker->take(req, taker->arg);
	sip_request_unref(req);
}

void sip_request_look(const struct sip_request *req, struct sip_request_parts *parts)
{
	*parts = (struct sip_request_parts){req->agent, req->nh, req->sip};
}

int sip_request_invite(struct sip_request *req, struct sip_request_parts *parts)
{
	if (req->sip->sip_request->rq_method != sip_method_invite)
		return -EINVAL;
	if (req->cancelled || (req->origin.flow && !sip_flow_is_alive(req->origin.flow)))
		return -EPIPE;
	if (req->answered)
		return -EEXIST;
	sip_request_look(req, parts);
	return 0;
}

void sip_request_given(struct sip_request *req)
{
	req->nh = NULL;
	req->answered = true;
}

/* --- who sent it --- */

struct auth *sip_request_auth(const struct sip_request *req)
{
	return req->agent->stack->auth;
}

static void source_of(const struct sip_request *req, union addr *from)
{
	addr_parse_host(from, req->fields[SIP_FIELD_SOURCE_ADDRESS]);
}

void sip_request_note_failure(struct sip_request *req)
{
	union addr from;

	source_of(req, &from);
	++*req->agent->stack->stats.auth_failures;
	net_guard_note_failure(req->agent->stack->guard, &from, req->origin.flow);
}

bool sip_request_is_barred(const struct sip_request *req)
{
	union addr from;

	source_of(req, &from);
	return net_guard_bars(req->agent->stack->guard, &from);
}

int sip_request_authorized(struct sip_request *req, struct slice user, struct slice realm)
{
	free(req->auth_user);
	free(req->auth_realm);
	req->auth_user = slice_dup(user);
	req->auth_realm = slice_dup(realm);
	if (!req->auth_user || !req->auth_realm)
		return -ENOMEM;
	req->fields[SIP_FIELD_AUTH_USER] = (struct slice){req->auth_user, user.len};
	req->fields[SIP_FIELD_AUTH_REALM] = (struct slice){req->auth_realm, realm.len};
	return 0;
}

nua_handle_t *sip_request_take_handle(struct sip_request *req)
{
	req->handle_taken = true;
	return nua_handle_ref(req->nh);
}

msg_t *sip_request_msg(const struct sip_request *req)
{
	return req->msg;
}

/* --- answers --- */

char *sip_header_lines(struct slice headers)
{
	struct slice rest = headers, line;

	/* An empty line would begin a body. */
	while (slice_cut(&rest, '\n', &line) && rest.p)
		if (line.len == 0 || line.p[0] == '\r')
			return NULL;
	return slice_dup(headers);
}

const char *sip_phrase(nua_handle_t *nh, int status, struct slice reason)
{
	const char *standard = sip_status_phrase(status);
	char *copy = NULL;

	if (reason.p && !memchr(reason.p, '\r', reason.len) && !memchr(reason.p, '\n', reason.len))
		copy = su_strndup(nua_handle_home(nh), reason.p, (isize_t)reason.len);
	return copy ? copy : standard ? standard : "";
}

bool sip_request_answered(const struct sip_request *req)
{
	return req->answered;
}

void sip_request_set_rule(struct sip_request *req, const char *rule)
{
	snprintf(req->rule, sizeof(req->rule), "%s", rule);
}

int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers)
{
	const char *phrase;
	char *lines = NULL;

	if (code < 100 || code > 699)
		return -EINVAL;
	if (req->answered)
		return -EEXIST;
	if (headers.p && !(lines = sip_header_lines(headers)))
		return -EINVAL;
	phrase = sip_phrase(req->nh, code, reason);
	sip_request_note_refusal(req, code, phrase, req->rule);
	nua_respond(req->nh, code, phrase, NUTAG_WITH_SAVED(req->saved),
	    TAG_IF(lines, SIPTAG_HEADER_STR(lines)), TAG_END());
	free(lines);
	sip_stack_count_answer(req->agent->stack, code);
	sip_stack_kick(req->agent->stack);
	if (code >= 200) {
		req->answered = true;
		release_handle(req);
	}
	return 0;
}

/* --- no answers --- */

/* Sofia answers each transaction before it frees it: by what the edge keeps to itself. */
static void answer_silently(struct sip_request *req)
{
	struct sip_stack *stack = req->agent->stack;

	if (!req->nh)
		return;
	nua_respond(req->nh, 408, edge_silence(stack->edge), NUTAG_WITH_SAVED(req->saved),
	    TAG_END());
	sip_stack_kick(stack);
}

static void forget(struct sip_request *req)
{
	struct sip_stack *stack = req->agent->stack;

	timer_queue_stop(&stack->dropped, &req->drop);
	stack->dropped_count--;
	answer_silently(req);
	sip_request_unref(req);
}

void sip_request_gone_on(struct sip_request *req)
{
	answer_silently(req);
	req->answered = true;
	release_handle(req);
}

static struct sip_request *of_entry(struct timer_entry *entry)
{
	return (struct sip_request *)((char *)entry - offsetof(struct sip_request, drop));
}

static void on_forgotten(struct timer_entry *entry, void *arg)
{
	(void)arg;
	forget(of_entry(entry));
}

/* The transaction stays as it is, without an answer: so repetitions end in it. */
int sip_request_drop(struct sip_request *req)
{
	struct sip_stack *stack = req->agent->stack;

	if (req->answered)
		return -EEXIST;
	req->answered = true;
	sip_request_ref(req);
	if (stack->dropped_count == DROPPED_MAX)
		forget(of_entry(timer_queue_first(&stack->dropped)));
	timer_queue_start(&stack->dropped, &req->drop);
	stack->dropped_count++;
	return 0;
}

int sip_requests_init(struct sip_stack *stack)
{
	return timer_queue_init(&stack->dropped, stack->base,
	    stack->settings->transaction_timeout + 1000, on_forgotten, NULL);
}

void sip_requests_forget(struct sip_stack *stack)
{
	while (timer_queue_first(&stack->dropped))
		forget(of_entry(timer_queue_first(&stack->dropped)));
}

void sip_requests_fini(struct sip_stack *stack)
{
	sip_requests_forget(stack);
	timer_queue_fini(&stack->dropped);
}

int sip_request_sdp(struct sip_request *req, struct slice *sdpp)
{
	const struct sip_part *part;
	int err = 0;

	if (req->body) {
		part = sip_body_sdp(req->body);
		*sdpp = part ? part->body : (struct slice){0};
		return 0;
	}
	*sdpp = (struct slice){0};
	req->body = malloc(sizeof(*req->body));
	err = req->body ? sip_message_sdp(req->body, req->sip, sdpp) : -ENOMEM;
	if (err) {
		free(req->body);
		req->body = NULL;
	}
	if (err == -EPROTO && !req->answered)
		sip_request_reply(req, 415, (struct slice){0},
		    slice_of(sip_body_accepted(req->sip)));
	return err;
}

const struct sip_body *sip_request_body(const struct sip_request *req)
{
	return req->body;
}
