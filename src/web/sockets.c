#include "web/sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <msrpd/buffer.h>
#include <msrpd/stats.h>
#include <msrpd/table.h>

#include "base/log.h"
#include "ctl/rpc.h"
#include "net/net.h"
#include "net/stream.h"
#include "web/http.h"
#include "web/web.h"

enum {
	SEND_QUEUE = 256 * 1024, /* of answers unread, behind which no request is run */
	SEND_TIMEOUT_MS = 30000,
	KEEP_MAX = 65536, /* larger buffers are freed when they are empty */
	QUIET_MS = 30000,
	PINGS = 2, /* that find no answer, each in QUIET_MS, before it is closed */
};

/* A user with a WebSocket, or several. */
struct web_user {
	UT_hash_handle hh;
	LIST_HEAD(, socket) sockets;
	char name[TOKEN_USER_MAX + 1];
};

struct socket {
	struct net_stream stream; /* first */
	struct web_sockets *all;
	LIST_ENTRY(socket) entry;
	struct web_user *user; /* NULL: it is closed */
	struct web_identity identity;
	unsigned asked; /* pings since its last sign of life */
	uint64_t mask;  /* events that it wants */
	uint64_t told;  /* the last event that was his */
	struct buffer in;
};

static struct socket *socket_of(struct net_stream *stream)
{
	return (struct socket *)stream;
}

/* --- users --- */

static struct web_user *find_user(struct web_sockets *all, struct slice name)
{
	struct web_user *user;

	HASH_FIND(hh, all->users, name.p, name.len, user);
	return user;
}

static struct web_user *get_user(struct web_sockets *all, const char *name)
{
	struct web_user *user = find_user(all, slice_of(name));

	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	memcpy(user->name, name, strlen(name));
	HASH_ADD_KEYPTR(hh, all->users, user->name, (unsigned)strlen(user->name), user);
	if (user->hh.tbl)
		return user;
	free(user);
	return NULL;
}

/* Events are built only for those that somebody wants. */
static void set_mask(struct socket *s, uint64_t mask)
{
	struct web_sockets *all = s->all;

	for (unsigned i = 0; i < EVENT_TYPES_MAX; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!((s->mask ^ mask) & bit))
			continue;
		all->wanting[i] += mask & bit ? 1 : -1u;
		if (all->wanting[i])
			all->subscriber.mask |= bit;
		else
			all->subscriber.mask &= ~bit;
	}
	s->mask = mask;
}

static void leave_user(struct socket *s)
{
	struct web_user *user = s->user;

	s->user = NULL;
	LIST_REMOVE(s, entry);
	if (LIST_EMPTY(&user->sockets)) {
		HASH_DEL(s->all->users, user);
		free(user);
	}
	set_mask(s, 0);
}

/* --- requests --- */

static bool owns(struct slice address, void *arg)
{
	const struct socket *s = arg;
	struct slice user = s->all->user_of(address, s->all->arg);

	return user.p && slice_equal(user, slice_of(s->identity.name));
}

static void want(uint64_t mask, bool wanted, void *arg)
{
	struct socket *s = arg;

	if (s->user) /* else it has been closed meanwhile */
		set_mask(s, wanted ? s->mask | mask : s->mask & ~mask);
}

static struct slice without_newline(const struct buffer *line)
{
	return slice_head(buffer_text(line), line->len ? line->len - 1 : 0);
}

static void send_answer(struct socket *s)
{
	struct buffer *answer = &s->all->answer;

	if (answer->err) {
		log_error("web: no memory for an answer, disconnected");
		net_stream_close(&s->stream, answer->err);
	} else if (answer->len) {
		net_stream_send(&s->stream, without_newline(answer));
	}
	if (answer->err || answer->cap > KEEP_MAX)
		buffer_fini(answer);
	answer->len = 0;
}

static void run(struct socket *s, struct slice request)
{
	const struct rpc_caller caller = {.owns = owns, .want = want, .arg = s};
	struct web_sockets *all = s->all;

	++*all->requests;
	rpc_handle(all->rpc, &caller, request, &all->answer, (size_t)all->settings->max_backlog);
	send_answer(s);
}

