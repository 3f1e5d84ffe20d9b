/* The connection to Redis: opened, opened again, and never waited for. */
#include "cluster/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/adapters/libevent.h>

#include "base/log.h"

enum {
	ANSWER_MS = 1000,  /* nobody waits longer */
	OPENING_MS = 2000, /* from the socket to the last script */
	RETRY_FIRST_MS = 100,
	RETRY_LAST_MS = 10000,
	UNDER_WAY_MAX = 4096,
	ARGS_MAX = 4 + 256,
};

struct request {
	struct timer_entry timeout;
	struct redis *redis;
	redis_fn *fn; /* NULL: nobody asks */
	void *arg;
};

static void open_next(void *arg);

static const char *url_of(const struct redis *redis)
{
	return ((char *const *)redis->settings->redis.items)[redis->place];
}

/* Without what nobody is to read. */
static struct slice told_url(const struct redis *redis)
{
	struct slice url = slice_of(url_of(redis));
	const char *at = memrchr(url.p, '@', url.len);

	return at ? slice_from(url, (size_t)(at + 1 - url.p)) : url;
}

/* --- losing it --- */

static void lose(struct redis *redis, const char *why)
{
	redisAsyncContext *context = redis->context;

	if (redis->state == REDIS_AWAY && !context)
		return;
	redis->state = REDIS_AWAY;
	redis->context = NULL;
	*redis->count.connected = 0;
	timer_stop(&redis->opening);
	if (!redis->said)
		log_warn("cluster: redis %.*s: %s: what is new is served by this node alone",
		    SLICE_ARG(told_url(redis)), why);
	redis->said = true;
	redis->place = (redis->place + 1) % redis->settings->redis.count;
	if (++redis->tried < redis->settings->redis.count) {
		timer_start(&redis->retry, 0);
	} else {
		redis->tried = 0;
		timer_start(&redis->retry, redis->retry_ms);
		redis->retry_ms *= 2;
		if (redis->retry_ms > RETRY_LAST_MS)
			redis->retry_ms = RETRY_LAST_MS;
	}
	if (context)
		redisAsyncFree(context); /* each of its requests is told */
}

/* --- requests --- */

static void on_reply(redisAsyncContext *context, void *answer, void *arg)
{
	struct request *request = arg;
	struct redis *redis = request->redis;
	const redisReply *reply = answer;
	redis_fn *fn = request->fn;
	void *fn_arg = request->arg;

	(void)context;
	timer_queue_stop(&redis->answers, &request->timeout);
	redis->under_way--;
	free(request);
	if (reply && reply->type == REDIS_REPLY_ERROR)
		++*redis->count.errors;
	if (fn)
		fn(reply, fn_arg);
}

static void on_timeout(struct timer_entry *entry, void *arg)
{
	struct redis *redis = arg;

	(void)entry; /* it ends with the connection, as do all that came after it */
	++*redis->count.timeouts;
	lose(redis, "does not answer");
}

/* @return 0, -ENOTCONN, -EBUSY, -ENOMEM */
static int ask(struct redis *redis, size_t argc, const char **argv, const size_t *lengths,
    redis_fn *fn, void *arg)
{
	struct request *request;

	if (!redis->context)
		return -ENOTCONN;
	if (redis->under_way >= UNDER_WAY_MAX)
		return -EBUSY;
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	request->redis = redis;
	request->fn = fn;
	request->arg = arg;
	if (redisAsyncCommandArgv(redis->context, on_reply, request, (int)argc, argv, lengths)
	    != REDIS_OK) {
		free(request);
		return -ENOTCONN;
	}
	++*redis->count.commands;
	redis->under_way++;
	timer_queue_start(&redis->answers, &request->timeout);
	return 0;
}

