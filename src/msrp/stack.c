/* What the connections share: memory of the turn, targets, settings. */
#include "msrp/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/stats.h"
#include "base/tls.h"

enum {
	STORED_BLOCKS = 32, /* 8 MiB: a stream that backs up takes and leaves them all the time */
	ROUNDS_A_TURN = 8,  /* chunks that a flow may write before others have their turn */
};

/* --- blocks --- */

static struct msrp_block *new_block(size_t size)
{
	struct msrp_block *block = malloc(sizeof(*block) + size);

	if (block)
		block->size = size;
	return block;
}

struct msrp_block *msrp_block_get(struct msrp_stack *stack)
{
	struct msrp_block *block = stack->free_blocks;

	if (block) {
		stack->free_blocks = block->next;
		stack->free_block_count--;
	} else {
		block = new_block(BLOCK_BYTES);
		if (!block)
			return NULL;
	}
	block->refs = 1;
	block->used = 0;
	block->retired = false;
	return block;
}

struct msrp_block *msrp_block_copy(struct slice bytes)
{
	struct msrp_block *block = new_block(bytes.len);

	if (!block)
		return NULL;
	block->refs = 1;
	block->used = bytes.len;
	block->retired = false;
	memcpy(block->data, bytes.p, bytes.len);
	return block;
}

void msrp_block_put(struct msrp_stack *stack, struct msrp_block *block)
{
	if (--block->refs || block->retired)
		return;
	block->retired = true;
	block->next = stack->retired;
	stack->retired = block;
}

static void recycle_blocks(struct msrp_stack *stack)
{
	struct msrp_block *block;

	while ((block = stack->retired)) {
		stack->retired = block->next;
		block->retired = false;
		if (block->refs) /* what lies there was taken into keeping since */
			continue;
		if (stack->free_block_count >= STORED_BLOCKS || block->size < BLOCK_BYTES) {
			free(block);
			continue;
		}
		block->next = stack->free_blocks;
		stack->free_blocks = block;
		stack->free_block_count++;
	}
}

/* Begin anew in a block that nobody else holds bytes of. */
static void rewind_block(struct msrp_stack *stack, struct msrp_block **blockp)
{
	if (!*blockp)
		return;
	if ((*blockp)->refs == 1) {
		(*blockp)->used = 0;
		return;
	}
	msrp_block_put(stack, *blockp);
	*blockp = NULL;
}

/* The block in hand, or a new one if it has less room than that. */
static struct msrp_block *block_with_room(struct msrp_stack *stack, struct msrp_block **blockp,
    size_t room)
{
	if (*blockp && BLOCK_BYTES - (*blockp)->used < room) {
		msrp_block_put(stack, *blockp);
		*blockp = NULL;
	}
	if (!*blockp)
		*blockp = msrp_block_get(stack);
	return *blockp;
}

struct msrp_block *msrp_stack_rx(struct msrp_stack *stack)
{
	/* A block full of bytes is passed on before the next one: while the caches hold it. */
	if (stack->retired)
		msrp_stack_turn(stack);
	return block_with_room(stack, &stack->rx, READ_MIN);
}

char *msrp_stack_text(struct msrp_stack *stack, size_t len, struct msrp_block **blockp)
{
	struct msrp_block *block = block_with_room(stack, &stack->text, len);
	char *p;

	if (!block)
		return NULL;
	p = block->data + block->used;
	block->used += len;
	*blockp = block;
	return p;
}

/* --- the turn's end --- */

static struct msrp_conn *next_dirty(struct msrp_stack *stack)
{
	struct msrp_conn *conn = stack->dirty;

	if (!conn)
		return NULL;
	stack->dirty = conn->next_dirty;
	if (!stack->dirty)
		stack->last_dirty = &stack->dirty;
	return conn;
}

