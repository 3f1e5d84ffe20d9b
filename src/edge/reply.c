#include "edge/reply.h"

static struct slice usual_phrase(unsigned code)
{
	static const struct {
		unsigned code;
		const char *phrase;
	} phrases[] = {
	    {200, "OK"},
	    {400, "Bad Request"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {408, "Request Timeout"},
	    {413, "Request Entity Too Large"},
	    {416, "Unsupported URI Scheme"},
	    {430, "Flow Failed"},
	    {480, "Temporarily Unavailable"},
	    {481, "Call/Transaction Does Not Exist"},
	    {482, "Loop Detected"},
	    {483, "Too Many Hops"},
	    {486, "Busy Here"},
	    {487, "Request Terminated"},
	    {500, "Server Internal Error"},
	    {501, "Not Implemented"},
	    {503, "Service Unavailable"},
	    {504, "Server Time-out"},
	    {505, "Version Not Supported"},
	    {513, "Message Too Large"},
	    {603, "Decline"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].code == code)
			return slice_of(phrases[i].phrase);
	return SLICE("Failed");
}

bool edge_reply_possible(const struct edge_head *request)
{
	return request->request && !slice_equal(edge_head_method(request), SLICE("ACK"))
	    && edge_head_value(request, EDGE_VIA).len && edge_head_value(request, EDGE_CSEQ).len;
}

/* On one line, whatever it was folded with, or came with in a faulty request. */
static void write_value(struct buffer *w, struct slice value)
{
	size_t start = w->len;

	buffer_add(w, value);
	for (size_t i = start; i < w->len; i++)
		if (w->p[i] == '\r' || w->p[i] == '\n' || w->p[i] == '\0')
			w->p[i] = ' ';
}

/* The line of a field, which a faulty request may have without a value, or not at all. */
static void write_line(struct buffer *w, const char *name, struct slice value)
{
	if (value.len == 0)
		return;
	buffer_add(w, slice_of(name));
	buffer_add(w, SLICE(": "));
	write_value(w, value);
	buffer_add(w, SLICE("\r\n"));
}

static void write_status(struct buffer *w, const struct edge_reply *reply)
{
	buffer_add(w, SLICE("SIP/2.0 "));
	buffer_add_number(w, reply->code);
	buffer_add_char(w, ' ');
	buffer_add(w, reply->phrase.p ? reply->phrase : usual_phrase(reply->code));
	buffer_add(w, SLICE("\r\n"));
}

static void write_vias(struct buffer *w, const struct edge_head *request)
{
	struct edge_line line;
	size_t at = 0;

	while (edge_head_next_line(request, &at, &line))
		if (line.field == EDGE_VIA)
			write_line(w, "Via", edge_line_value(line.text));
}

static void write_to(struct buffer *w, const struct edge_head *request, struct slice tag)
{
	struct slice to = edge_head_value(request, EDGE_TO);

	if (to.len == 0)
		return;
	buffer_add(w, SLICE("To: "));
	write_value(w, to);
	if (tag.len && !edge_head_tag(request, EDGE_TO).p) {
		buffer_add(w, SLICE(";tag="));
		buffer_add(w, tag);
	}
	buffer_add(w, SLICE("\r\n"));
}

/* 399: a warning for people. */
static void write_warning(struct buffer *w, const struct edge_reply *reply)
{
	buffer_add(w, SLICE("Warning: 399 "));
	buffer_add(w, reply->agent.len ? reply->agent : SLICE("msrpd"));
	buffer_add(w, SLICE(" \""));
	buffer_add(w, slice_of(reply->why));
	buffer_add(w, SLICE("\"\r\n"));
}

void edge_reply_write(struct buffer *w, const struct edge_head *request,
    const struct edge_reply *reply)
{
	write_status(w, reply);
	write_vias(w, request);
	write_line(w, "From", edge_head_value(request, EDGE_FROM));
	write_to(w, request, reply->to_tag);
	write_line(w, "Call-ID", edge_head_value(request, EDGE_CALL_ID));
	write_line(w, "CSeq", edge_head_value(request, EDGE_CSEQ));
	if (reply->why)
		write_warning(w, reply);
	buffer_add(w, reply->lines);
	buffer_add(w, SLICE("Content-Length: 0\r\n\r\n"));
}

void edge_after_write(struct buffer *w, const struct edge_head *invite, struct slice method,
    struct slice to)
{
	struct edge_line line;
	struct slice invites;
	uint32_t number = 0;
	size_t at = 0;

	buffer_add(w, method);
	buffer_add_char(w, ' ');
	buffer_add(w, edge_head_uri(invite));
	buffer_add(w, SLICE(" SIP/2.0\r\n"));
	write_line(w, "Via", edge_head_top(invite, EDGE_VIA));
	while (edge_head_next_line(invite, &at, &line))
		if (line.field == EDGE_ROUTE || line.field == EDGE_FROM
		    || line.field == EDGE_CALL_ID || line.field == EDGE_MAX_FORWARDS)
			buffer_add(w, line.text);
	write_line(w, "To", to);
	edge_head_cseq(invite, &number, &invites);
	buffer_printf(w, "CSeq: %u %.*s\r\nContent-Length: 0\r\n\r\n", number, SLICE_ARG(method));
}
