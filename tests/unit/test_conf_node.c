/* Whose a room is, with a cluster that says what the test says. */
#include "conf_fake.h"

#include <msrpd/buffer.h>
#include <msrpd/cluster.h>

#include "loop.h"

#define MADE "sip:made@im.example.org"

static struct cluster *const some_cluster = (struct cluster *)&some_cluster;
static const struct cluster_node node_a = {
    .name = {"a", 1},
    .sip = {"sip:192.0.2.1", 13},
};

static struct cluster_claim *asked; /* what was claimed last, and is open */
static unsigned asks, given_up;

/* --- the cluster --- */

bool cluster_claim(struct cluster *cluster, struct cluster_claim *claim, const char *kind,
    struct slice key)
{
	assert_string_equal(kind, "room");
	assert_true(key.len > 0);
	if (!cluster)
		return true;
	asks++;
	asked = claim;
	claim->state = CLUSTER_ASKING;
	return false;
}

void cluster_release(struct cluster_claim *claim)
{
	if (claim->state != CLUSTER_NOTHING)
		given_up++;
	claim->state = CLUSTER_NOTHING;
}

struct slice cluster_own_name(const struct cluster *cluster)
{
	return slice_of(cluster ? "b" : NULL);
}

int cluster_find_node(const struct cluster *cluster, struct slice name, struct cluster_node *node)
{
	(void)cluster;
	*node = (struct cluster_node){.name = name, .sip = SLICE("sip:192.0.2.2")};
	return 0;
}

int cluster_mark_read(const struct cluster *cluster, struct buffer *w, struct slice value,
    struct cluster_mark *mark)
{
	(void)cluster;
	(void)w;
	(void)value;
	(void)mark;
	return -EACCES;
}

static void decide(const struct cluster_node *owner)
{
	struct cluster_claim *claim = asked;

	asked = NULL;
	claim->state = owner ? CLUSTER_NOTHING : CLUSTER_OURS;
	claim->ops->decided(claim, owner);
}

/* --- what comes --- */

static void ask(struct world *w, struct sip_request *request, const char *method, const char *from)
{
	request_init(request, method, from, "hello");
	run_action(w, strcmp(method, "INVITE") == 0 ? "msrp_conf_join" : "msg_to_conf", request);
}

/* One to the lobby, that says something of Bob; as from a rule. */
static int refer(struct world *w, struct sip_request *request, const char *target)
{
	request_init(request, "REFER", ALICE, NULL);
	request->refer_to = slice_of(target);
	return run_action(w, "msrp_conf_refer", request);
}

static int begin(void **state)
{
	struct world *w;
	int err = world_begin(state);

	w = *state;
	w->conf->env.cluster = some_cluster;
	asked = NULL;
	asks = given_up = 0;
	return err;
}

static struct conf_room *lobby_of(struct world *w)
{
	return conf_room_find(w->conf, SLICE(LOBBY));
}

static void what_waits_is_done_when_it_is_ours(void **state)
{
	struct world *w = *state;
	struct sip_request invite, page, subscribe;
	void *watcher;

	ask(w, &invite, "INVITE", ALICE);
	ask(w, &page, "MESSAGE", PHONE);
	request_init(&subscribe, "SUBSCRIBE", ALICE, NULL);
	assert_int_equal(
	    w->package->subscribe(&w->subscription, &subscribe, &watcher, w->package_arg),
	    -EINPROGRESS);
	assert_int_equal(invite.answers + page.answers + subscribe.answers, 0);
	assert_int_equal(asks, 1);
	decide(NULL);
	assert_int_equal(invite.code, 200);
	assert_int_equal(page.code, 200);
	assert_int_equal(subscribe.code, 200);
	session_up(&w->sessions[0]);
	/* From now on nobody is asked. */
	join(w, BOB);
	assert_int_equal(asks, 1);
	assert_string_equal(lobby_of(w)->owner, "");
}

static void what_waits_goes_to_the_owner(void **state)
{
	struct world *w = *state;
	struct sip_request invite, page;

	ask(w, &invite, "INVITE", ALICE);
	ask(w, &page, "MESSAGE", PHONE);
	decide(&node_a);
	assert_int_equal(invite.code, PASSED_ON);
	assert_int_equal(page.code, PASSED_ON);
	assert_string_equal(lobby_of(w)->owner, "a");
	assert_int_equal(w->session_count, 0);
	/* It may have been given up since. */
	ask(w, &invite, "INVITE", ALICE);
	decide(NULL);
	assert_int_equal(invite.code, 200);
}