static bool has_expired(const struct socket *s)
{
	return s->identity.expiry <= (uint64_t)time(NULL);
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct socket *s = socket_of(stream);

	s->asked = 0;
	if (has_expired(s))
		return -EPERM;
	/* A message has request_timeout from its first byte to its last. */
	if (end)
		net_stream_set_life(stream, &s->all->quiet);
	else if (stream->life_queue != &s->all->reading)
		net_stream_set_life(stream, &s->all->reading);
	if (end && s->in.len == 0) {
		run(s, bytes);
		return (ssize_t)bytes.len;
	}
	buffer_add(&s->in, bytes);
	if (s->in.err)
		return s->in.err;
	if (end) {
		run(s, buffer_text(&s->in));
		buffer_fini(&s->in);
	}
	return (ssize_t)bytes.len;
}

/* --- events --- */

static void disconnect(struct socket *s, const char *why)
{
	log_warn("web: conn %" PRIu64 ": %s: subscriber disconnected with %zu bytes unread: %s",
	    s->stream.number, s->identity.name, net_stream_backlog(&s->stream), why);
	++*s->all->disconnected;
	net_stream_close(&s->stream, -ENOBUFS);
}

/* An event that is told, to whom it concerns. */
struct telling {
	struct web_sockets *all;
	const struct event_notice *event;
	uint64_t bit;
};

/* Encoded once, for however many. */
static struct slice event_line(struct telling *t)
{
	struct buffer *line = &t->all->line;

	if (line->len == 0)
		jsonline_event(line, t->event, false);
	return without_newline(line);
}

static void tell(struct telling *t, struct socket *s)
{
	struct slice line;

	if (!(s->mask & t->bit) || s->told == t->all->told)
		return;
	s->told = t->all->told;
	line = event_line(t);
	if (has_expired(s))
		net_stream_close(&s->stream, -EPERM);
	else if (t->all->line.err || net_stream_send(&s->stream, line) < 0)
		disconnect(s, "no memory for an event");
	else if (net_stream_backlog(&s->stream) > t->all->settings->max_backlog)
		disconnect(s, "more than web.max_backlog");
	else
		++*t->all->events;
}

static void tell_user(struct slice address, void *arg)
{
	struct telling *t = arg;
	struct slice name = t->all->user_of(address, t->all->arg);
	struct web_user *user = name.p ? find_user(t->all, name) : NULL;

	/* The user goes with his last one. */
	for (struct socket *s = user ? LIST_FIRST(&user->sockets) : NULL, *next; s; s = next) {
		next = LIST_NEXT(s, entry);
		tell(t, s);
	}
}

static void on_event(const struct event_notice *event, void *arg)
{
	struct web_sockets *all = arg;
	struct telling telling = {all, event, event_bus_bit(all->subscriber.bus, event->type)};

	if (!event->audience)
		return;
	all->told++;
	all->line.len = 0;
	event->audience->each(event->audience->what, tell_user, &telling);
	if (all->line.err || all->line.cap > KEEP_MAX)
		buffer_fini(&all->line);
}

/* --- one --- */

/* What makes one of a connection. */
struct taking {
	struct web_sockets *all;
	const struct web_identity *identity;
};

static struct net_stream *on_accept(void *arg)
{
	const struct taking *taking = arg;
	struct web_user *user = get_user(taking->all, taking->identity->name);
	struct socket *s = user ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		if (user && LIST_EMPTY(&user->sockets)) {
			HASH_DEL(taking->all->users, user);
			free(user);
		}
		return NULL;
	}
	s->all = taking->all;
	s->identity = *taking->identity;
	s->in.max = BUFFER_UNBOUNDED; /* net holds messages to max_request */
	s->user = user;
	LIST_INSERT_HEAD(&user->sockets, s, entry);
	net_stream_init(&s->stream, &taking->all->protocol);
	return &s->stream;
}

static void on_opened(struct net_stream *stream)
{
	struct socket *s = socket_of(stream);

	log_debug("web: conn %" PRIu64 ": API for %s", stream->number, s->identity.name);
	net_stream_set_life(stream, &s->all->quiet);
}

static void on_alive(struct net_stream *stream)
{
	socket_of(stream)->asked = 0;
}

static void on_closed(struct net_stream *stream, int err)
{
	(void)err;
	leave_user(socket_of(stream));
}