static bool flush_conn(struct msrp_conn *conn)
{
	int err = conn->failed ? -ENOMEM : 0;

	if (err == 0 && conn->state == CONN_OPEN)
		err = output_flush(conn);
	if (err == 0 && conn->state == CONN_OPEN && output_backlog(conn) == 0) {
		if (!conn->close_when_sent)
			return conn->waiting != NULL;
		msrp_conn_part(conn, -ECONNRESET);
	}
	if (err == 0 && conn->state != CONN_CLOSED)
		err = output_settle(conn);
	if (err < 0)
		msrp_conn_close(conn, err);
	return false;
}

/*
 * One connection's share of a turn: write, let flows write more, write that.
 * @return true if it wants another turn
 */
static bool serve_conn(struct msrp_conn *conn)
{
	for (int round = 0; flush_conn(conn); round++) {
		if (round == ROUNDS_A_TURN)
			return true;
		flows_run(conn);
	}
	/* Whoever was told that his bytes have left may have written more. */
	return conn->state == CONN_OPEN && output_backlog(conn) && !output_waits(conn);
}

static bool settle_all(struct msrp_stack *stack)
{
	for (struct msrp_conn *c = stack->dirty; c; c = c->next_dirty) {
		if (c->state != CONN_CLOSED && output_settle(c) < 0) {
			msrp_conn_close(c, -ENOMEM);
			return false;
		}
	}
	return true;
}

/* Who hears of a connection's end may write on one that was settled before: from the start then. */
static void settle_dirty(struct msrp_stack *stack)
{
	while (!settle_all(stack))
		;
}

/* What it writes for itself while it is served does not make it dirty. */
static void serve_dirty(struct msrp_conn *conn)
{
	bool again = serve_conn(conn);

	conn->dirty = false;
	if (again)
		msrp_conn_dirty(conn);
}

void msrp_stack_turn(struct msrp_stack *stack)
{
	struct msrp_conn *conn, *first_again = NULL;

	/*
	 * What is made dirty by others meanwhile is served as well, once; who comes up a second
	 * time gets on with the next turn, so that this ends.
	 */
	stack->turning = true;
	stack->turn_number++;
	while ((conn = stack->dirty) && conn != first_again) {
		if (conn->turn == stack->turn_number) {
			next_dirty(stack);
			conn->dirty = false;
			msrp_conn_dirty(conn);
			/* One that was closed meanwhile does not come up a third time. */
			if (!first_again && conn->dirty)
				first_again = conn;
			msrp_conn_unref(conn);
			continue;
		}
		conn->turn = stack->turn_number;
		next_dirty(stack);
		serve_dirty(conn);
		msrp_conn_unref(conn);
	}
	settle_dirty(stack);
	rewind_block(stack, &stack->text);
	rewind_block(stack, &stack->rx);
	recycle_blocks(stack);
	stack->turning = false;
	if (stack->dirty)
		msrp_stack_soon(stack->turn);
}

void msrp_stack_soon(struct event *event)
{
	static const struct timeval now = {0, 0};

	/* event_active() would call it before the sockets have had their turn. */
	evtimer_add(event, &now);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	msrp_stack_turn(arg);
}

static struct msrp_conn *next_again(struct msrp_conn **listp)
{
	struct msrp_conn *conn = *listp;

	if (conn) {
		*listp = conn->next_again;
		conn->again = false;
	}
	return conn;
}

static void on_reading(evutil_socket_t fd, short what, void *arg)
{
	struct msrp_stack *stack = arg;
	struct msrp_conn *list = stack->again, *conn;

	(void)fd;
	(void)what;
	stack->again = NULL;
	while ((conn = next_again(&list))) {
		msrp_conn_readable(conn);
		msrp_conn_unref(conn);
	}
}

/* --- targets --- */

int msrp_target_bind(struct msrp_stack *stack, struct msrp_target *target)
{
	struct slice id = target->uri.session_id;
	struct msrp_target *other;

	if (!id.len)
		return -EINVAL;
	HASH_FIND(hh, stack->targets, id.p, id.len, other);
	if (other)
		return -EEXIST;
	HASH_ADD_KEYPTR(hh, stack->targets, id.p, (unsigned)id.len, target);
	return target->hh.tbl ? 0 : -ENOMEM;
}