static void what_was_sent_on_goes_no_further(void **state)
{
	struct world *w = *state;
	const struct cluster_mark mark = {SLICE("conf"), {SLICE("join"), SLICE(LOBBY), SLICE(BOB)},
	    3, ABSENT};
	struct sip_request request;

	request_init(&request, "INVITE", BOB, NULL);
	conf_service.forwarded(&request, &mark, w->conf);
	decide(&node_a);
	assert_int_equal(request.code, 480);
	request_init(&request, "INVITE", BOB, NULL);
	conf_service.forwarded(&request, &mark, w->conf);
	decide(NULL);
	assert_int_equal(request.code, 200);
	request_init(&request, "INVITE", BOB, NULL);
	conf_service.forwarded(&request, &(struct cluster_mark){.service = SLICE("conf")}, w->conf);
	assert_int_equal(request.code, 400);
}

/* Another node may have it; if none has, it is not made here. */
static void an_unknown_room_is_asked_for(void **state)
{
	struct world *w = *state;
	const struct cluster_mark mark = {SLICE("conf"), {SLICE("join"), SLICE(MADE), SLICE(BOB)},
	    3, ABSENT};
	struct sip_request request;

	w->events[0] = '\0'; /* the lobby's */
	request_init(&request, "INVITE", BOB, NULL);
	conf_service.forwarded(&request, &mark, w->conf);
	assert_int_equal(request.answers, 0);
	decide(NULL);
	assert_int_equal(request.code, 404);
	assert_null(conf_room_find(w->conf, SLICE(MADE)));
	assert_int_equal(given_up, 1);
	assert_string_equal(w->events, "");
}

static void who_waits_is_told_of_the_end(void **state)
{
	struct world *w = *state;
	struct sip_request invite;

	ask(w, &invite, "INVITE", ALICE);
	conf_room_end(lobby_of(w));
	assert_int_equal(invite.code, 503);
	assert_int_equal(given_up, 1);
}

/* With what the rule has let its sender do. */
static void a_refer_goes_to_the_owner(void **state)
{
	static const char *const whats[] = {"refer", "refer-out", "watch"};
	static const int codes[] = {403, 202, 400};
	struct world *w = *state;
	struct sip_request request;

	refer(w, &request, "<" BOB ">");
	assert_int_equal(request.answers, 0);
	decide(&node_a);
	assert_int_equal(request.code, PASSED_ON);
	assert_string_equal(passed_what, "refer");
	ask(w, &request, "INVITE", ALICE);
	decide(NULL);
	session_up(&w->sessions[0]);
	join(w, BOB);
	for (size_t i = 0; i < CONF_COUNT(whats); i++) {
		const struct cluster_mark mark = {SLICE("conf"),
		    {slice_of(whats[i]), SLICE(LOBBY), SLICE(ALICE)}, 3, ABSENT};

		request_init(&request, "REFER", ALICE, NULL);
		request.refer_to = SLICE("<" BOB ";method=BYE>");
		conf_service.forwarded(&request, &mark, w->conf);
		assert_int_equal(request.code, codes[i]);
	}
}

/* It makes no room, whatever an INVITE might. */
static void a_refer_to_no_room(void **state)
{
	struct world *w = *state;
	const struct cluster_mark mark = {SLICE("conf"),
	    {SLICE("refer"), SLICE(MADE), SLICE(ALICE)}, 3, ABSENT};
	struct sip_request request;

	w->settings.create = true;
	request_init(&request, "REFER", ALICE, NULL);
	conf_service.forwarded(&request, &mark, w->conf);
	decide(NULL);
	assert_int_equal(request.code, 404);
	assert_null(conf_room_find(w->conf, SLICE(MADE)));
}

enum { ROOMS_WAITING = 4, WAITING = 1024 };

static struct conf_room *wait_in(struct world *w, size_t room, size_t count,
    struct sip_request *request)
{
	const struct conf_order order = {.what = CONF_JOIN, .from = SLICE(ALICE)};
	struct conf_room *waits;
	char uri[64];

	snprintf(uri, sizeof(uri), "sip:%zu@im.example.org", room);
	assert_int_equal(conf_room_new(&waits, w->conf, slice_of(uri)), 0);
	request_init(request, "INVITE", ALICE, NULL);
	while (count--)
		conf_order_take(waits, request, &order);
	return waits;
}

/* Of one room, and of all of them. */
static void what_waits_has_a_bound(void **state)
{
	struct world *w = *state;
	struct sip_request requests[ROOMS_WAITING], request;
	struct conf_room *rooms[ROOMS_WAITING];

	wait_in(w, 100, WAITING + 1, &request);
	assert_int_equal(request.code, 503);
	conf_room_end(conf_room_find(w->conf, SLICE("sip:100@im.example.org")));
	for (size_t i = 0; i < ROOMS_WAITING; i++) {
		rooms[i] = wait_in(w, i, WAITING, &requests[i]);
		assert_int_equal(requests[i].code, 0);
	}
	wait_in(w, 101, 1, &request);
	assert_int_equal(request.code, 503);
	conf_room_end(rooms[0]);
	assert_int_equal(requests[0].code, 503);
	wait_in(w, 102, 1, &request);
	assert_int_equal(request.code, 0);
}

