/*
 * An anchored session: before a NUL byte an offer in SDP, which is put to the other side and answered;
 * behind it what two peers may say on their connections (1 and 2: the URIs that they were told, 3 and
 * 4: their own).  What the one offers has nothing of his path for the other; what is heard is frames.
 */
#include "anchor/priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "anchor/anchor.h"
#include "base/stats.h"
#include "conversation.h"
#include "event/bus.h"
#include "msrp/priv.h"
#include "net/listener.h"
#include "net/transport.h"
#include "ua/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAM(path)                                                                \
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" \
	"m=message 9 TCP/MSRP *\r\na=accept-types:*\r\na=setup:active\r\na=path:" path "\r\n"

#define ALICE "msrp://127.0.0.1:9/alice;tcp"
#define BOB   "msrp://127.0.0.1:9/bob;tcp"

struct world {
	struct conversation c;
	struct msrp_stack *stack;
	struct stats *stats;
	struct event_bus *bus;
	struct ua ua; /* as much of it as is asked */
	struct ua_local locals[2];
	struct anchor_settings settings;
	void *anchors;
	char uris[2][100];
};

static void start(struct world *w)
{
	static const struct msrp_settings settings = {.max_message_size = 4000,
	    .max_open_messages = 3,
	    .max_memory = 65536,
	    .chunk_size = 2048};
	struct service_env env = {.ua = &w->ua, .sip = (struct sip_stack *)w /* is there */};
	struct reason why;

	w->stack = conversation_start(&w->c, &settings, &w->stats);
	must(event_bus_new(&w->bus) == 0);
	must(event_bus_add_types(w->bus, anchor_service.events) == 0);
	for (int i = 0; i < 2; i++)
		w->locals[i] = (struct ua_local){.transport = msrp_transport_find(i, SLICE("tcp")),
		    .host = (char *)"127.0.0.1",
		    .port = msrp_listener_port(msrp_listener_at(w->stack, 0))};
	w->ua.locals = (struct ua_locals){w->locals, 2};
	w->settings = (struct anchor_settings){.max_sessions = 2, .reconnect_grace_ms = 1000};
	env.base = w->c.base;
	env.bus = w->bus;
	env.stats = w->stats;
	env.msrp = w->stack;
	env.budget = msrp_stack_budget(w->stack);
	must(anchor_service.start(&env, &w->settings, &w->anchors, &why) == 0);
}

static struct anchor *session(struct world *w)
{
	struct anchors *all = w->anchors;
	struct anchor *a = calloc(1, sizeof(*a));

	must(a != NULL);
	a->all = all;
	a->refs = 1;
	for (int i = CALLER; i <= CALLEE; i++) {
		must(leg_new(&a->legs[i], a, &w->locals[0]) == 0);
		a->legs[i]->up = true;
	}
	a->legs[CALLER]->other = a->legs[CALLEE];
	a->legs[CALLEE]->other = a->legs[CALLER];
	memcpy(a->id, leg_id(a->legs[CALLER]).p, UA_ID_LEN);
	HASH_ADD_KEYPTR(hh, all->table, a->id, UA_ID_LEN, a);
	a->established = true;
	return a;
}

/* @return could it be put through? */
static bool agree(struct anchor *a, struct slice offer, struct slice *offered,
    struct slice *answered)
{
	struct anchor_leg *caller = a->legs[CALLER], *callee = a->legs[CALLEE];

	if (media_take(caller, offer, false) < 0)
		return false;
	must(media_offer(callee, offered) == 0);
	must(media_take(callee, SLICE(STREAM(BOB)), true) == 0);
	must(media_answer(caller, answered) == 0);
	media_settle(caller);
	return true;
}

static void try_offer(struct world *w, struct slice text)
{
	struct anchor *a = session(w);
	struct sdp_session offer, said;
	struct slice offered, answered, path = a->legs[CALLER]->target.uri;

	if (agree(a, text, &offered, &answered)) {
		must(sdp_parse(&offer, text) == 0);
		must(sdp_parse(&said, offered) == 0 && said.media_count == 1);
		must(sdp_media_is_usable(&said.media[0]));
		must(slice_equal(said.media[0].path, a->legs[CALLEE]->target.uri));
		must(sdp_parse(&said, answered) == 0 && said.media_count == offer.media_count);
		path = a->legs[CALLER]->target.uri;
		must(slice_equal(said.media[a->legs[CALLER]->at].path, path));
		must(media_is_same(a->legs[CALLER]) == false);
	}
	anchor_finish(a, ANCHOR_BYE, NOTHING);
}

static void open_peers(struct world *w, struct anchor *a)
{
	const struct net_listener listener = {.protocol = &w->stack->protocol,
	    .transport = &net_tcp,
	    .arg = msrp_listener_at(w->stack, 0)};

	for (size_t i = 0; i < 2; i++) {
		snprintf(w->uris[i], sizeof(w->uris[i]), "%.*s", SLICE_ARG(a->legs[i]->target.uri));
		w->c.names[i] = w->uris[i];
		speaker_open(&w->c, i, &listener);
	}
	w->c.names[2] = ALICE;
	w->c.names[3] = BOB;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
	size_t len = end ? (size_t)(end - data) : size;
	struct world *w = calloc(1, sizeof(*w));
	struct slice offered, answered;
	struct anchor *a;

	must(w != NULL);
	if (size > INPUT_MAX) {
		free(w);
		return 0;
	}
	start(w);
	try_offer(w, (struct slice){(const char *)data, len});
	if (end) {
		a = session(w);
		must(agree(a, SLICE(STREAM(ALICE)), &offered, &answered));
		open_peers(w, a);
		conversation_run(&w->c, end + 1, size - len - 1);
		conversation_end(&w->c);
	}
	anchor_service.stop(w->anchors);
	/* Who waited for a side that never came is read on now, and found gone. */
	conversation_settle(&w->c);
	event_bus_free(w->bus);
	must(msrp_stack_connections(w->stack) == 0);
	free(w);
	return 0;
}
