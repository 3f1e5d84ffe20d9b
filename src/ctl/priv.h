/* What the files of ctl/ share among themselves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/control.h>

#include "ctl/jsonline.h"
#include "ctl/server.h"

struct rpc;
struct rpc_caller;

enum { REPLY_DEPTH_MAX = 64 };

/** An answer that is being written as JSON. */
struct json_reply {
	struct reply reply; /* first */
	struct buffer *out;
	size_t start;    /* of the answer in out, its comma included */
	size_t head_end; /* where "result" or "error" goes */
	uint64_t lists;  /* bit n: level n is a list, not an object */
	unsigned depth;  /* open levels */
	bool error;
	const struct rpc_caller *caller; /* NULL: whoever, what cannot be read has none */
};

/** Begin an answer.  id: JSON text, echoed. */
void json_reply_begin(struct json_reply *reply, struct buffer *out, struct slice id);

/** Complete it: what a method left open is closed, what it left out is null. */
void json_reply_end(struct json_reply *reply);

/** Leave no trace of it, the request was a notification. */
void json_reply_drop(struct json_reply *reply);

/** The built-in methods; their state is the server. */
extern const struct method ctl_methods[];

const struct ctl_daemon *ctl_server_daemon(const struct ctl_server *server);

/** Who calls the method that writes to it; one that is running has a caller. */
const struct rpc_caller *json_reply_caller(const struct reply *reply);

/** The check of control.socket. */
int ctl_socket_check_path(const void *value, struct reason *why);

/**
 * Open the listening socket with its mode and group; a socket that nobody listens on any more
 * is replaced.
 *
 * @param fdp  close-on-exec and non-blocking
 * @param why  what is wrong
 * @return 0, -EADDRINUSE: a living process listens there, or another negative errno
 */
int ctl_socket_open(const struct ctl_settings *settings, int *fdp, struct reason *why);
