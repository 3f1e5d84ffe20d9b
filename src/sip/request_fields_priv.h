/* What rules and services read of a request, and the memory that it points to. */
#pragma once

#include <msrpd/request.h>

#include "sip/priv.h"

/** Zeroed at first. */
struct sip_request_fields {
	struct slice of[SIP_FIELD_BODY + 1];
	char *uris;   /* as they came */
	char *target; /* the Request-URI once it was changed */
	char *auth_user, *auth_realm;
	char source[ADDR_TEXT_SIZE], source_port[8];
};

/** The message is borrowed for as long as the fields are.  @return 0 or -ENOMEM */
int sip_request_fields_read(struct sip_request_fields *fields, msg_t *msg, const sip_t *sip,
    const struct edge_origin *origin);
void sip_request_fields_clear(struct sip_request_fields *fields);

/** Another Request-URI; takes it. */
void sip_request_fields_set_target(struct sip_request_fields *fields, char *uri);

/** Whose credentials are good.  @return 0 or -ENOMEM */
int sip_request_fields_set_user(struct sip_request_fields *fields, struct slice user,
    struct slice realm);
