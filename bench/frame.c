/* What parsing costs: ns for a frame, ns for a byte of body. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/parser.h"
#include "wire/write.h"

enum { BIG = 1 << 20, BODY = 1024 };

static uint64_t sink; /* so that nothing is left out */

static int on_head(const struct msrp_frame *f, void *arg)
{
	(void)arg;
	sink += (uint64_t)msrp_frame_check(f, NULL) + f->message_id.len;
	return 0;
}

static int on_body(struct slice piece, void *arg)
{
	(void)arg;
	sink += piece.len;
	return 0;
}

static int on_end(enum msrp_flag flag, void *arg)
{
	(void)arg;
	sink += flag;
	return 0;
}

static void on_broken(const struct msrp_frame *f, int err, void *arg)
{
	(void)f;
	(void)arg;
	fprintf(stderr, "broken: %d\n", err);
	exit(1);
}

static const struct msrp_parser_handler handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void write_head(struct buffer *w)
{
	msrp_write_request_line(w, SLICE("d93kswowa8Zq"), SLICE("SEND"));
	msrp_write_paths(w, SLICE("msrp://bob.example.com:8888/9di4eae923wzdU7kW0mXq2;tcp"),
	    SLICE("msrp://alicepc.example.com:7777/iau39soe2843zQ8vTn5LcB;tcp"));
	msrp_write_header(w, SLICE("Message-ID"), SLICE("12339sdqwerK3jV9"));
	msrp_write_header(w, SLICE("Byte-Range"), SLICE("1-1024/1024"));
	msrp_write_header(w, SLICE("Failure-Report"), SLICE("yes"));
	msrp_write_header(w, SLICE("Content-Type"), SLICE("text/plain"));
	msrp_write_blank_line(w);
}

/* Best of several runs: the machine has other things to do. */
static double best_ns(struct slice stream, size_t piece, unsigned rounds)
{
	double best = 1e18;

	for (int run = 0; run < 7; run++) {
		struct msrp_parser parser;
		double start = now_ns(), spent;

		msrp_parser_init(&parser, 16384);
		for (unsigned i = 0; i < rounds; i++)
			for (size_t at = 0; at < stream.len; at += piece)
				msrp_parser_feed(&parser, slice_head(slice_from(stream, at), piece),
				    &handler, NULL);
		msrp_parser_fini(&parser);
		spent = (now_ns() - start) / rounds;
		best = spent < best ? spent : best;
	}
	return best;
}

static struct slice frame_of(char *buf, size_t size, const char *body, size_t len)
{
	struct buffer w = {.p = buf, .cap = size};

	write_head(&w);
	buffer_add(&w, (struct slice){body, len});
	msrp_write_end_line(&w, SLICE("d93kswowa8Zq"), MSRP_COMPLETE, true);
	if (w.err)
		abort();
	return buffer_text(&w);
}

static void bench_body(const char *name, const char *body, char *buf, size_t size)
{
	struct slice stream = frame_of(buf, size, body, BIG);

	printf("body_%s %.4f ns/byte\n", name, best_ns(stream, 65536, 20) / BIG);
}

int main(void)
{
	size_t size = BIG + 4096;
	char *buf = malloc(size), *body = malloc(BIG);
	struct slice stream;

	if (!buf || !body)
		abort();
	memset(body, 'x', BIG);
	stream = frame_of(buf, size, body, 0);
	printf("head_bytes %zu bytes\n", stream.len);
	printf("frame_empty %.1f ns\n", best_ns(stream, stream.len, 200000));
	stream = frame_of(buf, size, body, BODY);
	printf("frame_1KiB %.1f ns\n", best_ns(stream, stream.len, 200000));
	printf("frame_1KiB_byte_by_byte %.1f ns\n", best_ns(stream, 1, 2000));
	for (size_t i = 0; i < BIG; i++)
		body[i] =
		    "It is what it is - a well-known text, with CRLF\r\nevery now and then. "[i
			% 69];
	bench_body("text", body, buf, size);
	for (size_t i = 0; i < BIG; i++)
		body[i] = (char)(rand() >> 8);
	bench_body("random", body, buf, size);
	memset(body, '\r', BIG);
	bench_body("all_cr", body, buf, size);
	memset(body, '-', BIG);
	bench_body("all_hyphen", body, buf, size);
	for (size_t i = 0; i < BIG; i++)
		body[i] = "\r\n-------d93kswowa8Zq"[i % 21];
	bench_body("almost_end_lines", body, buf, size);
	for (size_t i = 0; i < BIG; i++)
		body[i] = "-x"[i % 2];
	bench_body("every_other_hyphen", body, buf, size);
	free(buf);
	free(body);
	return sink == 0;
}
