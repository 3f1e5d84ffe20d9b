#include "forward/way.h"

#include <stddef.h>

void way_watch(struct way_watch *watch, struct way *way)
{
	watch->way = way;
	LIST_INSERT_HEAD(&way->watches, watch, entry);
}

void way_unwatch(struct way_watch *watch)
{
	if (watch->way)
		LIST_REMOVE(watch, entry);
	watch->way = NULL;
}

void way_end(struct way *way)
{
	struct way_watch *watch;

	while ((watch = LIST_FIRST(&way->watches))) {
		way_unwatch(watch);
		watch->ended(watch);
	}
}

static struct way_watch *first_that_waits(const struct way *way)
{
	struct way_watch *watch;

	LIST_FOREACH(watch, &way->watches, entry)
		if (watch->waits)
			break;
	return watch;
}

void way_open(struct way *way, struct msrp_conn *conn, struct slice to_path)
{
	struct way_watch *watch;

	while ((watch = first_that_waits(way))) {
		watch->waits = false;
		watch->opened(watch, conn, to_path);
	}
}
