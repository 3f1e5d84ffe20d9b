/* What a body holds: RFC 2046 section 5.1, RFC 5621. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/slice.h>

enum { SIP_PARTS_MAX = 32 };

/** A body, or a part of a multipart body; a view. */
struct sip_part {
	struct slice type; /* with its parameters; absent: in an encoding that we cannot read */
	struct slice id;   /* Content-ID, "<a@b>"; absent if there is none */
	struct slice disposition; /* without its parameters; absent if there is none */
	enum { SIP_HANDLING_UNSAID, SIP_HANDLING_REQUIRED, SIP_HANDLING_OPTIONAL } handling;
	struct slice body;
};

struct sip_body {
	struct sip_part parts[SIP_PARTS_MAX];
	size_t count;
	char *own; /* the values of headers, and what base64 stood for; NULL: no body at all */
	size_t own_len;
};

/**
 * Take a body apart: multiparts into their parts, of a multipart/alternative the last that we
 * understand (RFC 2046 5.1.4).
 *
 * @param type, disposition  values of the headers; absent if there are none
 * @return 0 with a body to be given to sip_body_fini(), whose slices borrow text; -EPROTO: more
 *         parts than we take; -ENOMEM
 */
int sip_body_parse(struct sip_body *body, struct slice type, struct slice disposition,
    struct slice text);
void sip_body_fini(struct sip_body *body);

/** The session's description (RFC 3261 20.11: its disposition is "session"); NULL: none. */
const struct sip_part *sip_body_sdp(const struct sip_body *body);

/** Is it something to be read by people: text, or message/cpim, to be rendered? */
bool sip_part_is_message(const struct sip_part *part);

/** Does it have to be understood (RFC 3204 6), and is nothing that we know? */
bool sip_body_is_beyond_us(const struct sip_body *body);
