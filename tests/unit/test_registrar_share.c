/* What other nodes have told of an address-of-record, with a Redis that says what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include <msrpd/buffer.h>
#include <msrpd/page.h>
#include <msrpd/stats.h>

#include "base/stats.h"
#include "event/bus.h"
#include "registrar/priv.h"
#include "cluster_fake.h"

#define ALICE  "alice@example.org"
#define ABSENT ((struct slice){NULL, 0})

/* Of a line: share.c. */
enum { USER = 1, DUE = 3, CONTACT = 6, WORDS = 14 };

static struct cluster *const some_cluster = (struct cluster *)&some_cluster;

struct sip_request {
	const char *contact, *expires;
	struct sip_flow *flow;
	int code;
};

struct fixture {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct registrar_settings settings;
	struct registrar *r;
	uint64_t born_us, version; /* of the record */
	size_t told[ENDS];         /* that a contact has ended */
	struct event_subscriber subscriber;
};

/* What Redis is asked, until answer() says what it says; whether that would write, and how much. */
static struct {
	cluster_record_fn *fn;
	void *arg;
	bool writes;
	size_t count;
	char contacts[1024]; /* "sip:a@h sip:b@h " */
	char user[SIP_FLOW_USER_SIZE];
} asked;

/* --- requests --- */

struct slice sip_request_field(const struct sip_request *req, enum sip_field field)
{
	switch (field) {
	case SIP_FIELD_METHOD:
		return SLICE("REGISTER");
	case SIP_FIELD_TO_URI:
		return SLICE("sip:" ALICE);
	case SIP_FIELD_AUTH_USER:
		return SLICE("alice");
	case SIP_FIELD_CALL_ID:
		return slice_of(req->contact); /* one of its own for each */
	default:
		return ABSENT;
	}
}

struct slice sip_request_header(const struct sip_request *req, struct slice name)
{
	return slice_equal_nocase(name, SLICE("Expires")) ? slice_of(req->expires) : ABSENT;
}

struct slice sip_request_contact(const struct sip_request *req, size_t index)
{
	return index == 0 ? slice_of(req->contact) : ABSENT;
}

bool sip_request_is_damaged(const struct sip_request *req, struct slice name)
{
	(void)req;
	(void)name;
	return false;
}

bool sip_request_host_is_ours(const struct sip_request *req, struct slice host)
{
	(void)req;
	(void)host;
	return true;
}

bool sip_request_uri_is_ours(const struct sip_request *req, struct slice uri,
    const struct setting_list *names)
{
	(void)req;
	(void)names;
	(void)uri;
	return false;
}

struct slice sip_request_header_at(const struct sip_request *req, struct slice name, size_t index)
{
	(void)req;
	(void)name;
	(void)index;
	return ABSENT;
}

struct sip_flow *sip_request_flow(const struct sip_request *req)
{
	return req->flow;
}

struct sip_flow *sip_request_keep_flow(const struct sip_request *req)
{
	return req->flow;
}

void sip_request_set_nated(struct sip_request *req)
{
	(void)req;
}

bool sip_request_is_nated(const struct sip_request *req)
{
	(void)req;
	return false;
}

bool sip_request_is_direct(const struct sip_request *req)
{
	(void)req;
	return true;
}

int sip_request_path(const struct sip_request *req, struct buffer *w, bool *keeps_flows)
{
	(void)req;
	(void)w;
	(void)keeps_flows;
	return 0;
}

int sip_request_reply(struct sip_request *req, int code, struct slice reason, struct slice headers)
{
	(void)reason;
	(void)headers;
	req->code = code;
	return 0;
}

bool sip_request_answered(const struct sip_request *req)
{
	return req->code != 0;
}

struct sip_request *sip_request_ref(struct sip_request *req)
{
	return req;
}

void sip_request_unref(struct sip_request *req)
{
	(void)req;
}

int sip_request_set_target(struct sip_request *req, const struct sip_place *place)
{
	(void)req;
	(void)place;
	return -EINVAL;
}

int sip_request_authorize(struct sip_request *req, struct slice realm,
    const struct sip_digests *digests)
{
	(void)req;
	(void)realm;
	(void)digests;
	return -EACCES;
}

/* --- connections: open until the test says that one has died --- */

struct sip_flow {
	struct sip_flow_watch *watch;
};

void sip_flow_unref(struct sip_flow *flow)
{
	(void)flow;
}

bool sip_flow_is_by_udp(const struct sip_flow *flow)
{
	(void)flow;
	return false;
}

