/* Path: how who is registered is reached through the proxies before him (RFC 3327). */
#include <errno.h>
#include <stdlib.h>

#include <sofia-sip/sip_header.h>

#include <msrpd/buffer.h>
#include <msrpd/sip_uri.h>

#include "sip/request_priv.h"

/*
 * What is written is what is judged: Sofia may see parameters where headers were.
 *
 * @return 0 or negative errno
 */
static int write_hop(struct buffer *w, const sip_route_t *r, bool *keeps_flows)
{
	char *uri = sip_url_usable(r->r_url) ? sip_url_clean(r->r_url) : NULL;

	if (!uri || !sip_uri_has_param(slice_of(uri), SLICE("lr"))) {
		free(uri);
		return -EBADMSG;
	}
	*keeps_flows = sip_uri_has_param(slice_of(uri), SLICE("ob"));
	buffer_printf(w, "%s<%s>", w->len ? ", " : "", uri);
	free(uri);
	for (size_t i = 0; r->r_params && r->r_params[i]; i++)
		buffer_printf(w, ";%s", r->r_params[i]);
	return w->err;
}

/* Read as the Route that it is to be. */
int sip_path_write(struct buffer *w, const char *text, bool *keeps_flows)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	const sip_route_t *r = sip_route_make(home, text);
	int err = r ? 0 : -EBADMSG;

	for (; r && !err; r = r->r_next)
		err = write_hop(w, r, keeps_flows); /* the first hop's is the last one */
	su_home_deinit(home);
	return err;
}

int sip_request_path(const struct sip_request *req, struct buffer *w, bool *keeps_flows)
{
	struct slice value;
	int err = sip_request_is_damaged(req, SLICE("Path")) ? -EBADMSG : 0;

	for (size_t i = 0; !err && (value = sip_request_header_at(req, SLICE("Path"), i)).p; i++) {
		char *text = slice_dup(value);

		err = text ? sip_path_write(w, text, keeps_flows) : -ENOMEM;
		free(text);
	}
	return err;
}
