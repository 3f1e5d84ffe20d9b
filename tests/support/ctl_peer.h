/* A control server on a socket of its own, and clients of it, in one loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/server.h"

enum { TURNS_IDLE = 20 };

/** What the server in a test knows of events: E_A and E_B. */
extern const struct event_type ctl_type_a, ctl_type_b;

/** libevent's allocations fail while this is set. */
extern bool ctl_no_memory;

struct ctl_fixture {
	char dir[64], path[80];
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct ctl_settings settings;
	struct ctl_daemon daemon;
	struct ctl_server *server;
	unsigned calls;
};

/** For cmocka; *state is the fixture, with a server.  Methods: count, letters(size), emit(size). */
int ctl_setup(void **state);
int ctl_teardown(void **state);

/** (Re)start the server by f->settings. */
void ctl_start(struct ctl_fixture *f);

/** One turn of the loop; or turns until nothing happens any more. */
void ctl_turn(struct ctl_fixture *f);
void ctl_settle(struct ctl_fixture *f);

/** A number of the group "ctl". */
uint64_t ctl_stat(struct ctl_fixture *f, const char *name);

/** Emit an event whose body is n times a letter. */
void ctl_emit(struct ctl_fixture *f, const struct event_type *type, size_t n, char letter);

struct ctl_peer {
	struct ctl_fixture *f;
	int fd;
	char *bytes; /* received, not read yet */
	size_t len, size;
	bool eof;
};

struct ctl_peer ctl_peer_connect(struct ctl_fixture *f);
void ctl_peer_close(struct ctl_peer *p);

/** Take what there is.  @return bytes, 0: none */
size_t ctl_peer_receive(struct ctl_peer *p);
void ctl_peer_send(struct ctl_peer *p, const char *text, size_t len);
void ctl_peer_says(struct ctl_peer *p, const char *text);

/** Subscribe to all events, and read the answer. */
void ctl_peer_subscribe(struct ctl_peer *p);

/** The next line, to be freed; NULL at the end of the stream. */
char *ctl_peer_line(struct ctl_peer *p);

void assert_line(struct ctl_peer *p, const char *expected);
void assert_line_has(struct ctl_peer *p, const char *part);
void assert_end(struct ctl_peer *p);

/** Nothing comes, and the connection is open. */
void assert_silence(struct ctl_peer *p);

#define CALL(id, method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}\n"
#define RESULT(id, result)  "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define EVENT(name, params) "{\"jsonrpc\":\"2.0\",\"method\":\"" name "\",\"params\":" params "}"
