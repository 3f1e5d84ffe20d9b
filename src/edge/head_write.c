#include "edge/head.h"

#include <errno.h>

#include "base/chars.h"

/* What takes the place of drop bytes at a place of the head: texts one behind the other. */
struct patch {
	size_t at, drop;
	struct slice text[3];
};

enum {
	PATCHES_MAX = 16,
	CODE_AT = 8, /* behind "SIP/2.0 " */
	CODE_LEN = 3,
};

/* Patches in the order of their places. */
struct patches {
	const struct edge_head *head;
	struct patch all[PATCHES_MAX];
	size_t count;
	int err;
};

static const struct slice absent;

/* Those of one place stay in the order in which they were made. */
static void patch(struct patches *p, size_t at, size_t drop, struct slice before, struct slice text,
    struct slice after)
{
	size_t i = p->count;

	if (i == PATCHES_MAX) {
		p->err = -EMSGSIZE;
		return;
	}
	p->count++;
	for (; i > 0 && p->all[i - 1].at > at; i--)
		p->all[i] = p->all[i - 1];
	p->all[i] = (struct patch){at, drop, {before, text, after}};
}

static size_t place_of(const struct patches *p, const char *byte)
{
	return (size_t)(byte - p->head->p);
}

static void insert_line(struct patches *p, size_t at, struct slice name, struct slice value)
{
	patch(p, at, 0, name, value, SLICE("\r\n"));
}

static void drop(struct patches *p, struct slice s)
{
	patch(p, place_of(p, s.p), s.len, absent, absent, absent);
}

static void replace(struct patches *p, struct slice old, struct slice text)
{
	if (text.p)
		patch(p, place_of(p, old.p), old.len, absent, text, absent);
}

/* --- places --- */

/* In front of the blank line. */
static size_t end_of(const struct edge_head *h)
{
	return h->len - 2;
}

static size_t before(const struct edge_head *h, enum edge_field field)
{
	return edge_head_has(h, field) ? h->first[field].at : h->start;
}

static size_t behind(const struct edge_head *h, enum edge_field field)
{
	return edge_head_has(h, field) ? h->last[field].at + h->last[field].len : end_of(h);
}

/* --- changes --- */

/* Values of one line, with their commas, or all of it.  @return so many are still to go */
static unsigned drop_of_line(struct patches *p, struct slice line, unsigned count)
{
	struct slice rest = edge_line_value(line), first = absent, value;

	while (count > 0 && edge_list_cut(&rest, &value)) {
		first = first.p ? first : value;
		count--;
	}
	if (edge_list_cut(&rest, &value))
		drop(p, (struct slice){first.p, (size_t)(value.p - first.p)});
	else
		drop(p, line);
	return count;
}

/* The first values of a list. */
static void drop_top(struct patches *p, enum edge_field field, unsigned count)
{
	struct edge_line line;
	size_t at = 0;

	while (count > 0 && edge_head_next_line(p->head, &at, &line))
		if (line.field == field)
			count = drop_of_line(p, line.text, count);
}

static void replace_branch(struct patches *p, const struct edge_via *via, struct slice branch)
{
	size_t end = place_of(p, via->value.p + via->value.len);

	if (!branch.p)
		return;
	if (via->branch.p)
		replace(p, via->branch, branch);
	else
		patch(p, end, 0, SLICE(";branch="), branch, absent);
}

/* What the client may have written itself goes. */
static void drop_received(struct patches *p, const struct edge_via *via)
{
	struct slice rest = via->params;
	struct edge_param param;

	while (edge_param_cut(&rest, &param) > 0)
		if (slice_equal_nocase(param.name, SLICE("received"))
		    || slice_equal_nocase(param.name, SLICE("rport")))
			drop(p, param.whole);
}

static void set_received(struct patches *p, const struct edge_via *via, const struct edge_change *c,
    struct buffer *rport)
{
	size_t end = place_of(p, via->value.p + via->value.len);

