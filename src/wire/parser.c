#include "wire/parser.h"

#include <errno.h>
#include <stdlib.h>

#include "base/chars.h"
#include "wire/frame_priv.h"

/* One call of msrp_parser_feed(). */
struct feed {
	struct msrp_parser *parser;
	struct slice rest;
	const struct msrp_parser_handler *handler;
	void *arg;
	struct msrp_parser_past *past; /* its frame is the one in hand */
};

void msrp_parser_init(struct msrp_parser *parser, size_t max_head)
{
	*parser = (struct msrp_parser){0};
	msrp_parser_set_max_head(parser, max_head);
}

static void drop_buffer(struct msrp_parser *p)
{
	free(p->buf);
	p->buf = NULL;
	p->len = p->cap = p->line = 0;
}

void msrp_parser_fini(struct msrp_parser *parser)
{
	drop_buffer(parser);
}

void msrp_parser_set_max_head(struct msrp_parser *parser, size_t max_head)
{
	enum { SANE = 1 << 30 };

	parser->max_head = max_head < SANE ? (uint32_t)max_head : SANE;
}

bool msrp_parser_idle(const struct msrp_parser *parser)
{
	return parser->state == MSRP_PARSER_HEAD && parser->len == 0 && parser->matched == 0;
}

struct slice msrp_parser_kept(const struct msrp_parser *parser)
{
	if (parser->state != MSRP_PARSER_HEAD)
		return (struct slice){NULL, 0};
	return (struct slice){parser->buf, parser->len};
}

static void consume(struct feed *feed, size_t n)
{
	feed->rest = slice_from(feed->rest, n);
}

/* --- end-lines --- */

/* CRLF, hyphens, transaction id, flag, CRLF. */
static size_t end_line_len(const struct msrp_parser *p)
{
	return 2 + 7 + p->tid_len + 1u + 2;
}

/* The byte of the end-line at a place that is not its flag's. */
static char end_line_char(const struct msrp_parser *p, size_t at)
{
	static const char start[] = "\r\n-------";

	if (at < sizeof(start) - 1)
		return start[at];
	at -= sizeof(start) - 1;
	if (at < p->tid_len)
		return p->tid[at];
	return at == p->tid_len + 1u ? '\r' : '\n';
}

static bool is_flag(char c)
{
	return c == '$' || c == '+' || c == '#';
}

/* How many bytes of s agree with the end-line from its byte at on.  Notes the flag. */
static size_t match(struct msrp_parser *p, size_t at, struct slice s)
{
	size_t flag_at = 2 + 7 + p->tid_len, len = end_line_len(p), n = 0;

	for (; n < s.len && at < len; n++, at++) {
		if (at == flag_at)
			p->flag = s.p[n];
		if (at == flag_at ? !is_flag(s.p[n]) : s.p[n] != end_line_char(p, at))
			break;
	}
	return n;
}

/* Do the seven hyphens of s at place at stand in a whole end-line? */
static bool is_end_line(const struct msrp_parser *p, struct slice s, size_t at)
{
	size_t flag_at = at + 7 + p->tid_len;

	return at >= 2 && s.len > flag_at + 2 && memcmp(s.p + at - 2, "\r\n", 2) == 0
	    && memcmp(s.p + at + 7, p->tid, p->tid_len) == 0 && is_flag(s.p[flag_at])
	    && memcmp(s.p + flag_at + 1, "\r\n", 2) == 0;
}

enum { HYPHENS = 7 };

/*
 * Of seven hyphens in a row four lie in one of the words at places at, at + 4, …  The first word
 * from at on that has four, or s.len: one comparison a word, whatever the body.
 */
static size_t find_hyphens(struct slice s, size_t at)
{
	enum { WORD = 4, STEP = sizeof(chars_bytes), BLOCK = 8 * STEP };

	for (; s.len - at >= BLOCK; at += BLOCK) {
		chars_bytes hits = {0};

		for (size_t i = 0; i < BLOCK; i += STEP)
			hits |= chars_words_equal(s.p + at + i, '-');
		if (chars_first_hit(hits) < STEP)
			break;
	}
	for (; s.len - at >= WORD; at += WORD)
		if (memcmp(s.p + at, "----", WORD) == 0)
			return at;
	return s.len;
}

