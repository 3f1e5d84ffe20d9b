/* Requests that another node serves: as they came, with a header for it (edge/pass.c). */
#include <errno.h>
#include <limits.h>

#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_header.h>

#include <msrpd/buffer.h>
#include <msrpd/cluster.h>

#include "sip/request_priv.h"

/* As Sofia has read it. */
static void write_header(struct buffer *w, const msg_header_t *h)
{
	size_t room = w->cap - w->len;
	size_t len = (size_t)msg_header_e(w->p + w->len, (isize_t)room, h, 0);

	/* Without room to spare something is missing. */
	if (len + 1 >= room) {
		if (buffer_reserve(w, len + 2) < 0)
			return;
		msg_header_e(w->p + w->len, (isize_t)(w->cap - w->len), h, 0);
	}
	w->len += len;
}

/* The start line is written anew, and what a client says in the nodes' name is not. */
static bool is_left_out(const msg_header_t *h, struct slice name)
{
	int hash = h->sh_class->hc_hash;

	return hash == sip_request_hash
	    || (hash == sip_unknown_hash
		&& slice_equal_nocase(slice_of(h->sh_unknown->un_name), name));
}

/* To where a rule has let it go: RFC 3261 16.6. */
static void write_message(struct buffer *w, const struct sip_request *req, struct slice header)
{
	struct slice rest = header, name;

	slice_cut(&rest, ':', &name);
	buffer_add(w, sip_request_field(req, SIP_FIELD_METHOD));
	buffer_add_char(w, ' ');
	buffer_add(w, sip_request_field(req, SIP_FIELD_RURI));
	buffer_add(w, SLICE(" SIP/2.0\r\n"));
	buffer_add(w, header);
	for (msg_header_t *h = *msg_chain_head(sip_request_msg(req)); h && !w->err; h = h->sh_succ)
		if (!is_left_out(h, name))
			write_header(w, h);
}

/* RFC 3261 16.3: we know no extension that a proxy has to. */
static int refuse_extensions(struct sip_request *req, const sip_proxy_require_t *required)
{
	struct buffer unsupported = {.max = BUFFER_UNBOUNDED};
	int err;

	for (size_t i = 0; required->k_items[i]; i++) {
		buffer_add(&unsupported, i ? SLICE(", ") : SLICE("Unsupported: "));
		buffer_add(&unsupported, slice_of(required->k_items[i]));
	}
	buffer_add(&unsupported, SLICE("\r\n"));
	err = unsupported.err
	    ? unsupported.err
	    : sip_request_reply(req, 420, SLICE("Bad Extension"), buffer_text(&unsupported));
	buffer_fini(&unsupported);
	return err;
}

static int send_on(struct sip_request *req, const struct edge_passing *to, struct slice header)
{
	struct buffer message = {.max = INT_MAX}; /* Sofia counts so far */
	struct sip_request_parts parts;
	struct edge_passing passing = *to;
	int err;

	sip_request_look(req, &parts);
	if (parts.sip->sip_proxy_require && parts.sip->sip_proxy_require->k_items)
		return refuse_extensions(req, parts.sip->sip_proxy_require);
	if (header.len > edge_max_header_size(parts.agent->stack->edge))
		return -EMSGSIZE;
	write_message(&message, req, header);
	passing.request = buffer_text(&message);
	err = message.err ? message.err : edge_pass_on(parts.agent->stack->edge, &passing);
	buffer_fini(&message);
	if (err == 0)
		sip_request_gone_on(req);
	return err;
}

int sip_request_pass_on(struct sip_request *req, const struct cluster *cluster,
    const struct cluster_node *node, const struct cluster_mark *mark)
{
	const struct edge_passing to = {.node = node->sip, .own = cluster_own_sip(cluster)};
	struct buffer header = {.max = BUFFER_UNBOUNDED}, at = {.max = BUFFER_UNBOUNDED};
	const struct sip_flow *flow =
	    sip_request_flow_to(req, sip_request_field(req, SIP_FIELD_RURI));
	struct cluster_mark full = *mark;
	int err;

	if (sip_request_answered(req))
		return -EEXIST;
	if (!to.node.p || (flow && !to.own.p))
		return -EXDEV;
	if (flow)
		full.at = edge_flow_place(&at, flow, to.own, node->sip);
	cluster_mark_write(cluster, &header, node->name, &full);
	err = at.err ? at.err : header.err;
	if (err == 0)
		err = send_on(req, &to, buffer_text(&header));
	buffer_fini(&header);
	buffer_fini(&at);
	return err;
}
