#include "wire/path.h"

#include <errno.h>

#include "base/buffer.h"

int msrp_path_next(struct slice *rest, struct msrp_uri *uri)
{
	ssize_t n;

	if (!rest->p)
		return 0;
	n = msrp_uri_parse(uri, *rest);
	if (n < 0)
		return -EBADMSG;
	*rest = slice_from(*rest, (size_t)n);
	if (rest->len == 0) {
		*rest = (struct slice){NULL, 0};
		return 1;
	}
	if (rest->p[0] != ' ')
		return -EBADMSG;
	*rest = slice_from(*rest, 1);
	return 1;
}

ssize_t msrp_path_count(struct slice path)
{
	struct msrp_uri uri;
	ssize_t count = 0;
	int got;

	while ((got = msrp_path_next(&path, &uri)) > 0)
		count++;
	return got < 0 || count == 0 ? -EBADMSG : count;
}

bool msrp_path_names_session(struct slice path)
{
	struct msrp_uri last;

	return path.len <= MSRP_PATH_MAX && msrp_path_count(path) > 0
	    && msrp_uri_parse(&last, msrp_path_last(path)) > 0 && last.session_id.p;
}

struct slice msrp_path_first(struct slice path)
{
	const char *space = path.len ? memchr(path.p, ' ', path.len) : NULL;

	return space ? slice_head(path, (size_t)(space - path.p)) : path;
}

struct slice msrp_path_rest(struct slice path)
{
	struct slice first;

	slice_cut(&path, ' ', &first);
	return path;
}

struct slice msrp_path_last(struct slice path)
{
	const char *space = path.len ? memrchr(path.p, ' ', path.len) : NULL;

	return space ? slice_from(path, (size_t)(space - path.p) + 1) : path;
}

void msrp_path_write_reversed(struct buffer *w, struct slice path)
{
	while (path.len) {
		struct slice last = msrp_path_last(path);

		buffer_add(w, last);
		if (last.len == path.len)
			return;
		buffer_add_char(w, ' ');
		path.len -= last.len + 1;
	}
}

void msrp_path_write_joined(struct buffer *w, struct slice a, struct slice b)
{
	buffer_add(w, a);
	if (a.len && b.len)
		buffer_add_char(w, ' ');
	buffer_add(w, b);
}
