/* The making of a request that begins something: INVITE or MESSAGE, tried until an answer is final.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_status.h>

#include <msrpd/rand.h>
#include <msrpd/sip_uri.h>

#include "sip/priv.h"

enum {
	TAG = 11,
	CONTACTS_MAX = 32, /* of one redirect that are looked at */
};

void sip_call_clear(struct sip_call *call)
{
	free(call->ruri);
	free(call->from);
	free(call->to);
	free(call->node);
	free(call->path);
	for (unsigned i = 0; i < call->target_count; i++)
		free(call->targets[i]);
	sip_flow_unref(call->flow);
	*call = (struct sip_call){0};
}

/* The tag is ours, so that an INVITE that is repeated is the same call to all who see it. */
static char *from_with_tag(struct slice address)
{
	char *angled = sip_address_clean(address), *text = NULL, tag[TAG + 1];

	rand_token(tag, TAG);
	if (angled && asprintf(&text, "%s;tag=%s", angled, tag) < 0)
		text = NULL;
	free(angled);
	return text;
}

void sip_call_leave_node(struct sip_call *call)
{
	free(call->node);
	free(call->path);
	call->node = call->path = NULL;
	call->by_node = false;
}

/*
 * Over a flow of ours, or by way of a node that has it, or of proxies (struct sip_place).
 * @return 0 or -ENOMEM
 */
static int take_flow(struct sip_call *call, struct sip_flow *flow, struct slice node)
{
	bool proxies = node.len && node.p[0] == '<';

	sip_call_leave_node(call);
	if (node.p)
		call->node = sip_uri_clean(sip_address_uri(node));
	if (proxies && !(call->path = slice_dup(node)))
		return -ENOMEM;
	call->by_node = call->node && !proxies;
	sip_flow_unref(call->flow);
	call->flow = flow && !node.p ? sip_flow_ref(flow) : NULL;
	return node.p && !call->node ? -ENOMEM : 0;
}

/* The ";lr" of a proxy's URI is written where it becomes a Route. */
static int go_by(struct sip_call *call, struct slice node)
{
	static const struct slice loose = SLICE(";lr");
	struct sip_hop hop;

	if (node.len > loose.len
	    && slice_equal_nocase(slice_from(node, node.len - loose.len), loose))
		node.len -= loose.len;
	call->node = sip_uri_clean(node);
	return call->node && sip_uri_hop(call->node, &hop) == 0 ? 0 : -EINVAL;
}

int sip_call_init(struct sip_call *call, struct sip_stack *stack, struct slice ruri,
    struct slice from, struct slice to, const struct sip_way *way)
{
	bool led = way->flow || way->node.p || stack->route;
	struct sip_hop hop;
	int err = -EINVAL;

	*call = (struct sip_call){0};
	call->ruri = sip_uri_clean(ruri);
	call->from = from_with_tag(from);
	call->to = sip_address_clean(to);
	rand_token(call->call_id, SIP_CALL_ID);
	if (call->ruri && call->from && call->to)
		err = led || sip_uri_hop(call->ruri, &hop) == 0 ? 0 : -EDESTADDRREQ;
	if (!err && way->node.p)
		err = go_by(call, way->node);
	else if (!err && way->flow)
		err = take_flow(call, way->flow, slice_of(edge_flow_node(way->flow)));
	if (err)
		sip_call_clear(call);
	return err;
}

int sip_call_lead(struct sip_call *call, const struct sip_place *place)
{
	char *clean = sip_uri_clean(place->uri);

	if (!clean)
		return -ENOMEM;
	free(call->ruri);
	call->ruri = clean;
	return take_flow(call, place->flow, place->node);
}

const char *sip_call_hop(const struct sip_call *call, const struct sip_stack *stack)
{
	return call->node  ? call->node
	    : stack->route ? stack->settings->outbound_proxy
			   : call->ruri;
}

/* Another node is no part of the dialog's way. */
bool sip_call_is_secure(const struct sip_call *call, const struct sip_stack *stack)
{
	const char *proxy = call->flow || call->by_node ? NULL
	    : call->node                                ? call->node
							: stack->settings->outbound_proxy;

	return sip_uri_is_secure(slice_of(call->ruri)) || sip_uri_is_secure(slice_of(proxy));
}