bool sip_flow_is_alive(const struct sip_flow *flow)
{
	(void)flow;
	return true;
}

void sip_flow_user(const struct sip_flow *flow, char user[SIP_FLOW_USER_SIZE])
{
	(void)flow;
	strcpy(user, "flow");
}

struct slice sip_flow_write_uri(struct buffer *w, struct slice sip, struct slice user,
    struct slice from)
{
	(void)w;
	(void)from;
	return user.p ? sip : ABSENT;
}

void sip_flow_watch_start(struct sip_flow_watch *watch, struct sip_flow *flow)
{
	flow->watch = watch;
	watch->flow = flow;
}

void sip_flow_watch_stop(struct sip_flow_watch *watch)
{
	watch->flow = NULL;
}

/* --- MESSAGEs that rules have no say in: none here --- */

void page_set_finder(struct page *page, page_finder *find, void *arg)
{
	(void)page;
	(void)find;
	(void)arg;
}

void page_found(struct page_waiter *waiter, const struct sip_place *place)
{
	(void)waiter;
	(void)place;
}

/* --- the cluster --- */

static struct cluster_question *ask(bool writes, size_t count, cluster_record_fn *fn, void *arg)
{
	assert_null(asked.fn);
	asked.fn = fn;
	asked.arg = arg;
	asked.writes = writes;
	asked.count = count;
	return (struct cluster_question *)(void *)&asked;
}

struct cluster_question *cluster_record_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_record_fn *fn, void *arg)
{
	(void)cluster;
	assert_string_equal(kind, "aor");
	assert_true(slice_equal(key, SLICE(ALICE)));
	return ask(false, 0, fn, arg);
}

/* What would be written is noted. */
static void note_line(struct buffer *contacts, const struct cluster_line *line)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct slice words[WORDS];

	buffer_reserve(&w, line->text.len);
	assert_int_equal(cluster_words_read(&w, line->text, words, WORDS), WORDS);
	buffer_printf(contacts, "%.*s ", SLICE_ARG(words[CONTACT]));
	snprintf(asked.user, sizeof(asked.user), "%.*s", SLICE_ARG(words[USER]));
	assert_true(!words[USER].p == !line->process.p);
	buffer_fini(&w);
}

struct cluster_question *cluster_record_write(struct cluster *cluster, const char *kind,
    struct slice key, const struct cluster_writing *writing, cluster_record_fn *fn, void *arg)
{
	struct buffer contacts = BUFFER_ON(asked.contacts);

	(void)cluster;
	(void)kind;
	(void)key;
	for (size_t i = 0; i < writing->count; i++)
		note_line(&contacts, &writing->lines[i]);
	buffer_add_char(&contacts, '\0');
	return ask(true, writing->count, fn, arg);
}

void cluster_question_drop(struct cluster_question *question)
{
	if (question)
		asked.fn = NULL;
}

static void answer(const struct cluster_record *record)
{
	cluster_record_fn *fn = asked.fn;

	assert_non_null(fn);
	asked.fn = NULL;
	fn(record, asked.arg);
}

/* --- what Redis says --- */

/* Of these contacts, which came to node a. */
static void tell_contacts(struct fixture *f, const char *const *contacts, size_t count)
{
	struct buffer texts = {.max = BUFFER_UNBOUNDED};
	struct cluster_line lines[CLUSTER_LINES_MAX];
	const struct cluster_record record = {.born_us = f->born_us,
	    .version = ++f->version,
	    .now_ms = timer_now_ms(),
	    .lines = lines,
	    .count = count};
	char due[32];

	buffer_reserve(&texts, CLUSTER_LINES_MAX * 256);
	snprintf(due, sizeof(due), "%llu", (unsigned long long)record.now_ms + 60000);
	for (size_t i = 0; i < count; i++) {
		struct slice words[WORDS] = {SLICE("a 1"), ABSENT, SLICE("1"), ABSENT, SLICE("1"),
		    ABSENT};
		size_t start = texts.len;

		words[DUE] = slice_of(due);
		words[CONTACT] = slice_of(contacts[i]);
		words[CONTACT + 1] = SLICE("there");
		cluster_words_write(&texts, words, WORDS);
		lines[i] = (struct cluster_line){.text = slice_from(buffer_text(&texts), start)};
	}
	assert_int_equal(texts.err, 0);
	answer(&record);
	buffer_fini(&texts);
}

