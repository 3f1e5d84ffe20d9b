#include "sip/standalone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_buffer.h>
#include <sofia-sip/sip_util.h>

#include <msrpd/rand.h>

#include "base/buffer.h"
#include "base/log.h"
#include "edge/reply.h"

enum { HEADERS = 2048 }; /* bytes that what is read of a usual one takes */

/* --- reading --- */

/* As msg_make(), which goes on without memory. */
static msg_t *parse(const struct sip_stack *stack, struct slice text)
{
	msg_t *msg = msg_create(stack->parse.mclass, MSG_DO_CANONIC);
	msg_iovec_t place[1];

	if (!msg)
		return NULL;
	su_home_preload(msg_home(msg), 1, (isize_t)text.len + HEADERS);
	if (msg_recv_iovec(msg, place, 1, (usize_t)text.len, 1) < 1 || place->mv_len < text.len) {
		msg_destroy(msg);
		return NULL;
	}
	memcpy(place->mv_base, text.p, text.len);
	msg_recv_commit(msg, (usize_t)text.len, 1);
	if (msg_extract(msg) < 0)
		msg_object(msg)->msg_flags |= MSG_FLG_ERROR;
	return msg;
}

int sip_alone_read(struct sip_alone *alone, const struct sip_stack *stack, struct slice text,
    size_t head)
{
	const sip_t *sip;

	alone->head = (struct slice){slice_dup(slice_head(text, head)), head};
	alone->msg = alone->head.p ? parse(stack, text) : NULL;
	if (!alone->msg)
		return -ENOMEM;
	rand_token(alone->tag, SIP_ALONE_TAG);
	sip = sip_object(alone->msg);
	return sip->sip_flags & MSG_FLG_ERROR || sip_sanity_check(sip) < 0 ? -EBADMSG : 0;
}

void sip_alone_fini(struct sip_alone *alone)
{
	free((char *)(uintptr_t)alone->head.p);
	if (alone->msg)
		msg_destroy(alone->msg);
	*alone = (struct sip_alone){0};
}

/* --- judging --- */

static bool is_supported(const struct sip_stack *stack, struct slice tag)
{
	struct slice rest = slice_of(stack->tags), own;

	while (slice_cut(&rest, ',', &own))
		if (slice_equal_nocase(slice_trim(own), tag))
			return true;
	return false;
}

/* RFC 3261 8.2.2.3 */
static void write_unsupported(const struct sip_stack *stack, const sip_require_t *required,
    struct buffer *lines)
{
	for (size_t i = 0; required && required->k_items && required->k_items[i]; i++) {
		struct slice tag = slice_of(required->k_items[i]);

		if (is_supported(stack, tag))
			continue;
		buffer_add(lines, lines->len ? SLICE(", ") : SLICE("Unsupported: "));
		buffer_add(lines, tag);
	}
	if (lines->len)
		buffer_add(lines, SLICE("\r\n"));
}

static bool is_taken(const struct sip_stack *stack, sip_method_t method)
{
	return method == sip_method_message || method == sip_method_options
	    || (method == sip_method_register && stack->registers);
}

int sip_alone_judge(const struct sip_alone *alone, const struct sip_stack *stack,
    struct buffer *lines)
{
	const sip_t *sip = sip_object(alone->msg);
	sip_method_t method = sip->sip_request->rq_method;

	if (!is_taken(stack, method))
		return method == sip_method_unknown ? 501 : 405;
	if (sip->sip_request->rq_url->url_type <= url_unknown)
		return 416;
	write_unsupported(stack, sip->sip_require, lines);
	return lines->err ? 500 : lines->len ? 420 : 0;
}

/* --- answering --- */

static void answer(const struct sip_alone *alone, const struct sip_stack *stack,
    const struct edge_reply *reply)
{
	int err = edge_answer_standalone(stack->edge, alone->head, reply);

	if (err < 0)
		log_warn("sip: an answer was lost: %s", strerror(-err));
}

static bool has_line(struct slice lines, struct slice name)
{
	struct slice line, own;

	while (slice_cut(&lines, '\n', &line))
		if (slice_cut(&line, ':', &own) && slice_equal_nocase(slice_trim(own), name))
			return true;
	return false;
}

/* Those of ours, where the answer does not have its own. */
static void write_lines(struct buffer *w, const struct sip_stack *stack, struct slice lines)
{
	struct slice own = slice_of(stack->own_lines), line, rest, name;

	while (slice_cut(&own, '\n', &line) && own.p) {
		rest = line;
		if (slice_cut(&rest, ':', &name) && has_line(lines, name))
			continue;
		buffer_add(w, line);
		buffer_add_char(w, '\n');
	}
	buffer_add(w, lines);
}

void sip_alone_answer(const struct sip_alone *alone, const struct sip_stack *stack, int code,
    const char *phrase, struct slice lines)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED}; /* by what services write */
	struct edge_reply reply = {.code = (unsigned)code,
	    .phrase = slice_of(phrase),
	    .to_tag = {alone->tag, SIP_ALONE_TAG}};

	write_lines(&w, stack, lines);
	if (w.err && code < 200) {
		buffer_fini(&w);
		return;
	}
	if (w.err) {
		reply.code = 500;
		reply.phrase = (struct slice){0};
	} else {
		reply.lines = buffer_text(&w);
	}
	answer(alone, stack, &reply);
	buffer_fini(&w);
}

void sip_alone_silence(const struct sip_alone *alone, const struct sip_stack *stack)
{
	const struct edge_reply reply = {.code = EDGE_DROPPED,
	    .phrase = slice_of(edge_silence(stack->edge))};

	answer(alone, stack, &reply);
}
