/*
 * Streams of frames.  However a stream is cut, it says the same; a head that was parsed can be
 * written, and is the same when it is parsed again; and so are the values of its headers.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/digest.h"
#include "wire/byte_range.h"
#include "wire/write.h"
#include "wire/parser.h"
#include "wire/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, MAX_HEAD = 512, LOG_MAX = 64 * INPUT_MAX };

struct record {
	struct buffer log;
	bool in_body, stop;
	int heads, ends;
	char text[LOG_MAX];
};

static struct record whole, pieces;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* --- heads and values --- */

static void check_range(struct slice value)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);
	struct byte_range range, again;

	if (msrp_byte_range_parse(&range, value) < 0)
		return;
	msrp_byte_range_write(&w, &range);
	must(msrp_byte_range_parse(&again, buffer_text(&w)) == 0);
	must(range.start == again.start && range.end == again.end && range.total == again.total);
	must(range.start > 0 && range.start <= INT64_MAX);
}

typedef int digest_parse(struct digest *digest, struct slice value);
typedef void digest_write(struct buffer *w, const struct digest *digest);

static void check_digest(struct slice value, digest_parse *parse, digest_write *write)
{
	static struct digest digest, again;
	char text[4 * INPUT_MAX], twice[4 * INPUT_MAX];
	struct buffer w = BUFFER_ON(text), v = BUFFER_ON(twice);

	if (!value.p || parse(&digest, value) < 0)
		return;
	write(&w, &digest);
	if (w.err)
		return;
	must(parse(&again, buffer_text(&w)) == 0);
	write(&v, &again);
	must(slice_equal(buffer_text(&w), buffer_text(&v)));
}

static void write_frame(struct buffer *w, const struct msrp_frame *f)
{
	if (msrp_frame_is_request(f))
		msrp_write_request_line(w, f->tid, f->method_text);
	else
		msrp_write_response_line(w, f->tid, f->code, f->phrase);
	msrp_write_paths(w, f->to_path, f->from_path);
	msrp_write_forwarded_headers(w, f, false);
	if (f->has_body)
		msrp_write_blank_line(w);
	else
		msrp_write_end_line(w, f->tid, MSRP_COMPLETE, false);
}