	if (!c->via_received.p)
		return;
	drop_received(p, via);
	if (via->wants_rport) {
		buffer_add(rport, SLICE(";rport="));
		buffer_add_number(rport, c->via_rport);
	}
	patch(p, end, 0, SLICE(";received="), c->via_received, buffer_text(rport));
}

static void change_via(struct patches *p, const struct edge_change *c, struct buffer *rport)
{
	struct edge_via via;

	if (c->push_via.p)
		insert_line(p, before(p->head, EDGE_VIA), SLICE("Via: "), c->push_via);
	if (edge_head_via(p->head, &via) < 0)
		return;
	if (c->drop_via) {
		drop_top(p, EDGE_VIA, 1);
		return;
	}
	replace(p, via.transport, c->via_transport);
	replace(p, via.sent_by, c->via_sent_by);
	replace_branch(p, &via, c->via_branch);
	if (c->via_alias)
		patch(p, place_of(p, via.value.p + via.value.len), 0, SLICE(";alias"), absent,
		    absent);
	set_received(p, &via, c, rport);
}

static void change_record_route(struct patches *p, const struct edge_change *c)
{
	const struct slice name = SLICE("Record-Route: ");
	bool there = edge_head_has(p->head, EDGE_RECORD_ROUTE);

	if (c->push_record_route.p)
		insert_line(p, there ? before(p->head, EDGE_RECORD_ROUTE) : end_of(p->head), name,
		    c->push_record_route);
	if (c->drop_record_route)
		drop_top(p, EDGE_RECORD_ROUTE, 1);
	if (c->append_record_route.p)
		insert_line(p, behind(p->head, EDGE_RECORD_ROUTE), name, c->append_record_route);
}

static void change_route(struct patches *p, const struct edge_change *c)
{
	if (c->push_route.p)
		insert_line(p, before(p->head, EDGE_ROUTE), SLICE("Route: "), c->push_route);
	drop_top(p, EDGE_ROUTE, c->drop_routes);
}

/* --- writing --- */

static void write_patched(struct buffer *w, const struct patches *p)
{
	struct slice text = edge_head_text(p->head);
	size_t at = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct patch *next = &p->all[i];

		if (next->at < at) {
			w->err = -EINVAL;
			return;
		}
		buffer_add(w, slice_head(slice_from(text, at), next->at - at));
		for (size_t k = 0; k < 3; k++)
			buffer_add(w, next->text[k]);
		at = next->at + next->drop;
	}
	buffer_add(w, slice_from(text, at));
}

void edge_unfold(char *p, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++)
		if (p[i] == '\r' && p[i + 1] == '\n' && (p[i + 2] == ' ' || p[i + 2] == '\t'))
			p[i] = p[i + 1] = ' ';
}

void edge_head_write(struct buffer *w, const struct edge_head *head,
    const struct edge_change *change)
{
	struct patches patches = {.head = head};
	char rport_text[16], length_text[24];
	struct buffer rport = BUFFER_ON(rport_text), length = BUFFER_ON(length_text);
	size_t start = w->len;

	if (change->code.p)
		patch(&patches, CODE_AT, CODE_LEN, absent, change->code, absent);
	change_via(&patches, change, &rport);
	change_record_route(&patches, change);
	change_route(&patches, change);
	if (change->max_forwards.p && edge_head_has(head, EDGE_MAX_FORWARDS))
		replace(&patches, edge_head_value(head, EDGE_MAX_FORWARDS), change->max_forwards);
	if (change->add_max_forwards && head->request && !edge_head_has(head, EDGE_MAX_FORWARDS))
		insert_line(&patches, end_of(head), SLICE("Max-Forwards: "), SLICE("70"));
	if (change->add_content_length && !edge_head_has(head, EDGE_CONTENT_LENGTH)) {
		buffer_add_number(&length, change->content_length);
		insert_line(&patches, end_of(head), SLICE("Content-Length: "),
		    buffer_text(&length));
	}
	write_patched(w, &patches);
	if (patches.err && !w->err)
		w->err = patches.err;
	if (head->folded && !w->err)
		edge_unfold(w->p + start, w->len - start);
}
