/*
 * What comes by MSRP and goes on by SIP MESSAGE: of an envelope are left only lines of headers that
 * SIP has a place for, and a notification that it asks for is an envelope again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cpim.h>

#include "gw/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_headers(struct slice rest)
{
	static const char *const names[] = {"Date: ", "Subject: ", "Content-Disposition: ",
	    "Content-Language: ", "Content-Encoding: "};
	struct slice line;
	bool known;

	while (rest.len) {
		assert(slice_cut(&rest, '\n', &line) && rest.p && line.len);
		assert(line.p[--line.len] == '\r' && slice_is_one_line(line));
		known = false;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known = known || slice_starts_nocase(line, slice_of(names[i]));
		assert(known);
	}
}

static void check_notification(const struct gw_imdn_request *imdn, bool delivered)
{
	struct gw_content c;
	struct cpim m;
	struct imdn n;

	if (gw_content_imdn(&c, imdn, delivered) < 0) {
		gw_content_fini(&c);
		return;
	}
	assert(cpim_parse(&m, c.body) == 0 && imdn_parse(&n, m.body) == 0);
	assert(n.status == (delivered ? IMDN_DELIVERED : IMDN_FAILED));
	gw_content_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_settings settings = {.cpim = GW_CPIM_AUTO};
	struct gw gw = {.settings = &settings};
	struct gw_binding binding = {.gw = &gw};
	struct message message = {
	    .content_type = SLICE("message/cpim"),
	    .body = {(const char *)data, size},
	};
	struct gw_imdn_request imdn;
	struct gw_content c;

	gw_is_composing(message.content_type, message.body);
	if (gw_content_for_page(&c, &imdn, &binding, &message) == 0) {
		assert(slice_is_one_line(c.type));
		check_headers(slice_of(c.headers));
		check_notification(&imdn, true);
		check_notification(&imdn, false);
	}
	gw_content_fini(&c);
	return 0;
}
