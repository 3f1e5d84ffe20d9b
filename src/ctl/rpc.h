/*
 * JSON-RPC 2.0: a line in, a line out.  Knows methods and their parameters, and
 * nothing of sockets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/service.h>
#include <msrpd/slice.h>

#include "ctl/jsonline.h"

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
};

enum { RPC_BATCH_MAX = 1000 }; /* requests in a batch */

struct rpc;

/** Who calls. */
struct rpc_caller {
	/** Is this address his?  NULL: an operator, who may call everything. */
	bool (*owns)(struct slice address, void *arg);
	/** He wants these events, or no more; NULL: there is no way to tell him. */
	void (*want)(uint64_t mask, bool wanted, void *arg);
	void *arg;
	bool batches; /* may he send several requests at once? */
	bool blanks;  /* and blank lines, which are skipped? */
};

int rpc_new(struct rpc **rpcp);
void rpc_free(struct rpc *rpc);

/** As ctl_server_add_methods(). */
int rpc_add_methods(struct rpc *rpc, const struct method *methods, void *state);

/** Call fn for each method, in the order in which they were added. */
void rpc_each_method(const struct rpc *rpc, void (*fn)(const struct method *method, void *arg),
    void *arg);

/**
 * Handle one line.
 *
 * @param caller      borrowed
 * @param line        without its newline
 * @param answer      gets the answer and a newline behind what it holds; nothing for notifications
 * @param answer_max  bytes: requests of a batch are refused when answers before them have passed it
 */
void rpc_handle(struct rpc *rpc, const struct rpc_caller *caller, struct slice line,
    struct buffer *answer, size_t answer_max);

/** Append an error answer to a request that could not be read, and a newline. */
void rpc_refuse(struct buffer *answer, enum rpc_error code, const char *message);