/* @param firstp  where other seven hyphens are first, before that; s.len if nowhere */
static bool find_whole(struct msrp_parser *p, struct slice s, size_t *posp, size_t *firstp)
{
	size_t start, end;

	*firstp = s.len;
	for (size_t at = 2; at < s.len && (at = find_hyphens(s, at)) < s.len; at = end) {
		for (start = at; start > 0 && s.p[start - 1] == '-'; start--)
			;
		for (end = at + 1; end < s.len && s.p[end] == '-'; end++)
			;
		/* A transaction id does not begin with a hyphen. */
		if (end - start != HYPHENS || !is_end_line(p, s, start)) {
			if (end - start >= HYPHENS && *firstp == s.len)
				*firstp = start;
			continue;
		}
		*posp = start - 2;
		p->flag = s.p[start + HYPHENS + p->tid_len];
		return true;
	}
	return false;
}

/* Where the bytes at the end of s begin that may become an end-line; s.len if there are none. */
static size_t find_partial(struct msrp_parser *p, struct slice s)
{
	size_t most = end_line_len(p) - 1;
	size_t at = s.len > most ? s.len - most : 0;

	for (; at < s.len; at++) {
		const char *cr = memchr(s.p + at, '\r', s.len - at);

		if (!cr)
			return s.len;
		at = (size_t)(cr - s.p);
		if (match(p, 0, slice_from(s, at)) == s.len - at)
			return at;
	}
	return s.len;
}

/* --- bodies --- */

static int give_body(struct feed *feed, struct slice piece)
{
	struct msrp_parser *p = feed->parser;

	if (piece.len == 0)
		return 0;
	if (p->limited) {
		if (piece.len > p->body_left)
			return -EMSGSIZE;
		p->body_left = (uint16_t)(p->body_left - piece.len);
	}
	return feed->handler->body(piece, feed->arg);
}

/* What looked like an end-line was body after all. */
static int give_matched(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	size_t flag_at = 2 + 7 + p->tid_len;
	char held[MSRP_END_LINE_MAX];
	struct slice piece = {held, 0};

	for (size_t at = p->skip; at < p->matched; at++)
		held[piece.len++] = at == flag_at ? p->flag : end_line_char(p, at);
	p->hyphens = p->hyphens || p->matched >= 2 + HYPHENS;
	p->matched = p->skip = 0;
	return give_body(feed, piece);
}

/*
 * Go on where the bytes fed before ended within an end-line.  When it fails, none of them can be
 * the beginning of another one: only its last CR might, and an LF behind that one completes it.
 */
static int go_on_matching(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	size_t n = match(p, p->matched, feed->rest);

	p->matched = (uint8_t)(p->matched + n);
	consume(feed, n);
	if (p->matched == end_line_len(p)) {
		p->matched = p->skip = 0;
		p->state = MSRP_PARSER_HEAD;
		return feed->handler->end((enum msrp_flag)p->flag, feed->arg);
	}
	return feed->rest.len ? give_matched(feed) : 0;
}

/* All of the end-line but its LF has been consumed, and that is there. */
static int take_last_lf(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;

	consume(feed, 1);
	p->matched = p->skip = 0;
	p->state = MSRP_PARSER_HEAD;
	return feed->handler->end((enum msrp_flag)p->flag, feed->arg);
}

