#include "edge/framer.h"

#include <errno.h>
#include <stdlib.h>

/* A message that came in pieces, as much of it as has come. */
struct edge_partial {
	struct edge_head head;
	bool whole_head;
	bool given; /* all of it was: it goes with the next call */
	size_t len, cap;
	char bytes[];
};

/* One call of edge_framer_next(). */
struct feed {
	struct edge_framer *framer;
	struct slice *bytes;
	bool end;
	const struct edge_bounds *bounds;
	struct edge_message *message;
};

/* What a stream's head is scanned in when it comes in pieces; what is beyond it goes back. */
enum { STEP = 1024 };

static void drop_partial(struct edge_framer *framer)
{
	free(framer->partial);
	framer->partial = NULL;
}

void edge_framer_fini(struct edge_framer *framer)
{
	drop_partial(framer);
}

bool edge_framer_idle(const struct edge_framer *framer)
{
	return !framer->skips && (!framer->partial || framer->partial->given);
}

/* --- what comes out --- */

static void consume(struct feed *feed, size_t n)
{
	*feed->bytes = slice_from(*feed->bytes, n);
}

/* With a fault of its own, that is the one. */
static void set_fault(struct edge_head *head, unsigned status, const char *why)
{
	if (head->status)
		return;
	head->status = status;
	head->why = why;
}

/* All that came is part of what is wrong.  @param head  what could be read of it */
static void refuse(struct feed *feed, const struct edge_head *head, unsigned status,
    const char *why)
{
	*feed->message = (struct edge_message){.head = *head};
	set_fault(&feed->message->head, status, why);
	consume(feed, feed->bytes->len);
}

static enum edge_framed broken(struct feed *feed, const struct edge_head *head, unsigned status,
    const char *why)
{
	feed->framer->broken = true;
	refuse(feed, head, status, why);
	return EDGE_BROKEN;
}

/* It is not SIP, or not all of it: only a transport with frames knows where the next one begins. */
static enum edge_framed no_message(struct feed *feed, const struct edge_head *head, const char *why)
{
	if (!feed->framer->framed)
		return broken(feed, head, 400, why);
	refuse(feed, head, 400, why);
	feed->framer->skips = !feed->end;
	feed->framer->crlf = 0;
	if (feed->framer->partial)
		feed->framer->partial->given = true;
	return EDGE_FAULTY;
}

static enum edge_framed out_of_memory(struct feed *feed, const struct edge_head *head)
{
	return broken(feed, head, 503, "out of memory");
}

static enum edge_framed give(struct feed *feed, const struct edge_head *head, size_t len, bool kept)
{
	*feed->message = (struct edge_message){
	    .head = *head,
	    .body = {head->p + head->len, len - head->len},
	    .kept = kept,
	};
	return head->status ? EDGE_FAULTY : EDGE_MESSAGE;
}

/* --- what is kept --- */

static bool reserve(struct feed *feed, size_t more)
{
	enum { FIRST_CAP = 1024 };
	struct edge_partial *p = feed->framer->partial;
	size_t cap = p ? p->cap : FIRST_CAP, need = (p ? p->len : 0) + more;
	size_t max = feed->bounds->max_message_size + STEP;

	while (cap < need)
		cap *= 2;
	if (cap > max && need <= max)
		cap = max;
	if (p && cap <= p->cap)
		return true;
	p = realloc(p, sizeof(*p) + cap);
	if (!p)
		return false;
	if (!feed->framer->partial)
		*p = (struct edge_partial){.len = 0};
	p->cap = cap;
	p->head.p = p->bytes;
	feed->framer->partial = p;
	return true;
}

/* Take the next n bytes, or as many as there are. */
static bool append(struct feed *feed, size_t n)
{
	struct slice piece = slice_head(*feed->bytes, n);
	struct edge_partial *p;

	if (!reserve(feed, piece.len))
		return false;
	p = feed->framer->partial;
	if (piece.len)
		memcpy(p->bytes + p->len, piece.p, piece.len);
	p->len += piece.len;
	consume(feed, piece.len);
	return true;
}

/* The last n bytes that were taken are the next message's. */
static void give_back(struct feed *feed, size_t n)
{
	feed->framer->partial->len -= n;
	*feed->bytes = (struct slice){feed->bytes->p - n, feed->bytes->len + n};
}

static enum edge_framed keep(struct feed *feed, const struct edge_head *head, bool whole_head)
{
	struct edge_partial *p;

	if (!append(feed, feed->bytes->len))
		return out_of_memory(feed, head);
	p = feed->framer->partial;
	p->head = *head;
	p->head.p = p->bytes;
	p->whole_head = whole_head;
	return EDGE_MORE;
}

/* --- a message, whole or not --- */

/* Does more of a framed transport's message come? */
static bool is_open(const struct feed *feed)
{
	return feed->framer->framed && !feed->end;
}

static bool is_too_large(const struct feed *feed)
{
	const struct edge_partial *p = feed->framer->partial;

	return feed->framer->framed
	    && (p ? p->len : 0) + feed->bytes->len > feed->bounds->max_message_size;
}

/* @return why its length does not tell where it ends; NULL */
static const char *judge_length(const struct feed *feed, const struct edge_head *head, size_t there)
{
	if (head->unframed)
		return head->why;
	if (!edge_head_has(head, EDGE_CONTENT_LENGTH))
		return feed->framer->framed ? NULL : "no Content-Length";
	return feed->framer->framed && head->len + (size_t)head->content_length > there
	    ? "Content-Length beyond the end of the message"
	    : NULL;
}

/*
 * How long is a message whose head is whole?
 * @param there  bytes of it; framed: that is all
 * @return false: nobody knows
 */
