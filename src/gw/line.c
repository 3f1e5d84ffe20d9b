/* MSRP to MESSAGE: one at a time to each Request-URI, in order (RFC 3428 section 8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gw/priv.h"

/* A message on its way out. */
struct gw_page {
	TAILQ_ENTRY(gw_page) next;   /* of its line */
	LIST_ENTRY(gw_page) sibling; /* of its binding */
	struct gw_line *line;
	struct gw_binding *binding;  /* NULL: the session is gone */
	struct page_message message; /* all texts stand behind the struct */
	struct slice message_id;
	struct gw_wish wish;
	bool composing;
};

/* Those for one Request-URI; the first is under way. */
struct gw_line {
	UT_hash_handle hh;
	struct gw *gw;
	TAILQ_HEAD(, gw_page) pages;
	size_t count, bytes;
	char ruri[];
};

/* --- lines --- */

static struct gw_line *line_get(struct gw *gw, struct slice ruri)
{
	struct gw_line *line;

	HASH_FIND(hh, gw->lines, ruri.p, ruri.len, line);
	if (line)
		return line;
	line = calloc(1, sizeof(*line) + ruri.len + 1);
	if (!line)
		return NULL;
	line->gw = gw;
	TAILQ_INIT(&line->pages);
	memcpy(line->ruri, ruri.p, ruri.len);
	HASH_ADD_KEYPTR(hh, gw->lines, line->ruri, ruri.len, line);
	if (!line->hh.tbl) {
		free(line);
		return NULL;
	}
	return line;
}

static void line_put(struct gw_line *line)
{
	if (!TAILQ_EMPTY(&line->pages))
		return;
	HASH_DEL(line->gw->lines, line);
	free(line);
}

/* --- pages --- */

static struct slice keep(char **p, struct slice text)
{
	struct slice kept = {text.p ? *p : NULL, text.len};

	if (text.len)
		memcpy(*p, text.p, text.len);
	*p += text.len;
	return kept;
}

static struct gw_page *page_new(const struct gw_binding *b, const struct message *m,
    const struct gw_content *c, const struct gw_wish *wish)
{
	const struct gw_names *names = b->names;
	struct slice headers = slice_of(c->headers);
	struct slice lines = {NULL, headers.len + names->headers.len};
	size_t room = names->from.len + names->to.len + names->ruri.len + c->type.len + c->body.len
	    + lines.len + m->message_id.len + wish->message_id.len + wish->datetime.len
	    + wish->from.len + wish->to.len;
	struct gw_page *page = calloc(1, sizeof(*page) + room + 1);
	char *p = (char *)(page + 1);

	if (!page)
		return NULL;
	page->message = (struct page_message){
	    .ruri = keep(&p, names->ruri),
	    .from_uri = keep(&p, names->from),
	    .to_uri = keep(&p, names->to),
	    .content_type = keep(&p, c->type),
	    .body = keep(&p, c->body),
	    .large = (enum page_large)b->gw->settings->large_messages,
	};
	lines.p = p;
	keep(&p, headers);
	keep(&p, names->headers);
	if (lines.len)
		page->message.headers = lines;
	page->message_id = keep(&p, m->message_id);
	page->wish.wants = wish->wants;
	page->wish.message_id = keep(&p, wish->message_id);
	page->wish.datetime = keep(&p, wish->datetime);
	page->wish.from = keep(&p, wish->from);
	page->wish.to = keep(&p, wish->to);
	return page;
}

static void page_enter(struct gw_page *page, struct gw_line *line, struct gw_binding *b)
{
	page->line = line;
	TAILQ_INSERT_TAIL(&line->pages, page, next);
	line->count++;
	line->bytes += page->message.body.len;
	page->binding = b;
	LIST_INSERT_HEAD(&b->pages, page, sibling);
	b->page_count++;
}

static void page_leave(struct gw_page *page)
{
	struct gw_line *line = page->line;

	TAILQ_REMOVE(&line->pages, page, next);
	line->count--;
	line->bytes -= page->message.body.len;
	if (page->binding) {
		LIST_REMOVE(page, sibling);
		page->binding->page_count--;
	}
}

void gw_page_orphan_all(struct gw_binding *b)
{
	struct gw_page *page;

	while ((page = LIST_FIRST(&b->pages))) {
		LIST_REMOVE(page, sibling);
		page->binding = NULL;
	}
	b->page_count = 0;
}

