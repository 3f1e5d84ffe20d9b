#include "ua/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/cluster.h>
#include <msrpd/rand.h>

#include "base/buffer.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "wire/path.h"

void ua_locals_free(struct ua_locals *locals)
{
	for (size_t i = 0; i < locals->count; i++)
		free(locals->items[i].host);
	free(locals->items);
	*locals = (struct ua_locals){0};
}

static int add_local(struct ua_locals *locals, const struct msrp_transport *transport,
    struct slice host, uint16_t port)
{
	struct ua_local *grown = realloc(locals->items, (locals->count + 1) * sizeof(*grown));
	char *text = slice_dup(host);

	if (grown)
		locals->items = grown;
	if (!grown || !text) {
		free(text);
		return -ENOMEM;
	}
	grown[locals->count++] = (struct ua_local){transport, text, port};
	return 0;
}

static int add_configured(struct ua_locals *locals, const struct setting_list *uris)
{
	int err = 0;

	for (size_t i = 0; i < uris->count && err == 0; i++) {
		struct slice text = slice_of(((char *const *)uris->items)[i]);
		const struct msrp_transport *transport;
		struct msrp_uri uri;

		if (msrp_uri_parse(&uri, text) != (ssize_t)text.len)
			return -EINVAL;
		transport = msrp_transport_find(uri.secure, uri.transport);
		if (!transport)
			return -EINVAL;
		err =
		    add_local(locals, transport, uri.host, uri.port ? uri.port : MSRP_DEFAULT_PORT);
	}
	return err;
}

static bool has_transport(const struct ua_locals *locals, const struct msrp_transport *transport)
{
	for (size_t i = 0; i < locals->count; i++)
		if (locals->items[i].transport == transport)
			return true;
	return false;
}

/* The first listener of each transport. */
static int add_listeners(struct ua_locals *locals, const struct msrp_stack *msrp, bool framed)
{
	struct msrp_listener *listener;
	int err = 0;

	for (size_t i = 0; err == 0 && (listener = msrp_listener_at(msrp, i)); i++) {
		const struct msrp_transport *transport = msrp_listener_transport(listener);

		if (transport->net->framed != framed || has_transport(locals, transport))
			continue;
		err = add_local(locals, transport, msrp_listener_host(listener),
		    msrp_listener_port(listener));
	}
	return err;
}

/* By WebSocket only who says so can be reached: our own offers are not for him. */
static int add_all_listeners(struct ua_locals *locals, const struct msrp_stack *msrp)
{
	int err = add_listeners(locals, msrp, false);

	return err < 0 ? err : add_listeners(locals, msrp, true);
}

int ua_locals_read(struct ua_locals *locals, const struct ua_settings *settings,
    const struct msrp_stack *msrp)
{
	struct ua_locals read = {0};
	int err;

	if (settings->my_uri.count)
		err = add_configured(&read, &settings->my_uri);
	else
		err = add_all_listeners(&read, msrp);
	if (err == 0 && read.count == 0)
		err = -EINVAL;
	if (err < 0) {
		ua_locals_free(&read);
		return err;
	}
	ua_locals_free(locals);
	*locals = read;
	return 0;
}

const struct ua_local *ua_local_find(const struct ua_locals *locals, bool secure,
    struct slice transport)
{
	const struct ua_local *found = NULL;

	for (size_t i = 0; i < locals->count; i++) {
		const struct ua_local *local = &locals->items[i];

		if (local->transport->secure != secure)
			continue;
		if (slice_equal_nocase(local->transport->name, transport))
			return local;
		if (!found)
			found = local;
	}
	return found;
}

/* With a path that begins ";ws" he comes by WebSocket: RFC 7977 5.2.1. */
const struct ua_local *ua_local_for(const struct ua_locals *locals, const struct sdp_media *media)
{
	struct msrp_uri first;

	if (msrp_uri_parse(&first, msrp_path_first(media->path)) < 0)
		first.transport = SLICE("tcp");
	return ua_local_find(locals, sdp_media_is_tls(media), first.transport);
}

void ua_local_id(char id[UA_ID_MAX + 1], const struct cluster *cluster)
{
	struct slice node = cluster_own_name(cluster);
	char token[UA_ID_LEN + 1];

	rand_token(token, UA_ID_LEN);
	snprintf(id, UA_ID_MAX + 1, "%.*s%s%s", SLICE_ARG(node), node.p ? "." : "", token);
}

void ua_local_write(struct buffer *w, const struct ua_local *local, struct slice id)
{
	const struct msrp_uri uri = {
	    .secure = local->transport->secure,
	    .host = slice_of(local->host),
	    .port = local->port,
	    .session_id = id,
	    .transport = local->transport->name,
	};

	msrp_uri_write(w, &uri);
}

struct sdp_fingerprint ua_local_fingerprint(const struct msrp_stack *msrp,
    char text[UA_FINGERPRINT_SIZE])
{
	struct sdp_fingerprint f = {0};
	struct slice rest;

	if (msrp_stack_fingerprint(msrp, text, UA_FINGERPRINT_SIZE) < 0)
		return f;
	rest = slice_of(text);
	slice_cut(&rest, ' ', &f.hash);
	f.value = rest;
	return f;
}
