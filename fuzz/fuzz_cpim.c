/* A message/cpim, what is in it as a notification, and what we make of it again. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cpim.h>

#include "conf/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void notification(struct slice xml)
{
	struct imdn n, again;
	char *text;
	size_t len;

	if (imdn_parse(&n, xml) < 0 || imdn_build(&text, &len, &n) < 0)
		return;
	assert(imdn_parse(&again, (struct slice){text, len}) == 0);
	assert(again.kind == n.kind && again.status == n.status);
	free(text);
}

static void build_again(const struct cpim *m)
{
	struct slice subject = cpim_value(m, CPIM_CORE, "Subject");
	char plain[256];
	struct cpim_out out = {
	    .from_uri = cpim_uri(cpim_value(m, CPIM_CORE, "From")),
	    .to_uri = cpim_uri(cpim_value(m, CPIM_CORE, "To")),
	    .datetime = cpim_value(m, CPIM_CORE, "DateTime"),
	    .subject = {plain, cpim_unescape(plain, sizeof(plain), subject)},
	    .message_id = cpim_value(m, CPIM_IMDN, "Message-ID"),
	    .dispositions = imdn_wants(cpim_value(m, CPIM_IMDN, "Disposition-Notification")),
	    .content_type = m->content_type,
	    .body = m->body,
	};
	struct cpim again;
	char *text;
	size_t len;

	if (cpim_build(&text, &len, &out) < 0)
		return;
	assert(cpim_parse(&again, (struct slice){text, len}) == 0);
	assert(slice_equal(again.body, m->body));
	assert(slice_equal(cpim_uri(cpim_value(&again, CPIM_CORE, "To")), out.to_uri));
	free(text);
}

/* A name is the same when it is made of a name. */
static void address(struct slice value)
{
	char key[CONF_URI_MAX + 1], again[CONF_URI_MAX + 1];

	if (conf_uri_key(key, cpim_uri(value)) < 0)
		return;
	assert(conf_uri_key(again, slice_of(key)) == 0);
	assert(strcmp(key, again) == 0);
}

static void addresses(const struct cpim *m)
{
	for (size_t i = 0; i < m->header_count; i++)
		address(m->headers[i].value);
}

/* The end of a head is where it is, however much of the message has come. */
static void head(struct slice text, const struct cpim *m)
{
	size_t size = text.len - m->body.len;

	assert(cpim_head_size(text) == (ssize_t)size);
	assert(cpim_head_size(slice_head(text, size)) == (ssize_t)size);
	assert(cpim_head_size(slice_head(text, size - 1)) == -EAGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};
	struct cpim m;

	if (cpim_parse(&m, text) == 0) {
		notification(m.body);
		build_again(&m);
		addresses(&m);
		head(text, &m);
	}
	notification(text);
	return 0;
}