static void on_free(struct net_stream *stream)
{
	struct socket *s = socket_of(stream);

	buffer_fini(&s->in);
	free(s);
}

static const struct net_handler handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .alive = on_alive,
    .closed = on_closed,
    .free = on_free,
};

void web_sockets_take(struct web_sockets *all, struct http_conn *conn,
    const struct web_identity *identity, const union addr *client)
{
	struct taking taking = {all, identity};

	http_upgrade(conn, &all->listener, &taking, client);
}

/* --- all of them --- */

/* Whoever says nothing may be gone, or his token expired. */
static void on_quiet(struct timer_entry *life, void *arg)
{
	struct net_stream *stream = net_stream_expired(life);
	struct socket *s = socket_of(stream);

	(void)arg;
	if (has_expired(s)) {
		net_stream_close(stream, -EPERM);
	} else if (s->asked == PINGS) {
		net_stream_close(stream, -ETIMEDOUT);
	} else {
		s->asked += net_stream_ping(stream);
		net_stream_set_life(stream, &s->all->quiet);
	}
}

static void on_slow(struct timer_entry *life, void *arg)
{
	(void)arg;
	net_stream_close(net_stream_expired(life), -ETIMEDOUT);
}

static struct net_limits limits_of(const struct web_settings *s)
{
	return (struct net_limits){
	    .max_streams = s->max_connections,
	    .max_message = s->max_request,
	    .send_queue = SEND_QUEUE,
	    .send_timeout_ms = SEND_TIMEOUT_MS,
	};
}

#define NUMBER(field) offsetof(struct web_sockets, field)

static const struct stats_row numbers[] = {
    NET_COUNTER_ROWS(struct web_sockets, "WebSockets of the API",
	"connections refused: counted by web"),
    {.name = "requests", .help = "requests of users on WebSockets", .offset = NUMBER(requests)},
    {.name = "events", .help = "events sent to users", .offset = NUMBER(events)},
    {.name = "disconnected",
	.help = "WebSockets closed because they did not read",
	.offset = NUMBER(disconnected)},
    {0},
};

int web_sockets_init(struct web_sockets *all, const struct web_env *env,
    const struct web_settings *settings)
{
	int err = stats_register(env->stats, "api", numbers, all);

	all->protocol.net = env->net;
	all->protocol.name = "api";
	all->protocol.subprotocol = "jsonrpc";
	all->protocol.text = true;
	all->protocol.handler = &handler;
	all->protocol.limits = limits_of(settings);
	all->listener.protocol = &all->protocol;
	all->listener.transport = &net_ws;
	all->listener.name = "api";
	all->settings = settings;
	all->user_of = env->user_of;
	all->arg = env->arg;
	all->answer.max = all->line.max = BUFFER_UNBOUNDED;
	all->subscriber = (struct event_subscriber){.fn = on_event, .arg = all};
	event_bus_subscribe(env->bus, &all->subscriber);
	if (err == 0)
		err = timer_queue_init(&all->quiet, net_base(env->net), QUIET_MS, on_quiet, all);
	if (err == 0)
		err = timer_queue_init(&all->reading, net_base(env->net),
		    settings->request_timeout_ms, on_slow, all);
	return err == 0 ? net_protocol_init(&all->protocol) : err;
}

static void close_all(struct web_sockets *all, int err)
{
	for (struct net_stream *s = LIST_FIRST(&all->protocol.streams), *next; s; s = next) {
		next = LIST_NEXT(s, entry);
		net_stream_close(s, err);
	}
}

void web_sockets_reload(struct web_sockets *all, const struct web_settings *settings)
{
	struct net_limits limits = limits_of(settings);

	/* Their tokens are void. */
	if (!slice_equal(slice_of(settings->api_token_secret),
		slice_of(all->settings->api_token_secret)))
		close_all(all, -EPERM);
	all->settings = settings;
	net_protocol_reload(&all->protocol, &limits, NULL);
	timer_queue_set_period(&all->reading, settings->request_timeout_ms);
}

void web_sockets_fini(struct web_sockets *all)
{
	net_protocol_fini(&all->protocol);
	timer_queue_fini(&all->quiet);
	timer_queue_fini(&all->reading);
	event_bus_unsubscribe(&all->subscriber);
	buffer_fini(&all->answer);
	buffer_fini(&all->line);
}