struct sip_agent *sip_call_agent(const struct sip_call *call, struct sip_stack *stack, bool large)
{
	if (!call->flow)
		return sip_stack_route(stack, sip_call_hop(call, stack), large);
	return sip_flow_is_alive(call->flow) ? edge_listener_owner(edge_flow_listener(call->flow))
					     : NULL;
}

nua_handle_t *sip_call_handle(struct sip_call *call, struct sip_agent *agent,
    struct sip_owner *owner)
{
	struct sip_stack *stack = agent->stack;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	url_t *ruri = sip_url_make(home, call->ruri);
	sip_addr_t *from = sip_address_make(home, stack, call->from);
	sip_addr_t *to = sip_address_make(home, stack, call->to);
	nua_handle_t *nh = NULL;
	char route[SIP_ROUTE_SIZE];

	sip_agent_route(agent, call, route);
	call->cseq++;
	if (ruri && from && to)
		nh = nua_handle(stack->nua, (nua_hmagic_t *)owner, NUTAG_URL((url_string_t *)ruri),
		    SIPTAG_FROM(from), SIPTAG_TO(to), SIPTAG_CALL_ID_STR(call->call_id),
		    NUTAG_INITIAL_ROUTE_STR(route), TAG_END());
	su_home_deinit(home);
	return nh;
}

/* --- another try --- */

/* In thousandths. */
static unsigned quality(const sip_contact_t *m)
{
	return m->m_q ? msg_q_value(m->m_q) : 1000;
}

/* What was to be reached by sips alone is not to be had otherwise (RFC 5630 5.1.1, 5.3). */
static void add_target(struct sip_call *call, const url_t *url)
{
	if (call->target_count == SIP_TARGETS_MAX || !sip_url_usable(url)
	    || (sip_uri_is_secure(slice_of(call->ruri)) && url->url_type != url_sips))
		return;
	call->targets[call->target_count] = sip_url_clean(url);
	if (call->targets[call->target_count])
		call->target_count++;
}

/* By falling q (RFC 3261 8.1.3.4, 20.10), the order of the message where it is the same. */
static void add_targets(struct sip_call *call, const sip_contact_t *first)
{
	const sip_contact_t *sorted[CONTACTS_MAX];
	size_t count = 0;

	for (const sip_contact_t *m = first; m && count < CONTACTS_MAX; m = m->m_next) {
		size_t at = count++;

		for (; at > 0 && quality(sorted[at - 1]) < quality(m); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = m;
	}
	for (size_t i = 0; i < count; i++)
		add_target(call, sorted[i]->m_url);
}

static bool next_target(struct sip_call *call)
{
	if (call->next_target == call->target_count)
		return false;
	free(call->ruri);
	sip_flow_unref(call->flow);
	call->flow = NULL;
	if (call->by_node || call->path)
		sip_call_leave_node(call);
	call->ruri = call->targets[call->next_target];
	call->targets[call->next_target++] = NULL;
	return true;
}

/* RFC 4028 7.2: the session interval was too small, Min-SE says what would do. */
static bool longer_session(struct sip_call *call, const sip_t *sip)
{
	if (call->session_expires || !sip->sip_min_se || sip->sip_min_se->min_delta == 0)
		return false;
	call->session_expires = (unsigned)sip->sip_min_se->min_delta;
	return true;
}

bool sip_call_again(struct sip_call *call, struct sip_auth **auth, const struct sip_stack *stack,
    const struct sip_event *ev)
{
	if (ev->from_peer && (ev->status == 401 || ev->status == 407)
	    && sip_auth_challenge(auth, stack, ev->sip) == 0)
		return true;
	if (ev->from_peer && ev->status == 422 && longer_session(call, ev->sip))
		return true;
	if (ev->from_peer && ev->status >= 300 && ev->status < 400)
		add_targets(call, ev->sip->sip_contact);
	return (ev->status < 600 || ev->status >= 700) && next_target(call);
}
