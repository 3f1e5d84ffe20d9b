/* Requests that another node serves: as they came, with a header for it (edge/pass.c). */
#include <errno.h>
#include <stdlib.h>

#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/url.h>

#include <msrpd/buffer.h>
#include <msrpd/cluster.h>

#include "sip/request_priv.h"

/* What a client writes in the nodes' name. */
static void drop_named(msg_t *msg, sip_t *sip, struct slice name)
{
	sip_unknown_t *u = sip->sip_unknown, *next;

	for (; u; u = next) {
		next = u->un_next;
		if (slice_equal_nocase(slice_of(u->un_name), name))
			msg_header_remove(msg, (msg_pub_t *)sip, (msg_header_t *)u);
	}
}

static int add(msg_t *msg, sip_t *sip, struct slice header)
{
	char *line = slice_dup(slice_trim(header));
	sip_unknown_t *u = line ? sip_unknown_make(msg_home(msg), line) : NULL;

	free(line);
	return u ? msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)u) : -1;
}

/* RFC 3261 16.6: where a rule has let it go.  @return 0 or -1 */
static int set_target(msg_t *msg, sip_request_t *line, const char *target)
{
	url_t *url = target ? url_make(msg_home(msg), target) : line->rq_url;

	if (!url)
		return -1;
	if (target)
		msg_fragment_clear(line->rq_common);
	*line->rq_url = *url;
	return 0;
}

/* @return the whole of it, of the message's home; absent: no memory */
static struct slice write_message(struct sip_request *req, struct slice header)
{
	msg_t *msg = sip_request_msg(req);
	sip_t *sip = sip_object(msg);
	struct slice rest = header, name;
	char *text = NULL;
	size_t len = 0;

	slice_cut(&rest, ':', &name);
	drop_named(msg, sip, name);
	if (set_target(msg, sip->sip_request, sip_request_target(req)) == 0
	    && add(msg, sip, header) == 0)
		text = msg_as_string(msg_home(msg), msg, (msg_pub_t *)sip, 0, &len);
	return (struct slice){text, text ? len : 0};
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
	struct sip_request_parts parts;
	struct edge_passing passing = *to;
	int err;

	sip_request_look(req, &parts);
	if (parts.sip->sip_proxy_require && parts.sip->sip_proxy_require->k_items)
		return refuse_extensions(req, parts.sip->sip_proxy_require);
	if (header.len > edge_max_header_size(parts.agent->stack->edge))
		return -EMSGSIZE;
	passing.request = write_message(req, header);
	err = passing.request.p ? edge_pass_on(parts.agent->stack->edge, &passing) : -ENOMEM;
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
