#include "forward/hop.h"

#include "base/extend.h"

static struct slice from_path(const struct hop *hop, const struct msrp_frame *frame)
{
	return hop->own.p ? frame->from_path : hop->from_path;
}

size_t hop_paths_size(const struct hop *hop, const struct msrp_frame *frame)
{
	return sizeof("To-Path: \r\nFrom-Path:   \r\n") + hop->to_path.len + hop->own.len
	    + hop->inner.len + from_path(hop, frame).len;
}

static size_t with_space(struct slice s)
{
	return s.p ? s.len + 1 : 0;
}

static char *put_with_space(char *p, struct slice s)
{
	if (!s.p)
		return p;
	p = slice_put(p, s);
	*p++ = ' ';
	return p;
}

void hop_write_paths(struct buffer *w, const struct hop *hop, const struct msrp_frame *frame)
{
	struct slice from = from_path(hop, frame);
	char *p = buffer_extend(w,
	    sizeof("To-Path: \r\nFrom-Path: \r\n") - 1 + hop->to_path.len + with_space(hop->inner)
		+ with_space(hop->own) + from.len);

	if (!p)
		return;
	p = slice_put(p, SLICE("To-Path: "));
	p = slice_put(p, hop->to_path);
	p = slice_put(p, SLICE("\r\nFrom-Path: "));
	p = put_with_space(p, hop->inner);
	p = put_with_space(p, hop->own);
	p = slice_put(p, from);
	slice_put(p, SLICE("\r\n"));
}