void msrp_target_unbind(struct msrp_stack *stack, struct msrp_target *target)
{
	if (target->hh.tbl)
		HASH_DEL(stack->targets, target);
	target->hh.tbl = NULL;
}

void msrp_stack_set_fallback(struct msrp_stack *stack,
    int (*request)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg), void *arg)
{
	stack->fallback = request;
	stack->fallback_arg = arg;
}

struct msrp_target *msrp_target_find(struct msrp_stack *stack, const struct msrp_uri *uri)
{
	struct msrp_target *target;

	if (!uri->session_id.len)
		return NULL;
	HASH_FIND(hh, stack->targets, uri->session_id.p, uri->session_id.len, target);
	return target && msrp_uri_equal(&target->uri, uri) ? target : NULL;
}

int msrp_stack_request(struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_target *target;
	const char *why = "";
	int code = msrp_frame_check(frame, &why);

	if (code) {
		(*stack->count.bad_frames)++;
		log_debug("msrp: conn %" PRIu64 ": %d: %s", conn->number, code, why);
		msrp_conn_reply(conn, code, slice_of(why), (struct slice){NULL, 0});
		/* Its sender waits in vain if it cannot even be told: better no connection. */
		return frame->method == MSRP_REPORT || msrp_frame_answerable(frame) ? 0 : -EBADMSG;
	}
	target = msrp_target_find(stack, &frame->to);
	/* What is meant for TLS is not to be had without, nor the reverse (RFC 4975 5.4, 6). */
	if (target && (target->ops->bridges || target->uri.secure == conn->secure))
		return target->ops->request(target, conn, frame);
	if (stack->fallback && !target)
		return stack->fallback(conn, frame, stack->fallback_arg);
	(*stack->count.unknown_sessions)++;
	log_debug("msrp: conn %" PRIu64 ": 481: no such session", conn->number);
	msrp_conn_reply(conn, 481, SLICE("No such session"), (struct slice){NULL, 0});
	return 0;
}

/* --- memory of bodies --- */

int msrp_stack_charge(struct msrp_stack *stack, size_t bytes)
{
	if (bytes > stack->settings->max_memory
	    || stack->charged > stack->settings->max_memory - bytes)
		return -ENOBUFS;
	stack->charged += bytes;
	*stack->count.body_bytes = stack->charged;
	return 0;
}

void msrp_stack_discharge(struct msrp_stack *stack, size_t bytes)
{
	stack->charged -= bytes;
	*stack->count.body_bytes = stack->charged;
}

/* --- life --- */

#define OF_LIFE(entry) ((struct msrp_conn *)((char *)(entry)-offsetof(struct msrp_conn, life)))
#define OF_SEND(entry) ((struct msrp_conn *)((char *)(entry)-offsetof(struct msrp_conn, send)))

static void on_connect_timeout(struct timer_entry *entry, void *arg)
{
	struct msrp_conn *conn = OF_LIFE(entry);

	(void)arg;
	conn->life_queue = NULL;
	if (!msrp_pool_try_next(conn, -ETIMEDOUT))
		msrp_conn_close(conn, -ETIMEDOUT);
}

static void on_life_timeout(struct timer_entry *entry, void *arg)
{
	struct msrp_conn *conn = OF_LIFE(entry);

	(void)arg;
	conn->life_queue = NULL;
	msrp_conn_close(conn, -ETIMEDOUT);
}

/* The queue's period is idle_timeout; a user may have asked for several of them. */
static void on_idle(struct timer_entry *entry, void *arg)
{
	struct msrp_conn *conn = OF_LIFE(entry);
	struct msrp_stack *stack = arg;
	uint64_t waited = timer_now_ms() - conn->idle_since;

	conn->life_queue = NULL;
	if (waited < (uint64_t)conn->idle_s * 1000)
		msrp_conn_set_life(conn, &stack->idle);
	else
		msrp_conn_close(conn, -ETIMEDOUT);
}

