/* A Redis of a test's own, at a UNIX socket in a directory of its own. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct redis_server {
	pid_t pid; /* 0: it does not run */
	char directory[64], url[128];
};

/** Start it empty, where it was before if it was.  Fails the test if it does not come up. */
void redis_server_start(struct redis_server *server);

/** SIGSTOP, or SIGCONT. */
void redis_server_pause(const struct redis_server *server, bool pause);

/** A command, which succeeds. */
void redis_server_call(const struct redis_server *server, const char *command);

/** SIGKILL. */
void redis_server_stop(struct redis_server *server);

/** And its directory goes. */
void redis_server_fini(struct redis_server *server);
