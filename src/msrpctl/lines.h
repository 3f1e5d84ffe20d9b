/* Lines of a descriptor, as they come, without waiting. */
#pragma once

#include <stdbool.h>

#include "msrpctl/text.h"

struct lines {
	int fd;
	bool over; /* no more come */
	struct text text;
};

/** Read what is there. */
void lines_read(struct lines *lines);

/** Cut the next line off, without its end, to be freed; NULL: none is whole. */
char *lines_next(struct lines *lines);