static int take_body(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	struct slice piece = feed->rest;
	bool whole;
	size_t hyphens;
	int err;

	if (p->matched)
		return go_on_matching(feed);
	whole = find_whole(p, feed->rest, &piece.len, &hyphens);
	/* The last LF of an end-line is left: whoever wants no more yet is told the end later. */
	if (whole)
		p->matched = (uint8_t)(end_line_len(p) - 1);
	else {
		piece.len = find_partial(p, feed->rest);
		p->matched = (uint8_t)(feed->rest.len - piece.len);
	}
	p->hyphens = p->hyphens || hyphens < piece.len;
	consume(feed, piece.len + p->matched);
	err = give_body(feed, piece);
	return err == 0 && whole ? take_last_lf(feed) : err;
}

/* --- heads --- */

static void keep_tid(struct msrp_parser *p, struct slice tid)
{
	p->tid_len = (uint8_t)tid.len;
	if (tid.len)
		memcpy(p->tid, tid.p, tid.len);
}

/* A head is whole and consumed; behind is the end-line if it has no body, and its LF is left. */
static int begin_frame(struct feed *feed, const struct msrp_frame *f, const char *behind)
{
	struct msrp_parser *p = feed->parser;
	int err;

	keep_tid(p, f->tid);
	p->state = MSRP_PARSER_BODY;
	p->hyphens = false;
	p->limited = f->method != MSRP_SEND;
	p->body_left = MSRP_OTHER_BODY_MAX;
	if (f->has_body) {
		/* An end-line right behind the blank line ends an empty body. */
		p->matched = p->skip = feed->rest.len && feed->rest.p[0] != '-' ? 0 : 2;
		return feed->handler->head(f, feed->arg);
	}
	p->matched = (uint8_t)(end_line_len(p) - 1);
	p->flag = behind[7 + p->tid_len];
	err = feed->handler->head(f, feed->arg);
	return err ? err : take_last_lf(feed);
}

/* Bytes of the frame up to where its body, or the last LF of its end-line, begins. */
static size_t frame_start_len(const struct msrp_frame *f, size_t head_len)
{
	return f->has_body ? head_len : head_len + 7 + f->tid.len + 2;
}

static int broken(struct feed *feed, struct msrp_frame *f, struct slice bytes, int err)
{
	f->head = bytes;
	feed->parser->state = MSRP_PARSER_BROKEN;
	feed->handler->broken(f, err, feed->arg);
	return err;
}

static int grow(struct msrp_parser *p, size_t len)
{
	size_t cap = p->cap ? p->cap : 512;
	char *buf;

	if (len <= p->cap)
		return 0;
	while (cap < len)
		cap *= 2;
	buf = realloc(p->buf, cap);
	if (!buf)
		return -ENOMEM;
	p->buf = buf;
	p->cap = (uint32_t)cap;
	return 0;
}

/* Keep the next line, or as much of it as is there and is worth judging. */
static int keep_line(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	size_t limit = p->max_head + (size_t)MSRP_END_LINE_MAX;
	size_t room = limit > p->len ? limit - p->len : 0;
	struct slice part = slice_head(feed->rest, room);
	const char *lf = part.len ? memchr(part.p, '\n', part.len) : NULL;

	if (lf)
		part.len = (size_t)(lf - part.p) + 1;
	if (grow(p, p->len + part.len) < 0)
		return -ENOMEM;
	if (part.len)
		memcpy(p->buf + p->len, part.p, part.len);
	p->len += (uint32_t)part.len;
	consume(feed, part.len);
	return 0;
}

/* Does what buf holds want a verdict: is the head whole, too long, or none at all? */
static bool wants_verdict(struct msrp_parser *p)
{
	struct slice line = {p->buf + p->line, p->len - p->line};
	bool first = p->line == 0;

	if (p->len >= p->max_head + (size_t)MSRP_END_LINE_MAX)
		return true;
	if (line.p[line.len - 1] != '\n')
		return first && !msrp_may_be_start_line(line);
	p->line = p->len;
	if (first) {
		keep_tid(p, msrp_start_line_tid(line));
		return p->tid_len == 0;
	}
	return msrp_line_kind(line, (struct slice){p->tid, p->tid_len}) != MSRP_LINE_HEADER;
}

