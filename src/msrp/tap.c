/* What a connection reads and writes, told to a trace: see net/tap.h. */
#include <string.h>

#include "base/buffer.h"
#include "msrp/priv.h"
#include "wire/write.h"

void tap_head(const struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct net_tap *tap = net_tap_on(&conn->stream);
	struct slice head = frame->head;

	/* The blank line lies behind it. */
	head.len += frame->has_body ? 2 : 0;
	if (tap)
		tap->ops->head(tap, &conn->stream, NET_IN, head);
}

void tap_broken(const struct msrp_conn *conn, struct slice bytes)
{
	struct net_tap *tap = net_tap_on(&conn->stream);
	const char *blank = bytes.len ? memmem(bytes.p, bytes.len, "\r\n\r\n", 4) : NULL;
	struct slice head = slice_head(bytes, blank ? (size_t)(blank - bytes.p) + 4 : bytes.len);

	if (!tap || bytes.len == 0)
		return;
	tap->ops->head(tap, &conn->stream, NET_IN, head);
	tap->ops->body(tap, &conn->stream, NET_IN, slice_from(bytes, head.len));
	tap->ops->broken(tap, &conn->stream, NET_IN);
}

void tap_end(const struct msrp_conn *conn, struct slice tid, enum msrp_flag flag, bool has_body)
{
	struct net_tap *tap = net_tap_on(&conn->stream);
	char line[MSRP_END_LINE_MAX];
	struct buffer w = BUFFER_ON(line);

	msrp_write_end_line(&w, tid, flag, has_body);
	if (tap)
		tap->ops->end(tap, &conn->stream, NET_IN, buffer_text(&w));
}

void tap_body(const struct msrp_conn *conn, enum net_way way, struct slice piece)
{
	struct net_tap *tap = net_tap_on(&conn->stream);

	if (tap)
		tap->ops->body(tap, &conn->stream, way, piece);
}
