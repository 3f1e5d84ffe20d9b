/* A request that came: its life, and its answer. */
#include "sip/request.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_string.h>

#include "net/guard.h"
#include "net/transport.h"
#include "sip/request_fields_priv.h"
#include "sip/request_priv.h"
#include "sip/standalone.h"

enum { DROPPED_MAX = 4096 }; /* at 10 KB each; one more, and the oldest goes */

struct sip_request {
	struct sip_owner owner;  /* of the INVITE's handle until a dialog takes it */
	struct timer_entry drop; /* until its sender will have given up */
	unsigned refs;
	struct sip_agent *agent;
	struct edge_origin origin; /* with a reference to its flow */
	nua_handle_t *nh;          /* NULL: it stands alone */
	nua_saved_event_t saved[1];
	struct sip_alone alone;
	msg_t *msg; /* within one of these */
	const sip_t *sip;
	bool handle_taken; /* it is somebody else's, we hold a reference */
	bool answered, cancelled;
	bool nated; /* a rule says so of its sender */
	struct sip_request_fields fields;
	struct sip_flow *target_flow; /* that goes to its Request-URI; NULL: any */
	struct sip_body *body;        /* once sip_request_sdp() has taken it apart */
	char rule[48];                /* that holds for it; empty: none */
};

/* --- what it says, and where it goes --- */

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	return req->origin.flow;
}

/* The edge has put the first Via there. */
bool sip_request_is_direct(const struct sip_request *req)
{
	const sip_via_t *own = req->sip->sip_via;
	const sip_via_t *sender = own ? own->v_next : NULL;

	return sender && !sender->v_next;
}

struct sip_flow *sip_request_own_flow(const struct sip_request *req)
{
	return sip_request_is_direct(req) ? req->origin.flow : NULL;
}

struct sip_flow *sip_request_keep_flow(const struct sip_request *req)
{
	return edge_flow_of_origin(&req->origin);
}

void sip_request_set_nated(struct sip_request *req)
{
	req->nated = true;
}

bool sip_request_is_nated(const struct sip_request *req)
{
	return req->nated;
}

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	return req->fields.of[field];
}

bool sip_request_host_is_ours(const struct sip_request *req, struct slice host)
{
	return sip_stack_is_host(req->agent->stack, host);
}

bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri,
    const struct setting_list *names)
{
	char *clean = sip_uri_clean(uri);
	bool ours = clean && sip_stack_is_here(req->agent->stack, clean, names);

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
	sip_request_fields_set_target(&req->fields, clean);
	sip_flow_unref(req->target_flow);
	req->target_flow = flow;
	return 0;
}

struct sip_flow *sip_request_flow_to(const struct sip_request *req, struct slice uri)
{
	return slice_equal(uri, req->fields.of[SIP_FIELD_RURI]) ? req->target_flow : NULL;
}