/* sip:FIRST@h and following. */
static void tell_lines(struct fixture *f, size_t first, size_t count)
{
	char texts[CLUSTER_LINES_MAX][32];
	const char *contacts[CLUSTER_LINES_MAX];

	for (size_t i = 0; i < count; i++) {
		snprintf(texts[i], sizeof(texts[i]), "sip:%zu@h", first + i);
		contacts[i] = texts[i];
	}
	tell_contacts(f, contacts, count);
}

static void tell_written(struct fixture *f)
{
	assert_true(asked.writes);
	answer(&(struct cluster_record){.written = true,
	    .born_us = f->born_us,
	    .version = ++f->version,
	    .now_ms = timer_now_ms()});
}

/* --- the registrar --- */

static void on_event(const struct event_notice *event, void *arg)
{
	static const char *const reasons[ENDS] =
	    {[END_EXPIRED] = "expired", [END_REMOVED] = "removed", [END_FAILED] = "failed"};
	struct fixture *f = arg;

	if (event->type != &registration_end)
		return;
	for (size_t i = 0; i < ENDS; i++)
		f->told[i] += slice_equal(event->params[2].text, slice_of(reasons[i]));
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct service_env env = {0};
	struct reason why;
	void *r = NULL;

	f->base = event_base_new();
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(event_bus_new(&f->bus), 0);
	assert_int_equal(event_bus_add_types(f->bus, registrar_service.events), 0);
	f->subscriber = (struct event_subscriber){.mask = EVENT_ALL, .fn = on_event, .arg = f};
	event_bus_subscribe(f->bus, &f->subscriber);
	f->settings = (struct registrar_settings){.given = true,
	    .max_contacts = CONTACTS_MAX,
	    .max_expires_ms = 3600000,
	    .default_expires_ms = 3600000};
	env.base = f->base;
	env.bus = f->bus;
	env.stats = f->stats;
	env.cluster = some_cluster;
	f->born_us = 1;
	asked.fn = NULL;
	assert_int_equal(registrar_service.start(&env, &f->settings, &r, &why), 0);
	f->r = r;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	registrar_service.stop(f->r);
	event_bus_unsubscribe(&f->subscriber);
	event_bus_free(f->bus);
	stats_free(f->stats);
	event_base_free(f->base);
	libevent_global_shutdown();
	test_free(f);
	return 0;
}

static size_t contacts(struct fixture *f)
{
	const struct aor *aor = aor_find(f->r, SLICE(ALICE));

	return aor ? aor->count : 0;
}

static void ask_all(struct fixture *f, struct sip_request *req)
{
	*req = (struct sip_request){.contact = "*", .expires = "0"};
	register_save(f->r, req);
}

/* --- cases --- */

/* As many as there may be: this node's, and all that a record has. */
static void all_of_all_nodes_go_at_once(void **state)
{
	struct fixture *f = *state;
	struct sip_request req[CONTACTS_MAX + 1];
	char contact[CONTACTS_MAX][32];

	for (size_t i = 0; i < CONTACTS_MAX; i++) {
		snprintf(contact[i], sizeof(contact[i]), "<sip:own%zu@h>", i);
		req[i] = (struct sip_request){.contact = contact[i]};
		register_save(f->r, &req[i]);
		if (!asked.writes)
			tell_lines(f, 0, 0);
		tell_written(f);
		assert_int_equal(req[i].code, 200);
	}
	assert_int_equal(contacts(f), CONTACTS_MAX);
	ask_all(f, &req[CONTACTS_MAX]);
	f->born_us++; /* Redis has lost it, and others have written theirs anew */
	tell_lines(f, 0, CLUSTER_LINES_MAX);
	assert_int_equal(contacts(f), CONTACTS_MAX + CLUSTER_LINES_MAX);
	assert_int_equal(asked.count, 0);
	tell_written(f);
	assert_int_equal(req[CONTACTS_MAX].code, 200);
	assert_int_equal(contacts(f), 0);
}

/*
 * RFC 3261 19.1.4: two that differ in a parameter may both be the same as a third, that lacks it.
 * Who wrote the record has kept them apart, and so does who reads it.
 */
