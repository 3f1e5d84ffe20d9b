/*
 * What the peer of a session may say on its connection (1: the session's URI, 3: the peer's own),
 * with a message of ours under way to it: what it hears is frames, and no message that is
 * delivered is larger than was said to be taken.
 */
#include "msrp/priv.h"

#include <stdlib.h>

#include <event2/event.h>

#include "base/stats.h"
#include "conversation.h"
#include "endpoint/endpoint.h"
#include "msrp/listener.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4000 };

static const char peer[] = "msrp://127.0.0.1:9/peer;tcp";

struct world {
	struct conversation c;
	struct msrp_stack *stack;
	struct stats *stats;
	struct endpoints *all;
	struct endpoint *endpoints[2]; /* of whole messages, and of streams */
	size_t streamed;
	char uris[2][100];
};

static bool on_accepts(struct slice type, void *arg)
{
	(void)arg;
	return slice_starts_nocase(type, SLICE("text/"));
}

static int on_message(const struct message *m, void *arg)
{
	(void)arg;
	must(m->body.len <= MESSAGE_MAX);
	return 0;
}

static int on_begin(const struct message *m, void **streamp, void *arg)
{
	(void)m;
	*streamp = arg;
	return 0;
}

static int on_piece(void *stream, struct slice piece, void *arg)
{
	must(stream == arg && piece.len > 0);
	return 0;
}

static int on_stream_end(void *stream, int err, void *arg)
{
	must(stream == arg && err <= 0);
	return 0;
}

static int on_nickname(struct slice nickname, void *arg)
{
	(void)nickname;
	(void)arg;
	return 200;
}

static void on_report(const struct message_report *r, void *arg)
{
	(void)r;
	(void)arg;
}

static void ignore(void *arg)
{
	(void)arg;
}

static void on_lost(int err, void *arg)
{
	(void)arg;
	must(err < 0);
}

static void on_refused(int code, void *arg)
{
	(void)code;
	(void)arg;
}

static const struct endpoint_handler handler = {.accepts = on_accepts,
    .message = on_message,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_stream_end,
    .nickname = on_nickname,
    .report = on_report,
    .bound = ignore,
    .lost = on_lost,
    .refused = on_refused,
    .room = ignore,
    .drained = ignore};

static void start(struct world *w)
{
	static const struct msrp_settings settings = {.max_message_size = MESSAGE_MAX,
	    .max_open_messages = 3,
	    .max_memory = 32768,
	    .chunk_size = 2048};
	w->stack = conversation_start(&w->c, &settings, &w->stats);
	must(endpoints_new(&w->all, w->stack, w->stats) == 0);
}

static void open_endpoints(struct world *w)
{
	static const char *const ids[] = {"wholewholewholewhole", "streamstreamstream"};
	const struct net_listener listener = {.protocol = &w->stack->protocol,
	    .transport = &net_tcp,
	    .arg = msrp_listener_at(w->stack, 0)};

	for (size_t i = 0; i < 2; i++) {
		struct endpoint_options options = {.handler = &handler,
		    .arg = w,
		    .max_queued_bytes = 1 << 16,
		    .stream = i == 1};

		snprintf(w->uris[i], sizeof(w->uris[i]), "msrp://127.0.0.1:%u/%s;tcp",
		    msrp_listener_port(listener.arg), ids[i]);
		options.own_uri = slice_of(w->uris[i]);
		w->c.names[i] = w->uris[i];
		must(endpoint_new(&w->endpoints[i], w->all, &options) == 0);
		must(endpoint_set_path(w->endpoints[i], (struct slice){NULL, 0}, slice_of(peer))
		    == 0);
		endpoint_start(w->endpoints[i]);
		speaker_open(&w->c, i, &listener);
	}
	w->c.names[2] = peer;
}

static void send_something(struct world *w)
{
	static char body[5000];
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .body.bytes = {body, sizeof(body)},
	    .failure_report = FAILURE_REPORT_YES,
	    .success_report = true};
	char id[MSRP_MESSAGE_ID_SIZE];

	for (size_t i = 0; i < 2; i++)
		must(endpoint_send(w->endpoints[i], &out, 0, id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {0};

	if (size > INPUT_MAX)
		return 0;
	start(&w);
	open_endpoints(&w);
	send_something(&w);
	conversation_run(&w.c, data, size);
	conversation_end(&w.c);
	for (size_t i = 0; i < 2; i++)
		endpoint_free(w.endpoints[i]);
	endpoints_free(w.all);
	must(msrp_stack_connections(w.stack) == 0);
	return 0;
}