unsigned sip_request_hops(const struct sip_request *req)
{
	enum { USUAL = 70 }; /* RFC 3261 8.1.1.6 */
	const sip_max_forwards_t *forwards = req->sip->sip_max_forwards;

	return forwards ? (unsigned)forwards->mf_count : USUAL;
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
	if (req->alone.msg)
		sip_alone_fini(&req->alone);
	else
		nua_destroy_event(req->saved);
	if (req->body)
		sip_body_fini(req->body);
	free(req->body);
	sip_request_fields_clear(&req->fields);
	sip_flow_unref(req->target_flow);
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

/* The edge has put the first Record-Route there. */
bool sip_is_secure(const sip_t *sip)
{
	const sip_record_route_t *own = sip->sip_record_route;
	const sip_record_route_t *top = own ? own->r_next : NULL;

	if (sip->sip_request->rq_url->url_type == url_sips)
		return true;
	return top ? top->r_url->url_type == url_sips
		   : sip->sip_contact && sip->sip_contact->m_url->url_type == url_sips;
}

static uint64_t *counter_of(const struct sip_stats *stats, sip_method_t method)
{
	switch (method) {
	case sip_method_invite:
		return stats->invites_in;
	case sip_method_register:
		return stats->registers_in;
	case sip_method_options:
		return stats->options_in;
	case sip_method_subscribe:
		return stats->subscribes_in;
	case sip_method_message:
		return stats->messages_in;
	default:
		return stats->refers_in; /* hidden from Sofia: parse.c */
	}
}

static bool makes_dialog(const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;

	return method != sip_method_message && method != sip_method_options
	    && method != sip_method_register;
}

static void refuse_at_once(struct sip_stack *stack, const struct sip_event *ev, int status,
    const struct sip_taker *taker)
{
	nua_respond(ev->nh, status, sip_status_phrase(status), NUTAG_WITH_THIS(stack->nua),
	    TAG_END());
	if (!taker->in_dialog)
		nua_handle_destroy(ev->nh);
}

static void init(struct sip_request *req, msg_t *msg, const sip_t *sip,
    const struct edge_origin *origin)
{
	req->refs = 1;
	req->owner.event = on_event;
	req->msg = msg;
	req->sip = sip;
	req->origin = *origin;
	if (origin->flow)
		sip_flow_ref(origin->flow);
	req->agent = edge_listener_owner(origin->listener);
}

/* nua has judged the others.  @return false: it is refused */
static bool is_good(struct sip_request *req)
{
	struct buffer lines = {.max = BUFFER_UNBOUNDED}; /* by sip.max_header_size */
	int code;

	if (!req->alone.msg)
		return true;
	code = sip_alone_judge(&req->alone, req->agent->stack, &lines);
	if (code)
		sip_request_reply(req, code, (struct slice){0}, buffer_text(&lines));
	buffer_fini(&lines);
	return !code;
}

/* @param taker  gets it if there is no reason to refuse it */
static void offer(struct sip_request *req, const struct sip_taker *taker)
{
	struct sip_stack *stack = req->agent->stack;

	++*counter_of(&stack->stats, req->sip->sip_request->rq_method);
	if (stack->stage != SIP_RUNNING)
		sip_request_reply(req, 503, (struct slice){0}, (struct slice){0});
	else if (makes_dialog(req->sip) && !has_route_back(req->sip))
		sip_request_reply(req, 400, SLICE("Bad Contact or Record-Route"),
		    (struct slice){0});
	else if (sip_body_is_encoded(req->sip))
		sip_request_reply(req, 415, (struct slice){0},
		    slice_of(sip_body_accepted(req->sip)));
	else
		taker->take(req, taker->arg);
}

static void hand_on(struct sip_request *req, const struct sip_taker *taker)
{
	if (sip_request_fields_read(&req->fields, req->msg, req->sip, &req->origin) < 0)
		sip_request_reply(req, 500, (struct slice){0}, (struct slice){0});
	else if (is_good(req))
		offer(req, taker);
	sip_request_unref(req);
}

void sip_request_arrived(struct sip_stack *stack, const struct sip_event *ev,
    const struct sip_taker *taker)
{
	struct edge_origin origin;
	struct sip_request *req;

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
	init(req, nua_saved_event_request(req->saved), ev->sip, &origin);
	/* A dialog may let go of its handle before we answer: nua then drops the answer. */
	req->nh = taker->in_dialog ? nua_handle_ref(ev->nh) : ev->nh;
	req->handle_taken = taker->in_dialog;
	if (!taker->in_dialog)
		nua_handle_bind(req->nh, ev->event == nua_i_invite ? &req->owner : NULL);
	hand_on(req, taker);
}

int sip_request_alone(struct slice text, size_t head, void *arg)
{
	struct sip_stack *stack = arg;
	const struct sip_taker options = {sip_options_answer, stack, false},
			       others = {stack->handler->request, stack->arg, false};
	struct sip_request *req = calloc(1, sizeof(*req));
	struct edge_origin origin;
	const sip_t *sip;
	int err;

	if (!req)
		return -ENOMEM;
	err = sip_alone_read(&req->alone, stack, text, head);
	sip = req->alone.msg ? sip_object(req->alone.msg) : NULL;
	if (!err)
		err = sip_agent_origin(stack, sip, &origin);
	if (err) {
		sip_alone_fini(&req->alone);
		free(req);
		return err;
	}
	init(req, req->alone.msg, sip, &origin);
	hand_on(req, sip->sip_request->rq_method == sip_method_options ? &options : &others);
	return 0;
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
	addr_parse_host(from, req->fields.of[SIP_FIELD_SOURCE_ADDRESS]);
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
	return sip_request_fields_set_user(&req->fields, user, realm);
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

static const char *phrase_in(su_home_t *home, int status, struct slice reason)
{
	const char *standard = sip_status_phrase(status);
	char *copy = NULL;

	if (reason.p && !memchr(reason.p, '\r', reason.len) && !memchr(reason.p, '\n', reason.len))
		copy = su_strndup(home, reason.p, (isize_t)reason.len);
	return copy ? copy : standard ? standard : "";
}

const char *sip_phrase(nua_handle_t *nh, int status, struct slice reason)
{
	return phrase_in(nua_handle_home(nh), status, reason);
}

bool sip_request_answered(const struct sip_request *req)
{
	return req->answered;
}

void sip_request_set_rule(struct sip_request *req, const char *rule)
{
	snprintf(req->rule, sizeof(req->rule), "%s", rule);
}

static void respond(struct sip_request *req, int code, const char *phrase, const char *lines)
{
	struct sip_stack *stack = req->agent->stack;

	if (req->alone.msg) {
		sip_alone_answer(&req->alone, stack, code, phrase, slice_of(lines));
		return;
	}
	nua_respond(req->nh, code, phrase, NUTAG_WITH_SAVED(req->saved),
	    TAG_IF(lines, SIPTAG_HEADER_STR(lines)), TAG_END());
	sip_stack_kick(stack);
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
	phrase = phrase_in(req->nh ? nua_handle_home(req->nh) : msg_home(req->msg), code, reason);
	sip_request_note_refusal(req, code, phrase, req->rule);
	respond(req, code, phrase, lines);
	free(lines);
	sip_stack_count_answer(req->agent->stack, code);
	if (code >= 200) {
		req->answered = true;
		release_handle(req);
	}
	return 0;
}

/* --- no answers --- */

/* Sofia answers each transaction before it frees it: by what the edge keeps to itself. */
static void answer_silently(struct sip_request *req, int code)
{
	struct sip_stack *stack = req->agent->stack;

	if (!req->nh)
		return;
	nua_respond(req->nh, code, edge_silence(stack->edge), NUTAG_WITH_SAVED(req->saved),
	    TAG_END());
	sip_stack_kick(stack);
}

static void forget(struct sip_request *req)
{
	struct sip_stack *stack = req->agent->stack;

	timer_queue_stop(&stack->dropped, &req->drop);
	stack->dropped_count--;
	answer_silently(req, EDGE_DROPPED);
	sip_request_unref(req);
}

void sip_request_gone_on(struct sip_request *req)
{
	answer_silently(req, EDGE_GONE_ON);
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

/*
 * The transaction stays as it is, without an answer: so repetitions end in it.  Of what stands alone
 * it is the edge's, and a connection has none.
 */
int sip_request_drop(struct sip_request *req)
{
	struct sip_stack *stack = req->agent->stack;

	if (req->answered)
		return -EEXIST;
	req->answered = true;
	if (req->alone.msg) {
		if (req->origin.flow)
			sip_alone_silence(&req->alone, stack);
		return 0;
	}
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
	if (!req->answered && !sip_takes_body(req->sip, "application/sdp")) {
		sip_request_reply(req, 406, (struct slice){0}, (struct slice){0});
		return -EPROTO;
	}
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