static void those_of_one_record_do_not_replace_each_other(void **state)
{
	static const char *const told[] = {"sip:a@h", "sip:a@h;x=2", "sip:a@h;x=1"};
	struct fixture *f = *state;
	struct sip_request req = {.contact = NULL};

	register_save(f->r, &req);
	tell_contacts(f, told, 3);
	assert_int_equal(contacts(f), 3);
	for (size_t i = 0; i < 3; i++) { /* also once they are known, in whatever order */
		req = (struct sip_request){.contact = NULL};
		register_save(f->r, &req);
		tell_contacts(f, told + i, 3 - i);
		assert_int_equal(contacts(f), 3 - i);
	}
	/* One that is told anew comes in place of the old, and of no other. */
	req = (struct sip_request){.contact = "<sip:a@h;x=1>"};
	register_save(f->r, &req);
	tell_contacts(f, told, 3);
	assert_string_equal(asked.contacts, "sip:a@h;x=1 sip:a@h;x=2 sip:a@h ");
	tell_written(f);
	assert_int_equal(contacts(f), 3);
	/* Twice is once. */
	req = (struct sip_request){.contact = NULL};
	register_save(f->r, &req);
	tell_contacts(f, (const char *const[]){"sip:b@h", "sip:b@h"}, 2);
	assert_int_equal(contacts(f), 1);
}

/* How far Redis' clock is ahead, once it was said to be so far behind ours, fifty seconds later. */
static int64_t clock_after(struct fixture *f, uint64_t behind_ms)
{
	struct sip_request req = {.contact = NULL};

	register_save(f->r, &req);
	LIST_FIRST(&f->r->shares)->asked_ms -= 50000;
	answer(&(struct cluster_record){.now_ms = timer_now_ms() - behind_ms});
	return (int64_t)f->r->clock_ms;
}

/* What others have written would seem newer than it is. */
static void an_answer_that_was_late_moves_no_clock(void **state)
{
	enum { NEARLY_MS = 10000 };
	struct fixture *f = *state;
	struct sip_request req = {.contact = NULL};

	register_save(f->r, &req);
	tell_lines(f, 0, 0);
	assert_in_range(clock_after(f, 0) + NEARLY_MS, 0, 2 * NEARLY_MS);
	assert_in_range(clock_after(f, 30000) + NEARLY_MS, 0, 2 * NEARLY_MS);
	/* It was put back, or forward, after all. */
	assert_in_range(clock_after(f, 90000) + 40000 + NEARLY_MS, 0, 2 * NEARLY_MS);
	assert_in_range(clock_after(f, 0) + NEARLY_MS, 0, 2 * NEARLY_MS);
}

/* --- without the others --- */

static void alone_it_decides(void **state)
{
	struct fixture *f = *state;
	struct sip_request req = {.contact = "<sip:a@h>"};

	register_save(f->r, &req);
	answer(NULL);
	assert_int_equal(req.code, 200);
	assert_int_equal(contacts(f), 1);
	assert_int_equal(*f->r->count.alone, 1);
}

/* Once it knows what they know, it has its contacts in there. */
static void what_they_missed_is_written(void **state)
{
	struct fixture *f = *state;
	struct sip_request req = {.contact = "<sip:a@h>"};

	register_save(f->r, &req);
	answer(NULL);
	f->r->watch.anew(&f->r->watch, false); /* Redis is back */
	tell_lines(f, 0, 1);
	assert_string_equal(asked.contacts, "sip:a@h sip:0@h ");
	tell_written(f);
	assert_null(asked.fn);
	f->r->watch.anew(&f->r->watch, false);
	assert_null(asked.fn);                /* they know */
	f->r->watch.anew(&f->r->watch, true); /* it has lost all */
	f->born_us++;
	tell_lines(f, 0, 0);
	assert_string_equal(asked.contacts, "sip:a@h ");
	tell_written(f);
	/* Or they have it back from somebody who asks for her. */
	f->born_us++;
	req = (struct sip_request){.contact = NULL};
	register_save(f->r, &req);
	tell_lines(f, 0, 0);
	tell_lines(f, 0, 0); /* it is read again, to be written */
	assert_string_equal(asked.contacts, "sip:a@h ");
	tell_written(f);
	assert_int_equal(contacts(f), 1);
}

static void no_more_is_written_than_a_record_has(void **state)
{
	struct fixture *f = *state;
	struct sip_request req = {.contact = "<sip:own@h>"};

	register_save(f->r, &req);
	answer(NULL);
	f->r->watch.anew(&f->r->watch, true);
	tell_lines(f, 0, CLUSTER_LINES_MAX);
	assert_int_equal(contacts(f), CLUSTER_LINES_MAX + 1);
	assert_int_equal(asked.count, CLUSTER_LINES_MAX);
	tell_written(f);
}