static void check_answer(const struct msrp_frame *f)
{
	char text[2 * INPUT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct msrp_frame response;

	if (!msrp_frame_answerable(f))
		return;
	msrp_write_response_head(&w, f, 400, SLICE("why"));
	msrp_write_end_line(&w, f->tid, MSRP_COMPLETE, false);
	must(msrp_frame_parse(&response, buffer_text(&w), sizeof(text)) > 0);
	must(!response.fault && response.code == 400 && slice_equal(response.tid, f->tid));
	must(slice_equal(response.from_path, msrp_path_first(f->to_path)));
}

/* Only of a head without a fault is all known that there was. */
static void check_rewritten(const struct msrp_frame *f)
{
	char text[2 * INPUT_MAX];
	struct buffer w = BUFFER_ON(text);
	struct msrp_frame again;

	if (msrp_frame_check(f, NULL) != 0)
		return;
	write_frame(&w, f);
	must(msrp_frame_parse(&again, buffer_text(&w), sizeof(text)) > 0);
	must(msrp_frame_check(&again, NULL) == 0);
	must(again.method == f->method && again.code == f->code && again.has_body == f->has_body);
	must(slice_equal(again.tid, f->tid) && slice_equal(again.to_path, f->to_path));
	must(slice_equal(again.phrase, f->phrase) && slice_equal(again.from_path, f->from_path));
	must(slice_equal(again.headers, f->headers) && msrp_uri_equal(&again.to, &f->to));
	must(slice_equal(again.message_id, f->message_id) && slice_equal(again.status, f->status));
	must(slice_equal(again.content_type, f->content_type));
}

static void check_head(const struct msrp_frame *f)
{
	check_answer(f);
	check_rewritten(f);
	check_range(f->byte_range);
	check_digest(f->www_authenticate, digest_parse_challenge, digest_write_challenge);
	check_digest(f->authorization, digest_parse_credentials, digest_write_credentials);
	check_digest(f->authentication_info, digest_parse_info, digest_write_info);
}

/* --- streams --- */

static int answer(const struct record *r)
{
	return r->stop ? -EAGAIN : 0;
}

static int on_head(const struct msrp_frame *f, void *arg)
{
	struct record *r = arg;

	must(r->heads++ == r->ends);
	if (r == &whole)
		check_head(f);
	buffer_add_char(&r->log, 'H');
	buffer_add(&r->log, f->head);
	buffer_add(&r->log, f->fault ? slice_of(f->fault) : SLICE("-"));
	buffer_add(&r->log, f->has_body ? SLICE("b") : SLICE("-"));
	buffer_add(&r->log, f->message_id);
	return answer(r);
}

static int on_body(struct slice piece, void *arg)
{
	struct record *r = arg;

	must(piece.len > 0 && r->heads == r->ends + 1);
	if (!r->in_body)
		buffer_add_char(&r->log, 'B');
	r->in_body = true;
	buffer_add(&r->log, piece);
	return answer(r);
}

static int on_end(enum msrp_flag flag, void *arg)
{
	struct record *r = arg;

	must(r->heads == ++r->ends && (flag == '$' || flag == '+' || flag == '#'));
	r->in_body = false;
	buffer_add_char(&r->log, (char)flag);
	return answer(r);
}

static void on_broken(const struct msrp_frame *f, int err, void *arg)
{
	struct record *r = arg;

	must(err == -EBADMSG || err == -EMSGSIZE);
	if (r == &whole)
		check_answer(f);
	buffer_add_char(&r->log, err == -EBADMSG ? 'X' : 'L');
	buffer_add(&r->log, f->tid);
	buffer_add(&r->log, f->to_path);
	buffer_add(&r->log, f->from_path);
}

static const struct msrp_parser_handler handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
};

static void begin(struct record *r, bool stop)
{
	r->log = BUFFER_ON(r->text);
	r->in_body = false;
	r->stop = stop;
	r->heads = r->ends = 0;
}

/* In memory of just its size, so that a sanitizer sees a read past its end. */
static ssize_t feed_copy(struct msrp_parser *parser, struct slice piece, struct record *r)
{
	char *copy = malloc(piece.len);
	ssize_t n;

	must(copy != NULL);
	memcpy(copy, piece.p, piece.len);
	n = msrp_parser_feed(parser, (struct slice){copy, piece.len}, &handler, r);
	free(copy);
	must(n < 0 || r->stop || (size_t)n == piece.len);
	return n;
}

/* @return 0, or what broke the stream */
static int run(struct record *r, struct slice input, size_t first, size_t step, bool stop)
{
	struct msrp_parser parser;
	size_t len = first;
	ssize_t n = 0;

	begin(r, stop);
	msrp_parser_init(&parser, MAX_HEAD);
	while (input.len && n >= 0) {
		struct slice piece = slice_head(input, len);

		n = feed_copy(&parser, piece, r);
		if (n >= 0)
			input = slice_from(input, (size_t)n);
		len = step;
	}
	msrp_parser_fini(&parser);
	must(!r->log.err);
	return n < 0 ? (int)n : 0;
}

/* The first byte says how the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 2, 3, 7, 16, 43, 64, INPUT_MAX};
	struct slice input = {(const char *)data + 1, size - 1};
	size_t first;
	int err;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	err = run(&whole, input, input.len, input.len, false);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		first = 1 + data[0] * input.len / 256;
		must(run(&pieces, input, first, steps[i], i & 1) == err);
		must(slice_equal(buffer_text(&whole.log), buffer_text(&pieces.log)));
	}
	return 0;
}