static int take_kept_head(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	struct slice bytes = {p->buf, p->len};
	struct msrp_frame *f = feed->past->frame;
	ssize_t n = msrp_frame_parse(f, bytes, p->max_head);

	if (n < 0)
		return broken(feed, f, bytes, (int)n);
	/* One byte less: the LF of the end-line, which this feed has brought, is fed again. */
	if (!f->has_body)
		feed->rest = (struct slice){feed->rest.p - 1, feed->rest.len + 1};
	p->len = p->line = 0;
	return begin_frame(feed, f, p->buf + n);
}

/* A head that comes in pieces: line by line, so that nothing is looked at twice. */
static int take_pieces(struct feed *feed)
{
	do {
		if (keep_line(feed) < 0)
			return -ENOMEM;
		if (wants_verdict(feed->parser))
			return take_kept_head(feed);
	} while (feed->rest.len);
	return 0;
}

/* @return 1 when an empty line, or a piece of one, was there, else 0; -EBADMSG for a lone CR */
static int skip_empty_line(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;

	if (feed->rest.p[0] == (p->matched ? '\n' : '\r')) {
		p->matched = !p->matched;
		consume(feed, 1);
		return 1;
	}
	if (p->matched) {
		struct msrp_frame nothing = {.fault = "CR without LF between frames"};

		return broken(feed, &nothing, feed->rest, -EBADMSG);
	}
	return 0;
}

/* The frame in hand is the one before those that follow. */
static void remember(struct msrp_parser_past *past)
{
	struct msrp_frame **slot =
	    msrp_frame_is_request(past->frame) ? &past->before.request : &past->before.response;
	struct msrp_frame *older = *slot;

	*slot = past->frame;
	past->frame = older ? older : &past->frames[++past->used];
}

static int take_head(struct feed *feed)
{
	struct msrp_parser *p = feed->parser;
	struct slice bytes = feed->rest;
	struct msrp_frame *f = feed->past->frame;
	ssize_t n;
	int skipped;

	if (p->len)
		return take_pieces(feed);
	skipped = skip_empty_line(feed);
	if (skipped)
		return skipped < 0 ? skipped : 0;
	n = msrp_frame_parse_next(f, bytes, p->max_head, &feed->past->before);
	if (n == -EAGAIN)
		return take_pieces(feed);
	if (n < 0)
		return broken(feed, f, bytes, (int)n);
	consume(feed, frame_start_len(f, (size_t)n));
	remember(feed->past);
	return begin_frame(feed, f, bytes.p + n);
}

ssize_t msrp_parser_feed_on(struct msrp_parser *parser, struct msrp_parser_past *past,
    struct slice data, const struct msrp_parser_handler *handler, void *arg)
{
	struct feed feed = {parser, data, handler, arg, past};
	int err = 0;

	/* Its frames need no clearing. */
	if (!past->frame) {
		past->used = 0;
		past->frame = &past->frames[0];
		past->before = (struct msrp_frame_pair){NULL, NULL};
	}
	if (parser->state == MSRP_PARSER_BROKEN)
		return -EBADMSG;
	if (parser->len == 0)
		drop_buffer(parser);
	while (feed.rest.len && err == 0)
		err = parser->state == MSRP_PARSER_HEAD ? take_head(&feed) : take_body(&feed);
	/* The frame in hand lies on this stack. */
	if ((!err || err == -EAGAIN) && parser->state == MSRP_PARSER_BODY && handler->cut) {
		int failed = handler->cut(arg);

		err = failed ? failed : err;
	}
	if (err && err != -EAGAIN) {
		parser->state = MSRP_PARSER_BROKEN;
		return err;
	}
	return (ssize_t)(data.len - feed.rest.len);
}

ssize_t msrp_parser_feed(struct msrp_parser *parser, struct slice data,
    const struct msrp_parser_handler *handler, void *arg)
{
	struct msrp_parser_past none;

	none.frame = NULL;
	return msrp_parser_feed_on(parser, &none, data, handler, arg);
}