/* What is under way at the end is left, and answered to nobody. */
static void a_stop_leaves_questions(void **state)
{
	struct fixture *f = *state;
	struct sip_request req = {.contact = "<sip:a@h>"};

	register_save(f->r, &req);
	assert_non_null(asked.fn);
	assert_int_equal(req.code, 0);
}

/* --- connections --- */

static void connect_as(struct fixture *f, struct sip_flow *flow, const char *contact)
{
	struct sip_request req = {.contact = contact, .flow = flow};

	register_save(f->r, &req);
	if (!asked.writes)
		tell_lines(f, 0, 0);
	assert_string_equal(asked.user, "flow");
	tell_written(f);
	assert_int_equal(req.code, 200);
}

static void die(struct sip_flow *flow)
{
	flow->watch->died(flow->watch);
}

/* Unless another node has it by now. */
static void a_lost_connection_is_told_once_the_others_agree(void **state)
{
	struct fixture *f = *state;
	struct sip_flow one = {NULL}, two = {NULL}, three = {NULL};

	connect_as(f, &one, "<sip:0@h>");
	connect_as(f, &two, "<sip:two@h>");
	connect_as(f, &three, "<sip:three@h>");
	die(&one);
	assert_int_equal(f->told[END_FAILED], 0);
	die(&two); /* while that is being settled: once more */
	f->born_us++;
	tell_lines(f, 0, 1);
	assert_int_equal(f->told[END_FAILED], 1);
	assert_string_equal(asked.contacts, "sip:three@h sip:0@h ");
	tell_written(f);
	f->born_us++;
	tell_lines(f, 0, 1); /* again, for the second one */
	assert_string_equal(asked.contacts, "sip:three@h sip:0@h ");
	tell_written(f);
	assert_int_equal(f->told[END_FAILED], 1);
	/* Redis is away: it ends here alone. */
	die(&three);
	answer(NULL);
	assert_int_equal(f->told[END_FAILED], 2);
	assert_int_equal(contacts(f), 1);
}

/* --- by command --- */

struct result {
	struct reply reply;
	int code; /* 0: OK */
};

static void on_text(struct reply *reply, const char *key, struct slice text)
{
	(void)reply;
	(void)key;
	assert_true(slice_equal(text, SLICE("OK")));
}

static void on_error(struct reply *reply, int code, const char *message)
{
	(void)message;
	((struct result *)reply)->code = code;
}

static const struct reply_ops reply_ops = {.text = on_text, .error = on_error};

/* @return 0 or its error */
static int remove_contact(struct fixture *f, const char *contact)
{
	const struct method *method = registrar_service.methods;
	const struct param params[] = {{.present = true, .text = SLICE(ALICE)},
	    {.present = contact, .text = slice_of(contact)}};
	struct result result = {.reply = {&reply_ops}};

	while (strcmp(method->name, "registrar_remove") != 0)
		method++;
	method->call(params, &result.reply, f->r);
	return result.code;
}

static void one_or_all_are_removed_everywhere(void **state)
{
	struct fixture *f = *state;
	struct sip_request req = {.contact = NULL};

	register_save(f->r, &req); /* it asks where she is */
	tell_lines(f, 0, 2);
	assert_int_equal(req.code, 200);
	/* None of them is called that. */
	assert_int_equal(remove_contact(f, ""), 404);
	tell_lines(f, 0, 2);
	assert_int_equal(contacts(f), 2);
	assert_null(asked.fn);
	assert_int_equal(remove_contact(f, "sip:0@h"), 0);
	assert_int_equal(contacts(f), 1);
	tell_lines(f, 0, 2);
	assert_int_equal(asked.count, 1);
	tell_written(f);
	/* One that came to another node since goes as well. */
	assert_int_equal(remove_contact(f, NULL), 0);
	tell_lines(f, 1, 2);
	assert_int_equal(asked.count, 0);
	tell_written(f);
	assert_int_equal(contacts(f), 0);
}

int main(void)
{
#define SHARE_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    SHARE_CASE(all_of_all_nodes_go_at_once),
	    SHARE_CASE(those_of_one_record_do_not_replace_each_other),
	    SHARE_CASE(an_answer_that_was_late_moves_no_clock),
	    SHARE_CASE(alone_it_decides),
	    SHARE_CASE(what_they_missed_is_written),
	    SHARE_CASE(no_more_is_written_than_a_record_has),
	    SHARE_CASE(a_stop_leaves_questions),
	    SHARE_CASE(a_lost_connection_is_told_once_the_others_agree),
	    SHARE_CASE(one_or_all_are_removed_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
