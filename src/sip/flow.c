/* Which connection a peer is at, and whether there is another way to him. */
#include <sofia-sip/url.h>

#include "sip/priv.h"

/* The edge has put the name of the flow below all others. */
struct sip_flow *sip_agent_response_flow(const struct sip_agent *agent, const sip_t *sip)
{
	const sip_record_route_t *r = sip ? sip->sip_record_route : NULL;

	while (r && r->r_next)
		r = r->r_next;
	return !r || !r->r_url->url_user
	    ? NULL
	    : edge_flow_of_token(agent->stack->edge, slice_of(r->r_url->url_user));
}

void sip_flow_note_caller(struct sip_flow **callerp, const struct sip_request *req)
{
	struct sip_flow *caller = sip_request_own_flow(req);

	if (*callerp && sip_flow_is_alive(*callerp))
		return;
	sip_flow_unref(*callerp);
	*callerp = caller ? sip_flow_ref(caller) : NULL;
}

bool sip_flow_is_only_way(const struct sip_flow *flow, const sip_t *sip)
{
	static const struct slice invalid = {".invalid", 8};
	const url_t *contact = sip->sip_contact ? sip->sip_contact->m_url : NULL;
	struct slice host = slice_of(contact ? contact->url_host : NULL);
	/* By UDP there is one only to who is reached by it.  Behind a proxy, another node among them, it is that which knows the way. */
	bool proxied = sip->sip_record_route && sip->sip_record_route->r_next;

	return !edge_flow_transport(flow)->can_dial || (!proxied && sip_flow_is_by_udp(flow))
	    || (!proxied && host.len > invalid.len
		&& slice_equal_nocase(slice_from(host, host.len - invalid.len), invalid))
	    || (!proxied && contact && contact->url_params && url_has_param(contact, "ob"));
}
