/* What events tell of a SIP request beside its addresses. */
#pragma once

#include <msrpd/event.h>
#include <msrpd/request.h>

enum {
	TOLD_HEADERS_MAX = 16, /* names */
	TOLD_VALUES_MAX = 64,  /* of all of them */
	TOLD_PARTS_MAX = 32,
	TOLD_BYTES_MAX = 65536, /* of all parts */
};

/** Room for both parameters, which are valid as long as it and the request. */
struct told {
	struct event_param names[TOLD_HEADERS_MAX], values[TOLD_VALUES_MAX];
	struct event_param parts[TOLD_PARTS_MAX], fields[TOLD_PARTS_MAX][3];
};

/**
 * headers: {Name: [values]}, those that sip.pass_headers names.
 *
 * @return EVENT_NULL: it has none of them
 */
struct event_param told_headers(struct told *told, const struct sip_request *request);

/** Put a parameter behind count others unless it is EVENT_NULL.  @return how many there are */
static inline size_t told_add(struct event_param *params, size_t count, struct event_param more)
{
	if (more.kind != EVENT_NULL)
		params[count++] = more;
	return count;
}

/**
 * parts: [{content_type, content_id, body}], those of its body that are neither SDP nor a message
 * of the session, each whole or not at all.
 *
 * @return EVENT_NULL: there are none
 */
struct event_param told_parts(struct told *told, const struct sip_request *request);