void gw_line_free_all(struct gw *gw)
{
	struct gw_line *line, *next;
	struct gw_page *page;

	HASH_ITER(hh, gw->lines, line, next)
	{
		while ((page = TAILQ_FIRST(&line->pages))) {
			page_leave(page);
			free(page);
		}
		line_put(line);
	}
}

/* --- what became of it --- */

static void notify_sender(struct ua_session *s, const struct gw_wish *wish, bool delivered)
{
	struct gw_content content;
	struct message_out out;

	if (gw_content_imdn(&content, wish, delivered) < 0)
		return;
	out = (struct message_out){
	    .content_type = content.type,
	    .body = {.bytes = content.body},
	    .failure_report = FAILURE_REPORT_NO,
	};
	ua_send(s, &out, 0, NULL);
	gw_content_fini(&content);
}

/* The MSRP sender hears of it as he wished: by REPORT, by IMDN. */
static void tell(const struct gw_page *page, int status, struct slice phrase)
{
	const struct gw_binding *b = page->binding;
	struct ua_session *s = b ? b->session : NULL;
	struct gw_counters *count = &page->line->gw->count;

	++*(status == 200 ? count->to_sip : count->to_sip_failed);
	if (!s)
		return;
	ua_send_report(s, page->message_id, status, phrase);
	if (page->wish.wants)
		notify_sender(s, &page->wish, status == 200);
}

static int status_of_error(int err)
{
	switch (err) {
	case -EMSGSIZE:
		return 413;
	case -EINVAL:
	case -EDESTADDRREQ:
		return 400;
	default:
		return 408; /* not now, perhaps another time */
	}
}

static void on_done(const struct page_result *result, void *arg);

/* The first of the line leaves.  @return 0 or negative errno */
static int send_first(struct gw_line *line)
{
	struct gw_page *page = TAILQ_FIRST(&line->pages);

	return page_send(line->gw->env.page, &page->message, on_done, page);
}

static void go_on(struct gw_line *line)
{
	struct gw_page *page;

	while ((page = TAILQ_FIRST(&line->pages))) {
		int err = send_first(line);

		if (err == 0)
			return;
		tell(page, status_of_error(err), SLICE("Not sent"));
		page_leave(page);
		free(page);
	}
	line_put(line);
}

static void on_done(const struct page_result *result, void *arg)
{
	struct gw_page *page = arg;
	struct gw_line *line = page->line;
	char phrase[GW_PHRASE_SIZE];

	tell(page, gw_msrp_status(result), gw_report_phrase(phrase, result));
	page_leave(page);
	free(page);
	go_on(line);
}

/* --- from the session --- */

static bool is_full(const struct gw_line *line, size_t bytes)
{
	const struct gw_settings *settings = line->gw->settings;

	/* One is under way, the others wait. */
	return line->count > settings->max_queued
	    || (line->count > 0
		&& (line->bytes > settings->max_queued_bytes
		    || bytes > settings->max_queued_bytes - line->bytes));
}

static int add(struct gw_binding *b, const struct message *m, const struct gw_content *c,
    const struct gw_wish *wish)
{
	struct gw_line *line = line_get(b->gw, b->names->ruri);
	struct gw_page *page;
	int err;

	if (!line)
		return 408;
	if (is_full(line, c->body.len)) {
		++*b->gw->count.refused_full;
		return 413;
	}
	page = page_new(b, m, c, wish);
	if (!page) {
		line_put(line);
		return 408;
	}
	page_enter(page, line, b);
	if (line->count > 1)
		return UA_REPORT_LATER;
	err = send_first(line);
	if (err == 0)
		return UA_REPORT_LATER;
	++*b->gw->count.to_sip_failed;
	page_leave(page);
	free(page);
	line_put(line);
	return status_of_error(err);
}

static int take(struct gw_binding *b, const struct message *m)
{
	struct gw_content content;
	struct gw_wish wish;
	int err = gw_content_for_page(&content, &wish, b, m);

	if (err < 0)
		return err == -EBADMSG ? 400 : 408;
	err = add(b, m, &content, &wish);
	gw_content_fini(&content);
	return err;
}

int gw_page_take(struct gw_binding *b, const struct message *m)
{
	if (!m->content_type.p)
		return 0; /* bodiless: it says nothing */
	if (gw_is_composing(m->content_type, m->body)) {
		if (b->gw->settings->iscomposing == GW_ISCOMPOSING_FORWARD)
			return take(b, m);
		++*b->gw->count.iscomposing_dropped;
		return 0;
	}
	b->last_any_ms = timer_now_ms();
	return take(b, m);
}
