#include <msrpd/told.h>

#include "sip/body.h"
#include "sip/request.h"

struct event_param told_headers(struct told *told, const struct sip_request *request)
{
	struct event_param all = {.name = "headers", .kind = EVENT_OBJECT, .items = told->names};
	const char *name;
	size_t used = 0;

	for (size_t i = 0; all.count < TOLD_HEADERS_MAX && (name = sip_request_passed(request, i));
	     i++) {
		struct event_param one = {.name = name,
		    .kind = EVENT_LIST,
		    .items = &told->values[used]};
		struct slice value;

		while (used < TOLD_VALUES_MAX
		    && (value = sip_request_header_at(request, slice_of(name), one.count)).p) {
			told->values[used++] = event_text(NULL, value);
			one.count++;
		}
		if (one.count > 0)
			told->names[all.count++] = one;
	}
	return all.count > 0 ? all : event_null("headers");
}

static bool is_told(const struct sip_body *body, const struct sip_part *part)
{
	return part->type.p && part != sip_body_sdp(body) && !sip_part_is_message(part);
}

struct event_param told_parts(struct told *told, const struct sip_request *request)
{
	struct event_param all = {.name = "parts", .kind = EVENT_LIST, .items = told->parts};
	const struct sip_body *body = sip_request_body(request);
	size_t bytes = 0;

	for (size_t i = 0; body && i < body->count && all.count < TOLD_PARTS_MAX; i++) {
		const struct sip_part *part = &body->parts[i];
		struct event_param *fields = told->fields[all.count];

		if (!is_told(body, part) || part->body.len > TOLD_BYTES_MAX - bytes)
			continue;
		bytes += part->body.len;
		fields[0] = event_text("content_type", part->type);
		fields[1] = event_text("content_id", part->id);
		fields[2] = event_body("body", part->body);
		told->parts[all.count++] =
		    (struct event_param){.kind = EVENT_OBJECT, .items = fields, .count = 3};
	}
	return all.count > 0 ? all : event_null("parts");
}
