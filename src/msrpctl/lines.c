#include "msrpctl/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "msrpctl/msrpctl.h"

void lines_read(struct lines *lines)
{
	char buffer[65536];
	ssize_t n = read(lines->fd, buffer, sizeof(buffer));

	if (n > 0)
		text_add(&lines->text, buffer, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		lines->over = true;
}

char *lines_next(struct lines *lines)
{
	struct text *text = &lines->text;
	char *end = text->len ? memchr(text->p, '\n', text->len) : NULL, *line;
	size_t len = end ? (size_t)(end - text->p) : 0;

	if (!end)
		return NULL;
	line = must(strndup(text->p, len));
	text->len -= len + 1;
	memmove(text->p, end + 1, text->len);
	return line;
}