/* What Redis will say to all that it is asked: it is loading, or another one is the master now. */
static bool is_unusable(const redisReply *reply)
{
	static const char *const words[] = {"READONLY", "LOADING", "NOSCRIPT", "MASTERDOWN",
	    "NOAUTH", "NOPERM", "UNKILLABLE", "BUSY", "MISCONF"};
	struct slice text;

	if (!reply || reply->type != REDIS_REPLY_ERROR)
		return false;
	text = (struct slice){reply->str, (size_t)reply->len};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_starts_nocase(text, slice_of(words[i])))
			return true;
	return false;
}

/* A request of a script, which has to see first what concerns the connection. */
struct run {
	struct redis *redis;
	redis_fn *fn;
	void *arg;
};

static void on_run(const redisReply *reply, void *arg)
{
	struct run *run = arg;
	struct redis *redis = run->redis;
	char why[128];

	if (is_unusable(reply) && redis->state == REDIS_READY) {
		snprintf(why, sizeof(why), "%.*s", (int)reply->len, reply->str);
		if (run->fn)
			run->fn(NULL, run->arg);
		free(run);
		lose(redis, why);
		return;
	}
	if (run->fn)
		run->fn(reply && reply->type != REDIS_REPLY_ERROR ? reply : NULL, run->arg);
	free(run);
}

int redis_run(struct redis *redis, const struct redis_call *call, redis_fn *fn, void *arg)
{
	const char *argv[ARGS_MAX];
	size_t lengths[ARGS_MAX];
	char keys[24];
	struct run *run;
	int err;

	if (redis->state != REDIS_READY)
		return -ENOTCONN;
	if (call->count + 3 > ARGS_MAX)
		return -EMSGSIZE;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	*run = (struct run){redis, fn, arg};
	snprintf(keys, sizeof(keys), "%zu", call->keys);
	argv[0] = "EVALSHA";
	argv[1] = redis->shas[call->script];
	argv[2] = keys;
	for (size_t i = 0; i < 3; i++)
		lengths[i] = strlen(argv[i]);
	for (size_t i = 0; i < call->count; i++) {
		argv[3 + i] = call->args[i].p ? call->args[i].p : "";
		lengths[3 + i] = call->args[i].len;
	}
	err = ask(redis, call->count + 3, argv, lengths, on_run, run);
	if (err < 0)
		free(run);
	return err;
}

/* --- opening it --- */

static void become_ready(struct redis *redis)
{
	timer_stop(&redis->opening);
	redis->state = REDIS_READY;
	*redis->count.connected = 1;
	++*redis->count.connects;
	redis->proven = false;
	redis->ready(redis->arg);
}

void redis_prove(struct redis *redis)
{
	if (redis->proven)
		return;
	redis->proven = true;
	redis->said = false;
	redis->tried = 0;
	redis->retry_ms = RETRY_FIRST_MS;
	log_info("cluster: redis %.*s: in use", SLICE_ARG(told_url(redis)));
}

/* Whatever it says to what it was asked first: who we are, which database, the scripts. */
static void on_step(const redisReply *reply, void *arg)
{
	struct redis *redis = arg;
	char why[128];

	if (redis->state != REDIS_OPENING)
		return;
	if (!reply) {
		lose(redis, "closed the connection");
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		/* "ERR unknown command 'AUTH', with args beginning with: …", the password namely */
		struct slice said = {reply->str, (size_t)reply->len}, what;

		slice_cut(&said, ',', &what);
		snprintf(why, sizeof(why), "%.*s", SLICE_ARG(what));
		lose(redis, why);
		return;
	}
	if (redis->steps <= SCRIPTS)
		snprintf(redis->shas[SCRIPTS - redis->steps], sizeof(redis->shas[0]), "%.*s",
		    SLICE_ARG(redis_text(reply)));
	if (--redis->steps == 0)
		become_ready(redis);
}

