/* Two endpoints of one stack, and a raw peer, with what they have been told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint/endpoint.h"
#include "msrp/listener.h"

struct event_base;
struct stats;

enum { SIDES_GOT_MAX = 24 << 20 };

/** What one side has been told. */
struct side {
	struct endpoint *ep;
	char uri[160];
	char *body; /* of the last message, or the stream so far */
	size_t body_len;
	char type[64], id[40];
	unsigned messages, begins, pieces, ends, bound, lost, refused, drained, room;
	int end_err;
	char nickname[64];
	int nickname_code; /* what nickname() returns */
	int verdict;       /* what message() and end() return */
	int own_report;    /* 0, or the code of the REPORT that they send themselves */
	int pause;         /* what piece() returns */
	unsigned reports;
	char status[80], range[64], reported_id[40], reported_type[64];
	char report_body_type[64], report_body[64];
	int code;
	bool free_on_message, free_on_piece, give_up_on_piece;
};

struct sides {
	struct event_base *base;
	struct stats *stats;
	struct net *net;
	struct msrp_stack *stack;
	struct endpoints *all;
	struct msrp_settings settings; /* may be changed by a test */
	struct msrp_listen_settings listen;
	uint16_t port;
	struct side a, b;
	int fd;    /* the raw peer */
	char *got; /* what it has read, with a NUL */
	size_t got_len;
	const char *want; /* text that is waited for, */
	size_t searched;  /* and how far it has not come */
	unsigned *counter, wanted;
};

/** @return 0 or negative errno: the stack could not be made */
int sides_init(struct sides *f);
void sides_fini(struct sides *f);

/** For cmocka. */
int sides_setup(void **state);
int sides_teardown(void **state);

/** An endpoint for s, whose session id is id. */
int sides_open_one(struct sides *f, struct side *s, const char *id, bool stream);

/** a and b, a connected to b through the listener; b's messages are streams. */
void sides_connect(struct sides *f, bool stream);

/** Until a counter of a side has reached wanted. */
void sides_wait(struct sides *f, unsigned *counter, unsigned wanted);

/** Send; the Message-ID is in s->id. @return as endpoint_send() */
int side_send(struct side *s, struct slice body, enum failure_report fr, bool sr, unsigned flags);

/* --- the raw peer: its path is msrp://127.0.0.1:9/peer;tcp --- */

/** Side a as an endpoint that waits for this peer, who connects. */
void raw_open(struct sides *f);
void raw_open_stream(struct sides *f); /* its messages are streams */

/** Another connection; the first one's fd is returned. */
int raw_connect(struct sides *f);
void raw_send(struct sides *f, const char *text);

/** A SEND with Success-Report: yes; its tid is "tid" and mid. range NULL: none. */
void raw_chunk(struct sides *f, const char *mid, const char *range, const char *body, char flag);

/** Until text has come. */
void raw_expect(struct sides *f, const char *text);
unsigned raw_count(const struct sides *f, const char *text);

/** Read what there is, without waiting. */
void raw_read(struct sides *f);
