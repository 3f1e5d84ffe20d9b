/* Who connects to the web of a web_host, says something and reads, or does not. */
#pragma once

#include "web_host.h"

/** A test's state: a web_host with those time-outs, of requests and between them. */
int visited_set_up(void **state, uint64_t timeout_ms);
int visited_tear_down(void **state);

struct visitor {
	struct web_host *host;
	int fd;
	struct buffer out, in;
	const char *wanted; /* that visitor_hears() waits for */
	bool deaf;          /* it does not read */
	bool over;          /* the connection has ended */
};

/** Connect. */
void visitor_open(struct visitor *visitor, struct web_host *host);
void visitor_say(struct visitor *visitor, struct slice bytes);
/** Turn the loop until it has got this text; fails the test if the connection ends before. */
void visitor_hears(struct visitor *visitor, const char *text);
/** Turn the loop until the connection has ended; all that came is in its buffer. */
void visitor_hears_the_end(struct visitor *visitor);
/** How often has it got this text? */
unsigned visitor_count(const struct visitor *visitor, const char *text);
void visitor_close(struct visitor *visitor);