static void on_send_timeout(struct timer_entry *entry, void *arg)
{
	struct msrp_conn *conn = OF_SEND(entry);

	(void)arg;
	log_info("msrp: conn %" PRIu64 ": takes no bytes, closed", conn->number);
	msrp_conn_close(conn, -ETIMEDOUT);
}

static int make_queues(struct msrp_stack *stack)
{
	const struct msrp_settings *s = stack->settings;
	struct event_base *base = stack->base;
	int err = 0;

	err |= timer_queue_init(&stack->connecting, base, s->connect_timeout_ms, on_connect_timeout,
	    stack);
	err |= timer_queue_init(&stack->handshaking, base, s->tls_handshake_timeout_ms,
	    on_life_timeout, stack);
	err |= timer_queue_init(&stack->unbound, base, s->bind_timeout_ms, on_life_timeout, stack);
	err |= timer_queue_init(&stack->idle, base, s->idle_timeout_ms, on_idle, stack);
	err |= timer_queue_init(&stack->sending, base, s->send_timeout_ms, on_send_timeout, stack);
	err |= transactions_init(stack);
	err |= lingers_init(stack);
	return err ? -ENOMEM : 0;
}

static int count_with(struct msrp_counters *c, struct stats *stats)
{
	bool ok = true;

#define COUNTER(field, name, help) ok = (c->field = stats_counter(stats, "msrp", name, help)) && ok
	COUNTER(accepted, "accepted", "connections accepted");
	COUNTER(connected, "connected", "connections opened by msrpd");
	COUNTER(refused, "refused", "connections beyond max_connections, closed at once");
	COUNTER(closed, "closed", "connections closed");
	COUNTER(frames_in, "frames_in", "MSRP frames received");
	COUNTER(frames_out, "frames_out", "MSRP frames sent");
	COUNTER(bytes_in, "bytes_in", "bytes received on MSRP connections, TLS removed");
	COUNTER(bytes_out, "bytes_out", "bytes sent on MSRP connections, before TLS");
	COUNTER(bad_frames, "bad_frames", "frames that were not MSRP, or answered 400");
	COUNTER(stray_responses, "stray_responses", "responses to no request of ours");
	COUNTER(unknown_sessions, "unknown_sessions", "requests for no session of ours");
	COUNTER(timeouts, "timeouts", "requests without a response in transaction_timeout");
#undef COUNTER
	c->open = stats_gauge(stats, "msrp", "connections", "connections open now");
	c->body_bytes =
	    stats_gauge(stats, "msrp", "body_bytes", "bytes of message bodies held now");
	return ok && c->open && c->body_bytes ? 0 : -ENOMEM;
}

/* A server needs a certificate, so without one there is no server context, and msrps listeners fail. */
static int make_tls(const struct msrp_settings *s, SSL_CTX **serverp, SSL_CTX **clientp, char *why,
    size_t size)
{
	struct tls_files files = {
	    .certificate = s->tls.certificate,
	    .private_key = s->tls.private_key,
	    .ca_file = s->tls.ca_file,
	    .min_version = s->tls.min_version,
	    .ciphers = s->tls.ciphers,
	    .ciphersuites = s->tls.ciphersuites,
	};
	SSL_CTX *server = NULL;
	int err;

	if (files.certificate) {
		err = tls_server_new(&server, &files, s->tls.verify_client, why, size);
		if (err < 0)
			return err;
	}
	err = tls_client_new(clientp, &files, why, size);
	if (err < 0) {
		SSL_CTX_free(server);
		return err;
	}
	*serverp = server;
	return 0;
}

