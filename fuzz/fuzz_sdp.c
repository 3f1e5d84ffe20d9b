/* SDP from a peer, alone or within a multipart body, as far as our answer to it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sip/body.h"
#include "sip/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(truth) ((truth) ? (void)0 : abort())

static void check_slice(struct slice s, const char *begin, const char *end)
{
	CHECK(!s.p || s.len == 0 || (s.p >= begin && s.p + s.len <= end));
}

static void check_media(const struct sdp_media *m, struct slice text)
{
	const char *begin = text.p, *end = text.p + text.len;

	check_slice(m->line, begin, end);
	check_slice(m->path, begin, end);
	check_slice(m->accept_types, begin, end);
	sdp_types_have(m->accept_types, SLICE("text/plain;charset=utf-8"));
	sdp_types_have(SLICE("message/cpim text/*"), m->accept_types);
	sdp_types_common(m->accept_types, m->accept_wrapped_types);
	sdp_types_have_wrapped(m->accept_types, m->accept_wrapped_types, m->type);
}

/* What we say is SDP again, with the same m= lines in order, and stays as it is when repeated. */
static void check_answer(const struct sdp_session *offer, const struct sdp_media *chosen)
{
	struct sdp_local local = {.at = (size_t)(chosen - offer->media),
	    .host = SLICE("192.0.2.1"),
	    .port = 2855,
	    .tls = sdp_media_is_tls(chosen),
	    .path = SLICE("msrp://192.0.2.1:2855/x;tcp"),
	    .accept_types = SLICE("text/plain"),
	    .setup = sdp_answer_setup(chosen)};
	struct sdp_session said;
	struct sdp_own own;
	struct slice text;

	sdp_own_init(&own);
	CHECK(sdp_own_answer(&own, &local, 1, offer, &text) == 0);
	CHECK(sdp_parse(&said, text) == 0 && said.media_count == offer->media_count);
	CHECK(sdp_own_offer(&own, &local, 1, &text) == 0 && own.version == 1);
	CHECK(sdp_own_chosen(&own, local.at, offer) != NULL);
	sdp_own_fini(&own);
}

static void try_sdp(struct slice text)
{
	struct sdp_wanted wanted = {.transports = SDP_PLAIN | SDP_TLS, .accept_types = SLICE("*")};
	struct sdp_session sdp;
	const struct sdp_media *chosen;

	if (sdp_parse(&sdp, text) < 0)
		return;
	for (size_t i = 0; i < sdp.media_count; i++)
		check_media(&sdp.media[i], text);
	for (int file = 0; file < 2; file++) {
		wanted.file = file;
		chosen = sdp_choose(&sdp, &wanted);
		if (chosen)
			check_answer(&sdp, chosen);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size}, type;
	struct sip_body body;

	try_sdp(text);
	/* the first line as the Content-Type of the rest */
	if (slice_cut(&text, '\n', &type) && text.p
	    && sip_body_parse(&body, type, (struct slice){0}, text) == 0) {
		for (size_t i = 0; i < body.count; i++)
			try_sdp(body.parts[i].body);
		sip_body_fini(&body);
	}
	return 0;
}