static bool is_gone(void *arg)
{
	return ((struct ua_session *)arg)->gone;
}

/* Not before what is under way has come through. */
static void a_lost_room_ends_when_it_is_idle(void **state)
{
	struct world *w = *state;
	struct sip_request invite;
	struct ua_session *alice, *bob;
	struct conf_room *room;

	ask(w, &invite, "INVITE", ALICE);
	decide(NULL);
	alice = &w->sessions[0];
	session_up(alice);
	bob = join(w, BOB);
	bob->backlog = 1;
	room = lobby_of(w);
	room->claim.state = CLUSTER_NOTHING;
	room->claim.ops->lost(&room->claim, &node_a);
	loop_settle(w->base);
	assert_false(alice->gone);
	ask(w, &invite, "INVITE", PHONE);
	decide(&node_a);
	assert_int_equal(invite.code, PASSED_ON);
	bob->backlog = 0;
	loop_until(w->base, is_gone, alice);
	assert_true(bob->gone);
	assert_non_null(strstr(w->events, "LEAVE " ALICE " - ended;"));
	assert_ptr_equal(lobby_of(w), room); /* it is of the config */
	assert_false(room->yields);
}

static void on_ok(struct reply *reply, const char *key, struct slice text)
{
	(void)reply;
	(void)key;
	assert_true(slice_equal(text, SLICE("OK")));
}

static void create(struct world *w)
{
	static const struct reply_ops ops = {.text = on_ok};
	const struct method *method = conf_service.methods;
	const struct param params[3] = {{.present = true, .text = SLICE(MADE)}};
	struct reply reply = {&ops};

	while (strcmp(method->name, "msrp_conf_create") != 0)
		method++;
	method->call(params, &reply, w->conf);
	assert_non_null(conf_room_find(w->conf, SLICE(MADE)));
}

/* It is that one's alone: here nothing of it would last. */
static void a_room_is_made_that_another_node_has(void **state)
{
	struct world *w = *state;

	create(w);
	decide(NULL);
	assert_non_null(conf_room_find(w->conf, SLICE(MADE)));
	conf_room_end(conf_room_find(w->conf, SLICE(MADE)));
	create(w);
	w->events[0] = '\0';
	decide(&node_a);
	assert_null(conf_room_find(w->conf, SLICE(MADE)));
	assert_non_null(strstr(w->events, "END"));
}

static bool nobody_is_here(struct world *w)
{
	return !lobby_of(w)->users;
}

static struct conf_phone *phone_of(struct world *w)
{
	return TAILQ_FIRST(&lobby_of(w)->participants)->phone;
}

/* @param fail  it is not reached for the last time; else too much waits for it already */
static void lose_a_phone(struct world *w, bool fail)
{
	struct conf_room *room = lobby_of(w);
	struct sip_request page;

	ask(w, &page, "MESSAGE", PHONE);
	if (asked)
		decide(NULL);
	assert_int_equal(page.code, 200);
	if (fail)
		phone_of(w)->failures = 2;
	else
		phone_of(w)->bytes = 1 << 20;
	w->page_result = fail ? -ENETUNREACH : 0;
	room->claim.state = CLUSTER_NOTHING;
	room->claim.ops->lost(&room->claim, &node_a);
	world_wait(w, nobody_is_here);
	assert_non_null(
	    strstr(w->events, fail ? "LEAVE " PHONE " - failed;" : "LEAVE " PHONE " - slow;"));
	w->page_result = 0;
}

/* That it goes on elsewhere is what it is dropped for. */
static void a_phone_that_cannot_be_told_has_left(void **state)
{
	struct world *w = *state;

	lose_a_phone(w, true);
	lose_a_phone(w, false);
}

int main(void)
{
#define NODE_CASE(name) cmocka_unit_test_setup_teardown(name, begin, world_close)
	const struct CMUnitTest tests[] = {
	    NODE_CASE(what_waits_is_done_when_it_is_ours),
	    NODE_CASE(what_waits_goes_to_the_owner),
	    NODE_CASE(what_was_sent_on_goes_no_further),
	    NODE_CASE(an_unknown_room_is_asked_for),
	    NODE_CASE(who_waits_is_told_of_the_end),
	    NODE_CASE(a_refer_goes_to_the_owner),
	    NODE_CASE(a_refer_to_no_room),
	    NODE_CASE(what_waits_has_a_bound),
	    NODE_CASE(a_room_is_made_that_another_node_has),
	    NODE_CASE(a_lost_room_ends_when_it_is_idle),
	    NODE_CASE(a_phone_that_cannot_be_told_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