static bool find_len(const struct feed *feed, struct edge_head *head, size_t there, size_t *lenp)
{
	const char *why = judge_length(feed, head, there);

	if (why)
		set_fault(head, 400, why);
	*lenp = there;
	if (!why && edge_head_has(head, EDGE_CONTENT_LENGTH))
		*lenp = head->len + (size_t)head->content_length;
	return !why || feed->framer->framed;
}

static enum edge_framed take_whole(struct feed *feed, struct edge_head *head)
{
	size_t there = feed->bytes->len, len;

	if (!find_len(feed, head, there, &len))
		return broken(feed, head, 400, NULL);
	if (there < len)
		return keep(feed, head, true);
	consume(feed, feed->framer->framed ? there : len);
	return give(feed, head, len, false);
}

static enum edge_framed begin(struct feed *feed)
{
	struct edge_head head = {0};
	int err = edge_head_scan(&head, *feed->bytes, feed->bounds);

	if (err == -EMSGSIZE || is_too_large(feed))
		return broken(feed, &head, 513, "message too large");
	if (err == -EBADMSG)
		return no_message(feed, &head, NULL);
	if (is_open(feed) || (err == -EAGAIN && !feed->framer->framed))
		return keep(feed, &head, err == 0);
	if (err == -EAGAIN)
		return no_message(feed, &head, "a head without an end");
	return take_whole(feed, &head);
}

/* --- a message in pieces --- */

static int scan_kept(struct edge_partial *p, const struct edge_bounds *bounds)
{
	int err =
	    p->whole_head ? 0 : edge_head_scan(&p->head, (struct slice){p->bytes, p->len}, bounds);

	p->whole_head = err == 0;
	return err;
}

/* @return 0: the head is whole; -EAGAIN; -EBADMSG; -EMSGSIZE; -ENOMEM */
static int go_on_with_head(struct feed *feed)
{
	size_t step = feed->framer->framed ? feed->bytes->len : STEP;
	int err = feed->framer->partial->whole_head ? 0 : -EAGAIN;

	while ((err == -EAGAIN || feed->framer->framed) && feed->bytes->len) {
		if (!append(feed, step))
			return -ENOMEM;
		err = scan_kept(feed->framer->partial, feed->bounds);
	}
	return err;
}

static enum edge_framed go_on_with_body(struct feed *feed)
{
	struct edge_partial *p = feed->framer->partial;
	size_t len;

	if (!find_len(feed, &p->head, p->len, &len))
		return broken(feed, &p->head, 400, NULL);
	if (p->len > len && !feed->framer->framed)
		give_back(feed, p->len - len);
	else if (p->len < len && !append(feed, len - p->len))
		return out_of_memory(feed, &p->head);
	p = feed->framer->partial;
	if (p->len < len)
		return EDGE_MORE;
	p->given = true;
	return give(feed, &p->head, len, true);
}

static enum edge_framed go_on(struct feed *feed)
{
	struct edge_head *head = &feed->framer->partial->head;
	int err;

	if (is_too_large(feed))
		return broken(feed, head, 513, "message too large");
	err = go_on_with_head(feed);
	head = &feed->framer->partial->head;
	if (err == -ENOMEM || err == -EMSGSIZE)
		return out_of_memory(feed, head);
	if (err == -EBADMSG)
		return no_message(feed, head, NULL);
	if (is_open(feed) || (err == -EAGAIN && !feed->framer->framed))
		return EDGE_MORE;
	if (err == -EAGAIN)
		return no_message(feed, head, "a head without an end");
	return go_on_with_body(feed);
}

/* --- between messages --- */

/* @return EDGE_PING: CRLF CRLF was there; EDGE_MESSAGE: one begins; or as edge_framer_next() */
static enum edge_framed skip_crlf(struct feed *feed)
{
	struct edge_framer *f = feed->framer;
	bool ping = false;

	for (; feed->bytes->len && feed->bytes->p[0] == "\r\n"[f->crlf % 2]; consume(feed, 1)) {
		f->crlf = (uint8_t)((f->crlf + 1) % 4);
		ping = ping || f->crlf == 0;
	}
	if (ping)
		return EDGE_PING;
	if (feed->bytes->len == 0 && !(feed->end && f->crlf % 2))
		return EDGE_MORE;
	if (f->crlf % 2)
		return no_message(feed, &(struct edge_head){0}, "CR without LF");
	f->crlf = 0;
	return EDGE_MESSAGE;
}

static enum edge_framed take_next(struct feed *feed)
{
	enum edge_framed what;

	if (feed->framer->partial)
		return go_on(feed);
	what = skip_crlf(feed);
	return what == EDGE_MESSAGE ? begin(feed) : what;
}

enum edge_framed edge_framer_next(struct edge_framer *framer, struct slice *bytes, bool end,
    const struct edge_bounds *bounds, struct edge_message *message)
{
	struct feed feed = {framer, bytes, framer->framed && end, bounds, message};

	if (framer->broken) {
		consume(&feed, bytes->len);
		return EDGE_MORE;
	}
	if (framer->partial && framer->partial->given)
		drop_partial(framer);
	if (framer->skips) {
		framer->skips = !feed.end;
		consume(&feed, bytes->len);
		return EDGE_MORE;
	}
	return take_next(&feed);
}

void edge_framer_give_up(struct edge_framer *framer, unsigned status, const char *why,
    struct edge_message *message)
{
	struct slice none = {0};
	struct feed feed = {.framer = framer, .bytes = &none, .message = message};
	bool begun = framer->partial && !framer->partial->given;

	broken(&feed, begun ? &framer->partial->head : &(struct edge_head){0}, status, why);
}
