/*
 * What other nodes tell of an address-of-record, a line each: whatever stands there, what is kept of
 * it can be told again, as it came, and is the same then.
 */
#include <stdint.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/stats.h"
#include "event/bus.h"
#include "registrar/priv.h"
#include "cluster_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice alice = SLICE("alice@example.org");
static struct cluster *const some_cluster = (struct cluster *)&some_cluster;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* --- a Redis that knows one record --- */

static struct {
	struct cluster_record record;
	struct cluster_line lines[CLUSTER_LINES_MAX];
	struct buffer text;
	cluster_record_fn *fn;
	void *arg;
} redis;

static void note(struct cluster_line *line, struct slice text)
{
	*line = (struct cluster_line){.process = SLICE("a 1"), .text = text, .sip = SLICE("sip:a")};
}

static struct cluster_question *ask(cluster_record_fn *fn, void *arg)
{
	must(!redis.fn);
	redis.fn = fn;
	redis.arg = arg;
	return (struct cluster_question *)(void *)&redis;
}

struct cluster_question *cluster_record_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_record_fn *fn, void *arg)
{
	(void)cluster;
	(void)kind;
	(void)key;
	return ask(fn, arg);
}

struct cluster_question *cluster_record_write(struct cluster *cluster, const char *kind,
    struct slice key, const struct cluster_writing *writing, cluster_record_fn *fn, void *arg)
{
	size_t len = 0;

	(void)cluster;
	(void)kind;
	(void)key;
	for (size_t i = 0; i < writing->count; i++)
		len += writing->lines[i].text.len;
	redis.text.len = 0;
	buffer_reserve(&redis.text, len + 1);
	redis.record.count = writing->count;
	for (size_t i = 0; i < writing->count; i++) {
		size_t from = redis.text.len;

		must(!memchr(writing->lines[i].text.p, '\n', writing->lines[i].text.len));
		buffer_add(&redis.text, writing->lines[i].text);
		note(&redis.lines[i], slice_from(buffer_text(&redis.text), from));
	}
	return ask(fn, arg);
}

void cluster_question_drop(struct cluster_question *question)
{
	if (question)
		redis.fn = NULL;
}

static void answer(bool written)
{
	struct cluster_record record = redis.record;
	cluster_record_fn *fn = redis.fn;

	must(fn != NULL);
	redis.fn = NULL;
	record.written = written;
	record.version = ++redis.record.version;
	fn(&record, redis.arg);
}

/* --- a registrar that asks it --- */

struct world {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct registrar_settings settings;
	struct registrar *r;
};

static void start(struct world *w)
{
	struct service_env env = {.cluster = some_cluster};
	struct reason why;
	void *r;

	w->base = event_base_new();
	must(w->base && stats_new(&w->stats) == 0 && event_bus_new(&w->bus) == 0);
	must(event_bus_add_types(w->bus, registrar_service.events) == 0);
	w->settings = (struct registrar_settings){.given = true,
	    .max_contacts = CONTACTS_MAX,
	    .max_expires_ms = 3600000};
	env.base = w->base;
	env.bus = w->bus;
	env.stats = w->stats;
	must(registrar_service.start(&env, &w->settings, &r, &why) == 0);
	w->r = r;
}

static void stop(struct world *w)
{
	registrar_service.stop(w->r);
	event_bus_free(w->bus);
	stats_free(w->stats);
	event_base_free(w->base);
	buffer_fini(&redis.text);
}

static void on_done(struct share *share, enum share_result result)
{
	(void)share;
	must(result == SHARE_SEEN || result == SHARE_WRITTEN);
}

static void read_record(struct world *w)
{
	struct share share = {.done = on_done};

	share_init(&share, w->r, alice);
	must(share_read(&share) == 0);
	answer(false);
}

static void write_record(struct world *w, const struct aor *aor)
{
	struct share share = {.done = on_done};

	share_init(&share, w->r, alice);
	must(share_write(&share, aor, NULL, 0) == 0);
	answer(true);
}

static size_t check_known(struct world *w)
{
	const struct aor *aor = aor_find(w->r, alice);
	const struct binding *b;
	struct sip_place place;

	if (!aor)
		return 0;
	must(aor->count <= redis.record.count);
	TAILQ_FOREACH(b, &aor->bindings, entry)
		must(b->terms.contact.p && b->terms.q <= Q_MAX && !binding_is_own(b));
	aor_best(aor, false, &place);
	aor_best(aor, true, &place);
	return aor->count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = {(const char *)data, size}, line;
	struct world w;
	size_t known;

	redis.text = (struct buffer){.max = BUFFER_UNBOUNDED};
	redis.record = (struct cluster_record){.born_us = 1, .now_ms = 1000, .lines = redis.lines};
	while (redis.record.count < CLUSTER_LINES_MAX && slice_cut(&rest, '\n', &line))
		note(&redis.lines[redis.record.count++], line);
	start(&w);
	read_record(&w);
	known = check_known(&w);
	if (known) {
		write_record(&w, aor_find(w.r, alice));
		read_record(&w);
		must(check_known(&w) == known);
	}
	stop(&w);
	return 0;
}
