#include "forward/feed.h"

#include <stdlib.h>

#include "forward/forwarder.h"

struct feed {
	struct msrp_note note;
	struct msrp_conn *to[2]; /* refs, the latest first */
	bool stalled;
};

static void set(struct feed *feed, struct msrp_conn *latest, struct msrp_conn *before)
{
	if (latest)
		msrp_conn_ref(latest);
	if (before)
		msrp_conn_ref(before);
	for (int i = 0; i < 2; i++)
		if (feed->to[i])
			msrp_conn_unref(feed->to[i]);
	feed->to[0] = latest;
	feed->to[1] = before;
}

static void on_closed(struct msrp_note *note)
{
	struct feed *feed = OWNER(struct feed, note, note);

	set(feed, NULL, NULL);
	free(feed);
}

struct feed *feed_find(const struct msrp_conn *conn)
{
	struct msrp_note *note = msrp_conn_note(conn, on_closed);

	return note ? OWNER(struct feed, note, note) : NULL;
}

struct feed *feed_of(struct msrp_conn *conn)
{
	struct feed *feed = feed_find(conn);

	if (feed || msrp_conn_closed(conn))
		return feed;
	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return NULL;
	feed->note.closed = on_closed;
	msrp_conn_add_note(conn, &feed->note);
	return feed;
}

void feed_goes_to(struct feed *feed, struct msrp_conn *dest)
{
	if (feed->to[0] != dest)
		set(feed, dest, feed->to[0]);
}

bool feed_is_shared(const struct feed *feed)
{
	return feed->to[1] && !msrp_conn_closed(feed->to[1]);
}

void feed_set_stalled(struct feed *feed, bool stalled)
{
	feed->stalled = stalled;
}

bool feed_is_stalled(const struct feed *feed)
{
	return feed->stalled;
}
