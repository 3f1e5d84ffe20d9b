/* What a connection feeds: where the bodies go that come over it. */
#pragma once

#include <stdbool.h>

struct feed;
struct msrp_conn;

/** Of a connection that has none yet: NULL. */
struct feed *feed_find(const struct msrp_conn *conn);

/** One is made if need be; it goes with the connection.  @return NULL: no memory, or closed */
struct feed *feed_of(struct msrp_conn *conn);

/** Bodies of it go to dest now. */
void feed_goes_to(struct feed *feed, struct msrp_conn *dest);

/** Do bodies of it go to more than one connection that is still there? */
bool feed_is_shared(const struct feed *feed);

/** Its connection took nothing for shared_stall, and has no room since; said by whoever sees it. */
void feed_set_stalled(struct feed *feed, bool stalled);
bool feed_is_stalled(const struct feed *feed);
