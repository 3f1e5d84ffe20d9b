/* The request that makes a WebSocket of an HTTP connection, and its answer: RFC 6455 4.2. */
#pragma once

#include <msrpd/slice.h>

struct buffer;
struct reason;
struct setting_list;

/** What is asked of whoever connects; borrowed. */
struct upgrade_terms {
	struct slice subprotocol;           /* which must be among those offered */
	const struct setting_list *origins; /* of net_listener */
	struct slice headers;               /* lines that any response has, too */
};

/**
 * Judge a request.
 *
 * @param head    up to its empty line, that included
 * @param answer  the whole response is written here
 * @return 101, or the status that the response refuses it with
 */
unsigned upgrade_answer(struct slice head, const struct upgrade_terms *terms,
    struct buffer *answer);

/** The same response, for a head that was not read to its end. */
void upgrade_refuse(unsigned status, struct buffer *answer);

/** The check of a setting of origins: is each as browsers write it (RFC 6454 6.2), or "*"? */
int upgrade_check_origin(const void *value, struct reason *why);