static int ask_step(struct redis *redis, size_t argc, const char **argv)
{
	size_t lengths[3];

	for (size_t i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis->steps++;
	return ask(redis, argc, argv, lengths, on_step, redis);
}

static int ask_steps_at(struct redis *redis, const struct redis_place *place)
{
	const char *password = place->password[0] ? place->password : redis->settings->password;
	char number[16];
	int err = 0;

	snprintf(number, sizeof(number), "%u", place->database);
	redis->steps = 0;
	if (password && place->user[0])
		err = ask_step(redis, 3, (const char *[]){"AUTH", place->user, password});
	else if (password)
		err = ask_step(redis, 2, (const char *[]){"AUTH", password});
	if (err == 0)
		err = ask_step(redis, 2, (const char *[]){"SELECT", number});
	for (size_t i = 0; err == 0 && i < SCRIPTS; i++)
		err = ask_step(redis, 3, (const char *[]){"SCRIPT", "LOAD", redis_scripts[i]});
	return err;
}

/* All at once: it may be far away. */
static void ask_steps(struct redis *redis)
{
	struct redis_place place;
	struct reason ignored;

	redis_place_parse(&place, slice_of(url_of(redis)), &ignored); /* as it was checked */
	if (ask_steps_at(redis, &place) < 0)
		lose(redis, "out of memory");
	explicit_bzero(&place, sizeof(place));
}

/* hiredis frees the context itself after either of these. */
static void on_connected(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;
	char why[128];

	if (redis->context != context)
		return;
	if (status == REDIS_OK) {
		ask_steps(redis);
		return;
	}
	snprintf(why, sizeof(why), "%s", context->errstr ? context->errstr : "no connection");
	redis->context = NULL;
	redis->state = REDIS_OPENING;
	lose(redis, why);
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;
	char why[128];

	(void)status;
	if (redis->context != context)
		return;
	snprintf(why, sizeof(why), "%s", context->errstr ? context->errstr : "closed");
	redis->context = NULL;
	lose(redis, why);
}

static void on_opening_over(void *arg)
{
	lose(arg, "does not answer");
}

static void open_next(void *arg)
{
	struct redis *redis = arg;
	struct redis_place place;
	struct reason ignored;
	redisAsyncContext *context;
	uint16_t port;

	redis_place_parse(&place, slice_of(url_of(redis)), &ignored);
	port = place.port;
	context = place.port ? redisAsyncConnect(place.host, place.port)
			     : redisAsyncConnectUnix(place.host);
	explicit_bzero(&place, sizeof(place));
	redis->state = REDIS_OPENING;
	if (!context || context->err) {
		char why[128];

		snprintf(why, sizeof(why), "%s", context ? context->errstr : "out of memory");
		if (context)
			redisAsyncFree(context);
		lose(redis, why);
		return;
	}
	redis->context = context;
	context->data = redis;
	if (port) /* an error otherwise, which stays */
		redisEnableKeepAlive(&context->c);
	redisLibeventAttach(context, redis->base);
	redisAsyncSetConnectCallback(context, on_connected);
	redisAsyncSetDisconnectCallback(context, on_disconnected);
	timer_start(&redis->opening, OPENING_MS);
}

/* --- life --- */

int redis_init(struct redis *redis, struct event_base *base,
    const struct cluster_settings *settings, void (*ready)(void *arg), void *arg)
{
	int err = timer_init(&redis->retry, base, open_next, redis);

	redis->base = base;
	redis->settings = settings;
	redis->retry_ms = RETRY_FIRST_MS;
	redis->ready = ready;
	redis->arg = arg;
	if (err == 0)
		err = timer_init(&redis->opening, base, on_opening_over, redis);
	if (err == 0)
		err = timer_queue_init(&redis->answers, base, ANSWER_MS, on_timeout, redis);
	if (err == 0)
		timer_start(&redis->retry, 0);
	return err;
}

void redis_fini(struct redis *redis)
{
	redis->said = true;
	if (redis->context && redis->base)
		lose(redis, "");
	timer_fini(&redis->retry);
	timer_fini(&redis->opening);
	timer_queue_fini(&redis->answers);
}
