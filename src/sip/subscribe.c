/* What asks for a subscription, judged and answered: RFC 6665 4.2.1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>

#include "sip/subscription_priv.h"

enum { HOUR_S = 3600 }; /* RFC 6665 4.2.1.1: longer times are never too brief */

void subscribe_refuse(struct sip_request *req, int status, const char *header, unsigned value)
{
	char line[64] = "";

	if (header)
		snprintf(line, sizeof(line), "%s: %u\r\n", header, value);
	sip_request_reply(req, status, (struct slice){0}, slice_of(header ? line : NULL));
}

bool subscribe_check(struct sip_request *req, const struct event_package *package, const sip_t *sip,
    uint32_t *expires_s)
{
	unsigned long asked =
	    sip->sip_expires ? sip->sip_expires->ex_delta : package->default_expires_s;

	*expires_s = asked < package->max_expires_s ? (uint32_t)asked : package->max_expires_s;
	if (!sip_takes_body(sip, package->content_type))
		subscribe_refuse(req, 406, NULL, 0);
	else if (asked > 0 && asked < HOUR_S && asked < package->min_expires_s)
		subscribe_refuse(req, 423, "Min-Expires", package->min_expires_s);
	else
		return true;
	return false;
}

int subscribe_accept_with(struct sip_request *req, int status, const char *line)
{
	struct sip_request_parts parts;
	char *contact, *lines = NULL;
	int n;

	sip_request_look(req, &parts);
	contact = sip_agent_contact(parts.agent, sip_is_secure(parts.sip), NULL);
	n = asprintf(&lines, "%s%s%s%s", line, contact ? "Contact: " : "", contact ? contact : "",
	    contact ? "\r\n" : "");
	free(contact);
	if (n < 0)
		return -ENOMEM;
	n = sip_request_reply(req, status, (struct slice){0}, slice_of(lines));
	free(lines);
	return n;
}

/* In the 200 nua may make it a second less, which it may be (RFC 6665 4.2.1.1). */
int subscribe_accept(struct sip_request *req, uint32_t expires_s)
{
	char line[32];

	snprintf(line, sizeof(line), "Expires: %u\r\n", (unsigned)expires_s);
	return subscribe_accept_with(req, 200, line);
}

char *subscribe_event(const sip_event_t *event)
{
	char *text = NULL;
	int n = event->o_id ? asprintf(&text, "%s;id=%s", event->o_type, event->o_id)
			    : asprintf(&text, "%s", event->o_type);

	return n < 0 ? NULL : text;
}