int msrp_stack_new(struct msrp_stack **stackp, struct event_base *base,
    const struct msrp_settings *settings, struct stats *stats, char *why, size_t size)
{
	struct msrp_stack *stack = calloc(1, sizeof(*stack));
	int err;

	snprintf(why, size, "out of memory");
	if (!stack)
		return -ENOMEM;
	stack->base = base;
	stack->settings = settings;
	stack->last_dirty = &stack->dirty;
	stack->turn = evtimer_new(base, on_turn, stack);
	stack->reading = evtimer_new(base, on_reading, stack);
	err = stack->turn && stack->reading ? count_with(&stack->count, stats) : -ENOMEM;
	if (err == 0)
		err = make_queues(stack);
	if (err == 0)
		err = make_tls(settings, &stack->server_tls, &stack->client_tls, why, size);
	if (err < 0) {
		msrp_stack_free(stack);
		return err;
	}
	*stackp = stack;
	return 0;
}

static void free_stores(struct msrp_stack *stack)
{
	recycle_blocks(stack);
	if (stack->rx)
		msrp_block_put(stack, stack->rx);
	if (stack->text)
		msrp_block_put(stack, stack->text);
	recycle_blocks(stack);
	for (struct msrp_block *b; (b = stack->free_blocks); free(b))
		stack->free_blocks = b->next;
	for (struct msrp_input *in; (in = stack->free_inputs); free(in))
		stack->free_inputs = in->next;
	for (struct msrp_output *out; (out = stack->free_outputs); output_free(out))
		stack->free_outputs = out->next;
}

void msrp_stack_free(struct msrp_stack *stack)
{
	struct msrp_conn *conn;

	if (!stack)
		return;
	stack->stopping = true;
	while (stack->conns)
		msrp_conn_close(stack->conns, -ESHUTDOWN);
	while ((conn = next_dirty(stack)))
		msrp_conn_unref(conn);
	while ((conn = next_again(&stack->again)))
		msrp_conn_unref(conn);
	lingers_fini(stack);
	msrp_listeners_close(stack);
	msrp_pool_stop(stack);
	transactions_fini(stack);
	timer_queue_fini(&stack->connecting);
	timer_queue_fini(&stack->handshaking);
	timer_queue_fini(&stack->unbound);
	timer_queue_fini(&stack->idle);
	timer_queue_fini(&stack->sending);
	if (stack->turn)
		event_free(stack->turn);
	if (stack->reading)
		event_free(stack->reading);
	free_stores(stack);
	SSL_CTX_free(stack->server_tls);
	SSL_CTX_free(stack->client_tls);
	free(stack);
}

int msrp_stack_reload(struct msrp_stack *stack, const struct msrp_settings *s, char *why,
    size_t size)
{
	SSL_CTX *server = NULL, *client = NULL;
	int err = make_tls(s, &server, &client, why, size);

	if (err < 0)
		return err;
	SSL_CTX_free(stack->server_tls);
	SSL_CTX_free(stack->client_tls);
	stack->server_tls = server;
	stack->client_tls = client;
	stack->settings = s;
	timer_queue_set_period(&stack->connecting, s->connect_timeout_ms);
	timer_queue_set_period(&stack->handshaking, s->tls_handshake_timeout_ms);
	timer_queue_set_period(&stack->unbound, s->bind_timeout_ms);
	timer_queue_set_period(&stack->idle, s->idle_timeout_ms);
	timer_queue_set_period(&stack->sending, s->send_timeout_ms);
	timer_queue_set_period(&stack->answering, s->transaction_timeout_ms);
	return 0;
}

const struct msrp_settings *msrp_stack_settings(const struct msrp_stack *stack)
{
	return stack->settings;
}

struct event_base *msrp_stack_base(const struct msrp_stack *stack)
{
	return stack->base;
}

size_t msrp_stack_connections(const struct msrp_stack *stack)
{
	return stack->conn_count;
}

int msrp_stack_fingerprint(const struct msrp_stack *stack, char *text, size_t size)
{
	return stack->server_tls ? tls_own_fingerprint(stack->server_tls, text, size) : -ENOENT;
}
